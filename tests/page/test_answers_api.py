"""What people say of clips, as it is asked for: shapes, bounds, and who may."""

import pytest

from desks import PUMP, as_reader, judging_desk

CLIP = f"{PUMP}/clips/{'9f' * 32}"


@pytest.fixture
def desk(tmp_path):
    made = judging_desk(tmp_path)
    yield made
    made.close()


def test_who_may_only_look_says_nothing(desk):
    as_reader(desk)
    for verb in ("normal", "fault"):
        desk.ask("POST", f"{CLIP}/{verb}", {}, 403)
    desk.ask("DELETE", f"{CLIP}/label", None, 403)
    assert desk.store.audit() == []


@pytest.mark.parametrize("body", [{"domain": "attic"}, {"learn": "perhaps"}, {"who": "x" * 81},
                                  {"note": 7}, []])  # fmt: skip
def test_a_wrong_form_is_one_line(desk, body):
    assert "\n" not in desk.ask("POST", f"{CLIP}/normal", body, 422)["error"]


def test_a_clip_that_nobody_heard_is_told_and_the_try_is_kept(desk):
    for verb in ("normal", "fault"):
        desk.ask("POST", f"{CLIP}/{verb}", {"who": "kim"}, 404)
    for asked in (f"{CLIP}/label?who=lee", f"{CLIP}/label"):
        desk.ask("DELETE", asked, None, 409)
    rows = desk.store.audit()
    assert [row.who for row in rows] == ["", "lee", "kim", "kim"]
    assert all(row.outcome.startswith("refused: ") for row in rows)
