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
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.errors import FormatError, NearfarError, WeightsError
from nearfar.store import STALE, WEIGHTS, file_age, storage_errors

if TYPE_CHECKING:
    from nearfar.embedder import Embedder
    from nearfar.system import Ensemble, System


@dataclass(frozen=True)
class Origin:
    """What an embedder was when the banks were made of its rows.

    Args:
        fingerprint: the embedder's.
        dim: numbers a clip.
        place: where its weights lay, as a full path or a hub id; "" for one without weights.
    """

    fingerprint: str
    dim: int
    place: str = ""

    @property
    def folder(self) -> str:
        """What a copy of the weights is called in a detector's folder."""
        return WEIGHTS + hashlib.sha256(self.fingerprint.encode()).hexdigest()[:16]


def origins(system: System | Ensemble) -> tuple[Origin, ...]:
    """What the embedder of each member is now."""
    return tuple(_origin(member.embedder) for member in system.members)


def check(system: System | Ensemble, known: Sequence[Origin]) -> None:
    """Refuse embedders that would give other rows than those of the bank.

    Raises:
        WeightsError: weights that are gone or differ, or an embedder with other settings.
    """
    for member, was in zip(system.members, known, strict=False):
        check_one(member.embedder, was)


def check_one(embedder: Embedder, was: Origin) -> None:
    """Refuse an embedder that is not what it was; see `check`."""
    try:
        now = embedder.fingerprint
    except WeightsError as error:
        raise WeightsError(
            f"{error}. The detector was fitted with these weights: say where they are now with "
            "--weights (load(…, weights=…) in Python), or fit again"
        ) from None
    if now != was.fingerprint:
        raise WeightsError(
            f"{embedder!r} is not what the bank was made with ({_difference(was, now)}), so scores "
            "would mean nothing; take what it was fitted with (--weights says where it is), or fit "
            "again to embed the normal clips anew"
        )


def located(system: Any, known: Sequence[Origin], folder: Path, given: Sequence[str] = ()) -> Any:
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
    is_ensemble = any(field.name == "members" for field in fields(system))
    return replace(system, members=members) if is_ensemble else members[0]


def copy_weights(system: System | Ensemble, known: Sequence[Origin], folder: Path) -> None:
    """Put the weights of all members into a folder, each set whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
        WeightsError: the weights are gone.
    """
    from nearfar.eat.weights import CONFIG, TENSORS, open_weights

    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for member, origin in zip(system.members, known, strict=True):
            place, target = weights_of(member.embedder), folder / origin.folder
            if place is None or _is(member.embedder, str(target), origin):
                continue
            check_one(member.embedder, origin)
            tensors = open_weights(place).path
            part = Path(tempfile.mkdtemp(prefix=f".{WEIGHTS}", dir=folder))
            try:
                shutil.copyfile(tensors, part / TENSORS)
                if (tensors.parent / CONFIG).is_file():
                    shutil.copyfile(tensors.parent / CONFIG, part / CONFIG)
                part.chmod(0o755)
                shutil.rmtree(target, ignore_errors=True)  # a damaged copy
                part.rename(target)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise


def drop_weights(known: Iterable[Origin], folder: Path) -> None:
    """Remove copies of weights that the detector in a folder does not need any more."""
    needed = {origin.folder for origin in known}
    for path in folder.glob(f"{WEIGHTS}*"):
        if path.name not in needed:
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f".{WEIGHTS}*"):  # half a copy, whose writer was killed
        if file_age(path) > STALE:
            shutil.rmtree(path, ignore_errors=True)


def weights_of(embedder: Any) -> str | None:
    """Where an embedder, or the one inside it, has its weights; None if it has none."""
    place = getattr(embedder, "weights", None)
    if isinstance(place, str):
        return place
    inner = getattr(embedder, "embedder", None)
    return None if inner is None else weights_of(inner)


def with_weights(embedder: Any, place: str) -> Any:
    """The same embedder with its weights elsewhere."""
    if isinstance(getattr(embedder, "weights", None), str):
        return replace(embedder, weights=place)
    return replace(embedder, embedder=with_weights(embedder.embedder, place))


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


def _origin(embedder: Embedder) -> Origin:
    place = weights_of(embedder)
    if place is not None and os.path.exists(os.path.expanduser(place)):
        place = os.path.abspath(os.path.expanduser(place))
    return Origin(embedder.fingerprint, embedder.dim, place or "")


def _placed(embedder: Any, was: Origin, folder: Path, given: Sequence[str]) -> Any:
    recorded = weights_of(embedder)
    if recorded is None:
        return embedder
    if given:
        return _matching(embedder, was, given)
    places = dict.fromkeys((str(folder / was.folder), recorded, was.place))
    there = [place for place in places if place and os.path.exists(os.path.expanduser(place))]
    if len(there) > 1:  # which of them has the weights of the bank?
        there = [place for place in there if _is(embedder, place, was)] or there
    # None: a hub id, or gone, which is said when it is needed.
    return with_weights(embedder, there[0]) if there else embedder


def _is(embedder: Any, place: str, was: Origin) -> bool:
    """Are the weights of the bank in a place?"""
    try:
        return bool(with_weights(embedder, place).fingerprint == was.fingerprint)
    except NearfarError:
        return False


def _matching(embedder: Any, was: Origin, given: Sequence[str]) -> Any:
    """The embedder with the one of some places that has the weights of the bank."""
    refused: list[str] = []
    for place in given:
        candidate = with_weights(embedder, place)
        try:
            if candidate.fingerprint == was.fingerprint:
                return candidate
            refused.append(f"{place}: {_difference(was, candidate.fingerprint)}")
        except NearfarError as error:
            refused.append(str(error))
    raise WeightsError(
        f"not the weights that the detector was fitted with ({'; '.join(refused)}); give those, "
        "or fit again"
    )


def _difference(was: Origin, now: str) -> str:
    """What of two fingerprints differs, in a few words."""
    before, after = was.fingerprint.split("|"), now.split("|")
    if len(before) == len(after) == 3:
        if before[0] != after[0]:
            return f"{before[0]} then, {after[0]} now"
        if before[1] != after[1]:
            return f"other weights or config.json: {before[1][:12]}… then, {after[1][:12]}… now"
        pairs = zip(before[2].split(", "), after[2].split(", "), strict=False)
        changed = [(a, b) for a, b in pairs if a != b]
        return ", ".join(f"{a} then, {b} now" for a, b in changed)
    return f"{was.fingerprint[:24]} then, {now[:24]} now"
