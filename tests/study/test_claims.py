"""A claim turns a system into variants; each is the system with one part replaced."""

from dataclasses import fields, replace

import pytest

import nearfar as nf
from nearfar.errors import SettingError
from nearfar.study.claims import CLAIMS, STEP, find_claim

DIF = replace(nf.s4(), rule=nf.KNN((1.0, -0.35, -0.05), "euclidean"), calibration=nf.Percentile())
MEL = nf.System(nf.Near(), nf.LogMel(), rule=DIF.rule, calibration=nf.Percentile())
S3 = nf.Ensemble((DIF, MEL), weights=(0.6, 0.4))
# What a claim may change of a member; fusion and members change the ensemble instead.
PARTS = {
    "coefficients": {"rule"}, "enrichment": {"enrichment"}, "channels": {"embedder", "enrichment"},
    "families": {"embedder", "enrichment"}, "adaptation": {"adaptation"},
    "selfscores": {"self_scores"}, "percentile": {"calibration"}, "fusion": set(), "members": set(),
}  # fmt: skip


REPORT = [name for name, claim in CLAIMS.items() if claim.start is None]  # see test_beyond.py


def variants(claim, system=S3):
    return find_claim(claim).variants(system)


def changed(one, other):
    return {f.name for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)}


@pytest.mark.parametrize("claim", REPORT)
def test_the_reference_is_the_system_as_given_and_names_differ(claim):
    rows = variants(claim)
    assert rows[0].system == S3
    names = [row.name for row in rows]
    assert len(names) == len(set(names)) >= 2
    assert variants(claim) == rows  # the same every time


@pytest.mark.parametrize("claim", REPORT)
def test_nothing_but_what_the_claim_is_about_is_changed(claim):
    for row in variants(claim)[1:]:
        if claim == "members":
            assert row.system in S3.members
            continue
        assert row.system.false_alarm_rate == S3.false_alarm_rate
        assert claim == "fusion" or row.system.weights == S3.weights
        moved = [changed(a, b) for a, b in zip(S3.members, row.system.members, strict=True)]
        assert set().union(*moved) <= PARTS[claim]
        if claim != "fusion":
            assert any(moved)


def test_every_claim_has_a_sentence_and_says_where_the_report_does():
    assert set(REPORT) == set(PARTS)
    assert all("report §" in CLAIMS[claim].sentence for claim in REPORT)


def test_a_moved_coefficient_is_moved_by_the_step_and_the_others_are_not():
    by_name = {v.name: v.system for v in variants("coefficients", DIF)}
    low, high = by_name["d₂ −20 %"].rule.weights, by_name["d₂ +20 %"].rule.weights
    assert low == (1.0, -0.35 * (1 - STEP), -0.05)
    assert high == (1.0, -0.35 * (1 + STEP), -0.05)


def test_fusion_weights_are_tenths_that_sum_to_one():
    weights = [row.system.weights for row in variants("fusion")[1:]]
    assert [round(10 * first) for first, _ in weights] == list(range(11))
    assert all(first + second == pytest.approx(1, abs=1e-12) for first, second in weights)


def test_a_persons_own_enrichment_is_kept():
    class Own(type(nf.PseudoTarget())):
        pass

    own = Own()
    system = replace(nf.s4(), enrichment=(own, *nf.s4().enrichment))
    for row in variants("enrichment", system):
        assert own in row.system.enrichment


def test_an_unknown_claim_is_one_line_with_a_guess():
    with pytest.raises(SettingError, match="did you mean 'fusion'") as caught:
        find_claim("fussion")
    assert "\n" not in str(caught.value)
