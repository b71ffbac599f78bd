"""Machines, and how they are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.replies import as_json
from nearfar.service.news import MachineNow
from nearfar.service.outputs.said import machine_said
from nearfar.service.plant import Key

router = APIRouter(tags=["machines"])


@router.get("/machines")
def machines(desk: AtDesk) -> Response:
    """All machines and their state; alarms that are not closed are with them."""
    now = desk.backend.now
    return as_json({"machines": [machine_said(one) for one in now.machines.values()]})


@router.get("/machines/{machine}")
def machine(desk: AtDesk, key: OfMachine) -> Response:
    """One machine and its state."""
    return as_json(state_of(desk.backend.now.machines, key))


def state_of(known: Any, key: Key) -> dict[str, Any]:
    """How a machine is; one that nothing was heard of yet is unknown."""
    return machine_said(known.get(key) or MachineNow(*key, clips=0))
