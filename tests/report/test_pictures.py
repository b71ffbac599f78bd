"""Pictures of a report say in words what they show, and hold no more than they need."""

import re
from datetime import timedelta

import pytest

from nearfar.report import pictures
from nearfar.report.contents import gather
from nearfar.report.timeline import each_point, over_time
from reports import judged, official, plant


@pytest.fixture(scope="module")
def fan():
    return gather(judged(official("fan", 6))).panels[0]


@pytest.fixture(scope="module")
def pump():
    return gather(judged(plant(count=30), scores=[0.0] * 25 + [50.0] * 5)).panels[0]


def said(svg):
    return re.search(r'aria-label="([^"]*)"', svg)[1]


def test_each_picture_says_its_numbers(fan, pump):
    assert f"AUC {100 * fan.curve.auc:.2f} %" in said(pictures.roc(fan))
    assert "normal, source: 6 clips" in said(pictures.scores(fan))
    assert "threshold" in said(pictures.scores(fan))
    assert "30 normal clips of the detector" in said(pictures.chart(fan))
    assert "30 recordings, 5 above the threshold" in said(over_time(pump.history))
    rows = [("fan", 0.6, (0.5, 0.7)), ("Ω", 0.6, None)]
    assert "fan 60.00 %, interval 50.00 to 70.00; Ω 60.00 %" in said(
        pictures.overview(rows, {"fan": [0.5]}, {"fan": 0.55})
    )


def test_what_cannot_be_drawn_is_none(fan, pump):
    assert pictures.roc(pump) is None
    assert fan.history is None
    none = gather(judged(plant(count=2), silent=(0, 1))).panels[0]
    assert pictures.scores(none) is None
    assert pictures.chart(none) is None


def test_shares_above_the_threshold_are_those_of_the_verdicts(fan):
    normal, bad = pictures.alarmed(fan)
    flags = {"normal": [], "anomaly": []}
    for v in fan.verdicts:
        flags[v.clip.label].append(v.anomalous)
    assert normal == sum(flags["normal"]) / 12
    assert bad == sum(flags["anomaly"]) / 12


def test_a_name_is_no_formula():
    """Signs of matplotlib's own language are drawn as they are."""
    drawn = pictures.overview([("a$_b$ <i>&", 0.6, None)], {}, {})
    assert "a$_b$ &lt;i&gt;&amp;" in drawn
    assert "<i>" not in drawn


def test_a_long_series_is_thinned_and_keeps_its_alarms():
    clips = plant(count=5000, step=timedelta(seconds=10))
    scores = [0.0] * 5000
    scores[1234] = 9.0
    panel = gather(judged(clips, scores=scores)).panels[0]
    assert each_point(panel.history, 1500) == 4
    drawn = over_time(panel.history, 1500)
    assert "score 9.00" in drawn
    assert drawn.count("<title>") == 1500
    assert len(drawn) < 700_000
