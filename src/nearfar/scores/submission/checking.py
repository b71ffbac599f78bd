"""A package of anyone, looked at as the challenge will: limits, names, rows, meta files, report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nearfar.clips import Clip
from nearfar.errors import FormatError, SettingError
from nearfar.scores.files import KINDS, named_key
from nearfar.scores.join import Key
from nearfar.scores.submission.archive import LARGEST_REPORT, ZipContents
from nearfar.scores.submission.form import FORM, Form
from nearfar.scores.submission.label import MOST_SYSTEMS, TASK, USUAL, Label, folder_parts
from nearfar.scores.submission.metafiles import meta_remarks
from nearfar.scores.submission.package import report_fault
from nearfar.scores.submission.remarks import CheckedPackage, Remark
from nearfar.scores.submission.rows import read_rows
from nearfar.scores.submission.years import lacking
from nearfar.scores.truth import quoted, section_name, shown, stem
from nearfar.text import called, counted, named

Expected = Mapping[Key, frozenset[str]]  # machine and section → names of the test clips
MOST_IN_SYSTEM = 200  # files; 2022 had 84, later years have less than twenty
Values = Mapping[Key, Mapping[str, float]]
_OTHER_TASK = re.compile(r"task\d+[a-z]?", re.IGNORECASE)


@dataclass(frozen=True)
class SystemFolder:
    """A system's folder: where it lies, and what is in it.

    >>> SystemFolder("task2/Kim_LUDO_task2_1", "Kim_LUDO", 1, {}).name
    'Kim_LUDO_task2_1'
    """

    path: str
    label: str
    number: int
    files: Mapping[str, str]  # path below it → name in the zip

    @property
    def name(self) -> str:
        """Its own name."""
        return PurePosixPath(self.path).name


def expected_of(clips: Iterable[Clip]) -> Expected:
    """What a test folder asks a score for."""
    names: dict[Key, set[str]] = {}
    for clip in clips:
        key = (clip.machine, section_name(clip.section))
        names.setdefault(key, set()).add(clip.key)
    return {key: frozenset(files) for key, files in names.items()}


def check_package(
    path: Path, expected: Expected | None = None, form: Form = FORM
) -> CheckedPackage:
    """Look at a package.

    Args:
        path: a zip of anyone.
        expected: the test clips that must have scores; None where they are not at hand.
        form: the year's, for its meta files.

    Raises:
        FormatError: it cannot be read or is no zip.
    """
    archive = ZipContents.open(path)
    folders = systems_of(archive.names)
    remarks = [Remark(name, why) for name, why in archive.refused.items()]
    if archive.junk:
        remarks.append(
            Remark("", f"{named([shown(j) for j in archive.junk])}: left by the system that made "
                   "the zip; zip without, as in zip -r PACKAGE.zip task2 -x '*/.*' '__MACOSX/*'",
                   wrong=False)
        )  # fmt: skip
    remarks += _places(folders, archive.names)
    remarks += _labels(folders)
    tables: dict[str, Values] = {}
    # No more are read than are allowed: somebody's zip shall not keep anyone busy for hours.
    for folder in folders[:MOST_SYSTEMS]:
        values, found = _scores(archive, folder)
        tables[folder.name] = values
        remarks += [*meta_remarks(archive, folder.name, folder.files, form), *found]
    remarks += _unusual(tables)
    remarks += _against(tables, expected)
    remarks += _report(archive, folders)
    # All systems have the same clips, or it was said above.
    first = next(iter(tables.values()), {})
    machines: dict[str, int] = {}
    for (machine, _), scores in first.items():
        machines[machine] = machines.get(machine, 0) + len(scores)
    return CheckedPackage(path.name, tuple(f.name for f in folders), machines, tuple(remarks))


def systems_of(names: Iterable[str]) -> list[SystemFolder]:
    """The folders of systems, by number, wherever they lie in a zip."""
    inside: dict[str, dict[str, str]] = {}
    for name in names:
        parts = PurePosixPath(name).parts
        for depth, part in enumerate(parts[:-1]):
            # Wherever they lie: a package in a wrong place is told all that is wrong, in one go.
            if folder_parts(part):
                path = "/".join(parts[: depth + 1])
                inside.setdefault(path, {})["/".join(parts[depth + 1 :])] = name
                break
    folders = []
    for path, files in inside.items():
        parts_of = folder_parts(PurePosixPath(path).name)
        if parts_of:
            folders.append(SystemFolder(path, *parts_of, files))
    return sorted(folders, key=lambda folder: (folder.number, folder.path))


def _places(folders: list[SystemFolder], names: tuple[str, ...]) -> Iterator[Remark]:
    """Do the folders lie where they are looked for, and what lies beside them?"""
    if not folders:
        found = named([shown(name) for name in names]) or "nothing"
        yield Remark(
            "", f"no folder {TASK}/Last_INST_{TASK}_1 in it; it has {found}; put each system's "
            f"files into such a folder"
        )  # fmt: skip
        return
    # Whoever zips the folder task2 from within, or with one around it, gives one of these.
    for above in sorted({str(PurePosixPath(f.path).parent) for f in folders} - {TASK}):
        where = "at the top" if above == "." else f"in {shown(above)}/"
        yield Remark(
            "", f"the systems lie {where}; put their folders into {TASK}/ and zip that"
        )  # fmt: skip
    inside = {name for folder in folders for name in folder.files.values()}
    for name in names:
        if name in inside or name.lower().endswith(".pdf") or _is_of_other_task(name):
            continue
        yield Remark(name, "nothing of a package; leave it out", wrong=False)


def _is_of_other_task(name: str) -> bool:
    """Does a file lie in another task's folder? Others judge what is in it."""
    top, *below = PurePosixPath(name).parts
    return bool(below) and top.lower() != TASK and _OTHER_TASK.fullmatch(top) is not None


def _labels(folders: list[SystemFolder]) -> Iterator[Remark]:
    if len(folders) > MOST_SYSTEMS:
        yield Remark(
            "", f"{len(folders)} systems, at most {MOST_SYSTEMS} of a team are taken; leave "
            f"{len(folders) - MOST_SYSTEMS} out"
        )  # fmt: skip
    numbers = [folder.number for folder in folders]
    if folders and numbers != list(range(1, len(folders) + 1)):
        said = ", ".join(map(str, numbers))
        yield Remark("", f"systems are numbered {said}; number them 1 to {len(folders)}")
    labels = list(dict.fromkeys(folder.label for folder in folders))
    if len(labels) > 1:
        yield Remark("", f"systems of {named(labels)}; a package has one team's, with one label")
    for text in labels:
        try:
            Label.of(text)
        except SettingError as error:
            yield Remark("", str(error))
    for folder in folders:  # _01, or another case, which file systems tell apart or not
        wanted = f"{folder.label}_{TASK}_{folder.number}"
        if folder.name != wanted:
            yield Remark(folder.path, f"is to be called {shown(wanted)}; rename it")


def _scores(archive: ZipContents, folder: SystemFolder) -> tuple[Values, list[Remark]]:
    """Scores of a system by machine and section, and what is wrong with its files."""
    found: dict[str, dict[Key, Mapping[str, float]]] = {kind: {} for kind in KINDS}
    remarks: list[Remark] = []
    if len(folder.files) > MOST_IN_SYSTEM:
        text = (
            f"{len(folder.files)} files in it are no system's; leave its official files alone there"
        )
        return {}, [Remark(folder.path, text)]
    for inner, name in sorted(folder.files.items()):
        keys = {kind: named_key(inner, kind) for kind in KINDS}
        # Names of earlier years count too; what is not quite right with them is a doubt.
        kind = next((kind for kind, key in keys.items() if key is not None), None)
        if kind is None:
            remarks += _strange(inner, name)
            continue
        try:
            content = archive.read(name)
        except FormatError as error:
            remarks.append(Remark(name, str(error).removeprefix(f"{archive.where(name)}: ")))
            continue
        rows = read_rows(name, content, decisions=kind == KINDS[1])
        remarks += [*rows.remarks, *_name_remarks(name, inner, kind, keys[kind])]
        key = keys[kind]
        if key is None:
            continue
        if key in found[kind]:  # the official evaluator takes the one that is called as today
            remarks.append(Remark(name, f"a second {kind} of {called(*key)}; keep one"))
        else:
            found[kind][key] = rows.values
    scores, decisions = (found[kind] for kind in KINDS)
    if not scores and not decisions:
        remarks.append(Remark(folder.path, "no anomaly_score_<machine>_section_<nn>_test.csv in it;"
                              " put the system's score files there"))  # fmt: skip
    remarks += _pairs(folder, scores, decisions)
    return scores, remarks


def _strange(inner: str, name: str) -> Iterator[Remark]:
    if inner.lower().endswith((".meta.yaml", ".meta.yml", ".pdf")) and "/" not in inner:
        return  # looked at elsewhere
    if PurePosixPath(inner).name.startswith(KINDS) and "/" in inner:
        yield Remark(name, "lies too deep; put it into the system's own folder")
    elif inner.lower().endswith(".csv"):
        yield Remark(
            name, "no name of an official file, as anomaly_score_<machine>_section_<nn>_test.csv; "
            "rename it, or leave it out"
        )  # fmt: skip
    else:
        yield Remark(name, "nothing of a package; leave it out", wrong=False)


def _name_remarks(name: str, inner: str, kind: str, key: Key | None) -> Iterator[Remark]:
    """Names of earlier years and of the baseline are understood, and not those of today."""
    if key is None:
        return
    official = f"{kind}_{key[0]}_section_{key[1]}_test.csv"
    if inner != official:
        yield Remark(name, f"since 2023 it is called {shown(official, 90)}; rename it", wrong=False)
    if "_" in key[0]:
        yield Remark(name, f"machine {quoted(key[0])}: the official evaluator reads a name only to "
                     "its first _; rename it")  # fmt: skip


def _pairs(
    folder: SystemFolder, scores: Values, decisions: Values
) -> Iterator[Remark]:  # fmt: skip
    """Every score has its decision, and the reverse."""
    # The evaluator leaves the whole system out where one file lacks.
    for key in sorted(set(scores) ^ set(decisions)):
        gone, there = (KINDS[1], KINDS[0]) if key in scores else KINDS
        yield Remark(folder.path, f"{called(*key)}: {there} without {gone}; add that file, "
                     "without which the official evaluator leaves the system out")  # fmt: skip
    for key in sorted(set(scores) & set(decisions)):
        one, other = _clips_of(scores[key]), _clips_of(decisions[key])
        apart = sorted(one.keys() ^ other.keys())
        if apart:
            yield Remark(
                folder.path, f"{called(*key)}: {counted(len(apart), 'clip')} with only one of "
                f"score and decision, as {quoted((one | other)[apart[0]])}; write both"
            )  # fmt: skip


def _unusual(tables: Mapping[str, Values]) -> Iterator[Remark]:
    """Numbers of clips that no evaluation set has had: of all systems in one line."""
    # One line: eight files of a small set would say the same eight times.
    counts = {key: len(scores) for values in tables.values() for key, scores in values.items()}
    few = [f"{called(*key)} has {count}" for key, count in counts.items() if count != USUAL]
    if few:
        yield Remark("", f"{named(few)} test clips; evaluation sets since 2023 have {USUAL} a "
                     "machine", wrong=False)  # fmt: skip


def _against(tables: Mapping[str, Values], expected: Expected | None) -> Iterator[Remark]:
    """Are the clips those of the test folder, or, without it, those of the other systems?"""
    # Without a test folder the systems are all there is to hold each other against.
    whose, have = "the test folder", "has"
    if expected is None:
        yield from _year(tables)
        if len(tables) < 2:
            return
        expected = {}
        for values in tables.values():
            for key, scores in values.items():
                expected = {**expected, key: expected.get(key, frozenset()) | set(scores)}
        whose, have = "the other systems", "have"
    for system, values in tables.items():
        for key in sorted(set(expected) - set(values)):
            yield Remark(system, f"{called(*key)} is missing; {whose} {have} it: score it too")
        for key in sorted(set(values) - set(expected)):
            yield Remark(system, f"{called(*key)} is not of {whose}; leave it out")
        for key in sorted(set(values) & set(expected)):
            yield from _clips(system, key, values[key], expected[key], whose)


def _year(tables: Mapping[str, Values]) -> Iterator[Remark]:
    """A machine that no system has: only who knows the year's can miss it."""
    machines = {machine for values in tables.values() for machine, _ in values}
    found = lacking(machines)
    if found is not None:
        year, gone = found
        yield Remark(
            "", f"{named(gone)} of the evaluation set of {year} is missing in all systems; score "
            "it too"
        )  # fmt: skip


def _clips(
    system: str, key: Key, scored: Iterable[str], wanted: Iterable[str], whose: str
) -> Iterator[Remark]:
    # A name for each side: most often one is the other, written otherwise.
    mine, theirs = _clips_of(scored), _clips_of(wanted)
    without, strange = (
        sorted(side[clip] for clip in side.keys() - other.keys())
        for side, other in ((theirs, mine), (mine, theirs))
    )
    if without:
        yield Remark(system, f"{called(*key)}: no score for {len(without)} of {len(theirs)} clips "
                     f"of {whose}, as {quoted(without[0])}; score them")  # fmt: skip
    if strange:
        yield Remark(system, f"{called(*key)}: {counted(len(strange), 'clip')} not of {whose}, as "
                     f"{quoted(strange[0])}; leave them out")  # fmt: skip


def _clips_of(names: Iterable[str]) -> dict[str, str]:
    """Clips as they are joined → as they are written: without .wav they are told as a doubt."""
    return {stem(name): name for name in names}


def _report(archive: ZipContents, folders: list[SystemFolder]) -> Iterator[Remark]:
    """The technical report: there, a PDF, and called so."""
    found = [name for name in archive.names if name.lower().endswith(".pdf")]
    reports = [name for name in found if not _is_of_other_task(name)]
    if not reports:
        wanted = f"{TASK}/{folders[0].name if folders else 'Last_INST_task2_1'}"
        yield Remark("", f"no technical report; put it in as {shown(wanted)}.technical_report.pdf")
        return
    labels = {folder.label for folder in folders}
    if len(reports) > MOST_SYSTEMS:
        text = f"{len(reports)} reports of {MOST_SYSTEMS} systems at most; keep one a system"
        yield Remark("", text)
    for name in reports[:MOST_SYSTEMS]:
        base = PurePosixPath(name).name
        try:  # a PDF that is cut is one whose upload broke off
            why = report_fault(archive.read(name, LARGEST_REPORT))
        except FormatError as error:
            why = str(error).removeprefix(f"{archive.where(name)}: ")
        if why:
            yield Remark(name, why)
        # Years differ in what stands between: _task2, _task2_1, or nothing.
        fits = any(
            re.fullmatch(rf"{re.escape(label)}(?:_{TASK}(?:_\d)?)?\.technical_report\.pdf", base)
            for label in labels
        )
        if folders and not fits:
            yield Remark(
                name,
                f"a report is called {shown(folders[0].name)}.technical_report.pdf; rename it",
                wrong=False,
            )  # fmt: skip
