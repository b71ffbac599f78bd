"""Detectors and an evaluation set → the systems of a submission."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.clips import Clips
from nearfar.detector.detector import Detector, load
from nearfar.errors import DatasetError, FormatError, NearfarWarning, SettingError, warn
from nearfar.files import DETECTOR
from nearfar.metrics.evaluation import Evaluation
from nearfar.parts.data import to_data
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoreTable
from nearfar.scores.official_files import official_table
from nearfar.scores.scaling import scaled_within
from nearfar.scores.submission.form import FORM
from nearfar.scores.submission.label import MOST_SYSTEMS, USUAL
from nearfar.scores.submission.metadata import Meta
from nearfar.scores.submission.years import lacking
from nearfar.scores.truth import place, section_name
from nearfar.study.assessment import Result, of_data
from nearfar.study.data import is_result
from nearfar.study.entry import known_of
from nearfar.text import called, named

if TYPE_CHECKING:
    from nearfar.runtime.runtime import Runtime

DEVELOPMENT, EVALUATION = "dev_data", "eval_data"  # folders of the official layout, with raw/ each
FIGURES = tuple(FORM["results"]["development_dataset"]["*"])


@dataclass(frozen=True, eq=False)
class Candidate:
    """A system to be submitted: a detector, or the official files of any system.

    >>> Candidate(Path("s4.detector"), None, None).known
    {}
    """

    path: Path
    detector: Detector | None
    table: ScoreTable | None  # of official files

    @cached_property  # the weights' heads are read for it
    def known(self) -> Meta:
        """What a meta file asks and is known; of files of somebody nothing."""
        return {} if self.detector is None else known_of(self.detector)


def candidates(paths: Sequence[Path], types: Sequence[type] = ()) -> list[Candidate]:
    """Open what shall be submitted, in the order given.

    Args:
        paths: folders of detectors, or of official files as `nearfar score --official` writes them.
        types: the detectors' own parts that are not ours.

    Raises:
        SettingError: none, too many, or one twice.
        FormatError: neither a detector nor official files.
    """
    if not paths:
        raise SettingError("no detector to submit; name one to four behind DATA")
    if len(paths) > MOST_SYSTEMS:
        raise SettingError(
            f"{len(paths)} detectors; at most {MOST_SYSTEMS} systems of a team are taken, leave "
            f"{len(paths) - MOST_SYSTEMS} out"
        )
    # A typing error costs one of four systems, and a team may submit once.
    seen: dict[Any, Path] = {}
    for path in paths:
        index = path / DETECTOR
        # A copy is the same detector: what its folder is called is no system of its own.
        for mark in {path.resolve(), index.read_bytes() if index.is_file() else path.resolve()}:
            if mark in seen:
                raise SettingError(
                    f"{path}: the same detector as {seen[mark]}; name each system once"
                )
            seen[mark] = path
    return [_candidate(path, types) for path in paths]


def _candidate(path: Path, types: Sequence[type]) -> Candidate:
    if path.is_dir() and not (path / DETECTOR).exists() and any(path.glob("anomaly_score_*.csv")):
        # Scores are all that is submitted: whoever has them needs no detector.
        return Candidate(path, None, _decided(path, read_scores(path)))
    return Candidate(path, load(path, types), None)


def _decided(path: Path, table: ScoreTable) -> ScoreTable:
    if any(row.decision is None for row in table.rows):
        raise FormatError(
            f"{place(path)}: scores without decisions; the official evaluator leaves such a system "
            "out, add decision_result_….csv"
        )
    if found := scaled_within(table):
        warn(f"{place(path)}: has {found}: each score was made with the other test clips")
    return table


def evaluation_clips(data: Path, opened: Mapping[str, Any]) -> Clips:
    """The test clips of an evaluation set, of every machine that it has.

    Raises:
        DatasetError: a machine without any.
    """
    test = Clips.open(data, "test", **opened)
    # A machine with train/ alone gives no clip, and nothing would tell that it is missing.
    untold = sorted(set(Clips.open(data, **opened).machines) - set(test.machines))
    if untold:
        raise DatasetError(
            f"{data}: no test clips of {named(untold)}; a package has scores of every machine of "
            "the evaluation set"
        )
    found = lacking(test.machines)
    if found is not None:  # one folder of them was named, or one was not fetched
        year, gone = found
        warn(
            f"{data}: without {named(gone)} of the evaluation set of {year}; a package has scores "
            "of every machine of it"
        )
    # Scores under labelled names are none of the clips that the evaluator knows.
    told = sum(clip.label is not None for clip in test)
    if told:  # a development set, or test_rename/
        warn(
            f"{data}: names of {told} test clips tell their label; those of an evaluation set do "
            "not, is it the right folder?"
        )
    counts = {key: len(clips) for key, clips in test.by_section().items()}
    if unusual := [f"{called(*key)} has {n}" for key, n in counts.items() if n != USUAL]:
        warn(f"{named(unusual)} test clips; evaluation sets since 2023 have {USUAL} a machine")
    return test


def check_known(systems: Sequence[Candidate], clips: Clips) -> None:
    """Refuse systems that do not know, or have not scored, all of an evaluation set.

    Raises:
        DatasetError: which, and what of it.
    """
    wanted = set(clips.by_section())
    for system in systems:
        if system.detector is not None:
            unknown = sorted(wanted - set(system.detector.sections))
            if unknown:
                names = named([called(*key) for key in unknown])
                raise DatasetError(
                    f"{system.path}: does not know {names}; fit it on their training clips too, as "
                    "in nearfar fit DEV_DATA EVAL_DATA -o DETECTOR"
                )
            continue
        # By name: the number of rows is right when one clip is there twice and another is not.
        rows = system.table.rows if system.table is not None else ()
        scored = {(r.machine, section_name(r.section), r.file) for r in rows}
        asked = {(c.machine, section_name(c.section), c.key) for c in clips}
        if scored != asked:
            one = sorted(scored ^ asked)[0]
            what = "no score for" if one in asked else "a score for a clip that is not there,"
            raise DatasetError(
                f"{system.path}: {what} {one[2]} of {called(*one[:2])} "
                f"({len(asked - scored)} clips lack a score, {len(scored - asked)} are not of the "
                "test folder); score the same clips"
            )


def scored(system: Candidate, clips: Clips, runtime: Runtime) -> ScoreTable:
    """Scores and decisions of a system.

    Raises:
        DatasetError: clips that cannot be judged, all of them in its `faults`.
    """
    if system.detector is None:
        return system.table or ScoreTable(())
    # Heard to the end: who mends recordings wants to know of all of them.
    return official_table(system.detector.score(clips, runtime, skip_bad=True))


def development_beside(data: Path) -> Path | None:
    """The development set that lies beside an evaluation set in the official layout, if one does.

    >>> development_beside(Path("no such set/eval_data/raw"))
    """
    place = data.absolute()  # links are as good as folders
    beside = (
        place.parents[1] / DEVELOPMENT / place.name if place.parent.name == EVALUATION else None
    )
    return beside if beside is not None and beside.is_dir() else None


def results_on(
    system: Candidate, dev: Path, runtime: Runtime, types: Sequence[type], theirs: Collection[str]
) -> Meta:
    """The results block of a system: its detector evaluated on a development set.

    Args:
        system: with a detector.
        dev: the development set.
        runtime: how to compute.
        types: the detector's own parts that are not ours.
        theirs: machines of the evaluation set; they are none of the development set's.

    Raises:
        SettingError: files of somebody have no detector.
        DatasetError: test clips without labels.
    """
    if system.detector is None:
        raise SettingError(
            f"{system.path}: official files, no detector that could be evaluated; give an "
            "evaluation of it as nearfar evaluate --json writes it"
        )
    # A year's metric is evaluate's own, so that both print the same number.
    with warnings.catch_warnings():  # of few clips and the like; evaluate says it
        warnings.simplefilter("ignore", NearfarWarning)
        found = of_data(dev, None, runtime, detector=system.path, types=types, floor=False)
    if not isinstance(found, Result):
        raise DatasetError(f"{dev}: test clips without labels; give the development set")
    return _block(_figures(found.evaluation), theirs, str(dev))


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """What of an evaluation a meta file asks for, as its JSON has it."""
    table = {name: {"machines": row.machines} for name, row in evaluation.table.items()}
    return {"rule": evaluation.rule, "table": table}


def results_from(path: Path, system: Candidate, theirs: Collection[str]) -> Meta:
    """The results block of a system, from what `nearfar evaluate --json` wrote.

    Raises:
        FormatError: no such file, or of another rule.
    """
    if not path.is_file():
        raise FormatError(f"{place(path)}: no such file; nearfar evaluate --json writes it")
    if not is_result(path):
        raise FormatError(f"{place(path)}: no evaluation; nearfar evaluate --json writes one")
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("transductive"):  # no detector of ours, and a number that no ranking has
        warn(f"{place(path)}: of scores that were made with the other test clips (transductive)")
    # Four files in the wrong order are four wrong blocks, and each looks right.
    settings = data.get("settings")
    made_by = settings.get("system") if isinstance(settings, dict) else None
    mine = (
        None if system.detector is None else json.loads(json.dumps(to_data(system.detector.system)))
    )
    if made_by and mine and made_by != mine:
        warn(
            f"{place(path)}: made by another system than {system.path}; give evaluations in the "
            "order of the detectors"
        )
    return _block(data, theirs, place(path))


def _block(data: Mapping[str, Any], theirs: Collection[str], name: str) -> Meta:
    """Figures in per cent by machine, as a meta file has them."""
    table = data.get("table")
    columns = [table.get(f) if isinstance(table, dict) else None for f in FIGURES]
    rows: list[Any] = [c.get("machines") if isinstance(c, dict) else None for c in columns]
    # A file of somebody's hands may have anything; no share of 1 is more than 1.
    known = all(
        isinstance(row, dict) and row.keys() == rows[0].keys() and all(map(_is_share, row.values()))
        for row in rows
    )
    if data.get("rule") != "omega" or not known:
        raise FormatError(
            f"{name}: no AUC of source and target and pAUC for each machine; evaluate a "
            "development set with domains"
        )
    # An evaluation of both sets at once has machines of both.
    machines = [m for m in rows[0] if m not in theirs]
    if not machines:
        raise DatasetError(
            f"{name}: has machines of the evaluation set alone; evaluate the development set"
        )
    block = {
        m: {
            figure: round(100 * float(row[m]), 2) for figure, row in zip(FIGURES, rows, strict=True)
        }
        for m in machines
    }
    return {"results": {"development_dataset": block}}


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1
