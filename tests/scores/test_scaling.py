"""Scores that were ranked or scaled within the test set are recognised, others are not."""

import numpy as np
import pytest
import scipy.stats

import nearfar as nf
from conftest import DATA
from nearfar.scores.files import read_scores, write_scores
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.scaling import scaled_within

MACHINES = ("fan", "pump", "valve")


def table_of(values, digits=None):
    rows = [
        ScoredFile(machine, "00", f"{i}.wav", float(v if digits is None else round(v, digits)))
        for machine, scores in values.items()
        for i, v in enumerate(scores)
    ]
    return ScoreTable(tuple(rows))


def raw(seed, count=40, digits=None):
    rng = np.random.default_rng(seed)
    made = {m: rng.gamma(2.0, size=count) + i for i, m in enumerate(MACHINES)}
    return made if digits is None else {m: np.round(x, digits) for m, x in made.items()}


def each(change, values):
    return {machine: change(scores) for machine, scores in values.items()}


def unit(x):
    return (x - x.min()) / (x.max() - x.min())


RANKS = {
    "1 … n": scipy.stats.rankdata,
    "1/n … 1": lambda x: scipy.stats.rankdata(x) / len(x),
    "0 … 1": lambda x: (scipy.stats.rankdata(x) - 1) / (len(x) - 1),
    "middles": lambda x: (scipy.stats.rankdata(x) - 0.5) / len(x),
    "negative": lambda x: 7.0 - 3.0 * scipy.stats.rankdata(-x),
}


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_recognised_in_any_unit(name, seed):
    found = scaled_within(table_of(each(RANKS[name], raw(seed))))
    assert found.startswith("the ranks of fan")


@pytest.mark.parametrize(
    ("method", "digits"), [("average", 1), ("min", 1), ("max", 1), ("dense", 2)]
)
def test_ranks_of_ties_too(method, digits):
    some = each(lambda x: scipy.stats.rankdata(x, method=method), raw(1, digits=digits))
    assert any(len(np.unique(x)) < len(x) for x in some.values())
    assert "the ranks" in scaled_within(table_of(some))


def test_ranks_over_all_machines_together():
    values = raw(2)
    ranks = scipy.stats.rankdata(np.concatenate(list(values.values()))) / 120
    some = dict(zip(MACHINES, np.split(ranks, 3), strict=True))
    assert scaled_within(table_of(some)) == "the ranks of all clips together"


@pytest.mark.parametrize("digits", [None, 6, 4])
@pytest.mark.parametrize("ddof", [0, 1])
def test_z_scores_and_ranges_of_the_test_set_are_recognised(digits, ddof):
    z = each(lambda x: (x - x.mean()) / x.std(ddof=ddof), raw(3))
    assert "standard deviation 1" in scaled_within(table_of(z, digits))
    ranged = each(unit, raw(3))
    assert "0 to 1, by the least and the largest" in scaled_within(table_of(ranged, digits))


def test_means_of_several_are_recognised():
    one, other = raw(4), raw(5)
    ranks = {m: (RANKS["1/n … 1"](one[m]) + RANKS["1/n … 1"](other[m])) / 2 for m in MACHINES}
    assert scaled_within(table_of(ranks)).startswith("means of ranks")
    z = {m: (scipy.stats.zscore(one[m]) + scipy.stats.zscore(other[m])) / 2 for m in MACHINES}
    assert scaled_within(table_of(z)).startswith("mean 0 of")


@pytest.mark.parametrize("seed", range(200))
def test_scores_of_one_clip_at_a_time_are_not(seed):
    values = raw(seed, 20 + seed % 7)
    rng = np.random.default_rng(seed)
    for change in (
        lambda x: x,
        lambda x: (x - 2.0) / 1.4,  # by normals elsewhere
        lambda x: np.searchsorted(np.sort(rng.gamma(2.0, size=990) + 1), x) / 990,  # percentiles
        lambda x: np.minimum(np.searchsorted(np.sort(rng.gamma(2.0, size=20)), x) / 20, 1.0),
        lambda x: (x > 2.0).astype(float),  # decisions
        np.round,
    ):
        assert scaled_within(table_of(each(change, values))) == ""


def test_few_clips_and_gold_scores_are_left_alone():
    assert scaled_within(table_of({"fan": np.arange(9.0)})) == ""
    assert scaled_within(table_of({"fan": np.zeros(50)})) == ""
    assert scaled_within(table_of({"fan": np.array([1e300, -1e300] * 30)})) == ""
    for folder in (DATA / "eval").iterdir():
        if folder.is_dir():
            assert scaled_within(read_scores(folder)) == ""


@pytest.mark.parametrize(
    "system",
    [nf.logmel(), nf.System(nf.Near(), nf.LogMel(), calibration=nf.Percentile()),
     nf.System(nf.Near(), nf.LogMel(), calibration=nf.ZScore())],
    ids=["raw", "percentile", "z"],
)  # fmt: skip
def test_our_own_scores_are_not(system, dcase):
    detector = nf.fit(system, nf.Clips.open(dcase, split="train"))
    scores = detector.score(nf.Clips.open(dcase, split="test"))
    assert scaled_within(ScoreTable.from_verdicts(scores)) == ""


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def ranked(tmp_path):
    """A folder of ranks, and the ground truth."""
    folder = tmp_path / "ranked"
    folder.mkdir()
    write_scores(folder, table_of(each(RANKS["1/n … 1"], raw(1))))
    truth = tmp_path / "truth.csv"
    rows = [f"{m},00,{i}.wav,{i % 2},{i // 20}" for m in MACHINES for i in range(40)]
    truth.write_text("machine,section,file,domain,label\n" + "\n".join(rows) + "\n")
    return folder, truth


def test_they_are_refused_by_name(run, ranked):
    code, out, err = run("evaluate", "--scores", ranked[0], "--truth", ranked[1])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "the ranks of fan, section 00" in err
    assert "--transductive" in err


def test_said_so_the_word_stands_beside_every_number(run, ranked):
    args = ("evaluate", "--scores", ranked[0], "--truth", ranked[1], "--transductive")
    code, out, err = run(*args)
    assert code == 0, err
    for line in out.splitlines():
        assert ("transductive" in line) == any(c.isdigit() for c in line), line
    import json

    told = json.loads(run(*args, "--json", "-")[1])
    assert told["transductive"] is True
    assert told["settings"]["within_the_test_set"] == "the ranks of fan, section 00"


@pytest.mark.parametrize("normals", [3, 4, 5, 9, 10, 15])
@pytest.mark.parametrize("clips", [10, 12, 20, 32])
def test_percentiles_of_few_normals_are_evenly_spaced_by_chance_and_no_ranks(normals, clips):
    rng = np.random.default_rng((normals, clips))
    for _ in range(40):
        some = {}
        for machine in MACHINES:
            own = np.sort(rng.standard_normal(normals))
            heard = rng.standard_normal(clips) + np.arange(clips) % 2  # every other one is louder
            some[machine] = np.searchsorted(own, heard, side="right") / normals
        assert scaled_within(table_of(some)) == ""


def test_every_step_of_a_scale_is_no_rank():
    steps = np.repeat(np.arange(11) / 10, [3, 1, 2, 2, 1, 3, 2, 2, 1, 2, 1])  # of 10 normal clips
    assert scaled_within(table_of(dict.fromkeys(MACHINES, steps))) == ""
