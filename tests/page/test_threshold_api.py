"""The threshold as it is asked for."""

import pytest

from desks import PUMP, as_reader, judging_desk

ASKED = f"{PUMP}/threshold"


@pytest.fixture
def desk(tmp_path):
    made = judging_desk(tmp_path)
    yield made
    made.close()


def test_who_may_only_look_draws_nothing(desk):
    as_reader(desk)
    desk.ask("PUT", ASKED, {"false_alarm_rate": 0.4}, 403)
    assert desk.ask("GET", ASKED)["normals"] == 3
    assert desk.store.audit() == []


@pytest.mark.parametrize("body", [{}, [], {"false_alarm_rate": 0.4, "who": "x" * 81}, None])
def test_a_wrong_form_is_one_line(desk, body):
    assert "\n" not in desk.ask("PUT", ASKED, body, 422)["error"]


def test_a_machine_that_nobody_judges_has_none(desk):
    assert "'pmup'" in desk.ask("GET", "/api/machines/pmup/threshold", None, 404)["error"]
