"""What /metrics tells, as OpenMetrics families: base units, shares of 0 to 1.

docs/outputs-live.md has every name. Levels, that people read in dB, are shares of full scale here:
a unit that is no base unit would be one's own.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from nearfar.service.incoming import now as clock
from nearfar.service.news import AlarmKind, MachineNow, WatchNow
from nearfar.service.observation import Observation
from nearfar.service.outputs.said import WORDS, alarm_word, readable
from nearfar.version import __version__

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Key = tuple[str, str]
Counts = Mapping[tuple[Key, str], int]  # of clips, by machine and status
KINDS: tuple[AlarmKind, ...] = ("machine", "sensor", "drift")
MACHINE = ("machine", "section")
Value = Callable[[MachineNow], float | None]


def families(watch: WatchNow, counts: Counts, at: datetime | None = None) -> Iterator[Metric]:
    """Families of one moment.

    Args:
        watch: how it is.
        counts: clips by machine and status since the watch began.
        at: the moment, UTC; None: now.

    >>> from nearfar.service.incoming import now
    >>> [f.name for f in families(WatchNow(now(), ready=True), {})][:3]
    ['nearfar_build', 'nearfar_start_time_seconds', 'nearfar_ready']
    """
    yield from _of_watch(watch)
    # One copy of one moment, whatever the watch does to its own meanwhile.
    copied = dict(watch.machines)
    # By what they are called there: of a series that is there twice, all of an answer is refused.
    machines = list({tuple(_labels(machine)): machine for machine in copied.values()}.values())
    yield from _of_machines(machines, at or clock())
    yield _clips(counts)
    yield _alarms(machines)


def _of_watch(watch: WatchNow) -> Iterator[Metric]:
    from prometheus_client.core import InfoMetricFamily

    built = {"version": __version__, "python": platform.python_version()}
    yield InfoMetricFamily("nearfar_build", "Versions.", built)
    yield _one("start_time", "When the watch began.", watch.started.timestamp(), "seconds")
    yield _one("ready", "1: detectors are loaded and sources open.", watch.ready)
    yield _one("queued_recordings", "Recordings that wait to be heard.", watch.queued)
    yield _count("heard_clips", "Clips observed.", watch.clips)
    yield _count("duplicate_recordings", "Recordings that had been heard before.", watch.duplicates)
    yield _one("history_up", "1: the history takes rows.", not watch.history)
    yield _one("history_unkept_rows", "Rows that wait for the history.", watch.unkept)
    yield _count("history_lost_rows", "Rows that were given up.", watch.lost)
    sources = {readable(name): float(not trouble) for name, trouble in watch.sources.items()}
    yield _many("source_up", "1: recordings can come from there.", "source", sources)
    outputs = watch.outputs
    up = {out.name: float(out.up) for out in outputs}
    yield _many("output_up", "1: it is told what happens.", "output", up)
    queued = {out.name: float(out.queued) for out in outputs}
    yield _many("output_queued_messages", "Messages that wait for it.", "output", queued)
    lost = {out.name: float(out.lost) for out in outputs}
    yield _many("output_lost_messages", "Messages given up.", "output", lost, counts=True)


def _of_machines(machines: list[MachineNow], at: datetime) -> Iterator[Metric]:
    for name, said, unit, value in _questions(at):
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(f"nearfar_{name}", said, labels=MACHINE, unit=unit)
        for machine in machines:
            if (found := value(machine)) is not None:  # what nobody knows has no sample
                family.add_metric(_labels(machine), found)
        yield family


def _questions(at: datetime) -> tuple[tuple[str, str, str, Value], ...]:
    """Name, meaning, unit and value of all that is asked of every machine."""
    judged, last = _judged, _last
    return (
        ("clip_age", "Since the last clip arrived.", "seconds", lambda m: _age(m.last, at)),
        ("clip_time", "When the last clip arrived.", "seconds", lambda m: _arrived(m.last)),
        ("score", "Of the last judged clip, high is anomalous.", "", judged("score")),
        ("threshold", "An anomaly's score is above it.", "", judged("threshold")),
        ("percentile", "Share of normal clips at or below it.", "ratio", judged("percentile")),
        ("p_value", "Of the last judged clip.", "ratio", judged("p_value")),
        ("anomalous", "1: the last judged clip was.", "", judged("anomalous")),
        ("running", "1: the machine was, in the last clip.", "", lambda m: m.running),
        ("sensor_faults", "Found in the last clip.", "", lambda m: float(len(m.faults))),
        ("near_level", "RMS near, of full scale.", "ratio", lambda m: _level(m, "near_level")),
        ("far_level", "RMS far, of full scale.", "ratio", lambda m: _level(m, "far_level")),
        ("coherence", "Of near and far.", "ratio", last("coherence")),
    )  # fmt: skip


def _clips(counts: Counts) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily("nearfar_clips", "Clips told of.", labels=(*MACHINE, "status"))
    summed: Counter[tuple[str, ...]] = Counter()
    for (key, status), count in counts.items():
        summed[(*map(readable, key), status)] += count
    for labels, count in summed.items():
        family.add_metric(labels, count)
    return family


def _alarms(machines: list[MachineNow]) -> Metric:
    from prometheus_client.core import StateSetMetricFamily

    said = "State of a machine's alarms of a kind; of several, that which needs a person most."
    family = StateSetMetricFamily("nearfar_alarm", said, labels=(*MACHINE, "kind"))
    for machine in machines:
        for kind in KINDS:
            word = alarm_word(machine.alarms, kind)
            states = {state: state == word for state in ("none", *WORDS)}
            family.add_metric([*_labels(machine), kind], states)
    return family


def _one(name: str, said: str, value: float, unit: str = "") -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"nearfar_{name}", said, float(value), unit=unit)


def _count(name: str, said: str, value: float) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(f"nearfar_{name}", said, float(value))


def _many(
    name: str, said: str, label: str, values: Mapping[str, float], *, counts: bool = False
) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if counts else GaugeMetricFamily
    family = kind(f"nearfar_{name}", said, labels=(label,))
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _labels(machine: MachineNow) -> list[str]:
    return [readable(machine.machine), readable(machine.section)]


def _judged(name: str) -> Value:
    return lambda machine: _number(machine.judged, name)


def _last(name: str) -> Value:
    return lambda machine: _number(machine.last, name)


def _number(seen: Observation | None, name: str) -> float | None:
    value: float | None = None if seen is None else getattr(seen, name)
    return value


def _level(machine: MachineNow, name: str) -> float | None:
    decibels = _number(machine.last, name)
    return None if decibels is None else 10.0 ** (decibels / 20)


def _arrived(seen: Observation | None) -> float | None:
    return None if seen is None else seen.arrived.timestamp()


def _age(seen: Observation | None, at: datetime) -> float | None:
    # A clock that was set back makes nothing younger than new.
    return None if seen is None else max((at - seen.arrived).total_seconds(), 0.0)
