"""What `inspect` says of clips made to order."""

import json
import math
import warnings

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write, write_machine
from nearfar.clips import Clips
from nearfar.detector.fitting import suspects
from nearfar.errors import AudioError, SettingError
from nearfar.health.inspect import clip_statistics, inspect_clips
from nearfar.health.suspects import KINDS


def noise(seconds=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return (0.05 * rng.standard_normal((2, round(seconds * 16_000)))).astype(np.float32)


@pytest.fixture
def mixed(tmp_path):
    """Two machines, with one clip of every ill."""
    good = noise(seed=1)
    write(tmp_path / "fan" / "a.wav", good)
    write(tmp_path / "fan" / "b.wav", noise(3.0, seed=2))
    write(tmp_path / "fan" / "same.wav", good[[0, 0]])
    write(tmp_path / "fan" / "silent.wav", good * np.array([[1], [0]]))
    write(tmp_path / "fan" / "mono.wav", good[:1])
    (tmp_path / "fan" / "empty.wav").write_bytes(b"")
    bad = good.copy()
    bad[0, 5] = np.nan
    write(tmp_path / "fan" / "nan.wav", bad, subtype="FLOAT")
    (tmp_path / "pump").mkdir()
    (tmp_path / "pump" / "text.wav").write_text("no sound")
    return nf.Clips.open(tmp_path)


def test_everything_is_counted_and_nothing_stops(mixed):
    report = inspect_clips(mixed)
    fan, pump = report.machines
    assert (fan.machine, fan.clips, fan.broken) == ("fan", 5, 2)
    assert (fan.mono, fan.dead, fan.identical) == (1, 1, 1)
    assert fan.seconds == (2.0, 3.0)
    assert (pump.machine, pump.clips, pump.broken, pump.mean) == ("pump", 0, 1, None)
    assert sorted(name.rsplit("/", 1)[1] for name, _ in report.broken) == [
        "empty.wav", "nan.wav", "text.wav",
    ]  # fmt: skip


def test_the_text_is_an_aligned_table(mixed):
    lines = str(inspect_clips(mixed)).splitlines()
    header, fan, pump = lines[:3]
    assert len(header) == len(fan) == len(pump)
    assert header.startswith("machine")
    assert "3 clips cannot be used:" in lines
    assert sum("nan.wav" in line for line in lines) == 1


def test_levels_and_ratio_are_those_of_the_sound():
    audio = noise(10.0) * np.array([[1.0], [0.1]], np.float32)
    found = clip_statistics(audio)
    assert found.near_level == pytest.approx(20 * math.log10(0.05), abs=0.1)
    assert found.near_level - found.far_level == pytest.approx(20, abs=0.1)
    assert found.ratio == pytest.approx(20, abs=0.1)
    assert found.power_ratio == pytest.approx(20, abs=0.1)
    assert found.lr_corr == pytest.approx(0, abs=0.02)
    assert found.coherence < 0.002
    assert found.mask > 0.99
    assert found.at_floor < 1e-3  # a chance dip of one bin
    assert found.clipping == 0
    assert not found.dead
    assert not found.identical


def test_the_two_ratios_differ_where_a_band_is_loud():
    audio = noise(5.0)
    audio[0] += np.sin(np.arange(audio.shape[1]) * 0.5).astype(np.float32)
    found = clip_statistics(audio)
    assert found.power_ratio > 20  # the tone's
    assert found.ratio < 3  # three bins of 201


def test_identical_channels():
    audio = noise()[[0, 0]]
    found = clip_statistics(audio)
    assert found.identical
    assert found.at_floor > 0.99
    assert found.mask == pytest.approx(0.2, abs=1e-3)
    assert found.coherence == pytest.approx(1, abs=1e-4)
    assert found.ratio == pytest.approx(0, abs=1e-9)


def test_clipping_is_a_share_of_samples():
    audio = noise()
    audio[1, :3_200] = 1.0
    assert clip_statistics(audio).clipping == pytest.approx(0.1)


def test_a_silent_channel_has_no_ratio():
    audio = noise()
    audio[1] = 0
    found = clip_statistics(audio)
    assert found.dead
    assert found.far_level == -math.inf
    assert math.isnan(found.ratio)
    assert math.isnan(found.lr_corr)


def test_what_cannot_be_looked_at():
    with pytest.raises(AudioError, match="NaN"):
        clip_statistics(np.full((2, 16_000), np.nan, np.float32))
    with pytest.raises(AudioError, match="shape"):
        clip_statistics(np.zeros((2, 100), np.float32))


def test_the_order_is_obeyed(tmp_path):
    write(tmp_path / "fan" / "a.wav", noise() * np.array([[0.1], [1.0]]))
    clips = nf.Clips.open(tmp_path / "fan")
    (turned,) = inspect_clips(clips, order="far-near").machines
    assert turned.mean.ratio == pytest.approx(20, abs=0.3)
    with pytest.raises(SettingError):
        inspect_clips(clips, order="left-right")


def test_real_recordings(shared):
    clips = nf.Clips.open(shared / "real", machines=["fanArray"])
    report = inspect_clips(clips[:10])
    assert not report.broken
    assert report.machines[0].clips == 10
    assert report.machines[0].mean.lr_corr > 0.5  # two microphones of one array


# ---- what fit would name -----------------------------------------------------------------------


def press(root, count=12, wrong=(), change=lambda x: x):
    """Clips of one machine; those with a wrong place are changed."""
    rng = np.random.default_rng(3)
    for i in range(count):
        near = 0.1 * rng.standard_normal(16_000)
        audio = np.stack([near, 0.3 * near + 0.02 * rng.standard_normal(16_000)])
        write(root / "press" / f"c{i:02d}.wav", change(audio) if i in wrong else audio)
    return nf.Clips.open(root / "press")


def steps(audio):
    """Far of −1, 0 and 1 of 16 bits."""
    return np.stack([audio[0], np.sign(audio[1]) * (np.abs(audio[1]) > 0.02) / 32_768])


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("ratio", lambda x: x[::-1]),
        ("far floor", steps),
        ("twice", lambda x: np.stack([x[0], x[0] / 2])),
        ("length", lambda x: x[:, :8000]),
    ],
)
def test_suspects_are_named_beside_the_means(kind, change, tmp_path):
    report = inspect_clips(press(tmp_path, wrong={3, 7}, change=change))
    named = {s.clip.path.name for s in report.suspects if s.kind == kind}
    assert named == {"c03.wav", "c07.wav"}
    assert any("2 of 12 clips" in line and "c03.wav" in line for line in str(report).splitlines())


def dither(audio):
    """Far is near, and a count of noise of its own."""
    counts = np.random.default_rng(0).integers(-1, 2, audio.shape[1])
    return np.stack([audio[0], audio[0] + counts / 32_768])


@pytest.mark.parametrize(
    ("kind", "change"),
    [("ratio", lambda x: x[::-1]), ("far floor", steps), ("twice", dither), (None, None)],
)
def test_a_fit_names_what_inspect_names(kind, change, tmp_path):
    """One judgement; a clean set gives neither of them a line."""
    clips = press(tmp_path, wrong={3, 7} if kind else (), change=change)
    wanted = {(s.kind, s.clip.path.name) for s in inspect_clips(clips).suspects}
    assert {name for _, name in wanted} == ({"c03.wav", "c07.wav"} if kind else set())
    assert kind is None or (kind, "c03.wav") in wanted
    found = {(s.kind, s.clip.path.name) for s in suspects(nf.s4(), clips)}
    assert {one for one in found if one[0] != "score"} == wanted  # a score needs a system
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        nf.fit(nf.s4(), clips)
    lines = [str(w.message) for w in said]
    if kind is None:
        assert lines == []
    else:
        assert any("2 of 12 clips" in line and "c03.wav" in line for line in lines)


def test_clean_clips_give_no_line(tmp_path):
    report = inspect_clips(press(tmp_path))
    assert report.suspects == report.refused == report.lags == ()
    assert "clips" not in str(report).splitlines()[-1].replace("Means over clips", "")


def test_a_channel_is_dead_by_its_level_too(tmp_path):
    report = inspect_clips(press(tmp_path, wrong=range(12), change=steps))
    assert report.machines[0].dead == 12
    assert "the far microphone is at the noise floor" in str(report)


def test_copies_up_to_gain_count_as_identical(tmp_path):
    report = inspect_clips(press(tmp_path, 4, range(4), lambda x: np.stack([x[0], x[0] / 2])))
    assert report.machines[0].identical == 4


def test_what_only_a_fit_refuses_is_listed(tmp_path):
    clips = press(tmp_path, 3)
    write(tmp_path / "press" / "short.wav", noise(0.05))
    report = inspect_clips(nf.Clips.open(tmp_path / "press"))
    ((name, reason),) = report.refused
    assert name.endswith("short.wav")
    assert "need at least" in reason
    assert "1 clip would be refused by fit:" in str(report)
    assert len(clips) == 3


def two_recorders(root, late, seconds=8):
    """Far begins later than near by so many samples; where they end together it is shorter."""
    rng = np.random.default_rng(1)
    sound = 0.1 * rng.standard_normal(seconds * 16_000)
    write(root / "r_near.wav", sound[None, : 8 * 16_000])
    write(root / "r_far.wav", 0.3 * sound[None, late : late + 8 * 16_000])
    return nf.Clips.open(root, machine="press")


def test_two_recorders_are_looked_at_as_far_as_both_go(tmp_path):
    report = inspect_clips(two_recorders(tmp_path, 8000))
    ((_, lag),) = report.lags
    assert lag.ms == pytest.approx(-500, abs=0.5)
    assert [s.kind for s in report.suspects] == ["lag"]
    assert len(report.refused) == 1  # for its length, as fit would
    assert "-500.0 ms" in str(report)
    assert not report.broken


def test_of_two_recorders_the_files_own_rate_and_flat_tops_are_told(tmp_path):
    """Also where they did not stop together: nine pairs at 48 kHz that clip, one far is shorter."""
    rng, n = np.random.default_rng(2), 48_000
    for i in range(10):
        near, far = 0.5 * rng.standard_normal((2, n))
        near = np.clip(near, -0.6, 0.6) if i == 3 else near / 4
        write(tmp_path / f"{i}_near.wav", near[None], 48_000)
        write(tmp_path / f"{i}_far.wav", far[None, : n - 4_800 * (i == 3)] / 4, 48_000)
    report = inspect_clips(nf.Clips.open(tmp_path, machine="press"))
    assert [name.rsplit("/")[-1] for name, _ in report.refused] == ["3_near.wav"]
    found = {(s.clip.path.name, s.kind) for s in report.suspects}
    assert ("3_near.wav", "clipped") in found
    assert "rate" not in {kind for _, kind in found}


@pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")  # of what is salvaged
@pytest.mark.parametrize("salvage", [True, False])
def test_what_a_damaged_file_of_a_pair_still_has_is_looked_at_where_that_is_asked_for(
    salvage, tmp_path
):
    rng = np.random.default_rng(2)
    for name in ("near", "far"):
        write(tmp_path / f"r_{name}.wav", 0.1 * rng.standard_normal((1, 48_000)))
    far = tmp_path / "r_far.wav"
    far.write_bytes(far.read_bytes()[:-20_000])
    clips = nf.Clips([nf.Clip(tmp_path / "r_near.wav", far=far, machine="press", salvage=salvage)])
    report = inspect_clips(clips)
    # Without its end it is shorter than the other: no fit would take it, but one can look.
    assert (len(report.refused), len(report.broken)) == ((1, 0) if salvage else (0, 1))
    assert report.machines[0].clips == salvage


def test_a_fit_warns_of_recorders_that_began_apart(tmp_path):
    """By more than 30 ms, which sound needs for 10 m; half of that is said by none."""
    for late, named in ((0, False), (240, False), (960, True)):
        two_recorders(tmp_path, late, seconds=9)
        clips = nf.Clips.open(tmp_path, machine="press", clip_seconds=1)
        assert {s.kind == "lag" for s in suspects(nf.s4(), clips)} <= {named}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            nf.fit(nf.s4(), clips)
        assert any("-60 ms" in str(w.message) for w in said) == named, late


def test_the_clipped_share_is_that_of_the_file(monkeypatch, tmp_path):
    """Resampled, a flat top is none: 16 % were left of 53."""
    from nearfar.clips import Clip
    from nearfar.sound.recorded import Recorded

    clips = press(tmp_path, 1)
    plain = Clip.read_recorded
    monkeypatch.setattr(
        Clip, "read_recorded", lambda c, o: (plain(c, o)[0], Recorded(48_000, clipped=(0.5, 0.2)))
    )
    report = inspect_clips(clips)
    assert report.machines[0].mean.clipping == 0.5
    assert [s.kind for s in report.suspects] == ["clipped"]


def test_as_data_it_is_json(mixed):
    whole = inspect_clips(mixed).as_dict()
    again = json.loads(json.dumps(whole, allow_nan=False))
    assert again["schema"] == 1
    assert [m["machine"] for m in again["machines"]] == ["fan", "pump"]
    assert {b["clip"].rsplit("/")[-1] for b in again["broken"]} == {
        "empty.wav", "nan.wav", "text.wav",
    }  # fmt: skip
    assert {s["kind"] for s in again["suspects"]} <= set(KINDS)


def test_a_narrow_table_is_turned(tmp_path):
    write(tmp_path / "pump" / "two.wav", machine_sound(np.random.default_rng(1)))
    found = inspect_clips(Clips.open(tmp_path / "pump"))
    assert max(map(len, found.text(60).partition("ratio:")[0].split("\n"))) <= 60


def test_a_mono_clip_among_others_is_named_and_is_no_yardstick(tmp_path):
    clips = press(tmp_path, wrong={5}, change=lambda x: x[:1])
    report = inspect_clips(clips)
    ((name, why),) = report.refused
    assert name.endswith("c05.wav")
    assert "mono" in why
    assert "would be refused by fit" in str(report)
    assert "c05.wav" in str(report)
    # A machine of mono clips alone is for systems that take them.
    alone = press(tmp_path / "alone", wrong=range(12), change=lambda x: x[:1])
    assert inspect_clips(alone).refused == ()


def test_what_inspect_calls_refused_is_what_a_fit_cannot_take(mixed):
    """A dead microphone too, however else it is counted."""
    report = inspect_clips(mixed)
    ours = {name for name, _ in report.broken} | {name for name, _ in report.refused}
    fans = [clip for clip in mixed if clip.machine == "fan"]
    with pytest.raises(AudioError) as stopped:
        nf.fit(nf.s4(), fans)
    told = " ".join(stopped.value.faults)
    assert {clip.name for clip in fans if clip.path.name in told} == {
        name for name in ours if name.split("/")[-2] == "fan"
    }


def test_a_near_microphone_that_hears_less_than_far_is_said(tmp_path):
    for name, near in (("loud", 1.0), ("even", 0.8), ("quiet", 0.5)):
        write(tmp_path / name / "a.wav", noise() * np.array([[near], [1.0]]))
    told = [line for line in str(inspect_clips(nf.Clips.open(tmp_path))).splitlines()
            if "--channel-order" in line]  # fmt: skip
    assert [line.split(" is 6.")[0] for line in told] == ["quiet: near"]


def test_inspect_counts_as_a_fit_does(tmp_path):
    clips = press(tmp_path, wrong={3}, change=lambda x: x[::-1])
    (tmp_path / "press" / "empty.wav").write_bytes(b"")
    clips = nf.Clips.open(tmp_path / "press")
    assert "press: 1 of 12 clips: near over far" in str(inspect_clips(clips))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        nf.fit(nf.s4(), clips, skip_bad=True)
    assert any("press: 1 of 12 clips: near over far" in str(w.message) for w in said)


def test_clips_that_stand_out_are_counted_among_those_that_are_judged(tmp_path, run):
    write_machine(tmp_path, "fan", 1, source=10, target=3, test=2)
    bad = tmp_path / "fan/train/section_00_source_train_normal_0004_noAttribute.wav"
    write(bad, nf.Clip(bad).read()[[0, 0]])
    line = "fan: 1 of 13 clips: both channels are one"  # and eight test clips
    assert line in run("inspect", tmp_path)[1]
    assert line in run("check", tmp_path, "--no-cache", "--workers", 1)[1]
