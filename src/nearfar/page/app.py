"""The application: routes with a desk behind them and a gate before them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from nearfar.errors import NearfarError
from nearfar.page.desk import Desk
from nearfar.page.guard.gate import Gate
from nearfar.page.replies import Failure, invalid, refused, unknown
from nearfar.page.routes import (
    alarms_api,
    answers_api,
    audit_api,
    events_api,
    labels_api,
    machines_api,
    threshold_api,
)
from nearfar.version import __version__

ROUTES = (
    machines_api, threshold_api, answers_api, labels_api, alarms_api, events_api, audit_api,
)  # fmt: skip
STATIC = Path(str(files("nearfar.page") / "static"))
FAILURES: dict[int | str, dict[str, object]] = {
    code: {"model": Failure} for code in (401, 403, 404, 409, 413, 422, 429, 503)
}


def make_app(desk: Desk) -> FastAPI:
    """All of it, to be served.

    Args:
        desk: what it works with; it may have nothing behind it yet.
    """
    app = FastAPI(
        title="nearfar", version=__version__, openapi_url="/api/openapi.json", docs_url=None,
        redoc_url=None, description="How machines sound: states, history, sound, answers.",
    )  # fmt: skip
    app.state.desk = desk
    api = APIRouter(responses=FAILURES)
    for module in ROUTES:
        api.include_router(module.router)
    app.include_router(api, prefix="/api")
    # The same under its number: what breaks a reader will come as /api/v2 beside it.
    app.include_router(api, prefix="/api/v1", include_in_schema=False)
    app.add_exception_handler(NearfarError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unknown)
    app.add_api_route("/", _first, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(Gate, settings=desk.settings)
    return app


def _first() -> FileResponse:
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")
