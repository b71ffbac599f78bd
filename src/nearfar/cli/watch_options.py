"""Options of `nearfar watch` as the settings that a plant.toml becomes: one way for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nearfar.cli.options import channels_of
from nearfar.errors import NearfarError, SettingError

if TYPE_CHECKING:
    from nearfar.service.plant import PageSettings, PlantSettings, SourceSettings

T = TypeVar("T")
STDIN, MICROPHONE = "-", "mic:"
# What only one kind of source takes, and why another does not.
OF_FOLDERS = ("settle", "poll", "pair", "time_pattern", "new_only")
OF_STREAMS = ("rate", "form", "channels")
OF_PCM = ("form", "channels")
# What says more of something that must itself be asked for.
MORE_OF = {
    "mqtt": ("mqtt_topic", "mqtt_version", "mqtt_ca", "mqtt_cert", "mqtt_key", "no_discovery"),
    "history": ("keep", "keep_audio", "audio_limit"),
}
FLAGS = {"form": "--format", "clear_p": "--clear"}


@dataclass(frozen=True)
class WatchOptions:
    """What was typed; None or False where nothing was.

    >>> WatchOptions(rate=48_000).said()
    ('rate',)
    """

    machine: str | None = None
    section: str | None = None
    # of the source
    settle: str | None = None
    poll: str | None = None
    pair: str | None = None
    time_pattern: str | None = None
    near: int | None = None
    far: int | None = None
    new_only: bool = False
    rate: int | None = None
    form: str | None = None
    channels: int | None = None
    clip_seconds: float | None = None
    # of the detector
    weights: list[str] | None = None
    part: list[str] | None = None
    false_alarm_rate: float | None = None
    # of alarms
    alarm: str | None = None
    clear_p: float | None = None
    sensor_alarm: str | None = None
    gate: str | None = None
    every: str | None = None
    # of what becomes of it
    history: str | None = None
    keep: str | None = None
    keep_audio: str | None = None
    audio_limit: str | None = None
    mqtt: str | None = None
    mqtt_topic: str | None = None
    mqtt_version: int | None = None
    mqtt_ca: Path | None = None
    mqtt_cert: Path | None = None
    mqtt_key: Path | None = None
    no_discovery: bool = False
    metrics: str | None = None
    on_alarm: str | None = None

    def said(self) -> tuple[str, ...]:
        """Names of the options that were typed."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return tuple(name for name, value in values if value not in (None, False, []))

    def refuse(self, names: tuple[str, ...], why: str) -> None:
        """Refuse some options.

        Raises:
            SettingError: the first of them that was typed, and why it cannot be meant.
        """
        for name in self.said():
            if name in names:
                raise SettingError(f"{flag(name)} {why}")

    def plant(self, detector: Path, place: str, page: PageSettings | None = None) -> PlantSettings:
        """The settings of a watch of one detector and one source.

        Args:
            detector: its folder.
            place: a folder, "-" for raw sound on standard input, or mic:NAME.
            page: of `PageOptions`.

        Raises:
            SettingError: an option with an impossible value, or two that contradict each other.
            FormatError, DatasetError: no detector, or a machine that it does not know.
        """
        from nearfar.service.plant import PlantSettings, machines_of
        from nearfar.service.plant_sources import with_seconds

        rest = self.rest(page)
        source = self.source(place)
        where = self._detector(detector)
        machines = tuple(
            machines_of(where, self.alarms(), self.machine or "", self.section or "")
        )  # fmt: skip
        return PlantSettings(machines, (with_seconds(source, machines),), **rest)

    def before(self, detector: Path, place: str, page: PageSettings | None) -> PlantSettings:
        """As `plant` before there is a detector, of any machine.

        Raises:
            SettingError: what can be seen to be wrong without one.
        """
        from nearfar.service.plant import MachineSettings, PlantSettings

        machine = MachineSettings(
            self.machine or "machine", self.section or "00", self._detector(detector), self.alarms()
        )
        return PlantSettings((machine,), (self.source(place),), **self.rest(page))

    def rest(self, page: PageSettings | None) -> dict[str, Any]:
        """All of the settings but machines and sources.

        Raises:
            SettingError: an option with an impossible value, or one that says more of another.
        """
        from nearfar.service.plant import check_history
        from nearfar.service.plant_values import address, command

        for of, more in MORE_OF.items():
            if getattr(self, of) is None:
                self.refuse(more, f"says more of {flag(of)}; give that too, or leave it out")
        history = self._history(page)
        check_history(history)
        return {
            "history": history, "mqtt": self._mqtt(), "page": page,
            "metrics": self.read("metrics", address) or "",
            "on_alarm": self.read("on_alarm", command) or "",
        }  # fmt: skip

    def read(self, name: str, reader: Callable[[Any], T]) -> T | None:
        """The value of an option as a plant.toml's reader has it; None where it was not typed.

        Raises:
            SettingError: it is none, in the shell's words.
        """
        return read_option(name, getattr(self, name), reader)

    def source(self, place: str) -> SourceSettings:
        """Where it hears from.

        Raises:
            SettingError: an option that such a source has no use for.
        """
        from nearfar.service.plant import FORMS, SourceSettings
        from nearfar.service.toml_table import number_within, one_of

        named: dict[str, Any] = {
            "machine": self.machine or "", "section": self.section or "",
            "channels": channels_of(self.near, self.far),
        }  # fmt: skip
        seconds = self.read("clip_seconds", number_within(0.1, 86_400))
        if place != STDIN and not place.startswith(MICROPHONE):
            return self._folder(place, named, seconds)
        self.refuse(OF_FOLDERS, f"is of a watched folder; leave it out with {place}")
        if place != STDIN:
            self.refuse(
                OF_PCM, f"is of raw sound; a device says its own, leave it out with {place}"
            )
            device = place.removeprefix(MICROPHONE)
            return SourceSettings(
                device or "mic", "device", device, **named, rate=self.rate, clip_seconds=seconds
            )
        if self.rate is None:
            raise SettingError("raw sound does not say its rate; add --rate, as --rate 48000")
        form = self.read("form", one_of(FORMS)) or SourceSettings.form
        return SourceSettings(
            "pcm", "pcm", STDIN, **named, rate=self.rate, form=form,
            count=self.channels or SourceSettings.count, clip_seconds=seconds,
        )  # fmt: skip

    def _folder(
        self, place: str, named: Mapping[str, Any], seconds: float | None
    ) -> SourceSettings:
        from nearfar.service.amounts import duration
        from nearfar.service.plant import SourceSettings
        from nearfar.service.plant_values import pair_of, time_pattern

        self.refuse(OF_STREAMS, "is of raw sound (-) or a device (mic:); files say their own")
        path = Path(place).expanduser()
        made = SourceSettings(
            path.resolve().name or place, "folder", str(path), **named, clip_seconds=seconds,
            pair=self.read("pair", pair_of), time_pattern=self.read("time_pattern", time_pattern),
            existing=not self.new_only, poll=self.read("poll", duration),
        )  # fmt: skip
        settle = self.read("settle", duration)
        return made if settle is None else replace(made, settle=settle)

    def _detector(self, folder: Path) -> Any:
        from nearfar.service.plant import DetectorSettings
        from nearfar.service.plant_values import share

        return DetectorSettings(
            folder, tuple(self.weights or ()), tuple(self.part or ()),
            self.read("false_alarm_rate", share),
        )  # fmt: skip

    def alarms(self) -> dict[str, Any]:
        """What AlarmSettings is told; what nobody typed has its default."""
        from nearfar.service.plant_values import gate, p_value, pause, rule

        told = {
            "rule": self.read("alarm", rule), "sensor_rule": self.read("sensor_alarm", rule),
            "clear": self.read("clear_p", p_value), "every": self.read("every", pause),
            "gate": self.read("gate", lambda value: gate(_number(value))),
        }  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}

    def _history(self, page: PageSettings | None) -> Any:
        from nearfar.service.amounts import size
        from nearfar.service.plant import HistorySettings, kept_sound
        from nearfar.service.plant_values import retention
        from nearfar.service.toml_table import one_of

        limit = self.read("audio_limit", size)
        place = self.history or ""
        return HistorySettings(
            place, self.read("keep", retention),
            self.read("keep_audio", one_of(("alarms", "all", "none"))) or kept_sound(place, page),
            audio_limit=HistorySettings.audio_limit if limit is None else limit,
        )  # fmt: skip

    def _mqtt(self) -> Any:
        from nearfar.service.plant import MqttSettings
        from nearfar.service.plant_values import broker, mqtt_version

        url = self.read("mqtt", broker)
        if url is None:
            return None
        usual = MqttSettings(url)
        return replace(
            usual, topic=self.mqtt_topic or usual.topic, ca=self.mqtt_ca, cert=self.mqtt_cert,
            key=self.mqtt_key, version=self.read("mqtt_version", mqtt_version) or usual.version,
            discovery="" if self.no_discovery else usual.discovery,
        )  # fmt: skip


def flag(name: str) -> str:
    """What is typed for an option.

    >>> flag("keep_audio"), flag("form")
    ('--keep-audio', '--format')
    """
    return FLAGS.get(name, "--" + name.replace("_", "-"))


def read_option(name: str, value: Any, reader: Callable[[Any], T]) -> T | None:
    """The value of an option as a plant.toml's reader has it; None where it was not typed.

    Raises:
        SettingError: it is none, in the shell's words.
    """
    if value is None:
        return None
    try:
        return reader(value)
    except NearfarError as error:
        said = str(error)
        raise SettingError(
            f"{flag(name)} {said}" if "; it is" in said else f"{flag(name)}: {said}"
        ) from None


def _number(text: str) -> Any:
    """A number where it is one: readers of a plant.toml are given those."""
    try:
        return float(text)
    except ValueError:
        return text
