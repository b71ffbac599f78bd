"""All that is held for each machine while it is watched, and which of them a clip is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError, did_you_mean
from nearfar.service.alarms.normality import Normality
from nearfar.service.alarms.station import Station
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.service.alarms.point import Numbers
    from nearfar.service.alarms.wishes import AlarmSettings
    from nearfar.service.holding import DetectorHold
    from nearfar.service.news import AlarmEvent
    from nearfar.service.plant import PlantSettings

Key = tuple[str, str]  # machine, section


@dataclass(eq=False)
class Post:
    """A machine and section that is watched.

    >>> Post.__dataclass_fields__["station"].type
    'Station'
    """

    hold: DetectorHold
    settings: AlarmSettings
    normality: Normality
    station: Station

    @classmethod
    def of(
        cls, key: Key, hold: DetectorHold, settings: AlarmSettings, numbers: Numbers, state: str
    ) -> Post:
        """Made of a detector that knows it, and of the state it was left in; "" is none.

        Raises:
            FormatError: a state that is none.
        """
        normality = Normality.of(hold.detector, *key, gate=settings.gate)
        station = Station(*key, normality, settings, numbers, state)
        return cls(hold, settings, normality, station)

    @property
    def key(self) -> Key:
        """Its machine and section."""
        return self.station.machine, self.station.section

    @property
    def seconds(self) -> float:
        """Median length of its normal clips."""
        return float(self.hold.detector.sections[self.key].seconds)

    def renew(self, at: datetime) -> tuple[AlarmEvent, ...]:
        """Its detector was replaced; all but its drift goes on."""
        self.normality = Normality.of(self.hold.detector, *self.key, gate=self.settings.gate)
        return self.station.renew(self.normality, at)


class Posts(Mapping[Key, Post]):
    """All of them, by machine and section.

    Args:
        plant: what its settings say of whose a clip is.
        posts: one for each of its machines.

    >>> Posts.assigned.__doc__.splitlines()[0]
    'The clip as the machine it is judged as, as `nearfar score` has it.'
    """

    def __init__(self, plant: PlantSettings, posts: Iterable[Post]) -> None:
        self._plant = plant
        self._posts = {post.key: post for post in posts}
        self._sources = {source.name: source for source in plant.sources}

    def __getitem__(self, key: Key) -> Post:
        return self._posts[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._posts)

    def __len__(self) -> int:
        return len(self._posts)

    def assigned(self, clip: Clip, source: str) -> Clip:
        """The clip as the machine it is judged as, as `nearfar score` has it.

        Raises:
            DatasetError: of a machine or section that is not watched.
        """
        said = self._sources[source]
        key = self._plant.whose(clip, said)
        if key is None:
            names = [called(*known) for known in self]
            asked = called(clip.machine, clip.section)
            raise DatasetError(
                f"{clip.name}: nobody watches {asked!r}; {did_you_mean(asked, names)}. Name its "
                "machine, or put it into a folder named as the machine"
            )
        channels = said.channels or clip.channels
        return replace(clip, machine=key[0], section=key[1], channels=channels)

    def holds(self) -> list[DetectorHold]:
        """The detectors, each once."""
        return list(dict.fromkeys(post.hold for post in self.values()))
