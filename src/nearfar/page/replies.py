"""How answers look: JSON that every reader takes, and errors as one line."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from nearfar.errors import NearfarError, in_python, printable
from nearfar.page.guard.rates import TooOften
from nearfar.page.refusal import status_of
from nearfar.service.outputs.said import one_line_json
from nearfar.text import one_line

SCHEMA = 1  # of all answers; raised when a program that reads them could err
AGAIN = {503: "5", 429: "30"}  # Retry-After, s
MOST_FAULTS = 100  # lines of one answer
_log = logging.getLogger("nearfar.page")


class Failure(BaseModel):
    """What every request is answered with that is not done.

    >>> Failure(error="no machine 'fan'; it has: pump").faults
    []
    """

    error: str = Field(description="One line: what, which value, the way out.")
    faults: list[str] = Field(default=[], description="All of several, a line each.")


def as_json(value: dict[str, Any], status: int = 200) -> Response:
    """An answer; numbers that are none are null, and texts what every reader takes."""
    body = one_line_json({"schema": SCHEMA} | value)
    return Response(body, status, media_type="application/json")


def failure(status: int, line: str, faults: tuple[str, ...] = ()) -> Response:
    """An answer that says why not."""
    told = Failure(error=_told(line), faults=[_told(fault) for fault in faults[:MOST_FAULTS]])
    response = Response(one_line_json(told.model_dump()), status, media_type="application/json")
    if status in AGAIN:
        response.headers["Retry-After"] = AGAIN[status]
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="nearfar"'
    return response


def refusal(error: NearfarError) -> Response:
    """An error of ours as an answer."""
    status = status_of(error)
    if status == 500:  # a computer's owner should know, also where nobody reads the answer
        _log.warning("%s", error)
    response = failure(status, str(error), tuple(map(str, error.faults)))
    if isinstance(error, TooOften):
        response.headers["Retry-After"] = str(error.wait)
    return response


def fault(error: BaseException) -> Response:
    """A bug as an answer, and as a line of the log; never a traceback."""
    line = f"a fault of the program: {type(error).__name__}"
    _log.error("%s: %s", line, one_line(error))
    # What it says of itself may hold anything, a path as an example: that is for the log.
    return failure(500, f"{line}; its log says more")


async def refused(request: Request, error: Exception) -> Response:
    """An error of ours as an answer."""
    return refusal(error if isinstance(error, NearfarError) else NearfarError(str(error)))


async def invalid(request: Request, error: Exception) -> Response:
    """What the shape of a request forbids, in one line: the first fault; the others beside it."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    lines = tuple(f"{_place(one['loc'])}: {one['msg']}" for one in found)
    return failure(422, lines[0] if lines else "the request is none", lines)


async def unknown(request: Request, error: Exception) -> Response:
    """What HTTP itself refuses: no such path, a wrong method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    path, method = request.scope["path"], request.method
    lines = {
        404: f"{path}: there is nothing; /api/openapi.json lists what there is",
        405: f"{method} {path}: not done this way; /api/openapi.json lists what there is",
    }
    told = error.detail if isinstance(error, HTTPException) else str(error)
    response = failure(status, lines.get(status) or str(told))
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


def _place(location: tuple[Any, ...]) -> str:
    """Where in a request: the name alone, without what part of it that is."""
    return ".".join(str(part) for part in location[1:]) or "body"


def _told(line: str) -> str:
    """As every message is: one line, and not without end; in the words of the API's fields."""
    # They are called as Python's arguments are; flags are for who is at a terminal.
    return printable(in_python(line))
