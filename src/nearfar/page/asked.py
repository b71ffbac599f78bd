"""What every route is given: the desk, and the machine that a path names."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Query, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nearfar.page.desk import Desk
from nearfar.service.plant import Key

_MACHINE = re.compile(r"(/api(?:/v1)?/machines/)([^/]+)(.*)")


def desk_of(request: Request) -> Desk:
    """What requests work with."""
    found: Desk = request.app.state.desk
    return found


def key_of(
    request: Request,
    machine: str,
    section: Annotated[str | None, Query(description="Needed where there are several.")] = None,
) -> Key:
    """The machine and section that a path names.

    Raises:
        Refusal: there is none.
    """
    return desk_of(request).key(unquote(machine), section)


class WholeNames:
    """Has a machine in a path stay as it was sent: one that is called hall/fan is one part of it.

    Args:
        app: what is behind it; there `key_of` reads the name.

    >>> whole("/api/machines/hall%2Ffan/clips%20", "/api/machines/hall/fan/clips ")
    '/api/machines/hall%2Ffan/clips '
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            scope["path"] = whole(scope.get("raw_path", b"").decode("ascii"), scope["path"])
        await self._app(scope, receive, send)


def whole(sent: str, path: str) -> str:
    """A path whose machine is as it was sent; of other paths what they are.

    Args:
        sent: with percent signs, as a browser has it.
        path: the same, decoded.
    """
    found = _MACHINE.match(sent)
    return found[1] + found[2] + unquote(found[3]) if found else path


AtDesk = Annotated[Desk, Depends(desk_of)]
OfMachine = Annotated[Key, Depends(key_of)]
