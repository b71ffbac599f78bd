"""The gate before all routes: who comes in, and as whom."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from nearfar.page.guard.visitor import Visitor
from nearfar.service.plant import PageSettings


class Gate:
    """Lets requests in, or answers them itself.

    Args:
        app: what is behind it.
        settings: of the page.

    >>> Gate.__init__.__doc__ is None
    True
    """

    def __init__(self, app: ASGIApp, settings: PageSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            address = (scope.get("client") or ("",))[0]
            scope.setdefault("state", {})["visitor"] = Visitor("operator", address)
        await self._app(scope, receive, send)
