"""Metrics, read by the parser that the format's own people wrote."""

from datetime import timedelta
from math import isclose

from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from bulletins import AT, NAMES, seen, standing
from nearfar.service.news import MachineNow, OutputHealth, WatchNow
from nearfar.service.outputs.gauges import families


class Collected:
    def __init__(self, watch, counts):
        self.watch, self.counts = watch, counts

    def collect(self):
        return families(self.watch, self.counts, AT + timedelta(seconds=30))


def read(watch, counts=None):
    """Sample name and labels → value, and the families."""
    found = list(parse(generate_latest(Collected(watch, counts or {})).decode()))
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in found for s in f.samples}
    return samples, found


def of(samples, name, **labels):
    """The one value of a name whose labels have these."""
    (value,) = (
        v for (n, held), v in samples.items() if n == name and labels.items() <= dict(held).items()
    )
    return value


def watch(**changes):
    machine = MachineNow("pump", "00", 3, True, ("dead",), seen(5), seen(5), (standing(),))
    made = {"machines": {("pump", "00"): machine}, "queued": 4, "clips": 9, "duplicates": 2,
            "unkept": 5, "lost": 6, "sources": {"hall": "", "yard": "gone"},
            "outputs": (OutputHealth("mqtt", False, 7, 8, "down"),)}  # fmt: skip
    return WatchNow(AT, ready=True, **{**made, **changes})


def test_every_number_is_where_the_page_says():
    samples, _ = read(watch(), {(("pump", "00"), "judged"): 2, (("pump", "00"), "idle"): 1})
    pump = {"machine": "pump", "section": "00"}
    assert of(samples, "nearfar_clip_age_seconds", **pump) == 25
    assert of(samples, "nearfar_clip_time_seconds", **pump) == AT.timestamp() + 5
    assert of(samples, "nearfar_score", **pump) == 6
    assert of(samples, "nearfar_threshold", **pump) == 2
    assert of(samples, "nearfar_percentile_ratio", **pump) == 0.9
    assert of(samples, "nearfar_p_value_ratio", **pump) == 0.1
    assert of(samples, "nearfar_anomalous", **pump) == 1
    assert of(samples, "nearfar_running", **pump) == 1
    assert of(samples, "nearfar_sensor_faults", **pump) == 1
    assert isclose(of(samples, "nearfar_near_level_ratio", **pump), 0.1)  # −20 dBFS
    assert isclose(of(samples, "nearfar_far_level_ratio", **pump), 0.01)
    assert of(samples, "nearfar_coherence_ratio", **pump) == 0.5
    assert of(samples, "nearfar_clips_total", status="judged", **pump) == 2
    assert of(samples, "nearfar_clips_total", status="idle", **pump) == 1
    for name, value in {
        "ready": 1, "queued_recordings": 4, "heard_clips_total": 9,
        "duplicate_recordings_total": 2, "history_up": 1, "history_unkept_rows": 5,
        "history_lost_rows_total": 6, "start_time_seconds": AT.timestamp(),
    }.items():  # fmt: skip
        assert of(samples, f"nearfar_{name}") == value, name
    assert of(samples, "nearfar_source_up", source="yard") == 0
    assert of(samples, "nearfar_source_up", source="hall") == 1
    assert of(samples, "nearfar_output_up", output="mqtt") == 0
    assert of(samples, "nearfar_output_queued_messages", output="mqtt") == 7
    assert of(samples, "nearfar_output_lost_messages_total", output="mqtt") == 8


def test_an_alarm_is_in_exactly_one_state_for_each_kind():
    for changes, word in (({}, "active"), ({"cleared": AT}, "cleared")):
        machine = MachineNow("pump", "00", 1, alarms=(standing(kind="sensor", **changes),))
        samples, _ = read(watch(machines={("pump", "00"): machine}))
        for kind in ("machine", "sensor", "drift"):
            on = [
                dict(labels)["nearfar_alarm"]
                for (name, labels), value in samples.items()
                if name == "nearfar_alarm" and dict(labels)["kind"] == kind and value
            ]
            assert on == [word if kind == "sensor" else "none"]


def test_what_nobody_knows_has_no_sample():
    samples, found = read(watch(machines={("pump", "00"): MachineNow("pump", "00", 0)}))
    names = {name for name, labels in samples if ("machine", "pump") in labels}
    assert names == {"nearfar_sensor_faults", "nearfar_alarm"}
    assert {"nearfar_score", "nearfar_clip_age_seconds"} <= {f.name for f in found}


def test_units_are_base_units_and_ratios_are_shares():
    samples, found = read(watch())
    for family in found:
        assert family.name.startswith("nearfar_")
        assert family.documentation.endswith(".")
        assert family.unit in ("", "seconds", "ratio")
        assert family.name.endswith(family.unit)
    assert all(0 <= v <= 1 for (name, _), v in samples.items() if name.endswith("_ratio"))


def test_a_clock_that_was_set_back_makes_no_age_negative():
    machine = MachineNow("pump", "00", 1, last=seen(3600))
    samples, _ = read(watch(machines={("pump", "00"): machine}))
    assert of(samples, "nearfar_clip_age_seconds") == 0


def test_odd_names_stay_apart():
    machines = {(name, "00"): MachineNow(name, "00", 1, last=seen(1, name)) for name in NAMES}
    samples, _ = read(watch(machines=machines))
    ages = [labels for name, labels in samples if name == "nearfar_clip_age_seconds"]
    assert len(set(ages)) == len(NAMES)


def test_machines_that_are_called_alike_there_are_no_series_twice():
    names = ("a\udcff", "a\\udcff")
    machines = {(name, "00"): MachineNow(name, "00", 1, last=seen(1, name)) for name in names}
    counts = {((name, "00"), "judged"): 2 for name in names}
    samples, found = read(watch(machines=machines), counts)
    assert sum(len(family.samples) for family in found) == len(samples)
    assert of(samples, "nearfar_clips_total") == 4
