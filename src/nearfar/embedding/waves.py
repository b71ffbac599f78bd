"""Clips heard in waves: of a fleet's, no more are in memory than some machines have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nearfar.clips.collection import Clips
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import Hearing, hear
from nearfar.runtime.executors import executor_of
from nearfar.runtime.runtime import Runtime

if TYPE_CHECKING:
    from nearfar.clips.clip import Clip
    from nearfar.sound.audio import ChannelOrder

# Clips of a wave. Worker processes start anew for each, which takes a second or two; what was heard
# of so many clips takes some ten megabytes.
WAVE = 4096


def in_waves(
    clips: Clips, groups: Sequence[Sequence[Clip]], runtime: Runtime
) -> list[Sequence[Clip]]:
    """The clips in parts of about `WAVE`, in which no group is divided.

    Args:
        clips: all of them; where they are a wave, they come as they are.
        groups: the same clips.
        runtime: one that puts its jobs off to other runs hears all at once.

    >>> in_waves(Clips(), [], Runtime())
    [<Clips: 0 clips, machines: none>]
    """
    if len(clips) <= WAVE or executor_of(runtime).defers:
        return [clips]
    waves: list[list[Clip]] = [[]]
    for group in groups:
        if waves[-1] and len(waves[-1]) + len(group) > WAVE:
            waves.append([])
        waves[-1] += group
    return [*waves]


def hear_in_waves(
    waves: Sequence[Sequence[Clip]],
    clips: Sequence[Clip],
    chains: Sequence[Chain],
    runtime: Runtime,
    *,
    order: ChannelOrder,
    digest: bool = True,
    skip_bad: bool = False,
    tell: bool = True,
) -> Iterator[Hearing]:
    """What each wave gave; the next is heard when it is asked for.

    Args:
        waves: parts of the clips.
        clips: all of them, in the order in which those that cannot be used are told.
        chains, runtime, order, digest, skip_bad, tell: as in `hear`.

    Raises:
        AudioError, DatasetError, NearfarError: clips that cannot be used, of all waves in one.
        WeightsError, SettingError: an encoder that cannot run here.
    """
    if not skip_bad and any(clip.fault for clip in clips):
        waves = [clips]  # refused before any is heard
    many = len(waves) > 1
    for n, wave in enumerate(waves):
        within = _counting_on(runtime, sum(map(len, waves[:n])), len(clips)) if many else runtime
        heard = hear(
            wave, chains, within, order=order, digest=digest, skip_bad=skip_bad or many,
            tell=tell and skip_bad,
        )  # fmt: skip
        if heard.left_out and not skip_bad:
            # A look at all clips finds the others that cannot be used, as `embed` does for one.
            bad = {wave[place]: line for place, line in heard.left_out.items()}
            told = [replace(clip, fault=bad[clip]) if clip in bad else clip for clip in clips]
            hear(told, chains, runtime, order=order, digest=digest)
        yield heard


def _counting_on(runtime: Runtime, before: int, total: int) -> Runtime:
    """Its progress goes on from the waves before to all clips."""
    progress = runtime.progress
    if progress is None:
        return runtime

    def shown(what: str, done: int, of: int) -> None:
        if what == "listening":
            done, of = before + done, total
        progress(what, done, of)

    return replace(runtime, progress=shown)
