"""The command watch: recordings are heard as they arrive, day and night. Flags to calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import say
from nearfar.cli.options import (
    ClipSeconds,
    Far,
    LogForm,
    Machine,
    Near,
    Pair,
    Parts,
    TimePattern,
    WatchRate,
    Weights,
    on_disk,
)
from nearfar.cli.page_options import (
    Normals,
    Page,
    PageOptions,
    Proxy,
    ReaderTokenFile,
    TokenFile,
    UploadLimit,
)
from nearfar.cli.page_run import await_fit, check_places, is_to_come, served, tells_of_page
from nearfar.cli.watch_flags import (
    Alarm,
    AsJson,
    AudioLimit,
    ClearP,
    Every,
    ExampleFlag,
    ExplainAlarm,
    Gate,
    History,
    Keep,
    KeepAudio,
    LogFlag,
    MetricsPlace,
    Mqtt,
    MqttCa,
    MqttCert,
    MqttKey,
    MqttTopic,
    MqttVersion,
    NewOnly,
    NoDiscovery,
    OnAlarm,
    Once,
    Poll,
    RawForm,
    RawRate,
    SensorAlarm,
    Settle,
    StreamChannels,
)
from nearfar.cli.watch_options import MICROPHONE, STDIN, WatchOptions
from nearfar.cli.watch_run import WatchRun, at_once
from nearfar.errors import SettingError, visible
from nearfar.files import begins, check_output

if TYPE_CHECKING:
    from nearfar.page.serving import PageOutput
    from nearfar.service.plant import PlantSettings

OWN = "own"  # of --explain-alarm: each machine's own rule


def watch(
    detector: Annotated[
        Path | None,
        typer.Argument(help="Folder of a detector; or a plant.toml, which says all the rest."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A folder to watch; - for raw sound on standard input; mic: or mic:NAME for an "
            "input of this computer (mic:? lists them)."
        ),
    ] = None,
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Watch this section alone.")] = None,
    settle: Settle = None,
    poll: Poll = None,
    new_only: NewOnly = False,
    once: Once = False,
    pair: Pair = None,
    time_pattern: TimePattern = None,
    near: Near = None,
    far: Far = None,
    rate: RawRate = None,
    form: RawForm = None,
    channels: StreamChannels = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    false_alarm_rate: WatchRate = None,
    alarm: Alarm = None,
    clear_p: ClearP = None,
    sensor_alarm: SensorAlarm = None,
    gate: Gate = None,
    every: Every = None,
    explain_alarm: ExplainAlarm = None,
    history: History = None,
    keep: Keep = None,
    keep_audio: KeepAudio = None,
    audio_limit: AudioLimit = None,
    mqtt: Mqtt = None,
    mqtt_topic: MqttTopic = None,
    mqtt_version: MqttVersion = None,
    mqtt_ca: MqttCa = None,
    mqtt_cert: MqttCert = None,
    mqtt_key: MqttKey = None,
    no_discovery: NoDiscovery = False,
    metrics: MetricsPlace = None,
    on_alarm: OnAlarm = None,
    page: Page = None,
    token_file: TokenFile = None,
    reader_token_file: ReaderTokenFile = None,
    proxy: Proxy = None,
    normals: Normals = None,
    upload_limit: UploadLimit = None,
    as_json: AsJson = None,
    log: LogFlag = LogForm.text,
    example: ExampleFlag = False,
) -> None:
    """Hear recordings as they arrive: a line each, kept once, people told when it matters.

    Ctrl-C and SIGTERM finish the clip at hand; SIGHUP reads plant.toml anew. A detector that is
    replaced on disk is taken over between two clips.
    """
    given = dict(locals())
    options = WatchOptions(**{f.name: given[f.name] for f in fields(WatchOptions)})
    pages = PageOptions.of(given)
    if example:
        from nearfar.service.plant_file import example as text

        typer.echo(text(), nl=False)
        return
    if source == f"{MICROPHONE}?":
        _list_devices()
        return
    if explain_alarm is not None:
        # To explain an alarm nothing is heard, and nothing is served.
        heard = source if detector is None or _is_file(detector) else source or os.curdir
        plant = _plant(detector, heard, options, PageOptions())
        _explain(plant, explain_alarm)
        return
    if once and new_only:
        raise SettingError("--once and --new-only: nothing would be heard; give one of them")

    def usable(plant: PlantSettings) -> None:
        _check_json(as_json, detector, source, plant.history.place)
        if once:
            at_once(plant)
        check_places(plant)

    with ExitStack() as stack:
        opened = _first_fit(detector, source, options, pages, log, stack, usable)
        plant = _plant(detector, source, options, pages)
        usable(plant)  # before a page says where it is
        WatchRun(plant, as_json, log, once, opened)()


# ---- what is asked -------------------------------------------------------------------------------


def _plant(
    detector: Path | None, source: str | None, options: WatchOptions, pages: PageOptions
) -> PlantSettings:
    """The settings, of a file or of options."""
    if detector is None:
        raise SettingError(
            "what is to be watched? nearfar watch DETECTOR FOLDER, or nearfar watch plant.toml, of "
            "which --example prints one"
        )
    if _is_file(detector):
        return _plant_of_file(detector, source, options, pages)
    if source is None:
        raise SettingError(
            f"where are the recordings of {detector}? Name a folder, - for raw sound, or mic:"
        )
    with tells_of_page(detector):
        return options.plant(detector, source, pages.settings())


def _is_file(detector: Path) -> bool:
    """Is it a plant.toml, or meant as one?"""
    return detector.suffix == ".toml" or os.path.isfile(detector)  # of a name too long, too


def _plant_of_file(
    file: Path, source: str | None, options: WatchOptions, pages: PageOptions
) -> PlantSettings:
    from nearfar.service.plant_file import read_plant

    if source is not None:
        raise SettingError(f"{source}: {file} says what is heard; leave one of them out")
    said = f"is said in {file}; leave it out here"
    options.refuse(options.said(), said)
    plant = read_plant(file)
    if plant.page is not None:
        pages.refuse_all(said)
        return plant
    page = pages.settings()
    # Anew: with a page a history keeps sound where the file says nothing of it.
    return plant if page is None else read_plant(file, page)


def _first_fit(
    detector: Path | None, source: str | None, options: WatchOptions, pages: PageOptions,
    log: LogForm, stack: ExitStack, usable: Callable[[PlantSettings], None],
) -> PageOutput | None:  # fmt: skip
    """Where there is a page and no detector yet: let people make one, and serve on."""
    page = pages.settings() if detector is not None and not _is_file(detector) else None
    if page is None or detector is None or source is None or not is_to_come(detector):
        return None
    usable(options.before(detector, source, page))  # rather now than after all was brought
    opened = stack.enter_context(served(page))
    await_fit(detector, opened, log, [options.machine] if options.machine else ())
    return opened


def _list_devices() -> None:
    from nearfar.service.sources.device import devices

    found = devices()
    for line in found:
        say(f"{MICROPHONE}{visible(line)}")
    if not found:
        raise SettingError("this computer has no input; plug one in, or hear a folder")


def _explain(plant: PlantSettings, rule: str) -> None:
    """What to expect of an alarm, for each machine."""
    from nearfar.service.alarms.promise import promise
    from nearfar.service.alarms.wishes import AlarmSettings
    from nearfar.service.plant import opened
    from nearfar.service.plant_values import rule as read

    for where, keys in plant.detectors.items():
        fitted = opened(where)
        for machine in (m for m in plant.machines if m.key in keys):
            settings = AlarmSettings(**machine.alarm)
            if rule != OWN:
                try:
                    settings = replace(settings, rule=read(rule))
                except SettingError as error:
                    raise SettingError(f"--explain-alarm {error}") from None
            for line in promise(fitted, settings, *machine.key).lines():
                say(line)


def _check_json(
    as_json: Path | None, detector: Path | None, source: str | None, history: str
) -> None:
    """Refuse a file that is not of such lines: what is written goes behind what is there."""
    # The history may not be there yet, and then nothing could tell that the two are one file.
    path, database = on_disk(as_json), history.removeprefix("sqlite:///")
    if path is not None and database and os.path.abspath(path) == os.path.abspath(database):
        raise SettingError(f"--json {as_json}: is the history; choose another name")
    inputs = [place for place in (detector, source, database) if place not in (None, STDIN)]
    check_output(path, endings=(".jsonl", ".ndjson", ".json"), inputs=inputs, ours=is_watched)


def is_watched(path: Path) -> bool:
    """Is a file plainly lines of JSON of a watch?"""
    return begins(path, r'\{"schema": \d+, "row": |\s*$')
