"""What each embedder was when a detector was fitted, and whether it still is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearfar.embedder.contract import alike_of, weights_of
from nearfar.errors import WeightsError

if TYPE_CHECKING:
    from nearfar.embedder.contract import Embedder
    from nearfar.system.system import Ensemble, System

# How the fingerprint of an exported encoder begins. Its weights lie nowhere else, nor can what it
# runs on fit again: its own file says what to do.
EXPORTED = "onnx-"


@dataclass(frozen=True)
class Origin:
    """What an embedder was when the banks were made of its rows.

    Args:
        fingerprint: the embedder's.
        dim: numbers a clip.
        place: where its weights lay, as a full path or a hub id; "" for one without weights.

    >>> from nearfar.system.presets import logmel
    >>> origins(logmel())
    (Origin(fingerprint='logmel-2', dim=128, place=''),)
    """

    fingerprint: str
    dim: int  # so that banks on disk are checked without opening an encoder
    place: str = ""


def origins(system: System | Ensemble) -> tuple[Origin, ...]:
    """What the embedder of each member is now."""
    return tuple(_origin(member.embedder) for member in system.members)


def check(system: System | Ensemble, known: Sequence[Origin]) -> None:
    """Refuse embedders that would give other rows than those of the bank.

    Raises:
        WeightsError: weights that are gone or differ, or an embedder with other settings.
    """
    # A detector made by hand knows no origins, so nothing is compared.
    for member, was in zip(system.members, known, strict=False):
        check_one(member.embedder, was)


def check_one(embedder: Embedder, was: Origin) -> None:
    """Refuse an embedder that is not what it was; see `check`."""
    try:
        now = embedder.fingerprint
    except WeightsError as error:
        if was.fingerprint.startswith(EXPORTED):
            raise
        raise WeightsError(
            f"{error}. The detector was fitted with these weights: say where they are now with "
            "--weights, or fit again"
        ) from None
    if now != was.fingerprint and was.fingerprint not in alike_of(
        embedder
    ):  # rows of another encoder are no neighbours of the bank's
        raise WeightsError(
            f"{embedder!r} is not what the bank was made with ({difference(was, now)}), so scores "
            "would mean nothing; take what it was fitted with (--weights says where it is), or fit "
            "again to embed the normal clips anew"
        )


def rounded(system: System | Ensemble, known: Sequence[Origin]) -> tuple[str, ...]:
    """Embedders that give the rows of the bank but for rounding, each as "then, now".

    >>> from nearfar.system.presets import s4
    >>> rounded(s4(), [Origin("dif-1", 120)])
    ('dif-1 then, dif-2 now',)
    """
    pairs = zip(system.members, known, strict=False)
    return tuple(
        dict.fromkeys(
            difference(was, member.embedder.fingerprint)
            for member, was in pairs
            if was.fingerprint in alike_of(member.embedder)
        )
    )


def _origin(embedder: Embedder) -> Origin:
    place = weights_of(embedder)
    # A full path, for the detector may be loaded elsewhere; a hub id is no path and stays.
    if place is not None and os.path.exists(os.path.expanduser(place)):
        place = os.path.abspath(os.path.expanduser(place))
    return Origin(embedder.fingerprint, embedder.dim, place or "")


def difference(was: Origin, now: str) -> str:
    """What of two fingerprints differs, in a few words."""
    before, after = was.fingerprint.split("|"), now.split("|")
    if len(before) == len(after) == 3:  # an encoder's: kind|hash of the weights|settings
        if before[0] != after[0]:
            return f"{before[0]} then, {after[0]} now"
        if before[1] != after[1]:
            return f"other weights or config.json: {before[1][:12]}… then, {after[1][:12]}… now"
        pairs = zip(before[2].split(", "), after[2].split(", "), strict=False)
        # Settings stand in one order, so each is beside what it was.
        changed = [(a, b) for a, b in pairs if a != b]
        return ", ".join(f"{a} then, {b} now" for a, b in changed)
    return f"{was.fingerprint[:24]} then, {now[:24]} now"
