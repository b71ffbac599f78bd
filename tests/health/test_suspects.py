"""Each way in which training data lies: named are exactly the wrong clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.health.suspects import NAMED, Suspect, by_look, is_twice, lines, unexplained
from nearfar.sound.lag import Lag
from nearfar.sound.look import Look

GOOD = Look(
    10.0, (-30.0, -38.0), ratio=8.0, lr_corr=0.4, coherence=0.3, sample_rate=48_000,
    clipped=(0.0, 0.0), zeros=(0.001, 0.002),
)  # fmt: skip


def clip(i, **fields):
    return nf.Clip(Path("hall") / f"c{i:02d}.wav", machine="fan", **fields)


def machine(wrong=(), n=30, **changed):
    """Clips of one machine; those with a wrong place have other numbers."""
    rng = np.random.default_rng(0)
    good = [replace(GOOD, ratio=8 + rng.standard_normal()) for _ in range(n)]
    return [
        (clip(i), replace(what, **changed) if i in wrong else what) for i, what in enumerate(good)
    ]


def named(heard):
    """{kind: places}"""
    found = {}
    for suspect in by_look(heard):
        found.setdefault(suspect.kind, set()).add(int(suspect.clip.path.stem[1:]))
    return found


def test_a_clean_machine_gives_no_line():
    assert named(machine()) == {}
    assert named(machine(n=3)) == {}
    assert named([(clip(i), Look(10.0, (-30.0,))) for i in range(10)]) == {}  # one channel


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("ratio", {"ratio": -8.0}),
        ("far floor", {"levels": (-30.0, -92.0)}),
        ("far floor", {"levels": (-30.0, -np.inf)}),
        ("near floor", {"levels": (-91.0, -38.0)}),
        ("twice", {"lr_corr": -0.9995}),
        ("twice", {"coherence": 0.995}),
        ("clipped", {"clipped": (0.0, 0.02)}),
        ("zeros", {"zeros": (0.2, 0.0)}),
        ("off", {"levels": (-45.0, -53.0)}),
        ("loud", {"levels": (-18.0, -26.0)}),
        ("length", {"seconds": 7.0}),
        ("rate", {"sample_rate": 44_100}),
        ("lag", {"lag": Lag(-500.0, -500.0, 0.0)}),
        ("lag", {"lag": Lag(31.0, 31.0, 0.0)}),
    ],
)
def test_the_wrong_clips_are_named_and_no_others(kind, changed):
    wrong = {3, 17}
    assert named(machine(wrong, **changed)) == {kind: wrong}


@pytest.mark.parametrize(
    "changed",
    [
        {"ratio": 16.0},  # a few dB of wind
        {"levels": (-38.0, -45.0)},
        {"lag": Lag(29.0, 29.0, 0.0)},
        {"lag": Lag(float("nan"), float("nan"), 0.0)},
        {"clipped": (), "zeros": ()},  # nobody knows
        {"levels": (-75.0, -75.0), "zeros": (0.07, 0.07), "clipped": (0.9, 0.9)},
    ],
)
def test_what_may_be_is_not_named(changed):
    if changed.get("levels") == (-75.0, -75.0):  # a quiet machine, as all its clips are
        assert named(machine(range(30), **changed)) == {}
    else:
        assert named(machine({3, 17}, **changed)) == {}


def test_a_machine_that_is_wrong_throughout_is_said_but_not_left_out():
    found = by_look(machine(range(30), levels=(-30.0, -92.0)))
    assert len(found) == 30
    assert not any(suspect.alone for suspect in found)
    assert all(suspect.alone for suspect in by_look(machine({3}, levels=(-30.0, -92.0))))


def test_both_levels_are_told_and_the_few_are_named():
    (line,) = lines(by_look(machine({3, 17}, levels=(-50.0, -58.0))), {"fan": 30}).values()
    assert line.endswith("(c03.wav -50 dBFS, c17.wav -50 dBFS)")
    assert "than the others (-30 dBFS)" in line
    assert line.count(".wav") == 2


@pytest.mark.parametrize("loud", [{7}, {3, 17}, set(range(14))])
def test_the_few_that_are_loud_are_named_and_not_all_others(loud):
    """Whether they were disturbed or all others off: the few are what there is to look at."""
    heard = machine(loud, levels=(-18.0, -26.0))
    found = by_look(heard)
    assert {int(s.clip.path.stem[1:]) for s in found} == loud
    assert {s.kind for s in found} == {"loud"}
    assert all(s.alone for s in found)  # so that they can be left out
    (line,) = lines(found, {"fan": 30}).values()
    assert line.startswith(f"fan: {len(loud)} of 30 clips: much louder than the others (-30 dBFS)")


def test_of_equal_groups_the_quiet_one_is_named():
    assert named(machine(set(range(15)), levels=(-50.0, -58.0))) == {"off": set(range(15))}
    assert named(machine(set(range(16)), levels=(-50.0, -58.0))) == {"loud": set(range(16, 30))}


def test_loud_and_quiet_clips_are_told_apart():
    heard = machine({3}, levels=(-14.0, -22.0))
    heard[9] = (heard[9][0], replace(GOOD, levels=(-55.0, -63.0)))
    heard[11] = (heard[11][0], replace(GOOD, levels=(-72.0, -80.0)))
    assert named(heard) == {"loud": {3}, "off": {9, 11}}
    # Everywhere another level: then none is the machine's own, and none is to be left out.
    steps = [
        (c, replace(w, levels=(-80.0 + 11 * (i % 6), -90.0))) for i, (c, w) in enumerate(heard)
    ]
    assert not any(s.alone for s in by_look(steps) if s.kind in ("loud", "off"))


def test_swapped_channels_that_were_nearly_as_loud_are_named():
    """+4 dB that turns to −4 is 8 dB off: no other place, but the other microphone."""
    rng = np.random.default_rng(1)
    usual = [replace(GOOD, ratio=4 + 0.3 * rng.standard_normal()) for _ in range(30)]
    heard = [(clip(i), what) for i, what in enumerate(usual)]
    turned = [(c, replace(w, ratio=-w.ratio) if i in (3, 17) else w)
              for i, (c, w) in enumerate(heard)]  # fmt: skip
    assert named(turned) == {"ratio": {3, 17}}
    same_sign = [(c, replace(w, ratio=12.0) if i == 3 else w) for i, (c, w) in enumerate(heard)]
    assert named(same_sign) == {}
    # Where it is always near 0 dB, or goes up and down, a sign says nothing.
    small = [(c, replace(w, ratio=w.ratio - 3 if i != 3 else -2.0))
             for i, (c, w) in enumerate(heard)]  # fmt: skip
    assert named(small) == {}
    wide = [(clip(i), replace(GOOD, ratio=4 + 2 * rng.standard_normal())) for i in range(30)]
    wide[3] = (wide[3][0], replace(GOOD, ratio=-3.5))
    assert named(wide) == {}


def test_target_clips_are_compared_with_target_clips():
    far = {i: {"ratio": 25.0} for i in range(6)}
    heard = machine()
    moved = [(clip(40 + i, domain="target"), replace(GOOD, **far[i])) for i in range(6)]
    assert named(heard + moved) == {}
    moved[2] = (moved[2][0], replace(GOOD, ratio=2.0))
    assert named(heard + moved) == {"ratio": {42}}
    assert named(heard + moved[:4]) == {}  # four are too few for a median


@pytest.mark.parametrize("changed", [{"seconds": 15.0}, {"sample_rate": 16_000}])
@pytest.mark.parametrize("targets", [3, 6])
def test_lengths_and_rates_are_those_of_a_domain(changed, targets):
    """Target clips of another length are a condition; one of them alone is not."""
    heard = machine()
    other = [(clip(40 + i, domain="target"), replace(GOOD, **changed)) for i in range(targets)]
    assert named(heard + other) == {}
    heard[7] = (heard[7][0], replace(GOOD, **changed))
    (kind,) = named(heard + other)
    assert named(heard + other) == {kind: {7}}
    other += [(clip(60, domain="target"), GOOD)]
    found = {s.clip.file: s.usual for s in by_look(heard + other)}
    own = {"seconds": ("10 s", "15 s"), "sample_rate": ("48000 Hz", "16000 Hz")}[
        next(iter(changed))
    ]
    # Each with what is usual in its own domain; five are needed to say so.
    assert found == {"c07.wav": own[0], **({"c60.wav": own[1]} if targets > 4 else {})}


@pytest.mark.parametrize("changed", [{"seconds": 15.0}, {"sample_rate": 16_000}])
def test_a_session_of_another_length_or_rate_is_no_suspect(changed):
    heard = machine({3, 4, 5}, **changed)
    assert len(by_look(heard)) == 3
    days = [(replace(c, path=Path(f"day{int(3 <= i < 6)}") / c.path.name), w)
            for i, (c, w) in enumerate(heard)]  # fmt: skip
    assert by_look(days) == []


def test_a_condition_that_differs_as_a_whole_is_no_suspect():
    heard = machine({3, 4, 5}, ratio=25.0)
    speeds = [(replace(c, attributes="fast" if 3 <= i < 6 else "slow"), w)
              for i, (c, w) in enumerate(heard)]  # fmt: skip
    assert named(speeds) == {}
    mixed = [(replace(c, attributes="fast" if i % 2 else "slow"), w)
             for i, (c, w) in enumerate(heard)]  # fmt: skip
    assert named(mixed) == {"ratio": {3, 4, 5}}
    days = [(replace(c, path=Path(f"day{int(3 <= i < 6)}") / c.path.name), w)
            for i, (c, w) in enumerate(heard)]  # fmt: skip
    assert named(days) == {}


def test_attributes_of_each_clip_alone_explain_nothing():
    clips = [clip(i, attributes=f"number_{i}") for i in range(10)]
    flagged = np.arange(10) == 4
    assert unexplained(clips, flagged).tolist() == flagged.tolist()


def test_drift_is_of_the_recording_not_of_its_parts():
    def parts(ppm, count=60):
        return [
            (clip(0, start=10.0 * i, stop=10.0 * i + 10), replace(
                GOOD, lag=Lag(ppm * i / 100, ppm * (i + 0.6) / 100, 6.0)))
            for i in range(count)
        ]  # fmt: skip

    (found,) = [s for s in by_look(parts(40)) if s.kind == "drift"]  # 24 ms in 600 s
    assert found.value == "+40 ppm, +24 ms in 600 s"
    assert not [s for s in by_look(parts(20)) if s.kind == "drift"]  # 12 ms


def test_a_floor_is_no_copy():
    assert is_twice(replace(GOOD, lr_corr=1.0))
    assert not is_twice(replace(GOOD, lr_corr=1.0, levels=(-92.0, -92.0)))
    assert not is_twice(replace(GOOD, lr_corr=0.998, coherence=0.98))


def test_a_line_is_short_and_counts_what_it_does_not_name():
    long = [nf.Clip(Path(f"{'x' * 60}_{i}.wav"), machine="fan") for i in range(200)]
    (line,) = lines([Suspect(c, "twice", "LR_corr 1.000") for c in long], {"fan": 300}).values()
    assert len(line) <= 500
    assert line.startswith("fan: 200 of 300 clips: both channels are one")
    named_here = line.count(".wav")
    assert f"and {200 - named_here} more" in line
    few = [Suspect(c, "twice", "") for c in machine() for c in [c[0]]]
    (line,) = lines(few, {"fan": 30}).values()
    assert line.count(".wav") == NAMED
