"""Which clips of a machine stand out from the others, and why: one judgement for all commands.

It is made of plain numbers of clips. What is found by scores, `by_score`, is given them by whoever
has a system; the rest needs no more than a look. Thresholds are those of the issue, or of physics,
or were chosen on normal clips alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.clips import Clip
from nearfar.health.kinds import KINDS
from nearfar.sound.look import Look
from nearfar.text import lasting

RATIO = 10.0  # dB from the median near/far ratio; a few dB are weather, ten are another place
# Swapped channels turn the sign: at +4 dB they are no more than 8 dB off.
TURNED, TURNED_MADS = 6.0, 8.0  # dB, and MAD, from the median, with the other sign
QUIET = -3.0  # dB near over far on the mean, below which one may be taken for the other
FLOOR = -90.0  # dBFS; ±1 of 16 bits is −90.3
TWICE_COHERENCE, TWICE_CORRELATION = 0.99, 0.999  # from which two channels are one
CLIPPED = 0.001  # share of samples on a flat top
CLIPPED_FROM = -60.0  # dBFS; in a quieter clip the steps of 16 bits are flat tops
ZEROS = 0.02  # share of exact zeros, above what the level and the machine's other clips explain
OFF = 10.0  # dB between clips of a machine that is on and off, or disturbed
LENGTH = 0.05  # share by which a length is one of its own
USUAL = 0.8  # share of clips that agree, from which the others' length or rate is their own
FEWEST = 5  # clips from which there is a median to be far from
LAG, DRIFT = 30.0, 20.0  # ms; 30 ms are ten metres of air
NAMED = 10  # clips named in a line
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Suspect:
    """One clip that stands out in one way.

    >>> from pathlib import Path
    >>> Suspect(Clip(Path("c03.wav"), machine="pump"), "ratio", "-8.7 dB").kind
    'ratio'
    """

    clip: Clip
    kind: str  # one of `KINDS`
    value: str  # the number that tells, with its unit; "" if there is none
    usual: str = ""  # the same of the machine's other clips
    alone: bool = True  # False where most clips of the machine are so: nothing to leave out

    def as_dict(self) -> dict[str, str]:
        """A flat row for JSON."""
        return {
            "machine": self.clip.machine, "clip": self.clip.name, "file": str(self.clip.path),
            "kind": self.kind, "value": self.value, "usual": self.usual,
            "says": KINDS[self.kind].format(usual=self.usual),
        }  # fmt: skip


def by_look(heard: Sequence[tuple[Clip, Look]]) -> list[Suspect]:
    """Suspects among clips of one machine and section, by what each is like.

    Args:
        heard: clips and their looks, in any order.

    Returns:
        Kind by kind, clips in the order given. A domain, attribute or session that differs as a
        whole is no suspect: conditions may change.
    """
    found: list[Suspect] = []
    for rule in _RULES if heard else ():
        found += rule(heard)
    return found


def by_recording(heard: Sequence[tuple[Clip, Look]]) -> list[Suspect]:
    """Suspects by faults of the recording alone, which no comparison with others finds.

    So it is fair to test clips: an anomaly differs from normal clips by right, not by a dead
    microphone.

    Args:
        heard: as in `by_look`.
    """
    return [suspect for rule in _ALONE for suspect in rule(heard)] if heard else []


def by_score(clips: Sequence[Clip], flagged: Mask, scores: Values, usual: float) -> list[Suspect]:
    """Suspects among clips of one machine, by scores that a system gave them.

    Args:
        clips: (n,).
        flagged: (n,) those whose score is far above the others'.
        scores: (n,) of each clip by a bank that was made without it.
        usual: their median.
    """
    return [
        Suspect(clips[i], "score", f"×{scores[i] / usual:.3g}" if usual > 0 else "")
        for i in _places(unexplained(clips, flagged))
    ]


def unexplained(clips: Sequence[Clip], flagged: Mask) -> Mask:
    """Those of the flagged clips that share no condition with others of their kind.

    A clip is explained where half of the clips that have its attributes, its recording or its
    folder are flagged too: then they are the condition, as target clips are a domain.

    Args:
        clips: (n,).
        flagged: (n,).
    """
    left = flagged.copy()
    for label in (_attributes, _recording, _folder):
        labels = [label(clip) for clip in clips]
        counts = Counter(labels)
        if not 1 < len(counts) <= len(clips) / 2:  # one for all, or for each: tells nothing
            continue
        hit = Counter(name for name, flag in zip(labels, flagged, strict=True) if flag)
        left &= np.array([hit[name] < 0.5 * counts[name] for name in labels])
    return left


def comparable(clips: Sequence[Clip]) -> list[NDArray[np.int64]]:
    """Places of clips that may be compared: of one domain, with enough of them for a median."""
    domains = np.array([clip.domain == "target" for clip in clips], dtype=np.bool_)
    groups = (np.flatnonzero(domains == side) for side in (False, True))
    return [group for group in groups if len(group) >= FEWEST]


def lines(suspects: Sequence[Suspect], counts: Mapping[str, int]) -> dict[tuple[str, str], str]:
    """(machine, kind) → one line that names clips; `counts`: clips of each machine."""
    groups: dict[tuple[str, str], list[Suspect]] = {}
    for suspect in suspects:
        groups.setdefault((suspect.clip.machine, suspect.kind), []).append(suspect)
    return {key: _line(*key, group, counts) for key, group in groups.items()}


def turned(ratios: Mapping[str, float]) -> list[str]:
    """Machines whose far microphone hears more than the near one; machine → near over far, dB.

    >>> len(turned({"fan": -2.9, "pump": -3.1})), turned({"saw": float("nan")})
    (1, [])
    """
    return [
        f"{machine}: near is {-ratio:.1f} dB quieter than far, mean over frequencies; if far is "
        "the first channel say --channel-order far-near"
        for machine, ratio in ratios.items()
        if ratio < QUIET
    ]


def shown(group: Sequence[Suspect], *, everything: bool = False) -> list[str]:
    """Those of a machine and kind that a line has room for, or all, by name: file and number."""
    named: list[str] = []
    for suspect in sorted(group, key=lambda one: one.clip.name):
        if not everything and (len(named) == NAMED or sum(map(len, named)) > 260):
            break  # a line is read whole, or not at all
        named.append(suspect.clip.file + (f" {suspect.value}" if suspect.value else ""))
    return named


def between(named: Sequence[str]) -> str:
    """What stands between them, and in none of them: copies have a comma in theirs."""
    return "; " if any(", " in one for one in named) else ", "


def _line(machine: str, kind: str, group: Sequence[Suspect], counts: Mapping[str, int]) -> str:
    named = shown(group)
    more = f" and {len(group) - len(named)} more" if len(group) > len(named) else ""
    says = KINDS[kind].format(usual=group[0].usual)
    total = counts.get(machine, len(group))
    return f"{machine}: {len(group)} of {total} clips: {says} ({between(named).join(named)}{more})"


def _places(flagged: Mask) -> list[int]:
    places: list[int] = np.flatnonzero(flagged).tolist()
    return places


# ---- the rules -----------------------------------------------------------------------------------
Heard = Sequence[tuple[Clip, Look]]


def _ratio(heard: Heard) -> list[Suspect]:
    clips, ratios = [c for c, _ in heard], np.array([w.ratio for _, w in heard], dtype=np.float64)
    flagged, medians = np.zeros(len(heard), dtype=np.bool_), np.zeros(len(heard))
    for group in comparable(clips):
        group = group[np.isfinite(ratios[group])]
        if len(group) >= FEWEST:
            medians[group] = usual = np.median(ratios[group])
            off = np.abs(ratios[group] - usual)
            turned = (ratios[group] * usual < 0) & (off > TURNED_MADS * np.median(off))
            flagged[group] = (off > RATIO) | (turned & (off > TURNED))
    return [
        Suspect(clips[i], "ratio", f"{ratios[i]:+.1f} dB", f"{medians[i]:+.1f} dB")
        for i in _places(unexplained(clips, flagged))
    ]


def _floor(place: int) -> Callable[[Heard], list[Suspect]]:
    def rule(heard: Heard) -> list[Suspect]:
        return _absolute(
            heard,
            ("near floor", "far floor")[place],
            lambda what: len(what.levels) > place and what.levels[place] <= FLOOR,
            lambda what: f"{what.levels[place]:.0f} dBFS",
        )

    return rule


def _twice(heard: Heard) -> list[Suspect]:
    return _absolute(heard, "twice", is_twice, lambda what: f"LR_corr {what.lr_corr:.3f}")


def is_twice(what: Look) -> bool:
    """Whether both channels are one signal, up to gain, sign or a little noise.

    >>> is_twice(Look(1.0, (-20.0, -26.0), lr_corr=-1.0)), is_twice(Look(1.0, (-20.0, -26.0)))
    (True, False)
    """
    if len(what.levels) < 2 or min(what.levels) <= FLOOR:  # a floor is no copy
        return False
    return abs(what.lr_corr) >= TWICE_CORRELATION or what.coherence >= TWICE_COHERENCE


def _clipped(heard: Heard) -> list[Suspect]:
    return _absolute(
        heard,
        "clipped",
        lambda what: any(
            share >= CLIPPED and level > CLIPPED_FROM
            for share, level in zip(what.clipped, what.levels, strict=False)
        ),
        lambda what: f"{100 * max(what.clipped):.1f} %",
    )


def _zeros(heard: Heard) -> list[Suspect]:
    known = [w for _, w in heard if w.zeros]
    usual = float(np.median([max(w.zeros) for w in known])) if known else 0.0
    return _absolute(
        heard,
        "zeros",
        lambda what: _lost(what, usual),
        lambda what: f"{100 * max(what.zeros):.0f} %",
    )


def _lost(what: Look, usual: float) -> bool:
    """Whether a channel has more zeros than its level, and all clips of its machine, explain.

    `usual` is their median; most clips padded with silence still are padded.
    """
    return any(
        level > FLOOR
        and share > ZEROS + 3 * _chance(level)
        and (share > ZEROS + usual or share > 10 * ZEROS + 3 * _chance(level))
        for share, level in zip(what.zeros, what.levels, strict=False)
    )


def _chance(level: float) -> float:
    """Share of zeros among 16-bit samples of noise at that level."""
    return math.erf(0.5 / (32_768 * 10 ** (level / 20)) / math.sqrt(2))


def _level(heard: Heard) -> list[Suspect]:
    """Groups of level other than the largest: quieter, the machine was off; louder, disturbed."""
    clips, levels = [c for c, _ in heard], np.array([w.levels[0] for _, w in heard])
    usual: dict[int, str] = {}  # by place
    flagged = {kind: np.zeros(len(clips), dtype=np.bool_) for kind in ("off", "loud")}
    for group in comparable(clips):
        live = group[levels[group] > FLOOR]  # what is below it has a line of its own
        if len(live) < FEWEST:
            continue
        live = live[np.argsort(levels[live], kind="stable")]
        parts = np.split(live, np.flatnonzero(np.diff(levels[live]) >= OFF) + 1)
        # Of equal groups the louder: a machine that runs is what a detector is to learn.
        main = max(range(len(parts)), key=lambda k: (len(parts[k]), k))
        ends = dict.fromkeys(f"{levels[i]:.0f}" for i in (parts[main][0], parts[main][-1]))
        for k, part in enumerate(parts):
            if k != main:
                flagged["off" if k < main else "loud"][part] = True
                usual.update(dict.fromkeys(part.tolist(), f"{' to '.join(ends)} dBFS"))
    alone = len(usual) <= len(clips) / 2
    return [
        Suspect(clips[i], kind, f"{levels[i]:.0f} dBFS", usual[i], alone=alone)
        for kind, mask in flagged.items()
        for i in _places(unexplained(clips, mask))
    ]


def _length(heard: Heard) -> list[Suspect]:
    return _own(heard, "length", LENGTH, lambda what: what.seconds, lasting)


def _rate(heard: Heard) -> list[Suspect]:
    return _own(heard, "rate", 0.0, lambda what: what.sample_rate, lambda rate: f"{rate:.0f} Hz")


def _own(
    heard: Heard,
    kind: str,
    margin: float,
    number: Callable[[Look], float],
    text: Callable[[float], str],
) -> list[Suspect]:
    """Clips whose number is another, by more than that share, than nearly all of their domain."""
    clips = [clip for clip, _ in heard]
    values = np.array([number(what) for _, what in heard], dtype=np.float64)
    flagged, medians = np.zeros(len(heard), dtype=np.bool_), np.zeros(len(heard))
    for group in comparable(clips):
        medians[group] = usual = np.median(values[group])
        other = np.abs(values[group] - usual) > margin * usual
        # Where lengths vary anyway none of them is anything special.
        if np.mean(~other) >= USUAL:
            flagged[group] = other & (values[group] > 0)
    return [
        Suspect(clips[i], kind, text(values[i]), text(medians[i]))
        for i in _places(unexplained(clips, flagged))
    ]


def _lag(heard: Heard) -> list[Suspect]:
    return _absolute(
        heard,
        "lag",
        lambda what: what.lag is not None and abs(what.lag.ms) > LAG,
        lambda what: f"{what.lag.ms:+.0f} ms" if what.lag else "",
    )


def _drift(heard: Heard) -> list[Suspect]:
    """Of recordings, not of clips: parts of one lie on one line of lag over time."""
    found: list[Suspect] = []
    parts: dict[str, list[tuple[Clip, Look]]] = {}
    for clip, what in heard:
        if what.lag is not None:
            parts.setdefault(str(clip.path), []).append((clip, what))
    for group in parts.values():
        group.sort(key=lambda pair: pair[0].start)
        ppm, seconds = drift_of(group)
        if abs(ppm) * seconds / 1000 > DRIFT:
            value = f"{ppm:+.0f} ppm, {ppm * seconds / 1000:+.0f} ms in {seconds:.0f} s"
            found.append(Suspect(group[0][0], "drift", value, alone=False))
    return found


def drift_of(parts: Sequence[tuple[Clip, Look]]) -> tuple[float, float]:
    """Drift of one recording in ppm (nan if unknown) and how long it is, s.

    Args:
        parts: its clips in the order of time.
    """
    lags: list[tuple[float, float]] = []  # s, ms
    for clip, what in parts:
        if what.lag is not None:
            lags += [(clip.start, what.lag.begin), (clip.start + what.lag.apart, what.lag.end)]
    known = [(at, lag) for at, lag in lags if math.isfinite(lag)]
    seconds = parts[-1][0].start + parts[-1][1].seconds - parts[0][0].start
    slopes = [(b - a) / (t - s) for s, a in known for t, b in known if t - s >= 1.0]
    # The median of all slopes: one lag that was read wrongly bends no line.
    return (float(np.median(slopes)) * 1000 if slopes else float("nan")), seconds


def _absolute(
    heard: Heard, kind: str, ill: Callable[[Look], bool], text: Callable[[Look], str]
) -> list[Suspect]:
    """Clips that are ill whatever the others are."""
    found = [(clip, what) for clip, what in heard if ill(what)]
    alone = len(found) <= len(heard) / 2  # a machine of nothing else would be left with no clip
    return [Suspect(clip, kind, text(what), alone=alone) for clip, what in found]


_ALONE: tuple[Callable[[Heard], list[Suspect]], ...] = (
    _floor(0), _floor(1), _twice, _clipped, _zeros, _lag, _drift,
)  # fmt: skip
_RULES: tuple[Callable[[Heard], list[Suspect]], ...] = (
    _ratio, _floor(0), _floor(1), _twice, _clipped, _zeros, _level, _length, _rate, _lag, _drift,
)  # fmt: skip


def _attributes(clip: Clip) -> str:
    return clip.attributes.casefold()


def _recording(clip: Clip) -> str:
    return str(clip.path)


def _folder(clip: Clip) -> str:
    return str(clip.path.parent)
