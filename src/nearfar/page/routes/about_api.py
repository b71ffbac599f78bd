"""What this page is, and how what is behind it is; also for who only asks whether it is there."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from nearfar.page.asked import AtDesk
from nearfar.page.described import ABOUT
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.page.replies import as_json, failure
from nearfar.service.news import WatchNow
from nearfar.version import __version__

router = APIRouter(tags=["about"])
probes = APIRouter(include_in_schema=False)  # beside /api, where programs look for them


@router.get("/about", response_model=ABOUT)
def about(request: Request, desk: AtDesk) -> Response:
    """What can be done here, and as whom; without a token only whether one is needed."""
    visitor: Visitor | None = request.scope["state"].get("visitor")
    needs = request.app.state.signins.needs_token
    told: dict[str, Any] = {"version": __version__, "needs_token": needs, "role": None}
    if visitor is not None:
        told |= {"role": visitor.role} | _told(desk)
    return as_json(told)


@probes.api_route("/healthz", methods=["GET", "HEAD"])
async def alive() -> Response:
    """Is anybody there?"""
    return as_json({"alive": True})


@probes.api_route("/readyz", methods=["GET", "HEAD"])
def ready(desk: AtDesk) -> Response:
    """Can it do its work?"""
    if not (desk.is_ready and desk.backend.now.ready):
        return failure(503, "not ready yet; ask again")
    return as_json({"ready": True})


def _told(desk: Desk) -> dict[str, Any]:
    limit = desk.settings.upload_limit
    told: dict[str, Any] = {"ready": desk.is_ready, "upload_limit": limit}
    if not desk.is_ready:
        return told | {
            "watches": False, "can_setup": True, "history": False, "keeps_sound": False,
            "watch": None,
        }  # fmt: skip
    backend = desk.backend
    history = backend.plant.history
    return told | {
        "watches": backend.watches, "can_setup": False, "history": bool(history.place),
        "keeps_sound": history.keep_audio != "none", "watch": watch_said(backend.now),
    }  # fmt: skip


def watch_said(now: WatchNow) -> dict[str, Any]:
    """How a watch is, for JSON; troubles are a line each, "" if none."""
    return {
        "started": now.started.isoformat(), "ready": now.ready, "queued": now.queued,
        "awaited": now.awaited, "clips": now.clips, "duplicates": now.duplicates,
        "unkept": now.unkept, "lost": now.lost, "history": now.history,
        "sources": dict(now.sources),
        "outputs": [
            {"name": o.name, "up": o.up, "queued": o.queued, "lost": o.lost, "trouble": o.trouble}
            for o in now.outputs
        ],
    }  # fmt: skip
