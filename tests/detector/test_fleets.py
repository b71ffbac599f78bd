"""A fit straight into its folder is the fit, and no more than a few banks are ever in memory."""

import gc
import weakref

import numpy as np
import pytest

import nearfar as nf
from conftest import write
from nearfar.detector import fitting
from nearfar.detector.fleets import fit_into
from nearfar.detector.folder.staging import StagedSections
from nearfar.embedding import waves
from nearfar.errors import AudioError, NearfarError

pytestmark = pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")

RATE = 16_000
BARE = nf.System(nf.Near(), nf.LogMel(n_mels=8), whitening=nf.ZCA())


def listed(root, machines, clips=3, seconds=1.0):
    rng = np.random.default_rng(0)
    for m in range(machines):
        for i in range(clips):
            sound = 0.1 * rng.standard_normal((2, int(seconds * RATE)))
            write(root / f"m{m:02d}" / f"{i}.wav", sound)
    return nf.Clips.open(root)


@pytest.fixture
def clips(tmp_path):
    return listed(tmp_path / "data", 5)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("most", [None, 0])
@pytest.mark.parametrize("wave", [4, 7])
def test_the_folder_is_that_of_a_fit_that_is_saved(wave, most, clips, tmp_path, monkeypatch):
    more = {"false_alarm_rate": 0.2, "threshold_by_domain": True}
    whole = nf.fit(BARE, clips, **more).save(tmp_path / "whole")
    monkeypatch.setattr(waves, "WAVE", wave)
    detector = fit_into(tmp_path / "parts", BARE, clips, most=most, **more)
    assert bytes_of(tmp_path / "parts") == bytes_of(whole)
    # What it gives reads on from the folder, and saved again it is the same.
    assert bytes_of(detector.save(tmp_path / "again")) == bytes_of(whole)
    fit_into(whole, BARE, clips[:9], most=most)
    nf.fit(BARE, clips[:9]).save(tmp_path / "again")
    assert bytes_of(whole) == bytes_of(tmp_path / "again")


def test_a_fit_that_fails_late_leaves_what_was_there(clips, tmp_path, monkeypatch):
    det = nf.fit(BARE, clips[:3]).save(tmp_path / "det")
    before = bytes_of(det)
    clips[-1].path.write_bytes(b"RIFF")
    monkeypatch.setattr(waves, "WAVE", 4)
    staged = []
    plain = StagedSections.add

    def counted(self, key, section):
        plain(self, key, section)
        staged.append(len([*det.glob(".bank-*/bank-*")]))

    monkeypatch.setattr(StagedSections, "add", counted)
    with pytest.raises(AudioError):
        fit_into(det, BARE, clips)
    assert staged == [1, 2, 3, 4]
    assert bytes_of(det) == before


def test_a_fit_that_fails_leaves_no_folder_that_was_not_there(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(waves, "WAVE", 4)

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "warn_of_suspects", broken)
    with pytest.raises(KeyboardInterrupt):
        fit_into(tmp_path / "new" / "det", BARE, clips)
    assert not (tmp_path / "new").exists()


def test_a_disk_that_cannot_take_the_index_leaves_what_was_there(clips, tmp_path, monkeypatch):
    from nearfar.detector.folder import disk

    det = nf.fit(BARE, clips[:3]).save(tmp_path / "det")
    before = bytes_of(det)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write_text", full)
    with pytest.raises(NearfarError, match="No space left"):
        fit_into(det, BARE, clips)
    assert bytes_of(det) == before


def test_of_thirty_machines_a_few_sections_are_alive(tmp_path, monkeypatch):
    clips = listed(tmp_path / "data", 30)
    monkeypatch.setattr(waves, "WAVE", 9)
    one = nf.fit(BARE, clips[:3]).sections["m00", "00"]
    alive, most = weakref.WeakSet(), [0]
    plain = StagedSections._keep

    def counted(self, key, section):
        plain(self, key, section)
        alive.add(section)
        if len(alive) > 8:  # perhaps only not yet collected
            gc.collect()
        most[0] = max(most[0], len(alive))

    monkeypatch.setattr(StagedSections, "_keep", counted)
    size = one.members[0].embeddings.nbytes + one.members[0].whitening.matrix.nbytes
    detector = fit_into(tmp_path / "det", BARE, clips, most=4 * size)
    assert len(detector.sections) == 30
    assert 4 <= most[0] <= 8
