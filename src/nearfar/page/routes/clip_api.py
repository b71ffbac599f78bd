"""One clip of the history: its row, why it was judged so, how it sounds and looks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from nearfar.page.asked import AtDesk, OfMachine
from nearfar.page.described import EXPLANATION, ONE_CLIP, content
from nearfar.page.refusal import Refusal
from nearfar.page.replies import Failure, as_json
from nearfar.page.said.teaching import learnt_of
from nearfar.page.sounds.clip_explained import ExplainedClips, PictureKind, shapes, subject_of
from nearfar.page.sounds.row_sound import can_be_heard, row_of

if TYPE_CHECKING:
    from nearfar.page.desk import Desk
    from nearfar.page.sounds.clip_explained import ExplainedClip
    from nearfar.service.history.changes import ClipLabel
    from nearfar.service.history.questions import HistoryRow
    from nearfar.service.plant import Key

router = APIRouter(tags=["clips"])
CLIP = "/machines/{machine}/clips/{digest}"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SoundName = Literal["near", "far", "heard", "normal"]
GONE: dict[int | str, dict[str, Any]] = {
    410: {"model": Failure, "description": "Its sound is nowhere any more."}
}
HEARD = GONE | {
    200: content("audio/flac", text="All of it."),
    206: content("audio/flac", text="The part that Range asked for."),
    416: {"description": "Range asks for what is beyond its end."},
}
SEEN = GONE | {200: content("image/svg+xml")}
Regions = Query(False, description="Where in the sound an encoder's score comes from; slow.")


@router.get(CLIP, response_model=ONE_CLIP)
def clip(desk: AtDesk, key: OfMachine, digest: str) -> Response:
    """All that was found out about a clip, what people called it, and whether it can be heard."""
    row = row_of(desk, *key, digest)
    label = desk.store.label_of(*key, digest)
    labels = desk.store.labels(*key, digests=[digest], undone=True)
    return as_json(
        row_said(row, label, learnt_of(desk.hold(key).detector, key))
        | {"kept": can_be_heard(desk, row), "labels": [one.as_dict() for one in labels]}
    )


@router.get(CLIP + "/explanation", response_model=EXPLANATION, responses=GONE)
async def explanation(
    desk: AtDesk, key: OfMachine, digest: str, regions: bool = Regions
) -> Response:
    """Why a clip got its verdict: reasons, what moved, the nearest normal clips, its sounds."""
    found = await _explained(desk, key, digest, regions=regions)
    said = "?" + urlencode({"section": key[1]})
    place = f"/api/machines/{quote(key[0], safe='')}/clips/{digest}"
    drawn = said + "&regions=true" * regions
    return as_json(
        found.said
        | {
            "sounds": [
                {"name": name, "label": label, "url": f"{place}/audio/{name}{said}",
                 "seconds": len(sound) / 16_000}
                for name, (label, sound) in found.heard.items()
            ],
            "pictures": [
                shape | {"url": f"{place}/picture/{shape['kind']}.svg{drawn}"}
                for shape in shapes(found)
            ],
        }
    )  # fmt: skip


@router.head(CLIP + "/audio/{name}", include_in_schema=False)
@router.get(CLIP + "/audio/{name}", response_class=FileResponse, responses=HEARD)
async def audio(desk: AtDesk, key: OfMachine, digest: str, name: SoundName) -> FileResponse:
    """A sound of a clip as FLAC; parts of it by HTTP ranges. All of a clip have one gain."""
    found = await _explained(desk, key, digest, regions=None)
    path = await run_in_threadpool(found.sound, name)  # milliseconds, and no waiting for turns
    if path is None:
        raise Refusal(404, f"no sound {name!r} of this clip; it has: {', '.join(found.heard)}")
    return FileResponse(path, media_type="audio/flac")


@router.get(CLIP + "/picture/{kind}.svg", response_class=Response, responses=SEEN)
async def picture(
    desk: AtDesk, key: OfMachine, digest: str, kind: PictureKind, regions: bool = Regions
) -> Response:
    """The spectrograms of a clip, for a desk or a phone."""
    found = await _explained(desk, key, digest, regions=regions)
    drawn = found.drawn(kind) or await desk.turns.run("people", lambda: found.picture(kind))
    if drawn is None:
        raise Refusal(404, "no sound of this clip can be drawn")
    tag = {"ETag": f'"{sha256(drawn.encode()).hexdigest()}"'}  # it changes with what is learnt
    return Response(drawn, media_type="image/svg+xml", headers=tag)


async def _explained(desk: Desk, key: Key, digest: str, *, regions: bool | None) -> ExplainedClip:
    """A clip explained; `regions` None takes either, for its sounds are the same."""
    row = await _row(desk, key, digest)
    for way in (regions,) if regions is not None else (False, True):
        known = desk.room.one(ExplainedClips).known(subject_of(row, desk.hold(key), regions=way))
        if known is not None:
            return known
    wanted = bool(regions)
    explain = desk.room.one(ExplainedClips).explain
    return await desk.turns.run("people", lambda: explain(desk, row, regions=wanted))


async def _row(desk: Desk, key: Key, digest: str) -> HistoryRow:
    return await run_in_threadpool(row_of, desk, *key, digest)  # a database may let one wait


def row_said(
    row: HistoryRow, label: ClipLabel | None, learnt: Collection[str] = ()
) -> dict[str, Any]:  # fmt: skip
    """A clip as JSON, with what people call it.

    Args:
        row: of the history.
        label: that stands.
        learnt: digests of what its detector has learnt; of these some may have no label.
    """
    said = row.observation.as_dict()
    said.pop("path")  # where it lay is nobody's business
    at = EPOCH + timedelta(microseconds=row.at)
    return said | {
        "row": row.id, "at": at.isoformat(), "at_ms": row.at // 1000,
        "label": None if label is None else label.label,
        "learnt": (label is not None and label.learnt) or row.observation.digest in learnt,
    }  # fmt: skip
