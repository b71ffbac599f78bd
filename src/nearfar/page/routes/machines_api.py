"""Machines, and how they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.described import MACHINES, ONE_MACHINE
from nearfar.page.desk import Desk
from nearfar.page.replies import as_json
from nearfar.service.holding import DetectorHold
from nearfar.service.incoming import now
from nearfar.service.news import MachineNow
from nearfar.service.outputs.said import machine_said
from nearfar.service.plant import Key
from nearfar.text import called

router = APIRouter(tags=["machines"])


@router.get("/machines", response_model=MACHINES)
def machines(desk: AtDesk) -> Response:
    """All machines and their state; alarms that are not closed are with them."""
    return as_json({"machines": all_states(desk)})


@router.get("/machines/{machine}", response_model=ONE_MACHINE)
def machine(desk: AtDesk, key: OfMachine) -> Response:
    """One machine and its state."""
    return as_json(state_of(desk.backend.now.machines, key, desk.hold(key)))


def all_states(desk: Desk) -> list[dict[str, Any]]:
    """How all are that can be judged, heard of or not."""
    known = desk.backend.now.machines
    return [state_of(known, key, hold) for key, hold in desk.backend.holds.items()]


def state_of(known: Mapping[Key, MachineNow], key: Key, hold: DetectorHold) -> dict[str, Any]:
    """How a machine is; one that nothing was heard of yet is unknown."""
    found, moment = known.get(key) or MachineNow(*key, clips=0), now()
    # Where no watch runs nobody ends a shelf whose time is over.
    found = replace(found, alarms=tuple(alarm.as_of(moment) for alarm in found.alarms))
    rate = hold.detector.false_alarm_rate
    return machine_said(found) | {"label": called(*key), "threshold_p": rate}
