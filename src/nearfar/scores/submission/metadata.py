"""What the team says of its systems, and what nearfar knows of them, as one meta file a system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.errors import FormatError
from nearfar.scores.submission.form import (
    FORM,
    Form,
    Lapse,
    authors_lapses,
    corresponding,
    filled,
    form_of,
    label_lapses,
    lapses_of,
    missing,
)
from nearfar.scores.submission.label import Label, is_last_name
from nearfar.scores.submission.plainyaml import LARGEST, dump_yaml, read_yaml
from nearfar.scores.truth import place, quoted
from nearfar.text import counted

SYSTEMS = "systems"  # what differs between them, by number
Meta = dict[str, Any]


@dataclass(frozen=True)
class TeamFile:
    """A meta file as the team wrote it: of all systems, and of each by its number.

    >>> TeamFile("meta.yaml", {"system": {"source_code": None}}, {2: {}}).name
    'meta.yaml'
    """

    name: str
    shared: Meta
    own: Mapping[int, Meta]


def read_meta(path: Path) -> TeamFile:
    """Read what a team says.

    Raises:
        FormatError: it cannot be read, is no mapping, or `systems` are not by number.
    """
    data = _read(path)
    if not isinstance(data, dict):
        raise FormatError(f"{place(path)}: no meta file; begin with nearfar submit --new-meta")
    shared = {key: value for key, value in data.items() if key != SYSTEMS}
    own = data.get(SYSTEMS) or {}
    # True is an int to Python, and a key of YAML.
    numbers = isinstance(own, dict) and all(
        type(key) is int and key > 0 and isinstance(value, dict | None)
        for key, value in own.items()
    )
    if not numbers:
        raise FormatError(
            f"{place(path)}: systems is a mapping from a detector's number on the command line, 1 "
            "to 4, to what is its own; write systems: and below it 2: and so on"
        )
    return TeamFile(place(path), shared, {key: value or {} for key, value in own.items()})


def read_form(path: Path) -> Form:
    """Read a year's own template; see `form_of`."""
    return form_of(_read(path), place(path))


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:  # no more than is looked at: a pipe has no end
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise FormatError(f"{place(path)}: cannot be read ({error.strerror})") from None
    return read_yaml(content, place(path))


def complete(
    told: TeamFile, label: Label, known: Sequence[Meta], form: Form = FORM
) -> tuple[list[Meta], list[str]]:
    """The meta file of each system: what the team said goes before what is known.

    Args:
        told: by the team.
        label: of the package.
        known: of each system in order, with the form's keys; keys that the form has not are left.
        form: the year's.

    Returns:
        Of each system all keys of the form, in its order, None where nothing applies; and what
        deserves a look, a line each.

    Raises:
        FormatError: unknown keys, values of a wrong kind, something missing: all of it in one go,
            a line each in its `faults`.
    """
    faults: dict[str, None] = {}  # what all systems share is said once
    metas = []
    for number in told.own:
        if number > len(known):
            there = counted(len(known), "detector")
            faults[f"systems/{number}: {there} given; correct the number"] = None
    for number, facts in enumerate(known, 1):
        said = _merged(told.shared, told.own.get(number, {}))
        own = {lapse.line for lapse in lapses_of(told.own.get(number, {}), form)}
        found = [*lapses_of(said, form), *_label_lapses(said, label.system(number))]
        # The label is known; a file for all systems cannot say it.
        known_now = _merged(facts, {"submission": {"label": label.system(number)}})
        meta = _merged(known_now, said)
        # Missing is what neither the team nor the detector says.
        found += [*missing(meta, form), *authors_lapses(meta, form)]
        found += label_lapses(meta, label.last)
        for lapse in found:
            where = f"systems/{number}/" if lapse.line in own else ""
            faults[where + lapse.line] = None
        metas.append(filled(meta, form))
    if faults:
        if len(faults) == 1:
            raise FormatError(f"{told.name}: {next(iter(faults))}")
        # Not summed up: lines of one file that differ in numbers alone are things of their own.
        error = FormatError(f"{told.name} has {len(faults)} things to mend; mend all, a line each")
        error.faults = tuple(f"{told.name}: {fault}" for fault in faults)
        raise error
    return metas, _doubts(told.name, metas, label)


def meta_text(meta: Meta) -> str:
    """A meta file's text."""
    return dump_yaml(meta)


def _merged(below: Any, above: Any) -> Any:
    """What was said above goes first, key by key; None says that a value does not apply."""
    if above is None and isinstance(below, dict):  # a heading with nothing under it
        return below
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {
        **below,
        **{key: _merged(below[key], v) if key in below else v for key, v in above.items()},
    }


def _label_lapses(said: Meta, label: str) -> list[Lapse]:
    part = said.get("submission")
    given = part.get("label") if isinstance(part, dict) else None
    if given in (None, label):
        return []
    what = f"is {quoted(str(given))}, this system's is {label}"
    return [Lapse("submission/label", what, "leave it out")]


def _doubts(name: str, metas: Sequence[Meta], label: Label) -> list[str]:
    """What may be right, and is more often an oversight."""
    doubts = []
    last = corresponding(metas[0])
    if last and is_last_name(label.last, last) is None:
        doubts.append(
            f"{name}: the corresponding author is {last[:40]}, the label begins with {label.last}; "
            "is it that author's last name in Latin letters?"
        )
    names = [str(meta.get("submission", {}).get("abbreviation")) for meta in metas]
    if len(set(names)) < len(names):  # the same file for all, as it was written for the first
        doubts.append(
            f"{name}: systems have one abbreviation, {names[0][:20]}; give each its own below "
            "systems:, for a ranking names them so"
        )
    return doubts
