"""The page of a command: served, closed whatever happens, and what it shows before a detector."""

from __future__ import annotations

import difflib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nearfar.cli.endings import obeyed
from nearfar.cli.program import voice
from nearfar.errors import FormatError, SettingError, needs, visible

if TYPE_CHECKING:
    from nearfar.cli.options import LogForm
    from nearfar.page.serving import PageOutput
    from nearfar.service.plant import PageSettings, PlantSettings
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
    """Say where the page is, for others too where they reach it."""
    told("page", f"page: {page.url}{_for_others(page)}", url=page.url)


def _for_others(page: PageOutput) -> str:
    # 0.0.0.0 and [::] are all addresses of this computer: no browser elsewhere can ask for them.
    proxy, here = page.desk.settings.proxy, urlsplit(page.url)
    if not proxy and here.hostname not in ("0.0.0.0", "::"):
        return ""
    return f" (from elsewhere {proxy or f'http://{socket.gethostname()}:{here.port}/'})"


def check_places(plant: PlantSettings) -> None:
    """Refuse what a watch would end of as soon as it began, after its page was shown and used.

    Raises:
        DatasetError: a folder that is not there.
        StorageError: a file that can be no history.
        NearfarError: an extra that is not installed.
    """
    from nearfar.service.equipment import check_extras
    from nearfar.service.sources.tree import watchable

    check_extras(plant)
    for source in plant.sources:
        if source.kind == "folder":
            watchable(Path(source.place))
    check_place_of_history(plant.history.place)


def check_place_of_history(place: str) -> None:
    """Refuse a file that can be none; whether a server answers is seen when it is opened.

    Raises:
        StorageError: it is a folder, another's file, or in no folder.
        NearfarError: the extra [plant] is not installed.
    """
    with needs("plant", "a history needs SQLAlchemy"):
        from nearfar.service.history.database import check_file, file_of
    file = file_of(place)
    if file is not None:
        check_file(file, make=True)


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
            told("setup", f"{detector}: is not there yet; {_meant(detector)}open {page.url}"
                 f"{_for_others(page)} to make it")  # fmt: skip
            _wait(setup.fitted)
        finally:
            setup.close()


def _meant(detector: Path) -> str:
    """A detector beside it that is called nearly so: it may have been mistyped."""
    with suppress(OSError):  # it is a guess, and nothing depends on it
        names = [found.parent.name for found in detector.absolute().parent.glob("*/detector.json")]
        for name in difflib.get_close_matches(detector.name, names, n=1):
            return f"did you mean {visible(str(detector.with_name(name)))}? Else "
    return ""


def _wait(event: Event) -> None:
    while not event.wait(1.0):  # with an end, for else some systems let no signal through
        pass
