"""What people say of clips: normal, a fault, or neither after all."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Response
from pydantic import Field

from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.described import LABELLED, UNLABELLED
from nearfar.page.guard.visitor import Operator
from nearfar.page.replies import as_json
from nearfar.page.routes.alarms_api import NAME, NoteSaid, Who
from nearfar.page.said.answers import Saying, call_fault, call_normal, take_back

router = APIRouter(tags=["clips"])
CLIP = "/machines/{machine}/clips/{digest}"


class NormalAfterAll(NoteSaid):
    """That a clip is normal.

    >>> NormalAfterAll().learn
    True
    """

    learn: bool = Field(True, description="Shall the detector learn it? Else it is labelled only.")
    domain: Literal["source", "target"] | None = Field(None, description="Of the condition.")


@router.post(CLIP + "/normal", response_model=LABELLED)
async def normal(
    desk: AtDesk, visitor: Operator, key: OfMachine, digest: str, said: NormalAfterAll
) -> Response:
    """It was normal: the detector learns it, thresholds follow, and it can be taken back."""
    saying = Saying(said.who, said.note, said.learn, said.domain)
    done = await desk.turns.run("people", lambda: call_normal(desk, visitor, key, digest, saying))
    return as_json(done)


@router.post(CLIP + "/fault", response_model=LABELLED)
async def fault(
    desk: AtDesk, visitor: Operator, key: OfMachine, digest: str, said: NoteSaid
) -> Response:
    """It was a fault: its sound is kept with its label, and no detector learns it."""
    saying = Saying(said.who, said.note, learn=False)
    done = await desk.turns.run("people", lambda: call_fault(desk, visitor, key, digest, saying))
    return as_json(done)


@router.delete(CLIP + "/label", response_model=UNLABELLED)
async def label(
    desk: AtDesk,
    visitor: Operator,
    key: OfMachine,
    digest: str,
    said: Annotated[Who | None, Body()] = None,
    who: Annotated[str, Query(max_length=NAME)] = "",
) -> Response:
    """Undo either; what was learnt is forgotten, to the byte."""
    # In the query too, for some programs send no body with DELETE.
    name = said.who if said is not None else who
    done = await desk.turns.run("people", lambda: take_back(desk, visitor, key, digest, name))
    return as_json(done)
