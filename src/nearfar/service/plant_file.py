"""plant.toml: one file for many machines, sources and outputs; a mistake names line and key."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nearfar.errors import DatasetError, FormatError, NearfarError, SettingError, several
from nearfar.service.amounts import size
from nearfar.service.page_checks import check_normals
from nearfar.service.plant import (
    MQTT_SECRETS,
    DetectorSettings,
    HistorySettings,
    MachineSettings,
    MqttSettings,
    PageSettings,
    PlantSettings,
    SourceSettings,
    check_history,
    kept_sound,
    machines_of,
)
from nearfar.service.plant_sources import path_from, source_in
from nearfar.service.plant_values import (
    address,
    broker,
    command,
    gate,
    mqtt_version,
    p_value,
    parted,
    pause,
    retention,
    rule,
    share,
)
from nearfar.service.toml_lines import TomlText
from nearfar.service.toml_table import (
    TomlTable,
    one_of,
    shown,
    text_of,
    texts,
    whole_number,
)
from nearfar.text import called

LARGEST = 10_000_000  # bytes of a file; more is none of ours
_SECRETS = f"set {' and '.join(MQTT_SECRETS)} in the environment"


def example() -> str:
    """A plant.toml with every key, its default, and what it is for."""
    return (files("nearfar.service") / "plant.toml").read_text(encoding="utf-8")


def read_plant(path: Path, page: PageSettings | None = None) -> PlantSettings:
    """Read a plant.toml; paths in it are relative to its folder.

    Detectors are asked which machines they know, by their index alone.

    Args:
        path: of the file.
        page: for a file that says none.

    Raises:
        FormatError: all mistakes in it, each a line with file, line, key and the way out.
    """
    try:
        found = path.stat()
        # A pipe or a device may have no end, and nothing to give.
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise FormatError(f"{path}: no file but a pipe or a device; name a plant.toml")
        if found.st_size > LARGEST:
            raise FormatError(f"{path}: larger than {LARGEST:,} bytes; this is no plant.toml")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: not UTF-8 text; write it anew, in UTF-8") from None
    return _Plan(TomlText(text, str(path)), path, page).settings()


@dataclass(eq=False)
class _Plan:
    """A file while it is read: what was found so far, and what is wrong with it."""

    text: TomlText
    file: Path
    usual_page: PageSettings | None = None
    faults: list[FormatError] = field(default_factory=list)
    # What is not there at all: a misspelt key is the reason, where there is one.
    missing: list[FormatError] = field(default_factory=list)
    _bad_detectors: set[str] = field(default_factory=set)  # what was said of them

    def settings(self) -> PlantSettings:
        """All of it.

        Raises:
            FormatError: anything is wrong.
        """
        top = TomlTable(self.text, (), self.text.data, self.faults, _SECRETS)
        detector = self.detector(top, None)
        alarm = self.alarm(top.table("alarm"), {})
        page = self.page(top.table("page")) if "page" in top else self.usual_page
        history = self.history(top.table("history"), page)
        mqtt = self.mqtt(top.table("mqtt")) if "mqtt" in top else None
        metrics, on_alarm = self.told(top)
        machines = self.machines(top, detector, alarm)
        sources = self.sources(top, machines)
        top.done()
        if faults := sorted(self.faults, key=_line_of) or self.missing:
            raise several(faults, f"{self.text.name}: {len(faults)} mistakes")
        return PlantSettings(machines, sources, history, mqtt, metrics, on_alarm, self.file, page)

    def path(self, value: Any) -> Path:
        """A path, from the file's folder on."""
        return path_from(self.file.parent, value)

    def misses(self, what: str) -> None:
        """Remember what is nowhere in the file."""
        self.missing.append(FormatError(f"{self.text.name}:1: no {what}"))

    # ---- machines --------------------------------------------------------------------------------

    def detector(self, table: TomlTable, usual: DetectorSettings | None) -> DetectorSettings | None:
        """The detector that a machine's table names, or that of the whole file."""
        folder = table.take("detector", self.path, usual.folder if usual else None)
        weights = table.take("weights", texts, usual.weights if usual else ())
        parts = table.take("parts", texts, usual.parts if usual else ())
        rate = table.take(
            "false_alarm_rate", share, usual.false_alarm_rate if usual else None
        )  # fmt: skip
        if folder is None:
            return None
        return DetectorSettings(
            folder, tuple(map(self._place, weights)), tuple(map(self._place, parts)), rate
        )

    def _place(self, name: str) -> str:
        """A place of weights or parts, from the file's folder on where something lies there."""
        there = self.file.parent / os.path.expanduser(name.rpartition(":")[0] or name)
        # A hub's id is no path.
        return str(self.file.parent / os.path.expanduser(name)) if there.exists() else name

    def machines(
        self, top: TomlTable, usual: DetectorSettings | None, alarm: Mapping[str, Any]
    ) -> tuple[MachineSettings, ...]:
        """Those of the tables; without any all that the file's detector knows."""
        found: dict[tuple[str, str], MachineSettings] = {}
        tables = list(top.tables("machine"))
        for table in tables:
            for machine in self.machine(table, usual, alarm):
                if machine.key in found:
                    who = called(*machine.key)
                    table.fault("name", f"is {shown(who)} a second time; remove one of the two")
                found[machine.key] = machine
        if not tables and usual is None:
            self.misses('machine to watch; add detector = "FOLDER" at the top, or [[machine]]')
        elif not tables and usual is not None:
            found |= {m.key: m for m in self._known(top, usual, alarm)}
        return tuple(found.values())

    def machine(
        self, table: TomlTable, usual: DetectorSettings | None, alarm: Mapping[str, Any]
    ) -> list[MachineSettings]:
        """One table: a section, or all that the detector has of a machine."""
        name = table.need("name", text_of, "", 'name = "pump"')
        section = table.take("section", text_of, "")
        detector = self.detector(table, usual)
        own = self.alarm(table.table("alarm"), alarm)
        table.done()
        if detector is None:
            table.fault("", 'has no detector; add one, as detector = "pump.detector"')
        if detector is None or not name:
            return []
        return self._known(table, detector, own, name, section)

    def _known(
        self, table: TomlTable, detector: DetectorSettings, alarm: Mapping[str, Any],
        name: str = "", section: str = "",
    ) -> list[MachineSettings]:  # fmt: skip
        try:
            return list(machines_of(detector, alarm, name, section))
        except DatasetError as error:  # a detector, which does not know what is asked
            is_section = "section" in table and f"section {section!r}" in str(error)
            table.fault("section" if is_section else "name", f": {error}")
        except NearfarError as error:  # none at all: whose key names it, the table's or the file's
            if "detector" not in table:
                table = TomlTable(self.text, (), self.text.data, self.faults)
            if str(error) not in self._bad_detectors:  # many machines may have it
                self._bad_detectors.add(str(error))
                table.fault("detector", f": {error}{self._way_by_page(detector)}")
        return []

    def _way_by_page(self, detector: DetectorSettings) -> str:
        """Where there is to be a page anyway, a detector that is not there can be made on one."""
        has_page = "page" in self.text.data or self.usual_page is not None
        if not has_page or os.path.lexists(detector.folder):
            return ""
        return f"; or in a browser with nearfar serve {shlex.quote(str(detector.folder))}"

    def alarm(self, table: TomlTable, usual: Mapping[str, Any]) -> dict[str, Any]:
        """What AlarmSettings is told: what the table says, over what is usual."""
        kinds: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "rule": ("rule", rule),
            "clear": ("clear", p_value),
            "sensor": ("sensor_rule", rule),
            "gate": ("gate", gate),
            "every": ("every", pause),
            "drift": ("drift_run", whole_number(51, 9_999_999)),
        }
        told = {name: table.take(key, kind, None) for key, (name, kind) in kinds.items()}
        table.done()
        return {**usual, **{name: value for name, value in told.items() if value is not None}}

    # ---- sources ---------------------------------------------------------------------------------

    def sources(
        self, top: TomlTable, machines: tuple[MachineSettings, ...]
    ) -> tuple[SourceSettings, ...]:
        """Where recordings come from."""
        found: dict[str, SourceSettings] = {}
        tables = list(top.tables("source"))
        for table in tables:
            source = source_in(table, self.file.parent, machines)
            if source is None:
                continue
            if source.name in found:
                key = "name" if "name" in table else ""
                table.fault(key, f'is called {source.name!r} as another is; say name = "…"')
            taken = next((s for s in found.values() if s.place == source.place), None)
            if taken is not None and source.kind == taken.kind:
                table.fault("", f"hears what {taken.name!r} hears; remove one of the two")
            found[source.name] = source
        if not tables:
            self.misses('[[source]]; add one, as [[source]] and folder = "recordings"')
        return tuple(found.values())

    # ---- where it goes ---------------------------------------------------------------------------

    def history(self, table: TomlTable, page: PageSettings | None) -> HistorySettings:
        """Where rows are kept."""
        place = table.take("place", self._database, "")
        kept = kept_sound(place, page)
        made = HistorySettings(
            place=place,
            keep=table.take("keep", retention, None),
            keep_audio=table.take("keep_audio", one_of(("alarms", "all", "none")), kept),
            audio_folder=table.take("audio_folder", self.path, None),
            audio_limit=table.take("audio_limit", size, HistorySettings.audio_limit),
        )
        table.done()
        try:
            check_history(made)
        except SettingError as error:
            table.fault("keep_audio", str(error).replace("keep_audio ", ""))
        return made

    def _database(self, value: Any) -> str:
        text = text_of(value)
        if "://" not in text:
            return str(self.path(text))
        if parted(text) is None:
            raise SettingError(
                f'{shown(value)}; it is a file, or as "postgresql://nearfar@db/plant"'
            )
        if urlsplit(text).password is not None:
            raise SettingError("a URL with a password in it; leave that to PGPASSWORD or ~/.pgpass")
        return text

    def mqtt(self, table: TomlTable) -> MqttSettings:
        """The broker."""
        made = MqttSettings(
            url=table.need("url", broker, "", 'url = "mqtt://broker:1883"'),
            topic=table.take("topic", text_of, MqttSettings.topic),
            discovery=table.take("discovery", _prefix, MqttSettings.discovery),
            version=table.take("version", mqtt_version, MqttSettings.version),
            ca=table.take("ca", self._there, None),
            cert=table.take("cert", self._there, None),
            key=table.take("key", self._there, None),
        )
        table.done()
        return made

    def page(self, table: TomlTable) -> PageSettings | None:
        """Where the page is served; None where its address is not said rightly."""
        listen = table.need("listen", address, "", 'listen = "127.0.0.1:8080"')
        told: dict[str, Any] = {
            "token_file": table.take("token_file", self._there, None),
            "reader_token_file": table.take("reader_token_file", self._there, None),
            "proxy": table.take("proxy", text_of, ""),
            "normals": table.take("normals", self._normals, ()),
            "upload_limit": table.take("upload_limit", size, PageSettings.upload_limit),
        }
        table.done()
        try:
            return PageSettings(listen, **told) if listen else None
        except SettingError as error:
            table.fault("", f": {error}")
        return None

    def _normals(self, value: Any) -> tuple[Path, ...]:
        folders = tuple(map(self.path, texts(value)))
        check_normals(folders)
        return folders

    def _there(self, value: Any) -> Path:
        path = self.path(value)
        if not path.is_file():
            raise SettingError(f"{shown(value)}; it is a file, and {path} is none")
        return path

    def told(self, top: TomlTable) -> tuple[str, str]:
        """The address of metrics, and the command on alarm."""
        metrics, on_alarm = top.table("metrics"), top.table("on_alarm")
        found = (
            metrics.need("address", address, "", 'address = "127.0.0.1:9600"')
            if "metrics" in top else "",
            on_alarm.need("command", command, "", 'command = "/usr/local/bin/call-somebody"')
            if "on_alarm" in top else "",
        )  # fmt: skip
        metrics.done()
        on_alarm.done()
        return found


def _line_of(fault: FormatError) -> int:
    """Where a mistake is; people mend a file from its top."""
    found = re.search(r":(\d+): ", str(fault))
    return int(found[1]) if found else 0


def _prefix(value: Any) -> str:
    """The prefix of discovery; false for none."""
    return "" if value is False or value == "" else text_of(value)
