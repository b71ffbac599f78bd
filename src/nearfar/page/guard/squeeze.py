"""What is sent smaller: pages and numbers, never sound, streams or what is about secrets."""

from __future__ import annotations

import re

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

SMALLEST = 1000  # bytes
EFFORT = 5  # of 9: what is more costs the watch's processor for some per cent
# Sound and archives do not get smaller; a stream would wait for its end; how long a compressed
# answer is tells of a secret in it to whoever can have words put beside it (BREACH, 2013).
AS_IT_IS = re.compile(r".*/audio/.*|.*\.zip|/api(/v1)?/(events|session)", re.DOTALL)


class Squeeze:
    """Compresses with gzip what is worth it.

    Args:
        app: what is behind it.

    >>> bool(AS_IT_IS.fullmatch("/api/events")), bool(AS_IT_IS.fullmatch("/api/machines"))
    (True, False)
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzip = GZipMiddleware(app, minimum_size=SMALLEST, compresslevel=EFFORT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        as_it_is = AS_IT_IS.fullmatch(scope["path"]) is not None
        await (self._app if as_it_is else self._gzip)(scope, receive, send)
