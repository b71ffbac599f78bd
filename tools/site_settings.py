"""The tables of docs/settings.md: every part of a system, each setting, and what it may be.

Names and defaults are the dataclasses', the words beside them those of the source, and "may be" is
what the program itself says to a value that cannot be right.
"""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, replace
from functools import cache
from io import StringIO
from typing import Any

import nearfar as nf
from nearfar.errors import NearfarError
from nearfar.parts.data import TYPES

# Title → the public parts below it, and how a shell names them. A test has every part in one.
GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "Systems": (("System", "Ensemble"), "--set folds=50"),
    "Front ends": (
        ("Near", "Far", "Stereo", "CoherenceMask", "FarCancel"),
        "--set frontend.floor=0.1",
    ),
    "Embedders": (
        (
            "DIF",
            "ENV",
            "LTAS",
            "Concatenated",
            "LogMel",
            "EAT",
            "BEATs",
            "YAMNet",
            "Crops",
            "OnnxEncoder",
        ),
        "--set embedder.n_mels=64",
    ),
    "Grids and pooling": (
        ("Pooled", "Mean", "Bands", "RelativeDeviation", "FarSubtracted"),
        "--set embedder.pooling=RelativeDeviation(power=4)",
    ),
    "Adaptation": (("MeanShift", "UnitLength", "Standardise"), "--set adaptation=MeanShift"),
    "Whitening": (("ZCA",), "--set whitening.shrinkage=0.1"),
    "Enrichment": (
        ("ResidualAugmentation", "PseudoTarget"),
        "--set enrichment.0.match_levels=true",
    ),
    "Scoring rule": (
        ("KNN", "LocalDensity", "VarMin", "PerBand", "PerDomain"),
        "--set rule=LocalDensity(k=1)",
    ),
    "Calibration": (("Raw", "ZScore", "Percentile"), "--set calibration=Percentile"),
    "Training": (("FineTuning",), "--set training.epochs=5"),
    "Computing": (("Runtime",), ""),
}
SHORT = 48  # characters of a default; a longer one is counted
IMPOSSIBLE = ("?", -1e9, object())  # no setting takes all of them in silence
COMMENT_NOISE = re.compile(r"\s*#? ?(noqa\b.*|fmt: .*|type: ignore.*)")
REFUSAL = re.compile(r"^[^;]*?; (?:give |take )?(?:it is )?", re.DOTALL)
SECTION = re.compile(r"^(?:Args|Raises|Returns|>>>)")


def settings() -> str:
    """All tables, as Markdown."""
    lines = []
    for title, (names, shell) in GROUPS.items():
        lines += [f"## {title}", ""]
        if shell:
            lines += [f"On the command line as in `{shell}`.", ""]
        for name in names:
            lines += [*_part(name), ""]
    return "\n".join(lines).strip()


def _part(name: str) -> Iterator[str]:
    cls = getattr(nf, name)
    yield f"### `{name}`"
    yield ""
    yield _prose(cls)
    found = fields(cls)
    yield ""
    if not found:
        yield "Nothing to set."
        return
    yield "| setting | default | may be | what it is |"
    yield "|---|---|---|---|"
    told, said = _arguments(cls), _comments(cls)
    for f in found:
        words = "; ".join(w for w in (told.get(f.name, ""), said.get(f.name, "")) if w)
        cells = (f"`{f.name}`", _default(f), _may_be(_made(name), f), words or "see above")
        yield "| " + " | ".join(c.replace("|", r"\|") for c in cells) + " |"


def _made(name: str) -> Any:
    """A part as it comes; what has no default gets something that fits."""
    made: dict[str, Any] = {
        "System": nf.s4(),
        "Ensemble": nf.Ensemble((nf.s4(), nf.logmel())),
        "EAT": nf.EAT("weights"),
        "BEATs": nf.BEATs("weights"),
        "YAMNet": nf.YAMNet("weights"),
        "OnnxEncoder": nf.OnnxEncoder("weights"),
        "Crops": nf.Crops(nf.LogMel()),
        "Pooled": nf.Pooled(nf.EAT("weights")),
        "FarSubtracted": nf.FarSubtracted(nf.LogMel()),
        "Concatenated": nf.Concatenated((nf.DIF(), nf.ENV())),
    }
    return made[name] if name in made else getattr(nf, name)()


def _default(f: Field[Any]) -> str:
    if f.default is not MISSING:
        value = f.default
    elif f.default_factory is not MISSING:
        value = f.default_factory()
    else:
        return "must be given"
    shown = repr(value)
    if len(shown) > SHORT and isinstance(value, tuple):
        return f"all {len(value)}"
    return f"`{shown}`"


def _may_be(part: Any, f: Field[Any]) -> str:
    """In the words with which an impossible value is refused; else its type."""
    for value in IMPOSSIBLE:
        try:
            replace(part, **{f.name: value})
        except NearfarError as error:
            words = REFUSAL.sub("", _words(str(error), value), count=1)
            return words.replace("it has: ", "one of ")
        except (TypeError, ValueError):
            continue
    return f"`{f.type}`"


def _words(message: str, value: object) -> str:
    """A message without the value, in which there may be a semicolon or an address."""
    return message.replace(repr(value), "")


def _prose(cls: type) -> str:
    """The paragraphs of a docstring that say what the part is."""
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    told = [p for p in paragraphs if not SECTION.match(p)]
    # What is indented is laid out by its author.
    return "\n\n".join(p if p.startswith("    ") else " ".join(p.split()) for p in told)


def _arguments(cls: type) -> dict[str, str]:
    """What the docstring says of each argument."""
    block = re.search(
        r"^Args:\n((?:    .*\n?|\n(?=    ))+)", inspect.getdoc(cls) or "", re.MULTILINE
    )
    found = re.findall(
        r"^    (\w+): ((?:.*\n?)(?:^        .*\n?)*)", block[1] if block else "", re.MULTILINE
    )
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


@cache
def _comments(cls: type) -> dict[str, str]:
    """The comments on the lines of each field; those above it where the docstring is silent."""
    source, prose = inspect.getsource(cls), _prose(cls)
    lines = source.splitlines()
    at: dict[int, str] = {}
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            at[token.start[0]] = COMMENT_NOISE.sub("", token.string.lstrip("# "))
    told, found = _arguments(cls), {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        own = [at[n] for n in range(node.lineno, (node.end_lineno or node.lineno) + 1) if n in at]
        above, n = [], node.lineno - 1
        while n in at and lines[n - 1].lstrip().startswith("#"):
            above.insert(0, at[n])
            n -= 1
        name = node.target.id
        # Comments above are for who reads the code, unless nothing else says what the setting is.
        found[name] = (
            " ".join(([] if name in told or f"`{name}" in prose else above) + own)
            .strip()
            .rstrip(".")
        )
    return found


def shown_parts() -> set[str]:
    """The names that have a table, which must be all there are."""
    return {name for names, _ in GROUPS.values() for name in names}


def public_parts() -> set[str]:
    """Whatever a person may set."""
    return {*TYPES, "FineTuning", "Runtime"}
