"""Encoders behind a detector: what they were when it was fitted, and where their weights lie now.

Weights are large and stay where they are, unless `Detector.save(weights="copy")` puts them into
the detector's folder. A detector remembers their hash: embeddings of another encoder, or of the
same in another precision, cannot be compared with its bank.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nearfar.detector.folder.disk import WEIGHTS
from nearfar.detector.origin import Origin, check_one, difference
from nearfar.embedder.contract import files_of, weights_of, with_weights
from nearfar.errors import FormatError, NearfarError, WeightsError
from nearfar.files import STALE, file_age, storage_errors
from nearfar.system.system import AnySystem, Ensemble, System


def located(
    system: AnySystem, known: Sequence[Origin], folder: Path, given: Sequence[str] = ()
) -> AnySystem:
    """The same system with its weights where they are now.

    Args:
        system: as the detector's file describes it.
        known: what its embedders were.
        folder: the detector's, which may hold copies.
        given: where a person says that they are.

    Raises:
        WeightsError: none of the given places has them.
    """
    members = tuple(
        replace(m, embedder=_placed(m.embedder, was, folder, given))
        for m, was in zip(system.members, known, strict=True)
    )
    return replace(system, members=members) if isinstance(system, Ensemble) else members[0]


def copy_weights(system: AnySystem, known: Sequence[Origin], folder: Path) -> None:
    """Put the weights of all members into a folder, each set whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
        WeightsError: the weights are gone.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for member, origin in zip(system.members, known, strict=True):
            target = folder / copy_name(origin)
            # A copy that is there and right is left: it may be the very one that is read now.
            if weights_of(member.embedder) is None or _is(member.embedder, str(target), origin):
                continue
            check_one(member.embedder, origin)  # no copy of what the bank was not made with
            part = Path(tempfile.mkdtemp(prefix=f".{WEIGHTS}", dir=folder))
            try:
                for name, file in files_of(member.embedder).items():
                    shutil.copyfile(file, part / name)
                part.chmod(0o755)  # mkdtemp's 0o700 would shut out whoever it is shared with
                shutil.rmtree(target, ignore_errors=True)  # a damaged copy
                part.rename(target)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise


def beside(system: AnySystem, known: Sequence[Origin]) -> tuple[AnySystem, tuple[Origin, ...]]:
    """A system, and what its embedders were, with weights by the names of their copies alone."""
    members, origins = list[System](), list[Origin]()
    for member, origin in zip(system.members, known, strict=True):
        if weights_of(member.embedder) is not None:
            name = copy_name(origin)
            member = replace(member, embedder=with_weights(member.embedder, name))
            origin = replace(origin, place=name)
        members.append(member)
        origins.append(origin)
    whole = replace(system, members=tuple(members)) if isinstance(system, Ensemble) else members[0]
    return whole, tuple(origins)


def copy_name(origin: Origin) -> str:
    """What a copy of the weights is called in a detector's folder."""
    # By all that the rows depend on: members with the same encoder share one copy.
    return WEIGHTS + hashlib.sha256(origin.fingerprint.encode()).hexdigest()[:16]


def drop_weights(known: Iterable[Origin], folder: Path, *, stale: float = STALE) -> None:
    """Remove copies of weights that the detector in a folder does not need any more.

    Args:
        known: what it needs.
        folder: of the detector.
        stale: s, the age from which half a copy has lost its writer; 0 if the caller is `alone`.
    """
    needed = {copy_name(origin) for origin in known}
    for path in folder.glob(f"{WEIGHTS}*"):
        if path.name not in needed:
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f".{WEIGHTS}*"):  # half a copy, whose writer was killed
        if not stale or file_age(path) > stale:
            shutil.rmtree(path, ignore_errors=True)


def as_data(known: Sequence[Origin]) -> list[dict[str, Any]]:
    """For the detector's JSON."""
    return [{"fingerprint": o.fingerprint, "dim": o.dim, "place": o.place} for o in known]


def from_data(data: Any) -> tuple[Origin, ...]:
    """Back from the detector's JSON.

    Raises:
        FormatError: not what `as_data` gave.
    """
    try:
        known = tuple(Origin(str(o["fingerprint"]), int(o["dim"]), str(o["place"])) for o in data)
    except (TypeError, LookupError, ValueError):
        raise FormatError("its embedders are not described as nearfar does; fit again") from None
    if any(o.dim < 1 for o in known):
        raise FormatError("an embedder without dimensions; fit again")
    return known


def _placed(embedder: Any, was: Origin, folder: Path, given: Sequence[str]) -> Any:
    recorded = weights_of(embedder)
    if recorded is None:
        return embedder
    if given:
        return _matching(embedder, was, given)
    # The copy first: taken elsewhere, another file may lie where the weights were.
    places = dict.fromkeys((str(folder / copy_name(was)), recorded, was.place))
    there = [place for place in places if place and os.path.exists(os.path.expanduser(place))]
    if len(there) > 1:  # which of them has the weights of the bank?
        there = [place for place in there if _is(embedder, place, was)] or there
    # None: a hub id, or gone, which is said when it is needed.
    return with_weights(embedder, there[0]) if there else embedder


def _is(embedder: Any, place: str, was: Origin) -> bool:
    """Are the weights of the bank in a place?"""
    try:
        return bool(with_weights(embedder, place).fingerprint == was.fingerprint)
    except NearfarError:  # no weights at all, or damaged ones
        return False


def _matching(embedder: Any, was: Origin, given: Sequence[str]) -> Any:
    """The embedder with the one of some places that has the weights of the bank."""
    refused: list[str] = []
    for place in given:
        candidate = with_weights(embedder, place)
        try:
            if candidate.fingerprint == was.fingerprint:
                return candidate
            refused.append(f"{place}: {difference(was, candidate.fingerprint)}")
        except NearfarError as error:
            refused.append(str(error))
    raise WeightsError(
        f"not the weights that the detector was fitted with ({'; '.join(refused)}); give those, "
        "or fit again"
    )
