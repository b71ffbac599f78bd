"""A detector whose banks are read late is the detector, and no less checked."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import refused, write
from nearfar.detector.detector import Detector, load
from nearfar.detector.folder.late import LateSections
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import FormatError
from nearfar.system.presets import logmel

RATE = 16_000


def section_of(seed):
    rows = np.random.default_rng(seed).standard_normal((4, 128)).astype(np.float32)
    member = Member(rows, np.arange(4), np.zeros(4, np.int8), None, np.array([1.0, 2.0, 3.0, 4.0]))
    clips = tuple(TrainingClip(f"{seed}{name}.wav", digest="") for name in "abcd")
    return Section((member,), clips, levels=None, seconds=1.0)


@pytest.fixture
def folder(tmp_path):
    """Of two machines, fan and pump."""
    sections = {(name, "00"): section_of(seed) for seed, name in enumerate(("fan", "pump"))}
    return Detector(logmel(), sections).save(tmp_path / "det")


@pytest.fixture
def sound():
    return 0.1 * np.random.default_rng(9).standard_normal((1, RATE)).astype(np.float32)


def bank_of(folder, machine):
    """The file of one machine's bank: the other machine is scored without it, or not at all."""
    for bank in folder.glob("bank-*"):
        if machine.encode() in bank.read_bytes():
            return bank
    raise LookupError(machine)


def test_scores_are_those_of_one_that_was_read_at_once(folder, sound):
    for machine in ("fan", "pump"):
        (now,) = load(folder).score(sound, sr=RATE, machine=machine)
        (later,) = load(folder, late=True).score(sound, sr=RATE, machine=machine)
        assert now == later


def test_no_bank_is_read_before_its_machine_is_asked_for(folder, sound):
    bank_of(folder, "pump").unlink()
    detector = load(folder, late=True)
    assert detector.machines == ("fan", "pump")
    assert ("pump", "00") in detector.sections
    assert len(detector.sections) == 2
    assert detector.score(sound, sr=RATE, machine="fan")[0].judged
    with pytest.raises(FormatError, match=r"det: bank-\w+\.safetensors: cannot be read"):
        detector.threshold("pump")
    with pytest.raises(FormatError, match="cannot be read"):
        load(folder)


@pytest.mark.parametrize("damage", ["bit", "short", "other"])
def test_a_damaged_bank_is_told_before_any_clip_is_heard(folder, damage):
    bank = bank_of(folder, "pump")
    content = bytearray(bank.read_bytes())
    content[-3] ^= 1
    if damage == "other":
        content = bank_of(folder, "fan").read_bytes()
    bank.write_bytes(content[:-8] if damage == "short" else content)
    clips = [nf.Clip(Path("gone.wav"), machine=name) for name in ("fan", "pump")]
    with pytest.raises(FormatError, match="det: bank-") as late:
        load(folder, late=True).score(clips)
    with pytest.raises(FormatError) as now:
        load(folder)
    assert str(late.value) == str(now.value)


def test_what_was_read_stays_what_it_was(folder, sound):
    detector = load(folder, late=True)
    (before,) = detector.score(sound, sr=RATE, machine="fan")
    shutil.rmtree(folder)
    assert detector.score(sound, sr=RATE, machine="fan")[0] == before
    assert detector.with_false_alarm_rate(0.5).sections is detector.sections


def test_one_that_was_replaced_meanwhile_is_not_called_damaged(folder, sound):
    detector = load(folder, late=True)
    new = load(folder)
    replace(new, sections={key: section_of(7) for key in new.sections}).save(folder)
    with pytest.raises(FormatError, match="det: it was replaced while it was read; run it again"):
        detector.score(sound, sr=RATE, machine="fan")


def test_one_that_is_gone_is_named_once(folder):
    detector = load(folder, late=True)
    shutil.rmtree(folder)
    line = refused(lambda: detector.threshold("fan"), "is no folder", error=FormatError)
    assert line.count(str(folder)) == 1


@pytest.mark.filterwarnings("error")
def test_one_threshold_for_all_is_drawn_without_a_look_at_any_bank(folder):
    for bank in folder.glob("bank-*"):
        bank.unlink()
    detector = load(folder, late=True)
    assert not detector.with_threshold_by_domain(False).threshold_by_domain
    assert detector.with_threshold_by_domain(machines=()).threshold_by_domain


@pytest.mark.parametrize("option", ["--threshold-by-domain", "--threshold-pooled"])
@pytest.mark.parametrize("named", [True, False])
def test_score_by_domain_reads_and_names_the_machines_it_is_asked_about(
    run, folder, sound, tmp_path, option, named
):
    bank_of(folder, "pump").unlink()
    clip = write(tmp_path / "fan" / "new.wav", sound)
    more = ("--machine", "fan") if named else ()
    code, out, err = run("score", folder, clip, "--workers", 1, "--no-cache", option, *more)
    assert (code, "fan" in out) == (0, True), err
    assert "pump" not in err
    assert ("fan: still one threshold" in err) == (option == "--threshold-by-domain")


def test_score_by_domain_names_the_one_machine_of_a_detector(run, sound, tmp_path):
    """Whose clips need not lie in a folder of its name."""
    folder = Detector(logmel(), {("fan", "00"): section_of(0)}).save(tmp_path / "one")
    clip = write(tmp_path / "today" / "new.wav", sound)
    given = ("score", folder, clip, "--workers", 1, "--no-cache", "--threshold-by-domain")
    code, _, err = run(*given)
    assert (code, "fan: still one threshold" in err) == (0, True)


def test_to_another_process_goes_what_the_banks_hold():
    asked = []
    sections = LateSections({("fan", "00"): lambda: asked.append(1) or "what it holds"})
    assert list(sections) == [("fan", "00")]
    assert asked == []
    assert pickle.loads(pickle.dumps(sections)) == {("fan", "00"): "what it holds"}
    assert sections["fan", "00"] == "what it holds"
    assert asked == [1]


def test_of_banks_read_late_no_more_are_kept_than_asked_for(folder, sound):
    bank = section_of(0).members[0].embeddings.nbytes
    bounded, whole = load(folder, late=True, most=bank), load(folder, late=True, most=2 * bank)
    for machine in ("fan", "pump", "fan"):
        given = [
            d.score(sound, sr=RATE, machine=machine)[0] for d in (bounded, whole, load(folder))
        ]
        assert given[0] == given[1] == given[2]
        assert [key for key in bounded.sections if bounded.sections.keeps(key)] == [(machine, "00")]
        assert list(bounded._judges) == [(machine, "00")]
    assert all(whole.sections.keeps(key) for key in whole.sections)
