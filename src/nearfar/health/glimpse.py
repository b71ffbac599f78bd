"""Clips looked at without a system: what a set's test clips need, which nothing is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearfar.clips import Clip
from nearfar.errors import NearfarError
from nearfar.health.copies import Sound
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.runtime.workers import run_counted
from nearfar.sound.audio import ChannelOrder, check, digest_of
from nearfar.sound.look import look

BATCH = 32  # clips that a worker is given at a time


@dataclass(frozen=True)
class Glimpse:
    """Some clips to be read, checked and looked at, no more.

    >>> from pathlib import Path
    >>> do_glimpse(Glimpse((Clip(Path("gone.wav")),), needs=2, order="near-far"))
    [AudioError('gone.wav: no such file')]
    """

    clips: Sequence[Clip]
    needs: int  # channels
    order: ChannelOrder


def do_glimpse(glimpse: Glimpse) -> list[Sound | NearfarError]:
    """What each clip is like, in their order, or why it cannot be used; no sound is kept."""
    with one_thread():
        return [_seen(clip, glimpse) for clip in glimpse.clips]


def glimpse(
    clips: Sequence[Clip], needs: int, order: ChannelOrder, runtime: Runtime
) -> list[Sound | NearfarError]:
    """Look at clips, in worker processes if there are some.

    Args:
        clips: in any order.
        needs: channels that each must have.
        order: which file channel is near.
        runtime: workers, progress.
    """
    jobs = (Glimpse(clips[i : i + BATCH], needs, order) for i in range(0, len(clips), BATCH))
    found = run_counted(do_glimpse, jobs, runtime, "looking through", len(clips), len)
    return [seen for some in found for seen in some]


def _seen(clip: Clip, job: Glimpse) -> Sound | NearfarError:
    try:
        audio, recorded = clip.read_recorded(job.order)
        heard = check(audio, name=clip.name, channels=job.needs)
        seen = look(heard, recorded, two_files=clip.far is not None)
        return Sound(clip, seen, digest_of(heard))
    except NearfarError as error:
        return error  # told with all others
