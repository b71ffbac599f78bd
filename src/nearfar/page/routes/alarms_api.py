"""Alarms: which there are, and what people say of them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from nearfar.page.asked import AtDesk
from nearfar.page.replies import as_json

router = APIRouter(tags=["alarms"])


@router.get("/alarms")
def alarms(desk: AtDesk, closed: bool = False) -> Response:
    """Alarms that need a person, by number; closed ones too if asked for."""
    return as_json({"alarms": [alarm.as_dict() for alarm in desk.store.alarms(closed)]})
