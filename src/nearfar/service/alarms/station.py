"""All alarm points of one machine: clips, notices, time and people go in, events come out.

Nothing here asks a clock or writes anything: whatever happens is given, and the state is JSON. So
what was kept with a clip can be taken up again exactly, after whatever ended the process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from nearfar.errors import FormatError, printable
from nearfar.service.alarms.cusum import STEP, Cusum
from nearfar.service.alarms.hysteresis import ABOVE, BELOW, BETWEEN, Hysteresis
from nearfar.service.alarms.normality import Normality
from nearfar.service.alarms.point import AlarmPoint, Numbers, PointName
from nearfar.service.alarms.sensors import LOST, OF_NOTICE, asked, told_of, word_of
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.incoming import Notice
from nearfar.service.news import AlarmEvent, AlarmKind, MachineNow, StandingAlarm
from nearfar.service.observation import Observation
from nearfar.text import called, counted, lasting

SCHEMA = 1  # of the state; raised when it could be misread
MISSED = 3  # times the usual time between clips, from which they are missing
_NAME = 200  # characters of a clip's place in a line


class Deed(Protocol):
    """What a person did to an alarm, as the history keeps it.

    >>> from nearfar.service.history.changes import Action
    >>> from nearfar.service.incoming import now
    >>> deed: Deed = Action(1, 3, "acknowledged", now())
    >>> deed.alarm
    3
    """

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def alarm(self) -> int: ...  # noqa: D102
    @property
    def verb(self) -> str: ...  # noqa: D102
    @property
    def at(self) -> datetime: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102
    @property
    def until(self) -> datetime | None: ...  # noqa: D102


class Station:
    """One machine and section: its state, and what follows from each clip.

    Args:
        machine, section: which.
        normality: of its normal clips; None of a machine that no detector knows.
        settings: when an alarm is raised.
        numbers: of alarms and events.
        state: of an earlier station; "" begins anew.

    Raises:
        FormatError: a state that is none, or that another version wrote.

    >>> from nearfar.service.alarms.point import Numbering
    >>> from nearfar.service.incoming import now
    >>> station = Station("pump", "00", None, AlarmSettings(), Numbering())
    >>> seen = Observation("hall", "1.wav", "1.wav", "pump", "00", None, now(), 10.0, "9f",
    ...                    "judged", score=2.0, p_value=0.01, threshold=1.0, anomalous=True)
    >>> [event.verb for _ in range(3) for event in station.take(seen)]  # 3 of the last 3
    ['raised']
    """

    def __init__(
        self, machine: str, section: str, normality: Normality | None, settings: AlarmSettings,
        numbers: Numbers, state: str = "",
    ) -> None:  # fmt: skip
        self.machine, self.section = machine, section
        self.name = called(machine, section)
        self.settings = settings
        self._numbers = numbers
        self._sound, self._drift = self._point("machine", "sound"), self._point("drift", "drift")
        self._latch = Hysteresis(settings.rule)
        self._sensors: dict[str, tuple[AlarmPoint, Hysteresis]] = {}
        self._sum = self._clips_since = 0  # of the CUSUM, and clips since it last was 0
        self.acted = 0  # number of the last of people's deeds that was taken
        self._detector = ""  # identity of what judged last
        self._running: bool | None = None
        self._heard_at: datetime | None = None
        self._touched: dict[int, StandingAlarm] = {}
        self._clips = 0
        self._faults: tuple[str, ...] = ()
        self._last: Observation | None = None
        self._judged: Observation | None = None
        self._take_normality(normality)
        if state:
            self._restore(state)

    # ---- what may happen ------------------------------------------------------------------------
    def take(self, seen: Observation) -> tuple[AlarmEvent, ...]:
        """One clip more; the events that follow from it, in their order."""
        self._touched.clear()
        at = seen.arrived
        events = [*self._over(at), *self._by_another(seen.detector, at)]
        # What could not be used for another reason than a sensor's is a fault as well: rows of
        # nothing but warnings would be no alarm at all.
        faults = seen.faults or (("unreadable",) if seen.status == "unjudged" else ())
        self._heard_at, self._last, self._faults = at, seen, faults
        self._clips += 1
        # Nobody knows of a clip that could not be heard whether the machine ran.
        quiet = any(word_of(one) in ("dead", "silent") for one in faults)
        self._running = None if quiet else {"judged": True, "idle": False}.get(seen.status)
        for lost in ("stream lost", "clips missing"):
            events += self._set(lost, False, at)
        events += self._hear(faults, seen.status, at)
        if seen.status == "judged":
            self._judged = seen
            # A sensor fault never raises the machine's alarm, nor clears it: the score of a
            # microphone that is moved, swapped, cut off or dead says nothing of the machine.
            if not faults:
                events += self._judge(seen, at)
        return tuple(events)

    def notice(self, notice: Notice) -> tuple[AlarmEvent, ...]:
        """News of the source that this machine's clips come from."""
        self._touched.clear()
        events = self._over(notice.at)
        if notice.kind in LOST or notice.kind == "back":
            events += self._set("stream lost", notice.kind in LOST, notice.at, notice.text)
        elif (condition := OF_NOTICE.get(notice.kind)) is not None:
            events += self._count(condition, True, notice.at, notice.text)
        return tuple(events)

    def tick(self, at: datetime, *, waits: bool = False) -> tuple[AlarmEvent, ...]:
        """The time is that: shelves end, and clips are missing.

        Args:
            waits: recordings came that nobody has heard yet; this machine's may be among them.
        """
        self._touched.clear()
        events = self._over(at)
        # A clock that was set back makes no clip late.
        if self._heard_at is None or at < self._heard_at:
            self._heard_at = at
        every = self.settings.every
        waited = (at - self._heard_at).total_seconds()
        if every is not None and waited > MISSED * every and not waits:
            why = f"{lasting(waited)}, with one each {lasting(every)} expected"
            events += self._set("clips missing", True, at, why)
        return tuple(events)

    def resume(self, at: datetime, *, opened: bool = True) -> tuple[AlarmEvent, ...]:
        """From now on clips are counted: none was missing while nobody listened.

        Args:
            opened: its sources were opened just now, so that none is lost.
        """
        self._touched.clear()
        self._heard_at = at
        return tuple(self._set("stream lost", False, at)) if opened else ()

    def recall(self, before: Station) -> None:
        """Show of the machine what an earlier station of it would; no alarm depends on it."""
        self._clips, self._faults = before._clips, before._faults
        self._last, self._judged = before._last, before._judged

    def act(self, deed: Deed) -> tuple[AlarmEvent, ...]:
        """Somebody acknowledged, shelved, took off the shelf or noted; nothing where it is no news.

        Deeds are numbered, and `acted` is part of the state: given all of them again, in their
        order, it takes those that were done while nothing ran, and no other twice. Of an alarm
        that is none of this machine's nothing is taken.
        """
        self._touched.clear()
        if deed.id <= self.acted:
            return ()
        self.acted = deed.id
        events = self._over(deed.at)
        point = next((p for p in self._points() if p.last == deed.alarm), None)
        if point is None:
            return tuple(events)
        if deed.verb == "acknowledged":
            events += self._of(point, point.acknowledge(deed.at, deed.note))
        elif deed.verb == "shelved" and deed.until is not None:
            events += self._of(point, point.shelve(deed.at, deed.until, deed.note))
        elif deed.verb == "unshelved":
            events += self._of(point, point.unshelve(deed.at))
        elif deed.verb == "noted":
            point.note(deed.note)
            self._of(point, ())
        self._sweep()
        return tuple(events)

    def renew(self, normality: Normality | None, at: datetime) -> tuple[AlarmEvent, ...]:
        """Another detector judges from now on: what drifted before is no drift of this one."""
        self._touched.clear()
        self._take_normality(normality)
        return tuple(self._forget(at))

    # ---- how it is ------------------------------------------------------------------------------
    @property
    def alarms(self) -> tuple[StandingAlarm, ...]:
        """Those that are not closed, by number."""
        found = [point.alarm for point in self._points() if point.alarm is not None]
        return tuple(sorted(found, key=lambda alarm: alarm.id))

    @property
    def changed(self) -> tuple[StandingAlarm, ...]:
        """Alarms that the last call touched, closed ones too, by number."""
        return tuple(self._touched[number] for number in sorted(self._touched))

    @property
    def now(self) -> MachineNow:
        """What outputs are told of the machine."""
        lost = [c for c in ("stream lost", "clips missing") if self._stands(c)]
        return MachineNow(
            self.machine, self.section, self._clips, self._running,
            tuple(dict.fromkeys([*self._faults, *lost])), self._last, self._judged, self.alarms,
        )  # fmt: skip

    @property
    def state(self) -> str:
        """All that the future depends on, as JSON in one line."""
        sensors = {
            name: {"levels": latch.levels, **point.state}
            for name, (point, latch) in sorted(self._sensors.items())
        }
        state = {
            "schema": SCHEMA, "acted": self.acted, "detector": self._detector,
            "running": self._running, "heard": self._heard_at and self._heard_at.isoformat(),
            "sum": self._sum, "since": self._clips_since, "drift": self._drift.state,
            "sound": {"levels": self._latch.levels, **self._sound.state}, "sensors": sensors,
        }  # fmt: skip
        return json.dumps(state, separators=(",", ":"), ensure_ascii=False)

    # ---- does it sound wrong? -------------------------------------------------------------------
    def _judge(self, seen: Observation, at: datetime) -> Iterator[AlarmEvent]:
        p = seen.p_value
        if seen.anomalous:
            level = ABOVE
        else:
            level = BETWEEN if p is not None and p <= self._clear else BELOW
        stands = self._latch.take(level)
        yield from self._of(self._sound, self._sound.hold(stands, at, self._heard(stands, seen)))
        # While the machine sounds wrong its scores say nothing of what is normal.
        if not stands and p is not None and self._scheme is not None:
            yield from self._follow(self._scheme, p, at)

    def _heard(self, stands: bool, seen: Observation) -> str:
        latch, file = self._latch, printable(seen.place)
        file = file if len(file) <= _NAME else f"…{file[-_NAME:]}"
        if not stands:
            still = sum(level != BELOW for level in latch.levels)
            return (f"{self.name}: sounds normal again: {still} of the last "
                    f"{counted(len(latch.levels), 'clip')} above the lower threshold")  # fmt: skip
        score = "" if seen.score is None else f" {seen.score:.4g}"
        limit = "" if seen.threshold is None else f" {seen.threshold:.4g}"
        return (f"{self.name}: sounds wrong: {latch.above} of the last "
                f"{counted(len(latch.levels), 'clip')} above the threshold{limit}, the last "
                f"with{score or ' more'}; listen to {file}")  # fmt: skip

    # ---- has normal moved? ----------------------------------------------------------------------
    def _follow(self, scheme: Cusum, p_value: float, at: datetime) -> Iterator[AlarmEvent]:
        self._sum = scheme.after(self._sum, p_value)
        self._clips_since = self._clips_since + 1 if self._sum else 0
        if self._sum >= scheme.limit:
            told = (
                f"{self.name}: normal has moved: the last "
                f"{counted(self._clips_since, 'judged clip')} score higher than its normal clips "
                f"explain (CUSUM {self._sum * STEP:.2f}); if they sound right, teach it: "
                "nearfar learn DETECTOR CLIPS"
            )
            yield from self._of(self._drift, self._drift.hold(True, at, told))
        elif self._sum == 0:  # all that spoke for it has been taken back
            told = f"{self.name}: scores are again what its normal clips explain"
            yield from self._of(self._drift, self._drift.hold(False, at, told))

    def _by_another(self, detector: str, at: datetime) -> list[AlarmEvent]:
        """It learnt, or was fitted again: nothing that was summed up holds for it."""
        if not detector or detector == self._detector:
            return []
        first, self._detector = not self._detector, detector
        return [] if first else self._forget(at)

    def _forget(self, at: datetime) -> list[AlarmEvent]:
        self._sum = self._clips_since = 0
        told = f"{self.name}: another detector judges; drift is counted anew"
        return self._of(self._drift, self._drift.hold(False, at, told))

    # ---- can we hear it? ------------------------------------------------------------------------
    def _hear(self, faults: Sequence[str], status: str, at: datetime) -> Iterator[AlarmEvent]:
        for condition in dict.fromkeys([*faults, *sorted(self._sensors)]):
            witness = asked(condition, faults, status)
            if witness is not None:
                yield from self._count(condition, witness, at)
        self._sweep()

    def _count(self, condition: str, found: bool, at: datetime, why: str = "") -> list[AlarmEvent]:
        """One more clip for or against a fault, by the sensors' rule."""
        point, latch = self._sensor(condition)
        stands = latch.take(ABOVE if found else BELOW)
        return self._of(point, point.hold(stands, at, self._said(condition, stands, why)))

    def _set(
        self, condition: str, stands: bool, at: datetime, why: str = ""
    ) -> list[AlarmEvent]:  # fmt: skip
        """A fault that is there or not, and needs no counting."""
        if not stands and condition not in self._sensors:
            return []
        point, _ = self._sensor(condition)
        events = self._of(point, point.hold(stands, at, self._said(condition, stands, why)))
        self._sweep()
        return events

    def _said(self, condition: str, stands: bool, why: str) -> str:
        if not stands:
            return f"{self.name}: {condition}: no longer"
        return f"{self.name}: {condition}: {told_of(condition, why or 'see the log')}"

    def _stands(self, condition: str) -> bool:
        return condition in self._sensors and self._sensors[condition][0].active

    def _sensor(self, condition: str) -> tuple[AlarmPoint, Hysteresis]:
        if condition not in self._sensors:
            latch = Hysteresis(self.settings.sensor_rule)
            self._sensors[condition] = self._point("sensor", condition), latch
        return self._sensors[condition]

    def _sweep(self) -> None:
        """Forget points that have nothing to remember: the state is written with each clip."""
        for name, (point, latch) in list(self._sensors.items()):
            if point.idle and latch.idle:
                del self._sensors[name]

    # ---- the rest -------------------------------------------------------------------------------
    def _point(self, kind: AlarmKind, condition: str) -> AlarmPoint:
        return AlarmPoint(PointName(kind, condition, self.machine, self.section), self._numbers)

    def _points(self) -> list[AlarmPoint]:
        return [self._sound, self._drift, *(point for point, _ in self._sensors.values())]

    def _over(self, at: datetime) -> list[AlarmEvent]:
        """Shelves whose time is over."""
        return [event for point in self._points() for event in self._of(point, point.tick(at))]

    def _of(self, point: AlarmPoint, events: Sequence[AlarmEvent]) -> list[AlarmEvent]:
        self._touched.update(point.changed)
        point.changed.clear()
        return list(events)

    def _take_normality(self, normality: Normality | None) -> None:
        self.normality = normality
        self._clear = self.settings.clear_for(0.0 if normality is None else normality.rate)
        self._scheme: Cusum | None = None
        if normality is not None:
            self._scheme = Cusum.of(normality.n, self.settings.drift_run)
        # Of another scheme the sum may be beyond its limit.
        self._sum = min(self._sum, self._scheme.limit) if self._scheme else 0

    def _restore(self, state: str) -> None:
        try:
            said: dict[str, Any] = json.loads(state)
            if said["schema"] != SCHEMA:
                raise FormatError(
                    f"{self.name}: the alarms' state has schema {said['schema']}, this nearfar "
                    f"reads {SCHEMA}; take one that wrote it"
                )
            self.acted = int(said["acted"])
            self._detector, self._running = said["detector"], said["running"]
            heard = said["heard"]
            self._heard_at = None if heard is None else datetime.fromisoformat(heard)
            self._sum, self._clips_since = said["sum"], said["since"]
            self._drift.restore(said["drift"])
            self._latch = self._again(self._sound, said["sound"], self._latch)
            for name, kept in said["sensors"].items():
                point, latch = self._sensor(name)
                self._sensors[name] = point, self._again(point, kept, latch)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"{self.name}: the alarms' state in the history is damaged ({type(error).__name__})"
                "; restore the history from a backup, or begin another"
            ) from None

    @staticmethod
    def _again(point: AlarmPoint, kept: dict[str, Any], latch: Hysteresis) -> Hysteresis:
        point.restore(kept)
        return Hysteresis(latch.rule, kept["levels"], standing=point.active)
