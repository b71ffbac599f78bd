"""What was heard of a machine: its clips page by page, and its course over any time."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from nearfar.errors import visible
from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.described import CLIPS, TIMELINE
from nearfar.page.desk import Desk
from nearfar.page.refusal import Refusal
from nearfar.page.replies import as_json
from nearfar.page.routes.clip_api import row_said
from nearfar.page.said.teaching import learnt_of
from nearfar.service.history.courses import Course
from nearfar.service.history.questions import Wanted
from nearfar.service.history.spelling import micros
from nearfar.service.plant import Key

router = APIRouter(tags=["history"])
POINTS = 2000  # a screen has no more places
PAGE = 500
_CURSOR = re.compile(r"(-?[0-9]{1,18})_([0-9]{1,18})")
_SHOWN = 60  # characters of a wrong value in a line

Since = Annotated[
    str | None, Query(description="From then on: ISO 8601, with a zone or without.", max_length=64)
]
Until = Annotated[
    str | None, Query(description="Before then; a day alone ends at its end.", max_length=64)
]


@router.get("/machines/{machine}/clips", response_model=CLIPS)
def clips(
    desk: AtDesk,
    key: OfMachine,
    since: Since = None,
    until: Until = None,
    status: Literal["judged", "idle", "unjudged"] | None = None,
    anomalous: Annotated[bool | None, Query(description="Of those that were judged.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 100,
    before: Annotated[
        str | None, Query(description="The `next` of the page before.", max_length=64)
    ] = None,
) -> Response:
    """Clips of a machine, the newest first; `next` is null at the end."""
    begin, end = span(since, until)
    wanted = Wanted(*key, begin, end, status, anomalous)
    beyond = None if before is None else _place(before)
    # One more than is told: so the last page is known as the last.
    rows = list(desk.store.rows(wanted, newest=True, beyond=beyond, limit=limit + 1))
    told = rows[:limit]
    digests = [row.observation.digest for row in told]
    labels = {label.digest: label for label in desk.store.labels(*key, digests=digests)}
    learnt = learnt_of(desk.hold(key).detector, key)
    return as_json(
        {
            "clips": [row_said(row, labels.get(row.observation.digest), learnt) for row in told],
            "next": "{}_{}".format(*told[-1].place) if len(rows) > limit else None,
        }
    )


@router.get("/machines/{machine}/timeline", response_model=TIMELINE)
def timeline(
    desk: AtDesk,
    key: OfMachine,
    since: Since = None,
    until: Until = None,
    points: Annotated[int, Query(ge=1, le=POINTS)] = 800,
) -> Response:
    """The course of a machine: a point a clip, or of many a point a stretch of time."""
    begin, end = span(since, until)
    course = desk.store.course(*key, begin, end, points)
    told = {
        "machine": key[0], "section": key[1], "since": since, "until": until,
        "alarms": [span.as_dict() for span in desk.store.spans(*key, begin, end)],
    }  # fmt: skip
    return as_json(told | _thresholds(desk, key) | course_said(course))


def course_said(course: Course) -> dict[str, Any]:
    """A course as JSON: times in ms.

    >>> course_said(Course())["points"]["at"]
    []
    """
    return {
        "step_ms": None if course.step is None else course.step / 1000,
        "first_ms": None if course.first is None else course.first // 1000,
        "last_ms": None if course.last is None else course.last // 1000,
        "points": {
            "at": [at // 1000 for at in course.at], "p": course.p, "judged": course.judged,
            "anomalous": course.anomalous, "idle": course.idle, "unjudged": course.unjudged,
            "faults": course.faults, "digest": course.digest,
        },
    }  # fmt: skip


def span(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """The times that a request says.

    Raises:
        Refusal: no time, or none between the two.

    >>> [str(time) for time in span("2026-11-01T08:00Z", "2026-11-01")]
    ['2026-11-01 08:00:00+00:00', '2026-11-02 00:00:00']
    """
    begin, end = _moment("since", since), _moment("until", until)
    if begin is not None and end is not None and micros(begin) > micros(end):
        raise Refusal(422, f"since {since} is after until {until}; say the earlier time first")
    return begin, end


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        # A day first: to `datetime` it is midnight, to whoever asks the whole of it.
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        found = datetime(day.year, day.month, day.day)
        if name == "since":
            return found
        return datetime.max if day == date.max else found + timedelta(days=1)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            422, f"{name} {visible(text[:_SHOWN])}: is no time; say it as 2026-11-01 or "
            "2026-11-01T08:30Z"
        ) from None  # fmt: skip


def _place(cursor: str) -> tuple[int, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        shown = visible(cursor[:_SHOWN])
        raise Refusal(422, f"before {shown}: is no place in a history; take `next` of a page")
    return int(found[1]), int(found[2])


def _thresholds(desk: Desk, key: Key) -> dict[str, float]:
    detector = desk.hold(key).detector
    return {"rate": detector.false_alarm_rate, "threshold": detector.threshold(*key).value}
