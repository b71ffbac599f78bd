"""The README.md of an exported data set: what loads it, by whom it may be used, what is in it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nearfar.errors import visible
from nearfar.text import counted, in_markdown
from nearfar.version import __version__

MARK = "<!-- written by nearfar export-data -->"
Tables = Mapping[str, Sequence[Mapping[str, str]]]  # split → rows
# Licences as the hub calls them; any other is "other", with its name.
LICENCES = {
    "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0",
    "cc-by-nc-nd-4.0", "cc-by-3.0", "cc-by-sa-3.0", "cc-by-nc-sa-3.0", "mit", "apache-2.0",
    "odbl", "odc-by", "pddl", "unknown",
}  # fmt: skip
_FIRST = 10_000  # rows, by which the datasets library decides what a column is
# Words that pandas, which reads the table for that library, takes for an empty cell.
_NOTHING = {
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
}  # fmt: skip
_SAYS = {
    "file_name": "the sound, below the folder of this table",
    "machine": "whose sound it is",
    "section": "of the machine; `00` where there is only one",
    "domain": "`source` or `target`: the conditions of most normal clips, or others",
    "label": "`normal` or `anomaly`",
    "attributes": "what is known of the conditions, as its name has it",
    "split": "`train` or `test`, where the data say it",
    "time": "when the clip begins, ISO 8601",
    "near_channel": "of the microphone near the machine, counted from 1",
    "far_channel": "of the one far from it",
}


def licence_id(said: str) -> str:
    """A licence as the hub calls it; "other" if it has no name for it.

    >>> licence_id("CC BY-NC-SA 4.0"), licence_id("CC0"), licence_id("ours"), licence_id("")
    ('cc-by-nc-sa-4.0', 'cc0-1.0', 'other', 'unknown')
    """
    name = re.sub(r"[\s_]+", "-", said.strip().casefold())
    name = {"cc0": "cc0-1.0", "": "unknown"}.get(name, name)
    # The hub refuses a card with an id that it does not know.
    return name if name in LICENCES else "other"


def kind_of(cells: Iterable[str]) -> str:
    """What a table's reader takes a column for, by its cells.

    >>> kind_of(["00", "01"]), kind_of(["1", ""]), kind_of(["", ""]), kind_of(["", "normal"])
    ('whole', 'number', 'number', 'text')
    """
    # A whole column of digits is read as numbers, one with a gap as fractions, an empty one too.
    found = list(cells)[:_FIRST]
    filled = [cell for cell in found if cell not in _NOTHING]
    full = len(filled) == len(found)
    if filled and all(cell.casefold() in ("true", "false") for cell in filled):
        return "truth" if full else "text"
    try:
        numbers = [float(cell) for cell in filled if "_" not in cell]  # which Python takes in one
    except ValueError:
        return "text"
    if len(numbers) < len(filled):
        return "text"
    return "whole" if full and all(cell.lstrip("+-").isdigit() for cell in filled) else "number"


def load_alike(tables: Tables, columns: Sequence[str]) -> bool:
    """Are all columns of all splits of one kind, as who loads them together demands?"""
    kinds = [[kind_of(row[c] for row in rows) for c in columns] for rows in tables.values()]
    return all(one == kinds[0] for one in kinds)


def card(name: str, tables: Tables, columns: Sequence[str], licence: str) -> str:
    """The text of the README.md.

    Args:
        name: of the data set.
        tables: its rows, for each split that it has.
        columns: of its tables.
        licence: of the recordings as somebody says it; "" if nobody does.
    """
    import yaml

    # Together they would be refused: a reader holds the columns of one split to the other's.
    together = load_alike(tables, columns)
    files = {split: [{"split": split, "path": f"{split}/**"}] for split in tables}
    configs = [{"config_name": s, "data_files": one} for s, one in files.items()]
    if together:
        both = [part for one in files.values() for part in one]
        configs = [{"config_name": "default", "data_files": both}]
    kind = licence_id(licence)
    front = {
        "license": kind,
        **({"license_name": visible(licence)} if kind == "other" else {}),
        "pretty_name": visible(name),
        "task_categories": ["audio-classification"],
        "tags": ["anomaly-detection", "machine-condition-monitoring"],
        "size_categories": [_size(sum(map(len, tables.values())))],
        "configs": configs,
    }
    # As YAML writes it: a name may hold any of its signs.
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    body = (*_contents(name, tables), *_columns(columns), *_use(tables, together),
            *_terms(licence))  # fmt: skip
    return "\n".join(("---", f"{head}---", MARK, "", *body))


def is_export(folder: Path) -> bool:
    """Is a folder plainly what we exported, with nothing else in it?"""
    try:
        # Whatever else somebody has put there would go with it.
        names = {entry.name for entry in folder.iterdir()}
        # A link would be taken away in place of what it leads to.
        if folder.is_symlink() or not names <= {"README.md", "train", "test"}:
            return False
        if MARK not in (folder / "README.md").read_text(encoding="utf-8"):
            return False
        return all(_is_split(folder / name) for name in names - {"README.md"})
    except (OSError, ValueError, csv.Error):
        return False


def _is_split(folder: Path) -> bool:
    """Are the files of a split those of its table, and no others?"""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        listed = {row.get("file_name") for row in csv.DictReader(file)}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return there <= {*listed, "metadata.csv"}


def _size(clips: int) -> str:
    if clips < 1000:
        return "n<1K"
    return next(
        (f"{low}<n<{high}" for limit, low, high in
         ((10_000, "1K", "10K"), (100_000, "10K", "100K"), (1_000_000, "100K", "1M"))
         if clips < limit),
        "n>1M",
    )  # fmt: skip


def _contents(name: str, tables: Tables) -> list[str]:
    total = sum(map(len, tables.values()))
    head = ("split", "machine", "clips", "normal", "anomaly", "label unknown", "source", "target")
    lines = [f"# {in_markdown(visible(name))}", "", f"{counted(total, 'clip')} of machines.", "",
             "| " + " | ".join(head) + " |", "|---|---|" + "--:|" * (len(head) - 2)]  # fmt: skip
    for split, rows in tables.items():
        for machine in dict.fromkeys(row["machine"] for row in rows):
            mine = [row for row in rows if row["machine"] == machine]
            labels = Counter(row["label"] for row in mine)
            domains = Counter(row["domain"] for row in mine)
            cells = (
                split,
                in_markdown(visible(machine)),
                len(mine),
                labels["normal"],
                labels["anomaly"],
                labels[""],
                domains["source"],
                domains["target"],
            )
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return [*lines, ""]


def _columns(columns: Sequence[str]) -> list[str]:
    told = [f"| `{name}` | {_SAYS[name]} |" for name in columns]
    channels = (
        "`near_channel` and `far_channel` say which channel of a file is which microphone's."
        if "near_channel" in columns
        else "The first channel is the microphone near the machine, the second the one far from "
        "it; a file of one channel has no far one."
    )
    return ["| column | what it is |", "|---|---|", *told, "", f"{channels} An empty cell is not "
            "known. Clips that say no split are in `train`, those known to be anomalies in `test`.",
            ""]  # fmt: skip


def _use(tables: Tables, together: bool) -> list[str]:
    configs = "" if together else f', "{next(iter(tables))}"'
    apart = "" if together else (
        "Each split is a configuration of its own: what is empty in one of them and filled in "
        "another would be of two kinds."
    )  # fmt: skip
    return ["```python", "from datasets import load_dataset",
            f'data = load_dataset("FOLDER"{configs})', "```", "", *([apart, ""] if apart else []),
            "nearfar reads the folder as it is: `nearfar fit FOLDER -o DETECTOR`, "
            "`nearfar.Clips.open(\"FOLDER\")`.", ""]  # fmt: skip


def _terms(licence: str) -> list[str]:
    stated = in_markdown(visible(licence)) or (
        "not stated. Recordings of DCASE Challenge Task 2 are CC BY-NC-SA 4.0"
    )
    made = f"Exported by nearfar {__version__}; sounds are as they were recorded."
    return [f"Licence of the recordings: {stated}.", "", made, ""]
