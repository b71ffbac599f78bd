"""Detectors without a watch: what others keep in a history is shown, and nothing is heard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nearfar.errors import DatasetError, NearfarError, SettingError, did_you_mean, needs
from nearfar.page.lately import Lately
from nearfar.service.holding import DetectorHold
from nearfar.service.incoming import now
from nearfar.service.news import WatchNow
from nearfar.service.plant import (
    DetectorSettings,
    HistorySettings,
    Key,
    MachineSettings,
    PageSettings,
    PlantSettings,
    SourceSettings,
    machines_of,
)
from nearfar.service.troubles import Tell, Troubles, fault_line
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.news import Bulletin

PAUSE = 1.0  # s between looks at the history, and at detectors on disk


class Standby:
    """What is behind a page where nobody watches, or a watch does in another process.

    Args:
        plant: machines with their detectors, and where the history is.
        tell: takes lines of the log.

    Raises:
        NearfarError: a detector or a history that cannot be opened, or an extra that is missing.

    >>> Standby.watches, Standby.busy
    (False, False)
    """

    watches = False
    busy = False

    def __init__(self, plant: PlantSettings, tell: Tell) -> None:
        self.plant = plant
        self._tell = tell
        self._troubles = Troubles(tell)
        self._started = now()
        self._trouble = ""  # of the history
        self._lock = threading.Lock()  # of detectors that are being replaced
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        # Before the history: what cannot be begun leaves no file.
        held = {d: DetectorHold(d, keys) for d, keys in plant.detectors.items()}
        self._held = tuple(held.values())
        self.holds: Mapping[Key, DetectorHold] = {m.key: held[m.detector] for m in plant.machines}
        self.store = _opened(plant.history.place)
        try:
            self._lately = Lately(self.store, self.holds)
        except BaseException:
            self.store.close()
            raise

    @property
    def now(self) -> WatchNow:
        """How machines are, as the history had it a second ago."""
        return WatchNow(
            self._started, ready=True, machines=self._lately.machines, history=self._trouble
        )

    def start(self, show: Callable[[Bulletin], None]) -> None:
        """Begin to look each second.

        Args:
            show: takes what is new.
        """
        self._thread = threading.Thread(
            target=self._look_on, args=(show,), name="nearfar standby", daemon=True
        )
        self._thread.start()

    def renewed(self) -> None:
        """A detector on disk was changed by the page: have it taken over, now."""
        self._refresh(at_once=True)

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self.store.close()

    def _look_on(self, show: Callable[[Bulletin], None]) -> None:
        while not self._stopped.wait(PAUSE):
            self.look(show)

    def look(self, show: Callable[[Bulletin], None]) -> None:
        """Once: take over detectors that were replaced, and show what was kept since."""
        self._refresh()
        try:
            found = self._lately.look()
        except NearfarError as error:  # locked, removed, a server that is down: later it may work
            self._trouble = str(error)
        except Exception as fault:
            self._trouble = fault_line(fault)
        else:
            self._trouble = ""
            for bulletin in found:
                show(bulletin)
        self._troubles.look({"history": self._trouble})

    def _refresh(self, *, at_once: bool = False) -> None:
        with self._lock:
            for hold in self._held:
                before = hold.identity
                if line := hold.refresh(at_once=at_once):
                    level = "info" if hold.identity != before else "warning"
                    self._tell("detector", line, level)


def standby_plant(
    detectors: Sequence[DetectorSettings], names: Iterable[str], history: HistorySettings,
    page: PageSettings,
) -> PlantSettings:  # fmt: skip
    """The settings of detectors that nobody watches with.

    Args:
        detectors: on disk.
        names: machines that are wanted; none of them is all.
        history: where a watch keeps what it hears.
        page: of the page.

    Raises:
        SettingError: two of the detectors know the same machine and section.
        DatasetError: a machine that none of them knows.
        FormatError: no detector, or a damaged one.
    """
    wanted = list(dict.fromkeys(names))
    known = [machine for where in detectors for machine in machines_of(where, {})]
    for name in wanted:
        if all(name != machine.name for machine in known):
            there = list(dict.fromkeys(machine.name for machine in known))
            raise DatasetError(f"no detector knows {name!r}; {did_you_mean(name, there)}")
    found: dict[Key, MachineSettings] = {}
    for machine in known:
        if wanted and machine.name not in wanted:
            continue
        if (other := found.get(machine.key)) is not None:
            raise SettingError(
                f"{machine.detector.folder}: knows {called(*machine.key)}, and so does "
                f"{other.detector.folder}; leave one of the two out"
            )
        found[machine.key] = machine
    # What people bring is all that is heard.
    uploads = SourceSettings("page", "folder", "")
    return PlantSettings(tuple(found.values()), (uploads,), history, page=page)


def _opened(place: str) -> HistoryStore:
    """A history that others may write; one that is not there yet is made where it can be."""
    with needs("plant", "a history needs SQLAlchemy"):
        from nearfar.service.history.database import file_of
        from nearfar.service.history.store import HistoryStore
    file = file_of(place)
    make = not place or (file is not None and not file.exists())
    return HistoryStore.open(place, make=make, hurry=True)
