"""Near and far files that arrive apart: who waits for whom, and for how long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nearfar.clips.pairs import SIDES, Pairing, Recording, recordings, side_of
from nearfar.service.incoming import Stamp
from nearfar.sound import audio

_OTHER = {"near": "far", "far": "near", "ch1": "ch2", "ch2": "ch1", "tr1": "tr2", "tr2": "tr1"}
_MOST = 10_000  # halves told of, that are still waited for; a dead recorder gives one each clip


class Side(NamedTuple):
    """Which half of which recording a file is.

    >>> Side(("hall", "1"), "near", "1_far.wav", place="hall").end
    'near'
    """

    shared: tuple[str, str]  # the folder, and what both names have in common
    end: str  # near, far, ch1, …
    missing: str  # what the other half would be called
    place: str  # the folder that says whose recording it is
    alone: bool = False  # by its name it may be all there is: recorders call one microphone Tr1


class Half(NamedTuple):
    """A file that has waited long enough for its other half.

    >>> Half(Stamp("1_near.wav", 44, 0), "1_far.wav", "").missing
    '1_far.wav'
    """

    stamp: Stamp
    missing: str
    place: str


class Whole(NamedTuple):
    """A recording with all its files, or with a fault that no other file would mend.

    >>> Whole(Recording(Path("1.wav")), (), "hall").place
    'hall'
    """

    recording: Recording
    files: tuple[Stamp, ...]
    place: str


@dataclass
class _Waits:
    stamp: Stamp
    side: Side
    since: float
    known: bool  # from before this watch began
    told: bool


def sided(path: str, root: str, pair: Pairing | None = None) -> Side | None:
    """Which half a file is, by its name or by the folder it is in; None: a recording of its own.

    Args:
        path: of the file; whether its folder `ch1` has a folder `ch2` beside it is asked.
        root: the watched folder, whose own name says nothing.
        pair: how names pair, if not as recorders name them.

    >>> sided("in/hall/1_Tr1.wav", "in").missing, sided("in/near/1.wav", "in").missing
    ('in/hall/1_Tr2.wav', 'in/far/1.wav')
    """
    folder, name = os.path.split(path)
    if os.path.splitext(name)[1].lower() not in audio.SUFFIXES:
        return None
    own = os.path.basename(folder)
    if folder != root and (other := _OTHER.get(own.casefold())):
        above = os.path.dirname(folder)
        twin = _as_written(other, own)
        # ch1 alone may be anything, near alone is half a recording.
        if own.casefold() in ("near", "far") or os.path.isdir(os.path.join(above, twin)):
            family = "".join(sorted((own.casefold(), other)))
            return Side(
                (f"{above}//{family}", _bare(name)),
                own.casefold(),
                os.path.join(above, twin, name),
                above,
            )
    side = side_of(Path(path), pair)
    if side is None:
        return None
    missing, alone = _partner(name, side[1], pair), side[1] in ("tr1", "ch1") and pair is None
    return Side((folder, _bare(side[0])), side[1], os.path.join(folder, missing), folder, alone)


def _bare(name: str) -> str:
    """One half may be .wav and the other .WAV or .flac."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in audio.SUFFIXES else name


def _as_written(word: str, like: str) -> str:
    if word[-1].isdigit():
        return like[:-1] + word[-1]
    return word.upper() if like.isupper() else word.title() if like.istitle() else word


def _partner(name: str, end: str, pair: Pairing | None) -> str:
    if pair is not None and (found := pair.side(name)):
        return (pair.far if end == "near" else pair.near).replace("*", found[0])
    stem, suffix = os.path.splitext(name)
    cut = len(stem) - len(end)
    return stem[:cut] + _as_written(_OTHER.get(end, end), stem[cut:]) + suffix


class Partners:
    """Halves of recordings, until both are there.

    Args:
        patience: s; how long a half waits before it is told of. It waits on after that.
        pair: how names pair, if not as recorders name them.

    >>> partners = Partners(600.0)
    >>> near, far = (Stamp(f"in/1_{side}.wav", 44, 0) for side in ("near", "far"))
    >>> partners.take(near, sided(near.path, "in"), now=0.0)
    []
    >>> [len(whole.files) for whole in partners.take(far, sided(far.path, "in"), now=9.0)]
    [2]
    """

    def __init__(self, patience: float, pair: Pairing | None = None) -> None:
        self._patience, self._pair = patience, pair
        self._groups: dict[tuple[str, str], dict[str, _Waits]] = {}
        self._paired: set[str] = set()  # folders in which a pair has been seen

    @property
    def untold(self) -> int:
        """Halves that wait, without those that were told of; from any thread."""
        groups = list(self._groups.values())
        return sum(not waits.told for group in groups for waits in list(group.values()))

    def take(self, stamp: Stamp, side: Side, now: float, *, known: bool = False) -> list[Whole]:
        """A half that is complete → the recordings that are now.

        Args:
            stamp: of the file.
            side: which half it is.
            now: s, of a clock that never goes back.
            known: it was done with before; what only known files make is not given.
        """
        group = self._groups.setdefault(side.shared, {})
        group[stamp.path] = _Waits(stamp, side, now, known=known, told=known)
        ends = {waits.side.end for waits in group.values()}
        # Of more than two tracks nobody has said which are near and far.
        wholes = self._faulty(group) if ends - set(SIDES) else list(self._pairs(group))
        if not group:
            del self._groups[side.shared]
        return wholes

    def late(self, now: float) -> list[Half | Whole]:
        """Halves that have waited for `patience`, each once, and what may well be no half."""
        found: list[Half | Whole] = []
        for shared, group in list(self._groups.items()):
            for path, waits in list(group.items()):
                if waits.told or now - waits.since < self._patience:
                    continue
                if waits.side.alone and waits.side.place not in self._paired:
                    del group[path]
                    place = waits.side.place
                    found.append(Whole(Recording(Path(path)), (waits.stamp,), place))
                else:
                    waits.told = True
                    found.append(Half(waits.stamp, waits.side.missing, waits.side.place))
            if not group:
                del self._groups[shared]
        for shared in list(self._groups)[: max(0, len(self._groups) - _MOST)]:
            if all(waits.told for waits in self._groups[shared].values()):
                del self._groups[shared]
        return found

    def _pairs(self, group: dict[str, _Waits]) -> Iterator[Whole]:
        nears = [p for p, waits in group.items() if SIDES[waits.side.end] == "near"]
        for near in nears:
            waits = group[near]
            fars = [p for p, other in group.items() if SIDES[other.side.end] == "far"]
            # a.wav and a.flac may both be there; of two that could be meant the equal ending is.
            far = min(fars, key=lambda p: os.path.splitext(p)[1] != os.path.splitext(near)[1],
                      default=None)  # fmt: skip
            if far is None:
                return
            both = (group.pop(near), group.pop(far))
            self._paired.add(waits.side.place)
            if not all(waits.known for waits in both):
                yield Whole(Recording(Path(near), Path(far)), tuple(w.stamp for w in both),
                            waits.side.place)  # fmt: skip

    def _faulty(self, group: dict[str, _Waits]) -> list[Whole]:
        found = recordings(map(Path, group), self._pair)
        wholes = [
            Whole(one, (waits.stamp,), waits.side.place)
            for one in found
            if (waits := group.get(str(one.path))) is not None
        ]
        group.clear()
        return wholes
