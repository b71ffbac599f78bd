"""What is promised of false alarms holds for each domain, or is measured for each."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import nearfar as nf
from conftest import machine_sound, refused, write
from nearfar.detector.folder.formats import ADAPTED, CHOSEN, UNADAPTED
from nearfar.detector.folder.index import INDEX
from nearfar.detector.member import Member
from nearfar.detector.section import DOMAINS, Section, TrainingClip
from nearfar.embedding.jobs import Heard

SYSTEM = nf.System(nf.Near(), nf.LogMel(n_mels=3), rule=nf.KNN((1.0,), "euclidean"))
# Whole numbers are the same as a row of the bank and as a score.
whole = st.lists(st.integers(0, 1000), min_size=4, max_size=20, unique=True)


def detector(source, target, *, by_domain=False, rate=0.2, fresh=None):
    """Normal clips with these self-scores; a new clip's score is the first number of its row."""
    scores = np.array([*source, *target], float)
    n, domain = len(scores), np.array([0] * len(source) + [1] * len(target), np.int8)
    member = Member(np.zeros((n, 3), np.float32), np.arange(n), domain, None, scores)
    clips = tuple(TrainingClip(f"{i}.wav", f"{i:064x}") for i in range(n))
    section = Section((member,), clips, None, 10.0, fresh)
    return nf.Detector(
        SYSTEM, {("fan", "00"): section}, false_alarm_rate=rate, threshold_by_domain=by_domain
    )


def heard(score, domain):
    row = np.array([score, 0, 0], np.float32)
    return nf.Clip(Path("new.wav"), machine="fan", domain=domain), Heard((row,), seconds=10.0)


def judged(made, score, domain=None):
    return made.judge([heard(score, domain)])[0]


def alarm(source, target, i, domain, **given):
    """Is the i-th clip of a domain an alarm to a detector of all others?"""
    rest = {"source": list(source), "target": list(target)}
    new = rest[domain].pop(i)
    return judged(detector(**rest, **given), new, domain).anomalous


# ---- the promise -----------------------------------------------------------------------------


@given(whole, whole, st.integers(0, 1000), st.sampled_from([0.1, 0.2, 0.3, 0.5]))
@settings(max_examples=12)
def test_by_domain_a_new_clip_of_either_is_an_alarm_as_often_as_asked_for(a, b, shift, rate):
    """Any of n + 1 is as likely to be the new one: the probability itself, not an estimate."""
    groups = {"source": a, "target": [x + shift for x in b]}
    for domain, values in groups.items():
        n = len(values) - 1
        called = [alarm(**groups, i=i, domain=domain, by_domain=True, rate=rate)
                  for i in range(n + 1)]  # fmt: skip
        most = max(int(rate * (n + 1) + 1e-9), 1)
        assert sum(called) == most  # all that the rate allows, and no more


def test_one_threshold_for_both_breaks_the_promise_where_scores_are_shifted():
    source, target = range(100), range(200, 210)
    given = {"source": source, "target": target, "domain": "target", "rate": 0.1}
    pooled = [alarm(**given, i=i, by_domain=False) for i in range(10)]
    apart = [alarm(**given, i=i, by_domain=True) for i in range(10)]
    assert (sum(pooled), sum(apart)) == (10, 1)


@given(whole, whole, st.integers(-500, 500), st.sampled_from([0.1, 0.3, 0.5]))
@settings(max_examples=12)
def test_what_is_expected_under_one_threshold_is_on_average_no_less_than_what_comes(
    a, b, shift, rate
):
    used = set(a)
    target = [x + shift + 0.5 for x in b]  # no ties with the sources
    assert used.isdisjoint(target)
    for domain, own in (("source", a), ("target", target)):
        called, expected = [], []
        for i in range(len(own)):
            rest = own[:i] + own[i + 1 :]
            groups = {"source": a, "target": target} | {domain: rest}
            made = detector(**groups, rate=rate)
            called.append(own[i] > made.threshold("fan").value)
            expected.append(made.alarm_rates("fan")[domain].expected)
        assert np.mean(called) <= np.mean(expected) + 1e-12


@pytest.mark.parametrize(("sources", "targets", "shift"), [(90, 10, 1.5), (30, 30, 0.5)])
def test_in_19_of_20_draws_each_domain_keeps_below_its_bound(sources, targets, shift):
    rng, draws, kept = np.random.default_rng(sources), 400, {"source": 0, "target": 0}
    for _ in range(draws):
        source, target = rng.normal(size=sources), rng.normal(shift, size=targets)
        made = detector(source, target, rate=0.1)
        value = made.threshold("fan").value
        for domain, rate in made.alarm_rates("fan").items():
            true = norm.sf(value, loc=shift if domain == "target" else 0)
            kept[domain] += true <= rate.confident
    # Three standard errors of 400 draws.
    assert min(kept.values()) >= (0.95 - 3 * (0.95 * 0.05 / draws) ** 0.5) * draws


# ---- what a clip is held against -------------------------------------------------------------


def test_a_clip_is_held_against_those_of_its_domain_and_an_unknown_one_against_all():
    source, target = np.arange(20.0), np.arange(100.0, 110.0)
    made = detector(source, target, by_domain=True)
    for domain, own in (("source", source), ("target", target), (None, np.r_[source, target])):
        for score in (5.0, 18.5, 104.0, 500.0):
            said = judged(made, score, domain)
            assert said.percentile == np.mean(own <= score)
            assert said.p_value == (1 + np.sum(own >= score)) / (len(own) + 1)
            assert said.threshold == made.threshold("fan", domain=domain).value
            assert said.score == judged(detector(source, target), score, domain).score
    assert made.threshold("fan", domain="target").clips == 10


def test_a_verdict_does_not_depend_on_the_clips_beside_it():
    made = detector(range(20), range(15, 40), by_domain=True)
    rng = np.random.default_rng(1)
    batch = [
        heard(float(rng.integers(50)), ("source", "target", None)[i])
        for i in rng.integers(3, size=40)
    ]
    alone = [made.judge([one])[0] for one in batch]
    assert list(made.judge(batch)) == alone
    assert list(made.judge(batch[::-1]))[::-1] == alone


@pytest.mark.parametrize("score", [0.0, 12.0, 19.0, 1e3])
def test_without_the_option_a_clips_domain_changes_nothing(score):
    made = detector(range(20), range(15, 30))
    all_of_them = replace(judged(made, score), clip=None)
    for domain in DOMAINS:
        assert replace(judged(made, score, domain), clip=None) == all_of_them


def test_a_domain_without_clips_has_the_threshold_of_all():
    made = detector(range(20), [], by_domain=True)
    assert judged(made, 3.0, "target").threshold == made.threshold("fan").value
    assert made.alarm_rates("fan") == {}
    line = refused(lambda: made.threshold("fan", domain="target"), "fan", "target", "none")
    assert "\n" not in line
    refused(lambda: made.threshold("fan", domain="Target"), "'Target'", "source or target")


def test_clips_that_an_encoder_was_trained_on_draw_no_threshold_of_their_domain():
    fresh = (True,) * 5 + (False,) * 5 + (True,) * 2 + (False,) * 8
    made = detector(range(10), range(50, 60), by_domain=True, fresh=fresh)
    assert [made.threshold("fan", domain=d).clips for d in DOMAINS] == [5, 2]
    made = detector(range(10), range(50, 60), by_domain=True, fresh=(True,) * 10 + (False,) * 10)
    assert judged(made, 3.0, "target").threshold == made.threshold("fan").value
    refused(lambda: made.threshold("fan", domain="target"), "an encoder was trained on")


# ---- said and kept ---------------------------------------------------------------------------


def test_what_lies_above_one_threshold_is_counted_for_each_domain():
    source, target = np.arange(90), np.arange(80, 90) + 0.5
    made = detector(source, target, rate=0.1)
    value = made.threshold("fan").value
    rates = made.alarm_rates("fan")
    assert [rates[d].above for d in DOMAINS] == [np.sum(source > value), np.sum(target > value)]
    assert [rates[d].clips for d in DOMAINS] == [90, 10]
    assert (rates["source"].breaks(0.1), rates["target"].breaks(0.1)) == (False, True)
    apart = made.with_threshold_by_domain().alarm_rates("fan")
    assert [apart[d].expected <= 0.1 for d in DOMAINS] == [True, True]


def test_the_option_outlives_saving_copying_and_another_rate(tmp_path):
    made = detector(range(20), range(100, 120), by_domain=True)
    loaded = nf.load(made.save(tmp_path / "d"))
    for again in (loaded, pickle.loads(pickle.dumps(made)), loaded.with_false_alarm_rate(0.2)):
        assert again.threshold_by_domain
        for domain in (*DOMAINS, None):
            assert judged(again, 104.0, domain) == judged(made, 104.0, domain)
    other = loaded.with_false_alarm_rate(0.5)
    assert (
        other.threshold("fan", domain="target").value < made.threshold("fan", domain="target").value
    )
    assert judged(other, 104.0, "target").threshold < 120 - 0.3 * 20
    back = nf.load(loaded.with_threshold_by_domain(False).save(tmp_path / "d"))
    assert not back.threshold_by_domain
    assert judged(back, 104.0, "target").threshold == detector(
        range(20), range(100, 120)
    ).threshold("fan").value  # fmt: skip


def test_only_with_the_option_a_folder_needs_a_newer_nearfar(tmp_path):
    """One that does not know it would judge by other thresholds, and must refuse."""
    said = {}
    for by_domain in (False, True):
        made = detector(range(20), range(100, 120), by_domain=by_domain)
        said[by_domain] = json.loads((made.save(tmp_path / str(by_domain)) / INDEX).read_text())
    assert said[False]["format"] == UNADAPTED
    assert "threshold_by_domain" not in said[False]
    assert said[True]["format"] > max(UNADAPTED, ADAPTED, CHOSEN)
    assert said[True]["threshold_by_domain"] is True
    assert said[True]["sections"] == said[False]["sections"]


# ---- from recordings -------------------------------------------------------------------------


def test_a_fit_by_domain_is_the_same_fit(dcase, tmp_path):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    plain, apart = nf.fit(nf.s4(), clips), nf.fit(nf.s4(), clips, threshold_by_domain=True)
    assert (plain.threshold_by_domain, apart.threshold_by_domain) == (False, True)
    new = nf.Clips.open(dcase, split="test", machines=["fan"])
    scores, by_domain = plain.score(new), apart.score(new)
    np.testing.assert_array_equal(scores.values, by_domain.values)
    assert {v.clip.domain: v.threshold for v in by_domain} == {
        d: plain.threshold("fan", domain=d).value for d in DOMAINS
    }
    dead = write(tmp_path / "section_00_target_test_normal_0000.wav",
                 machine_sound(np.random.default_rng(0)) * [[1], [0]])  # fmt: skip
    apart = apart.with_false_alarm_rate(0.3)
    assert len({apart.threshold("fan", domain=d).value for d in (*DOMAINS, None)}) == 3
    silent = apart.score([nf.Clip(dead, machine="fan", domain="target")], skip_bad=True)[0]
    assert not silent.judged
    assert silent.threshold == apart.threshold("fan", domain="target").value


def test_a_machine_of_one_domain_is_named(dcase):
    clips = [c for c in nf.Clips.open(dcase, split="train") if (c.machine, c.domain) != (
        "pump", "target")]  # fmt: skip
    with pytest.warns(
        nf.NearfarWarning,
        match="^pump: still one threshold for all clips, as is right for a machine of one",
    ):
        apart = nf.fit(nf.logmel(), clips, threshold_by_domain=True)
    assert (len(apart.alarm_rates("fan")), apart.alarm_rates("pump")) == (2, {})
