"""Ground truth: which test clip is normal, which is not, and from which domain.

It comes in three forms, all read by `read_truth`: our `truth.csv`, the official evaluator's
header-less files, whole or in part, and the `eval_data_list_YYYY.csv` of the data set. Clips whose
names tell their label are a fourth (`Truth.from_clips`). Only names and labels are read, never
audio.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nearfar.clips import Clip, parse_name
from nearfar.errors import DatasetError, FormatError, warn

if TYPE_CHECKING:
    import os

Line = tuple[str, list[str]]  # `path:line` and the fields
Value = TypeVar("Value")

COLUMNS = ("machine", "section", "file", "domain", "label")  # of truth.csv
BINARY = {"0": False, "1": True, "0.0": False, "1.0": True}  # as the evaluator takes them
# The evaluator's digits, and the words of file names.
_DOMAINS = {"0": "source", "1": "target", "source": "source", "target": "target"}
_LABELS = {"0": "normal", "1": "anomaly", "normal": "normal", "anomaly": "anomaly"}
_DATA = "ground_truth_data"  # the folder of labels; domains and attributes lie beside it
_DOMAIN = "ground_truth_domain"
_MOST = 60  # characters of somebody's text in a message
_TRUTH_FILE = re.compile(
    r"ground_truth_(?P<machine>.+)_(?:section|id)_(?P<section>[^_]+?)"
    r"(?:_(?P<domain>source|target))?(?:_test)?\.csv"
)


@dataclass(frozen=True)
class LabelledFile:
    """What is known about one test clip.

    >>> LabelledFile("fan", "00", "section_00_0000.wav", domain="target", label="normal").alias
    ''
    """

    machine: str
    section: str
    file: str
    domain: str | None  # "source", "target"; None: the data set has no domains (2020)
    label: str  # "normal" or "anomaly"
    alias: str = ""  # its other name, where the anonymous and the labelled one are both known
    where: str = ""  # file and line it was read from, for messages


@dataclass(frozen=True)
class Truth:
    """The labels of a test set, one row a clip, in any order.

    >>> clip = Clip(Path("a.wav"), machine="fan", domain="source", label="anomaly")
    >>> [row.label for row in Truth.from_clips([clip]).rows]
    ['anomaly']
    """

    rows: tuple[LabelledFile, ...]

    @classmethod
    def from_clips(cls, clips: Iterable[Clip]) -> Truth:
        """The labels that clips carry themselves.

        Raises:
            DatasetError: a clip without a label.
        """
        rows = []
        for clip in clips:
            if clip.label is None:
                raise DatasetError(
                    f"{clip.path}: no label in its name; give the ground truth with --truth FILE"
                )
            section = section_name(clip.section)
            rows.append(
                LabelledFile(clip.machine, section, clip.key, clip.domain, clip.label,
                             where=str(clip.path))
            )  # fmt: skip
        return cls(tuple(rows))


def read_truth(path: str | os.PathLike[str]) -> Truth:
    """Read the ground truth of a test set.

    Args:
        path: one of
            a file with the columns machine, section, file, domain (0 source, 1 target; empty or
            absent in a data set without domains), label (0 normal, 1 anomaly);
            a folder with `ground_truth_data/` (and `ground_truth_domain/`,
            `ground_truth_attributes/`) as the official evaluator has it, that first folder itself,
            one of its files `ground_truth_<machine>_section_<nn>_test.csv`, or a folder with a
            truth.csv;
            an `eval_data_list_YYYY.csv`: a line with a machine's name, then lines
            `anonymous.wav,labelled.wav`.

    Raises:
        FormatError: missing, none of these forms, or a value that is not as it must be.
    """
    path = Path(path)
    if _TRUTH_FILE.fullmatch(path.name) and path.is_file():
        return Truth(tuple(_evaluator_rows([path])))
    if path.is_dir():
        inner = path / _DATA
        if inner.is_dir():
            return Truth(tuple(_evaluator_rows(_files_of(inner))))
        if path.name == _DATA or any(_TRUTH_FILE.fullmatch(p.name) for p in path.glob("*.csv")):
            return Truth(tuple(_evaluator_rows(_files_of(path))))
        if not (path / "truth.csv").is_file():
            raise FormatError(
                f"{place(path)}: neither ground_truth_data/ nor truth.csv in this folder; "
                "name the ground truth itself"
            )
        path = path / "truth.csv"
    lines = read_lines(path)
    header = [field.lower() for field in lines[0][1]]
    # One of the two is enough to be meant as ours: what else is missing is then said by name.
    if {"machine", "file"} & set(header):
        return Truth(tuple(_table_rows(header, lines)))
    return Truth(tuple(_list_rows(path, lines)))


def section_name(text: str) -> str:
    """A section as official files write it: spreadsheets turn `00` into `0`.

    >>> section_name("3"), section_name("03"), section_name("line A")
    ('03', '03', 'line A')
    """
    return text.zfill(2) if text.isdigit() else text  # lines of a plant may have other names


def stem(name: str) -> str:
    """A clip's name without its audio suffix; attributes may hold dots.

    >>> stem("section_00_0000.wav"), stem("section_00_0000_volt_0.5")
    ('section_00_0000', 'section_00_0000_volt_0.5')
    """
    return name[: name.rindex(".")] if name.lower().endswith((".wav", ".flac")) else name


def quoted(text: str) -> str:
    r"""A text from a file, for a message: in quotes, one line, and no longer than is helpful.

    >>> quoted("fan"), quoted("a" + chr(10) + "b"), len(quoted("fan" * 1000))
    ("'fan'", "'a\\nb'", 63)
    """
    return repr(text if len(text) <= _MOST else text[:_MOST] + "…")


def shown(name: object, most: int = 60) -> str:
    r"""A name for a message, as it is, but for what a terminal would obey; the end of a long one.

    >>> shown("fan/00"), shown("a" + chr(27) + "[31m")
    ('fan/00', 'a\\x1b[31m')
    """
    text = str(name)
    if not text.isprintable():  # repr escapes what is not; between its quotes is the text
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= most else "…" + text[-most:]


def place(path: Path) -> str:
    """A path for a message.

    >>> place(Path("truth.csv"))
    'truth.csv'
    """
    return shown(path, 200)


def read_lines(path: Path) -> list[Line]:
    """The lines of a CSV file that are not blank, with their place; fields without outer blanks.

    A UTF-8 byte order mark, CRLF and blanks after a comma are harmless.

    Raises:
        FormatError: missing, not UTF-8, not CSV, or without any line.
    """
    try:
        return lines_of(path.read_bytes(), path)
    except OSError as error:
        raise FormatError(f"{place(path)}: cannot be read ({error.strerror})") from None


def lines_of(content: bytes, path: Path) -> list[Line]:
    """The same of a file that has been read; the path is for messages."""
    where = place(path)
    try:
        text = content.decode("utf-8-sig")  # Excel writes a byte order mark
    except UnicodeDecodeError:
        raise FormatError(f"{where}: not UTF-8 text; save it as CSV in UTF-8") from None
    # Any line ends. Without skipping, a quote behind a blank would be part of the name.
    reader = csv.reader(io.StringIO(text, newline=None), skipinitialspace=True)
    lines = []
    try:
        for raw in reader:
            fields = [field.strip() for field in raw]
            if any(fields):
                lines.append((f"{where}:{reader.line_num}", fields))
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num}: not CSV ({error})") from None
    if not lines:
        raise FormatError(f"{where}: the file is empty; it needs one line per clip")
    return lines


def lookup(text: str, values: Mapping[str, Value], what: str, where: str) -> Value:
    """The meaning of a field that has only a few.

    Raises:
        FormatError: it is none of them.
    """
    if text not in values:
        raise FormatError(f"{where}: {what} {quoted(text)}, need one of {', '.join(values)}")
    return values[text]


def _table_rows(header: list[str], lines: list[Line]) -> Iterator[LabelledFile]:
    """Rows of our truth.csv."""
    for name in COLUMNS:  # only the domain may be absent: 2020 has none
        if header.count(name) != 1 and not (name == "domain" and name not in header):
            raise FormatError(
                f"{lines[0][0]}: column {quoted(name)} is there {header.count(name)} times; "
                f"the columns are {','.join(COLUMNS)}"
            )
    for where, fields in lines[1:]:
        if len(fields) != len(header):
            raise FormatError(f"{where}: {len(fields)} columns, the header has {len(header)}")
        row = dict(zip(header, fields, strict=True))
        if not (row["machine"] and row["section"] and row["file"]):
            raise FormatError(f"{where}: machine, section or file is empty; fill it in")
        domain = row.get("domain", "")
        yield LabelledFile(
            machine=row["machine"],
            section=section_name(row["section"]),
            file=row["file"],
            domain=lookup(domain, _DOMAINS, "domain", where) if domain else None,
            label=lookup(row["label"], _LABELS, "label", where),
            where=where,
        )


def _list_rows(path: Path, lines: list[Line]) -> Iterator[LabelledFile]:
    """Rows of an eval_data_list; the labelled name says everything."""
    if path.name == "eval_data_list_2022.csv":
        warn(
            f"{place(path)}: the published list of 2022 has wrong labels for 608 clips of ToyCar "
            f"and "
            "ToyTrain; use the ground truth of the 2022 evaluator"
        )
    machine = ""  # until a line with nothing but a name
    for where, fields in lines:
        # A clip's line with a semicolon, or without its labelled name, is no machine.
        if len(fields) == 1 and ".wav" not in fields[0].lower():
            machine = fields[0]
            continue
        fields = [*fields, ""] if len(fields) == 1 else fields
        name = parse_name(fields[1])
        if not machine or name is None or name.label is None or len(fields) > 3:
            raise FormatError(
                f"{where}: {quoted(','.join(fields))} is neither a line below the header "
                f"{','.join(COLUMNS)} nor 'anonymous.wav,labelled.wav' below a machine's name"
            )
        # The list of 2020 has the label once more.
        if len(fields) == 3 and lookup(fields[2], _LABELS, "label", where) != name.label:
            raise FormatError(
                f"{where}: label {fields[2]} contradicts {quoted(fields[1])}; correct one"
            )
        yield LabelledFile(
            machine=machine,
            section=section_name(name.section),
            file=fields[0],
            domain=name.domain,
            label=name.label,
            alias=fields[1],  # scores may be filed under either name
            where=where,
        )


def _files_of(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise FormatError(f"{place(folder)}: no .csv file in this folder")
    return files


def _evaluator_rows(files: Iterable[Path]) -> Iterator[LabelledFile]:
    """Rows of the official evaluator's files, one per machine and section, and those beside."""
    for path in files:
        folder = path.parent.parent  # of the three that lie beside each other
        name = _TRUTH_FILE.fullmatch(path.name)
        if path.parent.name == _DOMAIN:  # 0 and 1 there too, and no error would tell
            raise FormatError(
                f"{place(path)}: tells domains, no labels; give the folder above {_DOMAIN}/"
            )
        if name is None:
            raise FormatError(
                f"{place(path)}: its name is not ground_truth_<machine>_section_<nn>_test.csv"
            )
        beside = path.parent.name == _DATA  # of any other folder the neighbours are not its own
        domains = _domains(folder / _DOMAIN if beside else None, path, name["domain"])
        # The anonymous name beside the labelled one; not every year has this folder.
        attributes = folder / "ground_truth_attributes" / path.name
        aliases = _pairs(attributes) if beside and attributes.is_file() else {}
        if domains is None and aliases:  # a labelled name says it too
            domains = _named_domains(aliases)
        for file, (where, label) in _pairs(path).items():
            if domains is not None and file not in domains:
                raise FormatError(f"{where}: {quoted(file)} is not in {_DOMAIN}/{shown(path.name)}")
            yield LabelledFile(
                machine=name["machine"],
                section=section_name(name["section"]),
                file=file,
                domain=domains[file] if domains is not None else None,
                label=lookup(label, _LABELS, "label", where),
                alias=aliases.get(file, ("", ""))[1],
                where=where,
            )


def _named_domains(aliases: Mapping[str, tuple[str, str]]) -> dict[str, str] | None:
    """File → domain by the labelled names; None unless all of them tell one."""
    found = {file: parse_name(alias) for file, (_, alias) in aliases.items()}
    told = {file: name.domain for file, name in found.items() if name and name.domain}
    return told if len(told) == len(aliases) else None


def _domains(folder: Path | None, labels: Path, named: str | None) -> dict[str, str] | None:
    """File → domain: from its own folder, or (2021) from the name of the file with the labels."""
    if folder is not None and folder.is_dir():
        pairs = _pairs(folder / labels.name).items()
        return {file: lookup(text, _DOMAINS, "domain", where) for file, (where, text) in pairs}
    return dict.fromkeys(_pairs(labels), _DOMAINS[named]) if named else None


def _pairs(path: Path) -> dict[str, tuple[str, str]]:
    """First column → (`path:line`, second column)."""
    pairs: dict[str, tuple[str, str]] = {}
    for where, fields in read_lines(path):
        if len(fields) < 2:
            raise FormatError(f"{where}: {quoted(fields[0])} stands alone, need 'file.wav,value'")
        if fields[0] in pairs:
            raise FormatError(
                f"{where}: {quoted(fields[0])} is there twice, first at {pairs[fields[0]][0]}; "
                f"keep one"
            )
        pairs[fields[0]] = (where, fields[1])
    return pairs
