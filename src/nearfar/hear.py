"""From clips to embeddings: read, check, front end, embedder, with cache and worker processes.

The one place that opens audio files for a system, and the one seam where results are cached: the
key is the audio's content and everything that says what is computed from it.

An embedder that works in two steps (`prepare` a clip, `encode` many; see `nearfar.embedder`) has
its first step done where the clip is read, in a worker process perhaps, and its second here.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar import workers
from nearfar.audio import SAMPLE_RATE, Audio, ChannelOrder, check
from nearfar.chain import Chain
from nearfar.channels import relate
from nearfar.errors import AudioError, NearfarError
from nearfar.store import EmbeddingCache, Runtime

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedder import Rows32

BATCH = 16  # clips per job: some 20 MB of audio, some 0.1 s of work
FEW = 4  # clips per job where an encoder takes a second for each: progress should be seen
ENCODED = 64  # clips per job where an accelerator encodes them


@dataclass(frozen=True, eq=False)
class Heard:
    """What one clip gave."""

    rows: tuple[Rows32, ...]  # one (dim,) a chain
    seconds: float
    digest: str = ""  # sha256 of the audio heard, hexadecimal; "" if nobody asked
    near: str = ""  # the same of channel 0 alone, where an encoder may have been trained on it
    lr_corr: float = float("nan")  # zero-lag correlation of the channels, nan for one channel
    level: float = float("nan")  # near over far, dB
    identical: bool = False  # both channels the same, sample for sample


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A clip after an embedder's first step, waiting for its second."""

    features: Any
    key: bytes  # in the cache


@dataclass(frozen=True)
class _Job:
    clips: Sequence[Clip]
    chains: tuple[Chain, ...]
    order: ChannelOrder
    runtime: Runtime
    digest: bool


@dataclass(frozen=True)
class _Residual:
    clip: Clip
    digest: str
    chain: Chain
    s: NDArray[np.float64]
    match_levels: bool
    order: ChannelOrder
    runtime: Runtime


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
        _Job(clips[i : i + size], chains, order, plain, digest or runtime.cache is not None)
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
    """
    plain = Runtime(cache=runtime.cache)
    jobs = [_Residual(c, d, chain, s, match_levels, order, plain) for c, d, s in requests]
    # Ten clips or so: worker processes would take longer to start than this takes.
    here = Runtime(cache=runtime.cache, progress=runtime.progress)
    return list(_run(_residual_job, jobs, here, "residual rows", 1, len(jobs)))


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS thread: the same bits whatever the number of cores and workers."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


def _controller() -> Any:
    return _scan("scipy.linalg" in sys.modules)  # which brings a BLAS library of its own


@lru_cache(maxsize=2)
def _scan(_: bool) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # scanning the loaded libraries costs milliseconds: once


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


def _hear_job(job: _Job) -> list[Heard | NearfarError]:
    # One clip at a time stays in the processor's cache; only some embedders gain by batches.
    size = max(getattr(chain.embedder, "batch", 1) for chain in job.chains)
    with one_thread(), _cache(job.runtime) as cache:
        return [
            heard
            for first in range(0, len(job.clips), size)
            for heard in _hear_batch(job, job.clips[first : first + size], cache)
        ]


def _hear_batch(
    job: _Job, clips: Sequence[Clip], cache: EmbeddingCache
) -> list[Heard | NearfarError]:
    needs = max(c.frontend.needs for c in job.chains)
    audios = [_read(clip, needs, job.order) for clip in clips]
    try:
        return _hear_audios(job, audios, cache)
    except AudioError as error:  # an embedder refused a clip: which one?
        if len(clips) == 1:
            return [AudioError(f"{clips[0].name}: {error}")]
        return [heard for clip in clips for heard in _hear_batch(job, [clip], cache)]


def _hear_audios(
    job: _Job, audios: Sequence[Audio | NearfarError], cache: EmbeddingCache
) -> list[Heard | NearfarError]:
    good = [a for a in audios if not isinstance(a, NearfarError)]
    digests = [digest_of(a) if job.digest else "" for a in good]
    columns = [_column(job, chain, good, digests, cache) for chain in job.chains]
    trained = job.digest and any(chain.trained for chain in job.chains)
    heard = iter(
        [
            replace(
                _describe(audio, digest, tuple(column[i] for column in columns)),
                near=digest_of(audio[:1]) if trained else "",
            )
            for i, (audio, digest) in enumerate(zip(good, digests, strict=True))
        ]
    )
    return [a if isinstance(a, NearfarError) else next(heard) for a in audios]


def _read(clip: Clip, needs: int, order: ChannelOrder) -> Audio | NearfarError:
    try:
        return check(clip.read(order), name=clip.name, channels=needs)
    except NearfarError as error:
        return error


def _describe(audio: Audio, digest: str, rows: tuple[Any, ...]) -> Heard:
    """What is known of one clip; its rows may still wait for their second step."""
    seconds = audio.shape[1] / SAMPLE_RATE
    if len(audio) < 2:
        return Heard(rows, seconds, digest)
    correlation, level = relate(audio)
    # Comparing all samples is only worth it where the cheap numbers allow equality.
    same = correlation > 0.999 and bool(np.array_equal(audio[0], audio[1]))
    return Heard(rows, seconds, digest, lr_corr=correlation, level=level, identical=same)


def _column(
    job: _Job,
    chain: Chain,
    audios: Sequence[Audio],
    digests: Sequence[str],
    cache: EmbeddingCache,
) -> list[Any]:
    """One chain's rows; it hears, and its cache is keyed by, the channels it needs and no others.

    So an embedding of the near channel is found again by a system that needs nothing else.
    """
    needs = chain.frontend.needs
    heard = [audio[:needs] for audio in audios]
    if job.digest:
        digests = [
            digest if len(audio) == needs else digest_of(audio[:needs])
            for audio, digest in zip(audios, digests, strict=True)
        ]
    return _embed(chain, heard, digests, cache)


def _embed(
    chain: Chain, audios: Sequence[Audio], digests: Sequence[str], cache: EmbeddingCache
) -> list[Rows32 | _Prepared]:
    """One (dim,) row a clip, from the cache or computed; or what the second step needs."""
    what, dim = chain.key, chain.embedder.dim  # an encoder looks at its file for these
    keys = [_key(digest, what) if digest else b"" for digest in digests]
    found = [cache.get(key) if key else None for key in keys]
    rows: list[Any] = [r if r is not None and r.shape == (dim,) else None for r in found]
    missing = [i for i, row in enumerate(rows) if row is None]
    heard = [chain.frontend(audios[i]) for i in missing]
    if chain.two_step:
        for i, audio in zip(missing, heard, strict=True):
            rows[i] = _Prepared(chain.prepare(audio), keys[i])
    elif missing:
        fresh = chain.rows(heard, Runtime())
        for i, row in zip(missing, fresh, strict=True):
            rows[i] = row
        cache.put((keys[i], row) for i, row in zip(missing, fresh, strict=True) if keys[i])
    return rows


def _residual_job(job: _Residual) -> Rows32:
    with one_thread(), _cache(job.runtime) as cache:
        embedder: Any = job.chain.embedder
        extra = f"{job.chain.key}|residual|{job.match_levels}|{job.s.tobytes().hex()}"
        key, shape = _key(job.digest, extra), (len(job.s), embedder.dim)
        found = cache.get(key)
        if found is not None and found.size == shape[0] * shape[1]:
            return found.reshape(shape)
        audio = check(job.clip.read(job.order), name=job.clip.name, channels=2)
        level = 10 ** (-relate(audio)[1] / 20) if job.match_levels else 1.0
        rows: Rows32 = embedder.residuals(job.chain.frontend(audio), job.s, level=level)
        cache.put([(key, rows)])
        return rows


def _key(digest: str, what: str) -> bytes:
    return hashlib.sha256(f"{digest}|{what}".encode()).digest()


def digest_of(audio: Audio) -> str:
    """sha256 of a sound, hexadecimal."""
    state = hashlib.sha256(str(audio.shape).encode())
    for channel in audio:
        state.update(np.ascontiguousarray(channel).data)
    return state.hexdigest()


@contextmanager
def _cache(runtime: Runtime) -> Iterator[EmbeddingCache]:
    cache = EmbeddingCache(runtime.cache)
    try:
        yield cache
    finally:
        cache.close()


def _run(
    task: Any, jobs: Sequence[Any], runtime: Runtime, what: str, size: int, total: int
) -> Iterator[Any]:
    """Results of all jobs in order, with progress."""
    done = 0
    if runtime.progress is not None:
        runtime.progress(what, 0, total)  # the first job may take a while
    for result in workers.run(task, jobs, runtime.workers):
        done += size
        if runtime.progress is not None:
            runtime.progress(what, min(done, total), total)
        yield result
