"""What the recordings themselves are like, machine by machine: data health beside the verdicts.

Nearly all of it was measured while the clips were heard. Only the mask is looked at anew, on a few
clips spread over each machine's, and the page says on how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nearfar.clips.clip import Clip
from nearfar.errors import AudioError
from nearfar.frontend import CoherenceMask
from nearfar.health.inspect import ClipStatistics, clip_statistics
from nearfar.health.suspects import by_look, lines
from nearfar.report.judged import Judged, Key
from nearfar.sound.audio import ChannelOrder
from nearfar.sound.look import Look
from nearfar.text import alike

SAMPLED = 8  # clips of a machine whose mask is looked at
MOST = 96  # of all machines: about ten seconds of work
# Of new recordings loud or quiet ones may be what is looked for; the others are faults of sensors.
_SENSORS = ("ratio", "near floor", "far floor", "twice", "clipped", "zeros", "length", "rate",
            "lag", "drift")  # fmt: skip


@dataclass(frozen=True)
class MaskFigures:
    """What the coherence mask does to some clips, means over them.

    >>> MaskFigures(clips=8, mean=0.7, floor=0.2, coherence=0.5).clips
    8
    """

    clips: int
    mean: float  # of the mask, 0–1
    floor: float  # share of it at its floor, 0–1
    coherence: float  # γ, 0–1


@dataclass(frozen=True)
class MachineCondition:
    """One machine's recordings; numbers are medians over clips, nan where nobody knows.

    >>> condition("fan", [], 0, 0).rates
    {}
    """

    machine: str
    clips: int  # asked about
    silent: int  # of them not judged
    shortest: float  # s
    longest: float
    rates: Mapping[int, int]  # Hz → clips
    near: float  # dBFS
    far: float
    ratio: float  # near over far, dB
    correlation: float  # LR_corr, −1 to 1
    coherence: float  # γ², 0–1
    clipped: int  # clips with samples on a flat top
    mask: MaskFigures | None = None


@dataclass(frozen=True)
class Health:
    """All machines, and what deserves a look.

    >>> Health((), suspects=(), doubts=(), refused=()).refused
    ()
    """

    machines: tuple[MachineCondition, ...]
    suspects: tuple[str, ...]  # lines: clips that stand out by their sensors
    doubts: tuple[str, ...]  # lines: verdicts that a warning came with
    refused: tuple[str, ...]  # lines: clips that were not judged, and why


def examine(judged: Judged) -> Health:
    """Look at the recordings of a run."""
    looks: dict[Key, list[tuple[Clip, Look]]] = {}
    for clip, what in judged.heard:
        if what.look is not None:
            looks.setdefault((clip.machine, clip.section), []).append((clip, what.look))
    asked = Counter(v.clip.machine for v in judged.scores)
    silent = Counter(v.clip.machine for v in judged.scores if not v.judged)
    share = max(1, min(SAMPLED, MOST // max(1, len(judged.machines))))
    machines = []
    for machine in judged.machines:
        mine = [pair for key, pairs in looks.items() if key[0] == machine for pair in pairs]
        masked = mask_figures(judged, [clip for clip, _ in mine], share)
        machines.append(condition(machine, [look for _, look in mine], asked[machine],
                                  silent[machine], masked))  # fmt: skip
    found = [s for pairs in looks.values() for s in by_look(pairs) if s.kind in _SENSORS]
    return Health(
        tuple(machines), tuple(lines(found, asked).values()), told(judged, of_judged=True),
        told(judged, of_judged=False),
    )  # fmt: skip


def told(judged: Judged, *, of_judged: bool) -> tuple[str, ...]:
    """What warnings of verdicts say, alike ones in one line."""
    said = {
        f"{v.clip.name}: {v.warning}": v.clip.name
        for v in judged.scores
        if v.warning and v.judged == of_judged
    }
    return tuple(alike(said, said))


def condition(
    machine: str,
    looks: Sequence[Look],
    asked: int,
    silent: int,
    mask: MaskFigures | None = None,
) -> MachineCondition:
    """One machine's numbers of what its clips were like when they were heard."""
    seconds = [look.seconds for look in looks]
    rates = Counter(look.sample_rate for look in looks if look.sample_rate)
    return MachineCondition(
        machine, asked, silent, min(seconds, default=np.nan), max(seconds, default=np.nan),
        dict(sorted(rates.items())),
        near=_median([look.levels[0] for look in looks]),
        far=_median([look.levels[1] for look in looks if len(look.levels) > 1]),
        ratio=_median([look.ratio for look in looks]),
        correlation=_median([look.lr_corr for look in looks]),
        coherence=_median([look.coherence for look in looks]),
        clipped=sum(max(look.clipped, default=0.0) > 0 for look in looks),
        mask=mask,
    )  # fmt: skip


def mask_figures(judged: Judged, clips: Sequence[Clip], most: int) -> MaskFigures | None:
    """What the mask does to a few clips, evenly spread; None where there is one channel only."""
    fronts = [member.frontend for member in judged.detector.system.members]
    # The system's own mask, if it hears through one; else the report's.
    mask = next((f for f in fronts if isinstance(f, CoherenceMask)), CoherenceMask())
    if judged.channels < 2 or not clips:
        return None
    places = np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).astype(int))
    seen = (_statistics(clips[i], judged.detector.order, mask) for i in places)
    if not (known := [s for s in seen if s is not None and np.isfinite(s.mask)]):
        return None
    means = (
        float(np.mean([getattr(s, f) for s in known])) for f in ("mask", "at_floor", "coherence")
    )
    return MaskFigures(len(known), *means)


def _statistics(clip: Clip, order: ChannelOrder, mask: CoherenceMask) -> ClipStatistics | None:
    """A clip's numbers; None of one that was there when it was scored, and is not now."""
    # A few stand for many here, and the page says for how many: one less is no gap.
    try:
        return clip_statistics(clip.read(order), mask=mask, name=clip.name)
    except AudioError:
        return None


def _median(values: Sequence[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.median(finite)) if finite else float("nan")
