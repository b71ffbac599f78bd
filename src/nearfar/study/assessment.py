"""One number for a data set: fit a system or take a detector, score, evaluate, beside the floor."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.clips import Clips
from nearfar.detector.detector import Detector, load
from nearfar.detector.fitting import fit
from nearfar.errors import DatasetError, NearfarWarning, SettingError, warn
from nearfar.metrics.comparison import compare
from nearfar.metrics.evaluation import Evaluation
from nearfar.metrics.official import evaluate
from nearfar.runtime.runtime import Runtime
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoreTable
from nearfar.scores.saved import rows_of
from nearfar.scores.scaling import TRANSDUCTIVE, scaled_within
from nearfar.scores.truth import Truth, place, read_truth
from nearfar.study.data import SCHEMA, Given, Places, described, open_test, rule_of
from nearfar.study.firstshot import SIDES, Sides, Unjudged, View, listed, part_of, unjudged
from nearfar.study.labels import Key, Labels, key_of, labels_of
from nearfar.system.presets import logmel
from nearfar.version import versions

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName
    from nearfar.scores.verdict import Scores
    from nearfar.sound.audio import ChannelOrder
    from nearfar.system.system import Ensemble, System


@dataclass(frozen=True)
class Result:
    """An evaluation, how it was made, and what the floor gives on the same clips.

    >>> from nearfar.scores.join import ScoredFile, ScoreTable
    >>> from nearfar.scores.truth import LabelledFile
    >>> files = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, *f.split()) for f in files))
    >>> scores = ScoreTable(tuple(ScoredFile("fan", "00", f, len(f)) for f in files))
    >>> result = Result(evaluate(scores, truth, draws=0), settings={"name": "length of the name"})
    >>> result.text.splitlines()[-1], result.as_dict()["settings"]["name"]
    ('Ω = 100.00 %', 'length of the name')
    """

    evaluation: Evaluation
    lines: tuple[str, ...] = ()  # below the table
    settings: Mapping[str, Any] = field(default_factory=dict)
    floor: Mapping[str, Any] | None = None  # its figures and the difference, for JSON
    heading: tuple[str, ...] = ()  # above the table
    scores: ScoreTable | None = None  # of each clip: what a paired comparison needs
    sides: Sides | None = None  # development and evaluation machines apart
    unlabelled: tuple[Unjudged, ...] = ()  # machines that nobody can judge yet
    transductive: bool = False  # were scores made with the other test clips?
    truth: Truth | None = None  # the labels of those clips

    @property
    def text(self) -> str:
        """What a person reads."""
        shown = str(self.evaluation) if self.sides is None else self.sides.text + "\n"
        rest = ["", listed(self.unlabelled)] if self.unlabelled else []
        text = "\n".join([*self.heading, shown, *self.lines, *rest])
        if not self.transductive:
            return text
        # Beside every number: a line that is quoted alone takes the word with it.
        return re.sub(r"^.*\d.*$", rf"\g<0>  {TRANSDUCTIVE}", text, flags=re.MULTILINE)

    def as_dict(self) -> dict[str, Any]:
        """What a program reads."""
        extra: dict[str, Any] = {} if self.floor is None else {"floor": dict(self.floor)}
        if self.sides is not None:
            extra |= self.sides.as_dict()
        if self.transductive:
            extra[TRANSDUCTIVE] = True
        if self.unlabelled:
            extra["unlabelled"] = [row.as_dict() for row in self.unlabelled]
        return {
            "schema": SCHEMA,
            **self.evaluation.to_dict(),
            **extra,
            "scores": rows_of(self.scores, self.truth) if self.scores else [],
            "settings": {**self.settings, "bootstrap_seed": 0},  # what `evaluate` takes by itself
            "versions": versions(),
        }


def of_files(
    folder: Path, truth: Path | None, rule: RuleName | None, *, transductive: bool = False
) -> Result:
    """Evaluate score files that anyone made.

    Args:
        folder: with `anomaly_score_<machine>_section_<nn>_test.csv` files.
        truth: the ground truth.
        rule: the year's rule; None finds it in the data.
        transductive: take scores that were ranked or scaled within the test set; the word then
            stands beside every number.

    Raises:
        SettingError: no ground truth given, or scores that were ranked or scaled within the test
            set (`scaled_within`).
        FormatError, DatasetError: files that do not fit each other.
    """
    if truth is None:
        raise SettingError(
            "scores of files have no labels; give --truth FILE (machine,section,file,domain,label)"
        )
    # No floor: there is no sound to fit one on.
    table = read_scores(folder)
    found = scaled_within(table)
    if found and not transductive:
        raise SettingError(
            f"{place(folder)}: has {found}, so each score was made with the other test clips, and "
            "no number of them may stand beside others; give the scores as they were, or say "
            "--transductive"
        )
    labels = read_truth(truth)
    result = evaluate(table, labels, rule=rule)
    settings = {"scores": folder.name, "truth": truth.name}
    if found:
        settings["within_the_test_set"] = found
    return Result(result, settings=settings, scores=table, transductive=transductive, truth=labels)


def of_data(
    data: Places | None,
    system: System | Ensemble | None,
    runtime: Runtime,
    *,
    detector: Path | None = None,
    types: Sequence[type] = (),
    weights: Sequence[str] = (),
    truth: Path | None = None,
    floor: bool = True,
    rule: RuleName | None = None,
    skip_bad: bool = False,
    name: str = "system",
    order: ChannelOrder = "near-far",
    any_frontend: bool = False,
    evaluation: Places | None = None,
) -> Result | View:
    """Evaluate a system, or a detector, on the test clips of a data set.

    Machines whose test clips have no label, by name or by ground truth, are scored and not judged.
    Where a ground truth labels some machines and names the others, the latter are the development
    set and the former the evaluation set, side by side.

    Args:
        data: DCASE folder or CSV, several of them, or a `Given`.
        system: fitted on the train split; not looked at with a detector.
        runtime: how to compute.
        detector: a detector's folder.
        types: the detector's own parts that are not ours.
        weights: where the detector's encoders have their weights now.
        truth: ground truth for test clips whose names carry no label.
        floor: also fit `logmel` and say how far the system is above it.
        rule: the year's rule; None finds it in the data.
        skip_bad: leave out clips that cannot be used.
        name: what the system is called in the table.
        order: which channel is near, for a system that is fitted here.
        any_frontend: take a trained encoder behind another front end than its own.
        evaluation: places of `data` whose machines are the evaluation set.

    Returns:
        A result; a view of scores where no test clip has a label.

    Raises:
        DatasetError: no test clips, or labels of some of a machine's clips only.
    """
    if data is None or (system is None and detector is None):
        raise SettingError("give a DCASE folder or a CSV, and a system or a detector to evaluate")
    data = Given.of(data)
    test = open_test(data)
    left_out: list[str] = []
    if detector is not None:
        known = load(detector, types, weights)
        # A detector of some machines is judged on those, and the others are named.
        left_out = sorted(set(test.machines) - set(known.machines))
        test = _of_machines(test, known.machines, data)
    # Before the fit, which may take hours: labels that cannot be read.
    labels = labels_of(test, truth)
    sides = _sides(labels, evaluation)
    fitted = (
        known
        if system is None or detector
        else _fit(system, data, runtime, order, skip_bad, any_frontend)
    )
    rule = rule or rule_of(test)
    everything = fitted.score(test, runtime, skip_bad=skip_bad)
    scores = everything.judged
    for verdict in everything:
        if not verdict.judged:
            warn(f"left out: {verdict.clip.name}: {verdict.warning}", verdict.clip.name)
    notes = (f"left out, unknown to the detector: {', '.join(left_out)}",) if left_out else ()
    settings, heading = described(data, detector.name if detector else name, fitted.system)
    silent = unjudged(fitted, everything, labels.unknown)
    if not labels.known:
        return View(silent, ScoreTable.from_verdicts(scores), settings, heading, notes)
    scores = labels.judged(scores)
    # Scores and labels must fit one to one.
    told = _only(labels.truth, scores) if skip_bad else labels.truth
    table = ScoreTable.from_verdicts(scores)
    result = evaluate(table, told, rule=rule)
    beside = Sides.of(table, told, sides, rule) if sides else None
    plain = Result(result, notes, settings, None, heading, table, beside, silent, truth=told)
    lowest = _floor(data, fitted, scores, runtime, skip_bad) if floor else ""
    if not isinstance(lowest, Detector):
        return replace(plain, lines=(*notes, lowest) if lowest else notes)
    below = lowest.score(Clips(v.clip for v in scores), runtime)
    return _above(plain, scores, below, told, rule, sides)


def _sides(
    labels: Labels, evaluation: Places | None
) -> tuple[tuple[Key, ...], tuple[Key, ...]] | None:
    """The sections of the development set and of the evaluation set; None if there is one only."""
    if evaluation is None:
        return (labels.named, labels.brought) if labels.named and labels.brought else None
    theirs = {key_of(clip) for clip in open_test(evaluation)}
    mine = tuple(key for key in (*labels.named, *labels.brought) if key not in theirs)
    other = tuple(key for key in (*labels.named, *labels.brought) if key in theirs)
    # Of one that has no labels yet there is nothing to put beside.
    return (mine, other) if mine and other else None


def _above(
    plain: Result,
    scores: Scores,
    below: Scores,
    labels: Truth,
    rule: RuleName | None,
    sides: tuple[tuple[Key, ...], tuple[Key, ...]] | None,
) -> Result:
    """A result with how far its scores are above the floor's."""
    # Paired: both judge the same clips, in every draw too.
    floor, gain = evaluate(below, labels, rule=rule), compare(scores, below, labels, rule=rule)
    lines = (*plain.lines, f"floor: logmel {floor.headline}", f"above the floor: {gain}")
    if sides is not None:
        lines = plain.lines
        for name, keys in zip(SIDES, sides, strict=True):
            one, truth = part_of(ScoreTable.from_verdicts(scores), labels, keys)
            other, _ = part_of(ScoreTable.from_verdicts(below), labels, keys)
            lines += (
                f"floor of {name}: logmel {evaluate(other, truth, rule=rule).headline}",
                f"above it: {compare(one, other, truth, rule=rule)}",
            )
    figures = {"system": "logmel", **floor.to_dict(), "difference": asdict(gain)}
    return replace(plain, lines=lines, floor=figures)


def _of_machines(test: Clips, machines: Sequence[str], data: Given) -> Clips:
    known = Clips(c for c in test if c.machine in machines)
    if not len(known):
        raise DatasetError(
            f"{data} has {', '.join(test.machines)}, the detector knows {', '.join(machines)}; "
            "fit one on these machines"
        )
    return known


def _fit(
    system: System | Ensemble,
    data: Given,
    runtime: Runtime,
    order: ChannelOrder,
    skip_bad: bool,
    any_frontend: bool,
) -> Detector:
    train = data.open("train")
    # A folder with normal/ and abnormal/ has no splits: what was fitted would be judged.
    if shared := set(train) & set(data.open("test")):
        raise DatasetError(
            f"{data}: {len(shared)} clips are for fitting and for judging alike; fit on normal "
            "ones kept apart and give --detector, or a CSV with a column split"
        )
    return fit(system, train, runtime, order=order, skip_bad=skip_bad, any_frontend=any_frontend)


def _floor(
    data: Given, fitted: Detector, scores: Scores, runtime: Runtime, skip_bad: bool
) -> Detector | str:
    """`logmel` fitted on the same data, or a line that says why there is none."""
    if fitted.system == logmel():  # it is the floor
        return ""
    try:
        # Of the machines judged: a detector may know others, which these data have not.
        train = data.open("train", sorted({v.clip.machine for v in scores}))
    except DatasetError:  # a detector is also judged on a folder of test clips alone
        return "floor: none, the data have no training clips to fit logmel on"
    with warnings.catch_warnings():  # what is wrong with the data has been said
        warnings.simplefilter("ignore", NearfarWarning)
        return fit(logmel(), train, runtime, order=fitted.order, skip_bad=skip_bad)


def _only(labels: Truth, scores: Scores) -> Truth:
    """The labels of the clips that were scored: the others were left out as asked."""
    scored = {(v.clip.machine, v.clip.section, v.clip.key) for v in scores}
    rows = labels.rows
    return Truth(tuple(r for r in rows if (r.machine, r.section, r.file) in scored))
