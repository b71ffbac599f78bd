"""A DCASE data set as it lies on disk: counts, names, lists of attributes. No sound is read."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nearfar.clips.clip import Name, parse_name, told
from nearfar.clips.folders import base_name, dcase_machines, listing, split_of, walk
from nearfar.clips.lists import table
from nearfar.clips.words import label_of
from nearfar.errors import DatasetError, NearfarError, did_you_mean, printable
from nearfar.health.known import YEARS, KnownSet, recognised, sets_of, year_in
from nearfar.sound.audio import SUFFIXES
from nearfar.text import counted, named

NAMED = 5  # files or numbers named in a line; the JSON has all
_LIST = re.compile(r"attributes_(\d\d)\.csv", re.IGNORECASE)
_ENDLESS = 60  # folders below a split in which recordings are


@dataclass(frozen=True)
class Finding:
    """What is to be said of a data set or one of its machines.

    >>> Finding("fan", "no test", "fan: no test folder", wrong=False).as_dict()["kind"]
    'no test'
    """

    machine: str  # "" is the whole set
    kind: str  # one of `nearfar.health.kinds.MEANS`
    says: str  # one line
    files: tuple[str, ...] = ()  # names, numbers or rows: all of them
    wrong: bool = True  # False: worth knowing, and no fault

    def as_dict(self) -> dict[str, Any]:
        """A row for JSON."""
        return {
            "machine": self.machine, "kind": self.kind, "wrong": self.wrong, "says": self.says,
            "files": list(self.files),
        }  # fmt: skip


@dataclass(frozen=True)
class Inventory:
    """What a look at names found.

    >>> inventory([]).findings
    ()
    """

    findings: tuple[Finding, ...] = ()
    known_as: str = ""  # the published set that counts were held against
    uncounted: bool = False  # machines of a DCASE layout, but of no set whose counts are known


def inventory(roots: Sequence[Path], year: int | None = None) -> Inventory:
    """Look at the DCASE data sets among some folders.

    Args:
        roots: folders or files; what is no folder of DCASE machines has no findings.
        year: of the published set that they are; else the layout's folder (`dcase2026t2`) or
            machines and their counts tell, and without these no count is expected.

    Raises:
        DatasetError: a root that is not there; a year that nobody knows, or one told of what is no
            DCASE set; a folder that cannot be read.
    """
    if year is not None and year not in YEARS:
        raise DatasetError(f"year {year}: known are {YEARS[0]} to {YEARS[-1]}; leave it out")
    for root in roots:  # before minutes of others
        if not os.path.exists(root):
            raise DatasetError(f"{root}: no such file or folder")
    folders = {p: None for root in roots if root.is_dir() for p in dcase_machines(root)}
    machines = [_listed(folder) for folder in folders]
    if year is not None and not machines:
        raise DatasetError(f"{roots[0]}: no DCASE set of {year}, which has machines' folders with "
                           "train or test in them; give no year")  # fmt: skip
    found = [one for machine in machines for one in _of_machine(machine)]
    found += _beside(folders, {root.absolute() for root in roots})
    found += _of_names(sorted({machine.name for machine in machines}))
    told = year or _year_of(roots)
    sets = _sets(machines, told)
    theirs = {name for one in sets for name in one.machines}
    for machine in machines if sets else ():
        found += _against(machine, sets, told is not None)
    found += _absent({machine.name for machine in machines}, sets)
    # Elsewhere clips may have been taken out, or numbered, by hand.
    found = [
        replace(one, wrong=True) if one.kind == "number" and one.machine in theirs else one
        for one in found
    ]
    known_as = " and ".join(one.name for one in sets)
    return Inventory(tuple(found), known_as, bool(machines) and not sets)


@dataclass(frozen=True)
class _Listed:
    """One machine's folder."""

    folder: Path
    name: str
    files: tuple[tuple[Path, Name | None, str], ...]  # file, what its name says, its folder's split
    splits: frozenset[str]  # that have a folder
    empty: tuple[str, ...]  # folders of splits without sound files
    free: tuple[Path, ...] = ()  # straight in a split's folder, with a name that says nothing
    lists: Mapping[str, Path] = field(default_factory=dict)  # section → attributes_<section>.csv
    stray: tuple[Path, ...] = ()  # sound files beside the splits' folders

    def groups(self) -> dict[tuple[str, str, str | None, str | None], list[Name]]:
        """(section, split, domain, label) → names; training clips without a label are normal."""
        found: dict[tuple[str, str, str | None, str | None], list[Name]] = {}
        for _, name, split in self.files:
            if name is not None:
                label = name.label or ("normal" if split == "train" else None)
                found.setdefault((name.section, split, name.domain, label), []).append(name)
        return found


def _listed(folder: Path) -> _Listed:
    files, subs = listing(folder)
    names: list[tuple[Path, Name | None, str]] = []
    free: list[Path] = []
    empty: list[str] = []
    held = [(sub, split) for sub in subs if (split := split_of(sub))]
    # Labelled copies of the same clips, made by the official tool.
    if any(sub.name.casefold() == "test_rename" for sub, _ in held):
        held = [(sub, split) for sub, split in held if sub.name.casefold() != "test"]
    for sub, split in held:
        before = len(names)
        for inner, inside, _ in walk(sub, deepest=_ENDLESS):
            sounds = [file for file in inside if file.suffix.lower() in SUFFIXES]
            for file in sounds:
                name = parse_name(file.name)
                names.append((file, name, split))
                free += [file] if name is None and inner == sub else []
        empty += [sub.name] if len(names) == before else []
    lists = {m[1]: file for file in files if (m := _LIST.fullmatch(file.name))}
    splits = frozenset(split for _, split in held)
    stray = tuple(file for file in files if file.suffix.lower() in SUFFIXES)
    return _Listed(
        folder, base_name(folder), tuple(names), splits, tuple(empty), tuple(free), lists, stray
    )


# ---- one machine ---------------------------------------------------------------------------------


def _of_machine(machine: _Listed) -> list[Finding]:
    found = [
        Finding(machine.name, "empty", f"{machine.name}: no sound files in {folder}/; fill it, or "
                "remove it") for folder in machine.empty
    ]  # fmt: skip
    if "train" not in machine.splits:
        found.append(Finding(machine.name, "no train", f"{machine.name}: no training folder; add "
                             "it, or leave the machine out"))  # fmt: skip
    if "test" not in machine.splits:
        found.append(Finding(machine.name, "no test", f"{machine.name}: no test folder", (), False))
    found += _names(machine)
    found += _numbers(machine)
    found += _spelling(machine)
    for section, path in sorted(machine.lists.items()):
        found += _attributes(machine, section, path)
    return found


def _names(machine: _Listed) -> list[Finding]:
    other, bad = [], []
    for file, name, split in machine.files:
        if name is not None and name.split not in (None, split):
            other.append(file)
        label = (name and name.label) or label_of(file.parent.name)  # as train/broken says it
        if split == "train" and label == "anomaly":
            bad.append(file)
    return [
        *_finding(machine, "stray", machine.stray, "beside the folders train and test, and read by "
                  "nobody; move it into one of them", wrong=False),
        *_finding(machine, "name", machine.free, "no DCASE name, as "
                  "section_00_source_train_normal_0000_noAttribute.wav; rename it"),
        *_finding(machine, "split", other, "of another split by its name than by its folder; move "
                  "it"),
        *_finding(machine, "label", bad, "an anomaly by name in a training folder; take it "
                  "out"),
    ]  # fmt: skip


def _numbers(machine: _Listed) -> Iterator[Finding]:
    """Numbers that are there twice, or are missing between others, of names of 2021 and later.

    A set without a known year may have clips taken out by hand: then a gap is no fault.
    """
    groups = machine.groups()
    for (section, split, domain, label), names in sorted(groups.items(), key=str):
        if all(len(name.number) > 4 for name in names):  # 2020
            continue
        what = _called(section, split, domain, label)
        counts = Counter(name.number for name in names)
        again = sorted(number for number, count in counts.items() if count > 1)
        yield from _finding(machine, "number", again, f"of {what}: a number that several files "
                            "have; remove all but one", "numbers", wrong=False)  # fmt: skip
    together: dict[tuple[str, str, str], set[int]] = {}
    for (section, split, domain, _), names in groups.items():
        # Test clips of some machines are numbered through all four groups.
        key = (section, split, (domain or "") if split == "train" else "")
        numbers = {int(name.number) for name in names if len(name.number) == 4}
        together[key] = together.get(key, set()) | numbers
    for (section, split, side), numbers in sorted(together.items()):
        gone = sorted(set(range(max(numbers, default=-1) + 1)) - numbers)
        missing = [f"{n:04d}" for n in gone]
        what = _called(section, split, side or None, None)
        yield from _finding(machine, "number", missing, f"missing of {what} between 0000 and the "
                            "last; are files lost?", "numbers", wrong=False)  # fmt: skip


def _spelling(machine: _Listed) -> Iterator[Finding]:
    """Attributes that differ in case alone."""
    spelt: dict[str, set[str]] = {}
    for _, name, _ in machine.files:
        if name is not None and name.attributes:
            spelt.setdefault(name.attributes.casefold(), set()).add(name.attributes)
    both = [" = ".join(sorted(one)) for one in spelt.values() if len(one) > 1]
    yield from _finding(machine, "spelling", both, "attributes that differ in case alone, folded "
                        "here", "", wrong=False)  # fmt: skip


def _attributes(machine: _Listed, section: str, path: Path) -> Iterator[Finding]:
    """A list of attributes against the files of its section; a header alone is right."""
    try:
        rows = table(path)
    except NearfarError as error:
        yield Finding(machine.name, "attributes", f"{error}", (path.name,))
        return
    if not rows or not rows[0][1] or rows[0][1][0].strip().casefold() != "file_name":
        yield Finding(machine.name, "attributes", f"{path}: its first line does not begin with "
                      "file_name; take it from the data set again", (path.name,))  # fmt: skip
        return
    listed, twice = dict[str, str](), dict[str, None]()
    for _, cells in rows[1:]:
        row, says = re.split(r"[/\\]", cells[0])[-1], told("_".join(c for c in cells[1:] if c))
        if listed.setdefault(row, says) != says:
            twice[row] = None
    yield from _finding(machine, "attributes", list(twice), f"in {path.name} twice, with different "
                        "attributes; remove one of the rows", "clips")  # fmt: skip
    names = {file.name: name for file, name, _ in machine.files
             if name is not None and name.section == section}  # fmt: skip
    if not listed:
        return
    # A row of a split whose folder is not here (the test clips come later) lacks nothing.
    lost = [row for row in listed if row not in names and _split_here(row, machine)]
    splits = {name.split for row in listed if (name := parse_name(row)) is not None}
    bare = [f for f, name in names.items() if f not in listed and name.split in splits]
    other = [f for f, name in names.items() if f in listed and _flat(listed[f]) not in
             ("", _flat(name.attributes)) and name.attributes]  # fmt: skip
    yield from _finding(machine, "attributes", lost, f"in {path.name}, without a file", "rows")
    yield from _finding(machine, "attributes", bare, f"without a row in {path.name}")
    yield from _finding(machine, "attributes", other, "other attributes by its name than in "
                        f"{path.name}; the name counts")  # fmt: skip


def _split_here(row: str, machine: _Listed) -> bool:
    name = parse_name(row)
    return name is None or name.split is None or name.split in machine.splits


def _flat(attributes: str) -> str:
    """Letters and digits alone: some years glue keys to values."""
    return re.sub(r"[\W_]+", "", attributes).casefold()


# ---- the whole set -------------------------------------------------------------------------------


def _beside(machines: Iterable[Path], roots: Collection[Path]) -> Iterator[Finding]:
    """Folders beside those of machines, within DATA, that are none or are empty."""
    known = list(machines)
    places = {folder.parent for folder in known if folder.absolute() not in roots}
    for folder in sorted(sub for place in places for sub in listing(place)[1]):
        if any(folder in (machine, *machine.parents) for machine in known):
            continue
        files, subs = listing(folder)
        sounds = [file.name for file in files if file.suffix.lower() in SUFFIXES]
        if not files and not subs:
            yield Finding(folder.name, "empty", printable(f"{folder.name}: an empty folder beside "
                          "those of machines; fill it, or remove it"))  # fmt: skip
        elif sounds:
            yield Finding(folder.name, "stray", printable(f"{folder.name}: sound files, but no "
                          f"folder train or test, so nobody reads them ({named(sounds)})"),
                          tuple(sounds), False)  # fmt: skip


def _of_names(names: Sequence[str]) -> list[Finding]:
    """Machines of which one is called as another begins."""
    pairs = [(a, b) for a in names for b in names if a != b and b.startswith(a)]
    return [
        Finding("", "prefix", f"{a} is how {b} begins; here they are apart", (a, b), False)
        for a, b in pairs
    ]  # fmt: skip


def _year_of(roots: Sequence[Path]) -> int | None:
    """The year that the official layout's folder names, one for all roots."""
    years = {year_in(root.absolute()) for root in roots}
    return year if len(years) == 1 and (year := next(iter(years))) in YEARS else None


def _sets(machines: Sequence[_Listed], year: int | None) -> list[KnownSet]:
    """The published sets that the machines are of, of a year if that is told."""
    if year is not None:
        names = {machine.name for machine in machines}
        # A part of which there is nothing is not asked for.
        return [one for one in sets_of(year) if names & set(one.machines)
                and _sections(machines) & set(one.sections)] or sets_of(year)  # fmt: skip
    clips: dict[tuple[str, str], Counter[str]] = {}
    for machine in machines:
        for (section, split, _, _), names_ in machine.groups().items():
            clips.setdefault((machine.name, section), Counter())[split] += len(names_)
    return recognised(clips)


def _sections(machines: Iterable[_Listed]) -> set[str]:
    return {section for machine in machines for section, _, _, _ in machine.groups()}


def _against(machine: _Listed, sets: Sequence[KnownSet], told: bool) -> Iterator[Finding]:
    """One machine's counts against those of its set.

    A set that was recognised may lie among machines of one's own; where the year was told, or the
    layout is that of a year, a machine that the year has not is a mistake.
    """
    ours = [one for one in sets if machine.name in one.machines]
    if not ours:
        known = [name for one in sets_of(sets[0].year) for name in one.machines]
        if machine.name not in known:
            yield Finding(machine.name, "machine", f"{machine.name}: no machine of {sets[0].year}; "
                          f"{did_you_mean(machine.name, known)}", (), told)  # fmt: skip
        return
    groups = Counter({key: len(names) for key, names in machine.groups().items()})
    here = {section for section, _, _, _ in groups}
    for one in ours:
        # Of the set's other part, which has other sections, there need be nothing.
        for section in one.sections if here & set(one.sections) or len(ours) == 1 else ():
            yield from _counts(machine, one, section, groups)


def _counts(
    machine: _Listed, one: KnownSet, section: str, groups: Counter[Any]
) -> Iterator[Finding]:
    held = {split for _, split, _, _ in groups}
    for (split, domain, label), count in one.counts.items():
        if split not in held:
            continue  # no folder, or an empty one: said already
        here = sum(
            n for (of, s, d, b), n in groups.items()
            if (of, s) == (section, split) and domain in (None, d) and label in (None, b)
        )  # fmt: skip
        # Labels of an evaluation set may have been added, those of a test taken off.
        domains = {d for of, s, d, _ in groups if (of, s) == (section, split)}
        hidden = domain is not None and domains == {None}
        if here != count and not hidden:
            what = _called(section, split, domain, label)
            yield Finding(machine.name, "count", f"{machine.name}: {here} of {count} clips of "
                          f"{what} in {one.name}; unpack it again")  # fmt: skip


def _absent(names: set[str], sets: Sequence[KnownSet]) -> list[Finding]:
    return [
        Finding("", "machine", f"{one.name} has also {', '.join(gone)}", tuple(gone), False)
        for one in sets
        if names & set(one.machines) and (gone := [m for m in one.machines if m not in names])
    ]


def _called(section: str, split: str, domain: str | None, label: str | None) -> str:
    """A group of clips in words.

    >>> _called("00", "test", "target", "anomaly"), _called("02", "train", None, None)
    ('test, target, anomaly', 'section 02, train')
    """
    # Training clips are normal, all of them.
    parts = [split, domain, label if split == "test" else None]
    text = ", ".join(part for part in parts if part)
    return text if section == "00" else f"section {section}, {text}"


def _finding(
    machine: _Listed,
    kind: str,
    what: Sequence[Path | str],
    says: str,
    unit: str = "files",
    *,
    wrong: bool = True,
) -> list[Finding]:
    """One line about all of them, with the first few names; nothing about none."""
    if not what:
        return []
    names = tuple(one.name if isinstance(one, Path) else one for one in what)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    count = f"{counted(len(names), unit.removesuffix('s'))}: " if unit else ""
    line = f"{machine.name}: {count}{says} ({', '.join(names[:NAMED])}{more})"
    return [Finding(machine.name, kind, printable(line), names, wrong)]
