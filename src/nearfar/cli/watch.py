"""The command watch: recordings are heard as they arrive, day and night. Flags to calls."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.lines import say
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    SYSTEM,
    ClipSeconds,
    Far,
    Machine,
    Near,
    Pair,
    Parts,
    TimePattern,
    WatchRate,
    Weights,
    on_disk,
)
from nearfar.cli.program import voice
from nearfar.cli.progress import Interrupted
from nearfar.cli.ticker import AboveStatus, JsonLines, Ticker
from nearfar.cli.watch_options import MICROPHONE, STDIN, WatchOptions
from nearfar.errors import SettingError, visible
from nearfar.files import begins, check_output

if TYPE_CHECKING:
    from nearfar.service.logs import WatchLog
    from nearfar.service.news import WatchNow
    from nearfar.service.plant import PlantSettings
    from nearfar.service.watch import Watch

OWN = "own"  # of --explain-alarm: each machine's own rule
ONCE_PATIENCE = 5.0  # s for what is not complete, where nothing more is expected


class LogForm(StrEnum):
    """How the log is written.

    >>> LogForm("json").name
    'json'
    """

    text = "text"
    json = "json"


def _option(panel: str, metavar: str, text: str, *names: str) -> Any:
    return typer.Option(*names, rich_help_panel=panel, metavar=metavar, help=text)


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
    section: Annotated[
        str | None, typer.Option(help="Watch this section alone.")
    ] = None,
    settle: Annotated[str | None, _option(
        DATA, "TIME", "A file is whole when it was so long unchanged, or renamed; 2s if never said."
    )] = None,
    poll: Annotated[str | None, _option(
        DATA, "TIME", "List the folder so often, where the disk tells of no new files."
    )] = None,
    new_only: Annotated[bool, typer.Option(
        "--new-only", rich_help_panel=DATA,
        help="Leave out what is there already; else it is caught up, oldest first.",
    )] = False,
    once: Annotated[bool, typer.Option(
        "--once", rich_help_panel=DATA, help="Hear what is there and new, then end.",
    )] = False,
    pair: Pair = None,
    time_pattern: TimePattern = None,
    near: Near = None,
    far: Far = None,
    rate: Annotated[int | None, _option(DATA, "HZ", "Of raw sound, or of a device.")] = None,
    form: Annotated[str | None, _option(
        DATA, "FORM", "Of raw sound: s16le, s24le, s32le, f32le, or be; s16le if never said.",
        "--format",
    )] = None,
    channels: Annotated[int | None, typer.Option(
        min=1, max=64, rich_help_panel=DATA, metavar="N",
        help="In raw sound; 2 if never said. Of more say --near and --far.",
    )] = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    false_alarm_rate: WatchRate = None,
    alarm: Annotated[str | None, _option(
        SYSTEM, "K/N",
        "Alarm: at least k of the last n judged clips above the threshold; 3/5 if never said.",
    )] = None,
    clear_p: Annotated[float | None, _option(
        OUTPUT, "P", "p-value down to which a clip keeps an alarm standing; else twice the rate.",
        "--clear",
    )] = None,
    sensor_alarm: Annotated[str | None, _option(
        SYSTEM, "K/N", "The same for what keeps us from hearing; 2/3 if never said."
    )] = None,
    gate: Annotated[str | None, _option(
        SYSTEM, "DBFS", "Near level below which a machine stands still, or off; else as learnt."
    )] = None,
    every: Annotated[str | None, _option(
        SYSTEM, "TIME", "A clip is due so often; none for three times as long is an alarm."
    )] = None,
    explain_alarm: Annotated[str | None, _option(
        SYSTEM, "K/N", "Print how many false alarms a month this rule would give, and end. "
        "Without K/N: the rule of --alarm or plant.toml.",
    )] = None,
    history: Annotated[str | None, _option(
        OUTPUT, "PLACE", "Keep a row a clip in this file, or at postgresql://…; else in memory."
    )] = None,
    keep: Annotated[str | None, _option(
        OUTPUT, "TIME", "Remove rows of it that are older, as 90d; else they stay."
    )] = None,
    keep_audio: Annotated[str | None, _option(
        OUTPUT, "WHICH", "Keep the sound of clips beside the history: alarms, all or none."
    )] = None,
    audio_limit: Annotated[str | None, _option(
        OUTPUT, "SIZE", "At most so much of it, the oldest go first; 2 GB if never said."
    )] = None,
    mqtt: Annotated[str | None, _option(
        OUTPUT, "URL", "Tell this broker, mqtt:// or mqtts://HOST[:PORT]; user and password are "
        "NEARFAR_MQTT_USER and NEARFAR_MQTT_PASSWORD in the environment.",
    )] = None,
    mqtt_topic: Annotated[str | None, _option(
        OUTPUT, "NAME", "What all topics begin with; nearfar if never said."
    )] = None,
    mqtt_version: Annotated[int | None, _option(
        OUTPUT, "3|5", "3, which is 3.1.1, or 5; 3 if never said."
    )] = None,
    mqtt_ca: Annotated[Path | None, _option(
        OUTPUT, "FILE", "Certificates that vouch for the broker; else those of the system."
    )] = None,
    mqtt_cert: Annotated[Path | None, _option(OUTPUT, "FILE", "Our own certificate.")] = None,
    mqtt_key: Annotated[Path | None, _option(OUTPUT, "FILE", "Its key.")] = None,
    no_discovery: Annotated[bool, typer.Option(
        "--no-discovery", rich_help_panel=OUTPUT, help="Do not let Home Assistant find machines.",
    )] = False,
    metrics: Annotated[str | None, _option(
        OUTPUT, "HOST:PORT", "Serve /metrics, /healthz and /readyz there."
    )] = None,
    on_alarm: Annotated[str | None, _option(
        OUTPUT, "COMMAND", "Run this on every alarm, with JSON on its standard input; no shell."
    )] = None,
    as_json: Annotated[Path | None, _option(
        OUTPUT, "PATH|-", "Write a line of JSON for each clip, behind what a file has; alone or "
        "with - to standard output.", "--json",
    )] = None,
    log: Annotated[LogForm, typer.Option(
        rich_help_panel=OUTPUT, metavar="text|json", help="How events are told on standard error.",
    )] = LogForm.text,
    example: Annotated[bool, typer.Option(
        "--example", rich_help_panel=OUTPUT, help="Print a plant.toml with every key, and end.",
    )] = False,
) -> None:  # fmt: skip
    """Hear recordings as they arrive: a line each, kept once, people told when it matters.

    Ctrl-C and SIGTERM finish the clip at hand; SIGHUP reads plant.toml anew. A detector that is
    replaced on disk is taken over between two clips.
    """
    given = dict(locals())
    aside = ("detector", "source", "example", "explain_alarm", "as_json", "log", "once")
    options = WatchOptions(**{name: value for name, value in given.items() if name not in aside})
    if example:
        from nearfar.service.plant_file import example as text

        typer.echo(text(), nl=False)
        return
    if source == f"{MICROPHONE}?":
        _list_devices()
        return
    plant = _plant(detector, source, options, explaining=explain_alarm is not None, once=once)
    if explain_alarm is not None:
        _explain(plant, explain_alarm)
        return
    _check_json(as_json, detector, source, plant.history.place)
    _run(plant, as_json, log, once=once)


# ---- what is asked -------------------------------------------------------------------------------


def _plant(
    detector: Path | None, source: str | None, options: WatchOptions, *, explaining: bool,
    once: bool,
) -> PlantSettings:  # fmt: skip
    """The settings, of a file or of options."""
    if detector is None:
        raise SettingError(
            "what is to be watched? nearfar watch DETECTOR FOLDER, or nearfar watch plant.toml, of "
            "which --example prints one"
        )
    if detector.suffix == ".toml" or os.path.isfile(detector):  # of a name too long, too
        if source is not None:
            raise SettingError(f"{source}: {detector} says what is heard; leave one of them out")
        options.refuse(options.said(), f"is said in {detector}; leave it out here")
        from nearfar.service.plant_file import read_plant

        return read_plant(detector)
    if source is None and not explaining:
        raise SettingError(
            f"where are the recordings of {detector}? Name a folder, - for raw sound, or mic:"
        )
    if once and options.new_only:
        raise SettingError("--once and --new-only: nothing would be heard; give one of them")
    # To explain an alarm nothing is heard.
    return options.plant(detector, source or os.curdir)


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


# ---- the watch -----------------------------------------------------------------------------------


def _run(plant: PlantSettings, as_json: Path | None, log: LogForm, *, once: bool) -> None:
    """Watch until it ends."""
    from nearfar.service.equipment import equip
    from nearfar.service.logs import WatchLog
    from nearfar.service.watch import Watch

    if once:
        plant = _at_once(plant)
    begun: list[Watch] = []

    def now() -> WatchNow:
        return begun[0].now

    def gone() -> None:
        begun[0].stop()

    lines = JsonLines(as_json, gone) if as_json is not None else None
    taken = as_json is not None and on_disk(as_json) is None
    ticker = None
    if not voice.quiet and not taken:
        ticker = Ticker([m.key for m in plant.machines], gone=gone)
        ticker.watching(now)
    stream: Any = AboveStatus(ticker, sys.stderr) if ticker and _together() else sys.stderr
    with _signals(begun, plant, now) as caught:
        equipment = equip(plant, now, [out for out in (ticker, lines) if out is not None])
        if once:
            equipment = replace(equipment, sources=_finite(equipment.sources))
        with WatchLog(log.value, stream, quiet=voice.quiet) as told:
            begun.append(Watch(equipment, _beside(told, log, ticker)))
            begun[0]()
            told("end", "ended")
    for broken in (out.broken for out in (ticker, lines) if out is not None):
        if broken is not None:
            raise broken
    if signal.SIGINT in caught:
        raise Interrupted(signal.SIGINT)


def _at_once(plant: PlantSettings) -> PlantSettings:
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


@contextmanager
def _signals(
    begun: Sequence[Watch], plant: PlantSettings, now: Callable[[], WatchNow]
) -> Iterator[set[int]]:
    """Within it a signal lets the watch end after the clip at hand, or read plant.toml anew."""
    from nearfar.service.equipment import reequip
    from nearfar.service.plant_file import read_plant

    caught: set[int] = set()

    def end(number: int, _: object) -> None:
        if number in caught:  # a second Ctrl-C: whoever presses it does not want to wait
            raise Interrupted(number)
        caught.add(number)
        if begun:
            begun[0].stop()
        elif number == signal.SIGINT:
            raise Interrupted(number)
        else:  # while detectors are read there is no clip at hand
            sys.exit(0)

    def reread(number: int, _: object) -> None:
        file = plant.file
        if file is None:  # the terminal is closed
            end(number, None)
        elif begun:  # else it is being read just now
            begun[0].change(lambda old: reequip(read_plant(file), old, now))

    handlers: dict[int, Any] = {signal.SIGINT: end, signal.SIGTERM: end}
    if "SIGHUP" in signal.Signals.__members__:  # not on Windows
        handlers[signal.SIGHUP] = reread
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
