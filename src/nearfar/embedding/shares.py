"""Clips embedded to the end: here and in worker processes, or in shares that others do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from nearfar.embedding.chain import Chain
from nearfar.embedding.division import (
    BATCH,
    ENCODED,
    FEW,
    Division,
    Jobs,
    divide,
    waiting_bytes,
)
from nearfar.embedding.encoding import encoded
from nearfar.embedding.heard_file import HeardPieces
from nearfar.embedding.jobs import Heard, Job, JobResult, do_job, open_cache
from nearfar.embedding.kept import do_kept_job
from nearfar.errors import NearfarError
from nearfar.runtime.executor import Resources
from nearfar.runtime.executors import executor_of, run_counted
from nearfar.runtime.runtime import LOCAL, Runtime
from nearfar.sound.audio import ChannelOrder

if TYPE_CHECKING:
    from nearfar.clips import Clip


def check_chains(chains: Sequence[Chain], runtime: Runtime) -> None:
    """Refuse what cannot run here, before any clip is read; raises what `Chain.check` does."""
    for chain in chains:
        chain.check(runtime)


@dataclass(frozen=True)
class Workload:
    """Clips to be embedded to the end by one process and its workers.

    >>> do_share(Workload((), (), "near-far", digest=False, skip_bad=False, runtime=Runtime()))
    []
    """

    clips: Sequence[Clip]
    chains: tuple[Chain, ...]
    order: ChannelOrder
    digest: bool
    skip_bad: bool
    runtime: Runtime


def do_share(share: Workload) -> list[Heard | NearfarError]:
    """What each clip gave, in order; without `skip_bad` the group with a bad one is the last.

    Raises:
        WeightsError, SettingError: an encoder that cannot run here, before any clip is read.
    """
    runtime = share.runtime
    check_chains(share.chains, runtime)
    made = partial(
        Job,
        chains=share.chains,
        order=share.order,
        runtime=Runtime(cache=runtime.cache, keep=runtime.keep),  # it needs no more of it
        digest=share.digest or runtime.cache is not None,
        near=share.digest,
    )
    found: list[Heard | NearfarError] = []
    if not share.clips:
        return found
    divided = _results(share.clips, made, divide(share.chains, runtime), runtime)
    # Closed here: an error's traceback would keep it, and its worker processes, for longer.
    with closing(divided) as groups, open_cache(runtime) as cache:
        # By map, for a name given to a group would keep it until the next one is whole.
        finish = partial(
            encoded, chains=share.chains, runtime=runtime, cache=cache, skip_bad=share.skip_bad
        )
        for results in map(finish, groups):
            found.extend(results)
            if _ends(results, share.skip_bad):
                break
    return found


def _ends(results: Sequence[Heard | NearfarError], skip_bad: bool) -> bool:
    """Is all that follows in vain?"""
    return not skip_bad and any(isinstance(one, NearfarError) for one in results)


def in_shares(whole: Workload) -> list[Heard | NearfarError]:
    """As `do_share`, by an executor that does each job to the end."""
    executor, runtime, clips = executor_of(whole.runtime), whole.runtime, whole.clips
    encoder = any(chain.encodes for chain in whole.chains)
    within = replace(runtime, engine=LOCAL, executor=None)
    if executor.apart:
        within = replace(within, workers=1, progress=None)
    else:  # the one bar there is shows what is done within
        runtime = replace(runtime, progress=None)
    shares = (
        replace(whole, clips=clips[some], runtime=within)
        for some in executor.deal(len(clips), _together(encoder, runtime))
    )
    codec = HeardPieces(whole.chains, whole.order, whole.digest)
    found: list[Heard | NearfarError] = []
    needed = Resources(encoder, runtime.device)
    done = run_counted(
        do_share, shares, runtime, "listening", len(clips), len, resources=needed, codec=codec
    )
    with closing(done) as some:
        for results in some:
            found.extend(results)
            if _ends(results, whole.skip_bad):
                break
    return found


def _together(encoder: bool, runtime: Runtime) -> int:
    """Clips of a job that is done to the end: whole groups, cut as one process would cut them.

    >>> [_together(True, Runtime(batch_size=size)) for size in (None, 10, 100)]
    [64, 60, 100]
    """
    if not encoder:
        return BATCH
    group = max(FEW, runtime.batch_size or 0)
    return group if runtime.device == "cpu" else group * max(1, ENCODED // group)


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
