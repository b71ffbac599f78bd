"""From clips to embeddings: read, check, front end, embedder, with cache and worker processes.

The one place that opens audio files for a system, and the one seam where results are cached: the
key is the audio's content and everything that says what is computed from it.

An embedder that works in two steps (`prepare` a clip, `encode` many; see
`nearfar.embedder.contract`) has its first step done where the clip is read, in a worker process
perhaps, and its second in the process that does the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nearfar.clips.survey import survey
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Heard, channels_of, describe
from nearfar.embedding.shares import Workload, check_chains, do_share, in_shares
from nearfar.errors import NearfarError, name_in, once_left_out, unusable, warn
from nearfar.runtime.executors import executor_of
from nearfar.runtime.memory import keep_freed
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import Audio, ChannelOrder

if TYPE_CHECKING:
    from nearfar.clips import Clip


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
    looked = partial(refusal, clips, channels_of(chains), order, runtime)
    if not skip_bad and any(clip.fault for clip in clips):
        check_chains(chains, runtime)
        raise looked([], 0)  # listing found it out: no clip is embedded in vain
    share = Workload(clips, chains, order, digest, skip_bad, runtime)
    executor = executor_of(runtime)
    results = in_shares(share) if executor.whole else do_share(share)
    faults = {i: one for i, one in enumerate(results) if isinstance(one, NearfarError)}
    if faults and not skip_bad:  # out here, where the workers are gone
        if executor.defers:  # some of the clips, which are not the first
            raise looked([], 0)
        raise looked(list(faults.values()), len(results))
    # None keeps the place of one that is left out.
    heard = [None if isinstance(one, NearfarError) else one for one in results]
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
