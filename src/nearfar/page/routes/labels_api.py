"""The labelled clips, as a data set to evaluate detectors on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from nearfar.page.asked import AtDesk
from nearfar.page.described import content
from nearfar.page.guard.visitor import Reader
from nearfar.page.said.packing import packed

router = APIRouter(tags=["clips"])
PACKED: dict[int | str, dict[str, Any]] = {200: content("application/zip")}


@router.get("/labelled.zip", response_class=FileResponse, responses=PACKED)
async def labelled(desk: AtDesk, visitor: Reader) -> FileResponse:
    """Clips called a fault, or normal and not learnt, as a DCASE folder with labels in its names.

    A README.txt in it says what was left out, and why.
    """
    # As uploads are: to pack a year of labels takes seconds, in which people's turns are free.
    path = await desk.turns.run("uploads", lambda: packed(desk))
    return FileResponse(
        path, media_type="application/zip", filename="labelled.zip",
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(path.unlink, missing_ok=True),
    )  # fmt: skip
