"""Signing in with a token, once a browser, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from nearfar.page.asked import AtDesk
from nearfar.page.guard.gate import cookie_name
from nearfar.page.guard.knock import Knock
from nearfar.page.guard.signins import UNUSED, SignIns
from nearfar.page.replies import as_json
from nearfar.service.page_checks import LONGEST

router = APIRouter(tags=["session"])


class Credentials(BaseModel):
    """Whoever signs in has a token.

    >>> Credentials(token="correct-horse-battery").token[:7]
    'correct'
    """

    token: Annotated[str, Field(max_length=LONGEST, description="The line of a token file.")]


@router.post("/session")
async def sign_in(request: Request, desk: AtDesk, asked: Credentials) -> Response:
    """Signs in: a cookie stands for the token from now on, for 30 days after its last use."""
    signins: SignIns = request.app.state.signins
    if not signins.needs_token:
        return as_json({"role": "operator"})
    # In the event loop, so that no two of its callers are within at once.
    cookie, role = signins.begin(
        asked.token.encode("utf-8", "replace"), request.scope["state"]["address"]
    )
    response = as_json({"role": role})
    _set(response, request, desk.settings.proxy, cookie, int(UNUSED))
    return response


@router.delete("/session")
async def sign_out(request: Request, desk: AtDesk) -> Response:
    """Signs out; whoever has not signed in is out already."""
    knock, signins = Knock.of(request.scope), request.app.state.signins
    signins.end(knock.cookie(cookie_name(knock.port)))
    response = as_json({"role": None if signins.needs_token else "operator"})
    _set(response, request, desk.settings.proxy, "", 0)
    return response


def _set(response: Response, request: Request, proxy: str, cookie: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(Knock.of(request.scope).port), cookie, max_age=seconds, path="/",
        httponly=True, samesite="strict", secure=proxy.lower().startswith("https:"),
    )  # fmt: skip
