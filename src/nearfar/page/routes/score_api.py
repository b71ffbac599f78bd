"""Recordings that are sent to be scored; nothing of them is kept."""

from __future__ import annotations

from fastapi import APIRouter, Query, Request, Response

from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.described import SCORES
from nearfar.page.replies import as_json
from nearfar.page.sent.upload_scores import scored
from nearfar.page.sent.uploads import received

router = APIRouter(tags=["scores"])
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["audio"],
                    "properties": {
                        name: {"type": "array", "items": {"type": "string", "format": "binary"}}
                        for name in ("audio", "far")
                    },
                }
            },
            "audio/wav": {"schema": {"type": "string", "format": "binary"}},
            "audio/flac": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


# A POST for the sound that it brings: it changes nothing, so the gate lets readers ask it too.
@router.post("/machines/{machine}/score", response_model=SCORES, openapi_extra=BODY)
async def score(
    request: Request,
    desk: AtDesk,
    key: OfMachine,
    skip_bad: bool = Query(False, description="Go on where a recording cannot be used."),
    explain: bool = Query(False, description="Also why; that takes as long again."),
    name: str = Query("", description="Of a recording that is the body itself."),
) -> Response:
    """Score recordings: `audio=` each, with `far=` the far microphone's files; a row each."""
    detector = desk.hold(key).detector
    async with received(request, desk) as uploads:
        answer = await desk.turns.run(
            "uploads",
            lambda: scored(
                detector, key, uploads, desk.turns.let, skip_bad=skip_bad, explain=explain
            ),
        )
    return as_json(answer)
