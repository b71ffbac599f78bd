"""Two detectors are held to the same verdicts: what passes, what does not, and what is told."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar.clips.clip import Clip
from nearfar.detector.edge import verifying
from nearfar.detector.edge.exported import ExportRecord
from nearfar.detector.edge.verifying import Pair, Verification, compared, probed, verify
from nearfar.detector.folder.index import seal
from nearfar.errors import DatasetError, FormatError, SettingError
from nearfar.scores.verdict import Verdict

FP32 = ExportRecord("9f86", "fp32", 17, "0.1.0", "2026-11-30T12:00:00+00:00")
INT8 = replace(FP32, precision="int8")


def pair(before, after, threshold=1.0, name="a.wav", **more):
    one = Verdict(Clip(Path(name)), before, 0.5, threshold, "b.wav")
    return Pair(one, replace(one, score=after), **{"unit": 0.5} | more)


def found(*pairs, record=FP32, omega=None):
    return Verification(record, pairs, "given", omega)


@pytest.mark.parametrize(
    ("before", "after", "more", "passes"),
    [
        (0.8, 0.8 * (1 + 0.9e-4), {}, True),
        (0.8, 0.8 * (1 + 1.2e-4), {}, False),
        (0.0, 0.4e-4, {}, True),  # a clip of the bank: held against a usual score
        (0.0, 0.6e-4, {}, False),
        (0.0, 0.0, {"unit": 0.0}, True),
        (0.0, 1e-12, {"unit": 0.0}, False),
        (0.60, 0.61, {"steps": (0.01,)}, True),  # of a percentile
        (0.60, 0.605, {"steps": (0.01,)}, False),  # which another member's is none of
        (0.60, 0.62, {"steps": (0.01,)}, False),
        (0.60, 0.61 - 0.004, {"steps": (0.01, 0.004)}, True),
        (0.8, math.nan, {}, False),
        (0.6, 0.6, {"distances": ((0.5, 0.5 * (1 + 0.9e-4), 0.1),)}, True),
        (0.6, 0.6, {"distances": ((0.5, 0.5 * (1 + 1.2e-4), 0.1),)}, False),  # no step, but apart
        (0.6, 0.6, {"distances": ((0.0, 0.6e-4, 1.0), (0.0, 0.6e-4, 0.5))}, False),
        (-0.8, -0.8 * (1 + 0.9e-4), {}, True),
    ],
)
def test_scores_agree_to_a_share_of_themselves(before, after, more, passes):
    assert found(pair(before, after, **more)).passed == passes


def test_one_verdict_that_turns_fails_however_near_its_scores_are():
    turned = pair(1.0, 1.0 + 1e-9)
    assert turned.difference < verifying.RELATIVE
    one = found(turned, pair(0.5, 0.5, name="c.wav"))
    assert not one.passed
    assert len(one.faults) == 1
    assert "1 of 2" in one.faults[0]
    assert "a.wav" in one.faults[0]
    assert "c.wav" not in one.faults[0]


def test_int8_is_held_to_shares_and_omega_not_to_scores():
    far = [pair(0.5, 0.7, name=f"{n}.wav") for n in range(49)]
    turned = pair(0.9, 1.1)
    assert found(*far, turned, record=INT8).passed  # 49 of 50
    assert not found(*far, turned, turned, record=INT8).passed
    assert found(*far, record=INT8, omega=(0.9, 0.891)).passed
    assert "0.8890" in found(*far, record=INT8, omega=(0.9, 0.889)).faults[0]


def test_a_failure_names_the_worst_clips_first_and_counts_the_others():
    pairs = [pair(0.5, 0.5 + 0.01 * n, name=f"{n}.wav") for n in range(6)]
    (line,) = found(*pairs).faults
    assert line.index("5.wav") < line.index("4.wav") < line.index("3.wav")
    assert "2.wav" not in line
    assert line.endswith("and 2 more")


def test_what_steps_hid_is_told_by_its_distances():
    (line,) = found(pair(0.6, 0.6, distances=((0.5, 0.5, 0.1), (0.25, 0.2503, 0.1)))).faults
    assert "a.wav: 0.600000 and 0.600000, distances 0.250000 and 0.250300" in line


def test_a_program_reads_it_as_json():
    one = found(pair(0.8, math.nan), record=FP32)
    data = json.loads(json.dumps(one.as_dict(), allow_nan=False))
    assert (data["passed"], data["difference"], data["rows"][0]["after"]) == (False, None, None)
    assert data["bounds"] == {"difference": 1e-4, "share_equal": 1.0, "omega": None}
    assert one.proof.clips == 1


# ---- two detectors -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edge_folder(detector_folder, tmp_path_factory):
    full = nf.load(detector_folder)
    made = replace(full, exported=replace(FP32, source=seal(detector_folder), opset=None))
    return made.save(tmp_path_factory.mktemp("edge") / "s4")


@pytest.fixture(scope="module")
def clips(dcase):
    return nf.Clips.open(dcase, split="test")


def test_a_detector_agrees_with_itself_on_clips_with_labels(edge_folder, detector_folder, clips):
    one = verify(edge_folder, detector_folder, clips)
    assert one.passed
    assert one.largest == 0.0
    assert one.omega is not None
    assert one.omega[0] == one.omega[1] == nf.evaluate(nf.load(edge_folder).score(clips)).score
    assert len(one.pairs) == len(clips)


def test_without_labels_there_is_no_omega(edge_folder, detector_folder, clips):
    nobody = nf.Clips(replace(clip, label=None) for clip in clips.select(machine="fan"))
    assert verify(edge_folder, detector_folder, nobody).omega is None
    alone = clips.select(label="normal", machine="fan")
    assert verify(edge_folder, detector_folder, alone).omega is None


def test_another_threshold_is_found(edge_folder, detector_folder, clips, tmp_path):
    """Who draws an exported detector's thresholds anew has other verdicts."""
    other = nf.load(edge_folder).with_false_alarm_rate(0.9).save(tmp_path / "other")
    assert not verify(other, detector_folder, clips).passed


def test_what_cannot_be_verified_is_refused_in_a_line(
    edge_folder, detector_folder, clips, tmp_path
):
    refused(lambda: verify(edge_folder, edge_folder, clips), "itself", error=SettingError)
    copy = nf.load(detector_folder).save(tmp_path / "plain")
    refused(lambda: verify(copy, detector_folder, clips), "was not exported", error=FormatError)
    other = nf.load(detector_folder).with_false_alarm_rate(0.2).save(tmp_path / "changed")
    refused(lambda: verify(edge_folder, other, clips), "another detector", error=FormatError)
    refused(lambda: verify(edge_folder, detector_folder, []), "no clips", error=DatasetError)


def test_sounds_in_memory_are_judged_as_clips_are(edge_folder, detector_folder, clips):
    from nearfar.detector.edge.probes import Probe

    full, small = nf.load(detector_folder), nf.load(edge_folder)
    one = clips[0]
    by_sound = probed(full, small, [Probe(one, one.read("near-far"))], "normals")
    by_clip = compared(full, small, [one])
    assert by_sound.pairs[0].before.score == by_clip.pairs[0].before.score


def test_a_bank_a_little_off_is_found_behind_percentiles(detector_folder, clips):
    """A score in percentiles stays what it was where a row moves by less than a step."""
    full = nf.load(detector_folder)
    by_percentile = replace(full.system, calibration=nf.Percentile())
    full = replace(full, system=by_percentile)
    key = ("fan", "00")
    section = full.sections[key]
    (member,) = section.members
    moved = replace(member, embeddings=member.embeddings * np.float32(1 + 1e-4))
    sections = {key: replace(section, members=(moved,))}
    after = replace(full, sections=sections, exported=FP32)
    some = clips.select(machine="fan")
    found = compared(replace(full, sections={key: section}), after, some)
    assert all(replace(one, distances=()).difference == 0.0 for one in found.pairs)
    assert not found.passed
    assert "distances" in found.faults[0]
    assert compared(full, replace(full, exported=FP32), some).largest == 0.0
