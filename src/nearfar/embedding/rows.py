"""From clips to embeddings: read, check, front end, embedder, with cache and worker processes.

The one place that opens audio files for a system, and the one seam where results are cached: the
key is the audio's content and everything that says what is computed from it.

An embedder that works in two steps (`prepare` a clip, `encode` many; see `nearfar.embedder`) has
its first step done where the clip is read, in a worker process perhaps, and its second here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import (
    Heard,
    Job,
    _cache,
    _describe,
    _hear_job,
    _Prepared,
)
from nearfar.errors import NearfarError
from nearfar.runtime.cache import EmbeddingCache
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.runtime.workers import _run
from nearfar.sound.audio import Audio, ChannelOrder

if TYPE_CHECKING:
    from nearfar.clips import Clip

BATCH = 16  # clips per job: some 20 MB of audio, some 0.1 s of work
FEW = 4  # clips per job where an encoder takes a second for each: progress should be seen
ENCODED = 64  # clips per job where an accelerator encodes them


def hear(
    clips: Sequence[Clip],
    chains: tuple[Chain, ...],
    runtime: Runtime,
    *,
    order: ChannelOrder = "near-far",
    digest: bool = True,
    skip_bad: bool = False,
) -> tuple[list[Heard | None], list[str]]:
    """Embed clips.

    Args:
        clips: what to read.
        chains: what to compute of each clip; it is read once.
        runtime: workers and cache.
        order: which file channel is near.
        digest: whether the audio's hash is wanted even without a cache.
        skip_bad: leave out clips that cannot be used instead of stopping.

    Returns:
        what each clip gave (None for one left out), and a line for each one left out.

    Raises:
        AudioError: the first clip in order that cannot be used.
        WeightsError, SettingError: an encoder that cannot run here, before any clip is read.
    """
    for chain in chains:
        chain.check(runtime)
    plain = Runtime(cache=runtime.cache)
    here, size = _division(chains, runtime)
    jobs = [
        Job(clips[i : i + size], chains, order, plain, digest or runtime.cache is not None)
        for i in range(0, len(clips), size)
    ]
    heard: list[Heard | None] = []
    skipped: list[str] = []
    with _cache(runtime) as cache:
        for results in _run(_hear_job, jobs, here, "listening", size, len(clips)):
            for result in _encoded(results, chains, runtime, cache):
                if isinstance(result, NearfarError):
                    if not skip_bad:
                        raise result
                    skipped.append(str(result))
                    heard.append(None)
                else:
                    heard.append(result)
    return heard, skipped


def hear_audio(audio: Audio, chains: tuple[Chain, ...], runtime: Runtime) -> Heard:
    """Embed one checked clip that is in memory already, without a cache."""
    with one_thread():
        heard = [chain.frontend(audio[: chain.frontend.needs]) for chain in chains]
        rows = tuple(c.rows([h], runtime)[0] for c, h in zip(chains, heard, strict=True))
        return _describe(audio, "", rows)


def _division(chains: tuple[Chain, ...], runtime: Runtime) -> tuple[Runtime, int]:
    """How to read clips, and how many at a time.

    An encoder on the CPU keeps all cores busy by itself: other processes would be in its way. Fed
    by a CPU an accelerator waits for clips: then worker processes read and prepare them.
    """
    if not any(chain.two_step for chain in chains):
        return runtime, BATCH
    if runtime.device == "cpu" or not _accelerated(runtime.device):
        return replace(runtime, workers=1), max(FEW, runtime.batch_size or 0)
    return runtime, max(ENCODED, runtime.batch_size or 0)


def _accelerated(device: str) -> bool:
    if device != "auto":
        return True
    import torch

    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def _encoded(
    results: Sequence[Heard | NearfarError],
    chains: tuple[Chain, ...],
    runtime: Runtime,
    cache: EmbeddingCache,
) -> Iterator[Heard | NearfarError]:
    """The results of a job with the second step done for all its clips together."""
    rows: list[list[Any] | None] = [
        None if isinstance(r, NearfarError) else list(r.rows) for r in results
    ]
    for place, chain in enumerate(chains):
        waiting = [r for r in rows if r is not None and isinstance(r[place], _Prepared)]
        prepared: list[Any] = [r[place] for r in waiting]
        if not prepared:
            continue
        fresh = chain.encode([p.features for p in prepared], runtime)
        done = zip(prepared, fresh, strict=True)
        cache.put((p.key, row) for p, row in done if p.key)
        for r, row in zip(waiting, fresh, strict=True):
            r[place] = row
    for result, filled in zip(results, rows, strict=True):
        if isinstance(result, NearfarError) or filled is None:
            yield result
        else:
            yield replace(result, rows=tuple(filled))
