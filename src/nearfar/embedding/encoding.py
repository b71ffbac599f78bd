"""The second step of what was prepared: a group of clips encoded together, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nearfar.embedder.contract import is_two_step
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Heard, JobResult, Prepared
from nearfar.embedding.kept import features_of
from nearfar.errors import NearfarError
from nearfar.runtime.cache import RowCache
from nearfar.runtime.runtime import Runtime

if TYPE_CHECKING:
    from nearfar.embedder.contract import Rows32


def encoded(
    group: Sequence[JobResult | NearfarError],
    chains: tuple[Chain, ...],
    runtime: Runtime,
    cache: RowCache,
    skip_bad: bool,
) -> list[Heard | NearfarError]:
    """The results of a group with the second step done for all its clips together."""
    if not skip_bad and any(isinstance(r, NearfarError) for r in group):
        # The job ends here: seconds of an encoder would be for nothing.
        return [r if isinstance(r, NearfarError) else r.about for r in group]
    # Clips that failed are in no column; their errors come back at their places.
    good = {i: r for i, r in enumerate(group) if not isinstance(r, NearfarError)}
    column = [[r.rows[place] for r in good.values()] for place in range(len(chains))]
    pooled = _pooled(column, chains, runtime)
    columns = [
        _column_encoded(column[place], chain, runtime, cache, pooled.get(place))
        for place, chain in enumerate(chains)
    ]
    rows = dict(zip(good, zip(*columns, strict=True), strict=True))
    return [
        r if isinstance(r, NearfarError) else replace(r.about, rows=rows[i])
        for i, r in enumerate(group)
    ]


def _pooled(
    columns: Sequence[Sequence[Rows32 | Prepared]], chains: Sequence[Chain], runtime: Runtime
) -> dict[int, Rows32]:
    """Rows of what waits, of chains that pool the grids of one encoder: it hears a clip once.

    By place of the chain; of one that shares its grids with nobody nothing.
    """
    alike: dict[tuple[object, object], list[int]] = {}
    for place, chain in enumerate(chains):
        if is_two_step(chain.grid_source):
            alike.setdefault((chain.frontend, chain.grid_source), []).append(place)
    made: dict[int, Rows32] = {}
    for places in alike.values():
        waiting = [
            {i: r for i, r in enumerate(columns[place]) if isinstance(r, Prepared)}
            for place in places
        ]
        some = {i: one for of_chain in waiting for i, one in of_chain.items()}  # each clip once
        if len(places) < 2 or not some:
            continue
        prepared = [features_of(one) for one in some.values()]
        grids = dict(zip(some, chains[places[0]].grids(prepared, runtime), strict=True))
        for place, of_chain in zip(places, waiting, strict=True):
            if of_chain:
                made[place] = chains[place].pool([grids[i] for i in of_chain])
    return made


def _column_encoded(
    column: Sequence[Rows32 | Prepared],
    chain: Chain,
    runtime: Runtime,
    cache: RowCache,
    made: Rows32 | None,
) -> list[Rows32]:
    """One chain's rows, those that waited encoded, if they are not made, and kept."""
    waiting = {i: row for i, row in enumerate(column) if isinstance(row, Prepared)}
    done = {i: row for i, row in enumerate(column) if not isinstance(row, Prepared)}
    if waiting:
        # (waiting, dim); without a digest there is no key, and nothing to keep a row under.
        if made is None:
            made = chain.encode([features_of(p) for p in waiting.values()], runtime)
        cache.put((p.key, row) for p, row in zip(waiting.values(), made, strict=True) if p.key)
        done.update(zip(waiting, made, strict=True))
    return [done[i] for i in range(len(column))]
