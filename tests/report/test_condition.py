"""Data health of a run: numbers of what was heard, and lines for what deserves a look."""

import math
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.frontend import CoherenceMask
from nearfar.health.inspect import clip_statistics
from nearfar.report.condition import SAMPLED, condition, examine, told
from nearfar.report.judged import judge
from nearfar.study.data import Given
from reports import LOOK, judged, official, plant


def test_medians_leave_out_what_nobody_knows():
    looks = [replace(LOOK, ratio=r) for r in (1.0, 3.0, math.nan, 8.0)]
    found = condition("fan", looks, asked=5, silent=1)
    assert found.ratio == 3.0
    assert (found.clips, found.silent) == (5, 1)
    assert found.rates == {16_000: 4}
    assert (found.near, found.far) == (-30.0, -40.0)


def test_of_no_clips_nothing_is_known():
    found = condition("fan", [], asked=1, silent=1)
    assert math.isnan(found.near)
    assert math.isnan(found.shortest)


def test_clips_with_flat_tops_are_counted():
    looks = [LOOK, replace(LOOK, clipped=(0.0, 0.01)), replace(LOOK, clipped=())]
    assert condition("fan", looks, 3, 0).clipped == 1


def test_a_microphone_that_is_dead_is_named_whoever_is_anomalous():
    run = judged(official("fan", 3))
    clip, what = run.heard[0]
    dead = replace(what, look=replace(LOOK, levels=(-30.0, -120.0)))
    found = examine(replace(run, heard=((clip, dead), *run.heard[1:])))
    assert any("far microphone is at the noise floor" in line for line in found.suspects)


def test_clips_not_judged_are_told_with_their_reasons():
    run = judged(plant(count=6), silent=(2, 4))
    assert told(run, of_judged=True) == ()
    (line,) = told(run, of_judged=False)
    assert "0002.wav: silent" in line
    assert "0004.wav" in line
    assert examine(run).machines[0].silent == 2


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    root = tmp_path_factory.mktemp("hall") / "fan"
    rng = np.random.default_rng(2)
    for n in range(SAMPLED + 2):
        write(root / f"{n}.wav", machine_sound(rng))
    return root


def test_the_mask_is_looked_at_on_a_few_clips(hall, detector_folder):
    run = judge(nf.load(detector_folder), Given.of(hall), nf.Runtime())
    (fan,) = examine(run).machines
    assert fan.mask.clips == SAMPLED
    values = [
        clip_statistics(clip.read(), mask=CoherenceMask()).mask for clip in nf.Clips.open(hall)
    ]
    assert min(values) <= fan.mask.mean <= max(values)


def test_clips_that_are_gone_since_are_no_error():
    assert examine(judged(official("fan", 2))).machines[0].mask is None
