"""The course of a machine is what a plain count over all its rows gives, and walks one index."""

import math
from dataclasses import replace
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from sqlalchemy import event

from made_history import START, seen
from nearfar.service.history.changes import Change
from nearfar.service.history.courses import Course
from nearfar.service.history.spelling import micros
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401

KEY = ("fan", "00")
STEP = timedelta(microseconds=1)
ROW = st.tuples(
    st.integers(0, 40),  # µs after the start: many at once, and at the edges
    st.sampled_from(["judged", "judged", "idle", "unjudged"]),
    st.sampled_from([None, 0.25, 0.5, 1.0, math.nan, 1 / 3]),
    st.booleans(),
    st.sampled_from([(), ("moved",)]),
)


def clips_of(rows):
    made = []
    for i, (after, status, p, anomalous, faults) in enumerate(rows):
        judged = status == "judged"
        made.append(
            replace(
                seen(i, machine="fan"), time=START + after * STEP, status=status, faults=faults,
                p_value=p if judged else None, anomalous=anomalous if judged else None,
            )
        )  # fmt: skip
    return made


def counted(clips, since, until, points):
    """The same by hand; `clips` in order of their rows."""
    if not clips:
        return Course()
    first, last = min(micros(c.time) for c in clips), max(micros(c.time) for c in clips)
    begin = first if since is None else max(micros(since), first)
    end = last + 1 if until is None else min(micros(until), last + 1)
    inside = sorted((c for c in clips if begin <= micros(c.time) < end), key=lambda c: c.time)
    single = len(inside) <= points
    step = None if single else math.ceil((end - begin) / points)
    parts = {}
    for n, clip in enumerate(inside):
        parts.setdefault(n if single else (micros(clip.time) - begin) // step, []).append(clip)
    course = Course(step, first, last)
    for part, some in sorted(parts.items()):
        known = [c for c in some if c.p_value is not None and not math.isnan(c.p_value)]
        least = min(known, key=lambda c: c.p_value, default=some[0])  # the first of equals
        course.at.append(micros(some[0].time) if single else begin + part * step)
        course.p.append(least.p_value if known else None)
        course.digest.append(least.digest)
        course.judged.append(sum(c.status == "judged" for c in some))
        course.anomalous.append(sum(bool(c.anomalous) for c in some))
        course.idle.append(sum(c.status == "idle" for c in some))
        course.unjudged.append(sum(c.status == "unjudged" for c in some))
        course.faults.append(sum(bool(c.faults) for c in some))
    return course


def kept(where, clips):
    store = HistoryStore.open(where, watching=True)
    store.keep(Change(seen(999, machine="pump")))
    for clip in clips:
        store.keep(Change(clip))
    return store


bound = st.one_of(st.none(), st.integers(-5, 50).map(lambda n: START + n * STEP))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=30), since=bound, until=bound, points=st.integers(1, 12))
def test_it_is_what_a_plain_count_gives(rows, since, until, points):
    clips = clips_of(rows)
    store = kept("", clips)
    course = store.course(*KEY, since, until, points)
    assert course == counted(clips, since, until, points)
    assert len(course.at) <= points
    store.close()


@pytest.mark.slow
def test_a_server_gives_the_same(postgres):  # noqa: F811
    rows = [(i * 7 % 41, ("judged", "idle", "unjudged")[i % 5 % 3],
             (None, 0.5, 0.25, math.nan, 1 / 3)[i % 7 % 5], i % 4 == 0,
             ("moved",) * (i % 6 == 0)) for i in range(60)]  # fmt: skip
    clips = clips_of(rows)
    store = kept(postgres.database(), clips)
    for points in (1, 2, 7, 40, 59, 60, 2000):
        for since, until in [(None, None), (START + 5 * STEP, START + 30 * STEP)]:
            assert store.course(*KEY, since, until, points) == counted(clips, since, until, points)
    store.close()


def test_of_a_machine_without_clips_and_of_a_time_without_it_is_empty():
    store = kept("", clips_of([(0, "judged", 0.5, False, ())]))
    assert store.course("never heard", "00", None, None, 10) == Course()
    day = timedelta(days=1)
    for since, until in [(START + day, None), (None, START - day), (START, START)]:
        found = store.course(*KEY, since, until, 10)
        assert (found.at, found.step) == ([], None)
        assert found.first == found.last == micros(START)  # where it does have some is told
    store.close()


def test_no_table_is_walked_and_all_that_is_counted_is_in_the_index(tmp_path):
    store = kept(str(tmp_path / "plant.db"), clips_of([(i, "judged", 0.5, False, ())
                                                       for i in range(40)]))  # fmt: skip
    asked = []
    engine = store._access._engine
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    for points in (5, 100):
        store.course(*KEY, START, None, points)
    plans, course = [], asked.copy()
    with store._access.reading() as connection:
        for text, values in course:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
            plans.append([row[3] for row in rows])
    store.close()
    steps = [step for plan in plans for step in plan]
    assert not [step for step in steps if step.startswith("SCAN") and "clips" in step]
    assert not [step for step in steps if step.startswith("SCAN machines")]
    grouped = [plan for plan in plans if any("GROUP BY" in step for step in plan)]
    assert len(grouped) == 1
    [walk] = [step for step in grouped[0] if step.startswith("SEARCH clips")]
    assert "COVERING INDEX clips_of_machine (machine=? AND at>? AND at<?)" in walk
    assert not [
        step for plan in plans for step in plan if "ORDER BY" in step and plan != grouped[0]
    ]
