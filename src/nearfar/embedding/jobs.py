"""What a worker does with some clips: read, check, embed, look into the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.embedder.contract import Rows32, batch_of
from nearfar.embedding.chain import Chain
from nearfar.embedding.sharing import Sharing
from nearfar.errors import AudioError, NearfarError
from nearfar.runtime.cache import EmbeddingCache, RowCache
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.runtime.urls import url_of
from nearfar.sound.audio import Audio, ChannelOrder, check, digest_of
from nearfar.sound.look import Look, look
from nearfar.sound.recorded import Recorded

if TYPE_CHECKING:
    from nearfar.clips import Clip


@dataclass(frozen=True, eq=False)
class Heard:
    """What one clip gave.

    >>> Heard(rows=(), seconds=10.0).digest
    ''
    """

    rows: tuple[Rows32, ...]  # one (dim,) a chain
    seconds: float
    digest: str = ""  # sha256 of the audio heard, hexadecimal; "" if nobody asked
    near: str = ""  # the same of channel 0 alone: by it folds are dealt, and encoders know clips
    lr_corr: float = float("nan")  # zero-lag correlation of the channels, nan for one channel
    level: float = float("nan")  # near over far, dB
    identical: bool = False  # both channels the same, sample for sample
    recorded: Recorded | None = None  # what the file was like; None of an array in memory
    look: Look | None = None  # what the judgement of training data needs


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip after an embedder's first step, waiting for its second.

    >>> Prepared(features=np.zeros((1008, 128), np.float32), key=b"").features.shape
    (1008, 128)
    """

    features: Any
    key: bytes  # in the cache


@dataclass(frozen=True, eq=False)
class JobResult:
    """What a job found out about a clip.

    >>> JobResult(Heard((), 10.0), (Prepared([0.0], b""), np.zeros(3))).about.seconds
    10.0
    """

    about: Heard  # without rows
    rows: tuple[Rows32 | Prepared, ...]  # one a chain


@dataclass(frozen=True)
class Job:
    """Some clips for a worker, and what to make of them.

    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Near
    >>> chain = Chain(Near(), LogMel())
    >>> do_job(Job((), (chain,), "near-far", Runtime(), digest=False))
    []
    """

    clips: Sequence[Clip]
    chains: tuple[Chain, ...]
    order: ChannelOrder
    runtime: Runtime
    digest: bool  # whether hashes are wanted, of a cache too
    near: bool = False  # whether the near channel's is wanted, too: a fit deals folds by it

    @property
    def hashes_near(self) -> bool:
        """Is the near channel hashed by itself: to deal folds, or as all that a chain hears?"""
        return self.near or (self.digest and any(c.frontend.needs == 1 for c in self.chains))


def do_job(job: Job) -> list[JobResult | NearfarError]:
    """What each clip gave, in their order, or why it cannot be used."""
    # One clip at a time stays in the processor's cache; only some embedders gain by batches.
    size = max(batch_of(chain.embedder) for chain in job.chains)
    with one_thread(), open_cache(job.runtime) as cache:
        size = max(size, cache.together)
        return [
            heard
            for first in range(0, len(job.clips), size)
            for heard in _embed_batch(job, job.clips[first : first + size], cache)
        ]


def _embed_batch(
    job: Job, clips: Sequence[Clip], cache: RowCache
) -> list[JobResult | NearfarError]:
    needs = channels_of(job.chains)
    read = [_read(clip, needs, job.order) for clip in clips]
    try:
        return _embed_audios(job, read, cache)
    except AudioError as error:  # an embedder refused a clip: which one?
        if len(clips) == 1:
            return [AudioError(f"{clips[0].name}: {error}")]
        return [heard for clip in clips for heard in _embed_batch(job, [clip], cache)]


def _embed_audios(
    job: Job, read: Sequence[_Read | NearfarError], cache: RowCache
) -> list[JobResult | NearfarError]:
    places = [i for i, one in enumerate(read) if not isinstance(one, NearfarError)]
    good = [one for one in read if not isinstance(one, NearfarError)]
    audios = [one.audio for one in good]
    digests = [digest_of(audio) if job.digest else "" for audio in audios]
    # Once for all: every chain that hears the near channel alone has the same.
    near = [
        (digest if len(audio) == 1 and job.digest else digest_of(audio[:1]))
        if job.hashes_near
        else ""
        for audio, digest in zip(audios, digests, strict=True)
    ]
    sharing = Sharing(job.chains)
    columns = [
        _column(chain, audios, near if chain.frontend.needs == 1 else digests, cache, sharing)
        for chain in job.chains
    ]
    abouts = [
        replace(describe(one.audio, digest, one.recorded, two_files=one.two_files), near=first)
        for one, digest, first in zip(good, digests, near, strict=True)
    ]
    listened = map(JobResult, abouts, zip(*columns, strict=True))
    found = dict(zip(places, listened, strict=True))
    return [one if isinstance(one, NearfarError) else found[i] for i, one in enumerate(read)]


@dataclass(frozen=True, eq=False)
class _Read:
    """A clip that was read and is fit to be embedded."""

    audio: Audio
    recorded: Recorded
    two_files: bool


def _read(clip: Clip, needs: int, order: ChannelOrder) -> _Read | NearfarError:
    try:
        audio, recorded = clip.read_recorded(order)
        return _Read(check(audio, name=clip.name, channels=needs), recorded, clip.far is not None)
    except NearfarError as error:
        return error


def channels_of(chains: Sequence[Chain]) -> int:
    """How many channels a clip must have for all of them."""
    return max(chain.frontend.needs for chain in chains)


def describe(
    audio: Audio,
    digest: str,
    recorded: Recorded | None = None,
    *,
    two_files: bool = False,
    seen: Look | None = None,
) -> Heard:
    """What is known of one clip before it is embedded: all but its rows.

    Args:
        audio: (channels, samples), checked.
        digest: its sha256, or "".
        recorded: what its file was like.
        two_files: near and far each had a recorder.
        seen: its look, where somebody looked already; it is not looked at again.
    """
    seen = seen or look(audio, recorded, two_files=two_files)
    if len(audio) < 2:
        return Heard((), seen.seconds, digest, recorded=recorded, look=seen)
    # Comparing all samples is only worth it where the cheap numbers allow equality.
    same = seen.lr_corr > 0.999 and bool(np.array_equal(audio[0], audio[1]))
    return Heard(
        (), seen.seconds, digest, lr_corr=seen.lr_corr, level=seen.ratio, identical=same,
        recorded=recorded, look=seen,
    )  # fmt: skip


def _column(
    chain: Chain,
    audios: Sequence[Audio],
    digests: Sequence[str],
    cache: RowCache,
    sharing: Sharing,
) -> list[Rows32 | Prepared]:
    """One chain's rows; it hears, and its cache is keyed by, the channels it needs and no others.

    So an embedding of the near channel is found again by a system that needs nothing else.
    """
    return _embed(
        chain, [audio[: chain.frontend.needs] for audio in audios], digests, cache, sharing
    )


def _embed(
    chain: Chain,
    audios: Sequence[Audio],
    digests: Sequence[str],
    cache: RowCache,
    sharing: Sharing,
) -> list[Rows32 | Prepared]:
    """One (dim,) row a clip, from the cache or computed; or what the second step needs."""
    what, dim = chain.key, chain.embedder.dim  # an encoder looks at its file for these
    keys = [row_key(digest, what) if digest else b"" for digest in digests]
    asked = [i for i, key in enumerate(keys) if key]
    found = zip(asked, cache.get_many([keys[i] for i in asked]), strict=True)
    rows: dict[int, Rows32 | Prepared] = {
        i: row for i, row in found if row is not None and row.shape == (dim,)
    }
    missing = [i for i in range(len(audios)) if i not in rows]
    if chain.two_step:
        for i in missing:
            rows[i] = Prepared(sharing.prepare(chain, i, audios[i]), keys[i])
    elif missing:
        fresh = chain.rows([sharing.hear(chain, i, audios[i]) for i in missing], Runtime())
        rows.update(zip(missing, fresh, strict=True))
        cache.put((keys[i], row) for i, row in zip(missing, fresh, strict=True) if keys[i])
    return [rows[i] for i in range(len(audios))]


def row_key(digest: str, what: str) -> bytes:
    """What a row is kept under: the sound it was made of, and everything that made it."""
    return hashlib.sha256(f"{digest}|{what}".encode()).digest()


@contextmanager
def open_cache(runtime: Runtime) -> Iterator[RowCache]:
    """The embedding cache, closed afterwards; one that keeps nothing if there is none.

    Raises:
        SettingError: a URL for which a package is not installed.
    """
    url = None if runtime.cache is None else url_of(runtime.cache)
    cache: RowCache
    if url is None:
        cache = EmbeddingCache(runtime.cache)
    else:
        from nearfar.runtime.remote_cache import RemoteCache

        cache = RemoteCache(url)
    try:
        yield cache
    finally:
        cache.close()
