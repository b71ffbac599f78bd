"""What one watch is to do: machines, where their recordings come from, and who is told.

A plant.toml and the options of `nearfar watch` both become these settings; nothing else is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError, SettingError, did_you_mean
from nearfar.service.page_checks import PageSettings as PageSettings
from nearfar.text import called, named

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector

Key = tuple[str, str]  # machine, section
KeptSound = Literal["alarms", "all", "none"]
FORMS = tuple(f"{kind}{end}" for kind in ("s16", "s24", "s32", "f32") for end in ("le", "be"))
MQTT_SECRETS = ("NEARFAR_MQTT_USER", "NEARFAR_MQTT_PASSWORD")  # variables of the environment


@dataclass(frozen=True)
class DetectorSettings:
    """A detector on disk, and how it is read; machines with equal ones share it in memory.

    >>> DetectorSettings(Path("pump.detector")).weights
    ()
    """

    folder: Path
    weights: tuple[str, ...] = ()  # places of the encoder's weights, if not where they were
    parts: tuple[str, ...] = ()  # file.py:Class, of parts that are not ours
    false_alarm_rate: float | None = None  # share of normal clips, 0–1; None: the detector's own


@dataclass(frozen=True)
class MachineSettings:
    """A machine and section that is watched.

    >>> MachineSettings("pump", "00", DetectorSettings(Path("d"))).key
    ('pump', '00')
    """

    name: str
    section: str
    detector: DetectorSettings
    # What AlarmSettings is told; what is not in it has its default.
    alarm: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> Key:
        """As a clip has them."""
        return self.name, self.section


@dataclass(frozen=True)
class SourceSettings:
    """Where recordings come from: a folder, raw PCM, or an input of this computer.

    >>> SourceSettings("hall", "folder", "/data/hall").settle
    2.0
    """

    name: str
    kind: Literal["folder", "pcm", "device"]
    place: str  # a folder; "-" (standard input) or a named pipe; a device, "" the usual one
    machine: str = ""  # "": the clip's own, or the only one there is
    section: str = ""
    channels: tuple[int, int] | None = None  # near and far, from 1, where there are several
    # of folders
    settle: float = 2.0  # s without a change after which a file is whole
    patience: float = 600.0  # s for a file's other half, or its end
    poll: float | None = None  # s between listings; None: the file system tells
    pair: str | None = None  # NEAR=…,FAR=…; None: by the names that recorders give
    time_pattern: str | None = None
    existing: bool = True  # hear what is there at the start, too
    # of streams
    rate: int | None = None  # Hz
    form: str = "s16le"  # of FORMS
    count: int = 2  # channels in it; of more than two `channels` says which
    clip_seconds: float | None = None  # of a folder None: files are cut nowhere


@dataclass(frozen=True)
class HistorySettings:
    """Where rows are kept, and for how long.

    >>> HistorySettings("plant.db").sound_folder
    PosixPath('plant.db-audio')
    """

    place: str = ""  # a file, or sqlite:///… or postgresql://…; "" in memory
    keep: float | None = None  # s; None: for ever
    keep_audio: KeptSound = "none"
    audio_folder: Path | None = None
    audio_limit: int = 2_000_000_000  # bytes; the oldest go first

    @property
    def sound_folder(self) -> Path | None:
        """Where audio is kept: as it was said, else beside a history that is a file."""
        return self.audio_folder or self._beside("audio")

    @property
    def labelled_folder(self) -> Path | None:
        """Where the sound of clips that people called normal or a fault is kept; as above."""
        if self.audio_folder is not None:
            return self.audio_folder.with_name(f"{self.audio_folder.name}-labelled")
        return self._beside("labelled")

    def _beside(self, what: str) -> Path | None:
        path = self.place.removeprefix("sqlite:///")
        return Path(f"{path}-{what}") if path and "://" not in path else None


@dataclass(frozen=True)
class MqttSettings:
    """A broker that is told; user and password are in the environment, see `MQTT_SECRETS`.

    >>> MqttSettings("mqtt://broker:1883").topic
    'nearfar'
    """

    url: str
    topic: str = "nearfar"
    discovery: str = "homeassistant"  # its prefix; "" is not told
    version: Literal[3, 5] = 3  # 3 is 3.1.1, which every broker speaks
    ca: Path | None = None  # certificates, PEM
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class PlantSettings:
    """Everything that one watch is to do.

    Raises:
        SettingError: no machine, no source, one of them twice, or a machine that is not there.

    >>> pump = MachineSettings("pump", "00", DetectorSettings(Path("d")))
    >>> plant = PlantSettings((pump,), (SourceSettings("hall", "folder", "/data/hall"),))
    >>> plant.whose(Clip(Path("rec/1.wav"), machine="rec"), plant.sources[0])
    ('pump', '00')
    """

    machines: tuple[MachineSettings, ...]
    sources: tuple[SourceSettings, ...]
    history: HistorySettings = HistorySettings()
    mqtt: MqttSettings | None = None
    metrics: str = ""  # HOST:PORT
    on_alarm: str = ""  # a command, as a shell would part it
    file: Path | None = None  # it was read from; SIGHUP reads it anew
    page: PageSettings | None = None

    def __post_init__(self) -> None:
        if not self.machines:
            raise SettingError("no machine to watch; name a detector")
        if not self.sources:
            raise SettingError("nowhere to hear from; name a folder or a stream")
        check_apart([called(*machine.key) for machine in self.machines], "machine")
        check_apart([source.name for source in self.sources], "source")
        check_history(self.history)
        for source in self.sources:
            check_owner(source, [machine.key for machine in self.machines])

    @property
    def detectors(self) -> dict[DetectorSettings, tuple[Key, ...]]:
        """Each detector once, with the machines and sections that it must know."""
        found: dict[DetectorSettings, tuple[Key, ...]] = {}
        for machine in self.machines:
            found[machine.detector] = (*found.get(machine.detector, ()), machine.key)
        return found

    @property
    def told(self) -> str:
        """What is watched, in a line."""
        usual = {"-": "standard input", "": "the usual input"}
        names = [called(*machine.key) for machine in self.machines]
        places = [usual.get(source.place, source.place) for source in self.sources]
        return f"watching {named(names)}; hearing {named(places)}"

    @property
    def served(self) -> str:
        """What is served where nothing is watched, in a line."""
        return f"serving {named([called(*machine.key) for machine in self.machines])}"

    def whose(self, clip: Clip, source: SourceSettings) -> Key | None:
        """The machine and section that a clip is judged as; None of one that nobody watches.

        What a source is said to be of goes before what names say; where one machine is watched
        all is of it, as in `score`.
        """
        names = {machine.name for machine in self.machines}
        # A clip with a split is of a data set, which says whose it is.
        alone = next(iter(names)) if len(names) == 1 and clip.split is None else ""
        machine = source.machine or alone or clip.machine
        sections = [m.section for m in self.machines if m.name == machine]
        section = source.section or clip.section
        # 00 is what a recording has that says none; one that says another is no other's.
        if section == "00" and len(sections) == 1 and (alone or source.machine):
            section = sections[0]
        return (machine, section) if section in sections else None


def kept_sound(place: str, page: PageSettings | None) -> KeptSound:
    """Whose sound a history keeps if nobody says: with a page what people want to hear.

    >>> page = PageSettings("127.0.0.1:8080")
    >>> kept_sound("plant.db", page), kept_sound("plant.db", None), kept_sound("", page)
    ('alarms', 'none', 'none')
    """
    is_beside = page is not None and HistorySettings(place).sound_folder is not None
    return "alarms" if is_beside else "none"


def check_apart(names: Sequence[str], what: str) -> None:
    """Refuse two of one name.

    Raises:
        SettingError: names it.
    """
    for n, name in enumerate(names):
        if name in names[:n]:
            raise SettingError(f"two {what}s are called {name!r}; give each a name of its own")


def check_history(history: HistorySettings) -> None:
    """Refuse sound that is to be kept nowhere.

    Raises:
        SettingError: says what is missing.
    """
    if history.keep_audio != "none" and history.sound_folder is None:
        raise SettingError(
            f"keep_audio is {history.keep_audio!r} and there is no folder for it; keep the history "
            "in a file, or say audio_folder in plant.toml"
        )


def check_owner(source: SourceSettings, known: Sequence[Key]) -> None:
    """Refuse a source of a machine that is not watched, and a stream of nobody knows which.

    Raises:
        SettingError: names the machines that are.
    """
    names = list(dict.fromkeys(machine for machine, _ in known))
    if source.machine and source.machine not in names:
        raise SettingError(
            f"machine {source.machine!r} is not watched; {_watched(source.machine, names)}"
        )
    mine = source.machine or (names[0] if len(names) == 1 else "")
    sections = [section for machine, section in known if machine == mine]
    if source.section and mine and source.section not in sections:
        raise SettingError(
            f"section {source.section!r} is not watched; {_watched(source.section, sections)}"
        )
    if source.kind != "folder" and (not mine or (not source.section and len(sections) > 1)):
        which = "machine" if not mine else "section"
        raise SettingError(
            f"a stream says nothing of its {which}; name one of: "
            f"{', '.join(sections if mine else names)}"
        )


def _watched(name: str, names: Sequence[str]) -> str:
    """What is watched, and which of it may have been meant."""
    told = did_you_mean(name, names)
    return told.replace("it has:", "watched are:", 1).replace("? It has:", "? Watched are:", 1)


def known_keys(detector: DetectorSettings) -> tuple[Key, ...]:
    """The machines and sections of a detector on disk, by its index alone.

    Raises:
        FormatError: no detector, or a damaged one.
    """
    from nearfar.detector.folder.index import heading
    from nearfar.detector.folder.siblings import check_single

    check_single(detector.folder)
    return tuple(heading(detector.folder).counts)


def machines_of(
    detector: DetectorSettings, alarm: Mapping[str, Any], name: str = "", section: str = ""
) -> Iterator[MachineSettings]:
    """What a detector can watch: all of it, one machine of it, or one section.

    Raises:
        FormatError: no detector, or a damaged one.
        DatasetError: a machine or section that it does not know.
    """
    from nearfar.detector.keys import checked

    known = known_keys(detector)
    names = list(dict.fromkeys(machine for machine, _ in known))
    if name and name not in names:
        raise DatasetError(
            f"{detector.folder} does not know the machine {name!r}; {did_you_mean(name, names)}"
        )
    if name and section:
        checked(known, name, section)
    found = [k for k in known if name in ("", k[0]) and section in ("", k[1])]
    if not found:
        sections = sorted({s for _, s in known})
        raise DatasetError(
            f"{detector.folder} has no section {section!r}; {did_you_mean(section, sections)}"
        )
    for key in found:
        yield MachineSettings(*key, detector, dict(alarm))


def usual_seconds(machine: MachineSettings) -> float:
    """How long the normal clips of a machine are: what a stream is cut into if nobody says.

    Raises:
        FormatError: a damaged detector.
    """
    return float(round(opened(machine.detector).sections[machine.key].seconds, 3))


def opened(where: DetectorSettings) -> Detector:
    """A detector, read late: what belongs to a machine when that is asked about.

    Raises:
        FormatError: no detector, or a damaged one.
        WeightsError: not the weights that it was fitted with.
    """
    from nearfar.detector.detector import load
    from nearfar.parts.own import from_file

    types = tuple(from_file(part) for part in where.parts)
    fitted = load(where.folder, types, where.weights, late=True)
    rate = where.false_alarm_rate
    return fitted if rate is None else fitted.with_false_alarm_rate(rate)
