"""A detector in memory and its folder on disk: taken over whole, by another, or not at all."""

import itertools
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from conftest import PATIENCE, machine_sound, refused
from nearfar.errors import NearfarError
from nearfar.service import holding
from nearfar.service.holding import DetectorHold, identity_of
from nearfar.service.plant import DetectorSettings
from plants import KEYS, by_hand

FAN = (("fan", "00"),)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Look at the disk whenever asked, and tell at once what lasts."""
    monkeypatch.setattr(holding, "PAUSE", 0.0)
    monkeypatch.setattr(holding, "PATIENCE", 0.0)


@pytest.fixture
def folder(tmp_path):
    return by_hand(seed=1).save(tmp_path / "d")


def held(folder, needs=KEYS, **settings):
    return DetectorHold(DetectorSettings(Path(folder), **settings), needs)


def test_a_detector_that_is_replaced_is_taken_over(folder):
    hold = held(folder)
    first, identity = hold.detector, hold.identity
    assert hold.refresh() == ""
    by_hand(seed=2).save(folder)
    assert hold.refresh().endswith("judges from the next clip on")
    assert hold.detector is not first
    assert (hold.turns, hold.identity == identity) == (1, False)
    assert hold.identity in held(folder).identity
    assert hold.refresh() == ""
    # What it says now is what the folder says.
    sound = machine_sound(np.random.default_rng(3))
    here, there = (
        d.score(sound, sr=16_000, machine="fan") for d in (hold.detector, nf.load(folder))
    )
    assert here[0].score == there[0].score


def test_what_judges_alike_is_no_other(folder, tmp_path):
    """Copied, touched, saved again, by another nearfar, of data with another licence."""
    identity = held(folder).identity
    shutil.copytree(folder, tmp_path / "copy")
    assert held(tmp_path / "copy").identity == identity
    hold = held(folder)
    nf.load(folder).save(folder)
    assert (hold.refresh(), hold.turns, hold.identity) == ("", 0, identity)
    index = json.loads((folder / "detector.json").read_text())
    index["provenance"]["nearfar"] = "9.9"
    assert identity_of(index | {"data_license": "CC0", "sha256": ""}) == identity


def test_whatever_may_change_a_verdict_changes_the_identity(folder, tmp_path):
    fitted = nf.load(folder)
    others = [
        by_hand(seed=2), by_hand(FAN, seed=1), by_hand((("fan", "00"), ("pump", "01")), seed=1),
        fitted.with_false_alarm_rate(0.2), replace(fitted, threshold_by_domain=True),
        replace(fitted, order="far-near"),
        by_hand(seed=1, system=replace(nf.logmel(), frontend=nf.CoherenceMask())),
    ]  # fmt: skip
    found = {held(folder).identity, held(folder, false_alarm_rate=0.3).identity}
    for n, other in enumerate(others):
        found.add(held(other.save(tmp_path / str(n)), ()).identity)
    assert len(found) == len(others) + 2
    # The rate it has already is no other.
    assert held(folder, false_alarm_rate=0.1).identity == held(folder).identity


@given(st.sampled_from(["fingerprint", "dim", "place"]))
def test_an_encoder_is_what_it_computes_and_not_where_it_lies(what):
    one = {"fingerprint": "dif-2", "dim": 120, "place": ""}
    system = {"embedder": {"weights": "/a"}, "members": [], "weights": [0.5, 0.5]}
    index = {"system": system, "embedders": [one], "false_alarm_rate": 0.1, "sections": []}
    other = index | {"embedders": [one | {what: "other"}]}
    assert (identity_of(index) == identity_of(other)) == (what == "place")
    moved = index | {"system": system | {"embedder": {"weights": "/b"}}}
    assert identity_of(moved) == identity_of(index)
    heavier = index | {"system": system | {"weights": [0.9, 0.1]}}
    assert identity_of(heavier) != identity_of(index)


def test_another_machines_detector_is_refused_and_told_once(folder):
    hold = held(folder)
    old = hold.detector
    by_hand((("saw", "00"),)).save(folder)
    said = hold.refresh()
    assert "does not know fan, pump (it knows saw); the detector that was loaded before" in said
    assert (hold.refresh(), hold.detector, hold.turns) == ("", old, 0)
    by_hand(seed=1).save(folder)  # the right one is put back
    assert (hold.refresh(), hold.turns) == ("", 0)
    by_hand((("saw", "00"),)).save(folder)
    assert "does not know" in hold.refresh()


def test_a_detector_of_other_channels_is_refused(folder):
    """What comes from one microphone cannot be judged by what wants two."""
    hold = held(folder, FAN)
    by_hand(FAN, system=replace(nf.logmel(), frontend=nf.CoherenceMask())).save(folder)
    assert "needs 2 channels, the one before 1; the detector" in hold.refresh()
    assert (hold.detector.system.needs, hold.turns) == (1, 0)


@pytest.mark.parametrize("state", ["gone", "damaged", "no bank", "empty"])
def test_half_a_detector_leaves_the_old_one_at_work(folder, tmp_path, state):
    hold = held(folder)
    old = hold.detector
    shutil.copytree(folder, tmp_path / "kept")
    new = by_hand(seed=2).save(tmp_path / "new")
    shutil.rmtree(folder)
    if state != "gone":
        folder.mkdir()
    if state == "damaged":
        text = (new / "detector.json").read_text()
        (folder / "detector.json").write_text(text[: len(text) // 2])
    if state == "no bank":  # as cp has it: the files one after another
        shutil.copy(new / "detector.json", folder)
    said = hold.refresh()
    assert said.endswith("; the detector that was loaded before goes on")
    assert "\n" not in said
    assert (hold.refresh(), hold.refresh(), hold.turns) == ("", "", 0)
    assert hold.detector is old
    # As soon as it is whole it is taken, also if its index has not changed since.
    shutil.copytree(new, folder, dirs_exist_ok=True)
    assert "judges from the next clip on" in hold.refresh()
    assert hold.turns == 1


def test_what_is_over_soon_is_not_told(folder, monkeypatch):
    monkeypatch.setattr(holding, "PATIENCE", 3600.0)
    hold = held(folder)
    folder.rename(folder.with_name("aside"))
    assert hold.refresh() == ""
    folder.with_name("aside").rename(folder)
    assert (hold.refresh(), hold.turns) == ("", 0)


def test_a_look_at_the_disk_is_taken_once_in_a_while(folder, monkeypatch):
    monkeypatch.setattr(holding, "PAUSE", 3600.0)
    hold = held(folder)
    shutil.rmtree(folder)
    assert [hold.refresh() for _ in range(3)] == [""] * 3


def test_there_must_be_one_to_begin_with(folder, tmp_path):
    refused(lambda: held(tmp_path / "gone"), "gone: is no folder; make one with nearfar fit")
    refused(lambda: held(folder, [("saw", "00")]), "does not know saw (it knows fan, pump)")
    for bank in folder.glob("bank-*"):
        bank.write_bytes(b"x")
    refused(lambda: held(folder))


@pytest.mark.slow
def test_while_others_save_it_is_always_one_of_theirs(folder, monkeypatch):
    """Two detectors saved in turn: each look gives one of them whole, and nothing is ever told."""
    both = [by_hand(seed=seed) for seed in (1, 2)]
    identities = set()
    for one in both:
        one.save(folder)
        identities.add(held(folder).identity)
    hold, stop, failed = held(folder), threading.Event(), []

    def write():
        try:
            for one in itertools.cycle(both):
                one.save(folder)
                if stop.wait(0.01):
                    return
        except NearfarError as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    monkeypatch.setattr(holding, "PATIENCE", 3600.0)
    writer.start()
    try:
        latest = monotonic() + PATIENCE
        while hold.turns < 5 and monotonic() < latest and not failed:
            said = hold.refresh()
            assert said == "" or "judges from the next clip on" in said
            assert hold.identity in identities
    finally:
        stop.set()
        writer.join()
    assert not failed
    assert hold.turns == 5
