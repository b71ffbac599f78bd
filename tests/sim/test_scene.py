"""Laws of the simulated scene: purity, bookkeeping, levels, fields, statistics."""

import dataclasses

import numpy as np
import pytest
from scipy.fft import irfft
from scipy.signal import csd, welch

from nearfar.errors import SettingError
from nearfar.sim import acoustics, noise, scene
from nearfar.sim.calibrate import misses, statistics
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


def test_every_machine_has_a_scene_and_back():
    assert list(SCENES) == list(MACHINES)


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


def test_a_diffuse_pair_has_the_coherence_of_a_diffuse_field():
    size, spacing = 2**19, 0.25
    pair = acoustics.diffuse_pair(np.random.default_rng(1), spacing, size)
    near, far = (irfft(spectrum, size) for spectrum in pair)
    assert np.std(near) == pytest.approx(1.0, abs=0.01)
    assert np.std(far) == pytest.approx(1.0, abs=0.01)
    f, cross = csd(near, far, fs=16_000, nperseg=512)
    power = [welch(x, fs=16_000, nperseg=512)[1] for x in (near, far)]
    measured = (np.abs(cross) ** 2 / (power[0] * power[1]))[2:-2]
    x = 2 * np.pi * f[2:-2] * spacing / 343.0
    expected = (np.sin(x) / x) ** 2
    assert np.abs(measured - expected).max() < 0.06


def test_rumble_is_low_and_of_unit_level():
    size = 2**17
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    low = acoustics.rumble(np.random.default_rng(1), size)
    spectrum[: low.size] = low
    assert np.std(irfft(spectrum, size)) == pytest.approx(1.0, abs=0.08)
    assert low.size * 16_000 / size <= 200
    levels = np.abs(low) ** 2
    assert levels[-200:].sum() < 0.01 * levels.sum()


def test_gaussian_noise_has_unit_level():
    wave = irfft(acoustics.gaussian(np.random.default_rng(0), 2**16), 2**16)
    assert np.std(wave) == pytest.approx(1.0, abs=0.02)


def test_the_room_is_causal_direct_first_and_reverberant_far():
    h = acoustics.responses(SEED, "fan", scene_of("fan").geometry)
    arrival = [int(np.argmax(np.abs(row) > 0.3 * np.abs(row).max())) for row in h[:, 0]]
    metres = [a / 16_000 * 343 for a in arrival]
    assert metres[0] == pytest.approx(scene_of("fan").near_m, abs=0.05)
    assert metres[1] == pytest.approx(scene_of("fan").far_m, abs=0.3)
    energy = np.sum(h.astype(float) ** 2, axis=2)
    assert energy[0, 0] == pytest.approx(1.0)
    assert energy[1, 0] < 0.3
    direct = [np.sum(h[m, 0, arrival[m] - 8 : arrival[m] + 24].astype(float) ** 2) for m in (0, 1)]
    assert direct[0] / energy[0, 0] > 2 * direct[1] / energy[1, 0]


def test_the_reverberation_time_is_the_knob():
    decays = []
    for rt60 in (0.25, 0.5):
        h = acoustics.responses(SEED, "fan", acoustics.Geometry(0.35, 3.2, rt60))[1, 0]
        left = 10 * np.log10(np.cumsum(h[::-1].astype(float) ** 2)[::-1] / np.sum(h**2) + 1e-12)
        at = [int(np.argmax(left < level)) / 16_000 for level in (-5, -20)]
        decays.append((at[1] - at[0]) * 4)
    assert decays[0] == pytest.approx(0.25, rel=0.35)
    assert decays[1] == pytest.approx(0.5, rel=0.35)


def test_microphones_differ_above_300_hz_only():
    curve = 20 * np.log10(acoustics.mic_difference(SEED, "fan", 1.5, 32_000))
    assert np.abs(curve[:300]).max() < 1e-4
    assert curve[301:].std() == pytest.approx(1.5, abs=0.3)


@pytest.mark.parametrize("name", [k for k in noise.KINDS if noise.KINDS[k].course])
def test_events_have_unit_level_over_the_clip(name):
    spectra = noise.events(np.random.default_rng(2), noise.KINDS[name], 48_000, 50_000)
    power = sum(np.mean(irfft(s, 50_000)[:48_000] ** 2) for s in spectra)
    assert power == pytest.approx(1.0, abs=0.1)
    assert len(spectra) == len(noise.KINDS[name].places)


def test_a_steady_kind_has_no_events():
    with pytest.raises(ValueError, match="steady"):
        noise.events(np.random.default_rng(0), noise.KINDS["hall"], 100, 128)


def test_domains_have_the_same_kinds_in_other_proportions():
    assert set(noise.SOURCE_MIX) == set(noise.TARGET_MIX) == set(noise.KINDS)
    drawn = [
        [noise.draw_kind(rng, weight).name for _ in range(4000)]
        for rng, weight in ((np.random.default_rng(0), 0.0), (np.random.default_rng(1), 1.0))
    ]
    for names, mix in zip(drawn, (noise.SOURCE_MIX, noise.TARGET_MIX), strict=True):
        for name, share in mix.items():
            assert names.count(name) / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("machine", SCENES)
def test_statistics_meet_the_targets(machine):
    measured = statistics(machine, SEED, 32, seconds=6.0)
    assert misses(machine, measured) == [], measured


def test_bad_keys_are_one_line():
    with pytest.raises(SettingError, match="fan"):
        render(key("fam"), SEED)
    with pytest.raises(SettingError, match="fan"):
        condition_of(key("fam"), SEED)
    with pytest.raises(SettingError, match="source"):
        key(domain="sauce")
    with pytest.raises(SettingError, match="more than 0 s"):
        key(seconds=0.0)
