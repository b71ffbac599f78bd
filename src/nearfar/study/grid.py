"""Candidates to choose from: all combinations of some values of a system's settings."""

from __future__ import annotations

import ast
import itertools
import math
import warnings
from collections.abc import Sequence

from nearfar.embedder.contract import training_of
from nearfar.errors import SettingError
from nearfar.parts.change import with_setting
from nearfar.parts.data import to_data
from nearfar.study.claims import Variant
from nearfar.system.system import AnySystem

MOST = 200  # combinations; each is a fit, and the more there are the more peeking flatters
EXAMPLE = "whitening.shrinkage=[0.01,0.1,'ledoit-wolf']"


def grid(system: AnySystem, vary: Sequence[str]) -> tuple[Variant, ...]:
    """The systems to choose from: all combinations of the values, and the system as given.

    Args:
        system: as given.
        vary: `"part.setting=[value, …]"`, each value a Python literal or a bare word.

    Returns:
        The system as given first, then the other combinations in their order.

    Raises:
        SettingError: nothing to vary, no list of values, an unknown setting, a value that its part
            refuses, two combinations that are one system, more than 200, or an encoder that would
            have to be trained anew.
    """
    if not vary:
        raise SettingError(f"nothing to choose from; say --vary such as {EXAMPLE}")
    axes = [_assignments(text) for text in vary]
    count = math.prod(len(axis) for axis in axes)
    if count > MOST:
        raise SettingError(f"{count} combinations of values, at most {MOST}; give fewer")
    found: list[Variant] = []
    for combination in itertools.product(*axes):
        changed = system
        for assignment, _ in combination:
            changed = with_setting(changed, assignment)
        to_data(changed)  # a value of another kind than settings have is refused here
        name = ", ".join(shown for _, shown in combination)
        twin = next((v.name for v in found if v.system == changed), None)
        if twin is not None:
            raise SettingError(f"{twin} and {name} are the same system; give each value once")
        found.append(Variant(name, changed))
    own = next((f"{v.name} (as given)" for v in found if v.system == system), "as given")
    others = [v for v in found if v.system != system]
    _refuse_training(system, others)
    return (Variant(own, system), *others)


def _assignments(text: str) -> list[tuple[str, str]]:
    """`part.setting=[a, b]` → ("part.setting=a" for with_setting, the same for a person), …"""
    path, _, listed = (piece.strip() for piece in text.partition("="))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes and the like, to no line of a file
            tree: ast.AST = ast.parse(listed, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        tree = ast.Constant(None)
    if not path or not isinstance(tree, ast.List) or not tree.elts:
        raise SettingError(
            f"{text!r} is not part.setting=[value, …], as in {EXAMPLE} (words in quotes)"
        )
    return [_assignment(path, listed, node) for node in tree.elts]


def _assignment(path: str, listed: str, node: ast.expr) -> tuple[str, str]:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        word = ast.get_source_segment(listed, node) or ""  # a shell takes quotes away
        return f"{path}={word}", f"{path}={word}"
    return f"{path}={value!r}", f"{path}={value}"


def _refuse_training(system: AnySystem, others: Sequence[Variant]) -> None:
    for variant in others:
        for before, after in zip(system.members, variant.system.members, strict=True):
            if before.chain == after.chain:
                continue
            if any(training_of(m.embedder) is not None for m in (before, after)):
                raise SettingError(
                    f"{variant.name}: a trained encoder goes with the front end and the settings "
                    "it was trained with, another is trained anew with nearfar finetune; vary "
                    "what needs no training, such as whitening, rule or calibration"
                )
