"""The page of a command: served, closed whatever happens, and what it shows before a detector."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from nearfar.cli.endings import obeyed
from nearfar.cli.program import voice
from nearfar.errors import FormatError, SettingError

if TYPE_CHECKING:
    from nearfar.cli.options import LogForm
    from nearfar.page.serving import PageOutput
    from nearfar.service.plant import PageSettings
    from nearfar.service.troubles import Tell


@contextmanager
def served(settings: PageSettings) -> Iterator[PageOutput]:
    """A page that listens already and answers once it is started; at the end it is closed.

    Raises:
        NearfarError: nobody can listen there, or the extra [page] is not installed.
    """
    from nearfar.page.desk import Desk
    from nearfar.page.serving import PageOutput

    page = PageOutput(Desk(settings))
    try:
        yield page
    finally:
        page.close()


def tell_address(told: Tell, page: PageOutput) -> None:
    """Say where the page is."""
    told("page", f"page: {page.url}", url=page.url)


def is_to_come(detector: Path) -> bool:
    """Is there nothing yet, in a folder that is there?

    Raises:
        SettingError: the folder that it would be in is not there.
    """
    try:
        os.lstat(detector)
    except FileNotFoundError:
        pass
    except OSError:  # a name that no disk takes; whoever opens it says so
        return False
    else:
        return False
    if not detector.parent.is_dir():
        raise SettingError(
            f"{detector}: there is no folder {detector.parent}; make it, or name another place"
        )
    return True


@contextmanager
def tells_of_page(detector: Path) -> Iterator[None]:
    """Whoever has no detector yet is told that the page can make one, too."""
    try:
        yield
    except FormatError as error:
        comes = False
        with suppress(SettingError):
            comes = is_to_come(detector)
        if not comes:
            raise
        raise FormatError(f"{error}; or in a browser with --page 127.0.0.1:8080") from None


def await_fit(
    detector: Path, page: PageOutput, log: LogForm, machines: Sequence[str] = ()
) -> None:  # fmt: skip
    """Serve the screen that makes a detector, until there is one.

    Args:
        detector: to be made.
        page: that serves it.
        log: how events are told.
        machines: that are wanted of it; none of them is any.

    Raises:
        SettingError: several machines; one is made on the page.
        Interrupted: Ctrl-C.
        SystemExit: SIGTERM; nothing is lost.
    """
    from nearfar.page.setup.setting_up import Setup
    from nearfar.service.logs import WatchLog

    names = list(dict.fromkeys(machines))
    if len(names) > 1:
        raise SettingError(
            f"{detector}: is not there yet, and on the page it is made of one machine, not of "
            f"{', '.join(names)}; name one, or use nearfar fit"
        )
    with (
        obeyed(lambda: False),
        WatchLog(log.value, sys.stderr, quiet=voice.quiet) as told,
    ):
        desk = page.desk
        desk.setup = setup = Setup(
            detector, desk, desk.settings.normals, told, machine="".join(names)
        )  # fmt: skip
        try:
            page.start()
            told("setup", f"{detector}: is not there yet; open {page.url} to make it")
            _wait(setup.fitted)
        finally:
            setup.close()


def _wait(event: Event) -> None:
    while not event.wait(1.0):  # with an end, for else some systems let no signal through
        pass
