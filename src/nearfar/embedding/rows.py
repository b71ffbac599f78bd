"""From clips to embeddings: read, check, front end, embedder, with cache and worker processes.

The one place that opens audio files for a system, and the one seam where results are cached: the
key is the audio's content and everything that says what is computed from it.

An embedder that works in two steps (`prepare` a clip, `encode` many; see
`nearfar.embedder.contract`) has its first step done where the clip is read, in a worker process
perhaps, and its second here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nearfar.clips.survey import survey
from nearfar.embedder.contract import is_two_step
from nearfar.embedding.chain import Chain
from nearfar.embedding.division import (
    Division,
    Jobs,
    divide,
    waiting_bytes,
)
from nearfar.embedding.jobs import (
    Heard,
    Job,
    JobResult,
    Prepared,
    channels_of,
    describe,
    do_job,
    open_cache,
)
from nearfar.embedding.kept import do_kept_job, features_of
from nearfar.errors import NearfarError, name_in, once_left_out, unusable, warn
from nearfar.runtime.cache import EmbeddingCache
from nearfar.runtime.memory import keep_freed
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.runtime.workers import run_counted
from nearfar.sound.audio import Audio, ChannelOrder

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedder.contract import Rows32


def embed(
    clips: Sequence[Clip],
    chains: tuple[Chain, ...],
    runtime: Runtime,
    *,
    order: ChannelOrder = "near-far",
    digest: bool = True,
    skip_bad: bool = False,
) -> tuple[list[Heard | None], dict[int, str]]:
    """Embed clips.

    Args:
        clips: what to read.
        chains: what to compute of each clip; it is read once.
        runtime: workers and cache.
        order: which file channel is near.
        digest: whether hashes, of all channels and of near, are wanted even without a cache.
        skip_bad: leave out clips that cannot be used instead of stopping.

    Returns:
        what each clip gave (None for one left out), and why the clip at a place was left out.

    Raises:
        AudioError, DatasetError, NearfarError: clips that cannot be used, all of them in one: what
            was not heard yet is then read and checked, but not embedded.
        WeightsError, SettingError: an encoder that cannot run here, before any clip is read.
    """
    for chain in chains:
        chain.check(runtime)
    looked = partial(refusal, clips, channels_of(chains), order, runtime)
    if not skip_bad and any(clip.fault for clip in clips):
        raise looked([], 0)  # listing found it out: no clip is embedded in vain
    made = partial(
        Job,
        chains=chains,
        order=order,
        runtime=Runtime(cache=runtime.cache, keep=runtime.keep),  # it needs no more of it
        digest=digest or runtime.cache is not None,
        near=digest,
    )
    heard: list[Heard | None] = []
    faults: dict[int, NearfarError] = {}  # by place
    divided = _results(clips, made, divide(chains, runtime), runtime)
    # Closed here: an error's traceback would keep it, and its worker processes, for longer.
    with closing(divided) as groups, open_cache(runtime) as cache:
        # By map, for a name given to a group would keep it until the next one is whole.
        encoded = partial(_encoded, chains=chains, runtime=runtime, cache=cache, skip_bad=skip_bad)
        for results in map(encoded, groups):
            first = len(heard)
            faults |= {first + i: r for i, r in enumerate(results) if isinstance(r, NearfarError)}
            # None keeps the place of one that is left out.
            heard.extend(None if isinstance(r, NearfarError) else r for r in results)
            if faults and not skip_bad:
                break
    if faults and not skip_bad:  # out here, where the workers are gone
        raise looked(list(faults.values()), len(heard))
    return heard, {place: str(fault) for place, fault in faults.items()}


def refusal(
    clips: Sequence[Clip],
    needs: int,
    order: ChannelOrder,
    runtime: Runtime,
    known: Sequence[NearfarError] = (),
    seen: int = 0,
) -> NearfarError:
    """All that cannot be used: what is known of the clips seen, and a look at all others.

    A person mends a hundred files in one go, not one a run.

    Args:
        clips: of which one at least cannot be used.
        needs: channels.
        order: which file channel is near.
        runtime: workers, progress.
        known: what is wrong with the first clips.
        seen: how many those are.
    """
    found = survey(clips[seen:], needs, order, runtime)
    faults = [*known, *(one for one in found if isinstance(one, NearfarError))]
    return unusable(faults, len(clips))


def warn_left_out(line: str, clip: Clip) -> None:
    """Say that a clip was left out, by the line that says why, and that the warning is of it."""
    warn(f"left out: {once_left_out(line)}", name_in(line, clip.name, clip.path))


def embed_audio(
    audio: Audio, chains: tuple[Chain, ...], runtime: Runtime, about: Heard | None = None
) -> Heard:
    """Embed one checked clip that is in memory already, without a cache.

    Args:
        audio: (channels, samples) float32 at 16 kHz, near first.
        chains: in the order of the rows wanted.
        runtime: how to compute.
        about: all that is known of it but its rows, if that was looked at already.
    """
    keep_freed()
    with one_thread():
        heard = [chain.hear(audio[: chain.frontend.needs]) for chain in chains]
        rows = tuple(c.rows([h], runtime)[0] for c, h in zip(chains, heard, strict=True))
        return replace(about or describe(audio, ""), rows=rows)


def _results(
    clips: Sequence[Clip],
    made: Callable[[Sequence[Clip]], Job],
    division: Division,
    runtime: Runtime,
) -> Generator[list[JobResult | NearfarError], None, None]:
    """What jobs found out about the clips, in groups to be encoded together."""
    jobs = Jobs(clips, made, division)
    here = replace(runtime, workers=division.workers)
    group: list[JobResult | NearfarError] = []
    weight = 0  # bytes of the group so far
    task = do_kept_job if runtime.keep and runtime.cache is not None else do_job
    for results in run_counted(task, jobs, here, "listening", len(clips), len):
        while results:  # emptied, so that nothing is kept that was handed on
            group.append(results.pop(0))
            waiting = waiting_bytes(group[-1])
            jobs.heaviest = max(jobs.heaviest, waiting)  # jobs not yet cut become smaller
            weight += waiting
            if division.full(len(group), weight):
                yield group
                group, weight = [], 0
    if group:
        yield group


def _encoded(
    group: Sequence[JobResult | NearfarError],
    chains: tuple[Chain, ...],
    runtime: Runtime,
    cache: EmbeddingCache,
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
    cache: EmbeddingCache,
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
