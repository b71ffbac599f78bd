"""Scores and ground truth, joined by name, never by order."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import DatasetError, warn
from nearfar.scores.truth import LabelledFile, Truth, quoted, section_name, shown, stem
from nearfar.text import named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.scores.verdict import Verdict

Key = tuple[str, str]  # machine, section


@dataclass(frozen=True)
class ScoredFile:
    """What a system said about one test clip.

    >>> ScoredFile("fan", "00", "a.wav", score=0.7).decision is None
    True
    """

    machine: str
    section: str
    file: str
    score: float  # any finite number, high = anomalous
    decision: bool | None = None  # None: there is no decision
    where: str = ""  # file and line it was read from, for messages


@dataclass(frozen=True)
class ScoreTable:
    """What a system said about a test set, one row a clip, in any order.

    >>> table = ScoreTable((ScoredFile("fan", "00", "a.wav", 0.7, decision=True),))
    >>> [(row.file, row.score) for row in table.rows]
    [('a.wav', 0.7)]
    """

    rows: tuple[ScoredFile, ...]

    @classmethod
    def from_verdicts(cls, verdicts: Iterable[Verdict]) -> ScoreTable:
        """What a detector of ours said (`Scores`); clips not judged are left out with a warning."""
        verdicts = list(verdicts)
        # A nan among scores would be refused or, worse, sorted somewhere.
        if silent := [v.clip.name for v in verdicts if not v.judged]:
            warn(f"left out, not judged: {named(silent)}")
        return cls(
            tuple(
                ScoredFile(
                    machine=verdict.clip.machine,
                    section=section_name(verdict.clip.section),
                    file=verdict.clip.key,
                    score=float(verdict.score),
                    # A verdict without a threshold has nan there, and decides nothing.
                    decision=None if math.isnan(verdict.threshold) else bool(verdict.anomalous),
                    where=str(verdict.clip.path),
                )
                for verdict in verdicts
                if verdict.judged
            )
        )


@dataclass(frozen=True, eq=False)
class LabelledSection:
    """The scores and labels of one machine and section, clips sorted by file name.

    >>> truth = Truth((LabelledFile("fan", "00", "a.wav", "source", "anomaly"),))
    >>> [fan] = join([ScoredFile("fan", "0", "a", 0.7)], truth)
    >>> fan.name, fan.scores.tolist(), fan.anomalous.tolist(), fan.target.tolist()
    ('fan, section 00', [0.7], [True], [False])
    """

    machine: str
    section: str
    files: tuple[str, ...]
    scores: NDArray[np.float64]  # (clips,)
    anomalous: NDArray[np.bool_]  # (clips,)
    target: NDArray[np.bool_] | None  # (clips,); None: no domains
    decisions: NDArray[np.bool_] | None  # (clips,); None: some clip has none

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{shown(self.machine)}, section {shown(self.section)}"


def join(scores: Sequence[ScoredFile], truth: Truth) -> tuple[LabelledSection, ...]:
    """Put each score beside its label.

    Args:
        scores: what a system said, in any order; a clip is known by its file name without `.wav`
            or `.flac`, anonymous or labelled where the truth knows both.
        truth: the labels of exactly the same clips.

    Returns:
        One a machine and section, sorted by both: the order of rows leaves no trace.

    Raises:
        DatasetError: a clip twice, without a score or without a label, an unknown or missing
            machine, a score that is not finite, or domains for some clips only.
    """
    labels = index_of(truth)
    joined: dict[Key, dict[str, tuple[LabelledFile, ScoredFile]]] = {key: {} for key in labels}
    for row in scores:
        if not math.isfinite(row.score):
            raise DatasetError(f"{row.where}: the score of {quoted(row.file)} is {row.score}, "
                               f"need a "
                               "finite number; score the clip again")  # fmt: skip
        # Kept under the truth's own name: under its other one the clip is the same.
        label = _label_of(row, labels)
        section = joined[row.machine, section_name(row.section)]
        if label.file in section:
            first = section[label.file][1]
            raise DatasetError(f"{row.where}: {quoted(row.file)} has a score already, as "
                               f"{quoted(first.file)} "
                               f"at {first.where}; keep one")  # fmt: skip
        section[label.file] = (label, row)
    _refuse_missing(joined, truth)
    _refuse_mixed_domains(truth)
    _warn_of_decisions(scores)
    return tuple(_section(key, joined[key]) for key in sorted(joined))


def index_of(truth: Truth) -> dict[Key, dict[str, LabelledFile]]:
    """Machine and section → clip without suffix → row, under both names of a clip.

    Raises:
        DatasetError: a clip twice, or none at all.
    """
    labels: dict[Key, dict[str, LabelledFile]] = {}
    for row in truth.rows:
        names = labels.setdefault((row.machine, section_name(row.section)), {})
        # A set, since of a clip without another name both are one.
        for name in {stem(row.file), stem(row.alias or row.file)}:
            if name in names:
                raise DatasetError(
                    f"{row.where}: {quoted(name)} of {shown(row.machine)}, section "
                    f"{shown(row.section)} is labelled "
                    f"twice, first at {names[name].where}; keep one or rename"
                )
            names[name] = row
    if not labels:
        raise DatasetError(
            "no labelled clips to evaluate; give the test set of at least one machine"
        )
    return labels


def _label_of(row: ScoredFile, labels: dict[Key, dict[str, LabelledFile]]) -> LabelledFile:
    names = labels.get((row.machine, section_name(row.section)))
    if names is None:
        # A plant has hundreds; the first few say how they are called.
        some = [f"{shown(machine)} {shown(section)}"[:40] for machine, section in sorted(labels)]
        known = ", ".join(some[:5] + ["…"] * (len(some) > 5))
        raise DatasetError(f"{row.where}: the truth has no machine {quoted(row.machine)} with "
                           f"section "
                           f"{quoted(row.section)}; it has: {known}")  # fmt: skip
    if stem(row.file) not in names:
        near = difflib.get_close_matches(stem(row.file), names, n=1)
        hint = f"did you mean {quoted(near[0])}?" if near else "correct it or leave the clip out"
        raise DatasetError(f"{row.where}: {quoted(row.file)} is not in the truth of "
                           f"{shown(row.machine)}, "
                           f"section {row.section}; {hint}")  # fmt: skip
    return names[stem(row.file)]


def _refuse_missing(
    joined: dict[Key, dict[str, tuple[LabelledFile, ScoredFile]]], truth: Truth
) -> None:
    missing: dict[Key, list[LabelledFile]] = {}
    for row in truth.rows:
        key = (row.machine, section_name(row.section))
        if row.file not in joined[key]:
            missing.setdefault(key, []).append(row)
    for key, rows in missing.items():
        raise DatasetError(
            f"{rows[0].where}: no score for {quoted(rows[0].file)} of {shown(key[0])}, section "
            f"{shown(key[1])} "
            f"({len(rows)} of {len(rows) + len(joined[key])} clips lack one); "
            "score them or leave them out of the truth"
        )


def _refuse_mixed_domains(truth: Truth) -> None:
    without = [row for row in truth.rows if row.domain is None]
    if without and len(without) < len(truth.rows):
        raise DatasetError(
            f"{without[0].where}: {quoted(without[0].file)} of {shown(without[0].machine)} has "
            f"no domain, other "
            "clips have one; give all clips a domain, or none"
        )


def _warn_of_decisions(scores: Sequence[ScoredFile]) -> None:
    without = [row for row in scores if row.decision is None]
    if without and len(without) < len(scores):
        warn(
            f"{without[0].where}: {len(without)} of {len(scores)} clips have no decision, so there "
            "is no overall precision, recall and F1"
        )


def _section(key: Key, clips: dict[str, tuple[LabelledFile, ScoredFile]]) -> LabelledSection:
    files = sorted(clips)
    labels = [clips[file][0] for file in files]
    rows = [clips[file][1] for file in files]
    domains = np.array([label.domain == "target" for label in labels])
    decided = all(row.decision is not None for row in rows)
    return LabelledSection(
        machine=key[0],
        section=key[1],
        files=tuple(files),
        scores=np.array([row.score for row in rows], dtype=np.float64),
        anomalous=np.array([label.label == "anomaly" for label in labels]),
        target=domains if labels[0].domain is not None else None,
        decisions=np.array([bool(row.decision) for row in rows]) if decided else None,
    )
