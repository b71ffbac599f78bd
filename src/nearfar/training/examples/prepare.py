"""From clips to log-mels on disk: each file is read, checked and heard by the front end once.

Worker processes write what they computed themselves: thousands of log-mels are gigabytes, which
would otherwise go through a pipe and wait in memory.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.collection import Clips
from nearfar.clips.survey import Faults, Seen, faults_of, refuse, survey
from nearfar.embedder.crops import STEP
from nearfar.embedding.chain import identity
from nearfar.embedding.kept import stamp_of
from nearfar.embedding.rows import refusal, warn_left_out
from nearfar.errors import AudioError, NearfarError, StorageError, unusable
from nearfar.runtime import workers
from nearfar.runtime.threads import one_thread
from nearfar.sound import audio
from nearfar.sound.audio import digest_of
from nearfar.sound.fbank import n_frames
from nearfar.sound.spectral import HOP
from nearfar.training.examples.mels import ROW, MelStore, Source, check_room

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedder.backbone import Backbone
    from nearfar.frontend import Frontend
    from nearfar.runtime.runtime import Runtime
    from nearfar.sound.audio import ChannelOrder

Float32 = NDArray[np.float32]

PATCH = STEP // HOP  # frames
JOB = 256  # clips that a worker is given at a time, at most: progress is told after each job


@dataclass(frozen=True)
class _Job:
    clips: Sequence[tuple[Clip, str]]  # with the file's stamp
    frontend: Frontend
    encoder: Backbone
    order: ChannelOrder
    folder: Path  # of the store


def store_key(frontend: Frontend, encoder: Backbone) -> str:
    """Everything but the sound that a log-mel depends on, as text."""
    return f"mel|{encoder.mel_key}|{identity(frontend)}"


def usable(clips: Clips, seen: Sequence[Seen], skip_bad: bool = False) -> list[int]:
    """Places of the clips that can be trained on; with `skip_bad` others have a warning each.

    Raises:
        AudioError, DatasetError, NearfarError: clips that cannot be used, or one near channel in
            two classes, all of them in one.
    """
    faults = faults_of(clips, seen)
    if not skip_bad:
        refuse(faults, len(clips))
    for i, fault in faults.items():
        warn_left_out(str(fault), clips[i])
    return [i for i in range(len(clips)) if i not in faults]


def prepare(
    clips: Clips,
    frontend: Frontend,
    encoder: Backbone,
    runtime: Runtime,
    order: ChannelOrder,
    mels: MelStore,
    skip_bad: bool = False,
) -> list[Source | None]:
    """Fill a store with the log-mels of clips, and return the sound of each.

    Those that are in it are not read again. Many that are not are looked through first: a minute of
    reading before many of masks and log-mels. A clip may not be longer than the encoder reads,
    unless that has `frames` to cut it to. With `skip_bad` a clip that cannot be used has None, and
    a warning.

    Raises:
        AudioError, DatasetError, NearfarError: clips that cannot be used, all of them in one: what
            was not heard yet is then read and checked, no more. One near channel in two classes,
            where many are looked through.
        StorageError: no room for the log-mels.
    """
    looked = partial(refusal, clips, frontend.needs, order, runtime)
    stamps = [stamp_of(clip, order) for clip in clips]
    found = [mels.source(stamp) if stamp else None for stamp in stamps]
    missing = [i for i, source in enumerate(found) if source is None]
    faults: dict[int, NearfarError] = {}
    if len(missing) > JOB:  # to make the log-mels of fewer is as quick
        faults |= _looked_through(clips, found, missing, frontend, order, runtime)
        if not skip_bad:
            refuse(faults, len(clips))
    elif not skip_bad and any(clip.fault for clip in clips):
        raise looked()  # listing found it out: nothing is heard in vain
    if missing := [i for i in missing if i not in faults]:
        check_room(mels.folder, sum(_size(clips[i], encoder) for i in missing))
    made = partial(_Job, frontend=frontend, encoder=encoder, order=order, folder=mels.folder)
    with closing(_run(made, clips, stamps, missing, runtime)) as results:
        for i, result in results:
            if isinstance(result, NearfarError):
                faults[i] = result
                if not skip_bad:
                    break
            else:
                found[i] = result
    if faults and not skip_bad:  # out here, where the workers are gone
        raise looked(list(faults.values()), max(faults) + 1)
    lost = (i for i, source in enumerate(found) if source is None or source.digest not in mels)
    if any(i not in faults for i in lost):
        raise StorageError(
            f"{mels.folder}: log-mels were removed while others were computed; do not empty the "
            "cache meanwhile, and start again"
        )
    faults |= _too_long(clips, found, encoder)
    if faults and not skip_bad:
        raise unusable([faults[i] for i in sorted(faults)], len(clips))
    for i in sorted(faults):
        warn_left_out(str(faults[i]), clips[i])
    return [None if i in faults else source for i, source in enumerate(found)]


def _looked_through(
    clips: Clips,
    found: Sequence[Source | None],
    missing: Sequence[int],
    frontend: Frontend,
    order: ChannelOrder,
    runtime: Runtime,
) -> Faults:
    """What is wrong with clips, of which those that are not in the store are read."""
    read = survey([clips[i] for i in missing], frontend.needs, order, runtime)
    news = dict(zip(missing, read, strict=True))
    return faults_of(clips, [news[i] if s is None else s.near for i, s in enumerate(found)])


def _too_long(
    clips: Clips, sources: Sequence[Source | None], encoder: Backbone
) -> dict[int, NearfarError]:
    """Places of clips that were stored for another number of frames than is read now."""
    faults: dict[int, NearfarError] = {}
    for i, (clip, source) in enumerate(zip(clips, sources, strict=True)):
        try:
            with _naming(clip):
                if source is not None:
                    encoder.check_length(source.samples)
        except AudioError as error:
            faults[i] = error
    return faults


@contextmanager
def _naming(clip: Clip) -> Iterator[None]:
    """Errors inside say of which clip they are."""
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{clip.name}: {error}") from None


def _run(
    made: partial[_Job],
    clips: Clips,
    stamps: Sequence[str],
    missing: Sequence[int],
    runtime: Runtime,
) -> Generator[tuple[int, Source | NearfarError], None, None]:
    """Places of clips and what they gave, job by job."""
    progress = runtime.progress or (lambda what, done, of: None)
    # Four jobs a worker: one that meets long clips does not keep the others waiting.
    size = max(1, min(JOB, -(-len(missing) // (4 * runtime.workers))))
    parts = [missing[first : first + size] for first in range(0, len(missing), size)]
    jobs = [made([(clips[i], stamps[i]) for i in part]) for part in parts]
    done = len(clips) - len(missing)
    progress("log-mels", done, len(clips))
    for part, results in zip(parts, workers.run(_store, jobs, runtime.workers), strict=True):
        done += len(part)
        progress("log-mels", done, len(clips))
        yield from zip(part, results, strict=True)


def _store(job: _Job) -> list[Source | NearfarError]:
    """Read some clips and keep their log-mels, each as soon as it is there."""
    store = MelStore(job.folder)
    with one_thread():  # equal bits with any number of workers
        return [_stored(job, store, clip, stamp) for clip, stamp in job.clips]


def _stored(job: _Job, store: MelStore, clip: Clip, stamp: str) -> Source | NearfarError:
    try:
        sound = audio.check(clip.read(job.order), name=clip.name, channels=job.frontend.needs)
        source = Source(digest_of(sound), digest_of(sound[:1]), sound.shape[1])
        if source.digest not in store:
            store.add(source.digest, _mel(job, clip, sound))
        if stamp and stamp == stamp_of(clip, job.order):  # nobody wrote to the file meanwhile
            store.note(stamp, source)
        return source
    except NearfarError as error:
        return error  # told with all others, whichever worker meets one


def _mel(job: _Job, clip: Clip, sound: audio.Audio) -> Float32:
    """The log-mel of a clip, of which crops are cut."""
    with _naming(clip):
        mel = job.encoder.whole_mel(job.frontend(sound)[0])
    if not np.isfinite(mel).all():  # a person's own front end may
        raise AudioError(f"{clip.name}: {job.frontend!r} made NaN or infinite samples of it")
    return mel


def _size(clip: Clip, encoder: Backbone) -> int:
    """Bytes that a clip's log-mel takes, by the file's header; 0 of one that has none."""
    try:  # none of it is read
        stop = audio.duration(clip.path) if clip.stop is None else clip.stop
    except AudioError:  # said by whoever reads it
        return 0
    samples = min(round((stop - clip.start) * audio.SAMPLE_RATE), encoder.longest)
    return ROW * PATCH * max(1, -(-n_frames(samples) // PATCH))
