"""The first run: recordings are sent, looked at, and a detector is fitted on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nearfar.page.asked import AtDesk
from nearfar.page.described import REMOVED, SENT, SETUP
from nearfar.page.guard.visitor import Operator, Reader, Visitor
from nearfar.page.refusal import Refusal
from nearfar.page.replies import as_json
from nearfar.page.sent.multipart import blocks
from nearfar.page.sent.sent_parts import SentParts
from nearfar.page.setup.first_look import Wish
from nearfar.page.setup.setting_up import Setup
from nearfar.service.troubles import fault_line
from nearfar.text import counted, one_line

router = APIRouter(tags=["setup"])
Who = Annotated[str, Query(max_length=80, description="Who does it, as they call themselves.")]


class FitAsked(BaseModel):
    """What is to be fitted, or looked at as if it were.

    >>> FitAsked().false_alarm_rate
    0.01
    """

    machine: str = Field(default="", description="Its name; else the detector's folder's.")
    false_alarm_rate: float = Field(default=0.01, description="Share of normal clips, 0–1.")
    exclude_suspects: bool = Field(default=False, description="Fit without what stands out.")
    far_first: bool = Field(default=False, description="Files have the far channel first.")
    who: str = Field(default="", max_length=80)


class FoldersChosen(BaseModel):
    """Which of the folders that were offered are used.

    >>> FoldersChosen(names=["normal"]).who
    ''
    """

    names: list[str]
    who: str = Field(default="", max_length=80)


def setup_of(desk: AtDesk) -> Setup:
    """The setup of the first detector.

    Raises:
        Refusal: there is a detector.
    """
    if desk.setup is None:
        raise Refusal(409, "there is a detector already; nothing is to be set up")
    return desk.setup


AtSetup = Annotated[Setup, Depends(setup_of)]


@router.get("/setup", response_model=SETUP)
def setup(found: AtSetup, visitor: Reader) -> Response:
    """How far the first detector is."""
    return as_json(found.state)


@router.post("/setup/recordings", response_model=SENT)
async def send(request: Request, found: AtSetup, visitor: Operator, who: Who = "") -> Response:
    """Send normal recordings as multipart/form-data, named with the folders that they lie in.

    What is there already may be sent again; another sound of the same name is refused.
    """
    # What is too much for one request `Bodies` has refused; this asks whether the disk has room.
    length = request.headers.get("content-length", "")
    coming = int(length) if length.isascii() and length.isdigit() else 0
    with _done(found, visitor, "send", "recordings", who) as told:
        with (
            found.receiving(coming) as folder,
            SentParts(folder, request.headers.get("content-type", "")) as parts,
        ):
            async for block in blocks(request):
                await run_in_threadpool(parts.feed, block)
            parts.end()
        told.append(f"{counted(parts.stored, 'recording')}")
    return as_json(parts.as_dict() | {"setup": found.state})


@router.delete("/setup/recordings", response_model=REMOVED)
def remove(found: AtSetup, visitor: Operator, who: Who = "") -> Response:
    """Remove the recordings that were sent."""
    with _done(found, visitor, "remove", "recordings", who) as told:
        removed = found.remove()
        told.append(counted(removed, "recording"))
    return as_json({"removed": removed, "setup": found.state})


@router.put("/setup/offered", response_model=SETUP)
def offered(found: AtSetup, wanted: FoldersChosen, visitor: Operator) -> Response:
    """Use recordings that this computer has, of folders that were offered by its people."""
    with _done(found, visitor, "use", ", ".join(wanted.names)[:200], wanted.who):
        found.choose(wanted.names)
    return as_json(found.state)


@router.post("/setup/check", response_model=SETUP, status_code=202)
def check(found: AtSetup, wanted: FitAsked, visitor: Operator) -> Response:
    """Have the recordings looked at; what is found is in the state."""
    # No deed: it looks at recordings, and changes neither them nor anything that is made of them.
    found.check_open()
    found.check(_wish(found, wanted))
    return as_json(found.state, 202)


@router.post("/setup/fit", response_model=SETUP, status_code=202)
def fit(found: AtSetup, wanted: FitAsked, visitor: Operator) -> Response:
    """Have a detector fitted; the state says how far it is."""
    with _done(found, visitor, "fit", wanted.machine[:200], wanted.who):
        found.check_open()
        found.fit(_wish(found, wanted))
    return as_json(found.state, 202)


def _wish(found: Setup, wanted: FitAsked) -> Wish:
    return found.wish(
        wanted.machine, wanted.false_alarm_rate, exclude_suspects=wanted.exclude_suspects,
        far_first=wanted.far_first,
    )  # fmt: skip


@contextmanager
def _done(found: Setup, visitor: Visitor, verb: str, about: str, who: str) -> Iterator[list[str]]:
    """Note what is done, or why it was refused; the body may say more of what it did."""
    told: list[str] = []
    try:
        yield told
    except BaseException as error:  # a deed that ended by a bug, or by a stop, was begun too
        line = fault_line(error) if isinstance(error, Exception) else "ended while it was done"
        found.news.deed(visitor, verb, about, who, f"refused: {one_line(line)}")
        raise
    found.news.deed(visitor, verb, "; ".join(told) or about, who, "done")
