"""What a challenge asks about a system: the keys of 2025 and 2026, or those of a year's template.

A form is a mapping of keys to forms, a list of one form, or a `Blank`. The key "*" stands for any
name, that of a machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nearfar.errors import FormatError, did_you_mean
from nearfar.scores.submission.label import is_last_name
from nearfar.scores.truth import quoted, shown
from nearfar.text import named

Kind = Literal["text", "short", "words", "count", "yes or no", "percent", "anything"]
Form = Any  # Mapping[str, Form] | list[Form] | Blank
ANY = "*"
MOST_CHARACTERS = 10  # of an abbreviation


@dataclass(frozen=True)
class Blank:
    """One thing to fill in.

    >>> Blank("count").takes(89_972_736), Blank("percent").takes(101)
    (True, False)
    """

    kind: Kind = "words"
    must: bool = False  # a text of people's own, without which nothing can be submitted
    note: str = ""  # for the one who fills it in
    filled: bool = False  # by nearfar, from what it knows of a detector

    def takes(self, value: Any) -> bool:
        """May it be this? None says that it does not apply."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None:
            return not self.must
        if self.kind == "short":
            return isinstance(value, str) and 0 < len(value.strip()) <= MOST_CHARACTERS
        if self.kind == "text":
            return isinstance(value, str) and bool(value.strip())
        if self.kind == "words":  # or a list of them, as some years' templates have it
            lists = isinstance(value, list) and all(isinstance(v, str) for v in value)
            return lists or number or (isinstance(value, str) and bool(value.strip()))
        if self.kind == "count":
            return isinstance(value, int) and number and value >= 0
        if self.kind == "percent":
            return number and 0 <= value <= 100
        return self.kind == "anything" or isinstance(value, bool)

    @property
    def wanted(self) -> str:
        """What it may be, in words."""
        return {
            "text": "a text", "short": f"a text of at most {MOST_CHARACTERS} characters",
            "words": "a text or a number", "count": "a whole number", "yes or no": "true or false",
            "percent": "a number from 0 to 100, in per cent",
        }.get(self.kind, "a value")  # fmt: skip


def _known(note: str, kind: Kind = "words") -> Blank:
    return Blank(kind, note=note, filled=True)


# Seen in packages of 2025 and 2026, which have the same; the notes are ours.
FORM: Form = {
    "submission": {
        "label": _known("of the package, with the system's number", "text"),
        "name": Blank("text", must=True, note="of the system, as a title has it"),
        "abbreviation": Blank("short", must=True, note="of that name, 10 characters at most"),
        "authors": [
            {
                "lastname": Blank("text", must=True),
                "firstname": Blank("text", must=True),
                "email": Blank("text", must=True),
                "corresponding": Blank("yes or no", note="true for exactly one author"),
                "affiliation": {
                    "institution": Blank("text", must=True),
                    "department": Blank("text"),
                    "location": Blank("text", note="city and country"),
                },
            }
        ],
    },
    "system": {
        "description": {
            "input_sampling_rate": _known("of the sound that it hears"),
            "data_augmentation": _known("in training, or of the bank"),
            "front_end": _known("what is done with the sound first"),
            "acoustic_features": _known("what is computed of it"),
            "embeddings": _known("pre-trained encoders"),
            "machine_learning_method": _known("how a score comes about"),
            "aggregation_method": _known("how several become one: in time, of members"),
            "domain_adaptation_method": _known("null if none"),
            "domain_generalization_method": _known("null if none"),
            "ensemble_method_subsystem_count": _known("null for one system", "count"),
            "decision_making": _known("how thresholds are drawn"),
            "attribute_usage": _known("of file names or attributes_00.csv"),
            "external_data_usage": _known("pre-trained models, other data"),
            "development_data_usage": _known("which training clips it was fitted on"),
        },
        "complexity": {
            "total_parameters": _known("of all encoders together", "count"),
            "MACS": Blank("words", note="multiply-accumulate operations, if counted"),
        },
        "external_datasets": [
            {"name": Blank("text"), "url": Blank("text")},
        ],
        "source_code": Blank("text", note="its address, if it is public"),
    },
    "results": {
        "development_dataset": {
            ANY: {
                "auc_source": _known("per cent", "percent"),
                "auc_target": _known("per cent", "percent"),
                "pauc": _known("per cent", "percent"),
            }
        }
    },
}


@dataclass(frozen=True)
class Lapse:
    """One thing that a filled form has wrong.

    >>> Lapse("submission/name", "empty", "give a text").line
    'submission/name: empty; give a text'
    """

    path: str  # keys with / between, for with a dot it would look like a file
    what: str
    way_out: str
    unknown: bool = False  # a key that this form has not; another year's may

    @property
    def line(self) -> str:
        """It, in one line."""
        return f"{self.path}: {self.what}; {self.way_out}"


def form_of(template: Any, name: str) -> Form:
    """The form that a year's own template is: its keys, its order; of its values none is taken.

    Raises:
        FormatError: it has none of the three parts of a meta file.
    """
    if not isinstance(template, dict) or not set(FORM) & set(template):
        raise FormatError(
            f"{name}: no template of a meta file, which has {', '.join(FORM)} at its top; give the "
            "year's own"
        )
    return _like(template, FORM)


def _like(template: Any, known: Form) -> Form:
    if not template and known is not None:  # left empty, it is as it always was
        return known
    if isinstance(known, dict) and set(known) == {ANY} and isinstance(template, dict):
        # Any machine stands for all.
        return {ANY: _like(next(iter(template.values())), known[ANY])}
    if isinstance(template, dict) and template:
        below = known if isinstance(known, dict) else {}
        return {str(key): _like(value, below.get(str(key))) for key, value in template.items()}
    if isinstance(template, list) and template and isinstance(template[0], dict):
        inner = known[0] if isinstance(known, list) else None
        return [_like(template[0], inner)]
    # Where a template leaves out what is below a key, it is as it always was.
    return Blank("anything", must=False) if known is None else known


def lapses_of(data: Any, form: Form, path: str = "") -> Iterator[Lapse]:
    """All that is wrong with what was filled in; what is absent is told by `missing`."""
    if data is None:
        return  # what must be there is missing
    if isinstance(form, Blank):
        if not form.takes(data):
            # YAML makes a number of a bare 2026, and a boolean of a bare no.
            bare = form.kind in ("text", "short") and not isinstance(data, str | list | dict)
            yield Lapse(path, f"is {_said(data)}", f"need {form.wanted}{', in quotes' * bare}")
    elif isinstance(form, list):
        if not isinstance(data, list):
            yield Lapse(path, f"is {_said(data)}", "need a list, a line with - for each")
            return
        for number, item in enumerate(data, 1):
            yield from lapses_of(item, form[0], f"{path}[{number}]")
    elif not isinstance(data, dict):
        yield Lapse(path or "it", f"is {_said(data)}", f"need the keys {named(list(form))}")
    else:
        for key, value in data.items():
            below = form.get(key, form.get(ANY))
            where = f"{path}/{shown(key)}".lstrip("/")
            if below is None:
                yield Lapse(where, "unknown key", did_you_mean(str(key), form), unknown=True)
            else:
                yield from lapses_of(value, below, where)


def missing(data: Any, form: Form, path: str = "") -> Iterator[Lapse]:
    """All that must be given and is not: absent, or with nothing behind it."""
    if isinstance(form, Blank):
        if form.must and data is None:
            yield Lapse(path, "missing or empty", f"need {form.wanted}")
    elif isinstance(form, list):
        items = data if isinstance(data, list) and data else [None]
        for number, item in enumerate(items, 1):
            yield from missing(item, form[0], f"{path}[{number}]")
    else:
        given = data if isinstance(data, dict) else {}
        for key, below in form.items():
            if key == ANY:  # of no machine must there be results: which are there, says the year
                continue
            where = f"{path}/{key}".lstrip("/")
            new = isinstance(below, Blank) and below.kind == "anything"
            if new and key not in given:  # nobody knows what a year's new key is for
                yield Lapse(where, "missing", "the year's template asks for it; give it, or !!null")
            yield from missing(given.get(key), below, where)


def absent_blocks(data: Mapping[str, Any], form: Form = FORM, path: str = "") -> Iterator[Lapse]:
    """The headings of a form that are not there, or have nothing under them, by their paths."""
    for key, below in form.items():
        # Which machines and how many authors there are, no form says.
        if not isinstance(below, dict) or ANY in below:
            continue
        where, given = f"{path}/{key}".lstrip("/"), data.get(key)
        if given is None:
            yield Lapse(
                where, "missing or empty", f"write {key}: and under it {named(list(below))}"
            )
        elif isinstance(given, dict):  # of a text or a list the lapses tell
            yield from absent_blocks(given, below, where)


def authors_lapses(data: Mapping[str, Any], form: Form = FORM) -> Iterator[Lapse]:
    """Exactly one author corresponds, where the form asks for it."""
    asked = form.get("submission") if isinstance(form, dict) else None
    each = asked.get("authors") if isinstance(asked, dict) else None
    if not isinstance(each, list) or "corresponding" not in each[0]:
        return
    authors = _authors(data)
    count = sum(author.get("corresponding") is True for author in authors)
    if authors and count != 1:
        yield Lapse(
            "submission/authors", f"{count} of {len(authors)} are corresponding",
            "say corresponding: true of exactly one",
        )  # fmt: skip


def corresponding(data: Mapping[str, Any]) -> str:
    """The last name of the corresponding author; "" if nobody is that."""
    for author in _authors(data):
        if author.get("corresponding") is True and isinstance(author.get("lastname"), str):
            return str(author["lastname"])
    return ""


def label_lapses(data: Mapping[str, Any], last: str) -> Iterator[Lapse]:
    """A label begins with the last name of the corresponding author: the challenge's rule.

    Args:
        data: a filled form.
        last: what the label begins with.
    """
    name = corresponding(data)
    if name and is_last_name(last, name) is False:
        yield Lapse(
            "submission/authors",
            f"the corresponding author is {quoted(name)}, the label begins with {quoted(last)}",
            "it begins with that author's last name: correct one of them",
        )


def _authors(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    part = data.get("submission")
    found = part.get("authors") if isinstance(part, dict) else None
    return [a for a in found if isinstance(a, dict)] if isinstance(found, list) else []


def filled(data: Any, form: Form) -> Any:
    """What was given, in the form's order and with every key of it; None where nothing was."""
    if isinstance(form, Blank):
        return data
    if isinstance(form, list):
        items = data if isinstance(data, list) and data else [None]
        return [filled(item, form[0]) for item in items]
    given = data if isinstance(data, dict) else {}
    keys = list(given) if ANY in form else list(form)
    return {key: filled(given.get(key), form.get(key, form.get(ANY))) for key in keys}


def _said(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a mapping"
    return quoted(value) if isinstance(value, str) else shown(repr(value), 40)


def blank_text(form: Form = FORM) -> str:
    """An empty meta file with a word on each thing to fill in."""
    return "\n".join([*_HEAD, *_blank_lines(form, 0), *_FOOT]) + "\n"


_HEAD = (
    "# About a submission, for: nearfar submit DATA DETECTOR… --meta THIS_FILE",
    "# Fill in what stands empty; !!null says that it does not apply. What begins with a # is",
    "# filled in by nearfar: take the # away to say it yourself.",
)
_FOOT = (
    "",
    "# What differs from detector to detector, by its number on the command line:",
    "# systems:",
    "#   2:",
    "#     submission:",
    "#       name:",
    "#       abbreviation:",
)


def _blank_lines(form: Form, deep: int) -> Iterator[str]:
    indent = "  " * deep
    for key, below in form.items():
        if isinstance(below, Blank):
            yield _blank_line(indent, key, below)
        elif isinstance(below, list):
            yield f"{indent}{key}:"
            first, *rest = _blank_lines(below[0], deep + 2)
            yield f"{indent}  - {first.lstrip()}"
            yield from rest
        elif key == ANY:  # of machines, all of it is ours
            yield f"{indent}# MACHINE:"
            yield from _blank_lines(below, deep + 1)
        else:
            yield f"{indent}{'# ' if _is_ours(below) else ''}{key}:"
            yield from _blank_lines(below, deep + 1)


def _is_ours(form: Form) -> bool:
    """Is everything below filled in by nearfar?"""
    if isinstance(form, Blank):
        return form.filled
    return all(map(_is_ours, form.values() if isinstance(form, dict) else form))


def _blank_line(indent: str, key: str, blank: Blank) -> str:
    if blank.filled:
        return f"{indent}# {key}:  # {blank.note}"
    value = "" if blank.must or blank.kind == "anything" else " !!null"
    if blank.kind == "yes or no":
        value = " true"
    return f"{indent}{key}:{value}" + (f"  # {blank.note}" if blank.note else "")
