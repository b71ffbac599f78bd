"""In waves a fit is the fit, and no more than a wave of what was heard is alive."""

import weakref

import numpy as np
import pytest

import nearfar as nf
from conftest import write
from nearfar.detector import fits
from nearfar.embedding import jobs, waves
from nearfar.errors import AudioError, DatasetError

pytestmark = pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")

RATE = 16_000
BARE = nf.System(nf.Near(), nf.LogMel(n_mels=8))
MACHINES = tuple(f"m{i}" for i in range(5))


@pytest.fixture
def clips(tmp_path):
    """Three short ones of each of five machines."""
    rng = np.random.default_rng(0)
    for name in MACHINES:
        for i in range(3):
            write(tmp_path / name / f"{i}.wav", 0.1 * rng.standard_normal((2, RATE)))
    return nf.Clips.open(tmp_path)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("wave", [1, 4, 7, 100])
def test_a_fit_in_waves_is_the_fit(wave, clips, tmp_path, monkeypatch):
    whole = nf.fit(BARE, clips).save(tmp_path / "whole")
    monkeypatch.setattr(waves, "WAVE", wave)
    parts = nf.fit(BARE, clips[::-1]).save(tmp_path / "parts")
    assert bytes_of(parts) == bytes_of(whole)


def test_a_section_is_in_one_wave(clips, monkeypatch):
    monkeypatch.setattr(waves, "WAVE", 4)
    groups = [list(some) for some in clips.by_section().values()]
    found = waves.in_waves(clips, groups, nf.Runtime())
    assert [{clip.machine for clip in wave} for wave in found] == [{name} for name in MACHINES]


def test_all_that_cannot_be_used_is_told_as_in_one_wave(clips, tmp_path, monkeypatch):
    for name in ("m1", "m4"):
        (tmp_path / name / "1.wav").write_bytes(b"RIFF")
    listed = nf.Clips(clips)  # before they were damaged: found out while they are heard
    with pytest.raises(AudioError) as whole:
        nf.fit(BARE, listed)
    monkeypatch.setattr(waves, "WAVE", 4)
    with pytest.raises(AudioError) as parts:
        nf.fit(BARE, listed)
    assert parts.value.faults == whole.value.faults
    assert len(parts.value.faults) == 2
    assert str(parts.value) == str(whole.value)


def test_a_machine_without_a_usable_clip_is_refused(clips, tmp_path, monkeypatch):
    for i in range(3):
        (tmp_path / "m2" / f"{i}.wav").write_bytes(b"RIFF")
    monkeypatch.setattr(waves, "WAVE", 4)
    with pytest.raises(DatasetError, match="m2: none of its clips"):
        nf.fit(BARE, clips, skip_bad=True)


def test_what_one_wave_heard_is_gone_before_the_next(clips, monkeypatch):
    alive, most = weakref.WeakSet(), []
    plain, fitted = jobs.Heard.__init__, fits.fit_member

    def made(self, *args, **named):
        plain(self, *args, **named)
        alive.add(self)

    def counting(*args):
        most.append(len(alive))
        return fitted(*args)

    monkeypatch.setattr(jobs.Heard, "__init__", made)
    monkeypatch.setattr(fits, "fit_member", counting)
    monkeypatch.setattr(waves, "WAVE", 6)
    nf.fit(BARE, clips)
    assert max(most) <= 6


def test_scores_in_waves_are_the_scores(clips, tmp_path, monkeypatch):
    detector = nf.fit(BARE, clips)
    (tmp_path / "m2" / "1.wav").write_bytes(b"RIFF")
    mixed = nf.Clips(clips[i] for i in np.random.default_rng(1).permutation(len(clips)))
    whole = detector.score(mixed, skip_bad=True)
    with pytest.raises(AudioError) as refused:
        detector.score(mixed)
    monkeypatch.setattr(waves, "WAVE", 4)
    assert detector.score(mixed, skip_bad=True).to_csv() == whole.to_csv()
    with pytest.raises(AudioError) as parts:
        detector.score(mixed)
    assert str(parts.value) == str(refused.value)
