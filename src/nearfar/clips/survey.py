"""Clips read once before hours of work: which cannot be used, which stand in two classes.

Decoding a clip costs a hundredth of what is done with it later, so all of a data set's faults are
known within a minute, and told together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips
from nearfar.clips.training import proxy_classes
from nearfar.errors import DatasetError, NearfarError, unusable
from nearfar.runtime.executors import run_counted
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import ChannelOrder, check, digest_of

BATCH = 64  # clips that a worker is given at a time
T = TypeVar("T")
Seen = str | NearfarError  # sha256 of a clip's near channel, or why the clip cannot be used
Faults = Mapping[int, NearfarError]  # by the clip's place


@dataclass(frozen=True)
class Glance(Generic[T]):
    """Some clips to be read and checked, and what is to be kept of each.

    >>> from pathlib import Path
    >>> do_glance(Glance((Clip(Path("gone.wav")),), needs=2, order="near-far", see=near_hash))
    [AudioError('gone.wav: no such file')]
    """

    clips: Sequence[Clip]
    needs: int  # channels
    order: ChannelOrder
    see: Callable[[Clip, int, ChannelOrder], T]  # of a module: worker processes know it by name

    def at(self, clip: Clip) -> T | NearfarError:
        """What is seen of one of them, or why it cannot be used."""
        try:
            return self.see(clip, self.needs, self.order)
        except NearfarError as error:
            return error  # told with all others


def do_glance(glance: Glance[T]) -> list[T | NearfarError]:
    """What is seen of each clip, in their order, or why it cannot be used."""
    with one_thread():
        return [glance.at(clip) for clip in glance.clips]


def look_through(
    clips: Sequence[Clip],
    needs: int,
    order: ChannelOrder,
    runtime: Runtime,
    see: Callable[[Clip, int, ChannelOrder], T],
) -> list[T | NearfarError]:
    """Look at clips, in worker processes if there are some; no sound is kept but what is seen.

    Args:
        clips: in any order.
        needs: channels that each must have.
        order: which file channel is near.
        runtime: workers, progress.
        see: what is kept of a clip; a function of a module.
    """
    jobs = (Glance(clips[i : i + BATCH], needs, order, see) for i in range(0, len(clips), BATCH))
    found = run_counted(do_glance, jobs, runtime, "looking through", len(clips), len)
    return [seen for some in found for seen in some]


def survey(clips: Sequence[Clip], needs: int, order: ChannelOrder, runtime: Runtime) -> list[Seen]:
    """Read and check clips, and hash their near channels; arguments are `look_through`'s."""
    return look_through(clips, needs, order, runtime, near_hash)


def near_hash(clip: Clip, needs: int, order: ChannelOrder) -> str:
    """sha256 of the near channel of a clip that can be used."""
    return digest_of(check(clip.read(order), name=clip.name, channels=needs)[:1])


def faults_of(clips: Clips, seen: Sequence[Seen]) -> Faults:
    """Which clips cannot be trained on: unusable ones, and those of one sound in several classes.

    Of the latter nobody knows which has the wrong name, so all of them are named.

    Args:
        clips: normal training clips.
        seen: what `survey` gave for each.
    """
    faults = {i: one for i, one in enumerate(seen) if isinstance(one, NearfarError)}
    classes, alike = proxy_classes(clips), dict[str, list[int]]()
    for i, one in enumerate(seen):
        if isinstance(one, str):
            alike.setdefault(one, []).append(i)
    for places in alike.values():
        for i in places:
            own = classes[clips[i]]
            other = next((j for j in places if classes[clips[j]] != own), None)
            if other is not None:
                faults[i] = DatasetError(
                    f"{clips[i].name}: the same near channel as {clips[other].name}, in the "
                    f"classes {' '.join(own)} and {' '.join(classes[clips[other]])}; mend the name "
                    "of one, or leave both out with --skip-bad"
                )
    return dict(sorted(faults.items()))


def refuse(faults: Faults, clips: int) -> None:
    """Stop where some of so many clips cannot be used; one error that names all."""
    if faults:
        raise unusable(list(faults.values()), clips)
