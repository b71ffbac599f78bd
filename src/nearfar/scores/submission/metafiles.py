"""The meta files of a package: named as their system, and filled in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nearfar.errors import FormatError
from nearfar.scores.submission.archive import ZipContents
from nearfar.scores.submission.form import (
    Form,
    absent_blocks,
    authors_lapses,
    label_lapses,
    lapses_of,
    missing,
)
from nearfar.scores.submission.plainyaml import LARGEST, read_yaml
from nearfar.scores.submission.remarks import Remark
from nearfar.scores.truth import quoted, shown

ENDINGS = (".meta.yaml", ".meta.yml")
LEAST_PAUC = 47.36  # per cent: McClish's of the worst order there is, 0.473684


def meta_remarks(
    archive: ZipContents, system: str, files: Mapping[str, str], form: Form
) -> Iterator[Remark]:
    """What is wrong with the meta file of a system.

    Args:
        archive: the zip.
        system: name of its folder.
        files: path below the folder → name in the zip.
        form: what is asked for.
    """
    found = [inner for inner in files if inner.lower().endswith(ENDINGS) and "/" not in inner]
    wanted = f"{system}.meta.yaml"
    if not found:
        yield Remark(system, f"no {shown(wanted, 90)}; add it")
        return
    if len(found) > 1:
        yield Remark(system, f"{len(found)} meta files; keep {shown(wanted, 90)}")
    # Read all the same: what else is wrong in it is better known today.
    chosen = wanted if wanted in found else found[0]
    name = files[chosen]
    if chosen != wanted:
        yield Remark(name, f"is to be called {shown(wanted, 90)}; rename it")
    try:
        data = read_yaml(archive.read(name, LARGEST), shown(name, 200))
    except FormatError as error:
        text = str(error).removeprefix(f"{archive.where(name)}: ").removeprefix(shown(name, 200))
        text = text.lstrip(": ")  # of a line its number is left
        yield Remark(name, f"line {text}" if text[:1].isdigit() else text)
        return
    if not isinstance(data, dict):
        yield Remark(name, "no meta file, which has submission, system and results; write it anew")
        return
    yield from _label(data, system, name)
    for lapse in (
        *lapses_of(data, form), *absent_blocks(data, form), *missing(data, form),
        *authors_lapses(data, form), *label_lapses(data, system.partition("_")[0]),
    ):  # fmt: skip
        # What this year does not ask for another may have: nobody is sent away for that.
        yield Remark(name, lapse.line, wrong=not lapse.unknown)
    yield from _results(data, name)


def _label(data: Mapping[str, Any], system: str, name: str) -> Iterator[Remark]:
    part = data.get("submission")
    label = part.get("label") if isinstance(part, dict) else None
    if label != system:  # one file for all systems, copied
        said = quoted(str(label)) if label else "missing"
        yield Remark(name, f"submission/label is {said}, the folder is called {shown(system)}; "
                     "make them equal")  # fmt: skip


def _results(data: Mapping[str, Any], name: str) -> Iterator[Remark]:
    """Shares for per cent, and areas that were not brought to McClish's scale."""
    part = data.get("results")
    machines = part.get("development_dataset") if isinstance(part, dict) else None
    if not isinstance(machines, dict) or not machines:
        yield Remark(name, "results/development_dataset: no machine; evaluate the development set")
        return
    rows = {m: row for m, row in machines.items() if isinstance(row, dict)}
    # A share of 1 is as rare as a per cent of 1: by all of them together it shows.
    values = [v for row in rows.values() for v in row.values() if _is_number(v)]
    if values and max(values) <= 1:  # then no area is McClish's either
        yield Remark(name, "results: no value above 1; they are in per cent", wrong=False)
        return
    for machine, row in rows.items():
        if _is_number(row.get("pauc")) and row["pauc"] < LEAST_PAUC:
            yield Remark(
                name, f"results: pauc {row['pauc']} of {shown(machine)} is below {LEAST_PAUC}, so "
                "it is not McClish's, which the official evaluator prints; evaluate again",
                wrong=False,
            )  # fmt: skip
            return


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
