"""What a detector knows of normal clips, and what keeps us from hearing a clip."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from conftest import DATA, machine_sound, write
from heard_clips import normal
from nearfar.errors import DatasetError
from nearfar.service.alarms.normality import ENOUGH, Normality, gate_of
from nearfar.service.alarms.promise import promise
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.sound.look import Look, look
from nearfar.sound.recorded import measure

MARGIN = 10.0  # dB, of `NEAR_MARGIN`: what a verdict is not surprised by either
STEREO = {"ratio": (4.0, 9.0), "coherence": (0.3, 0.6), "rates": (16_000,)}


def clip(levels=(-30.0, -36.0), ratio=6.0, coherence=0.4, rate=16_000, **more):
    return Look(10.0, levels, ratio=ratio, lr_corr=0.2, coherence=coherence, sample_rate=rate,
                **more)  # fmt: skip


@given(st.lists(st.floats(-80, -10), min_size=1, max_size=60))
def test_the_gate_lies_a_margin_below_the_lowest_normal_or_what_is_no_stray(levels):
    gate = gate_of(np.array(levels))
    assert gate >= min(levels) - MARGIN
    below = [level for level in levels if level < gate]
    # What lies below it is far below all others, and few.
    assert len(below) <= max(1, len(levels) // 20)
    rest = [level for level in levels if level >= gate]
    assert gate == pytest.approx(min(rest) - MARGIN)


def test_of_few_normals_none_is_astray():
    assert gate_of(np.array([-30.0] * (ENOUGH - 2) + [-70.0])) == -80.0
    assert gate_of(np.array([-30.0] * (ENOUGH - 1) + [-70.0])) == -40.0


def test_levels_that_say_nothing_give_no_gate():
    assert gate_of(np.array([-math.inf, math.nan])) is None
    assert normal(gate=None).is_running(-100.0)


@pytest.mark.parametrize(
    ("level", "running"), [(-61.0, False), (-59.0, True), (-math.inf, False), (None, True)]
)
def test_the_gate(level, running):
    assert normal().is_running(level) == running
    assert normal().gated(-90.0).is_running(-61.0)


@pytest.mark.parametrize(
    ("look_", "expected"),
    [
        (clip(), ()),
        (clip((-math.inf, -36.0), ratio=math.nan), ("near dead",)),
        (clip((-30.0, -math.inf), ratio=math.nan), ("far dead",)),
        (clip((-30.0, -91.0)), ("far silent",)),
        (clip((-95.0, -91.0)), ("near silent", "far silent")),
        (clip(clipped=(0.01, 0.0)), ("near clipped",)),
        (clip(clipped=(0.0, 0.01)), ("far clipped",)),
        (replace(clip(), lr_corr=1.0), ("identical",)),
        (clip(ratio=-6.0), ("swapped",)),
        (clip(ratio=0.0), ("moved",)),
        (clip(ratio=20.0), ("moved",)),
        (clip(ratio=15.0), ()),  # louder where it stands: that is the machine's own affair
        (clip(coherence=0.1), ("moved",)),
        (clip(rate=8_000), ("wrong rate",)),
        (clip(rate=48_000), ()),  # to a system that hears 16 kHz it is the same
        (clip((-30.0,)), ("wrong channels",)),
    ],
)
def test_what_keeps_us_from_hearing(look_, expected):
    known = normal(**STEREO)
    assert known.faults(look_) == expected
    dumb = any(one.endswith(("dead", "silent", "channels")) for one in expected)
    assert known.blinds(expected) == dumb


@pytest.mark.parametrize(
    "look_", [clip((-70.0, -65.0), ratio=-5.0), clip((-70.0, -70.0), coherence=0.05)]
)
def test_of_a_machine_that_stands_the_hall_is_no_moved_microphone(look_):
    known = normal(**STEREO)
    assert known.faults(look_) == ()
    assert not known.is_running(look_.levels[0])
    assert known.gated(-80.0).faults(look_) != ()


def test_but_a_dead_microphone_is_found_while_it_stands():
    assert normal(**STEREO).faults(clip((-95.0, -65.0))) == ("near silent",)


@pytest.mark.parametrize("offset", [0.0, 0.1, -0.7])
def test_a_constant_is_dead_whatever_it_is(offset):
    audio = machine_sound(np.random.default_rng(2))
    audio[1] = offset
    assert normal(**STEREO).faults(look(audio, measure(audio, 16_000))) == ("far dead",)


def test_what_normal_clips_had_themselves_is_no_fault():
    known = normal(**STEREO, clipped=(0.02, 0.0), floor=(False, True), twice=True)
    assert known.faults(clip(clipped=(0.03, 0.0))) == ()
    assert known.faults(clip((-30.0, -92.0))) == ()
    assert known.faults(replace(clip(), lr_corr=1.0)) == ()


def test_where_a_ratio_and_its_mirror_image_are_normal_nobody_can_tell():
    known = normal(ratio=(-4.0, 4.0))
    assert known.faults(clip(ratio=-6.0)) == ()
    assert known.faults(clip(ratio=-8.0)) == ("moved",)


def test_a_system_of_one_channel_asks_nothing_of_the_other():
    known = normal(two=False)
    assert known.faults(clip((-30.0,))) == known.faults(clip((-30.0, -math.inf))) == ()
    assert known.faults(clip((-30.0, -36.0)), channels=4) == ("wrong channels",)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A detector of clips that say their time, and one of clips that do not."""
    root, rng = tmp_path_factory.mktemp("normals"), np.random.default_rng(3)
    for n in range(14):
        audio = machine_sound(rng)
        write(root / "dated" / f"pump_2026-03-{1 + n // 7:02d}_{6 + n % 7:02d}-00-00.wav", audio)
        write(root / "plain" / f"{n}.wav", audio)
    return {
        name: nf.fit(nf.s4(), nf.Clips.open(root / name, machine="pump"))
        for name in ("dated", "plain")
    }


def test_all_that_is_asked_is_learnt_at_fit(fitted):
    known = Normality.of(fitted["dated"], "pump")
    assert known.unknown == ()
    assert known.two
    assert known.n == 14
    assert known.rates == (16_000,)
    threshold = fitted["dated"].threshold("pump").value
    own = fitted["dated"].self_scores("pump")
    assert known.allowed == (own > threshold).sum()
    assert sum(one.above for one in known.own) == known.allowed
    assert sorted({one.p_value for one in known.own})[0] == pytest.approx(1 / 14)
    new = look(machine_sound(np.random.default_rng(9)))
    assert known.faults(new) == ()
    assert known.is_running(new.levels[0])
    assert not known.is_running(new.levels[0] - 25)
    assert known.faults(look(machine_sound(np.random.default_rng(9))[::-1].copy())) == ("swapped",)


def test_the_self_scores_are_in_the_order_of_time(fitted):
    known = Normality.of(fitted["dated"], "pump")
    own = fitted["dated"].self_scores("pump")
    names = [one.name for one in fitted["dated"].sections[("pump", "00")].clips]
    limit = fitted["dated"].threshold("pump").value
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    assert [one.above for one in known.own] == [bool(own[i] > limit) for i in by_name]
    assert Normality.of(fitted["plain"], "pump").own is None


def test_a_detector_that_kept_no_traces_says_what_it_cannot_judge(fitted):
    old = fitted["dated"]
    section = replace(old.sections[("pump", "00")], traces=None, near=None, levels=None)
    known = Normality.of(replace(old, sections={("pump", "00"): section}), "pump")
    assert known.unknown == ("idle", "moved", "swapped", "wrong rate")
    assert known.own is None
    assert known.gate is None
    assert known.faults(clip()) == ()
    assert known.faults(clip((-30.0, -95.0))) == ("far silent",)
    assert Normality.of(old, "pump", gate=-33.0).gate == -33.0


@pytest.mark.parametrize("name", ["logmel", "s4", "adapted-shift"])
def test_a_detector_of_long_ago_judges_what_it_can(name):
    old = nf.load(DATA / "detectors" / name)
    for by_domain in (False, True):
        detector = replace(old, threshold_by_domain=by_domain)
        known = Normality.of(detector, "fan")
        assert {"idle", "wrong rate"} <= set(known.unknown)
        assert known.own is None
        assert known.is_running(-80.0)
        assert "cannot tell" in promise(detector, AlarmSettings(), "fan").lines()[2]


def test_a_machine_that_it_does_not_know_is_refused(fitted):
    with pytest.raises(DatasetError):
        Normality.of(fitted["dated"], "fan")
