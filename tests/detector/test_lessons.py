"""What was learnt lies in a folder as an entry and a bank of its own; damage is refused."""

import hashlib
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

import nearfar as nf
from conftest import first_quick, refused
from nearfar.detector.folder import disk
from nearfar.detector.folder.index import heading, kept_as
from nearfar.detector.learning.lesson import fits
from nearfar.errors import FormatError, StorageError
from new_clips import new_clips
from processes import no_space

KEY = ("fan", "00")


@pytest.fixture(scope="module")
def folder(detector_folder, tmp_path_factory):
    """A detector that has learnt five clips and forgotten one. Read only."""
    root = tmp_path_factory.mktemp("grown")
    detector = nf.load(detector_folder)
    grown = detector.learn(new_clips(root / "new")).forget([detector.sections[KEY].clips[2].name])
    return grown.save(root / "det")


def rewritten(folder, to, change):
    """A copy with another index that has its hash."""
    copy = shutil.copytree(folder, to)
    data = json.loads((copy / "detector.json").read_text(encoding="utf-8"))
    change(data["sections"][0])
    del data["sha256"]
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    data["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (copy / "detector.json").write_text(json.dumps(data), encoding="utf-8")
    return copy


def test_the_index_says_it_and_older_nearfars_refuse_it(folder):
    data = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
    assert data["format"] == 6
    said = data["sections"][0]["learnt"]
    assert [name for name, _ in said["clips"]] != []
    assert len(said["clips"]) == 5
    assert len(said["forgotten"]) == 1
    assert heading(folder).counts[KEY] == 12 + 5 - 1
    assert kept_as(folder).name == "det.previous"
    real = load_file(folder / said["bank"])["0.embeddings"]
    assert real.shape == (5, 120)


def drop_clip(entry):
    entry["learnt"]["clips"].pop()


def know_twice(entry):
    entry["learnt"]["clips"][0] = entry["clips"][0]


def forget_a_stranger(entry):
    entry["learnt"]["forgotten"] = ["00"]


def forget_none(entry):
    entry["learnt"]["forgotten"] = []


def other_hash(entry):
    entry["learnt"]["sha256"] = "0" * 64


def no_bank(entry):
    entry["learnt"]["bank"] = "bank-0.safetensors"


def banks_swapped(entry):
    entry["learnt"]["bank"], entry["learnt"]["sha256"] = entry["bank"], entry["sha256"]


def out_of_the_folder(entry):
    entry["learnt"]["bank"] = "../../etc/passwd"


def no_facts(entry):
    del entry["learnt"]["facts"]


@pytest.mark.parametrize(
    "change",
    first_quick([
        know_twice, drop_clip, forget_a_stranger, forget_none, other_hash, no_bank, banks_swapped,
        out_of_the_folder, no_facts,
    ]),
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_what_does_not_fit_is_refused(folder, tmp_path, change):
    copy = rewritten(folder, tmp_path / "det", change)
    refused(lambda: nf.load(copy), error=FormatError)
    with pytest.raises(FormatError):
        nf.load(copy, late=True).sections[KEY]


def test_a_damaged_bank_of_it_is_told(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "det")
    said = json.loads((copy / "detector.json").read_text(encoding="utf-8"))["sections"][0]
    path = copy / said["learnt"]["bank"]
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    refused(lambda: nf.load(copy), path.name, "damaged or truncated", error=FormatError)


def test_a_log_that_is_gone_or_damaged_takes_no_score_away(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "det")
    (copy / "learnt.jsonl").write_text("nonsense\n" + (copy / "learnt.jsonl").read_text())
    detector = nf.load(copy)
    assert [one.verb for one in detector.lessons] == ["unreadable", "learnt", "forgot"]
    assert detector.save(copy)
    assert (copy / "learnt.jsonl").read_text().startswith("nonsense\n")
    (copy / "learnt.jsonl").unlink()
    assert nf.load(copy).lessons == ()
    assert len(nf.load(copy).sections[KEY].clips) == 16


def test_a_log_that_lost_lines_is_told_from_a_whole_one(folder, detector_folder, tmp_path):
    whole = nf.load(folder)
    assert fits(whole.lessons, whole.sections)
    copy = shutil.copytree(folder, tmp_path / "det")
    log = copy / "learnt.jsonl"
    first, last = log.read_text().splitlines(keepends=True)
    for text in (first, last, first + last[:40], ""):
        log.write_text(text)
        detector = nf.load(copy)
        assert not fits(detector.lessons, detector.sections)
        detector.save(copy)
        assert (log.read_text().strip() if text else "") == text.strip()
    fitted = nf.load(detector_folder)
    assert fits(fitted.lessons, fitted.sections)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_in_place_of_the_log_is_not_followed(folder, tmp_path):
    copy, theirs = shutil.copytree(folder, tmp_path / "det"), tmp_path / "diary.txt"
    theirs.write_text("dear diary")
    (copy / "learnt.jsonl").unlink()
    (copy / "learnt.jsonl").symlink_to(theirs)
    detector = nf.load(copy)
    assert detector.lessons == ()
    detector.learn(new_clips(tmp_path / "more", seed=78, target=0, source=1)).save(copy)
    assert theirs.read_text() == "dear diary"
    assert len(nf.load(copy).lessons) == 1


@pytest.mark.skipif(os.name == "nt", reason="no such pipes there")
def test_a_pipe_in_place_of_the_log_is_not_waited_for(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "det")
    (copy / "learnt.jsonl").unlink()
    os.mkfifo(copy / "learnt.jsonl")
    detector = nf.load(copy)
    assert detector.lessons == ()
    again = replace(detector, lessons=nf.load(folder).lessons)
    refused(lambda: again.save(copy), "learnt.jsonl: is no file", error=StorageError)


@pytest.mark.parametrize("had", first_quick([True, False]))
def test_a_full_disk_between_log_and_index_leaves_what_was_there(
    folder, detector_folder, tmp_path, monkeypatch, had
):
    copy = shutil.copytree(folder if had else detector_folder, tmp_path / "det")
    before = nf.load(copy)
    grown = before.learn(new_clips(tmp_path / "more", seed=77))
    monkeypatch.setattr(disk, "write_text", no_space)  # the index comes last
    refused(lambda: grown.save(copy), error=StorageError)
    monkeypatch.undo()
    again = nf.load(copy)
    assert again.lessons == before.lessons
    assert len(again.sections[KEY].clips) == len(before.sections[KEY].clips)
    grown.save(copy)
    assert nf.load(copy).lessons == grown.lessons


def test_large_banks_that_are_kept_whitened_stay_so(folder, monkeypatch, tmp_path):
    from nearfar.detector.folder import banks

    detector = nf.load(folder)
    first = detector.sections[KEY].members[0]
    monkeypatch.setattr(banks, "LARGE", 1)
    monkeypatch.setattr(banks, "WIDE", 1)
    again = nf.load(detector.save(tmp_path / "det"))
    member = again.sections[KEY].members[0]
    assert member.scaled is not None
    assert np.array_equal(member.scaled, first.scale(first.embeddings))
