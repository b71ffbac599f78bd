"""Why a clip of the history got its verdict, with its sounds and pictures, for as long as asked."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfar.errors import NearfarError
from nearfar.page.sounds.row_sound import find_recording, kept_file
from nearfar.report.explained import Sounds, heard_in, moves_of, picture_of
from nearfar.report.sounds import common_gain, flac
from nearfar.report.spectrograms import DESK, PHONE, alone
from nearfar.scores.verdict import Verdict
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.text import plain

if TYPE_CHECKING:
    from nearfar.clips.clip import Clip
    from nearfar.detector.detector import Detector
    from nearfar.detector.explanation.explanation import Explanation
    from nearfar.page.desk import Desk
    from nearfar.service.history.questions import HistoryRow
    from nearfar.service.holding import DetectorHold
    from nearfar.service.observation import Observation

PictureKind = Literal["desk", "phone"]
KINDS: tuple[PictureKind, ...] = ("desk", "phone")
MOST = 48  # clips that are remembered
BYTES = 96_000_000  # of their sounds in memory; files on the disk are smaller

# Machine, section, digest, identity of what explains, with regions?
Subject = tuple[str, str, str, str, bool]


@dataclass(eq=False)
class ExplainedClip:
    """A clip explained: what is said, and what can be heard and seen.

    Made, encoded and drawn in one thread at a time.

    >>> ExplainedClip({"why": "not above the threshold"}, {}, None, Path("x")).size
    0
    """

    said: dict[str, Any]  # for JSON
    heard: Sounds  # name → (label, (samples,) at 16 kHz)
    explanation: Explanation | None  # without its sounds; of what cannot be heard None
    folder: Path  # its own
    _drawn: dict[PictureKind, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """Bytes of its sounds in memory."""
        return sum(sound.nbytes for _, sound in self.heard.values())

    @property
    def seconds(self) -> float:
        """Length of its longest sound."""
        return max((len(s) for _, s in self.heard.values()), default=0) / SAMPLE_RATE

    def sound(self, name: str) -> Path | None:
        """The FLAC of one of its sounds, all at one gain; None if there is none of that name."""
        if name not in self.heard:
            return None
        path = self.folder / f"{name}.flac"
        with self._lock:
            if not path.exists():
                gain = common_gain([sound for _, sound in self.heard.values()])
                path.write_bytes(flac(gain * self.heard[name][1]))
        return path

    def drawn(self, kind: PictureKind) -> str | None:
        """Its spectrograms, if they were drawn already: at once."""
        return self._drawn.get(kind)

    def picture(self, kind: PictureKind) -> str | None:
        """Its spectrograms as SVG; None where there is no sound, or nothing that draws."""
        if not self.heard or self.explanation is None or not draws():
            return None
        with self._lock:
            if kind not in self._drawn:
                slim = kind == "phone"
                self._drawn[kind] = alone(picture_of(self.explanation, self.heard, slim=slim))
            return self._drawn[kind]


class ExplainedClips:
    """The last clips that were explained; what was not asked for longest is forgotten first.

    Args:
        place: makes a folder for one.

    >>> ExplainedClips(Path).known(("pump", "00", "9f86", "", False)) is None
    True
    """

    def __init__(self, place: Callable[[], Path]) -> None:
        self._place = place
        self._lock = threading.Lock()  # never held while anything is computed
        self._clips: OrderedDict[Subject, ExplainedClip] = OrderedDict()

    def known(self, subject: Subject) -> ExplainedClip | None:
        """If it was explained already: at once."""
        with self._lock:
            if subject in self._clips:
                self._clips.move_to_end(subject)
            return self._clips.get(subject)

    def explain(self, desk: Desk, row: HistoryRow, *, regions: bool) -> ExplainedClip:
        """Explain a clip, if nobody has meanwhile; in a thread that may take its time.

        Raises:
            Refusal: its sound is nowhere.
            NearfarError: a detector that cannot be read.
        """
        hold = desk.hold(row.observation.key)
        subject = subject_of(row, hold, regions=regions)
        if (found := self.known(subject)) is not None:
            return found
        made = _explained(desk, row, hold, self._place, regions=regions)
        with self._lock:
            self._clips[subject] = made
            gone = self._too_many()
        for one in gone:
            shutil.rmtree(one.folder, ignore_errors=True)
        return made

    def _too_many(self) -> list[ExplainedClip]:
        gone = []
        while len(self._clips) > 1 and (
            len(self._clips) > MOST or sum(one.size for one in self._clips.values()) > BYTES
        ):
            gone.append(self._clips.popitem(last=False)[1])
        return gone


def subject_of(row: HistoryRow, hold: DetectorHold, *, regions: bool) -> Subject:
    """What an explanation is of."""
    seen = row.observation
    return seen.machine, seen.section, seen.digest, hold.identity, regions


def _explained(
    desk: Desk, row: HistoryRow, hold: DetectorHold, place: Callable[[], Path], *, regions: bool
) -> ExplainedClip:
    detector, identity, seen = hold.detector, hold.identity, row.observation
    clip = find_recording(desk, row).clip
    told = detector.explain(
        clip, machine=clip.machine, section=clip.section,
        normals=desk.room.normals(desk.normals), regions=regions,
    )  # fmt: skip
    told = _as_then(_with_kept(desk, detector, told, clip), seen)
    heard, cut = heard_in(told)
    # Copies: a view of its first minute would keep an hour in memory.
    heard = {name: (label, np.array(sound)) for name, (label, sound) in heard.items()}
    said = _said(told, seen, cut) | {
        "detector": identity, "judged_by_other": seen.detector not in ("", identity),
    }  # fmt: skip
    return ExplainedClip(said, heard, replace(told, tracks=None, normal=None), place())


def _with_kept(desk: Desk, detector: Detector, told: Explanation, clip: Clip) -> Explanation:
    """With the sound of the nearest clip that a history keeps, as it does of what was learnt."""
    if told.normal is not None or not told.neighbours:
        return told
    from nearfar.detector.explanation.explaining import tracks_of

    names = {c.name: c.digest for c in detector.sections[clip.machine, clip.section].clips}
    path = kept_file(desk.backend.plant.history, names.get(told.neighbours[0].name, ""))
    try:
        if path is not None:
            audio = replace(clip, path=path, far=None, start=0.0, stop=None).read(detector.order)
            return replace(told, normal=tracks_of(audio[:2], None), missing="")
    except NearfarError:  # it is for listening alone
        pass
    return told


def _as_then(told: Explanation, seen: Observation) -> Explanation:
    """What was not judged, as it stood still or could not be heard, is not judged now."""
    if seen.status == "judged" or not told.verdict.judged:
        return told
    still = "the machine was not running"
    reason = still if seen.status == "idle" else seen.warning
    verdict = Verdict.none(told.verdict.clip, told.verdict.threshold, reason)
    return replace(
        told, verdict=verdict, sensor=told.sensor or (reason,), shares=(), neighbours=(),
        movements=(), bands=(), regions=None,
    )  # fmt: skip


def _said(told: Explanation, seen: Observation, cut: int) -> dict[str, Any]:
    verdict = told.verdict.as_dict() | {"clip": seen.name, "judged": told.verdict.judged}
    verdict.pop("path")  # where it lies is nobody's business
    where = told.regions.where if told.regions is not None else ""
    lines = [line for line in (where, told.unmarked) if line]
    more = {"verdict": verdict, "missing": told.missing, "cut": cut, "lines": lines}
    return {**reasons(told), **plain(more)}


def reasons(told: Explanation) -> dict[str, Any]:
    """Why, for JSON: in a sentence, then as what it rests on."""
    found: dict[str, Any] = plain(
        {
            "why": told.why,
            "sensor": list(told.sensor),
            "member": told.member,
            "moves": [
                {"sentence": m.sentence, "amount": m.amount, "unit": m.unit, "share": share}
                for m, share in moves_of(told)
            ],
            "neighbours": [
                {"name": n.name, "domain": n.domain, "distance": n.distance, "made": n.made}
                for n in told.neighbours
            ],
        }
    )
    return found


def shapes(explained: ExplainedClip) -> list[dict[str, Any]]:
    """Where in each picture time runs, as shares of its width."""
    return [
        {"kind": kind, "left": shape.left, "right": shape.right, "seconds": explained.seconds}
        for kind, shape in zip(KINDS, (DESK, PHONE), strict=True)
        if explained.heard and draws()
    ]


@cache
def draws() -> bool:
    """Can pictures be drawn here? Without matplotlib all else is said and heard."""
    return find_spec("matplotlib") is not None
