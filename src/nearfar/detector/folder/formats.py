"""Which format a detector's folder has: the lowest that can hold it, so that many can read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from nearfar.errors import FormatError
from nearfar.parts.data import TYPES, UNSAVED_DEFAULT

if TYPE_CHECKING:
    from nearfar.sound.audio import ChannelOrder
    from nearfar.system.system import Ensemble, System

FORMAT = 6  # raised whenever an older nearfar could not read the folder, or would misread it
UNADAPTED = 1  # of a detector with parts of the first nearfar alone
ADAPTED = 2  # with an adaptation
CHOSEN = 3  # with two channels of several in its order
BY_DOMAIN = 4  # with thresholds by domain
NEW_PART = 5  # with a part, or a setting, that came later
LEARNT = 6  # with clips learnt or forgotten since its fit: an older nearfar would not know of them
# Parts that a nearfar of format 4 knows. To one that does not know a part of ours it would seem a
# part of somebody's own, and people would look for its file where there is none: any other is 5.
KNOWN = frozenset({
    "System", "Ensemble", "Near", "Far", "Stereo", "CoherenceMask", "FarCancel", "DIF", "LogMel",
    "EAT", "Crops", "MeanShift", "UnitLength", "Standardise", "ZCA", "ResidualAugmentation",
    "PseudoTarget", "KNN", "Raw", "ZScore", "Percentile",
})  # fmt: skip


def format_of(
    system: System | Ensemble, order: ChannelOrder, *, by_domain: bool, learnt: bool = False
) -> int:
    """The lowest format that can hold a detector.

    Args:
        system: its recipe.
        order: of the channels.
        by_domain: has it a threshold for each domain?
        learnt: has it learnt or forgotten clips since its fit?

    >>> from nearfar.scoring.local import VarMin
    >>> from nearfar.system.presets import s4
    >>> from dataclasses import replace
    >>> [format_of(replace(s4(), **new), "near-far", by_domain=False)
    ...  for new in ({}, {"rule": VarMin(metric="euclidean")})]
    [1, 5]
    """
    if learnt:
        return LEARNT
    if any(_is_new(part) for part in _parts(system)):
        return NEW_PART
    if by_domain:  # an older nearfar would judge by the thresholds of all
        return BY_DOMAIN
    if not isinstance(order, str):  # two channels of several
        return CHOSEN
    adapts = any(member.adaptation is not None for member in system.members)
    return ADAPTED if adapts else UNADAPTED


def license_in(data: Mapping[str, Any]) -> str:
    """The licence of the recordings that an index states; "" where it states none.

    Raises:
        FormatError: no text.

    >>> license_in({"data_license": "CC0"}), license_in({})
    ('CC0', '')
    """
    given = data.get("data_license", "")
    if not isinstance(given, str):
        raise FormatError(f"data_license {given!r}; it is a text")
    return given


def _parts(part: Any) -> Iterator[Any]:
    """A part and all parts within it."""
    if isinstance(part, tuple):
        for one in part:
            yield from _parts(one)
    elif is_dataclass(part):
        yield part
        for setting in fields(part):
            yield from _parts(getattr(part, setting.name))


def _is_new(part: Any) -> bool:
    """Is it a part of ours, or has it a setting, that a nearfar of format 4 does not know?"""
    name = type(part).__name__
    if name in TYPES and name not in KNOWN:  # a person's own is theirs in any format
        return True
    return any(
        setting.metadata == UNSAVED_DEFAULT
        and setting.name != "adaptation"  # which has a format of its own
        and getattr(part, setting.name) != setting.default
        for setting in fields(part)
    )
