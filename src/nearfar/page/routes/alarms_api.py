"""Alarms: which there are, and what people say of them."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from nearfar.page.asked import AtDesk
from nearfar.page.described import ALARMS, ONE_ALARM
from nearfar.page.guard.visitor import Operator
from nearfar.page.replies import as_json
from nearfar.page.said.shelving import act, alarm_said, alarms_said
from nearfar.service.news import LONGEST_SHELF

router = APIRouter(tags=["alarms"])
NAME, WORDS = 80, 2000  # characters


class Who(BaseModel):
    """Who says it.

    >>> Who().who
    ''
    """

    who: str = Field("", max_length=NAME, description="Their name, as they typed it.")


class NoteSaid(Who):
    """What somebody says of an alarm.

    >>> NoteSaid(note="bearing greased", who="kim").note
    'bearing greased'
    """

    note: str = Field("", max_length=WORDS, description="Why, for others.")


class Shelf(NoteSaid):
    """For how long nobody is to be told.

    >>> Shelf(hours=2).hours
    2.0
    """

    # No shelf without an end: what nobody hears of for ever nobody mends.
    hours: float = Field(gt=0, le=LONGEST_SHELF / 3600, allow_inf_nan=False)


@router.get("/alarms", response_model=ALARMS)
def alarms(desk: AtDesk, closed: bool = False) -> Response:
    """Alarms that need a person, by number; closed ones too if asked for."""
    return as_json({"alarms": alarms_said(desk.store, closed)})


@router.post("/alarms/{number}/acknowledge", response_model=ONE_ALARM)
def acknowledge(desk: AtDesk, visitor: Operator, number: int, said: NoteSaid) -> Response:
    """Somebody looks after it. Acknowledged once, it keeps its first time; each note is kept."""
    alarm = act(desk, visitor, number, "acknowledged", said.note, said.who)
    return as_json({"alarm": alarm_said(desk.store, alarm)})


@router.post("/alarms/{number}/shelve", response_model=ONE_ALARM)
def shelve(desk: AtDesk, visitor: Operator, number: int, said: Shelf) -> Response:
    """Tell nobody of it, nor of it raised again, for so many hours, up to 720."""
    alarm = act(desk, visitor, number, "shelved", said.note, said.who, said.hours)
    return as_json({"alarm": alarm_said(desk.store, alarm)})


@router.post("/alarms/{number}/unshelve", response_model=ONE_ALARM)
def unshelve(desk: AtDesk, visitor: Operator, number: int, said: Who) -> Response:
    """Tell of it again."""
    alarm = act(desk, visitor, number, "unshelved", "", said.who)
    return as_json({"alarm": alarm_said(desk.store, alarm)})


@router.post("/alarms/{number}/note", response_model=ONE_ALARM)
def note(desk: AtDesk, visitor: Operator, number: int, said: NoteSaid) -> Response:
    """Write something down beside it, for others."""
    alarm = act(desk, visitor, number, "noted", said.note, said.who)
    return as_json({"alarm": alarm_said(desk.store, alarm)})
