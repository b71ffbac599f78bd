"""The application: routes with a desk behind them and a gate before them."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from nearfar.errors import NearfarError
from nearfar.page.asked import WholeNames
from nearfar.page.described import describe
from nearfar.page.desk import Desk
from nearfar.page.guard.bodies import Bodies
from nearfar.page.guard.fresh import Fresh
from nearfar.page.guard.gate import Gate
from nearfar.page.guard.peek import Peek
from nearfar.page.guard.shield import Shield
from nearfar.page.guard.signins import SignIns
from nearfar.page.guard.squeeze import Squeeze
from nearfar.page.replies import Failure, invalid, refused, unknown
from nearfar.page.routes import (
    about_api,
    alarms_api,
    answers_api,
    audit_api,
    clip_api,
    events_api,
    history_api,
    labels_api,
    machines_api,
    score_api,
    session_api,
    setup_api,
    threshold_api,
)
from nearfar.version import __version__

ROUTES = (
    about_api,
    session_api,
    machines_api,
    history_api,
    clip_api,
    score_api,
    alarms_api,
    answers_api,
    labels_api,
    threshold_api,
    events_api,
    audit_api,
    setup_api,
)
STATIC = Path(str(files("nearfar.page") / "static"))
FAILURES: dict[int | str, dict[str, object]] = {
    code: {"model": Failure}
    for code in (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 503)
}


def make_app(desk: Desk) -> FastAPI:
    """All of it, to be served.

    Args:
        desk: what it works with; it may have nothing behind it yet.
    """
    app = FastAPI(
        title="nearfar", version=__version__, openapi_url="/api/openapi.json", docs_url=None,
        redoc_url=None, description="How machines sound: states, history, sound, answers.",
        redirect_slashes=False,  # a path nearly another would pass a gate that goes by paths
    )  # fmt: skip
    app.state.desk = desk
    app.state.signins = SignIns(desk.settings)
    # Of the routes alone: what a page or a file of it is refused with, no program reads.
    api = APIRouter(responses=FAILURES)
    for module in ROUTES:
        api.include_router(module.router)
    app.include_router(api, prefix="/api")
    # The same under its number: what breaks a reader will come as /api/v2 beside it.
    app.include_router(api, prefix="/api/v1", include_in_schema=False)
    # All errors are one line of JSON, also those that the framework words in its own way.
    app.add_exception_handler(NearfarError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unknown)
    app.include_router(about_api.probes)
    app.add_api_route("/", _first, include_in_schema=False, methods=["GET", "HEAD"])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # By its own name, for FastAPI asks the application for it.
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    _guard(app, desk)
    return app


def _guard(app: FastAPI, desk: Desk) -> None:
    """What is added last stands first: a request comes through these from the bottom up."""
    app.add_middleware(WholeNames)
    app.add_middleware(Fresh)
    app.add_middleware(Squeeze)
    app.add_middleware(Peek)
    app.add_middleware(Gate, settings=desk.settings, signins=app.state.signins)
    app.add_middleware(Bodies, settings=desk.settings)
    app.add_middleware(Shield)


def _first() -> FileResponse:
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")
