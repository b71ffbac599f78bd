"""From clips to log-mels on disk: each file is read, checked and heard by the front end once.

Worker processes write what they computed themselves: thousands of log-mels are gigabytes, which
would otherwise go through a pipe and wait in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.eat.embed import REVISION
from nearfar.embedder.eat.features import MAX_FRAMES, PATCH, features, frames_of
from nearfar.embedding.chain import identity
from nearfar.errors import AudioError, NearfarError, StorageError
from nearfar.runtime import workers
from nearfar.runtime.threads import one_thread
from nearfar.sound import audio
from nearfar.sound.audio import digest_of
from nearfar.sound.fbank import n_frames
from nearfar.training.examples.mels import ROW, MelStore, Source, check_room, writer
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.clips import Clip, Clips
    from nearfar.frontend import Frontend
    from nearfar.runtime.runtime import Runtime
    from nearfar.sound.audio import ChannelOrder

Float32 = NDArray[np.float32]

JOB = 256  # clips in a segment of the store, at most


@dataclass(frozen=True)
class _Job:
    clips: Sequence[tuple[Clip, str]]  # with the file's stamp
    frontend: Frontend
    frames: int | None
    order: ChannelOrder
    folder: Path
    key: str
    stored: frozenset[str]  # digests


def store_key(frontend: Frontend) -> str:
    """Everything but the sound that a log-mel depends on, as text."""
    return f"mel|eat-{REVISION}|{identity(frontend)}"


def prepare(
    clips: Clips,
    frontend: Frontend,
    frames: int | None,
    runtime: Runtime,
    order: ChannelOrder,
    mels: MelStore,
) -> list[Source]:
    """Fill a store with the log-mels of clips; those that are in it are not read again.

    Args:
        clips: what to read.
        frontend: with one channel.
        frames: as in `EAT`; with None, a clip may not be longer than the encoder reads.
        runtime: workers and progress.
        order: which channel of a file is near.
        mels: the store.

    Returns:
        The sound of each clip; its log-mel is in the store then.

    Raises:
        AudioError: the first clip in order that cannot be used.
        StorageError: no room for the log-mels.
    """
    stamps = [_stamp(clip, order) for clip in clips]
    found = [mels.source(stamp) if stamp else None for stamp in stamps]
    missing = [i for i, source in enumerate(found) if source is None]
    if missing:
        check_room(mels.folder, sum(_size(clips[i]) for i in missing))
    made = partial(
        _Job, frontend=frontend, frames=frames, order=order, folder=mels.folder, key=mels.key,
        stored=mels.digests if missing else frozenset(),
    )  # fmt: skip
    done = len(clips) - len(missing)
    for places, results in _run(made, clips, stamps, missing, runtime, done):
        for i, result in zip(places, results, strict=True):
            if isinstance(result, NearfarError):
                raise result
            found[i] = result
    mels.refresh()
    if any(source is None or source.digest not in mels for source in found):
        raise StorageError(
            f"{mels.folder}: log-mels were removed while others were computed; do not empty the "
            "cache meanwhile, and start again"
        )
    return [_usable(c, s, frames) for c, s in zip(clips, found, strict=True) if s is not None]


def _usable(clip: Clip, source: Source, frames: int | None) -> Source:
    """What is stored may have been stored for another number of frames."""
    try:
        frames_of(source.samples, frames)
    except AudioError as error:
        raise AudioError(f"{clip.name}: {error}") from None
    return source


def _run(
    made: partial[_Job],
    clips: Clips,
    stamps: Sequence[str],
    missing: Sequence[int],
    runtime: Runtime,
    done: int,
) -> Iterator[tuple[Sequence[int], list[Source | NearfarError]]]:
    """Places of clips and what they gave, job by job."""
    progress = runtime.progress or (lambda what, done, of: None)
    size = max(1, min(JOB, -(-len(missing) // (4 * runtime.workers))))
    parts = [missing[first : first + size] for first in range(0, len(missing), size)]
    jobs = [made([(clips[i], stamps[i]) for i in part]) for part in parts]
    progress("log-mels", done, len(clips))
    for part, results in zip(parts, workers.run(_store, jobs, runtime.workers), strict=True):
        done += len(part)
        progress("log-mels", done, len(clips))
        yield part, results


def _store(job: _Job) -> list[Source | NearfarError]:
    """Read some clips and write a segment: in a worker process, so that no numbers need travel."""
    results: list[Source | NearfarError] = []
    with one_thread(), writer(job.folder, job.key) as segment:
        for clip, stamp in job.clips:
            try:
                sound = audio.check(
                    clip.read(job.order), name=clip.name, channels=job.frontend.needs
                )
                source = Source(digest_of(sound), digest_of(sound[:1]), sound.shape[1])
                if source.digest not in job.stored and source.digest not in segment.mels:
                    segment.add(source.digest, _mel(job, clip, sound))
                if stamp and stamp == _stamp(clip, job.order):  # nobody wrote to it meanwhile
                    segment.note(stamp, source)
                results.append(source)
            except NearfarError as error:
                results.append(error)
    return results


def _mel(job: _Job, clip: Clip, sound: audio.Audio) -> Float32:
    """The log-mel of a clip, not padded beyond its last 16 frames.

    Where the encoder reads a fixed number of frames, a crop may lie behind the first of them, so
    all are stored.
    """
    length = sound.shape[1]
    own = -(-n_frames(length) // PATCH) * PATCH
    try:
        frames = None if job.frames is None else max(PATCH, min(own, MAX_FRAMES))
        mel = features(job.frontend(sound)[0], frames)
    except AudioError as error:
        raise AudioError(f"{clip.name}: {error}") from None
    if not np.isfinite(mel).all():
        raise AudioError(f"{clip.name}: {job.frontend!r} made NaN or infinite samples of it")
    return mel


def _size(clip: Clip) -> int:
    """Bytes that a clip's log-mel takes, by the file's header."""
    stop = audio.duration(clip.path) if clip.stop is None else clip.stop
    own = n_frames(round((stop - clip.start) * audio.SAMPLE_RATE))
    return ROW * PATCH * max(1, -(-min(own, MAX_FRAMES) // PATCH))


def _stamp(clip: Clip, order: ChannelOrder) -> str:
    """What changes when a clip's sound does, without reading it; "" if it is not there.

    The times are the file system's, so that a copy put in its place is noticed too.
    """
    parts: list[object] = [__version__, order, clip.start, clip.stop]
    try:
        for path in (clip.path, clip.far):
            if path is not None:
                facts = os.stat(path)
                parts += [os.path.abspath(path), facts.st_size, facts.st_mtime_ns]
                parts += [facts.st_ctime_ns, facts.st_ino]
    except OSError:
        return ""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
