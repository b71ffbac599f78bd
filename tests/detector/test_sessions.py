"""Normals of few sessions: what is promised is said to hold for these, and is kept for others."""

import warnings
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

import nearfar as nf
from conftest import RATE, write
from nearfar.detector import normals

pytestmark = pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")

SECONDS, PARTS, SESSIONS = 2, 20, 4


def session(rng, seconds):
    """A hum whose speed and level, and a hall whose noise, are this session's alone."""
    t = np.arange(round(seconds * RATE)) / RATE
    turns = 50 * (1 + 0.03 * rng.standard_normal())
    hum = sum(np.sin(2 * np.pi * turns * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 4, 7, 11))
    loud, hall = 10 ** (rng.normal(0, [1, 4]) / 20)
    near, far, shared = rng.standard_normal((3, len(t)))
    noise = np.convolve(shared, np.ones(6) / 6, "same") * hall
    both = [hum * loud + 0.4 * near + noise, 0.3 * hum * loud + 0.2 * far + 1.5 * noise]
    return 0.02 * np.stack(both)


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    """`few/`: four long recordings; `new/`: short ones of as many days."""
    root = tmp_path_factory.mktemp("hall")
    rng = np.random.default_rng(60)
    for i in range(SESSIONS):
        write(root / "few" / f"{i}.wav", session(rng, SECONDS * PARTS))
    for i in range(30):
        write(root / "new" / f"{i}.wav", session(rng, SECONDS))
    return root


def few(hall):
    return nf.Clips.open(hall / "few", clip_seconds=SECONDS)


def flagged(detector, hall):
    """Share of normal clips of other sessions above the threshold."""
    scores = detector.score(nf.Clips.open(hall / "new"))
    return np.mean([v.score > v.threshold for v in scores])


def caveat(detector):
    (section,) = detector.sections.values()
    return section.caveat


def test_a_threshold_of_four_recordings_is_kept_by_others(hall, monkeypatch):
    detector = nf.fit(nf.s4(), few(hall))
    said = caveat(detector)
    assert "80 clips from 4 recordings" in said
    assert "more alarms" in said
    assert "\n" not in said
    promised = detector.threshold("few").confident
    assert flagged(detector, hall) <= promised
    # Held out one by one, neighbours of one recording vouch for each other.
    monkeypatch.setattr(normals, "recording_blocks", lambda clips, folds: np.arange(len(clips)))
    assert flagged(nf.fit(nf.s4(), few(hall)), hall) > 2 * promised


def test_a_stray_file_does_not_take_the_line_away(hall):
    stray = nf.Clips.open(hall / "new")[0]
    detector = nf.fit(nf.logmel(), [*few(hall), replace(stray, machine="few")])
    assert "81 clips from 5 recordings" in caveat(detector)
    alone = nf.Clips.open(hall / "new")
    assert caveat(nf.fit(nf.logmel(), alone)) == ""  # nothing is known


def test_one_session_of_most_clips_says_so_however_many_others_there_are(hall):
    """Of a tenth of all clips above the threshold all may be of the others."""
    alone = [replace(clip, machine="few") for clip in nf.Clips.open(hall / "new")]
    one = [clip for clip in few(hall) if clip.path.stem == "0"]
    said = caveat(nf.fit(nf.logmel(), [*one, *alone[:19]]))
    assert "39 clips from 20 recordings, 20 of them from one:" in said
    assert caveat(nf.fit(nf.logmel(), [*one, *alone[:20]])) == ""


def days_of(hall, days, apart=1200):
    """The short clips as recordings of that many days, so many seconds apart."""
    clips = nf.Clips.open(hall / "new")
    each, begin = len(clips) // days, datetime(2024, 11, 4, 7)
    return [
        replace(clip, time=begin + timedelta(days=n // each, seconds=apart * (n % each)))
        for n, clip in enumerate(clips[: days * each])
    ]  # fmt: skip


def test_what_whole_days_do_to_the_threshold_is_said(hall):
    three = nf.fit(nf.s4(), days_of(hall, 3))
    alone = nf.fit(nf.s4(), nf.Clips.open(hall / "new"))
    (dated,), (bare,) = three.sections.values(), alone.sections.values()
    assert "each day was held out whole" in dated.held_out
    assert "the threshold is as a rule higher than of the same clips if no days" in dated.held_out
    assert bare.held_out == ""
    assert three.threshold("new").value > alone.threshold("new").value
    # A day of more than half of the clips is cut.
    assert next(iter(nf.fit(nf.logmel(), days_of(hall, 1)).sections.values())).held_out == ""


def test_false_alarms_are_told_in_the_pace_of_the_recordings(hall):
    """Of three days with ten recordings each; of parts that follow each other an hour is full."""
    detector = nf.fit(nf.logmel(), days_of(hall, 3))
    (section,) = detector.sections.values()
    drawn = detector.threshold("new")
    assert section.told(drawn) == drawn.explain(section.seconds, 10.0)
    (cut,) = nf.fit(nf.logmel(), days_of(hall, 3, SECONDS)).sections.values()
    (bare,) = nf.fit(nf.logmel(), nf.Clips.open(hall / "new")).sections.values()
    assert cut.told(drawn) == bare.told(drawn) == drawn.explain(section.seconds)


@pytest.mark.parametrize(
    ("folds", "days", "said"), [(50, 3, 1), (10, 3, 0), (3, 3, 0), (50, 30, 0)]
)
def test_folds_that_days_do_not_give_are_said(hall, folds, days, said):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        nf.fit(replace(nf.logmel(), folds=folds), days_of(hall, days))
    told = [str(w.message) for w in found if "gives 3 folds" in str(w.message)]
    assert len(told) == said
    assert all("folds=50" in line and "held out together" in line for line in told)


def test_a_lone_day_says_so(hall):
    day = [replace(c, time=datetime(2024, 11, 4, 9, 0, int(c.start))) for c in few(hall)]
    assert "80 clips from 1 day:" in caveat(nf.fit(nf.logmel(), day))
