"""Clips looked at without a system: what a set's test clips need, which nothing is fitted on."""

from __future__ import annotations

from collections.abc import Sequence

from nearfar.clips import Clip
from nearfar.clips.survey import look_through
from nearfar.errors import NearfarError
from nearfar.health.copies import Sound
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import ChannelOrder, check, digest_of
from nearfar.sound.look import look


def glimpse(
    clips: Sequence[Clip], needs: int, order: ChannelOrder, runtime: Runtime
) -> list[Sound | NearfarError]:
    """What each clip is like, in their order, or why it cannot be used.

    Args:
        clips: in any order.
        needs: channels that each must have.
        order: which file channel is near.
        runtime: workers, progress.
    """
    return look_through(clips, needs, order, runtime, sound_of)


def sound_of(clip: Clip, needs: int, order: ChannelOrder) -> Sound:
    """What a clip that can be used is like; its sound itself is let go of."""
    audio, recorded = clip.read_recorded(order)
    heard = check(audio, name=clip.name, channels=needs)
    # Two recorders run on two clocks, which is looked at; one file has one.
    return Sound(clip, look(heard, recorded, two_files=clip.far is not None), digest_of(heard))
