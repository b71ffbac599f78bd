"""The desk: what requests work with, whatever is behind the page and however they came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.errors import did_you_mean
from nearfar.page.hub import Hub
from nearfar.page.refusal import Refusal
from nearfar.page.turns import Turns
from nearfar.page.workroom import Workroom
from nearfar.service.plant import Key, PageSettings
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.page.backend import Backend
    from nearfar.page.setup.setting_up import Setup
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.holding import DetectorHold


class Desk:
    """What requests work with.

    Args:
        settings: of the page.

    >>> desk = Desk(PageSettings("127.0.0.1:8080"))
    >>> desk.is_ready
    False
    >>> desk.close()
    """

    def __init__(self, settings: PageSettings) -> None:
        self.settings = settings
        self.hub = Hub()
        self.turns = Turns(self._is_busy)
        self.room = Workroom(settings.upload_limit)
        self.setup: Setup | None = None  # of the first detector, where there is none yet
        self._backend: Backend | None = None  # until there is a detector

    def attach(self, backend: Backend) -> None:
        """From now on there is something behind the page."""
        self._backend = backend
        if self.setup is not None:  # what led to it is a part of its history
            self.setup.news.hand_over(backend.store)

    @property
    def is_ready(self) -> bool:
        """Is there a detector?"""
        return self._backend is not None

    @property
    def backend(self) -> Backend:
        """What is behind the page.

        Raises:
            Refusal: nothing yet.
        """
        if self._backend is None:
            raise Refusal(409, "no detector yet; fit one on the page, or with nearfar fit")
        return self._backend

    @property
    def store(self) -> HistoryStore:
        """The history.

        Raises:
            Refusal: nothing is behind the page yet.
        """
        return self.backend.store

    @property
    def normals(self) -> Sequence[Path]:
        """Folders with normal recordings, to be heard beside a clip."""
        page = None if self._backend is None else self._backend.plant.page
        # Those that the detector was made of on the page are where they were put.
        made = () if self.setup is None else self.setup.data
        return tuple(dict.fromkeys((*(page or self.settings).normals, *made)))

    def key(self, machine: str, section: str | None = None) -> Key:
        """A machine and section that has a detector; the only section where none is said.

        Raises:
            Refusal: there is none, or several sections and none is said.
        """
        known = list(self.backend.holds)
        sections = [s for name, s in known if name == machine]
        if not sections:
            names = list(dict.fromkeys(name for name, _ in known))
            raise Refusal(404, f"no machine {machine!r}; {did_you_mean(machine, names)}")
        if section is None and len(sections) > 1:
            raise Refusal(422, f"{machine} has several sections; name one of: "
                          f"{', '.join(sections)}")  # fmt: skip
        if section is not None and section not in sections:
            raise Refusal(404, f"{machine} has no section {section!r}; "
                          f"{did_you_mean(section, sections)}")  # fmt: skip
        return machine, section or sections[0]

    def hold(self, key: Key) -> DetectorHold:
        """What judges a machine.

        Raises:
            Refusal: it is not watched any more.
        """
        found = self.backend.holds.get(key)
        if found is None:
            raise Refusal(404, f"{called(*key)}: is not watched any more")
        return found

    def _is_busy(self) -> bool:
        return self._backend is not None and self._backend.busy

    def close(self) -> None:
        """Answer nobody any more."""
        self.hub.close()
        self.turns.close()
        self.room.close()
