"""The command serve: scoring over HTTP, and a history that a watch keeps, without any source."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.endings import obeyed
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    AudioFolder,
    LogForm,
    Parts,
    WatchRate,
    Weights,
    option,
    sound_at,
)
from nearfar.cli.page_options import (
    USUAL,
    Normals,
    PageOptions,
    Proxy,
    ReaderTokenFile,
    TokenFile,
    UploadLimit,
)
from nearfar.cli.page_run import (
    await_fit,
    check_place_of_history,
    is_to_come,
    served,
    tell_address,
)
from nearfar.cli.program import voice
from nearfar.cli.progress import Interrupted
from nearfar.cli.watch_flags import LogFlag
from nearfar.cli.watch_options import read_option
from nearfar.errors import SettingError

if TYPE_CHECKING:
    from nearfar.page.serving import PageOutput
    from nearfar.service.plant import PlantSettings


# fmt: off
def serve(
    detector: Annotated[list[Path] | None, typer.Argument(
        help="Folders of detectors; a single one that is not there yet is made on the page."
    )] = None,
    machine: Annotated[list[str] | None, option(
        DATA, "NAME", "Serve this machine alone; repeatable."
    )] = None,
    weights: Weights = None,
    part: Parts = None,
    false_alarm_rate: WatchRate = None,
    history: Annotated[str | None, option(
        OUTPUT, "PLACE", "A file, or postgresql://…, that a watch keeps, to be shown; else what is "
        "answered is in memory."
    )] = None,
    audio_folder: AudioFolder = None,
    page: Annotated[str, option(
        OUTPUT, "HOST:PORT", "Serve the page and its API there; an address that others reach needs "
        "--token-file or --proxy."
    )] = USUAL,
    token_file: TokenFile = None,
    reader_token_file: ReaderTokenFile = None,
    proxy: Proxy = None,
    normals: Normals = None,
    upload_limit: UploadLimit = None,
    log: LogFlag = LogForm.text,
) -> None:
    """Score recordings that are sent over HTTP; show what a watch keeps in a history.

    As in curl -F audio=@clip.wav http://127.0.0.1:8080/api/machines/pump/score. It may run beside
    the watch, and goes on until Ctrl-C or SIGTERM.
    """
    # fmt: on
    given = dict(locals())
    from nearfar.service.plant_values import share

    settings = PageOptions.of(given).settings()
    if not detector or settings is None:
        raise SettingError("what is to be served? nearfar serve DETECTOR, or several of them")
    if audio_folder is not None and history is None:
        raise SettingError("--audio-folder says more of --history; give that too, or leave it out")
    # Rather now than after a fit.
    sound_at(audio_folder)
    read_option("false_alarm_rate", false_alarm_rate, share)
    check_place_of_history(history or "")
    if len(detector) == 1 and is_to_come(detector[0]):
        with served(settings) as opened:
            await_fit(detector[0], opened, log, machine or ())
            run(_plant(given, settings), opened, log)
        return
    plant = _plant(given, settings)
    with served(settings) as opened:
        run(plant, opened, log)


def _plant(given: dict[str, Any], page: Any) -> PlantSettings:
    from nearfar.page.standby import standby_plant
    from nearfar.service.plant import DetectorSettings, HistorySettings, kept_sound
    from nearfar.service.plant_values import share

    rate = read_option("false_alarm_rate", given["false_alarm_rate"], share)
    weights, parts = tuple(given["weights"] or ()), tuple(given["part"] or ())
    place = given["history"] or ""
    kept = HistorySettings(
        place, keep_audio=kept_sound(place, page), audio_folder=sound_at(given["audio_folder"])
    )  # fmt: skip
    return standby_plant(
        [DetectorSettings(folder, weights, parts, rate) for folder in given["detector"]],
        given["machine"] or (), kept, page,
    )  # fmt: skip


def run(plant: PlantSettings, page: PageOutput, log: LogForm) -> None:
    """Serve until it is told to end.

    Raises:
        NearfarError: a detector or a history that cannot be opened.
        Interrupted: Ctrl-C.
    """
    from nearfar.page.standby import Standby
    from nearfar.service.logs import WatchLog

    ready, over = threading.Event(), threading.Event()

    def stop() -> bool:
        over.set()
        return ready.is_set()

    with obeyed(stop) as caught, WatchLog(log.value, sys.stderr, quiet=voice.quiet) as told:
        with closing(Standby(plant, told)) as standby:
            page.desk.attach(standby)
            page.start()
            standby.start(page.tell)
            ready.set()
            told("start", plant.served, machines=len(plant.machines))
            tell_address(told, page)
            while not over.wait(1.0):  # with an end: some systems let no signal through else
                pass
            page.close()  # before the history that it asks
        told("end", "ended")
    if signal.SIGINT in caught:
        raise Interrupted(signal.SIGINT)
