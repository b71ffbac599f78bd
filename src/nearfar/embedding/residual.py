"""Rows of clips with another far channel (report Eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import (
    open_cache,
    row_key,
)
from nearfar.errors import AudioError
from nearfar.runtime.executors import run_counted
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import ChannelOrder, check, digest_of
from nearfar.sound.channels import relate

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedder.contract import Rows32


@dataclass(frozen=True)
class _Residual:
    clip: Clip
    digest: str
    chain: Chain
    s: NDArray[np.float64]
    match_levels: bool
    order: ChannelOrder
    runtime: Runtime


def residual_rows(
    requests: Sequence[tuple[Clip, str, NDArray[np.float64]]],
    chain: Chain,
    runtime: Runtime,
    *,
    match_levels: bool,
    order: ChannelOrder,
) -> list[Rows32]:
    """Rows of clips with another far channel, (1 − s)·y₀ + s·y₁ (report Eq. 2).

    Args:
        requests: clip, its digest, the values of s.
        chain: whose embedder has `residuals`.
        match_levels: mix the near channel in at the far channel's level.

    Returns:
        (len(s), dim) a request.

    Raises:
        AudioError: a clip that cannot be used, or is not what it was when it was heard.
    """
    plain = Runtime(cache=runtime.cache)
    jobs = [_Residual(c, d, chain, s, match_levels, order, plain) for c, d, s in requests]
    # Ten clips or so: worker processes would take longer to start than this takes.
    here = Runtime(cache=runtime.cache, progress=runtime.progress)
    return list(run_counted(_residual_job, jobs, here, "residual rows", len(jobs), lambda _: 1))


def _residual_job(job: _Residual) -> Rows32:
    with one_thread(), open_cache(job.runtime) as cache:
        embedder: Any = job.chain.embedder  # `System` made sure that it gives residuals
        extra = f"{job.chain.key}|residual|{job.match_levels}|{job.s.tobytes().hex()}"
        key, shape = row_key(job.digest, extra), (len(job.s), embedder.dim)
        found = cache.get(key)
        if found is not None and found.size == shape[0] * shape[1]:  # a cache keeps rows flat
            return found.reshape(shape)
        audio = check(job.clip.read(job.order), name=job.clip.name, channels=2)
        if job.digest and digest_of(audio) != job.digest:  # days may lie between: see shards
            raise AudioError(f"{job.clip.name}: changed since it was heard")
        # Near at far's level: down by what it is above, in amplitude.
        level = 10 ** (-relate(audio)[1] / 20) if job.match_levels else 1.0
        rows: Rows32 = embedder.residuals(job.chain.hear(audio), job.s, level=level)
        cache.put([(key, rows)])
        return rows  # (len(s), dim)
