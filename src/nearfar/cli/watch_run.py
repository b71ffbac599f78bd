"""A watch while it runs: its outputs on a terminal, its page, the signals that it obeys."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.cli.endings import obeyed
from nearfar.cli.options import LogForm, on_disk
from nearfar.cli.page_run import served, tell_address
from nearfar.cli.program import voice
from nearfar.cli.progress import Interrupted
from nearfar.cli.ticker import AboveStatus, JsonLines, Ticker
from nearfar.errors import SettingError

if TYPE_CHECKING:
    from nearfar.page.serving import PageOutput
    from nearfar.service.equipment import Equipment
    from nearfar.service.logs import WatchLog
    from nearfar.service.news import Output, WatchNow
    from nearfar.service.plant import PlantSettings
    from nearfar.service.watch import Watch

ONCE_PATIENCE = 5.0  # s for what is not complete, where nothing more is expected


@dataclass(eq=False)
class WatchRun:
    """One run of a watch, from settings that are read to its end.

    Args:
        plant: what it is to do.
        as_json: where JSON lines go; None is nowhere.
        log: how events are told.
        once: end when all that is there is heard.
        page: that is served already; None opens what the settings say.

    >>> WatchRun.__dataclass_fields__["once"].default
    False
    """

    plant: PlantSettings
    as_json: Path | None = None
    log: LogForm = LogForm.text
    once: bool = False
    page: PageOutput | None = None
    _begun: list[Watch] = field(default_factory=list)

    def __call__(self) -> None:
        """Watch until it ends.

        Raises:
            NearfarError: something cannot be opened.
            OSError: nobody reads the output any more.
            Interrupted: Ctrl-C.
        """
        from nearfar.service.logs import WatchLog

        if self.once:
            self.plant = at_once(self.plant)
        lines = JsonLines(self.as_json, self._gone) if self.as_json is not None else None
        ticker = self._ticker()
        together = ticker is not None and _together()
        stream: Any = AboveStatus(ticker, sys.stderr) if ticker and together else sys.stderr
        with ExitStack() as stack:
            caught = stack.enter_context(obeyed(self._stop, self._reread()))
            page = self.page
            if page is None and self.plant.page is not None:
                page = stack.enter_context(served(self.plant.page))
            equipment = self._equipment([out for out in (ticker, lines, page) if out is not None])
            log = WatchLog(self.log.value, stream, quiet=voice.quiet)
            told = stack.enter_context(log)
            self._watch(equipment, page, _beside(told, self.log, ticker))
            told("end", "ended")
        for broken in (out.broken for out in (ticker, lines) if out is not None):
            if broken is not None:
                raise broken
        if signal.SIGINT in caught:
            raise Interrupted(signal.SIGINT)

    def _watch(
        self, equipment: Equipment, page: PageOutput | None, told: Callable[..., None]
    ) -> None:
        from nearfar.service.watch import Watch

        watch = Watch(equipment, told)
        if page is not None:
            from nearfar.page.backend import BesideWatch

            page.desk.attach(BesideWatch(watch))
            tell_address(told, page)
        self._begun.append(watch)
        watch()

    def _equipment(self, others: list[Output]) -> Equipment:
        from nearfar.service.equipment import equip

        equipment = equip(self.plant, self._now, others)
        if self.once:
            return replace(equipment, sources=_finite(equipment.sources))
        return equipment

    def _ticker(self) -> Ticker | None:
        taken = self.as_json is not None and on_disk(self.as_json) is None
        if voice.quiet or taken:
            return None
        ticker = Ticker([m.key for m in self.plant.machines], gone=self._gone)
        ticker.watching(self._now)
        return ticker

    # ---- while it runs ---------------------------------------------------------------------------

    def _now(self) -> WatchNow:
        return self._begun[0].now

    def _gone(self) -> None:
        self._begun[0].stop()

    def _stop(self) -> bool:
        """Let it end after the clip at hand; False before there can be any."""
        for watch in self._begun:
            watch.stop()
        return bool(self._begun)

    def _reread(self) -> Callable[[], None] | None:
        """What reads plant.toml anew; None where there is none."""
        file, page = self.plant.file, self.plant.page
        if file is None:
            return None
        from nearfar.service.equipment import reequip
        from nearfar.service.plant_file import read_plant

        def reread() -> None:
            if self._begun:  # else it is being read just now
                self._begun[0].change(lambda old: reequip(read_plant(file, page), old, self._now))

        return reread


def at_once(plant: PlantSettings) -> PlantSettings:
    """The same, and nobody waits long for the other half of a pair.

    Raises:
        SettingError: a source that has no end.
    """
    if any(source.kind == "device" for source in plant.sources):
        raise SettingError("--once: a microphone never ends by itself; end it with Ctrl-C")
    sources = (replace(s, patience=min(s.patience, ONCE_PATIENCE)) for s in plant.sources)
    return replace(plant, sources=tuple(sources))


def _finite(sources: Any) -> dict[str, Any]:
    from nearfar.service.finite_source import FiniteSource
    from nearfar.service.sources.folder import FolderSource

    # A stream ends by itself.
    return {
        name: FiniteSource(source) if isinstance(source, FolderSource) else source
        for name, source in sources.items()
    }


def _together() -> bool:
    """Do standard output and standard error lead to one place, as on a terminal?"""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):
        return False


def _beside(told: WatchLog, log: LogForm, ticker: Ticker | None) -> Callable[..., None]:
    """The log; what a ticker shows in the same place is not told twice."""
    if ticker is None or log is LogForm.json or not _together():
        return told

    def tell(event: str, message: str, level: str = "info", **facts: Any) -> None:
        if event != "unjudged" and not event.startswith("alarm "):
            told(event, message, level, **facts)

    return tell
