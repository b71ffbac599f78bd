"""The sound of a row of the history: found by its digest, never by a path from a request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.clips.clip import Clip
from nearfar.clips.folders import How, single_recording
from nearfar.clips.pairs import pairing
from nearfar.detector.explanation.recordings import span_of
from nearfar.errors import NearfarError
from nearfar.page.refusal import Refusal
from nearfar.service.sources.partners import sided
from nearfar.sound import audio as sound
from nearfar.sound.audio import ChannelOrder, digest_of

if TYPE_CHECKING:
    from nearfar.page.desk import Desk
    from nearfar.service.history.questions import HistoryRow
    from nearfar.service.observation import Observation
    from nearfar.service.plant import HistorySettings, SourceSettings

DIGITS = 64  # of a sha256
ENDINGS = tuple(dict.fromkeys((".flac", ".wav", *sound.SUFFIXES, ".audio")))
_NEAR = ("near", "ch1", "tr1")


@dataclass(frozen=True)
class RowSound:
    """Where the sound of a row can be heard.

    >>> RowSound(Clip(Path("plant.db-audio/9f86.wav")), kept=True).kept
    True
    """

    clip: Clip  # of the row's machine and section; near and far as they were judged
    kept: bool  # by the history; else it is the file itself, where the watch heard it


def is_digest(text: str) -> bool:
    """Could this be the digest of a row?

    >>> is_digest("9f" * 32), is_digest("../" * 8), is_digest("9F" * 32)
    (True, False, False)
    """
    return len(text) == DIGITS and set(text) <= set("0123456789abcdef")


def row_of(desk: Desk, machine: str, section: str, digest: str) -> HistoryRow:
    """The row that a path names.

    Raises:
        Refusal: there is none.
    """
    row = desk.store.row(machine, section, digest) if is_digest(digest) else None
    if row is None:
        raise Refusal(404, f"{machine}: no clip of this digest; its history lists those there are")
    return row


def find_recording(desk: Desk, row: HistoryRow) -> RowSound:
    """The sound of a row.

    Kept sound first; else the file that the watch heard, if it lies in a folder of the plant and
    has this very sound still.

    Raises:
        Refusal: it is nowhere.
    """
    seen = row.observation
    orders = _orders(desk, seen)
    if path := kept_file(desk.backend.plant.history, seen.digest):
        return RowSound(_as_judged(_blank(seen, path), seen.digest, orders), kept=True)
    for source in desk.backend.plant.sources:
        for clip in _there(seen, source):
            if (found := _of_digest(clip, seen.digest, orders)) is not None:
                return RowSound(found, kept=False)
    raise Refusal(410, f"{seen.name}: {_way_out(desk)}")


def _way_out(desk: Desk) -> str:
    if desk.backend.watches:
        return ("its sound is not kept, and no file has it any more; keep_audio in plant.toml "
                "keeps that of later ones")  # fmt: skip
    folder = desk.backend.plant.history.sound_folder
    there = "nowhere" if folder is None else f"not in {folder.name}"
    return (f"its sound is {there}; where the watch keeps it elsewhere, give its audio_folder to "
            "nearfar serve, and else keep_audio keeps that of later ones")  # fmt: skip


def can_be_heard(desk: Desk, row: HistoryRow) -> bool:
    """Is there sound of a row, as far as can be told without reading it?"""
    seen, plant = row.observation, desk.backend.plant
    if kept_file(plant.history, seen.digest):
        return True
    return any(_below(seen.path, source) is not None for source in plant.sources)


def kept_file(history: HistorySettings, digest: str) -> Path | None:
    """The file in which a history keeps this sound; None if it does not."""
    if not is_digest(digest):
        return None
    for folder in filter(None, (history.labelled_folder, history.sound_folder)):
        for suffix in ENDINGS:  # its name is one of a few: a folder of years need not be listed
            path = folder / f"{digest}{suffix}"
            if path.is_file() and not path.is_symlink():
                return path
    return None


def _blank(seen: Observation, path: Path) -> Clip:
    return Clip(path, machine=seen.machine, section=seen.section, time=seen.time)


def _orders(desk: Desk, seen: Observation) -> list[ChannelOrder]:
    """How channels may lie in its file, the likeliest first."""
    said = [s.channels for s in desk.backend.plant.sources if s.name == seen.source and s.channels]
    hold = desk.backend.holds.get(seen.key)
    own = [hold.detector.order] if hold is not None else []
    return list(dict.fromkeys([*said, *own, "near-far", "far-near"]))


def _as_judged(clip: Clip, digest: str, orders: list[ChannelOrder]) -> Clip:
    """Kept sound: a file as it came, or what was made of a stream or a part, near first."""
    found = _of_digest(clip, digest, orders)
    with suppress(NearfarError):  # of what cannot be read, who reads it says so
        return found or replace(clip, channels=_numbers(clip, "near-far"))
    return clip


def _of_digest(clip: Clip, digest: str, orders: list[ChannelOrder]) -> Clip | None:
    """The clip with its channels as that sound has them; None if it has another sound."""
    for order in orders:
        try:
            if digest_of(clip.read(order)) == digest:
                return (
                    clip if clip.far is not None else replace(clip, channels=_numbers(clip, order))
                )
        except NearfarError:  # another order may be read
            continue
    return None


def _numbers(clip: Clip, order: ChannelOrder) -> tuple[int, int] | None:
    """Near and far as numbers; None of one microphone."""
    if isinstance(order, tuple):
        return order
    if sound.channels(clip.path) < 2:
        return None
    return (1, 2) if order == "near-far" else (2, 1)


def _there(seen: Observation, source: SourceSettings) -> Iterator[Clip]:
    """What the watch may have heard then: the file, or the part of it, with its other half."""
    path = _below(seen.path, source)
    if path is None:
        return
    _, _, span = seen.name.rpartition(os.path.basename(seen.path))
    _, start, stop = span_of("x" + span)
    whole = replace(_blank(seen, path), start=start, stop=stop)
    yield whole
    for far in _partners(seen.path, source):
        if (other := _below(far, source)) is not None:
            yield replace(whole, far=other)


def _partners(path: str, source: SourceSettings) -> Iterator[str]:
    """What its other half may be called, by the folders' names or by the files'."""
    pair = pairing(source.pair)
    side = sided(path, source.place, pair)
    if side is None or side.end not in _NEAR:
        return
    yield side.missing
    with suppress(NearfarError):  # of a folder that is gone
        named = single_recording(Path(path), How(pair))
        if named.far is not None:
            yield str(named.far)


def _below(path: str, source: SourceSettings) -> Path | None:
    """A file within a folder that is watched, links followed; None if it is none."""
    if not path or source.kind != "folder":
        return None
    real = os.path.realpath(path)
    inside = Path(real).is_relative_to(os.path.realpath(source.place))
    return Path(real) if inside and os.path.isfile(real) else None
