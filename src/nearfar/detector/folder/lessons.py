"""What a section has learnt since its fit, as an entry of the index and a bank of its own.

The bank of the fit stays the file that it is: taken back, what was learnt leaves no trace in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.folder.banks import bank_file, finite, owner, read_bank
from nearfar.detector.folder.disk import BANK, LOG
from nearfar.detector.folder.tracks import traces_data, traces_in
from nearfar.detector.learning.growth import Grown, grow
from nearfar.detector.learning.learnt import Learnt, LearntRows
from nearfar.detector.learning.lesson import Lesson, from_lines, settled, state_of
from nearfar.detector.origin import Origin
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import FormatError
from nearfar.scoring.enrich import Pool

if TYPE_CHECKING:
    from nearfar.system.system import Ensemble, System

KEY = "learnt"  # of a section's entry in the index
NOTHING: Mapping[str, Any] = {"clips": (), "forgotten": ()}  # of a section that is as fitted


def grown_data(
    section: Grown, key: tuple[str, str], known: Sequence[Origin]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the index says of it, and its bank by the name of the file.

    Args:
        section: with something learnt or forgotten.
        key: machine and section.
        known: what the embedder of each member was.
    """
    learnt = section.learnt
    if learnt is None:
        raise ValueError("a section of which nobody knows what it has learnt")
    content = bank_file(_tensors(section, learnt), _whose(key, known))
    digest = hashlib.sha256(content).hexdigest()
    name = f"{BANK}{digest[:32]}.safetensors"
    said = {
        "bank": name,
        "sha256": digest,
        "clips": [[clip.name, clip.digest] for clip in learnt.clips],
        "forgotten": list(section.forgotten),
        "fresh": None if learnt.fresh is None else np.flatnonzero(learnt.fresh).tolist(),
        "facts": [finite(member.facts) for member in section.members],
    }
    return said, {name: content}


def clips_in(entry: Mapping[str, Any]) -> int:
    """How many clips a section knows, with those learnt since its fit."""
    since = entry.get(KEY, NOTHING)
    return len(entry["clips"]) + len(since["clips"]) - len(since["forgotten"])


def lessons_in(folder: Path, data: Mapping[str, Any]) -> tuple[Lesson, ...]:
    """What the log says that took place; a detector without one has learnt nothing yet.

    Args:
        folder: the detector's.
        data: its index.
    """
    # No score needs it: gone or damaged, it stops nothing.
    path = folder / LOG
    try:
        # A link leads to a file of somebody's; a pipe would be waited for.
        ours = path.is_file() and not path.is_symlink()
        text = path.read_bytes().decode(errors="replace") if ours else ""
    except OSError:
        return ()
    state = state_of(
        (
            str(e["machine"]), str(e["section"]), [digest for _, digest in e["clips"]],
            [digest for _, digest in e.get(KEY, NOTHING)["clips"]],
            e.get(KEY, NOTHING)["forgotten"],
        )
        for e in data["sections"]
    )  # fmt: skip
    return settled(from_lines(text), state, fitted=not any(KEY in e for e in data["sections"]))


def _whose(key: tuple[str, str], known: Sequence[Origin]) -> dict[str, Any]:
    return owner(*key, known) | {"rows": KEY}  # not those of a fit


def _tensors(section: Grown, learnt: Learnt) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = dict(traces_data(learnt.traces))
    tensors["clips.domain"] = learnt.domain.astype(np.int8)
    for i, (mine, member) in enumerate(zip(learnt.rows, section.members, strict=True)):
        tensors[f"{i}.embeddings"] = np.ascontiguousarray(mine.embeddings)
        tensors[f"{i}.self_scores"] = member.self_scores
        # The enrichment and the clip of each residual row, in the order of both.
        made = [
            (part, place, rows)
            for part, pool in enumerate(mine.pools)
            for place, rows in sorted(pool.items())
        ]
        dim = mine.embeddings.shape[1]
        of = [(part, place) for part, place, rows in made for _ in rows]
        tensors[f"{i}.made"] = np.concatenate(
            [np.zeros((0, dim), np.float32), *(rows for _, _, rows in made)]
        )
        tensors[f"{i}.made_of"] = np.array(of, dtype=np.int64).reshape(-1, 2)
    return tensors


def read_grown(
    folder: Path, entry: Mapping[str, Any], system: System | Ensemble, fitted: Section,
    known: Sequence[Origin],
) -> Section:  # fmt: skip
    """A section as its entry says, with what it has learnt.

    Args:
        folder: the detector's.
        entry: of the section in the index.
        system: whose members the bank has.
        fitted: as the fit left it.
        known: what the embedder of each member was.

    Raises:
        FormatError: damaged, another section's, or parts that do not fit each other.
    """
    said = entry.get(KEY)
    if said is None:
        return fitted
    key = str(entry["machine"]), str(entry["section"])
    tensors = read_bank(folder / Path(said["bank"]).name, said["sha256"], _whose(key, known))
    clips = tuple(TrainingClip(str(name), str(digest)) for name, digest in said["clips"])
    forgotten = tuple(map(str, said["forgotten"]))
    learnt = _learnt(tensors, said, clips, system, known)
    own = {clip.digest for clip in fitted.clips}
    new = {clip.digest for clip in clips}
    if not set(forgotten) <= own or new & own or len(new) < len(clips):
        raise FormatError(f"{said['bank']}: clips that do not fit those of the fit; fit again")
    count = len(own) - len(set(forgotten)) + len(clips)
    scores = [_scores(tensors, i, count, str(said["bank"])) for i in range(len(known))]
    facts = [_facts(one) for one in said["facts"]]
    return grow(system, fitted, learnt, forgotten, list(zip(scores, facts, strict=True)))


def _learnt(
    tensors: Mapping[str, NDArray[Any]], said: Mapping[str, Any], clips: tuple[TrainingClip, ...],
    system: System | Ensemble, known: Sequence[Origin],
) -> Learnt:  # fmt: skip
    n, bank = len(clips), said["bank"]
    traces, domain = traces_in(tensors, n), tensors["clips.domain"]
    if traces is None or domain.shape != (n,) or not np.isin(domain, (0, 1)).all():
        raise FormatError(f"{bank}: {n} clips do not fit its rows; fit again")
    fresh = None
    if said["fresh"] is not None:
        places = {int(place) for place in said["fresh"]}
        fresh = tuple(i in places for i in range(n))
    rows = []
    for i, (recipe, origin) in enumerate(zip(system.members, known, strict=True)):
        real, made = tensors[f"{i}.embeddings"], tensors[f"{i}.made"]
        of = tensors[f"{i}.made_of"]
        if (
            real.shape != (n, origin.dim)
            or made.shape != (len(of), origin.dim)
            or of.shape != (len(made), 2)
            or not (np.isfinite(real).all() and np.isfinite(made).all())
            or (len(of) and not np.isin(of[:, 1], np.arange(n)).all())
        ):
            raise FormatError(f"{bank}: rows of member {i} that do not fit its clips; fit again")
        pools: list[Pool] = []
        for part in range(len(recipe.enrichment)):
            places_of = of[:, 1][of[:, 0] == part]
            mine = made[of[:, 0] == part]
            pools.append({int(o): mine[places_of == o] for o in np.unique(places_of)})
        rows.append(LearntRows(real, tuple(pools)))
    return Learnt(clips, domain, traces, fresh, tuple(rows))


def _scores(tensors: Mapping[str, NDArray[Any]], i: int, count: int, bank: str) -> NDArray[Any]:
    scores = tensors[f"{i}.self_scores"]
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise FormatError(f"{bank}: self-scores of member {i} do not fit its clips; fit again")
    return scores


def _facts(said: Mapping[str, Any]) -> dict[str, float]:
    return {str(k): float("nan") if v is None else float(v) for k, v in said.items()}
