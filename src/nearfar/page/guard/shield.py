"""What every answer says to browsers, and what becomes of bugs."""

from __future__ import annotations

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearfar.page.guard.fresh import may_be_kept
from nearfar.page.replies import failure, fault

# Nothing from elsewhere, nothing inline, no frame around it (W3C Content Security Policy 3).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# A picture that is opened by itself is a document: it has its looks, and does nothing.
PICTURE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
    "frame-ancestors 'none'"
)  # fmt: skip
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class Shield:
    """Stands before all else: says to browsers what they may do with an answer.

    Args:
        app: what is behind it.

    >>> "unsafe" in POLICY, "sandbox" in PICTURE
    (False, True)
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        started = False

        async def shielded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                tell(MutableHeaders(scope=message), scope["path"], message["status"])
            await send(message)

        answer = None
        try:
            await self._app(scope, receive, shielded)
        except ClientDisconnect:
            return  # nobody is there who could be told
        except asyncio.CancelledError:
            answer = failure(503, "the page is being closed; try again when it is back")
        except Exception as error:
            answer = fault(error)
        # Half an answer is cut off by the server: that, too, is no whole one to whoever reads it.
        if answer is not None and not started:
            await answer(scope, receive, shielded)


def tell(headers: MutableHeaders, path: str, status: int = 200) -> None:
    """Put in what an answer of a path says to browsers."""
    is_picture = headers.get("content-type", "").startswith("image/svg")
    headers["Content-Security-Policy"] = PICTURE if is_picture else POLICY
    for name, value in ALWAYS.items():
        headers[name] = value
    # Of /api a browser keeps nothing but a clip's sounds and pictures, and no proxy those; of the
    # rest what has not changed. It asks each time.
    kept = "no-cache" if path == "/" or path.startswith("/static/") else "no-store"
    if status < 400 and "etag" in headers and may_be_kept(path):
        kept = "private, no-cache"
    headers["Cache-Control"] = kept
    if "server" in headers:
        del headers["server"]
