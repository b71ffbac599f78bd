"""The highest-scoring clips, each with what explains it and as many sounds as a page bears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nearfar.detector.explanation.explanation import Explanation
from nearfar.report.contents import Contents
from nearfar.report.explained import moves_of
from nearfar.report.sounds import SOUNDS, Track, common_gain, url
from nearfar.runtime.runtime import Runtime
from nearfar.scores.verdict import Verdict
from nearfar.sound.audio import SAMPLE_RATE

if TYPE_CHECKING:
    import os

    from nearfar.detector.explanation.explanation import Sound
    from nearfar.detector.explanation.themes import Theme

EXPLAINED = 2  # clips of a machine that are explained, highest first
MOST = 40  # of all machines; a plant of hundreds is listed whole, but not explained whole
MOVED = 4  # movements named
SECONDS = 10.0  # of a sound; the rest of a longer one is left out
BYTES = 10_000_000  # of all sounds as the page has them: it shall stay below 15 MB
# With near and a normal clip an ear can tell, so these come first where not all find room.
FIRST = ("near", "normal", "far", "heard")


@dataclass(frozen=True, eq=False)
class Card:
    """One clip explained.

    >>> from pathlib import Path
    >>> from nearfar.clips import Clip
    >>> verdict = Verdict(Clip(Path("a.wav")), 1.0, 0.9, 2.0, "b.wav")
    >>> Card("fan", verdict, Explanation(verdict), ()).moves
    []
    """

    machine: str  # and section, as people call it
    verdict: Verdict
    explanation: Explanation
    tracks: tuple[Track, ...]
    left_out: tuple[str, ...] = ()  # names of sounds that found no room
    cut: bool = False  # to `SECONDS`
    raised: bool = False  # the first lasting alarm

    @property
    def moves(self) -> list[tuple[Theme, float]]:
        """What moved most, each with its share of d², 0–1."""
        return moves_of(self.explanation, MOVED)


def explained(
    contents: Contents,
    runtime: Runtime,
    *,
    each: int = EXPLAINED,
    normals: str | os.PathLike[str] | None = None,
) -> tuple[Card, ...]:
    """Explain what raised the first lasting alarm of each machine, and its highest clips.

    Args:
        contents: of the report.
        runtime: how to compute.
        each: how many of a machine; at most those that are listed.
        normals: where the recordings of normal clips are; else they are looked for.

    Returns:
        Machine by machine, what raised the alarm first and then the highest; at most `MOST`, those
        first of each machine and alarms before the others.
    """
    detector = contents.judged.detector
    alone = replace(runtime, workers=1, progress=None)  # of one clip no process is made
    raised = {panel.name: panel.raised for panel in contents.panels}
    todo = _chosen([
        (name, v) for name, mine in contents.top.items() for v in _told(mine, raised[name])[:each]
    ])  # fmt: skip
    found = []
    for n, (name, verdict) in enumerate(todo, 1):
        # Regions would have each clip heard eighty times: `nearfar explain` has them.
        why = detector.explain(verdict.clip, alone, normals=normals, regions=False)
        # The verdict of the run: thresholds by domain go by what the clip said then.
        found.append((name, verdict, why))
        if runtime.progress is not None:
            runtime.progress("explaining", n, len(todo))
    voiced = _voiced([why for _, _, why in found], _ranks([name for name, _, _ in found]))
    return tuple(
        Card(
            name, verdict, why, tuple(tracks.values()), tuple(silent), cut, verdict is raised[name]
        )
        for (name, verdict, why), (tracks, silent, cut) in zip(found, voiced, strict=True)
    )


def _told(highest: Sequence[Verdict], raised: Verdict | None) -> list[Verdict]:
    """A machine's clips in the order in which they are worth explaining."""
    first = [] if raised is None else [raised]
    return first + [v for v in highest if v is not raised]


def _chosen(asked: Sequence[tuple[str, Verdict]]) -> list[tuple[str, Verdict]]:
    """At most `MOST` of them, in their order."""
    ranks = _ranks([name for name, _ in asked])
    first = sorted(range(len(asked)), key=lambda i: (ranks[i], not asked[i][1].anomalous))
    return [asked[i] for i in sorted(first[:MOST])]


def sounds_of(why: Explanation) -> dict[str, Sound]:
    """What can be played of a clip, by the names of `SOUNDS`, in their order."""
    known = {"near": why.near, "far": why.far, "heard": why.heard,
             "normal": why.normal.near if why.normal else None}  # fmt: skip
    return {name: sound for name in SOUNDS if (sound := known[name]) is not None}


def _ranks(machines: Sequence[str]) -> list[int]:
    """How many of its machine come before each."""
    return [machines[:i].count(name) for i, name in enumerate(machines)]


Voice = tuple[dict[str, Track], list[str], bool]


def _voiced(whys: Sequence[Explanation], ranks: Sequence[int]) -> list[Voice]:
    """The sounds of each, in the order of `FIRST` and of ranks, until the page is full."""
    sounds = [sounds_of(why) for why in whys]
    gains = [common_gain(list(mine.values())) for mine in sounds]
    made: list[Voice] = [({}, [], _long(mine)) for mine in sounds]
    room = BYTES
    for name, i in _turns(sounds, ranks):
        sound = (gains[i] * sounds[i][name])[: round(SECONDS * SAMPLE_RATE)]
        text = url(sound)
        tracks, silent, _ = made[i]
        if len(text) > room:
            silent.append(SOUNDS[name])
            continue
        room -= len(text)
        tracks[name] = Track(name, SOUNDS[name], text, len(sound) / SAMPLE_RATE)
    # Found room in the order of worth; the buttons stand as on every page.
    return [
        ({name: tracks[name] for name in SOUNDS if name in tracks}, silent, cut)
        for tracks, silent, cut in made
    ]


def _turns(
    sounds: Sequence[Mapping[str, Sound]], ranks: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """Whose sound has its turn: of all clips the first kind, of the highest clips first."""
    for name in FIRST:
        for i in sorted(range(len(sounds)), key=ranks.__getitem__):
            if name in sounds[i]:
                yield name, i


def _long(sounds: Mapping[str, Sound]) -> bool:
    return any(len(sound) > SECONDS * SAMPLE_RATE for sound in sounds.values())
