"""A machine over time: what is healthy, what is not, and that a seed tells all of it."""

import json
from datetime import datetime, timedelta

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar import sim
from nearfar.sim import dataset, wear
from nearfar.sim.scene import Moment, render

LAST = wear.FITTED + wear.HEALTHY + wear.FAULTY - 1


@pytest.fixture
def short(monkeypatch):
    """Of the course ten hours: two fitted on, two healthy ones, and of the fault the last six."""
    hours = [0, 1, 120, 121, *range(LAST - 5, LAST + 1)]
    monkeypatch.setattr(dataset, "course", lambda _=None: [wear.course()[h] for h in hours])


def test_the_course_is_healthy_for_a_week_and_then_wears_ever_more():
    items = wear.course()
    severities = [item.moment.severity for item in items]
    assert severities[: 7 * 24] == [0.0] * 7 * 24
    assert all(a < b for a, b in zip(severities[7 * 24 - 1 :], severities[7 * 24 :], strict=False))
    assert severities[-1] == 1.0
    assert len(items) <= 250


def test_only_the_first_healthy_part_is_for_fitting():
    folders = [item.file.partition("/")[0] for item in wear.course()]
    assert folders == ["normal"] * wear.FITTED + ["watched"] * (wear.HEALTHY + wear.FAULTY)
    assert not any(i.moment.severity for i in wear.course() if i.file.startswith("normal/"))


def test_names_tell_the_hour_as_nearfar_reads_it(short, tmp_path):
    sim.simulate(tmp_path / "wear", "wear", 5)
    normal = nf.Clips.open(tmp_path / "wear" / "normal", machine="pump")
    watched = nf.Clips.open(tmp_path / "wear" / "watched", machine="pump")
    assert {clip.label for clip in normal} == {"normal"}
    assert {clip.label for clip in watched} == {None}  # nothing tells a detector what is worn
    times = [clip.time for clip in [*normal, *watched]]
    begin = datetime(2026, 3, 2)
    hours = [0, 1, 120, 121, *range(LAST - 5, LAST + 1)]
    assert times == [begin + timedelta(hours=hour) for hour in hours]
    assert sorted(p.name for p in (tmp_path / "wear").iterdir()) == [
        "ground_truth.jsonl", "manifest.json", "normal", "watched",
    ]  # fmt: skip


def test_the_truth_says_how_worn_each_recording_is(short, tmp_path):
    written = sim.simulate(tmp_path / "wear", "wear", 5)
    assert (written.clips, written.label) == (10, "SIMULATED v1 seed 5")
    lines = (tmp_path / "wear" / "ground_truth.jsonl").read_text().splitlines()
    truth = {row["file"]: row for row in map(json.loads, lines)}
    for item in dataset.course():
        assert truth[item.file]["severity"] == item.moment.severity
        assert truth[item.file]["fault"] == ("inner_race" if item.moment.severity else None)
        assert truth[item.file]["clipped"] == 0


@pytest.mark.slow
def test_a_seed_tells_every_sample_in_any_order_and_by_any_number_of_processes(short, tmp_path):
    def content(folder):
        return {p.name: p.read_bytes() for p in folder.rglob("*.wav")}

    sim.simulate(tmp_path / "one", "wear", 5)
    sim.simulate(tmp_path / "two", "wear", 5, workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    sim.simulate(tmp_path / "other", "wear", 6)
    assert not content(tmp_path / "one").items() & content(tmp_path / "other").items()


def test_wear_is_heard_over_the_same_noise_and_the_same_pump():
    """Of one hour at two severities what differs is the fault alone, and there is more of it."""
    key = wear.course()[LAST].key
    sound, *worn = (render(key, 0, moment=Moment(severity)) for severity in (0.0, 0.3, 0.7, 1.0))
    power = [float(np.sum(np.square(w.machine - sound.machine, dtype=float))) for w in worn]
    assert power == sorted(power)
    assert power[0] > 0
    assert all(np.array_equal(w.noise, sound.noise) for w in worn)


def test_the_line_is_louder_by_day():
    key = wear.course()[0].key
    quiet, loud = (render(key, 0, moment=Moment(0.0, db)) for db in (-3.0, 2.0))
    assert np.array_equal(quiet.machine, loud.machine)
    assert np.sum(loud.noise**2) > 1.5 * np.sum(quiet.noise**2)
    by_hour = {item.moment.louder_db for item in wear.course() if "_1200" in item.file}
    by_night = {item.moment.louder_db for item in wear.course() if "_0200" in item.file}
    assert min(by_hour) > max(by_night)


def test_another_machine_cannot_wear_out(tmp_path):
    refused(
        lambda: sim.simulate(tmp_path / "fan", "wear", machines=["fan"]), "no machine 'fan'", "pump"
    )
    assert not (tmp_path / "fan").exists()
