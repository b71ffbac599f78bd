"""A detector as a folder: one JSON file and one safetensors bank per machine and section.

`detector.json` holds the recipe as data, thresholds, channel order and where everything came from;
it ends with its own hash and names every bank with the bank's hash. No pickle, ever.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.adapt import Adaptation, Adapted
from nearfar.calibrate import check_rate
from nearfar.encoders import (
    Origin,
    as_data,
    copy_weights,
    drop_weights,
    located,
    origins,
    weights_of,
)
from nearfar.encoders import from_data as embedders_from_data
from nearfar.errors import FormatError, NearfarError, StorageError, WeightsError
from nearfar.fitting import Member
from nearfar.recipe import from_data, to_data
from nearfar.section import Section, TrainingClip
from nearfar.store import check_folder, storage_errors, write_folder
from nearfar.version import __version__
from nearfar.whiten import Whitening

if TYPE_CHECKING:
    from nearfar.audio import ChannelOrder
    from nearfar.system import Ensemble, System

FORMAT = 2  # raised whenever an older nearfar could not read the folder
UNADAPTED = 1  # format of a detector without adaptation, which older ones can read
INDEX = "detector.json"
LEARNED = "adaptation."  # before the name of what an adaptation learned, in a bank's file


@dataclass(frozen=True, eq=False)
class Content:
    """What the folder holds: everything a detector is made of."""

    system: System | Ensemble
    sections: Mapping[tuple[str, str], Section]
    order: ChannelOrder
    false_alarm_rate: float
    origins: tuple[Origin, ...] = ()  # what the embedder of each member was


def check_target(folder: Path) -> bool:
    """Refuse a place that no detector can be written to, before any work is done.

    Returns:
        Is there a detector already, which would be replaced?

    Raises:
        StorageError: a file, or a folder with other things in it.
    """
    there = check_folder(folder, INDEX)
    if there:
        with storage_errors(folder):
            head = (folder / INDEX).read_bytes()
        if b'"nearfar"' not in head:
            raise StorageError(f"{folder}: its {INDEX} is not ours; choose a new folder")
    return there


def write(
    folder: Path,
    content: Content,
    thresholds: Mapping[tuple[str, str], float],
    *,
    with_weights: bool = False,
) -> None:
    """Write a detector; the one that was there survives any failure.

    Args:
        folder: made if it is not there.
        content: what to write.
        thresholds: of each section, for people who read the file; drawn again when it is loaded.
        with_weights: put a copy of the encoders' weights into the folder.

    Raises:
        StorageError: the folder cannot be written.
        SettingError: a part has a value that is no plain data.
        WeightsError: weights to be copied are gone.
    """
    from safetensors.numpy import save as to_bytes

    banks: dict[str, bytes] = {}
    sections = []
    for key, section in content.sections.items():
        tensors = to_bytes(_tensors(section))
        digest = hashlib.sha256(tensors).hexdigest()
        file = f"bank-{digest[:32]}.safetensors"
        banks[file] = tensors
        entry = {"machine": key[0], "section": key[1], "bank": file, "sha256": digest}
        sections.append(entry | {"threshold": thresholds[key]} | _section_data(section))
    data = {
        "format": FORMAT if _adapts(content.system) else UNADAPTED,
        "system": to_data(content.system),
        "channel_order": content.order,
        "false_alarm_rate": content.false_alarm_rate,
        "provenance": {
            "nearfar": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "embedders": as_data(content.origins),
        "sections": sections,
    }
    data["sha256"] = _hash(data)
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    was_there = check_target(folder)
    try:
        if with_weights:
            copy_weights(content.system, content.origins, folder)
        write_folder(folder, INDEX, text, banks)
    except BaseException:
        if not was_there and folder.is_dir() and not (folder / INDEX).exists():
            drop_weights((), folder)
            with suppress(OSError):
                folder.rmdir()
        raise
    drop_weights(content.origins, folder)


def read(folder: Path, types: Sequence[type] = (), weights: Sequence[str] = ()) -> Content:
    """Read what `write` wrote.

    Args:
        folder: of a detector.
        types: classes of the caller's own parts.
        weights: where the encoders' weights are, if not where they were.

    Raises:
        FormatError: not a detector, from a newer nearfar, damaged, or with a part that is not ours.
        WeightsError: the weights given are not those of the bank.
    """
    data = _read_index(folder / INDEX)
    try:
        system = from_data(data["system"], types)
        _check_system(system)
        known = _origins(data, system)
        system = located(system, known, folder, weights)
        dims = [o.dim for o in known]
        sections = {}
        for entry in data["sections"]:
            key = str(entry["machine"]), str(entry["section"])
            if key in sections:
                raise FormatError(
                    f"machine {key[0]}, section {key[1]} is there twice; fit it again"
                )
            sections[key] = _section(folder, entry, system, dims)
        if not sections:
            raise FormatError("a detector without sections; fit it again")
        rate = check_rate(data["false_alarm_rate"])
        return Content(system, sections, _order(data), rate, known)
    except WeightsError:
        raise
    except FormatError as error:
        raise FormatError(f"{folder}: {error}") from None
    except (NearfarError, LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__} {error}".strip()
        raise FormatError(
            f"{folder / INDEX}: not as nearfar writes it ({what}); fit again"
        ) from None


def _read_index(path: Path) -> dict[str, Any]:
    try:
        with storage_errors(path):
            text = path.read_bytes().decode()
    except NearfarError:
        state = "is no folder" if not path.parent.is_dir() else f"has no readable {path.name}"
        raise FormatError(
            f"{path.parent}: {state}; make one with nearfar fit DATA -o DIR"
        ) from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: not UTF-8 text; the file is damaged, fit again") from None
    try:
        data = json.loads(text)
        fits = _hash(data) if isinstance(data, dict) else ""
    except (ValueError, RecursionError):
        raise FormatError(f"{path}: not JSON; the file is damaged, fit again") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise FormatError(f"{path}: not a nearfar detector")
    if data["format"] < 1:
        raise FormatError(f"{path}: format {data['format']}, there is none below 1; fit again")
    if data["format"] > FORMAT:
        raise FormatError(
            f"{path}: format {data['format']}, this nearfar {__version__} reads up to {FORMAT}; "
            "upgrade nearfar"
        )
    if data.get("sha256") != fits:
        raise FormatError(
            f"{path}: changed since it was written (its sha256 does not fit); fit again, or "
            "change thresholds with nearfar threshold"
        )
    return data


def _origins(data: Mapping[str, Any], system: Any) -> tuple[Origin, ...]:
    """What the embedders were; a detector of an early nearfar does not say, and has no weights."""
    if "embedders" not in data:
        return origins(system)
    known = embedders_from_data(data["embedders"])
    if len(known) != len(system.members):
        raise FormatError(f"{len(known)} embedders for {len(system.members)} systems; fit again")
    for member, origin in zip(system.members, known, strict=True):
        # Weights need not be here yet, when only thresholds are asked for.
        if weights_of(member.embedder) is None and member.embedder.dim != origin.dim:
            raise FormatError(f"{member.embedder!r} has not {origin.dim} dimensions; fit again")
    return known


def _section(folder: Path, entry: Mapping[str, Any], system: Any, dims: Sequence[int]) -> Section:
    tensors = _read_bank(folder / Path(entry["bank"]).name, entry["sha256"])
    facts = zip(entry["facts"], dims, strict=True)
    members = tuple(
        _member(tensors, i, fact, dim, recipe.adaptation)
        for i, ((fact, dim), recipe) in enumerate(zip(facts, system.members, strict=True))
    )
    clips = tuple(TrainingClip(str(name), str(digest)) for name, digest in entry["clips"])
    for member in members:
        if len(member.self_scores) != len(clips) or not len(clips):
            raise FormatError(f"{entry['bank']}: {len(clips)} clips do not fit its rows; fit again")
    for member, recipe in zip(members, system.members, strict=True):
        if (member.whitening is None) != (recipe.whitening is None):
            raise FormatError(f"{entry['bank']}: whitened other than its system; fit again")
    low_high, seconds = entry["levels_db"], float(entry["clip_seconds"])
    levels = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    if not np.isfinite([seconds, *(levels or ())]).all() or seconds <= 0:
        raise FormatError(f"{entry['bank']}: clips of {seconds} s at {levels} dB; fit again")
    return Section(members, clips, levels, seconds, _fresh(entry, len(clips)))


def _fresh(entry: Mapping[str, Any], clips: int) -> tuple[bool, ...] | None:
    """Which clips no encoder was trained on, kept as their places."""
    places = entry.get("fresh")
    if places is None:
        return None
    chosen = {int(place) for place in places}
    if not chosen <= set(range(clips)):
        raise FormatError(f"{entry['bank']}: fresh clips that are not there; fit again")
    return tuple(i in chosen for i in range(clips))


def _section_data(section: Section) -> dict[str, Any]:
    return {
        "levels_db": section.levels,
        "clip_seconds": section.seconds,
        "fresh": None if section.fresh is None else np.flatnonzero(section.fresh).tolist(),
        "facts": [_finite(m.facts) for m in section.members],
        "clips": [[c.name, c.digest] for c in section.clips],
    }


def _read_bank(path: Path, wanted: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path.name}: cannot be read ({error.strerror}); fit again") from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise FormatError(
            f"{path.name}: damaged or truncated ({len(content)} bytes, sha256 does not fit); "
            "copy it again or fit again"
        )
    try:
        tensors: dict[str, NDArray[Any]] = from_bytes(content)
    except (SafetensorError, ValueError) as error:
        raise FormatError(f"{path.name}: no safetensors file ({error}); fit again") from None
    return tensors


def _tensors(section: Section) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {}
    for i, member in enumerate(section.members):
        tensors[f"{i}.embeddings"] = np.ascontiguousarray(member.embeddings)
        tensors[f"{i}.origin"] = member.origin.astype(np.int64)
        tensors[f"{i}.domain"] = member.domain.astype(np.int8)
        tensors[f"{i}.self_scores"] = member.self_scores
        if member.whitening is not None:
            tensors[f"{i}.mean"] = member.whitening.mean
            tensors[f"{i}.matrix"] = np.ascontiguousarray(member.whitening.matrix)
        if member.adaptation is not None:
            for name, learned in member.adaptation.learned.items():
                tensors[f"{i}.{LEARNED}{name}"] = np.ascontiguousarray(learned)
    return tensors


def _member(
    tensors: Mapping[str, NDArray[Any]],
    i: int,
    facts: Mapping[str, Any],
    dim: int,
    adaptation: Adaptation | None,
) -> Member:
    embeddings, origin = tensors[f"{i}.embeddings"], tensors[f"{i}.origin"]
    domain, scores = tensors[f"{i}.domain"], tensors[f"{i}.self_scores"]
    whitening = None
    parts = [embeddings, scores]
    if f"{i}.mean" in tensors:
        whitening = Whitening(tensors[f"{i}.mean"], tensors[f"{i}.matrix"])
        parts += [whitening.mean, whitening.matrix]
        if whitening.mean.shape != (dim,) or whitening.matrix.shape != (dim, dim):
            raise FormatError(
                f"member {i}: a whitening of {whitening.matrix.shape} for {dim} numbers"
            )
    n = len(scores)
    if (
        embeddings.shape != (len(origin), dim)
        or domain.shape != origin.shape
        or not 0 < n <= len(origin)
        or not np.isin(origin, origin[:n]).all()
        or not all(np.isfinite(part).all() for part in parts)
    ):
        raise FormatError(f"member {i}: bank rows that do not fit each other; fit again")
    known = {str(k): float("nan") if v is None else float(v) for k, v in facts.items()}
    adapted = _adapted(tensors, i, dim, adaptation)
    return Member(embeddings, origin, domain, whitening, scores, known, adapted)


def _adapted(
    tensors: Mapping[str, NDArray[Any]], i: int, dim: int, adaptation: Adaptation | None
) -> Adapted | None:
    prefix = f"{i}.{LEARNED}"
    learned = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if adaptation is None and not learned:
        return None
    if adaptation is None or any(
        v.shape[-1:] != (dim,) or not np.isfinite(v).all() for v in learned.values()
    ):
        raise FormatError(f"member {i}: adapted other than its system; fit again")
    adapted = Adapted(adaptation, learned)
    adapted(np.zeros((1, dim)))  # what is missing or does not fit shows now, not at the first clip
    return adapted


def _adapts(system: System | Ensemble) -> bool:
    return any(member.adaptation is not None for member in system.members)


def _check_system(system: Any) -> None:
    if not hasattr(system, "members") or not hasattr(system, "false_alarm_rate"):
        raise FormatError(f"its system is {system!r}, which is no System; fit again")


def _order(data: Mapping[str, Any]) -> Any:
    order = data["channel_order"]
    if order not in ("near-far", "far-near"):
        raise FormatError(f"channel order {order!r}; it is 'near-far' or 'far-near'")
    return order


def _finite(facts: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {k: v if np.isfinite(v) else None for k, v in facts.items()}


def _hash(data: Mapping[str, Any]) -> str:
    """Of everything but the hash itself; floats survive JSON exactly."""
    rest = {k: v for k, v in data.items() if k != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
