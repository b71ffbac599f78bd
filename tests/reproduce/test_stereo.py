"""The stereo statistics: analytic laws of every reading, recomputed in float64, and verdicts."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import write
from nearfar.errors import AudioError, DatasetError, FormatError, SettingError
from nearfar.health.inspect import clip_statistics
from nearfar.reproduce.reported import StereoFigure, load
from nearfar.reproduce.steps.stereo import (
    QUANTITIES,
    MachineStatistics,
    Spread,
    Statistics,
    clip_figures,
    measure,
)
from nearfar.reproduce.tables.stereo_tables import tables, verdict
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread as one_blas_thread

RATE = 16_000


def noise(seconds=10.0, seed=0, level=0.05):
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((2, round(seconds * RATE)))).astype(np.float32)


def flat(figures):
    return {(q, r): v for q, readings in figures.items() for r, v in readings.items()}


@pytest.fixture(scope="module")
def unrelated():
    """Ten seconds of independent white noise in both channels, and what is measured of it."""
    audio = noise()
    return audio, clip_figures(audio)


# ---- laws


@pytest.mark.parametrize("gain", [0.1, 0.5, 4.0])
def test_a_scaled_copy(gain):
    near = noise(3.0)[0]
    found = clip_figures(np.stack([near, np.float32(gain) * near]))
    for reading, ratio in found["power_ratio"].items():
        assert ratio == pytest.approx(-20 * math.log10(gain), abs=1e-3), reading
    for reading in ("clip", "ema", "ema_debiased"):
        assert found["gamma"][reading] == pytest.approx(1, abs=1e-4)
    for reading, correlation in found["lr_corr"].items():
        assert correlation == pytest.approx(1, abs=1e-5), reading
    # σ(β ln g⁻²) (1 − w), or the floor: the ratio of powers is the same in every bin.
    for log, base in (("ln", math.e), ("log10", 10)):
        gate = 1 / (1 + math.exp(5 * math.log(gain**2, base)))
        mask = max(gate * 0.3, 0.2)
        assert found["mask"][f"clip, {log}"] == pytest.approx(mask, abs=1e-4)
        assert found["at_floor"][f"ema, {log}"] == (1 if mask == 0.2 else 0)


def test_reversed_polarity():
    near = noise(2.0)[0]
    found = clip_figures(np.stack([near, -near]))
    assert found["lr_corr"]["waveform"] == pytest.approx(-1)
    assert found["lr_corr"]["above 200 Hz"] == pytest.approx(-1)
    assert found["lr_corr"]["frame rms"] == pytest.approx(1)
    assert found["gamma"]["clip"] == pytest.approx(1, abs=1e-4)


def test_unrelated_channels(unrelated):
    gamma, lr = unrelated[1]["gamma"], unrelated[1]["lr_corr"]
    # Smoothed: (1 − α)/(1 + α) = 1/19, 2 % more as frames overlap, and 0.01 of the start.
    assert gamma["ema"] == pytest.approx(1.02 / 19 + 0.01, abs=0.003)
    assert gamma["clip"] == pytest.approx(0.0012, abs=0.0003)  # one in 800 independent frames
    assert gamma["mixed"] == pytest.approx(0.0014, abs=0.0004)
    # Less the floor, but not below 0: γ is near exponential, so 1/e of the mean remains.
    assert gamma["ema_debiased"] == pytest.approx(1 / 19 / math.e + 0.01, abs=0.005)
    for reading in ("waveform", "above 200 Hz", "within 10 ms", "frame rms"):
        assert lr[reading] == pytest.approx(0, abs=0.1), reading
    assert abs(lr["waveform"]) < 0.01  # four standard deviations of 160,000 samples
    ratio = unrelated[1]["power_ratio"]
    assert ratio["bins"] == pytest.approx(0, abs=0.05)
    assert ratio["mean"] > 0.2  # the mean of a ratio is above the ratio of the means


def test_a_delay_is_found_within_10_ms_only():
    near = noise()[0]
    found = clip_figures(np.stack([near[80:], near[:-80]]))["lr_corr"]  # far is 5 ms later
    assert abs(found["waveform"]) < 0.01
    assert found["within 10 ms"] == pytest.approx(1, abs=1e-3)
    assert clip_figures(np.stack([near[:-80], near[80:]]))["lr_corr"][
        "within 10 ms"
    ] == pytest.approx(1, abs=1e-3)
    late = clip_figures(np.stack([near[240:], near[:-240]]))["lr_corr"]  # 15 ms
    assert late["within 10 ms"] < 0.05


def test_rumble_below_200_hz_is_left_out_above_200_hz():
    audio = noise()
    t = np.arange(audio.shape[1]) / RATE
    audio += (0.5 * np.sin(2 * np.pi * 60 * t)).astype(np.float32)
    found = clip_figures(audio)["lr_corr"]
    assert found["waveform"] > 0.95
    assert abs(found["above 200 Hz"]) < 0.01
    audio += (0.5 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)
    assert clip_figures(audio)["lr_corr"]["above 200 Hz"] > 0.95


def test_levels_and_spectra_may_agree_where_waveforms_do_not():
    audio = noise()
    t = np.arange(audio.shape[1]) / RATE
    audio *= (1 + 0.9 * np.sin(2 * np.pi * t)).astype(np.float32)
    found = clip_figures(audio)["lr_corr"]
    assert abs(found["waveform"]) < 0.02
    assert found["frame rms"] > 0.95
    assert found["log-mel"] > 0.8  # white noise in both: the mel bands' widths


@pytest.mark.parametrize("gain", [1e-4, 37.0])
def test_a_common_gain_changes_nothing(gain, unrelated):
    audio, expected = unrelated
    found = flat(clip_figures(np.float32(gain) * audio))
    for key, value in flat(expected).items():
        assert found[key] == pytest.approx(value, abs=2e-4), key


@pytest.mark.parametrize("seconds", [1.0, 2.345])
def test_equal_to_inspect_where_both_define_the_same(seconds):
    audio = noise(seconds)
    audio[1] += 0.3 * audio[0]
    audio[0] *= 1.3
    audio[1] += np.float32(0.02)  # a mean
    found, other = clip_figures(audio), clip_statistics(audio)
    assert found["power_ratio"]["waveform"] == other.power_ratio
    assert found["power_ratio"]["frequencies"] == pytest.approx(other.ratio, abs=1e-5)
    assert found["gamma"]["clip"] == pytest.approx(other.coherence, rel=1e-5)
    assert found["mask"]["clip, ln"] == pytest.approx(other.mask, abs=1e-6)
    assert found["at_floor"]["clip, ln"] == pytest.approx(other.at_floor, abs=1e-4)
    assert found["lr_corr"]["waveform"] == other.lr_corr


# ---- recomputed from the report's words


def spectra_of(audio):
    padded = np.pad(audio.astype(np.float64), ((0, 0), (200, 200)), mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    starts = range(0, audio.shape[1] + 1, 160)
    return np.stack([[np.fft.rfft(window * x[s : s + 400]) for s in starts] for x in padded])


def smooth(x):
    out = x.copy()
    for t in range(1, len(x)):
        out[t] = 0.9 * out[t - 1] + 0.1 * x[t]
    return out


def test_every_reading_in_float64():
    audio = noise(1.5, seed=3)
    audio[1] = 0.7 * audio[1] + 0.4 * audio[0]
    audio[0, :8_000] *= 3
    x0, x1 = spectra_of(audio)  # (frames, 201)
    p0, p1, phi = smooth(np.abs(x0) ** 2), smooth(np.abs(x1) ** 2), smooth(x0 * x1.conj())
    welch = [np.mean(v, axis=0) for v in (np.abs(x0) ** 2, np.abs(x1) ** 2, x0 * x1.conj())]
    ema = np.abs(phi) ** 2 / (p0 * p1)
    gammas = {
        "clip": np.broadcast_to(np.abs(welch[2]) ** 2 / (welch[0] * welch[1]), p0.shape),
        "ema": ema,
        "ema_debiased": np.clip((ema - 1 / 19) / (18 / 19), 0, 1),
        "mixed": np.clip(np.abs(welch[2]) ** 2 / (p0 * p1), 0, 1),
    }
    found = clip_figures(audio)
    for coherence, gamma in gammas.items():
        assert found["gamma"][coherence] == pytest.approx(gamma.mean(), rel=1e-4)
        for log in (np.log, np.log10):
            reading = f"{coherence}, {'ln' if log is np.log else 'log10'}"
            gate = 1 / (1 + np.exp(-5 * (log(p0) - log(p1))))
            mask = np.maximum(gate * (1 - 0.7 * gamma), 0.2)
            assert found["mask"][reading] == pytest.approx(mask.mean(), abs=1e-5)
            assert found["at_floor"][reading] == pytest.approx(np.mean(mask == 0.2), abs=2e-4)
    ratio = found["power_ratio"]
    assert ratio["bins"] == pytest.approx(np.mean(10 * np.log10(p0 / p1)), abs=1e-4)
    assert ratio["mean"] == pytest.approx(10 * np.log10(np.mean(p0 / p1)), abs=1e-3)
    by_frequency = np.mean(10 * np.log10(welch[0] / welch[1]))
    assert ratio["frequencies"] == pytest.approx(by_frequency, abs=1e-4)


def test_the_largest_correlation_in_float64():
    audio = noise(1.0, seed=5)
    audio[1, 30:] += 0.5 * audio[0, :-30]
    x, y = (v.astype(np.float64) - v.mean() for v in audio)
    norm = np.sqrt((x @ x) * (y @ y))
    by_lag = [x[: len(x) - k] @ y[k:] / norm for k in range(161)]
    by_lag += [y[: len(x) - k] @ x[k:] / norm for k in range(161)]
    assert clip_figures(audio)["lr_corr"]["within 10 ms"] == pytest.approx(max(by_lag), abs=1e-6)


# ---- clips that have no numbers


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_silent_or_constant_channel_has_no_numbers(value):
    audio = noise(1.0)
    audio[1] = value
    assert all(math.isnan(v) for v in flat(clip_figures(audio)).values())


def test_what_cannot_be_measured_is_named():
    for audio, words in (
        (noise(1.0)[:1], "one: shape"),
        (noise(1.0)[:, :200], "one: 200 samples"),
        (noise(1.0) * np.array([[1], [np.nan]], np.float32), "one: NaN"),
    ):
        with pytest.raises(AudioError, match=words):
            clip_figures(audio, "one")


# ---- files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """fan with 18 clips, one of them silent far; pump with one; test clips that cannot be read."""
    root = tmp_path_factory.mktemp("stereo")
    for i in range(17):
        audio = noise(1.0, seed=i) * np.array([[1.0], [0.5]])
        write(root / "fan" / "train" / f"section_00_source_train_normal_{i:04d}_a.wav", audio)
    silent = noise(1.0, seed=99) * np.array([[1.0], [0.0]])
    write(root / "fan" / "train" / "section_00_target_train_normal_0000_a.wav", silent)
    write(root / "pump" / "train" / "section_00_source_train_normal_0000_a.wav", noise(1.0, 100))
    for machine in ("fan", "pump"):
        (root / machine / "test").mkdir()
        test = root / machine / "test" / "section_00_source_test_normal_0000_a.wav"
        test.write_bytes(b"never opened")
    return root


@pytest.fixture(scope="module")
def measured(folder):
    return measure(nf.Clips.open(folder), Runtime())


def test_machines_in_order_with_their_clips(measured):
    fan, pump = measured.machines
    assert (fan.machine, fan.clips, fan.dead) == ("fan", 18, 1)
    assert (pump.machine, pump.clips, pump.dead) == ("pump", 1, 0)
    assert fan.mean("power_ratio", "waveform") == pytest.approx(20 * math.log10(2), abs=0.1)
    assert fan.figures["gamma"]["ema"].clips == 17
    assert 0 < fan.figures["gamma"]["ema"].sd < 0.02
    assert math.isnan(pump.figures["gamma"]["ema"].sd)


def test_a_machine_is_the_mean_of_its_clips(folder, measured):
    clips = nf.Clips.open(folder, machines=["fan"]).select(split="train", domain="source")
    with one_blas_thread():
        numbers = [flat(clip_figures(c.read())) for c in clips]
    fan = measured.machines[0]
    for quantity, reading in numbers[0]:
        values = [n[quantity, reading] for n in numbers]
        summary = fan.figures[quantity][reading]
        assert summary.mean == pytest.approx(np.mean(values), abs=1e-9)
        assert summary.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


@pytest.mark.slow
def test_workers_change_no_bit_and_progress_is_told(folder, measured):
    told = []
    runtime = Runtime(workers=2, progress=lambda what, done, of: told.append((what, done, of)))
    # nan is not equal to itself, but its text is; floats are written to the last bit
    assert repr(measure(nf.Clips.open(folder), runtime)) == repr(measured)
    assert told[0] == ("stereo statistics", 0, 19)
    assert told[-1] == ("stereo statistics", 19, 19)


def test_the_order_of_channels(folder, measured):
    clips = nf.Clips.open(folder, split="train", machines=["pump"])
    turned = measure(clips, Runtime(), "far-near").machines[0]
    ratio = turned.mean("power_ratio", "bins")
    assert ratio == pytest.approx(-measured.machines[1].mean("power_ratio", "bins"), abs=1e-5)
    with pytest.raises(SettingError):
        measure(clips, Runtime(), "left-right")


def test_a_mono_clip_stops_with_its_name(tmp_path):
    write(tmp_path / "fan" / "a.wav", noise(1.0))
    write(tmp_path / "fan" / "mono.wav", noise(1.0)[:1])
    with pytest.raises(AudioError, match=r"fan/mono\.wav: shape \(1, 16000\)"):
        measure(nf.Clips.open(tmp_path), Runtime())


def test_no_training_clips(folder):
    with pytest.raises(DatasetError, match="no normal training clips"):
        measure(nf.Clips.open(folder, split="test"), Runtime())


def test_to_json_and_back(measured):
    text = json.dumps(measured.to_data(), allow_nan=False)
    assert repr(Statistics.from_data(json.loads(text))) == repr(measured)
    data = json.loads(text)
    del data["machines"][0]["figures"]["gamma"]["mixed"]
    for broken in (data, {}, {"order": "near-far", "machines": [3]}):
        with pytest.raises(FormatError, match="measure them again"):
            Statistics.from_data(broken)


# ---- verdicts


def planted(coherence, log, ratio, correlation, machines=None):
    """Statistics in which some readings are as the report printed them, and no other is."""
    names = load().data.machines if machines is None else machines
    means = dict.fromkeys(names, 0.03)
    means |= {
        name: v for name, v in {"ToyCar": 0.0557, "valveEmu": 0.0043}.items() if name in means
    }
    printed = {(f.quantity, f.machine): f.value for f in load().stereo if f.kind == "mean"}
    right = {"power_ratio": ratio, "gamma": coherence, "lr_corr": correlation}
    made = []
    for name in names:
        figures = {}
        for q in QUANTITIES:
            own = means[name] if q.name == "gamma" else printed.get((q.name, name), 0.5)
            chosen = right.get(q.name, f"{coherence}, {log}")
            figures[q.name] = {
                r: Spread(own if r == chosen else own + 0.1 + 0.9 * (q.unit == "dB"), 0.1, 9)
                for r in q.readings
            }
        made.append(MachineStatistics(name, 9, 0, figures))
    return Statistics(tuple(made), "near-far")


@pytest.mark.parametrize(
    "plan",
    [("clip", "ln", "waveform", "waveform"), ("mixed", "log10", "bins", "log-mel")],
    ids=" ".join,
)
def test_the_planted_reading_is_found(plan):
    coherence, log, ratio, correlation = plan
    made = {t.name: t for t in tables(planted(*plan), reported=True)}
    expected = {
        "stereo-power-ratio": ratio,
        "stereo-gamma": coherence,
        "stereo-mask": f"{coherence}, {log}",
        "stereo-at-floor": f"{coherence}, {log}",
        "stereo-lr-corr": correlation,
    }
    counts = {"stereo-power-ratio": 2, "stereo-gamma": 3, "stereo-mask": 2}
    for name, reading in expected.items():
        found = made[name].data["verdicts"]
        assert len(found) == counts.get(name, 1)
        assert all(v["nearest"] == [reading] == v["as_printed"] for v in found), name
        assert sum(f"**{reading}**" in note for note in made[name].notes) == len(found)
    together = made["stereo-together"]
    assert together.data["nearest"] == f"{coherence}, {log}"
    assert together.data["off_by"][f"{coherence}, {log}"] == pytest.approx(
        0.12
    )  # 0.3 for each γ, of 5
    row = next(r for r in together.rows if r[0] == f"{coherence}, {log}")
    assert row[-2] == "5 of 5"


def figure(value, digits, kind="mean", machine="fan", quantity="lr_corr"):
    return StereoFigure(quantity, machine, kind, value, digits, "1", "§0")


def test_printed_alike_is_half_a_digit():
    statistics = planted("clip", "ln", "waveform", "waveform")
    fan = next(m for m in statistics.machines if m.machine == "fan")
    ours = (0.8649, 0.8551, 0.866, 0.8601, math.nan)
    values = zip(fan.figures["lr_corr"], (Spread(v, 0, 9) for v in ours), strict=True)
    fan = replace(fan, figures={**fan.figures, "lr_corr": dict(values)})
    found = verdict(figure(0.86, 2), Statistics((fan,), "near-far"))
    assert found.as_printed == ("waveform", "above 200 Hz", "frame rms")
    assert found.nearest == ("frame rms",)
    assert "log-mel" not in found.values
    assert found.text(4) == (
        "LR correlation of fan, 0.86 in the report: frame rms 0.8601; waveform 0.8649; "
        "above 200 Hz 0.8551; within 10 ms 0.8660 → **frame rms** (off by 0.0001); "
        "printed alike: waveform / above 200 Hz."
    )


def test_all_machines_are_needed_for_a_lowest_or_highest():
    some = planted("clip", "ln", "bins", "waveform", machines=("ToyCar", "fan", "drone"))
    gamma = next(t for t in tables(some, reported=True) if t.name == "stereo-gamma")
    assert all(v["ours"] == {} and v["nearest"] == [] for v in gamma.data["verdicts"])
    assert sum("not all of the report's machines" in note for note in gamma.notes) == 3
    none = planted("clip", "ln", "bins", "waveform", machines=("drone",))
    assert "stereo-together" not in {t.name for t in tables(none, reported=True)}


def test_other_machines_do_not_count_as_highest():
    names = (*load().data.machines, "drone")
    statistics = planted("clip", "ln", "bins", "waveform", machines=names)
    loud = statistics.machines[-1].figures
    loud = {**loud, "gamma": dict.fromkeys(loud["gamma"], Spread(0.9, 0, 9))}
    machines = (*statistics.machines[:-1], replace(statistics.machines[-1], figures=loud))
    highest = next(f for f in load().stereo if f.kind == "highest")
    found = verdict(highest, Statistics(machines, "near-far"))
    assert found.values["clip"] == pytest.approx(0.0557)


def test_simulated_clips_have_no_report_beside_them(measured):
    made = tables(measured, reported=False)
    assert [t.name for t in made] == [f"stereo-{q.name.replace('_', '-')}" for q in QUANTITIES]
    for one, quantity in zip(made, QUANTITIES, strict=True):
        assert tuple(one.columns) == ("machine", "clips", *quantity.readings)
        assert all(len(row) == len(one.columns) for row in one.rows)
        text = one.markdown() + json.dumps(one.to_data(), allow_nan=False)
        assert "in the report" not in text
        assert "verdict" not in text
        assert any("fan: 1 of 18 clips have a silent" in note for note in one.notes)


def test_tables_of_the_report_have_their_columns():
    made = tables(planted("clip", "ln", "bins", "waveform"), reported=True)
    for one in made:
        assert all(len(row) == len(one.columns) for row in one.rows), one.name
        json.dumps(one.to_data(), allow_nan=False)
    power = made[0]
    assert power.columns[-1] == "report"
    assert {row[0]: row[-1] for row in power.rows}["ToyCar"] == "21"
    assert {row[0]: row[-1] for row in power.rows}["fan"] == "−0.6"
