"""`Detector.explain`: whatever the clip and the system are, an explanation that adds up."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import RATE, TINY, first_quick, machine_sound, refused, write
from nearfar.detector.explanation import explaining
from nearfar.errors import AudioError, DatasetError, SettingError, WeightsError


@pytest.fixture(scope="module")
def s4(detector_folder):
    return nf.load(detector_folder)


@pytest.fixture
def clips(dcase):
    return [c for c in nf.Clips.open(dcase, split="test") if c.machine == "fan"]


def anomaly(clips):
    return next(c for c in clips if c.label == "anomaly")


def adds_up(told):
    """What must hold of any explanation with a score."""
    assert sum(s.part for s in told.shares) == pytest.approx(told.verdict.score, abs=1e-9)
    assert sum(s.share for s in told.shares) == pytest.approx(1)
    if told.movements:
        for taken_apart in (told.movements, told.themes):
            parts = sum(one.contribution for one in taken_apart)
            assert parts == pytest.approx(told.squared, rel=1e-9)
    assert told.neighbours[0].name == told.verdict.nearest
    distances = [n.distance for n in told.neighbours]
    assert distances == sorted(distances)
    assert bool(told.missing) == (told.normal is None)
    assert told.why
    data = json.loads(json.dumps(told.as_dict(), allow_nan=False))
    assert data["verdict"] == told.verdict.as_dict()
    assert data["schema"] == 1


def test_every_test_clip_is_explained_as_it_is_scored(s4, clips):
    for verdict in s4.score(clips):
        told = s4.explain(verdict.clip)
        assert told.verdict == verdict
        adds_up(told)
        # One neighbour of an only system: the score is the distance that is taken apart.
        assert told.squared == pytest.approx(verdict.score**2, rel=1e-9)
        assert told.normal is not None
        assert told.regions is None


def test_an_anomaly_is_explained_by_what_was_done_to_it(s4, clips):
    """A whistle at 3.1 kHz, near only, and ten clicks a second."""
    told = s4.explain(anomaly(clips))
    bands = [theme.band for theme in told.themes[:4] if theme.band]
    assert any(low <= 3100 < high for low, high in bands)
    assert "rose" in told.why
    assert told.why.startswith(told.themes[0].sentence)


def test_sounds_are_the_clips_own(s4, clips):
    clip = clips[0]
    told, audio = s4.explain(clip), clip.read()
    np.testing.assert_array_equal(told.near, audio[0])
    np.testing.assert_array_equal(told.far, audio[1])
    assert told.near.dtype == told.normal.far.dtype == np.float32
    assert told.heard is told.normal.heard is None  # both microphones as they are
    normal = nf.Clip(told.neighbours[0].path).read()
    np.testing.assert_array_equal(told.normal.near, normal[0])


def test_alone_or_among_others_and_loaded_late_it_is_the_same(
    s4, clips, detector_folder, dcase, tmp_path
):
    clip = clips[2]
    want = s4.explain(clip).as_dict()
    late = nf.load(detector_folder, late=True)
    for other in clips:
        late.explain(other)
    late.score(nf.Clips.open(dcase, split="test"))
    assert late.explain(clip).as_dict() == want
    cached = nf.Runtime(cache=tmp_path)
    assert [late.explain(clip, cached).as_dict() for _ in range(2)] == [want] * 2


def test_a_clip_that_it_was_fitted_on_is_told_so(s4, dcase):
    told = s4.explain(nf.Clips.open(dcase, split="train")[0])
    assert told.verdict.score == told.squared == 0
    assert "this very recording" in told.why
    adds_up(told)


def test_a_recording_in_memory_is_explained_like_a_file(s4, clips):
    clip = anomaly(clips)
    from_file, array = s4.explain(clip), s4.explain(clip.read(), sr=RATE, machine="fan")
    assert [m.movement for m in array.movements] == [m.movement for m in from_file.movements]
    assert array.normal is None
    assert "normals=FOLDER" in array.missing
    adds_up(array)


def test_normal_clips_that_were_moved_are_found_where_one_says(s4, dcase, tmp_path):
    clip = nf.Clips.open(dcase, split="test")[0]
    alone = replace(clip, path=Path(shutil.copy(clip.path, tmp_path / clip.path.name)))
    told = s4.explain(alone, machine="fan")
    assert told.normal is None
    assert all(n.path is None for n in told.neighbours)
    assert told.neighbours[0].name in told.missing
    moved = tmp_path / "old"
    shutil.copytree(dcase / "fan" / "train", moved / "fan" / "train")
    there = s4.explain(alone, machine="fan", normals=moved)
    assert there.neighbours[0].path.is_relative_to(moved)
    assert there.missing == ""
    assert [n.name for n in there.neighbours] == [n.name for n in told.neighbours]


# ---- clips that cannot be judged ---------------------------------------------------------------

SOUND = machine_sound(np.random.default_rng(3))
UNFIT = {
    "silent": (0 * SOUND, "digitally silent", True),
    "mono": (SOUND[:1], "1 channel, need 2", True),
    "short": (SOUND[:, :8000], "0.500 s, need at least 1 s", True),
    "nan": (np.where(SOUND > 0, np.nan, SOUND).astype(np.float32), "NaN", False),
}


@pytest.mark.parametrize("kind", UNFIT)
@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "array"])
def test_what_cannot_be_judged_is_told_why_and_has_no_score(s4, tmp_path, kind, in_memory):
    audio, words, plays = UNFIT[kind]
    if in_memory:
        told = s4.explain(audio, sr=RATE, machine="fan")
    else:
        path = write(tmp_path / "fan" / f"{kind}.wav", audio, subtype="FLOAT")
        told = s4.explain(nf.Clip(path, machine="fan"))
    assert not told.verdict.judged
    assert told.verdict.anomalous is False
    assert words in told.why
    assert told.why.startswith("not judged: ")
    assert told.sensor == (told.verdict.warning,)
    assert (told.tracks is not None) == plays
    assert told.shares == told.neighbours == told.movements == ()
    data = json.loads(json.dumps(told.as_dict(), allow_nan=False))
    assert data["verdict"]["score"] is data["squared"] is data["regions"] is None


def test_a_file_that_is_gone_cannot_be_judged(s4, tmp_path):
    told = s4.explain(nf.Clip(tmp_path / "gone.wav", machine="fan"))
    assert "no such file" in told.why
    assert told.tracks is None


def test_a_file_that_goes_away_while_it_is_explained_is_not_judged(s4, clips, monkeypatch):
    monkeypatch.setattr(explaining, "sound_of", lambda clip, order: None)
    assert s4.explain(clips[0]).why == "not judged: cannot be read again"


def test_wrong_calls_are_errors_in_one_line(s4, clips, tmp_path):
    refused(lambda: s4.explain(replace(clips[0], machine="fna")), "did you mean 'fan'?",
            error=DatasetError)  # fmt: skip
    refused(lambda: s4.explain(clips[0], machine="fan", section="07"), "no section")
    for several in (clips, [clips[0]], "a.wav", Path("a.wav"), ["a.wav"], None, 3):
        refused(lambda several=several: s4.explain(several), "one clip", error=DatasetError)
    refused(lambda: s4.explain(SOUND), "sample rate", error=SettingError)
    refused(lambda: s4.explain(clips[0], sr=16_000), "sr is for arrays", error=SettingError)
    refused(lambda: s4.explain(SOUND, sr=16_000), "which machine?", error=DatasetError)
    refused(lambda: s4.explain(SOUND, sr=3, machine="fan"), "sample rate 3", error=AudioError)
    gone = tmp_path / "gone"
    refused(lambda: s4.explain(clips[0], normals=gone), str(gone), error=DatasetError)


# ---- other systems -------------------------------------------------------------------------------


def fit(system, dcase, machine="fan"):
    return nf.fit(system, nf.Clips.open(dcase, split="train", machines=[machine]))


def test_a_system_of_one_channel_explains_mono_and_stereo(dcase, clips, tmp_path):
    floor = fit(nf.logmel(), dcase)
    told = floor.explain(anomaly(clips))
    adds_up(told)
    assert told.movements == ()
    assert np.isnan(told.squared)
    assert told.regions.where in told.why
    path = write(tmp_path / "fan" / "mono.wav", anomaly(clips).read()[0])
    mono = floor.explain(nf.Clip(path, machine="fan"), normals=dcase)
    adds_up(mono)
    assert mono.far is None
    assert mono.normal is not None


def eat(pooling="mean"):
    return nf.EAT(str(TINY), pooling=pooling)


def fused():
    """System 3 with a small encoder, as its preset has it."""
    return nf.s3(str(TINY))


def seeds():
    """System 2's form: four encoders behind the mask, z-scored."""
    one = nf.System(
        nf.CoherenceMask(), nf.Crops(eat(), n=2), nf.KNN(), calibration=nf.ZScore(clips="all"),
        self_scores="loo",
    )  # fmt: skip
    return nf.Ensemble((one, replace(one, embedder=nf.Crops(eat(), n=2, seed=1))))


@pytest.mark.parametrize("make", first_quick([fused, seeds]))
def test_an_ensemble_shares_its_score(make, dcase, clips):
    pytest.importorskip("torch")
    fitted = fit(make(), dcase)
    told = fitted.explain(anomaly(clips))
    adds_up(told)
    assert len(told.shares) == 2
    assert len({s.name for s in told.shares}) == 2
    assert told.regions.member in {s.name for s in told.shares}
    assert told.regions.fall.any()
    if make is fused:
        assert told.moved == told.member == told.shares[0].name
        assert told.regions.member == told.shares[1].name
        assert told.squared == pytest.approx(told.neighbours[0].distance ** 2, rel=1e-9)
    else:
        # Through the mask: that is what it heard, and its nearest clip is heard so too.
        assert not np.array_equal(told.heard, told.near)
        assert not np.array_equal(told.normal.heard, told.normal.near)


def test_without_its_weights_it_is_the_usual_error(dcase, clips, tmp_path):
    pytest.importorskip("torch")
    place = tmp_path / "eat"
    shutil.copytree(TINY, place)
    one = nf.System(nf.Near(), nf.EAT(str(place), pooling="mean"), nf.KNN())
    fit(one, dcase).save(tmp_path / "detector")
    shutil.rmtree(place)
    gone = nf.load(tmp_path / "detector")
    refused(lambda: gone.explain(clips[0]), "--weights", error=WeightsError)


def test_sections_have_banks_of_their_own(tmp_path):
    rng = np.random.default_rng(5)
    for section in ("00", "01"):
        for n in range(6):
            name = f"section_{section}_source_train_normal_{n:04d}_noAttribute.wav"
            write(tmp_path / "fan/train" / name, machine_sound(rng))
    write(tmp_path / "fan/test/section_01_source_test_normal_0000_x.wav", machine_sound(rng))
    fitted = nf.fit(nf.s4(), nf.Clips.open(tmp_path, split="train"))
    told = fitted.explain(nf.Clips.open(tmp_path, split="test")[0])
    adds_up(told)
    assert all("section_01" in n.name for n in told.neighbours)
    assert "section_01" in told.neighbours[0].path.name


def test_by_domain_and_by_rate_the_threshold_is_the_verdicts(s4, clips):
    strict = s4.with_false_alarm_rate(0.3).with_threshold_by_domain()
    for clip in clips[::4]:
        assert strict.explain(clip).verdict == strict.score([clip])[0]
