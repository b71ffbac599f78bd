"""Laws of a simulated clip: purity, bookkeeping, levels that are what their knobs say."""

import dataclasses

import numpy as np
import pytest

from nearfar.errors import SettingError
from nearfar.sim import acoustics, scene
from nearfar.sim.levels import clip_statistics
from nearfar.sim.machine import Stems
from nearfar.sim.machines import MACHINES
from nearfar.sim.scene import ClipKey, condition_of, render
from nearfar.sim.scenes import SCENES, scene_of

SEED = 5


def key(machine="fan", label="normal", index=0, domain="source", seconds=2.0, split="test"):
    return ClipKey(machine, split, domain, label, index, seconds)


def same(a, b):
    return (
        a.audio.tobytes() == b.audio.tobytes()
        and a.noise.tobytes() == b.noise.tobytes()
        and a.truth == b.truth
    )


@pytest.mark.slow
def test_a_clip_depends_on_its_key_and_the_seed_alone():
    alone = render(key(index=3), SEED)
    for other in ("valveEmu", "fan", "ToyCar"):
        render(key(other, index=2, seconds=1.3), SEED + 1)
    np.random.default_rng(0).standard_normal(10)
    scene.far_gain_db.cache_clear()
    for cached in (acoustics.responses, acoustics.transfer, acoustics.mic_difference):
        cached.cache_clear()
    assert same(alone, render(key(index=3), SEED))
    others = [
        render(key(index=4), SEED),
        render(key(index=3), SEED + 1),
        render(key(index=3, domain="target"), SEED),
        render(key(index=3, split="train"), SEED),
    ]
    assert not any(same(alone, other) for other in others)


def test_no_global_randomness():
    np.random.seed(1)  # noqa: NPY002
    first = render(key("valveEmu", "anomaly"), SEED)
    np.random.seed(2)  # noqa: NPY002
    state = np.random.get_state()  # noqa: NPY002
    assert same(first, render(key("valveEmu", "anomaly"), SEED))
    assert np.array_equal(state[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("machine", SCENES)
@pytest.mark.parametrize("label", ["normal", "anomaly"])
def test_machine_and_noise_add_up_and_do_not_clip(machine, label):
    for index in range(3):
        clip = render(key(machine, label, index, "target"), SEED)
        for part in (clip.audio, clip.machine, clip.noise):
            assert part.shape == (2, 32_000)
            assert part.dtype == np.float32
        assert np.abs(clip.machine + clip.noise - clip.audio).max() <= 1e-6
        near = [np.mean(np.square(part[0].astype(float))) for part in (clip.machine, clip.noise)]
        assert clip.truth["snr_db"] == pytest.approx(10 * np.log10(near[0] / near[1]), abs=1e-3)
        if label == "normal":
            assert clip.truth["clipped"] == 0
            assert np.abs(clip.audio).max() < 1
            assert clip.truth["fault"] is None
            assert clip.truth["severity"] == 0


def test_faults_and_severities_cycle_and_the_condition_is_known_beforehand():
    faults = [fault.name for fault in MACHINES["fan"].faults]
    count = len(faults)
    for index in (0, 1, count, 2 * count + 1, 3 * count):
        name = key("fan", "anomaly", index, seconds=1.0)
        truth = render(name, SEED).truth
        assert truth["fault"] == faults[index % count]
        assert truth["severity"] == scene_of("fan").severities[index // count % 3]
        assert truth["condition"] == condition_of(name, SEED).tail
    assert condition_of(key(domain="target"), SEED) in MACHINES["fan"].target


def test_the_machine_cannot_move_the_noise(monkeypatch):
    name = key("fan", "anomaly", 1)
    clip = render(name, SEED)
    fan = MACHINES["fan"]

    def loud(kit, *rest):
        stems = fan.render(kit, *rest)
        kit.rng.standard_normal(7)
        return Stems(10 * stems.body, 30 * stems.point)

    louder = dataclasses.replace(fan, render=loud)
    monkeypatch.setattr(scene, "MACHINES", {**MACHINES, "fan": louder})
    changed = render(name, SEED)
    assert changed.noise.tobytes() == clip.noise.tobytes()
    assert changed.truth["snr_db"] > clip.truth["snr_db"] + 15


def test_the_noise_level_is_the_knob_whatever_the_kind_and_the_label():
    quiet = dataclasses.replace(
        scene_of("fan"), rumble_db=-80.0, noise_sd_db=0.0, snr_db=3.0, target_snr_offset_db=-2.0
    )
    for label in ("normal", "anomaly"):
        for domain, offset in (("source", 0.0), ("target", -2.0)):
            for index in range(4):
                clip = render(key("fan", label, index, domain, 6.0), SEED, quiet)
                near = clip.noise[0].astype(float) / quiet.gain(
                    scene.far_gain_db("fan", SEED, quiet)
                )
                level = 10 * np.log10(np.mean(near**2))
                assert level == pytest.approx(-(3.0 + offset), abs=1.2), clip.truth["noise"]


def test_the_ratio_knob_moves_the_ratio_one_to_one():
    base = scene_of("bearingEmu")
    up = dataclasses.replace(base, ratio_db=base.ratio_db + 7)
    ratios = [
        clip_statistics(render(key("bearingEmu"), SEED, s).audio)["ratio_db"] for s in (base, up)
    ]
    assert ratios[1] - ratios[0] == pytest.approx(7.0, abs=0.05)


def test_bad_keys_are_one_line():
    with pytest.raises(SettingError, match="fan"):
        render(key("fam"), SEED)
    with pytest.raises(SettingError, match="fan"):
        condition_of(key("fam"), SEED)
    with pytest.raises(SettingError, match="source"):
        key(domain="sauce")
    with pytest.raises(SettingError, match="more than 0 s"):
        key(seconds=0.0)
