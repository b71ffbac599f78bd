"""What a watch works with, made of what a plant's settings say, and made anew when these change."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nearfar.clips.moments import clock
from nearfar.clips.pairs import pairing
from nearfar.errors import SettingError, needs
from nearfar.service.alarms.point import Numbering, Numbers
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.holding import DetectorHold
from nearfar.service.plant import (
    DetectorSettings,
    MachineSettings,
    PageSettings,
    PlantSettings,
    SourceSettings,
    usual_seconds,
)
from nearfar.service.posts import Post, Posts

if TYPE_CHECKING:
    from nearfar.service.history.keeper import Keeper
    from nearfar.service.history.kept_audio import KeptAudio
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.incoming import ClipSource, Knows
    from nearfar.service.news import Output, WatchNow

Now = Callable[[], "WatchNow"]


@dataclass(frozen=True, eq=False)
class Equipment:
    """What a watch works with.

    Args:
        plant: what it was made of.
        posts: the machines.
        sources: by name; begun by the watch.
        store: the history, opened for watching.
        keeper: in front of it.
        numbers: of alarms and events.
        own: outputs of the plant's settings, by what was said of them.
        others: outputs that whoever began the watch gave: a terminal, lines of JSON.
        kept: where the sound of clips is kept; None keeps none.

    >>> Equipment.__dataclass_fields__["kept"].default is None
    True
    """

    plant: PlantSettings
    posts: Posts
    sources: Mapping[str, ClipSource]
    store: HistoryStore
    keeper: Keeper
    numbers: Numbers
    own: Mapping[object, Output] = field(default_factory=dict)
    others: Sequence[Output] = ()
    kept: KeptAudio | None = None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All who are told."""
        return (*self.others, *self.own.values())

    @property
    def keep(self) -> timedelta | None:
        """How long rows stay; None for ever."""
        seconds = self.plant.history.keep
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def awaited(self) -> int:
        """Files of all folders that are not complete yet, or wait for their other half."""
        from nearfar.service.finite_source import FiniteSource
        from nearfar.service.sources.folder import FolderSource

        folders = (s for s in self.sources.values() if isinstance(s, FolderSource | FiniteSource))
        return sum(source.waiting for source in folders)

    def shares(self, other: Equipment, source: str) -> bool:
        """Do both have this source, the very same?"""
        mine = self.sources.get(source)
        return mine is not None and other.sources.get(source) is mine

    def seconds(self, source: str) -> float | None:
        """The length that a source's recordings are cut to; None is the normals'."""
        found = [s.clip_seconds for s in self.plant.sources if s.name == source]
        return found[0] if found else None


def equip(
    plant: PlantSettings,
    now: Now,
    others: Sequence[Output] = (),
    sources: Mapping[str, ClipSource] | None = None,
) -> Equipment:
    """Open all that a watch of these settings needs.

    Args:
        plant: the settings.
        now: tells how the watch is, to whoever scrapes it.
        others: outputs beside those of the settings.
        sources: by name, instead of those of the settings.

    Raises:
        NearfarError: a detector, a history or an output that cannot be opened, another watch of
            this history, or an extra that is not installed.
    """
    with needs("plant", "nearfar watch needs SQLAlchemy, watchdog and more"):
        from nearfar.service.history.keeper import Keeper
        from nearfar.service.history.store import HistoryStore
    check_extras(plant)
    # Before the history: a watch that cannot be begun leaves no file.
    holds = {d: DetectorHold(d, keys) for d, keys in plant.detectors.items()}
    store = HistoryStore.open(plant.history.place, watching=True)
    try:
        numbers, states = Numbering(*store.highest()), store.stations()
        posts = Posts(plant, [_post(m, holds, numbers, states) for m in plant.machines])
        keeper = Keeper(store)
        if sources is None:
            sources = {s.name: source_of(s, plant, keeper.knows) for s in plant.sources}
        own = outputs_of(plant, now, {})
        kept = _kept_audio(plant)
    except BaseException:
        store.close()
        raise
    return Equipment(plant, posts, sources, store, keeper, numbers, own, tuple(others), kept)


def check_extras(plant: PlantSettings) -> None:
    """Refuse what would only be missed when it begins: a history is made by then.

    Raises:
        NearfarError: an extra that is not installed.
    """
    if any(source.kind == "folder" for source in plant.sources):
        with needs("plant", "watching a folder needs watchdog"):
            import watchdog.observers  # noqa: F401
    if plant.mqtt is not None:
        with needs("plant", "MQTT needs paho-mqtt"):
            import paho.mqtt.client  # noqa: F401
    if plant.metrics:
        with needs("plant", "metrics need prometheus-client"):
            import prometheus_client.core  # noqa: F401


def reequip(plant: PlantSettings, old: Equipment, now: Now) -> Equipment:
    """What changes with other settings; all that was said alike goes on as it is.

    Args:
        plant: the new settings.
        old: in use.
        now: as of `equip`.

    Raises:
        NearfarError: something cannot be opened; what is in use is as it was.
        SettingError: another history, or another page, which need a new start.
    """
    if plant.history.place != old.plant.history.place:
        from nearfar.service.history.database import shown

        raise SettingError(
            f"the history is {shown(plant.history.place)} now, {shown(old.plant.history.place)} "
            "before; end this watch and start it again"
        )
    check_page(plant.page, old.plant.page)
    before = {hold.settings: hold for hold in old.posts.holds()}
    holds = {
        d: before[d] if _still_knows(before.get(d), keys) else DetectorHold(d, keys)
        for d, keys in plant.detectors.items()
    }
    states = {key: post.station.state for key, post in old.posts.items()}
    states = old.store.stations() | states
    posts = Posts(plant, [_post_again(m, holds, old, states) for m in plant.machines])
    sources = {s.name: _source_again(s, plant, old) for s in plant.sources}
    return replace(
        old, plant=plant, posts=posts, sources=sources, kept=_kept_audio(plant),
        own=outputs_of(plant, now, old.own),
    )  # fmt: skip


def check_page(new: PageSettings | None, old: PageSettings | None) -> None:
    """Refuse another page than the one that is served; its normals may be others.

    Raises:
        SettingError: it needs a new start.
    """
    bare = [None if page is None else replace(page, normals=()) for page in (new, old)]
    if bare[0] != bare[1]:
        raise SettingError(
            "the page is to be served otherwise than it is; end this watch and start it again"
        )


def _still_knows(hold: DetectorHold | None, keys: Sequence[tuple[str, str]]) -> bool:
    return hold is not None and all(key in hold.detector.sections for key in keys)


def _post(
    machine: MachineSettings, holds: Mapping[DetectorSettings, DetectorHold], numbers: Numbers,
    states: Mapping[tuple[str, str], str],
) -> Post:  # fmt: skip
    settings = AlarmSettings(**machine.alarm)
    state = states.get(machine.key, "")
    return Post.of(machine.key, holds[machine.detector], settings, numbers, state)


def _post_again(
    machine: MachineSettings, holds: Mapping[DetectorSettings, DetectorHold], old: Equipment,
    states: Mapping[tuple[str, str], str],
) -> Post:  # fmt: skip
    """The very post where nothing of it changed; else one that shows the same until it hears."""
    before = old.posts.get(machine.key)
    if before is None:
        return _post(machine, holds, old.numbers, states)
    if before.hold is holds[machine.detector] and before.settings == AlarmSettings(**machine.alarm):
        return before
    post = _post(machine, holds, old.numbers, states)
    post.station.recall(before.station)
    return post


def _source_again(settings: SourceSettings, plant: PlantSettings, old: Equipment) -> ClipSource:
    if settings in old.plant.sources:
        return old.sources[settings.name]
    return source_of(settings, plant, old.keeper.knows)


def source_of(settings: SourceSettings, plant: PlantSettings, knows: Knows) -> ClipSource:
    """A source, not begun yet.

    Args:
        settings: what is said of it.
        plant: whose machines say how long a stream's clips are.
        knows: which files were heard before.

    Raises:
        NearfarError: no such place, or an extra that is not installed.
    """
    s = settings
    if s.kind == "folder":
        from nearfar.service.sources.folder import FolderSource

        return FolderSource(
            s.name, Path(s.place), settle=s.settle, patience=s.patience, pair=pairing(s.pair),
            clock=clock(s.time_pattern), machine=s.machine, section=s.section, poll=s.poll,
            knows=knows, existing=s.existing, aside=plant.history.sound_folder,
        )  # fmt: skip
    seconds = s.clip_seconds or usual_seconds(_only(s, plant))
    machine, section = s.machine, s.section or "00"
    if s.kind == "device":
        from nearfar.service.sources.device import DeviceSource

        return DeviceSource(
            s.name, s.place, rate=s.rate, seconds=seconds, machine=machine, section=section,
            chosen=s.channels or (1, 2),
        )  # fmt: skip
    from nearfar.service.sources.pcm import PcmSource

    if s.rate is None:
        raise SettingError(f"{s.name}: a stream says nothing of its rate; say rate")
    return PcmSource(
        s.name, opened(s.place), rate=s.rate, form=s.form, channels=s.count, seconds=seconds,
        machine=machine, section=section, chosen=s.channels,
    )  # fmt: skip


def _only(source: SourceSettings, plant: PlantSettings) -> MachineSettings:
    """The machine that a stream is of; the settings saw to it that there is one."""
    return next(
        machine for machine in plant.machines
        if source.machine in ("", machine.name) and source.section in ("", machine.section)
    )  # fmt: skip


def opened(place: str) -> BinaryIO:
    """A stream of bytes: standard input for "-", else a named pipe or a file.

    Raises:
        SettingError: it cannot be read.
    """
    if place == "-":
        if sys.stdin is None:  # closed by whoever began us
            raise SettingError("standard input is closed; send raw sound through a pipe")
        return sys.stdin.buffer
    try:
        # A pipe is opened for both: so nobody need write yet, and when who writes is started anew
        # that is no end.
        pipe = stat.S_ISFIFO(os.stat(place).st_mode)
        return os.fdopen(os.open(place, os.O_RDWR if pipe else os.O_RDONLY), "rb", buffering=0)
    except OSError as error:
        raise SettingError(
            f"{place}: cannot be read ({error.strerror}); name a pipe, as mkfifo makes them, or -"
        ) from None


def outputs_of(
    plant: PlantSettings, now: Now, old: Mapping[object, Output]
) -> dict[object, Output]:
    """Outputs of a plant's settings; of those that are said as before the very same.

    Raises:
        NearfarError: settings that can never work, or an extra that is not installed.
    """
    made: dict[object, Output] = {}
    if plant.mqtt is not None:
        from nearfar.service.outputs.mqtt import MqttOutput

        m = plant.mqtt
        made[m] = old.get(m) or MqttOutput(
            m.url, topic=m.topic, discovery=m.discovery, version=m.version, ca=m.ca, cert=m.cert,
            key=m.key,
        )  # fmt: skip
    if plant.metrics:
        from nearfar.service.outputs.metrics import MetricsOutput

        key = ("metrics", plant.metrics)
        made[key] = old.get(key) or MetricsOutput(plant.metrics, now)
    if plant.on_alarm:
        from nearfar.service.outputs.command import CommandOutput

        key = ("command", plant.on_alarm)
        made[key] = old.get(key) or CommandOutput(plant.on_alarm)
    return made


def _kept_audio(plant: PlantSettings) -> KeptAudio | None:
    history = plant.history
    if history.keep_audio == "none" or history.sound_folder is None:
        return None
    from nearfar.service.history.kept_audio import KeptAudio

    return KeptAudio(history.sound_folder, history.keep_audio, history.audio_limit)
