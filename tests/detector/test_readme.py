"""A detector's README.md is ours as long as nobody has written in it, and then it is theirs."""

import hashlib
import os

import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.folder import disk
from nearfar.detector.folder.disk import check_folder
from nearfar.detector.folder.previous import previous_of
from nearfar.detector.folder.readme import CARD, card_beside, is_card, stamped
from nearfar.errors import StorageError
from nearfar.files import as_bytes
from processes import tree

INDEX = "detector.json"


@pytest.fixture
def det(detector_folder, tmp_path):
    return nf.load(detector_folder).save(tmp_path / "det")


def test_a_card_is_told_from_every_other_text(tmp_path):
    path = tmp_path / CARD
    assert not is_card(path)
    path.mkdir()
    assert not is_card(path)
    path.rmdir()
    for text in ("", "# Mine\n", "<!-- nearfar model card 0123456789abcdef: mine -->\nmine\n"):
        path.write_text(text)
        assert not is_card(path)
    path.write_text(stamped("a\nb\n"))
    assert is_card(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as Git leaves it on Windows
    assert is_card(path)
    path.write_text(stamped("a\nb\n") + "seen by Ann")
    assert not is_card(path)


def test_each_save_writes_the_card_of_the_detector_that_is_there(det):
    first = (det / CARD).read_bytes()
    assert hashlib.sha256((det / INDEX).read_bytes()).hexdigest() in first.decode()
    nf.load(det).save(det)
    assert (det / CARD).read_bytes() == first  # the same detector, the same bytes
    nf.load(det).with_false_alarm_rate(0.3).save(det)
    second = (det / CARD).read_text()
    assert hashlib.sha256((det / INDEX).read_bytes()).hexdigest() in second
    assert "30 % of normal clips" in second


def test_what_a_person_wrote_stays_and_hinders_nothing(det):
    (det / CARD).write_text("# Pump 7, hall 2\n")
    with pytest.warns(nf.NearfarWarning, match=r"README\.md: is yours"):
        nf.load(det).with_false_alarm_rate(0.3).save(det, previous=True)
    assert (det / CARD).read_text() == "# Pump 7, hall 2\n"
    assert nf.load(det).false_alarm_rate == 0.3
    assert not (previous_of(det) / CARD).exists()
    with pytest.warns(nf.NearfarWarning, match=r"README\.md"):
        nf.load(det).save(det, previous=True)  # nor is what is kept foreign to the next


def test_without_a_card_it_loads_and_gets_one(det):
    (det / CARD).unlink()
    nf.load(det).save(det)
    assert is_card(det / CARD)


def test_a_link_is_not_followed(det, tmp_path):
    (det / CARD).unlink()
    os.symlink(tmp_path / "elsewhere", det / CARD)
    with pytest.warns(nf.NearfarWarning, match=r"README\.md"):
        nf.load(det).save(det)
    assert not (tmp_path / "elsewhere").exists()


def test_the_kept_detector_has_its_own_card(det):
    first = tree(det)
    nf.load(det).with_false_alarm_rate(0.3).save(det, previous=True)
    assert tree(previous_of(det)) == first


@pytest.mark.parametrize("had", [True, False])
def test_where_the_detector_cannot_be_written_the_card_before_is_back(det, monkeypatch, had):
    if not had:
        (det / CARD).unlink()
    before, real = tree(det), disk.write_text

    def full(path, text):
        assert f"{hashlib.sha256(as_bytes(text)).hexdigest()}" in (det / CARD).read_text()
        raise StorageError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(disk, "write_text", full)
    refused(lambda: nf.load(det).with_false_alarm_rate(0.3).save(det), "No space left")
    assert tree(det) == before
    monkeypatch.setattr(disk, "write_text", real)


def test_ctrl_c_after_the_index_leaves_the_new_card(det, monkeypatch):
    real = disk.write_text

    def interrupted(path, text):
        real(path, text)
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nf.load(det).with_false_alarm_rate(0.3).save(det)
    assert hashlib.sha256((det / INDEX).read_bytes()).hexdigest() in (det / CARD).read_text()


def test_a_folder_that_lost_its_index_takes_a_detector_again(det, detector_folder):
    (det / INDEX).unlink()
    assert check_folder(det, INDEX) is False
    (det / f".{CARD}.ab12cd34.nearfar").write_text("half")  # of a writer that was killed
    nf.load(detector_folder).save(det)
    assert is_card(det / CARD)
    (det / INDEX).unlink()
    (det / CARD).write_text("mine")
    with pytest.raises(StorageError, match="has other files in it"):
        check_folder(det, INDEX)


def test_no_text_is_no_card(tmp_path):
    with card_beside(tmp_path, "", "index"):
        pass
    assert list(tmp_path.iterdir()) == []
