"""A fit onto a detector of something else is asked about, before anything is heard."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, refused, write
from nearfar.clips import Clip, Clips
from nearfar.detector import refit
from nearfar.detector.folder.index import INDEX, Heading
from nearfar.detector.folder.previous import previous_of
from nearfar.detector.folder.replacing import check_fitted, check_keeping, check_loss
from nearfar.detector.member import Member
from nearfar.detector.refit import Told, told_there
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import StorageError
from processes import tree

PLAIN = nf.System(nf.Near(), nf.LogMel(n_mels=3))


def detector(counts):
    """Of machines and sections with so many clips each; no sound was needed."""
    sections = {}
    for key, n in counts.items():
        rows = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
        member = Member(rows, np.arange(n), np.zeros(n, np.int8), None, np.linspace(0, 1, n))
        clips = tuple(TrainingClip(f"{i}.wav", "0" * 64) for i in range(n))
        sections[key] = Section((member,), clips, None, 10.0)
    return nf.Detector(PLAIN, sections)


def clips(counts):
    return Clips(
        Clip(Path(f"{machine}{section}{i}.wav"), machine=machine, section=section)
        for (machine, section), n in counts.items()
        for i in range(n)
    )


FAN, FAN1, PUMP = ("fan", "00"), ("fan", "01"), ("pump7", "00")
WAS = {FAN: 20, PUMP: 11}


@pytest.fixture
def det(tmp_path):
    return detector(WAS).save(tmp_path / "det")


@pytest.mark.parametrize(
    "new", [WAS, {FAN: 10, PUMP: 6}, {FAN: 900, PUMP: 900}], ids=["same", "half", "more"]
)
def test_the_same_machines_go_through(det, new):
    check_loss(det, clips(new), replace=False)


@pytest.mark.parametrize(
    ("new", "was", "would"),
    [
        ({FAN: 20}, "pump7 (11 clips), fan (20 clips)", "fan (20 clips)."),
        ({("valve", "00"): 1}, "fan (20 clips), pump7 (11 clips)", "valve (1 clip)."),
        ({**WAS, FAN1: 3}, "fan (20 clips), pump7", "fan 01 (3 clips), fan (20 clips), pump7"),
        ({FAN1: 20, PUMP: 11}, "fan (20 clips), pump7", "fan 01 (20 clips), pump7 (11 clips)."),
        ({FAN: 9, PUMP: 11}, "fan (20 clips), pump7", "fan (9 clips), pump7 (11 clips)."),
        ({FAN: 20, PUMP: 5}, "pump7 (11 clips), fan", "pump7 (5 clips), fan (20 clips)."),
        ({(f"m{i}", "00"): 5 for i in range(9)}, "fan", "m1 (5 clips), m2 (5 clips) and 6 more."),
    ],
)
def test_others_or_far_fewer_are_asked_about(det, new, was, would):
    """Those that change are named first."""
    line = refused(
        lambda: check_loss(det, clips(new), replace=False), f"{det} is a detector of {was}",
        "this would make it one of", would, "Choose another folder, or --replace",
        error=StorageError,
    )  # fmt: skip
    assert len(line) <= 500
    check_loss(det, clips(new), replace=True)


def test_what_was_heard_is_asked_about_again(det):
    check_fitted(det, detector({FAN: 10, PUMP: 6}).sections, replace=False)
    few = detector({FAN: 20, PUMP: 4}).sections
    refused(
        lambda: check_fitted(det, few, replace=False), "pump7 (11 clips), fan (20 clips)",
        "of what could be used", "one of pump7 (4 clips), fan (20 clips).", "or --replace",
        error=StorageError,
    )  # fmt: skip
    check_fitted(det, few, replace=True)


def test_clips_that_cannot_be_used_do_not_count(det):
    faulty = [Clip(c.path, machine=c.machine, fault="no partner") for c in clips({FAN: 15})]
    with pytest.raises(StorageError, match=r"one of fan \(5 clips\)"):
        check_loss(det, Clips([*clips({FAN: 5, PUMP: 11}), *faulty]), replace=False)
    check_loss(det, Clips(), replace=False)  # that there are none is said by the fit


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data | {"format": 99},
        lambda data: data | {"order": "?"},
        lambda data: {**data, "sections": 7},
        lambda data: [data],
    ],
)
def test_an_index_that_does_not_say_is_asked_about(det, damage):
    data = json.loads((det / INDEX).read_text())
    (det / INDEX).write_text(json.dumps(damage(data)))
    refused(lambda: check_loss(det, clips(WAS), replace=False), det, INDEX, "--replace")
    check_loss(det, clips(WAS), replace=True)


def test_what_the_index_says_is_read_once_for_all_that_ask(det, tmp_path):
    told = replace(detector(WAS), order="far-near", false_alarm_rate=0.25, threshold_by_domain=True)
    told.save(det)
    for asked in (False, True):
        there = check_loss(det, clips(WAS), replace=asked)
        assert there == Heading(WAS, 0.25, "far-near", by_domain=True)
    assert told_there(there, ["pump7", "fan"]) == Told(0.25, "far-near", by_domain=True)
    for others in (["fan"], ["fan", "pump7", "saw"], []):
        assert told_there(there, others) is None
    (det / INDEX).write_text("{")
    assert check_loss(det, clips(WAS), replace=True) is None
    assert told_there(None, ["fan"]) is None


# ---- where it is kept ----------------------------------------------------------------------------


def test_a_name_for_what_is_kept_is_no_name_for_a_detector(tmp_path, monkeypatch):
    refused(lambda: check_keeping(tmp_path / "x.previous", [], False), "ends in .previous")
    (tmp_path / "y.previous").mkdir()
    monkeypatch.chdir(tmp_path / "y.previous")
    refused(lambda: check_keeping(Path(), [], True), "ends in .previous")
    assert check_keeping(tmp_path / "x", [], False)


def test_what_is_kept_is_no_input_and_nothing_foreign(det):
    place = previous_of(det)
    assert check_keeping(det, [place], False)  # none is there
    detector(WAS).save(det, previous=True)
    inside = next(place.glob("bank-*"))
    for given in (place, inside, place / ".." / place.name):
        refused(lambda given=given: check_keeping(det, ["a/hub-id", given], True), "is an input")
    assert check_keeping(det, [place.parent, det, None], False)
    (place / "mine.txt").write_text("mine")
    refused(lambda: check_keeping(det, [], True), place, "move it")


def test_without_a_place_it_is_asked_about(det, monkeypatch):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != det.parent and real(path, mode))
    refused(lambda: check_keeping(det, [], False), previous_of(det), "--replace")
    assert not check_keeping(det, [], True)


# ---- by the command ------------------------------------------------------------------------------


@pytest.fixture
def fit(run):
    def call(data, det, *more):
        return run("fit", data, "-s", "logmel", "-o", det, "--workers", 1, *more)

    return call


def recorded(folder, number, first=0):
    rng = np.random.default_rng(first)
    for i in range(number):
        write(folder / f"{i}.wav", machine_sound(rng))
    return folder


def test_nothing_is_heard_before_it_is_asked(fit, tmp_path):
    (tmp_path / "press").mkdir()
    for i in range(12):
        (tmp_path / "press" / f"{i}.wav").write_bytes(b"no sound: to hear it would be an error")
    det = detector(WAS).save(tmp_path / "det")
    before = tree(tmp_path)
    code, told, err = fit(tmp_path / "press", det)
    assert (code, told, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {det} is a detector of fan (20 clips), pump7 (11 clips); this ")
    assert err.endswith("one of press (12 clips). Choose another folder, or --replace\n")
    (tmp_path / "det.previous").mkdir()
    (tmp_path / "det.previous" / "mine.txt").write_text("mine")
    code, told, err = fit(tmp_path / "nowhere", det, "--replace")  # nor looked for
    assert (code, told, err.count("\n"), "move it" in err) == (2, "", 1, True)
    (tmp_path / "det.previous" / "mine.txt").unlink()
    assert tree(tmp_path) == before


def test_a_fit_says_where_the_one_before_is(fit, tmp_path):
    fan, press = recorded(tmp_path / "fan", 10), recorded(tmp_path / "press", 10, 1)
    det, kept = tmp_path / "det", tmp_path / "det.previous"
    assert fit(fan, det)[1].splitlines()[-1] == f"wrote {det}"
    first = tree(det)
    code, told, _ = fit(press, det, "--replace")
    assert (code, told.splitlines()[-1]) == (
        0, f"wrote {det}, replacing the detector there; the one before is kept as {kept}",
    )  # fmt: skip
    assert tree(kept) == first
    assert (nf.load(det).machines, nf.load(kept).machines) == (("press",), ("fan",))
    assert fit(press, det)[0] == 0  # unasked
    assert nf.load(kept).machines == ("press",)
    (det / INDEX).write_text("")
    code, _, err = fit(press, det)
    assert (code, err.count("\n"), "--replace" in err) == (2, 1, True)
    assert fit(press, det, "--replace")[1].splitlines()[-1].endswith("the one before is not kept")
    assert nf.load(det).machines == nf.load(kept).machines == ("press",)


def test_what_is_damaged_while_a_fit_hears_is_not_said_to_be_kept(fit, tmp_path, monkeypatch):
    data, det = recorded(tmp_path / "press", 12), tmp_path / "det"
    fit(data, det)

    def strangers(folder, new):
        for bank in folder.glob("bank-*"):
            bank.write_bytes(b"damaged")
        return {"press": (12, 12)}

    monkeypatch.setattr(refit, "strangers", strangers)
    code, out, err = fit(data, det)
    assert code == 0
    assert "the one before is not kept" in out
    assert "that was there; is it the same machine" in err
    assert not previous_of(det).exists()


def test_silent_clips_do_not_take_a_detector_of_many(fit, tmp_path):
    det = tmp_path / "det"
    assert fit(recorded(tmp_path / "fan", 10), det)[0] == 0
    before, bad = tree(det), recorded(tmp_path / "bad" / "fan", 4, 1)
    for i in range(6):  # listed as ten, heard as four
        write(bad / f"silent{i}.wav", np.zeros((2, 16000)))
    code, told, err = fit(bad, det, "--skip-bad")
    line = next(x for x in err.splitlines() if x.startswith("error:"))
    assert (code, told) == (2, "")
    assert "fan (10 clips); of what could be used this fit would make it one of fan (4 cl" in line
    assert line.endswith("Choose another folder, or --replace")
    assert (tree(det), (tmp_path / "det.previous").exists()) == (before, False)
    assert fit(bad, det, "--skip-bad", "--replace")[0] == 0
    assert nf.load(det).machines == ("fan",)
