"""What a data set's test clips are like beside the clips of a fit; nothing is fitted on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.clips.collection import Clips, NoClips
from nearfar.detector.fitting import LookedOver
from nearfar.embedding.jobs import channels_of
from nearfar.errors import DatasetError, NearfarError, hold_warnings, warn
from nearfar.health.glimpse import glimpse
from nearfar.health.suspects import Suspect, turned
from nearfar.health.testset import across, balances, by_format
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import ChannelOrder
from nearfar.system.system import AnySystem


@dataclass(frozen=True)
class Listing:
    """The clips of a data set: those that a fit takes, and those that it never opens.

    >>> Listing(Clips(), Clips()).tests
    <Clips: 0 clips, machines: none>
    """

    train: Clips
    tests: Clips
    unlisted: str = ""  # why test clips could not be listed

    @classmethod
    def of(cls, data: Sequence[Path], how: Mapping[str, Any]) -> Listing:
        """List a data set.

        Args:
            data: folders and files.
            how: further arguments of `Clips.open`.

        Raises:
            DatasetError: as `Clips.open`, of what a fit takes, and if there are no clips at all. It
                can do without test clips: why these cannot be listed is told.
        """
        try:
            train = Clips.open(data, split="train", **how)
        except NoClips:
            train = Clips()  # an evaluation set before its training clips are beside it
        try:
            # What both listings warn of is said once, by the first.
            with hold_warnings() as said:
                everything = Clips.open(data, **how)
        except DatasetError as error:
            if not train:
                raise
            return cls(train, Clips(), f"test clips are not looked at: {error}")
        places = {clip.path.parent for clip in train}
        for message in dict.fromkeys(map(str, said)):
            if not any(str(place) in message for place in places):
                warn(message)
        known = set(train)
        return cls(train, Clips(clip for clip in everything if clip not in known))


@dataclass(frozen=True)
class Beside:
    """What a look at test clips found, and at training clips beyond their own section.

    >>> Beside((), (), (), {}).faults
    ()
    """

    tests: tuple[Suspect, ...]
    train: tuple[Suspect, ...]  # training clips that are others again, which no fit of one can see
    faults: tuple[NearfarError, ...]  # of test clips that cannot be used
    counts: Mapping[str, int]  # test clips of each machine that could be looked at
    turned: tuple[str, ...] = ()  # lines about machines whose far hears more than near


def look_at_tests(
    system: AnySystem,
    tests: Clips,
    looked: LookedOver,
    runtime: Runtime,
    order: ChannelOrder = "near-far",
) -> Beside:
    """Look at a data set's test clips, never judging one by how it sounds beside normal clips.

    Args:
        system: which says how many channels are needed.
        tests: test clips, and others that nothing is fitted on.
        looked: what `look_over` found of the training clips.
        runtime: workers, progress.
        order: which channel is near.
    """
    needs = channels_of([member.chain for member in system.members])
    seen = glimpse(tests, needs, order, runtime)
    sounds = [one for one in seen if not isinstance(one, NearfarError)]
    again = across(looked.sounds, sounds, order)
    mine = {sound.clip for sound in sounds}
    return Beside(
        (*by_format(sounds, looked.sounds), *(s for s in again if s.clip in mine)),
        tuple(s for s in again if s.clip not in mine),
        tuple(one for one in seen if isinstance(one, NearfarError)),
        Counter(sound.clip.machine for sound in sounds),
        tuple(turned(balances(looked.sounds))),
    )
