"""The threshold of a machine: what it is, and another rate of false alarms."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import Field

from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.described import THRESHOLD
from nearfar.page.guard.visitor import Operator
from nearfar.page.replies import as_json
from nearfar.page.routes.alarms_api import Who
from nearfar.page.said.thresholds import draw, threshold_said

router = APIRouter(tags=["machines"])


class WantedRate(Who):
    """How many normal clips may be above the threshold.

    >>> WantedRate(false_alarm_rate=0.05).false_alarm_rate
    0.05
    """

    false_alarm_rate: float = Field(description="Share of normal clips, 0–1.")


@router.get("/machines/{machine}/threshold", response_model=THRESHOLD)
def threshold(desk: AtDesk, key: OfMachine) -> Response:
    """The threshold that judges now, and of which machines another rate would change it."""
    return as_json(threshold_said(desk.hold(key).detector, key))


@router.put("/machines/{machine}/threshold", response_model=THRESHOLD)
async def other_threshold(
    desk: AtDesk, visitor: Operator, key: OfMachine, wanted: WantedRate
) -> Response:
    """Draw it anew for another rate; nothing is fitted again, no clip is heard."""
    # In a turn of people's: a detector is read and written, and two at once would be one too few.
    rate, who = wanted.false_alarm_rate, wanted.who
    return as_json(await desk.turns.run("people", lambda: draw(desk, visitor, key, rate, who)))
