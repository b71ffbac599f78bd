"""A machine's clips page by page, and its timeline, as the page asks for them."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from desks import PUMP
from made_history import SECOND, START, alarm, seen
from nearfar.page.app import make_app
from nearfar.page.desk import Desk
from nearfar.service.history.changes import Change, ClipLabel
from nearfar.service.history.spelling import micros
from nearfar.service.history.store import HistoryStore
from nearfar.service.plant import PageSettings

COUNT = 25


class Threshold(SimpleNamespace):
    """A detector that only has a threshold."""

    def threshold(self, *key):
        assert key == ("pump", "00")
        return SimpleNamespace(value=1.3)


def clip(i):
    return seen(i, machine="pump", time=START + i // 2 * SECOND)  # two at each time


@pytest.fixture(scope="module")
def asked():
    """A client of a page over a history of 25 clips of a pump. Read only."""
    desk = Desk(PageSettings("127.0.0.1:0"))
    store = HistoryStore.open("")
    for i in range(COUNT):
        store.keep(Change(clip(i)))
        store.keep(Change(seen(1000 + i, machine="fan")))
    store.label(ClipLabel(0, "pump", "00", clip(3).digest, "normal", START, learnt=True))
    store.label(ClipLabel(0, "fan", "00", clip(4).digest, "fault", START))
    store.keep(Change(None, alarms=(alarm(1),)))
    hold = SimpleNamespace(detector=Threshold(false_alarm_rate=0.05, sections={}))
    desk.attach(SimpleNamespace(store=store, holds={("pump", "00"): hold}, busy=False))
    client = TestClient(make_app(desk), base_url="http://127.0.0.1")
    yield SimpleNamespace(store=store, get=client.get)
    store.close()
    desk.close()


def pages(asked, **given):
    """All clips that a question gives, following `next`; how many pages it took."""
    found, pages, cursor = [], 0, None
    while True:
        more = {} if cursor is None else {"before": cursor}
        reply = asked.get(f"{PUMP}/clips", params=given | more)
        assert reply.status_code == 200, reply.text
        found += reply.json()["clips"]
        pages, cursor = pages + 1, reply.json()["next"]
        if cursor is None:
            return found, pages


NEWEST = [clip(i).digest for i in reversed(range(COUNT))]


@pytest.mark.parametrize(("limit", "expected"), [(1, 25), (4, 7), (5, 5), (24, 2), (25, 1)])
def test_pages_of_any_size_give_each_clip_once_the_newest_first(asked, limit, expected):
    found, count = pages(asked, limit=limit)
    assert [one["digest"] for one in found] == NEWEST
    assert count == expected


def test_a_clip_has_its_row_its_place_in_time_and_what_people_called_it(asked):
    found, _ = pages(asked)
    (one,) = [c for c in found if c["digest"] == clip(3).digest]
    assert "path" not in one
    assert one["at_ms"] == micros(clip(3).time) // 1000
    assert (one["label"], one["learnt"]) == ("normal", True)
    assert one["p_value"] == clip(3).p_value
    assert {(c["label"], c["learnt"]) for c in found if c is not one} == {(None, False)}


def test_labels_of_a_page_are_asked_for_once(asked, monkeypatch):
    questions = []
    passed = asked.store.labels
    monkeypatch.setattr(
        asked.store, "labels", lambda *a, **k: (questions.append(1), passed(*a, **k))[1]
    )
    pages(asked, limit=25)
    assert questions == [1]


def test_clips_are_asked_for_by_time_and_by_what_became_of_them(asked):
    clips = [clip(i) for i in range(COUNT)]

    def digests(**given):
        return {one["digest"] for one in pages(asked, limit=3, **given)[0]}

    for status in ("judged", "idle", "unjudged"):
        assert digests(status=status) == {c.digest for c in clips if c.status == status}
    for flag in (True, False):
        assert digests(anomalous=flag) == {c.digest for c in clips if c.anomalous is flag}
    since, until = START + 3 * SECOND, START + 6 * SECOND
    among = {c.digest for c in clips if since <= c.time < until}
    assert len(among) == 6
    for zone in ("+00:00", "Z", "", "+09:00"):
        ahead = timedelta(hours=9) if zone == "+09:00" else timedelta()
        said = {
            name: (time + ahead).strftime("%Y-%m-%dT%H:%M:%S") + zone
            for name, time in (("since", since), ("until", until))
        }
        assert digests(**said) == among
    assert digests(until=START.date()) == set(NEWEST)  # to its end
    assert digests(since=START.date() + timedelta(days=1)) == set()


def test_of_few_clips_each_is_a_point(asked):
    told = asked.get(f"{PUMP}/timeline", params={"points": 2000}).json()
    assert told["step_ms"] is None
    assert told["points"]["digest"] == NEWEST[::-1]
    assert told["points"]["at"] == [micros(clip(i).time) // 1000 for i in range(COUNT)]
    assert told["points"]["p"] == [clip(i).p_value for i in range(COUNT)]
    assert (told["machine"], told["section"]) == ("pump", "00")
    assert (told["rate"], told["threshold"]) == (0.05, 1.3)
    assert told["alarms"] == []
    assert (told["first_ms"], told["last_ms"]) == (
        told["points"]["at"][0],
        told["points"]["at"][-1],
    )


def test_of_many_a_point_is_a_stretch_of_time(asked):
    told = asked.get(f"{PUMP}/timeline", params={"points": 4}).json()
    points = told["points"]
    assert told["step_ms"] == pytest.approx(12000.001 / 4, abs=0.001)
    assert len(points["at"]) == 4
    counts = [sum(points[name]) for name in ("judged", "idle", "unjudged")]
    assert sum(counts) == COUNT
    assert points["p"] == [
        asked.store.row("pump", "00", digest).observation.p_value for digest in points["digest"]
    ]


def test_a_time_without_clips_tells_where_there_are_some(asked):
    told = asked.get(f"{PUMP}/timeline", params={"since": "2031-01-01"}).json()
    assert told["points"]["at"] == []
    assert told["last_ms"] == micros(clip(COUNT - 1).time) // 1000


WRONG = [
    ("since", "yesterday", "since yesterday: is no time"),
    ("since", "2026-13-01", "is no time"),
    ("until", "2026-11-01T25:00", "is no time"),
    ("until", "nul\0", "is no time"),
    ("since", "9" * 5000, "since: "),
    ("status", "broken", "status: "),
    ("anomalous", "perhaps", "anomalous: "),
    ("limit", "0", "limit: "),
    ("limit", str(10**9), "limit: "),
    ("limit", "-1", "limit: "),
    ("before", "", "is no place"),
    ("before", "7", "is no place"),
    ("before", "1_2_3", "is no place"),
    ("before", f"{9**30}_1", "is no place"),
    ("before", "٣_٣", "is no place"),
    ("before", "\0\n", "is no place"),
    ("section", "07", "no section '07'"),
    ("section", "\0", "no section"),
]


@pytest.mark.parametrize(("name", "value", "line"), WRONG)
def test_what_is_wrong_is_refused_in_one_line(asked, name, value, line):
    reply = asked.get(f"{PUMP}/clips", params={name: value})
    assert reply.status_code == (404 if name == "section" else 422)
    told = reply.json()["error"]
    assert line in told
    assert told.isprintable()
    assert len(told) < 300


@pytest.mark.parametrize("given", [{"points": 0}, {"points": 2001}, {"since": "x"}])
def test_a_timeline_refuses_likewise(asked, given):
    assert asked.get(f"{PUMP}/timeline", params=given).status_code == 422


@pytest.mark.parametrize("what", ["clips", "timeline"])
def test_a_time_that_ends_before_it_begins_is_refused(asked, what):
    given = {"since": "2026-11-02T00:00Z", "until": "2026-11-02T01:00+09:00"}
    reply = asked.get(f"{PUMP}/{what}", params=given)
    assert reply.status_code == 422
    assert "is after until" in reply.json()["error"]


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "0001-01-01T00:00+14:00",
                                  "9999-12-31T23:59:59-14:00"])  # fmt: skip
def test_the_first_and_the_last_time_that_can_be_said_are_times(asked, text):
    for what in ("clips", "timeline"):
        for name in ("since", "until"):
            assert asked.get(f"{PUMP}/{what}", params={name: text}).status_code == 200


def test_a_machine_that_is_none_is_not_found(asked):
    for machine in ("pmup", "%00", "%EF%BF%BF"):
        for what in ("clips", "timeline"):
            assert asked.get(f"/api/machines/{machine}/{what}").status_code == 404
