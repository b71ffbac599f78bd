"""The seven simulated machines: what they declare, and laws of how they sound."""

import math
import zlib
from functools import cache

import numpy as np
import pytest

from nearfar.clips import parse_name
from nearfar.sim.kit import Kit, rms
from nearfar.sim.machine import unit_rng
from nearfar.sim.machines import MACHINES

SAMPLES = 48_000  # 3 s


NAMES = ["ToyCar", "ToyCarEmu", "bearingEmu", "fan", "gearboxEmu", "sliderEmu", "valveEmu"]


FAULTS = [(name, fault.name) for name in NAMES for fault in MACHINES[name].faults]


def stems(name, clip, fault=None, severity=0.0, domain="source"):
    machine = MACHINES[name]
    conditions = getattr(machine, domain)
    condition = conditions[clip % len(conditions)]
    rng = np.random.default_rng([zlib.crc32(name.encode()), clip])
    unit = unit_rng(0, name, condition.unit)
    return machine.render(Kit(SAMPLES, rng), condition, fault, severity, unit)


def log_spectrum(signal):
    """Mean, deviation and 97th percentile over frames of the level in 48 bands, at RMS 1."""
    frames = np.lib.stride_tricks.sliding_window_view(signal / rms(signal), 1024)[::512]
    power = np.abs(np.fft.rfft(frames * np.hanning(1024))) ** 2
    edges = np.unique(np.geomspace(2, 512, 49).astype(int))
    level = 10 * np.log10(np.add.reduceat(power, edges[:-1], axis=1) + 1e-4)
    return np.concatenate([level.mean(0), level.std(0), np.percentile(level, 97, axis=0)])


@cache
def normal_levels(name):
    found = [stems(name, clip) for clip in range(40)]
    return np.array([20 * math.log10(rms(s.body + s.point)) for s in found])


def test_all_seven_machines_are_there_in_the_order_of_the_data_set():
    assert list(MACHINES) == NAMES
    assert [m.name for m in MACHINES.values()] == NAMES
    assert [m.seconds for m in MACHINES.values()] == [11, 12, 10, 10, 10, 10, 10]
    assert sum(len(m.faults) for m in MACHINES.values()) == 28
    for machine in MACHINES.values():
        assert len({fault.name for fault in machine.faults}) == len(machine.faults)
        assert machine.physics
        assert machine.references
        assert all(fault.physics for fault in machine.faults)


def test_file_name_tails_give_the_classes_of_the_real_training_set():
    # real: 22 (18 + 4), 9 (6 + 3) and 3 shared ones; no attribute elsewhere
    want = {"ToyCarEmu": (18, 4, 22), "gearboxEmu": (6, 3, 9), "fan": (3, 3, 3)}
    for name, machine in MACHINES.items():
        tails = {}
        for domain in ("source", "target"):
            tails[domain] = set()
            for condition in getattr(machine, domain):
                file = f"section_00_{domain}_train_normal_0000_{condition.tail}.wav"
                parsed = parse_name(file)
                assert parsed is not None
                assert parsed.domain == domain
                tails[domain].add(parsed.attributes)
        if name in want:
            both = tails["source"] | tails["target"]
            assert (len(tails["source"]), len(tails["target"]), len(both)) == want[name]
        else:
            assert tails == {"source": {""}, "target": {""}}


def test_target_individuals_are_others_but_at_most_one_speed_step_away_from_the_source():
    for machine in MACHINES.values():
        source = {c.unit for c in machine.source}
        target = {c.unit for c in machine.target}
        assert len(source) >= 4
        assert 2 <= len(target) <= 3
        assert not source & target
        for knob in dict(machine.source[0].values):
            ours = [c.value(knob) for c in machine.source]
            for condition in machine.target:
                assert min(ours) * 0.974 <= condition.value(knob) <= max(ours) * 1.026


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_clip_is_finite_float32_and_the_same_whenever_it_is_made(name, fault):
    first, again = stems(name, 3, fault, 0.7), stems(name, 3, fault, 0.7)
    for ours, theirs in ((first.body, again.body), (first.point, again.point)):
        assert ours.dtype == np.float32
        assert ours.shape == (SAMPLES,)
        assert np.isfinite(ours).all()
        assert ours.tobytes() == theirs.tobytes()
    assert stems(name, 4, fault, 0.7).body.tobytes() != first.body.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_healthy_machine_has_the_reference_level_within_its_loudness(name):
    levels = normal_levels(name)
    assert abs(levels.mean()) < 4 * 2.0 / math.sqrt(len(levels))
    assert 1.2 < levels.std() < 2.8  # dB
    assert all(rms(part) > 0.1 for part in (stems(name, 0).body, stems(name, 0).point))


@pytest.mark.parametrize("name", NAMES)
def test_loudness_alone_tells_nothing_about_a_fault(name):
    normal = normal_levels(name)
    faulty = []
    for index, fault in enumerate(MACHINES[name].faults):
        made = [stems(name, 1000 * (index + 1) + i, fault.name, 1.0) for i in range(12)]
        faulty += [20 * math.log10(rms(s.body + s.point)) for s in made]
    auc = np.mean(np.array(faulty)[:, None] > normal[None])
    assert 0.3 < auc < 0.7  # standard error 0.06


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_worse_fault_sounds_further_from_the_same_clip_without_it(name, fault):
    healthy = [log_spectrum(np.add(s.body, s.point)) for s in (stems(name, i) for i in range(4))]
    spread = np.std(healthy, axis=0).mean()
    away = []
    for severity in (0.0, 0.35, 0.65, 1.0):
        made = [stems(name, i, fault, severity) for i in range(4)]
        moved = [log_spectrum(s.body + s.point) - h for s, h in zip(made, healthy, strict=True)]
        away.append(np.linalg.norm(np.mean(moved, axis=0)) / math.sqrt(len(moved[0])))
    assert away[0] < away[1] < away[2] < away[3]
    assert away[3] > 0.5 * spread
