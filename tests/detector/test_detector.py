"""Fit, score, save, load: the laws of a detector."""

import contextlib
import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nearfar as nf
from conftest import RATE, machine_sound, write
from nearfar.detector.folder.formats import FORMAT
from nearfar.sound.audio import read
from nearfar.sound.look import look


@pytest.fixture(scope="module")
def train(dcase):
    return nf.Clips.open(dcase, split="train")


@pytest.fixture(scope="module")
def test_clips(dcase):
    return nf.Clips.open(dcase, split="test")


@pytest.fixture(scope="module")
def detector(train):
    return nf.fit(nf.s4(), train)


@pytest.fixture(scope="module")
def scores(detector, test_clips):
    return detector.score(test_clips)


def test_an_anomaly_scores_higher(scores):
    by_label = {
        label: [v.score for v in scores if v.clip.label == label] for label in ("normal", "anomaly")
    }
    assert min(by_label["anomaly"]) > max(by_label["normal"])
    assert all(v.anomalous for v in scores if v.clip.label == "anomaly")


def test_verdicts_keep_the_order_asked(scores, test_clips, detector):
    assert [v.clip for v in scores] == list(test_clips)
    turned = detector.score(test_clips[::-1])
    assert list(turned) == list(scores)[::-1]


def test_one_clip_alone_scores_as_among_others(scores, test_clips, detector):
    for clip, verdict in zip(test_clips, scores, strict=True):
        assert detector.score(nf.Clips([clip]))[0] == verdict


def test_order_of_training_clips_does_not_matter(train, test_clips, scores):
    shuffled = nf.Clips(np.random.default_rng(0).permutation(np.array(list(train), dtype=object)))
    assert nf.fit(nf.s4(), shuffled).score(test_clips) == scores


@pytest.mark.slow
def test_workers_and_cache_do_not_matter(train, test_clips, scores, tmp_path):
    runtime = nf.Runtime(workers=2, cache=tmp_path)
    many = nf.Clips([*train, *train])  # more than one job, and copies
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        one = nf.fit(nf.s4(), many)
        two = nf.fit(nf.s4(), many, runtime)
        again = nf.fit(nf.s4(), many, runtime)
    wanted = one.score(test_clips)
    assert two.score(test_clips, runtime) == wanted
    assert again.score(test_clips) == wanted


def test_saved_and_loaded_scores_the_same(detector, test_clips, scores, tmp_path):
    detector.save(tmp_path / "d")
    loaded = nf.load(tmp_path / "d")
    assert loaded.score(test_clips) == scores
    assert loaded.system == detector.system
    loaded.save(tmp_path / "e")
    names = [sorted(p.name for p in (tmp_path / x).iterdir()) for x in "de"]
    assert names[0] == names[1]
    for name in names[0]:
        assert (tmp_path / "d" / name).read_bytes() == (tmp_path / "e" / name).read_bytes()


def test_an_array_scores_like_its_file(detector, test_clips, scores):
    for clip, verdict in list(zip(test_clips, scores, strict=True))[::5]:
        one = detector.score(read(clip.path), sr=RATE, machine=clip.machine)
        assert (one[0].score, one[0].nearest) == (verdict.score, verdict.nearest)
        integers = np.round(read(clip.path) * 32768).astype(np.int16)
        assert detector.score(integers, sr=RATE, machine=clip.machine)[0].score == verdict.score


def test_what_was_read_and_looked_at_already_gets_the_same_verdict(detector, test_clips, scores):
    for clip, verdict in zip(test_clips[:3], scores[:3], strict=True):
        audio, recorded = clip.read_recorded(detector.order)
        assert detector.judge_audio(clip, audio, look(audio, recorded)) == verdict


def test_an_array_at_another_rate_scores_like_a_file_at_that_rate(detector, tmp_path):
    fast = np.repeat(machine_sound(np.random.default_rng(5), 2.0), 3, axis=1)
    path = write(tmp_path / "fast.wav", fast, rate=48_000, subtype="FLOAT")
    file = detector.score(nf.Clips.open(path), machine="fan")[0]
    assert detector.score(fast, sr=48_000, machine="fan")[0].score == file.score
    assert detector.score(fast, sr=RATE, machine="fan")[0].score != file.score


def test_an_array_needs_rate_and_machine(detector):
    audio = machine_sound(np.random.default_rng(0))
    with pytest.raises(nf.NearfarError, match="sample rate"):
        detector.score(audio)
    with pytest.raises(nf.NearfarError, match="fan, pump"):
        detector.score(audio, sr=RATE)
    with pytest.raises(nf.NearfarError, match="unknown machine 'fam'; did you mean 'fan'"):
        detector.score(audio, sr=RATE, machine="fam")


def test_clips_need_no_rate(detector, test_clips):
    with pytest.raises(nf.NearfarError, match="sr is for arrays"):
        detector.score(test_clips, sr=RATE)


def test_swapped_files_and_swapped_order_cancel(train, test_clips, scores, tmp_path):
    def swap(clips):
        swapped = []
        for clip in clips:
            path = tmp_path / clip.machine / clip.split / clip.path.name
            write(path, read(clip.path)[::-1])
            swapped.append(replace(clip, path=path))
        return nf.Clips(swapped)

    detector = nf.fit(nf.s4(), swap(train), order="far-near")
    assert np.array_equal(detector.score(swap(test_clips)).values, scores.values)
    detector.save(tmp_path / "d")
    assert nf.load(tmp_path / "d").order == "far-near"


def test_swapped_microphones_are_doubted(detector, test_clips, scores):
    assert not any(v.warning for v in scores)
    turned = detector.score(read(test_clips[0].path)[::-1], sr=RATE, machine="fan")
    assert "swapped or moved" in turned[0].warning


def test_identical_channels_are_doubted(detector, test_clips, tmp_path):
    audio = read(test_clips[0].path)[[0, 0]]
    assert "identical" in detector.score(audio, sr=RATE, machine="fan")[0].warning


def test_identical_channels_in_training_are_warned_about(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / f"{i}.wav", machine_sound(rng)[[0, 0]])
    with pytest.warns(nf.NearfarWarning, match="identical"):
        nf.fit(nf.System(frontend=nf.Stereo(), embedder=nf.DIF()), nf.Clips.open(tmp_path))


def test_the_threshold_changes_without_fitting(detector, train):
    loose, strict = detector.with_false_alarm_rate(0.5), detector.with_false_alarm_rate(0.1)
    for rate, d in ((0.5, loose), (0.1, strict)):
        own = d.sections["fan", "00"].members[0].self_scores
        assert (own > d.threshold("fan").value).mean() <= rate
    assert loose.threshold("fan").value < strict.threshold("fan").value
    with pytest.raises(nf.NearfarError, match="above 0 and below 1"):
        detector.with_false_alarm_rate(1.0)


def test_percentile_counts_the_self_scores(detector, scores):
    for verdict in scores:
        own = detector.sections[verdict.clip.machine, "00"].members[0].self_scores
        assert verdict.percentile == (own <= verdict.score).mean()


def test_nearest_is_a_training_clip(scores, train):
    names = {clip.name for clip in train}
    for verdict in scores:
        assert verdict.nearest in names
        assert verdict.clip.machine in verdict.nearest


def test_fit_refuses_test_clips_and_anomalies(train, test_clips):
    anomalies = test_clips.select(label="anomaly")
    with pytest.raises(nf.NearfarError, match="anomalous"):
        nf.fit(nf.s4(), nf.Clips([*train, anomalies[0]]))
    with pytest.raises(nf.NearfarError, match="test clip"):
        nf.fit(nf.s4(), test_clips.select(label="normal"))
    with pytest.raises(nf.NearfarError, match="no clips"):
        nf.fit(nf.s4(), nf.Clips([]))


def caught(call):
    with pytest.raises(nf.NearfarError) as error:
        call()
    return error.value


def test_too_few_and_copies(train, tmp_path):
    fan = train.select(machine="fan")
    with pytest.raises(nf.NearfarError, match="2 clips, need at least 3"):
        nf.fit(nf.s4(), fan[:2])
    copy = tmp_path / "copy.wav"
    shutil.copy(fan[0].path, copy)
    twice = nf.Clips([*fan[:2], replace(fan[0], path=copy)])
    with pytest.raises(nf.NearfarError, match="copies"):
        nf.fit(nf.s4(), twice)
    with pytest.warns(nf.NearfarWarning, match="the same audio as"):
        nf.fit(nf.s4(), nf.Clips([*fan, replace(fan[0], path=copy)]))


def test_what_listing_found_is_refused_by_fit_and_score_or_stays_as_a_row(train, test_clips):
    """A missing partner, a stray note.mp3: known before any clip is heard."""
    lost = nf.Clip("fan/lost_near.wav", machine="fan", fault="fan/lost_near.wav: no far file")
    stray = nf.Clip("fan/note.mp3", machine="fan", fault="fan/note.mp3: no sound that we read")
    fan = train.select(machine="fan")
    some = nf.Clips([lost, *test_clips.select(machine="fan")[:3], stray, lost])
    plain = nf.fit(nf.logmel(), fan)
    for call in (
        lambda **skip: nf.fit(nf.logmel(), nf.Clips([*fan, lost, stray]), **skip),
        lambda **skip: plain.score(some, **skip),
    ):
        assert [lost.fault in line for line in caught(call).faults[:2]] == [True, False]
    with pytest.warns(nf.NearfarWarning, match="left out: .*(no far file|no sound)") as said:
        again = nf.fit(nf.logmel(), nf.Clips([*fan, lost, stray]), skip_bad=True)
    assert len(said) == 2
    scores = plain.score(some, skip_bad=True)
    assert np.array_equal(scores.values, again.score(some, skip_bad=True).values, equal_nan=True)
    assert [v.clip for v in scores] == list(some)
    assert [v.warning for v in scores if not v.judged] == [
        "no far file", "no sound that we read", "no far file",
    ]  # fmt: skip
    assert np.array_equal(scores.values[1:4], plain.score(some[1:4]).values)
    silent = plain.score([lost, stray], skip_bad=True)  # none at all is no error
    assert [v.judged for v in silent] == [False, False]
    assert {v.threshold for v in silent} == {plain.threshold("fan").value}
    assert len(plain.score([])) == 0


def test_no_target_clips_is_fine_and_no_warning(train, test_clips):
    source = train.select(domain="source", machine="fan")
    with warnings.catch_warnings():
        warnings.simplefilter("error", nf.NearfarWarning)
        detector = nf.fit(nf.s4(), source)
    assert len(detector.sections["fan", "00"].members[0].bank) == len(source)
    assert np.isfinite(detector.score(test_clips.select(machine="fan")).values).all()


def test_three_clips_are_enough(train):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        detector = nf.fit(nf.s4(), train.select(machine="fan")[:3])
    own = detector.sections["fan", "00"].members[0].self_scores
    assert np.isfinite(own).all()


def test_an_ensemble_is_the_weighted_mean_of_calibrated_members(train, test_clips):
    fan, fan_test = train.select(machine="fan"), test_clips.select(machine="fan")
    a = replace(nf.s4(), calibration=nf.ZScore())
    b = replace(nf.logmel(), calibration=nf.ZScore())
    both = nf.fit(nf.Ensemble((a, b), weights=(3.0, 1.0)), fan).score(fan_test)
    alone = [nf.fit(s, fan).score(fan_test).values for s in (a, b)]
    assert both.values == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], rel=1e-12)


def test_an_ensemble_by_minimum_survives_the_disk(train, test_clips, tmp_path):
    fan, fan_test = train.select(machine="fan"), test_clips.select(machine="fan")
    a = replace(nf.s4(), calibration=nf.ZScore())
    b = replace(nf.logmel(), calibration=nf.ZScore())
    detector = nf.fit(nf.Ensemble((a, b), fusion="minimum"), fan)
    detector.save(tmp_path / "d")
    again = nf.load(tmp_path / "d").score(fan_test)
    assert again == detector.score(fan_test)
    alone = [nf.fit(s, fan).score(fan_test).values for s in (a, b)]
    assert again.values == pytest.approx(np.minimum(*alone), rel=1e-12)


def test_an_ensemble_survives_the_disk(train, test_clips, tmp_path):
    members = (replace(nf.s4(), calibration=nf.Percentile()), nf.logmel())
    system = nf.Ensemble(members)
    assert eval(repr(system), {n: getattr(nf, n) for n in nf.__all__}) == system
    detector = nf.fit(system, train)
    detector.save(tmp_path / "d")
    assert nf.load(tmp_path / "d").score(test_clips) == detector.score(test_clips)


def test_global_randomness_is_left_alone(train, test_clips):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    nf.fit(nf.s4(), train.select(machine="fan")).score(test_clips.select(machine="fan"))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_another_seed_is_another_system(train, test_clips, scores):
    other = nf.fit(replace(nf.s4(), seed=1), train).score(test_clips)
    assert other != scores


def test_near_only_systems_take_mono(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        write(tmp_path / f"{i}.wav", machine_sound(rng)[:1])
    clips = nf.Clips.open(tmp_path)
    detector = nf.fit(nf.logmel(), clips)
    assert detector.score(clips[:1])[0].score == pytest.approx(0, abs=1e-12)
    with pytest.raises(nf.NearfarError, match="1 channel, need 2"):
        nf.fit(nf.s4(), clips)


# ---- damaged folders -------------------------------------------------------------------------


@pytest.fixture
def copy(detector_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(detector_folder, folder)
    return folder


def bank_of(folder):
    return next(folder.glob("bank-*.safetensors"))


def rewrite(folder, change):
    """Change the JSON and make its hash fit again, as a newer or foreign program could."""
    from nearfar.detector.folder.index import _hash

    path = folder / "detector.json"
    data = json.loads(path.read_text())
    change(data)
    data["sha256"] = _hash(data)
    path.write_text(json.dumps(data))


def test_newer_format(copy):
    rewrite(copy, lambda d: d.update(format=FORMAT + 1))
    with pytest.raises(nf.NearfarError, match="upgrade nearfar"):
        nf.load(copy)


def test_truncated_bank(copy):
    bank = bank_of(copy)
    bank.write_bytes(bank.read_bytes()[:-100])
    with pytest.raises(nf.NearfarError, match="damaged or truncated"):
        nf.load(copy)


def test_missing_bank(copy):
    bank_of(copy).unlink()
    with pytest.raises(nf.NearfarError, match="cannot be read"):
        nf.load(copy)


def test_changed_byte_anywhere_in_a_bank(copy):
    bank = bank_of(copy)
    content = bytearray(bank.read_bytes())
    for place in np.random.default_rng(0).integers(0, len(content), 25):
        content[place] ^= 1
        bank.write_bytes(content)
        with pytest.raises(nf.NearfarError, match="sha256"):
            nf.load(copy)
        content[place] ^= 1


def test_changed_setting(copy):
    path = copy / "detector.json"
    path.write_text(path.read_text().replace('"shrinkage": 0.01', '"shrinkage": 0.5'))
    with pytest.raises(nf.NearfarError, match="changed since it was written"):
        nf.load(copy)


def test_a_type_that_is_not_on_the_list(copy):
    rewrite(copy, lambda d: d["system"]["embedder"].update(type="subprocess.Popen"))
    with pytest.raises(nf.NearfarError, match="not one of ours"):
        nf.load(copy)


def test_a_type_of_ones_own_is_passed_in(train, test_clips, tmp_path):
    from dataclasses import dataclass
    from typing import ClassVar

    global Spread

    @dataclass(frozen=True)
    class Spread:
        channels: ClassVar[int] = 1
        dim: ClassVar[int] = 2
        fingerprint: ClassVar[str] = "spread-1"

        def __call__(self, audios):
            return np.array([[a.std(), np.abs(a).max()] for a in audios], dtype=np.float32)

    detector = nf.fit(nf.System(frontend=nf.Near(), embedder=Spread()), train)
    detector.save(tmp_path / "d")
    with pytest.raises(nf.NearfarError, match="types="):
        nf.load(tmp_path / "d")
    loaded = nf.load(tmp_path / "d", types=(Spread,))
    assert loaded.score(test_clips) == detector.score(test_clips)


def test_no_detector_at_all(tmp_path):
    with pytest.raises(nf.NearfarError, match="nearfar fit"):
        nf.load(tmp_path / "nothing")
    with pytest.raises(nf.NearfarError, match="nearfar fit"):
        nf.load(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3),
    max_leaves=6,
)


def places(data, path=()):
    """Every place in a JSON tree."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_in_the_json_there_is_no_traceback(detector_folder, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("h")
    for file in detector_folder.iterdir():
        (folder / file.name).symlink_to(file)
    content = json.loads((detector_folder / "detector.json").read_text())
    content["sections"][0]["clips"] = content["sections"][0]["clips"][:12]
    place = data.draw(st.sampled_from([p for p in places(content) if p]))
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[place[-1]] = data.draw(json_values)
    else:
        del inside[place[-1]]
    (folder / "detector.json").unlink()
    (folder / "detector.json").write_text(json.dumps(content))
    rewrite(folder, lambda d: None) if isinstance(content, dict) else None
    audio = machine_sound(np.random.default_rng(0))
    with contextlib.suppress(nf.NearfarError):  # anything else escapes and fails
        loaded = nf.load(folder)
        loaded.score(audio, sr=RATE, machine=loaded.machines[0])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_whatever_the_file_holds_there_is_no_traceback(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("h")
    (folder / "detector.json").write_bytes(content)
    with pytest.raises(nf.NearfarError):
        nf.load(folder)
