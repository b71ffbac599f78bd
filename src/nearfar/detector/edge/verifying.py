"""Does an exported detector say what the detector says? Both judge the same sounds.

In fp32 every verdict must be equal and every score agree to `RELATIVE`: that is rounding. In int8
the encoder itself is another, a little, so verdicts and Ω are held to bounds instead.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.collection import by_section
from nearfar.detector.detector import Detector, load
from nearfar.detector.edge.exported import ExportRecord, Proof
from nearfar.detector.edge.probes import Probe
from nearfar.detector.folder.index import seal
from nearfar.detector.section import Judge
from nearfar.embedding.jobs import Heard, describe
from nearfar.embedding.rows import embed_audio
from nearfar.errors import DatasetError, FormatError, SettingError
from nearfar.metrics.official import evaluate
from nearfar.runtime.runtime import Runtime, runtime_of
from nearfar.runtime.threads import one_thread
from nearfar.scores.verdict import Scores, Verdict
from nearfar.scoring.calibrate import Percentile
from nearfar.sound.look import look
from nearfar.text import counted, number

RELATIVE = 1e-4  # of a score in fp32: about 1,000 times the last digit of an encoder's numbers
# Of int8: one verdict of fifty may turn, near the threshold, where a clip is doubtful anyway; and
# Ω may move by less than chance moves it on a few hundred clips.
SHARE_EQUAL = 0.98
OMEGA_APART = 0.01
WORST = 3  # clips that a failure names
SCHEMA = 1  # of the JSON; raised when a program that reads it could err


@dataclass(frozen=True)
class Pair:
    """One sound, as the two detectors judge it.

    >>> from dataclasses import replace
    >>> said = Verdict(Clip(Path("a.wav")), 1.0, 1.0, threshold=0.9, nearest="b.wav")
    >>> Pair(said, replace(said, score=1.00001), unit=0.5).difference < RELATIVE
    True
    """

    before: Verdict  # the detector's
    after: Verdict  # the exported one's
    unit: float  # a usual score of the section: what is smaller is held against this one
    steps: tuple[float, ...] = ()  # of each member whose scores go in steps: one is no difference
    # Of each such member both distances and a usual one, for steps hide what is smaller.
    distances: tuple[tuple[float, float, float], ...] = ()

    @property
    def equal(self) -> bool:
        """Is the decision the same?"""
        return self.before.anomalous == self.after.anomalous

    @property
    def difference(self) -> float:
        """Relative, of the scores, or of distances behind them; infinite where one is no number."""
        return max(self._of_scores, *(_relative(*one) for one in self.distances), 0.0)

    @property
    def _of_scores(self) -> float:
        said, says = self.before.score, self.after.score
        # A score that lies on the edge of a step is on the other side by rounding alone.
        turns = product(*((-step, 0.0, step) for step in self.steps))
        return min(_relative(said + sum(turn), says, self.unit) for turn in turns)

    @property
    def told(self) -> str:
        """A line for people."""
        turned = "" if self.equal else f", threshold {number(self.before.threshold, 4)}"
        scores = f"{number(self.before.score, 6)} and {number(self.after.score, 6)}"
        far = max(self.distances, key=lambda one: _relative(*one), default=None)
        if far is not None and _relative(*far) > self._of_scores:
            scores += ", distances {} and {}".format(*(number(one, 6) for one in far[:2]))
        return f"{self.before.clip.name}: {scores}{turned}"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "machine": self.before.clip.machine,
            "section": self.before.clip.section,
            "clip": self.before.clip.name,
            "before": _finite(self.before.score),
            "after": _finite(self.after.score),
            "threshold": self.before.threshold,
            "equal": self.equal,
            "difference": _finite(self.difference),
        }


@dataclass(frozen=True)
class Verification:
    """What two detectors say of the same sounds, and whether that is near enough.

    Args:
        exported: how the second one was made.
        pairs: a sound each.
        sounds: "given", "normals" or "made".
        omega: Ω of both, where labels of both kinds are there.

    >>> made = ExportRecord("9f86", "fp32", None, "1.0", "2026-11-30T12:00:00+00:00")
    >>> from dataclasses import replace
    >>> said = Verdict(Clip(Path("a.wav")), 0.9, 1.0, threshold=0.8, nearest="b.wav")
    >>> Verification(made, (Pair(said, replace(said, score=0.7), unit=1.0),), "given").faults[0]
    'verdicts: 0 of 1 equal, need all; a.wav: 0.900000 and 0.700000, threshold 0.8000'
    """

    exported: ExportRecord
    pairs: tuple[Pair, ...]
    sounds: str
    omega: tuple[float, float] | None = None

    @property
    def passed(self) -> bool:
        """Is it near enough?"""
        return not self.faults

    @property
    def proof(self) -> Proof:
        """For the index."""
        return Proof(self.sounds, len(self.pairs), self._equal, self.largest, self.omega)

    @cached_property
    def largest(self) -> float:
        """The largest relative difference of two scores."""
        return max((pair.difference for pair in self.pairs), default=0.0)

    @property
    def _equal(self) -> int:
        return sum(pair.equal for pair in self.pairs)

    @cached_property
    def faults(self) -> tuple[str, ...]:
        """What is not near enough, a line for each kind, with the worst clips; () if all is."""
        kinds = self._int8() if self.exported.precision == "int8" else self._fp32()
        return tuple(line for line in kinds if line)

    @property
    def bounds(self) -> str:
        """What was asked for, for people."""
        if self.exported.precision == "int8":
            return f"at least {SHARE_EQUAL:.0%} of verdicts equal, Ω within {OMEGA_APART}"
        return f"all verdicts equal, scores within {RELATIVE:g} of each other"

    @property
    def told(self) -> str:
        """What was found, for people."""
        omega = "" if self.omega is None else ", Ω {:.4f} and {:.4f}".format(*self.omega)
        return (
            f"{self._equal} of {counted(len(self.pairs), 'verdict')} equal, scores apart by "
            f"{self.largest:.2g} at most{omega}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "schema": SCHEMA,
            "precision": self.exported.precision,
            "opset": self.exported.opset,
            "passed": self.passed,
            "sounds": self.sounds,
            "clips": len(self.pairs),
            "equal": self._equal,
            "difference": _finite(self.largest),
            "omega": None if self.omega is None else list(self.omega),
            "bounds": {
                "difference": RELATIVE if self.exported.precision == "fp32" else None,
                "share_equal": 1.0 if self.exported.precision == "fp32" else SHARE_EQUAL,
                "omega": None if self.exported.precision == "fp32" else OMEGA_APART,
            },
            "faults": list(self.faults),
            "rows": [pair.as_dict() for pair in self.pairs],
        }

    def _fp32(self) -> tuple[str, ...]:
        return self._turned(1.0, "all"), self._apart()

    def _int8(self) -> tuple[str, ...]:
        return self._turned(SHARE_EQUAL, f"{SHARE_EQUAL:.0%}"), self._other_omega()

    def _turned(self, share: float, need: str) -> str:
        if self._equal >= share * len(self.pairs):
            return ""
        worst = self._named([pair for pair in self.pairs if not pair.equal])
        total = len(self.pairs)
        return f"verdicts: {self._equal} of {total} equal, need {need}; {worst}"

    def _apart(self) -> str:
        far = [pair for pair in self.pairs if pair.difference > RELATIVE]
        if not far:
            return ""
        of = len(self.pairs)
        return (
            f"scores: {len(far)} of {of} more than {RELATIVE:g} apart, the farthest "
            f"{self.largest:.2g}; {self._named(far)}"
        )

    def _other_omega(self) -> str:
        if self.omega is None or abs(self.omega[0] - self.omega[1]) <= OMEGA_APART:
            return ""
        before, after = self.omega
        return f"Ω: {before:.4f} and {after:.4f}, need it within {OMEGA_APART}"

    def _named(self, pairs: Sequence[Pair]) -> str:
        """The worst of them, by name."""
        worst = sorted(pairs, key=lambda pair: -pair.difference)
        more = f"; and {len(worst) - WORST} more" if len(worst) > WORST else ""
        return "; ".join(pair.told for pair in worst[:WORST]) + more


def verify(
    folder: str | os.PathLike[str],
    against: str | os.PathLike[str],
    clips: Sequence[Clip],
    runtime: Runtime | None = None,
    *,
    types: Sequence[type] = (),
    weights: Sequence[str] = (),
    machine: str | None = None,
    section: str | None = None,
) -> Verification:
    """Let an exported detector and the one that it was made of judge the same clips.

    Args:
        folder: of the exported one.
        against: of the other.
        clips: new recordings; best some that are normal and some that are not, with labels.
        runtime: how to compute.
        types: classes of parts that are not ours.
        weights: where the encoders of `against` lie, if not where they were.
        machine, section: as in `Detector.score`.

    Raises:
        FormatError: a folder that was not exported, or not from `against` as it is now.
        DatasetError: no clips.
        What `load` and `score` raise.
    """
    edge, full = Path(folder), Path(against)
    after = exported_from(full, edge, types)
    before = load(full, types, weights)
    if not len(clips):
        raise DatasetError(f"no clips to verify {edge} with; give some recordings")
    return compared(before, after, clips, runtime, machine=machine, section=section)


def exported_from(full: Path, edge: Path, types: Sequence[type] = ()) -> Detector:
    """The exported detector, sure to be that of another one; of both only the index is read.

    Raises:
        SettingError: one folder is given for both.
        FormatError: what was not exported, or from another detector, or is none.
    """
    if edge.resolve() == full.resolve():
        raise SettingError(f"{edge}: is the detector itself; name the exported one first")
    after = load(edge, types, late=True)
    if after.exported is None:
        raise FormatError(f"{edge}: was not exported; nearfar export {full} -o FOLDER makes one")
    if after.exported.source != seal(full):
        raise FormatError(
            f"{edge}: was exported from another detector than {full}, or from what that was before "
            "it learnt or was changed; export it again"
        )
    return after


def compared(
    before: Detector,
    after: Detector,
    clips: Sequence[Clip],
    runtime: Runtime | None = None,
    *,
    machine: str | None = None,
    section: str | None = None,
) -> Verification:
    """What two detectors say of recordings; args and errors are those of `Detector.score`.

    Raises:
        FormatError: the second was not exported.
    """
    made, said = _made(after), []
    for each in (before, after):
        known, hearing = each.hear(clips, runtime, machine=machine, section=section)
        said.append(_Said(each.verdicts(known, hearing), _distances(each, hearing.heard)))
    omega = _omegas(*(one.scores for one in said))
    return Verification(made, _pairs(before, *said), "given", omega)


def probed(
    before: Detector, after: Detector, probes: Sequence[Probe], sounds: str,
    runtime: Runtime | None = None,
) -> Verification:  # fmt: skip
    """What two detectors say of sounds in memory."""
    made, said, how = _made(after), [], runtime_of(runtime)
    for each in (before, after):
        heard = [
            (
                p.clip,
                embed_audio(p.audio, each.chains, how, describe(p.audio, "", seen=look(p.audio))),
            )
            for p in probes
        ]
        said.append(_Said(each.judge(heard), _distances(each, heard)))
    return Verification(made, _pairs(before, *said), sounds)


@dataclass(frozen=True)
class _Said:
    """What one detector said of some sounds.

    Args:
        scores: a verdict each.
        distances: of each sound those of the members whose scores go in steps.
    """

    scores: Scores
    distances: Sequence[tuple[float, ...]]


def _distances(detector: Detector, heard: Sequence[tuple[Clip, Heard]]) -> list[tuple[float, ...]]:
    stepped, found = _stepped(detector), dict[int, tuple[float, ...]]()
    with one_thread():
        for key, places in by_section(clip for clip, _ in heard).items() if stepped else ():
            judge = Judge(
                detector.system, detector.chains, detector.sections[key], detector.false_alarm_rate
            )
            raw = judge.raw([heard[place] for place in places])
            for n, place in enumerate(places):
                found[place] = tuple(float(raw[i][n]) for i in stepped)
    return [found.get(place, ()) for place in range(len(heard))]


def _made(after: Detector) -> ExportRecord:
    if after.exported is None:
        raise FormatError(f"{after!r} was not exported")
    return after.exported


def _pairs(before: Detector, said: _Said, says: _Said) -> tuple[Pair, ...]:
    keys = dict.fromkeys((v.clip.machine, v.clip.section) for v in said.scores)
    scales = {
        key: (_usual(before.self_scores(*key)), _steps(before, key), _usual_distances(before, key))
        for key in keys
    }
    both = zip(said.scores, says.scores, said.distances, says.distances, strict=True)
    pairs = []
    for one, two, far, away in both:
        unit, steps, usual = scales[one.clip.machine, one.clip.section]
        pairs.append(Pair(one, two, unit, steps, tuple(zip(far, away, usual, strict=True))))
    return tuple(pairs)


def _stepped(detector: Detector) -> list[int]:
    """Places of the members whose scores go in steps."""
    members = enumerate(detector.system.members)
    return [i for i, recipe in members if isinstance(recipe.calibration, Percentile)]


def _relative(said: float, says: float, unit: float) -> float:
    """How far two numbers are apart, as a share of the larger or of a usual one."""
    apart = abs(said - says)
    if not math.isfinite(apart):
        return math.inf
    of = max(abs(said), abs(says), unit)
    return 0.0 if apart == 0.0 else apart / of if of else math.inf


def _usual(scores: NDArray[np.float64]) -> float:
    """A usual score of normal clips: their median, or how far half of them are spread.

    Scores may lie around 0, or be 0 to a bank that has the very clip: a share of that is nothing.
    """
    low, middle, high = np.percentile(scores, [25, 50, 75])
    return float(max(abs(middle), high - low))


def _usual_distances(detector: Detector, key: tuple[str, str]) -> tuple[float, ...]:
    members = detector.sections[key].members
    return tuple(_usual(members[i].self_scores) for i in _stepped(detector))


def _steps(detector: Detector, key: tuple[str, str]) -> tuple[float, ...]:
    """What one self-score more or less is in the score, of each member with percentiles."""
    section, system = detector.sections[key], detector.system
    weights, fused = system.weights, system.fusion != "minimum"
    return tuple(
        (weights[i] if fused else 1.0)
        / len(section.yardstick(system.members[i], section.members[i]))
        for i in _stepped(detector)
    )


def _omegas(said: Scores, says: Scores) -> tuple[float, float] | None:
    """Ω of both; None where a figure of it is undefined for want of labels."""
    if not {"normal", "anomaly"} <= {v.clip.label for v in said}:
        return None
    try:
        return evaluate(said, draws=0).score, evaluate(says, draws=0).score
    except DatasetError:  # no clip of some domain, or some without a label
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
