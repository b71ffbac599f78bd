"""What is promised of a rule, in numbers and in words."""

import numpy as np
import pytest
from scipy.stats import binom, chi2

import nearfar as nf
from conftest import machine_sound, write
from heard_clips import normal
from nearfar.scores.alarms import AlarmRule
from nearfar.service.alarms.normality import OwnScore
from nearfar.service.alarms.promise import MONTH, InOrder, Promise, promise, shares
from nearfar.service.alarms.raises import rate_of
from nearfar.service.alarms.wishes import AlarmSettings


def own(pattern, session=""):
    """Self-scores in order: x above, o between, . below."""
    p = {"x": 0.05, "o": 0.15, ".": 0.6}
    return tuple(OwnScore(mark == "x", p[mark], session) for mark in pattern)


def told(settings=None, **known):
    return Promise(normal(**known), settings or AlarmSettings())


@pytest.mark.parametrize(
    ("pattern", "alarms"),
    [
        ("", None),
        ("..x..x..x..x", 0),
        ("xxx.....xxx.....", 2),
        ("xxxoooooooooxxx", 1),  # between the thresholds it is one alarm
        ("xx.x............", 1),
    ],
)
def test_the_self_scores_go_through_the_alarms_own_machine(pattern, alarms):
    found = told(own=own(pattern)).measured
    assert (found and found.alarms) == alarms


@pytest.mark.parametrize(("alarms", "clips"), [(0, 100), (1, 50), (7, 300)])
def test_the_interval_is_that_of_a_poisson_count(alarms, clips):
    low, high = InOrder(clips, alarms).interval
    assert low * clips == pytest.approx(chi2.ppf(0.025, 2 * alarms) / 2 if alarms else 0)
    assert high * clips == pytest.approx(chi2.ppf(0.975, 2 * alarms + 2) / 2)


@pytest.mark.parametrize(("hits", "of"), [(0, 12), (3, 12), (12, 12)])
def test_the_interval_of_days_is_exact(hits, of):
    low, high = shares(hits, of)
    assert low == 0 or binom.sf(hits - 1, of, low) == pytest.approx(0.025)
    assert high == 1 or binom.cdf(hits, of, high) == pytest.approx(0.025)


def test_the_pace_is_the_told_one_else_the_recorded_else_end_to_end():
    assert told().clips_a_month == MONTH / 10
    assert told(clips_a_day=24.0).clips_a_month == 720
    assert told(AlarmSettings(every=600.0), clips_a_day=24.0).clips_a_month == 4320


def test_a_month_is_the_rate_of_its_clips_and_its_bound_is_above_it():
    found = told(AlarmSettings(every=600.0))
    assert found.expected == pytest.approx(4320 * rate_of(AlarmRule(3, 5), 99, 9, 0.2).value)
    assert found.highest > found.expected
    fewer = told(AlarmSettings(AlarmRule(4, 5), every=600.0))
    assert fewer.expected < found.expected


def test_what_cannot_be_told_is_said():
    lines = told().lines()
    assert any("as measured: cannot tell" in line for line in lines)
    assert any("the time that the machine runs" in line for line in lines)
    assert all("\n" not in line and len(line) < 300 for line in lines)


def test_drift_among_the_normals_themselves_is_counted():
    assert told(own=own("." * 60)).drifts == 0
    assert told(own=own("." * 60 + "x" * 12)).drifts == 1
    assert told(own=own("." * 60 + "x" * 12)).lines()[-1].endswith("in their order: 1")
    assert told().drifts is None


def test_of_a_handful_of_normals_every_line_is_there():
    lines = told(n=2, allowed=0, own=own("x.")).lines()
    assert lines[-1] == "drift: of fewer than 5 normal clips nobody can tell"


def test_few_days_tell_nothing_of_another_and_many_do():
    few = own("xxx....", "a") + own(".......", "b")
    line = next(line for line in told(own=few).lines() if "days or recordings" in line)
    assert line.startswith("1 of 2")
    assert "nobody can tell" in line
    many = tuple(one for n in range(12) for one in own("......", str(n)))
    line = next(line for line in told(own=many).lines() if "days or recordings" in line)
    assert line.startswith("0 of 12")
    assert "%" in line
    assert told(own=own("......")).sessions is None


def test_alarms_that_come_together_are_said_to():
    lines = told(own=own("xxx......" * 30)).lines()
    assert any("come together: count on this number" in line for line in lines)


def test_many_alarms_come_with_ways_to_fewer():
    """Ten seconds day and night at 10 % are a thousand a month."""
    [line] = [line for line in told().lines() if line.startswith("for fewer")]
    assert "a false-alarm rate of 0.01" in line
    assert "an alarm of 4/5" in line
    calm = told(AlarmSettings(every=600.0), rate=0.01, allowed=0)
    assert not [line for line in calm.lines() if line.startswith("for fewer")]


def test_no_way_is_named_that_brings_no_fewer():
    """Of 120 clips at 1 % none may be above already: at 0.1 % it is none as well."""
    [line] = [
        line for line in told(n=120, rate=0.01, allowed=0).lines() if line.startswith("for fewer")
    ]
    assert "rate" not in line
    assert "an alarm of 4/5" in line


@pytest.mark.parametrize(
    "rule",
    [AlarmRule(1, 1), AlarmRule(5, 5), pytest.param(AlarmRule(6, 12), marks=pytest.mark.slow)],
)
def test_every_rule_has_its_lines(rule):
    assert len(told(AlarmSettings(rule)).lines()) >= 5


def test_a_detector_is_asked_by_machine(tmp_path):
    rng = np.random.default_rng(3)
    for n in range(14):
        write(tmp_path / f"pump_2026-03-01_{n:02d}-00-00.wav", machine_sound(rng))
    detector = nf.fit(nf.s4(), nf.Clips.open(tmp_path, machine="pump"))
    found = promise(detector, AlarmSettings(), "pump")
    assert found.measured.clips == 14
    assert found.lines()[0].startswith("pump: alarm 3/5")
