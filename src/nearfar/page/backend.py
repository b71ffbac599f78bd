"""What is behind a page: a watch that runs, or detectors without one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from nearfar.errors import StorageError
from nearfar.page.lately import Lately
from nearfar.service.plant import Key, PlantSettings

if TYPE_CHECKING:
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.holding import DetectorHold
    from nearfar.service.news import MachineNow, WatchNow
    from nearfar.service.watch import Watch


class Backend(Protocol):
    """What a page is of; asked from many threads.

    >>> Backend.__doc__.splitlines()[0]
    'What a page is of; asked from many threads.'
    """

    watches: bool  # does it hear by itself?

    @property
    def plant(self) -> PlantSettings:
        """What it was set up with."""

    @property
    def store(self) -> HistoryStore:
        """The history."""

    @property
    def now(self) -> WatchNow:
        """How machines are."""

    @property
    def busy(self) -> bool:
        """Does it need the processor for itself?"""

    @property
    def holds(self) -> Mapping[Key, DetectorHold]:
        """Machine and section → what judges it."""

    def renewed(self) -> None:
        """A detector on disk was changed by the page: have it taken over."""


@dataclass(frozen=True, eq=False)
class BesideWatch:
    """A watch in the same process.

    >>> BesideWatch.watches
    True
    """

    watch: Watch
    watches = True
    # As the history had them when it began: a watch remembers no clip of the one before it.
    _before: dict[Key, MachineNow] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        with suppress(StorageError):  # the watch itself tells of it
            self._before.update(Lately(self.store, self.holds).machines)

    @property
    def plant(self) -> PlantSettings:
        """As of its last change."""
        return self.watch.equipment.plant

    @property
    def store(self) -> HistoryStore:
        """The one that it writes."""
        return self.watch.equipment.store

    @property
    def now(self) -> WatchNow:
        """How it is, at this moment; of a machine that it has not heard yet what was kept."""
        now = self.watch.now
        machines = {key: _filled(one, self._before.get(key)) for key, one in now.machines.items()}
        return replace(now, machines=machines)

    @property
    def busy(self) -> bool:
        """Is a recording being heard?"""
        return self.watch.busy

    @property
    def holds(self) -> Mapping[Key, DetectorHold]:
        """Those that it judges with."""
        return {key: post.hold for key, post in self.watch.equipment.posts.items()}

    def renewed(self) -> None:
        """It looks by itself, each second."""


def _filled(machine: MachineNow, before: MachineNow | None) -> MachineNow:
    if machine.last is not None or before is None:
        return machine
    return replace(
        machine, last=before.last, judged=before.judged, running=before.running,
        faults=before.faults,
    )  # fmt: skip
