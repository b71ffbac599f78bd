"""Signing in with a token, once a browser, and out."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nearfar.errors import StorageError
from nearfar.page.asked import AtDesk
from nearfar.page.described import SESSION
from nearfar.page.desk import Desk
from nearfar.page.guard.gate import cookie_name
from nearfar.page.guard.knock import Knock
from nearfar.page.guard.signins import UNUSED, SignIns
from nearfar.page.guard.visitor import Visitor
from nearfar.page.replies import as_json
from nearfar.service.history.changes import AuditRow
from nearfar.service.incoming import now
from nearfar.service.page_checks import LONGEST

router = APIRouter(tags=["session"])


class Credentials(BaseModel):
    """Whoever signs in has a token.

    >>> Credentials(token="correct-horse-battery").token[:7]
    'correct'
    """

    token: Annotated[str, Field(max_length=LONGEST, description="The line of a token file.")]


@router.post("/session", response_model=SESSION)
async def sign_in(request: Request, desk: AtDesk, asked: Credentials) -> Response:
    """Signs in: a cookie stands for the token from now on, for 30 days after its last use."""
    signins: SignIns = request.app.state.signins
    if not signins.needs_token:
        return as_json({"role": "operator"})
    # In the event loop, so that no two of its callers are within at once.
    cookie, role = signins.begin(
        asked.token.encode("utf-8", "replace"), request.scope["state"]["address"]
    )
    await _noted(desk, Visitor(role, request.scope["state"]["address"]), "sign in")
    response = as_json({"role": role})
    _set(response, request, desk.settings.proxy, cookie, int(UNUSED))
    return response


@router.delete("/session", response_model=SESSION)
async def sign_out(request: Request, desk: AtDesk) -> Response:
    """Signs out; whoever has not signed in is out already."""
    knock, signins = Knock.of(request.scope), request.app.state.signins
    cookie = knock.cookie(cookie_name(knock.port))
    role = signins.role(cookie) if cookie else None
    signins.end(cookie)
    if role is not None:
        await _noted(desk, Visitor(role, request.scope["state"]["address"]), "sign out")
    response = as_json({"role": None if signins.needs_token else "operator"})
    _set(response, request, desk.settings.proxy, "", 0)
    return response


async def _noted(desk: Desk, visitor: Visitor, verb: str) -> None:
    """A row of the audit, where there is a history; of the token nothing."""
    if not desk.is_ready:
        return
    row = AuditRow(0, now(), "", visitor.role, visitor.address, verb, "the page", "done")
    # Not as changes are, whose row comes first: a history that is locked is to keep nobody out.
    with suppress(StorageError):
        await run_in_threadpool(desk.store.audit_begin, row)


def _set(response: Response, request: Request, proxy: str, cookie: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(Knock.of(request.scope).port), cookie, max_age=seconds, path="/",
        httponly=True, samesite="strict", secure=proxy.lower().startswith("https:"),
    )  # fmt: skip
