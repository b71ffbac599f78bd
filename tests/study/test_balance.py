"""A choice without labels: distances against SciPy, and who has a say in it."""

import json
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats

import nearfar as nf
from conftest import refused, write_machine
from nearfar.errors import SettingError
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.study.balance import FEWEST, HeldOut, apart, balance, held_out
from nearfar.study.choice import by_balance, compose
from nearfar.study.lomo import study

KEY = ("fan", "00")


def drawn(seed, source=30, target=10, off=0.0, digits=1):
    rng = np.random.default_rng(seed)
    return HeldOut(
        np.round(rng.normal(size=source), digits), np.round(rng.normal(off, 1.0, target), digits)
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sizes", [(30, 10), (7, 5), (100, 10), (10, 40)])
def test_the_distance_is_scipys_with_and_without_ties(seed, sizes):
    for digits in (0, 1, 9):
        scores = drawn(seed, *sizes, off=seed / 4, digits=digits)
        wanted = scipy.stats.ks_2samp(scores.source, scores.target).statistic
        assert apart(scores) == pytest.approx(wanted, abs=1e-12)


def test_no_rising_function_of_scores_moves_it_and_a_factor_does_not_move_quartiles():
    scores = drawn(3, off=0.7)
    bent = HeldOut(np.exp(3 * scores.source), np.exp(3 * scores.target))
    assert apart(bent) == apart(scores)
    assert apart(bent, "quantiles") != pytest.approx(apart(scores, "quantiles"))
    scaled = HeldOut(5 + 100 * scores.source, 5 + 100 * scores.target)
    assert apart(scaled, "quantiles") == pytest.approx(apart(scores, "quantiles"))


def test_quartiles_are_the_formula():
    scores = drawn(5, off=1.0)
    s, t = (np.percentile(x, [25, 50, 75]) for x in (scores.source, scores.target))
    assert apart(scores, "quantiles") == pytest.approx(np.abs(t - s).mean() / (s[2] - s[0]))
    flat = HeldOut(np.ones(9), np.ones(9))
    assert apart(flat, "quantiles") == 0
    assert apart(HeldOut(np.ones(9), np.zeros(9)), "quantiles") == np.inf


def test_the_nearest_is_taken_and_of_equals_the_first():
    far, near = drawn(1, off=3.0), drawn(1, off=0.0)
    found = balance([{KEY: far}, {KEY: near}, {KEY: near}])
    assert found.machines == {"fan": 1}
    assert found.distances["fan"] == (apart(far), apart(near), apart(near))
    assert found.counts == {"fan": (30, 10)}
    assert balance([{KEY: near}, {KEY: near}]).machines == {"fan": 0}


def test_equal_shares_are_equal_to_the_bit():
    """1/3 − 1/10 and what is as far another way round: no rounding decides."""
    one = HeldOut(np.arange(30.0), np.array([9.5] * 5 + [99.0] * 5))
    other = HeldOut(-np.arange(30.0), np.array([-9.5] * 5 + [-99.0] * 5))
    exact = max(abs(Fraction(k, 30) - Fraction(t, 10)) for k, t in ((10, 0), (10, 5), (30, 5)))
    assert apart(one) == apart(other) == float(exact)


def test_too_few_clips_of_a_domain_keep_the_system_as_given():
    few = {KEY: drawn(1, target=FEWEST - 1, off=9.0)}
    better = {KEY: drawn(2, target=FEWEST - 1)}
    found = balance([few, better], draws=4)
    assert found.machines == {"fan": 0}
    assert found.distances == {"fan": ()}
    assert found.drawn["fan"].tolist() == [0] * 4
    enough = balance([{KEY: drawn(1, target=FEWEST, off=9.0)}, {KEY: drawn(2, target=FEWEST)}])
    assert enough.machines == {"fan": 1}


def test_sections_of_a_machine_count_alike_and_machines_choose_apart():
    sections = [("fan", "00"), ("fan", "01"), ("pump", "00")]
    one = {k: drawn(i, off=2.0 * (k[0] == "fan")) for i, k in enumerate(sections)}
    other = {k: drawn(i, off=2.0 * (k[0] == "pump")) for i, k in enumerate(sections)}
    found = balance([one, other])
    assert found.machines == {"fan": 1, "pump": 0}
    mean = (apart(one[sections[0]]) + apart(one[sections[1]])) / 2
    assert found.distances["fan"][0] == pytest.approx(mean)
    assert found.counts["fan"] == (60, 20)


def test_draws_are_of_the_same_clips_and_tell_a_sure_choice_from_a_lucky_one():
    sure = balance([{KEY: drawn(1, off=5.0)}, {KEY: drawn(1)}], draws=200)
    assert set(sure.drawn["fan"]) == {1}
    luck = balance([{KEY: drawn(1)}, {KEY: drawn(2)}], draws=200)
    assert set(luck.drawn["fan"]) == {0, 1}
    again = balance([{KEY: drawn(1)}, {KEY: drawn(2)}], draws=200)
    np.testing.assert_array_equal(luck.drawn["fan"], again.drawn["fan"])
    bent = HeldOut(np.exp(drawn(1).source), np.exp(drawn(1).target))
    same = balance([{KEY: drawn(1)}, {KEY: bent}], draws=200)
    assert set(same.drawn["fan"]) == {0}  # equal in every draw: the clips drawn are the same


def test_bad_input():
    refused(lambda: balance([]), "0 candidates", error=SettingError)
    refused(lambda: balance([{KEY: drawn(1)}], distance="kl"), "'kl'", "ks", error=SettingError)


# ---- what it is worth ------------------------------------------------------------------------


def test_the_honest_number_is_that_of_the_scores_taken():
    rng = np.random.default_rng(0)
    rows = [
        LabelledFile(m, "00", f"{d}{k}{i}.wav", d, k)
        for m in ("fan", "pump") for d in ("source", "target")
        for k in ("normal", "anomaly") for i in range(6)
    ]  # fmt: skip
    truth = Truth(tuple(rows))
    tables = [
        ScoreTable(tuple(ScoredFile(r.machine, r.section, r.file, rng.normal()) for r in rows))
        for _ in range(2)
    ]
    keys = [("fan", "00"), ("pump", "00")]
    seen = [{k: drawn(1, off=3.0 * (k[0] == m)) for k in keys} for m in ("fan", "pump")]
    found = balance(seen, draws=30)
    choice = by_balance(tables, truth, found, draws=30)
    assert choice.machines == found.machines == {"fan": 1, "pump": 0}
    alone = nf.evaluate(compose(tables, found.machines), truth, draws=30)
    assert choice.honest.score == alone.score
    assert choice.fixed_interval == alone.interval
    assert [e.score for e in choice.evaluations] == [
        nf.evaluate(t, truth, draws=0).score for t in tables
    ]
    # Labels have no say: turned round they give the same choice.
    other = {"normal": "anomaly", "anomaly": "normal"}
    turned = Truth(
        tuple(LabelledFile(r.machine, "00", r.file, r.domain, other[r.label]) for r in rows)
    )
    assert by_balance(tables, turned, found, draws=30).machines == choice.machines
    with pytest.raises(SettingError, match="0 draws"):
        by_balance(tables, truth, found, draws=0)


# ---- of real detectors -----------------------------------------------------------------------

VARY = ("--vary", "rule.metric=[cosine,euclidean]")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two machines with enough target clips. Read only."""
    root = tmp_path_factory.mktemp("balance") / "data"
    for seed, machine in enumerate(("fan", "pump")):
        write_machine(root, machine, seed, source=8, target=6, test=3)
    return root


@pytest.fixture(scope="module")
def unlabelled(data, tmp_path_factory):
    """The same with test clips of no domain and label."""
    root = tmp_path_factory.mktemp("unlabelled") / "data"
    for machine in ("fan", "pump"):
        for split in ("train", "test"):
            (root / machine / split).mkdir(parents=True)
        for path in (data / machine / "train").iterdir():
            (root / machine / "train" / path.name).symlink_to(path)
        for i, path in enumerate(sorted((data / machine / "test").iterdir())):
            (root / machine / "test" / f"section_00_{i:04d}.wav").symlink_to(path)
    return root


def test_self_scores_by_domain_are_the_detectors(data):
    detector = nf.fit(nf.logmel(), nf.Clips.open(data, split="train"))
    found = held_out(detector)[KEY]
    assert (len(found.source), len(found.target)) == (8, 6)
    everything = np.concatenate([found.source, found.target])
    np.testing.assert_array_equal(np.sort(everything), np.sort(detector.self_scores("fan")))
    target = nf.Clips(c for c in nf.Clips.open(data, split="train") if c.domain == "target")
    names = {c.name for c in target}
    own = detector.self_scores("fan")
    of_target = [s for s, c in zip(own, detector.sections[KEY].clips, strict=True)
                 if c.name in names]  # fmt: skip
    np.testing.assert_array_equal(np.sort(of_target), np.sort(found.target))


def test_labels_and_test_clips_have_no_say(data, unlabelled):
    runtime = nf.Runtime()
    with_labels = study(data, nf.logmel(), VARY[1:], runtime, choose="balance", draws=20)
    without = study(unlabelled, nf.logmel(), VARY[1:], runtime, choose="balance")
    assert without.balance.machines == with_labels.balance.machines
    assert without.balance.distances == with_labels.balance.distances
    assert dict(with_labels.choice.machines) == dict(without.balance.machines)


def test_the_command_with_labels(run, data):
    code, out, err = run(
        "evaluate", data, "-s", "logmel", "--workers", 1, "--choose", "balance", *VARY
    )
    assert code == 0, err
    for said in ("honest: chosen by balance", "peeked − honest", "Kolmogorov–Smirnov",
                 "no label took part", "fan"):  # fmt: skip
        assert said in out, said
    code, out, err = run(
        "evaluate",
        data,
        "-s",
        "logmel",
        "--workers",
        1,
        "--choose",
        "balance-quantiles",
        *VARY,
        "--json",
        "-",
    )
    told = json.loads(out)["balance"]
    assert told["distance"] == "quantiles"
    assert set(told["distances"]) == set(told["chosen"]) == {"fan", "pump"}
    assert told["clips"]["fan"] == {"source": 8, "target": 6}


def test_choose_lomo_is_lomo(run, data):
    args = ("evaluate", data, "-s", "logmel", "--workers", 1, *VARY, "--json", "-", "--no-floor")
    one, other = run(*args, "--lomo"), run(*args, "--choose", "lomo")
    assert one[0] == other[0] == 0, one[2]
    assert json.loads(one[1]) == json.loads(other[1])


def test_the_command_without_labels_or_test_clips(run, unlabelled, tmp_path):
    args = ("evaluate", unlabelled, "-s", "logmel", "--workers", 1, "--choose", "balance", *VARY)
    code, out, err = run(*args)
    assert code == 0, err
    assert "so there is no Ω of this choice" in out
    assert "Ω =" not in out
    told = json.loads(run(*args, "--json", "-")[1])
    assert told["omega"] is None
    train = tmp_path / "data"
    for machine in ("fan", "pump"):
        (train / machine).mkdir(parents=True)
        (train / machine / "train").symlink_to(unlabelled / machine / "train")
    alone = run("evaluate", train, *args[2:], "--json", "-")
    assert alone[0] == 0, alone[2]
    assert json.loads(alone[1])["balance"] == told["balance"]
    # On other machines' labels nothing can be chosen without any.
    code, out, err = run("evaluate", unlabelled, "-s", "logmel", "--choose", "lomo", *VARY)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no label in its name" in err
