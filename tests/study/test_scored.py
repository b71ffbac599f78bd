"""Systems fitted on a train split and heard on a test split: each as if it were alone."""

import gc
import shutil
import weakref
from collections import Counter
from dataclasses import replace

import pytest

import nearfar as nf
from nearfar.clips.clip import Clip
from nearfar.detector import fits
from nearfar.detector.detector import Detector
from nearfar.errors import DatasetError
from nearfar.study.scored import score_all

MEL = nf.System(nf.Near(), nf.LogMel(n_mels=20))
FAR = nf.System(nf.Far(), nf.LogMel(n_mels=20), calibration=nf.Percentile())
SYSTEMS = (MEL, nf.Ensemble((MEL, FAR)), replace(FAR, folds=4))


@pytest.fixture(scope="module")
def test_clips(dcase):
    return nf.Clips.open(dcase, split="test")


def numbers(scores):
    return [(v.clip.name, v.score, v.threshold, v.nearest, v.warning) for v in scores]


def test_each_says_what_it_would_say_alone(dcase, test_clips):
    train = nf.Clips.open(dcase, split="train")
    together = score_all(dcase, test_clips, SYSTEMS, nf.Runtime())
    # One needs both channels, so clips are told apart by both: the same clips here.
    alone = [nf.fit(system, train).score(test_clips) for system in SYSTEMS]
    assert [numbers(s) for s in together] == [numbers(s) for s in alone]


def test_each_clip_is_read_once_in_each_split(dcase, test_clips, monkeypatch):
    reads, plain = Counter(), Clip.read_recorded
    monkeypatch.setattr(Clip, "read_recorded", lambda c, *a: (reads.update([c]), plain(c, *a))[1])
    score_all(dcase, test_clips, SYSTEMS, nf.Runtime())
    assert set(reads.values()) == {1}
    assert len(reads) == 24 + 24


@pytest.mark.slow
def test_the_banks_of_one_system_are_held_at_a_time(dcase, test_clips, monkeypatch):
    """While a system is fitted, no detector of an earlier one lives."""
    living, plain = [], fits.fit_member

    def counting(*arguments):
        gc.collect()
        assert not [d for d in living if d() is not None]
        return plain(*arguments)

    judge = Detector.judge
    monkeypatch.setattr(fits, "fit_member", counting)
    monkeypatch.setattr(
        Detector, "judge", lambda d, heard: (living.append(weakref.ref(d)), judge(d, heard))[1]
    )
    assert len(score_all(dcase, test_clips, SYSTEMS, nf.Runtime())) == len(living) == 3


def test_a_cache_changes_nothing_and_a_passing_one_is_gone(
    dcase, test_clips, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "passing"))
    (tmp_path / "passing").mkdir()
    passing = score_all(dcase, test_clips, SYSTEMS[:1], nf.Runtime())
    assert list((tmp_path / "passing").iterdir()) == []
    kept = score_all(dcase, test_clips, SYSTEMS[:1], nf.Runtime(cache=tmp_path / "own"))
    assert list((tmp_path / "own").iterdir())
    assert numbers(kept[0]) == numbers(passing[0])


def test_the_machines_of_the_test_clips_are_fitted_and_no_others(dcase, test_clips):
    (alone,) = score_all(dcase, nf.Clips(c for c in test_clips if c.machine == "fan"), [MEL],
                         nf.Runtime())  # fmt: skip
    (both,) = score_all(dcase, test_clips, [MEL], nf.Runtime())
    assert numbers(alone) == [row for row in numbers(both) if row[0].startswith("fan")]


def test_a_section_without_training_clips_is_refused_before_any_is_read(
    dcase, tmp_path, monkeypatch
):
    shutil.copytree(dcase / "fan", tmp_path / "fan")
    stray = next((tmp_path / "fan" / "test").iterdir())
    stray.rename(stray.with_name(stray.name.replace("section_00", "section_07")))
    monkeypatch.setattr(Clip, "read_recorded", lambda *_: pytest.fail("a clip was read"))
    with pytest.raises(DatasetError, match="fan section 07"):
        score_all(tmp_path, nf.Clips.open(tmp_path, split="test"), SYSTEMS, nf.Runtime())
