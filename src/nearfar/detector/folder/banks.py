"""A section's members as tensors of one safetensors file, and back, checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.folder.tracks import traces_data, traces_in, workings_data, workings_in
from nearfar.detector.member import Member
from nearfar.detector.origin import Origin
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import FormatError
from nearfar.scoring.adapt import Adaptation, Adapted
from nearfar.scoring.whiten import Whitening

LEARNED = "adaptation."  # before the name of what an adaptation learned, in a bank's file
# A bank whose rows take more products to whiten, each row being as wide, is kept whitened too. Of
# 10,000 rows of 1,024 the first score then comes after 0.6 s instead of 1.2, for 82 MB more on the
# disk; narrow rows are whitened about as quickly as they are read and hashed.
LARGE, WIDE = 1 << 32, 512
OWNER = "nearfar"  # the only key of a bank's metadata: safetensors writes several in any order


def read_section(
    folder: Path, entry: Mapping[str, Any], system: Any, known: Sequence[Origin]
) -> Section:
    """One section, as its entry in the index and its bank describe it.

    Args:
        folder: the detector's.
        entry: of the section in the index.
        system: whose members the bank has.
        known: what the embedder of each member was; as recorded, for to ask an encoder would open
            its weights.

    Raises:
        FormatError: damaged, truncated, another section's, or parts that do not fit each other.
    """
    # By its name alone: a path in a folder from elsewhere must not lead out of it.
    wanted = owner(str(entry["machine"]), str(entry["section"]), known)
    tensors = read_bank(folder / Path(entry["bank"]).name, entry["sha256"], wanted)
    facts = zip(entry["facts"], known, strict=True)
    members = tuple(
        _member(tensors, i, fact, origin.dim, recipe.adaptation)
        for i, ((fact, origin), recipe) in enumerate(zip(facts, system.members, strict=True))
    )
    clips = tuple(TrainingClip(str(name), str(digest)) for name, digest in entry["clips"])
    # The hash is only of the bank: an index written by hand may still not fit it.
    for member in members:
        if len(member.self_scores) != len(clips) or not len(clips):
            raise FormatError(f"{entry['bank']}: {len(clips)} clips do not fit its rows; fit again")
    for member, recipe in zip(members, system.members, strict=True):
        if (member.whitening is None) != (recipe.whitening is None):
            raise FormatError(f"{entry['bank']}: whitened other than its system; fit again")
    low_high, seconds = entry["levels_db"], float(entry["clip_seconds"])
    levels = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    # Verdicts compare with these; with a nan no clip would ever be doubted.
    near = None if entry.get("near_dbfs") is None else tuple(map(float, entry["near_dbfs"]))
    if not np.isfinite([seconds, *(levels or ()), *(near or ())]).all() or seconds <= 0:
        raise FormatError(f"{entry['bank']}: clips of {seconds} s at {levels} dB; fit again")
    if near is not None and len(near) != 2:
        raise FormatError(f"{entry['bank']}: near levels of {near} dBFS; fit again")
    traces = traces_in(tensors, len(clips))
    return Section(members, clips, levels, seconds, _fresh(entry, len(clips)), near, traces)


def _fresh(entry: Mapping[str, Any], clips: int) -> tuple[bool, ...] | None:
    """Which clips no encoder was trained on, kept as their places."""
    places = entry.get("fresh")
    if places is None:  # nothing was trained, or a nearfar wrote it that trained nothing
        return None
    chosen = {int(place) for place in places}
    if not chosen <= set(range(clips)):
        raise FormatError(f"{entry['bank']}: fresh clips that are not there; fit again")
    return tuple(i in chosen for i in range(clips))


def section_data(section: Section) -> dict[str, Any]:
    """What the index says of a section."""
    return {
        "levels_db": section.levels,
        "clip_seconds": section.seconds,
        # Not of a detector that was written before: it is written again as it was.
        **({} if section.near is None else {"near_dbfs": section.near}),
        # Places, for a trained encoder has heard most of them.
        "fresh": None if section.fresh is None else np.flatnonzero(section.fresh).tolist(),
        "facts": [finite(m.facts) for m in section.members],
        "clips": [[c.name, c.digest] for c in section.clips],
    }


def owner(machine: str, section: str, known: Sequence[Origin]) -> dict[str, Any]:
    """Whose a bank is: the machine, the section, and the embedder of each member."""
    return {"machine": machine, "section": section, "members": [o.fingerprint for o in known]}


def bank_of(section: Section, whose: Mapping[str, Any]) -> bytes:
    """A bank's file: the tensors of a section, and whose they are; equal ones are equal bytes."""
    return bank_file(tensors_of(section), whose)


def bank_file(tensors: dict[str, NDArray[Any]], whose: Mapping[str, Any]) -> bytes:
    """Tensors and whose they are, as bytes."""
    from safetensors.numpy import save as to_bytes

    text = json.dumps(whose, sort_keys=True, separators=(",", ":"))
    return to_bytes(tensors, metadata={OWNER: text})


def _owner_in(content: bytes) -> dict[str, Any] | None:
    """Whose a bank says that it is; None where it says nothing, as those of an early nearfar."""
    try:
        # The header is its own length, 8 bytes, and JSON; the tensors behind it are not touched.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return dict(json.loads(header["__metadata__"][OWNER]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _check_owner(name: str, content: bytes, wanted: Mapping[str, Any]) -> None:
    """Refuse a bank of another section: what it says would be true, but not of this machine."""
    found = _owner_in(content)
    if found is None or found == wanted:
        return
    his, ours = (f"{w.get('machine')} {w.get('section')}" for w in (found, wanted))
    if his == ours:
        his, ours = "other members", "those of its system"
    raise FormatError(
        f"{name}: is of {his}, not of {ours}; copy the whole detector again, or fit again"
    )


def read_bank(path: Path, wanted: str, whose: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The tensors of a bank's file, which is whole and whose it should be.

    Raises:
        FormatError: it is not, or cannot be read.
    """
    # Here: `import nearfar` loads neither.
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path.name}: cannot be read ({error.strerror}); fit again") from None
    _check_owner(path.name, content, whose)  # first: a bank that was swapped is not damaged
    # Read once and hashed in memory, so what was checked is what is used.
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


def tensors_of(section: Section) -> dict[str, NDArray[Any]]:
    """What the bank of a section holds: for each member its rows and what was fitted on them."""
    tensors: dict[str, NDArray[Any]] = {}
    for i, member in enumerate(section.members):
        tensors[f"{i}.embeddings"] = np.ascontiguousarray(
            member.embeddings
        )  # bytes are written as they lie
        tensors[f"{i}.origin"] = member.origin.astype(np.int64)
        tensors[f"{i}.domain"] = member.domain.astype(np.int8)
        tensors[f"{i}.self_scores"] = member.self_scores
        if member.whitening is not None:
            tensors[f"{i}.mean"] = member.whitening.mean
            tensors[f"{i}.matrix"] = np.ascontiguousarray(member.whitening.matrix)
            if member.scaled is not None or _is_large(member):
                kept = member.bank.embeddings if member.scaled is None else member.scaled
                tensors[f"{i}.scaled"] = np.ascontiguousarray(kept)
        if member.workings is not None:
            for name, worked in workings_data(member.workings).items():
                tensors[f"{i}.{name}"] = worked
        if member.adaptation is not None:
            for name, learned in member.adaptation.learned.items():
                tensors[f"{i}.{LEARNED}{name}"] = np.ascontiguousarray(learned)
    if section.traces is not None:
        tensors |= traces_data(section.traces)
    return tensors


def _is_large(member: Member) -> bool:
    rows, dim = member.embeddings.shape
    return bool(dim >= WIDE and rows * dim * dim > LARGE)


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
    parts = [embeddings, scores]  # all that must be finite: a nan would be in every score
    if f"{i}.mean" in tensors:
        whitening = Whitening(tensors[f"{i}.mean"], tensors[f"{i}.matrix"])
        parts += [whitening.mean, whitening.matrix]
        if whitening.mean.shape != (dim,) or whitening.matrix.shape != (dim, dim):
            raise FormatError(
                f"member {i}: a whitening of {whitening.matrix.shape} for {dim} numbers"
            )
    scaled = tensors.get(f"{i}.scaled")
    if scaled is not None:
        parts.append(scaled)
    n = len(scores)  # real rows, which come first
    if (
        embeddings.shape != (len(origin), dim)
        or domain.shape != origin.shape
        or (scaled is not None and scaled.shape != embeddings.shape)
        or not 0 < n <= len(origin)
        # Every made row is of a real clip, whose name a verdict may need.
        or not np.isin(origin, origin[:n]).all()
        or not all(np.isfinite(part).all() for part in parts)
    ):
        raise FormatError(f"member {i}: bank rows that do not fit each other; fit again")
    # JSON has null for nan; a fact that this nearfar does not know is kept.
    known = {str(k): float("nan") if v is None else float(v) for k, v in facts.items()}
    adapted = _adapted(tensors, i, dim, adaptation)
    workings = workings_in(tensors, i, origin[n:], dim, n)
    return Member(embeddings, origin, domain, whitening, scores, known, adapted, scaled, workings)


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


def finite(facts: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {k: v if np.isfinite(v) else None for k, v in facts.items()}
