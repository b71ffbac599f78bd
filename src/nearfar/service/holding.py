"""A detector that is held in memory, and taken over anew when its folder is replaced on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from nearfar.errors import NearfarError
from nearfar.files import DETECTOR
from nearfar.service.plant import DetectorSettings, Key, opened
from nearfar.text import called, named

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector

PAUSE = 1.0  # s between two looks at the disk
# s in which a folder may be half copied or moved away, and nobody is told: as long as it takes to
# put encoder weights in it over a network.
PATIENCE = 30.0
_UNTOLD = ("provenance", "data_license", "sha256", "format", "embedders", "sections", "system",
           "false_alarm_rate")  # fmt: skip  # of an index: no part in judging, or told otherwise

State = tuple[int, int, int]  # inode, ns of its last change, bytes


class DetectorHold:
    """A detector, and what becomes of its folder.

    Made once and then asked between two clips; from one thread.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from nearfar.detector.detector import Detector
    >>> from nearfar.detector.member import Member
    >>> from nearfar.detector.section import Section, TrainingClip
    >>> from nearfar.system.presets import logmel
    >>> rows, scores = np.eye(3, 128, dtype=np.float32), np.array([0.1, 0.2, 0.3])
    >>> member = Member(rows, np.arange(3), np.zeros(3, np.int8), None, self_scores=scores)
    >>> clips = tuple(TrainingClip(f"{name}.wav", digest=name) for name in "abc")
    >>> section = Section((member,), clips, levels=None, seconds=10.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Detector(logmel(), {("fan", "00"): section}).save(Path(folder, "d"))
    ...     hold = DetectorHold(DetectorSettings(Path(folder, "d")), [("fan", "00")])
    ...     hold.refresh(), len(hold.identity), hold.turns
    ('', 12, 0)

    Raises:
        FormatError: no detector, a damaged one, or one that lacks a machine.
        WeightsError: weights that are gone or differ.
    """

    def __init__(self, settings: DetectorSettings, needs: Collection[Key] = ()) -> None:
        self.settings = settings
        self.turns = 0  # how often another was taken over; who holds numbers of the old compares
        self._needs = tuple(needs)  # machines and sections that it must know; () all it has
        self._index = settings.folder / DETECTOR
        self.detector, self.identity, self._state = self._loaded(None)
        self._next = monotonic() + PAUSE
        self._refused: State | None = None  # whole, and none of ours
        self._failed: tuple[State | None, float] | None = None  # until when it is let be
        self._amiss: float | None = None  # since when
        self._told = False

    def refresh(self, *, at_once: bool = False) -> str:
        """Take over a detector that was put in the place of the old one.

        Cheap: a look at one file, at most once in `PAUSE` seconds. While a folder is half written
        or gone the old detector goes on; if that lasts it is told, once.

        Args:
            at_once: look now, however short a time ago the last look was.

        Returns:
            A line to tell, "" where there is nothing new. `turns` tells whether another judges.
        """
        now = monotonic()
        if now < self._next and not at_once:
            return ""
        self._next = now + PAUSE
        state = self._now()
        if state == self._state:
            self._well()
            return ""
        if state is not None and state == self._refused:
            return ""
        if self._failed is not None and self._failed[0] == state and now < self._failed[1]:
            return ""
        return self._taken_over(state, now)

    def _taken_over(self, state: State | None, now: float) -> str:
        """Try what is there now."""
        folder = self.settings.folder
        try:
            detector, identity, loaded = self._loaded(self.detector)
        except _Stranger as error:
            self._refused = state
            return f"{folder}: {error}; the detector that was loaded before goes on"
        except (NearfarError, OSError, MemoryError) as error:
            return self._waits(state, str(error) or "too large for the memory", now)
        changed = identity != self.identity
        self.detector, self.identity, self._state = detector, identity, loaded
        self._well()
        if not changed:  # copied, touched or saved again
            return ""
        self.turns += 1
        return f"{folder}: replaced on disk; {identity} judges from the next clip on"

    def _well(self) -> None:
        self._refused, self._failed, self._amiss, self._told = None, None, None, False

    def _waits(self, state: State | None, why: str, now: float) -> str:
        """What is there is no whole detector; perhaps not yet."""
        self._amiss = now if self._amiss is None else self._amiss
        lasts = now - self._amiss >= PATIENCE
        # To read a large index each second would take from the scoring.
        self._failed = (state, now + (PATIENCE if lasts else PAUSE))
        if self._told or not lasts:
            return ""
        self._told = True
        return f"{why}; the detector that was loaded before goes on"

    def _now(self) -> State | None:
        try:
            found = self._index.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _loaded(self, before: Detector | None) -> tuple[Detector, str, State]:
        """The detector, its identity, and the state on disk that both are of.

        Raises:
            NearfarError: none, or a damaged one; or it was replaced just now.
        """
        state = self._now()
        detector = opened(self.settings)
        needs = self._needs or tuple(detector.sections)
        _check(detector, needs, before)
        for key in needs:
            detector.threshold(*key)  # its bank is read, and proves that it can judge
        identity = identity_of(self._index_data(), self.settings.false_alarm_rate)
        if state is None or state != self._now():
            raise NearfarError(f"{self.settings.folder}: is being written")
        return detector, identity, state

    def _index_data(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads(self._index.read_bytes())
        except (OSError, ValueError):
            raise NearfarError(f"{self._index}: cannot be read") from None
        return data


class _Stranger(NearfarError):
    """A whole detector, and none of ours."""


def _check(detector: Detector, needs: Collection[Key], before: Detector | None) -> None:
    """Refuse a detector that cannot judge what is watched.

    Raises:
        _Stranger: a machine is missing, or it needs other channels than the one before.
        WeightsError: weights that are gone or differ.
    """
    from nearfar.detector.origin import check

    if missing := [called(*key) for key in needs if key not in detector.sections]:
        known = named([called(*key) for key in detector.sections])
        raise _Stranger(f"does not know {named(missing)} (it knows {known})")
    if before is not None and detector.system.needs != before.system.needs:
        raise _Stranger(
            f"needs {detector.system.needs} channels, the one before {before.system.needs}"
        )
    check(detector.system, detector.origins)


def identity_of(index: Mapping[str, Any], false_alarm_rate: float | None = None) -> str:
    """What tells one detector from another that may judge otherwise: 12 hexadecimal digits.

    Of recipe, embedders, channel order, rate of false alarms and banks; not of where it lies, nor
    of the program that wrote it.

    Args:
        index: of its folder.
        false_alarm_rate: that is asked for instead of its own.
    """
    rate = index["false_alarm_rate"] if false_alarm_rate is None else false_alarm_rate
    told = {
        **{key: value for key, value in index.items() if key not in _UNTOLD},
        "system": _unplaced(index["system"]),
        "embedders": [
            [one["fingerprint"], one["dim"]] for one in index.get("embedders", ())
        ],
        "rate": float(rate),
        # Thresholds are drawn anew from banks and rate.
        "sections": sorted(
            (json.dumps({k: v for k, v in entry.items() if k != "threshold"}, sort_keys=True))
            for entry in index["sections"]
        ),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def _unplaced(data: Any) -> Any:
    """A recipe without places of weights, which the embedders' hashes stand for."""
    if isinstance(data, dict):
        # Those of an ensemble are numbers, and judge.
        return {
            k: _unplaced(v) for k, v in data.items() if k != "weights" or not isinstance(v, str)
        }
    return [_unplaced(one) for one in data] if isinstance(data, list) else data
