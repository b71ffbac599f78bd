"""Leave-one-machine-out: no label of a machine has a say in the setting that it is judged under."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

import nearfar as nf
from command import failed
from conftest import write_machine
from nearfar import sim
from nearfar.errors import DatasetError, SettingError
from nearfar.metrics.comparison import Comparison
from nearfar.metrics.evaluation import RULES
from nearfar.metrics.official import bootstrap, draw_figures
from nearfar.metrics.roc import resample
from nearfar.scores.join import ScoredFile, ScoreTable, join
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.study.choice import best_elsewhere, compose, leave_one_out
from nearfar.study.grid import MOST, grid
from nearfar.study.lomo import study

SECTIONS = {"fan": ("00", "01"), "gear": ("00",), "pump": ("00",), "valve": ("00", "02")}
DRAWS = 15  # enough to tell intervals apart
EPSILON = np.finfo(float).eps


def labels_of(seed=0, machines=tuple(SECTIONS), domains=("source", "target")):
    """(Truth): in every section, domain and class 4 to 7 clips."""
    rng = np.random.default_rng(seed)
    rows = []
    for machine in machines:
        for section in SECTIONS[machine]:
            for domain in domains:
                for label in ("normal", "anomaly"):
                    for i in range(rng.integers(4, 8)):
                        file = f"{domain}_{label}_{i}.wav"
                        rows.append(LabelledFile(machine, section, file, domain, label))
    return Truth(tuple(rows))


def scores_of(truth, seed, lift=None):
    """Scores with ties; anomalies are lifted, by so much in each machine."""
    rng = np.random.default_rng(seed)
    lift = lift or {}
    return ScoreTable(
        tuple(
            ScoredFile(r.machine, r.section, r.file,
                       round(rng.normal() + lift.get(r.machine, 0.7) * (r.label == "anomaly"), 1))
            for r in truth.rows
        )
    )  # fmt: skip


def candidates_of(truth, count=4, seed=10):
    rng = np.random.default_rng(seed)
    return [
        scores_of(truth, seed + k, {m: rng.uniform(0, 1.5) for m in SECTIONS}) for k in range(count)
    ]


def chosen(candidates, truth, **settings):
    return leave_one_out(candidates, truth, draws=DRAWS, **settings)


# ---- against an independent reimplementation -------------------------------------------------


def brute_figures(section, clips):
    """AUC(source), AUC(target), pAUC of some clips of a section, by scikit-learn."""
    y, x = section.anomalous[clips], section.scores[clips]
    target = section.target[clips]
    auc = sklearn.metrics.roc_auc_score
    halves = [y | ~target, y | target]  # a domain's normal clips, anomalies of both
    return [*(auc(y[h], x[h]) for h in halves), auc(y, x, max_fpr=0.1)]


def brute_honest(values, machines):
    """From {system: {section: figures}}: the choice of each machine, and the honest Ω."""

    def hmean(sections, system):
        numbers = [max(v, EPSILON) for s in sections for v in values[system][s]]
        return scipy.stats.hmean(numbers)

    choice = {}
    for machine in dict.fromkeys(machines):
        others = [i for i, m in enumerate(machines) if m != machine]
        choice[machine] = max(values, key=lambda k: (hmean(others, k), -k))
    numbers = [v for i, m in enumerate(machines) for v in values[choice[m]][i]]
    return choice, scipy.stats.hmean([max(v, EPSILON) for v in numbers])


@pytest.mark.slow
def test_the_choice_and_its_interval_are_those_of_a_plain_program():
    truth = labels_of()
    tables = candidates_of(truth)
    found = chosen(tables, truth, seed=3)
    joined = [join(table.rows, truth) for table in tables]
    machines = [section.machine for section in joined[0]]
    plain = {
        k: [brute_figures(s, np.arange(len(s.files))) for s in sections]
        for k, sections in enumerate(joined)
    }
    choice, score = brute_honest(plain, machines)
    assert found.machines == choice
    assert found.honest.score == pytest.approx(score, abs=1e-12)

    rng = np.random.default_rng(3)
    clips = [np.concatenate([block for _, block in resample(s, DRAWS, rng)]) for s in joined[0]]
    again, fixed, default, share = [], [], [], np.zeros(len(tables))
    for draw in range(DRAWS):
        values = {
            k: [brute_figures(s, c[draw]) for s, c in zip(sections, clips, strict=True)]
            for k, sections in enumerate(joined)
        }
        picked, number = brute_honest(values, machines)
        again.append(number)
        share += np.bincount(list(picked.values()), minlength=len(tables))
        composed = [v for i, m in enumerate(machines) for v in values[choice[m]][i]]
        fixed.append(scipy.stats.hmean(np.maximum(composed, EPSILON)))
        default.append(scipy.stats.hmean(np.maximum(np.ravel(values[0]), EPSILON)))
    levels = [0.025, 0.975]
    np.testing.assert_allclose(found.honest.interval, np.quantile(again, levels), atol=1e-12)
    np.testing.assert_allclose(found.fixed_interval, np.quantile(fixed, levels), atol=1e-12)
    gain = np.quantile(np.subtract(again, default), levels)
    np.testing.assert_allclose(found.gain.interval, gain, atol=1e-12)
    np.testing.assert_allclose(found.shares, share / share.sum(), atol=1e-12)
    assert len(set(choice.values())) > 1, "no test of a choice"
    assert found.honest.interval != found.fixed_interval


# ---- laws ------------------------------------------------------------------------------------


def test_one_candidate_is_default_honest_and_peeked():
    truth = labels_of()
    table = scores_of(truth, 1)
    found = chosen([table], truth)
    assert found.honest == nf.evaluate(table, truth, draws=DRAWS) == found.evaluations[0]
    assert found.peeked == 0
    assert found.fixed_interval == found.honest.interval
    assert found.gain.difference == found.optimism.difference == 0.0
    assert found.gain.interval == found.optimism.interval == (0.0, 0.0)
    assert found.gain.p == 1.0
    assert found.shares == (1.0,)


def test_each_candidate_has_the_evaluation_it_has_alone():
    truth = labels_of()
    tables = candidates_of(truth)
    found = chosen(tables[:-1], truth, floor=tables[-1])
    alone = [nf.evaluate(table, truth, draws=DRAWS, seed=0) for table in tables]
    assert [*found.evaluations, found.floor] == alone
    assert found.above.difference == found.honest.score - found.floor.score


@pytest.mark.parametrize("rule", [None, "2021", "2020"])
@pytest.mark.parametrize("seed", range(3))
def test_peeked_is_the_best_candidate_and_honest_is_made_of_the_choices(seed, rule):
    truth = labels_of(seed)
    tables = candidates_of(truth, 5, seed=100 * seed)
    found = chosen(tables, truth, rule=rule)
    scores = [e.score for e in found.evaluations]
    assert scores[found.peeked] == max(scores)
    assert found.optimism.score_a == max(scores)
    assert found.optimism.difference == max(scores) - found.honest.score
    names = {"2021": ("auc_within_source", "auc_within_target", "pauc_source", "pauc_target"),
             "2020": ("auc", "pauc")}.get(rule, ("auc_source", "auc_target", "pauc"))  # fmt: skip
    mean = np.mean if rule == "2020" else scipy.stats.hmean
    numbers = []
    for machine, sections in found.honest.machines.items():
        assert sections == found.evaluations[found.machines[machine]].machines[machine]
        numbers += [max(r[name], EPSILON) for r in sections.values() for name in names]
    assert found.honest.score == pytest.approx(mean(numbers), abs=1e-12)


def flipped(truth, machine):
    other = {"normal": "anomaly", "anomaly": "normal"}
    return Truth(
        tuple(replace(r, label=other[r.label]) if r.machine == machine else r for r in truth.rows)
    )


@pytest.mark.parametrize("machine", SECTIONS)
def test_a_machine_has_no_say_in_its_own_choice(machine):
    changed_others = 0
    for seed in range(5):
        truth = labels_of(seed)
        tables = candidates_of(truth, seed=100 * seed)
        choice = chosen(tables, truth).machines
        turned = chosen(tables, flipped(truth, machine)).machines
        assert turned[machine] == choice[machine]
        changed_others += any(turned[m] != choice[m] for m in SECTIONS if m != machine)
        swapped = [  # its scores have no say either
            compose([table, other], {m: int(m == machine) for m in SECTIONS})
            for table, other in zip(tables, tables[::-1], strict=True)
        ]
        assert chosen(swapped, truth).machines[machine] == choice[machine]
    assert changed_others, "labels have no say at all"


def test_in_every_draw_too_a_machine_has_no_say_in_its_own_choice():
    truth = labels_of()
    drawn = draw_figures(candidates_of(truth), truth, draws=DRAWS)
    own = np.array([machine == "fan" for machine in drawn.machines])
    before = best_elsewhere(drawn.drawn, drawn.machines, drawn.rule)
    assert len(np.unique(before)) > 1
    worst = drawn.drawn.copy()
    worst[:, :, own] = np.random.default_rng(0).uniform(size=worst[:, :, own].shape)
    after = best_elsewhere(worst, drawn.machines, drawn.rule)
    np.testing.assert_array_equal(after[:, own], before[:, own])
    assert (after[:, ~own] != before[:, ~own]).any()


def test_the_order_of_candidates_matters_for_ties_only():
    truth = labels_of()
    tables = candidates_of(truth, 5)
    order = [0, 3, 1, 4, 2]
    found, other = (chosen(some, truth) for some in (tables, [tables[k] for k in order]))
    assert found.machines == {m: order[k] for m, k in other.machines.items()}
    assert found.honest == other.honest
    assert found.peeked == order[other.peeked]
    assert (found.gain, found.optimism) == (other.gain, other.optimism)


def test_of_equals_the_first_is_chosen():
    truth = labels_of()
    default, better = scores_of(truth, 1), scores_of(truth, 1, dict.fromkeys(SECTIONS, 9.0))
    assert set(chosen([default, default], truth).machines.values()) == {0}
    found = chosen([default, better, better], truth)
    assert set(found.machines.values()) == {found.peeked} == {1}
    assert found.shares == (0.0, 1.0, 0.0)


def test_a_setting_that_suits_one_machine_only_gains_by_peeking_alone():
    """Lifted in one machine alone: that machine never gets it, and the others lose nothing."""
    truth = labels_of()
    plain = scores_of(truth, 1, dict.fromkeys(SECTIONS, 0.5))
    lifted = scores_of(truth, 1, {**dict.fromkeys(SECTIONS, 0.4), "fan": 30.0})
    found = chosen([plain, lifted], truth)
    assert found.peeked == 1
    assert found.machines["fan"] == 0
    assert found.honest.score < found.evaluations[1].score


def test_sections_of_a_machine_are_left_out_together():
    rule = RULES["omega"]
    figures = np.full((2, 1, 3, 3), 0.6)
    figures[1, 0, :2] = 0.9  # the second is better on both sections of fan …
    figures[1, 0, 2] = 0.5  # … and worse on pump
    chosen = best_elsewhere(figures, ("fan", "fan", "pump"), rule)
    assert chosen.tolist() == [[0, 0, 1]]


def test_data_without_domains_and_bad_input():
    truth = labels_of()
    truth = Truth(tuple(replace(r, domain=None) for r in truth.rows))
    tables = candidates_of(truth)
    found = chosen(tables, truth)
    assert found.honest.rule == "2020"
    with pytest.raises(SettingError, match="0 draws"):
        leave_one_out(tables, truth, draws=0)
    alone = labels_of(machines=("fan",))
    with pytest.raises(DatasetError, match="only one machine, fan"):
        chosen(candidates_of(alone), alone)


def test_comparison_of_draws_is_compare():
    truth = labels_of()
    a, b = candidates_of(truth, 2)
    drawn = draw_figures([a, b], truth, draws=DRAWS)
    totals = drawn.rule.total(drawn.drawn, axis=(2, 3))
    scores = tuple(float(drawn.rule.total(f)) for f in drawn.figures)
    made = Comparison.of_draws(drawn.rule, scores, (totals[0], totals[1]), drawn.cells)
    assert made == nf.compare(a, b, truth, draws=DRAWS)
    np.testing.assert_array_equal(totals[0], bootstrap(a, truth, draws=DRAWS))


# ---- the candidates --------------------------------------------------------------------------


def test_the_grid_is_all_combinations_and_the_system_as_given():
    system = nf.s4()
    found = grid(
        system, ["whitening.shrinkage=[0.001, 0.01,ledoit-wolf]", "rule.weights=[(1.0,),[1.0,-.3]]"]
    )
    assert found[0].system == system
    assert found[0].name == "whitening.shrinkage=0.01, rule.weights=(1.0,) (as given)"
    made = {
        replace(system, whitening=nf.ZCA(shrinkage), rule=replace(system.rule, weights=weights))
        for shrinkage in (0.001, 0.01, "ledoit-wolf")
        for weights in ((1.0,), (1.0, -0.3))
    }
    assert {v.system for v in found} == made
    assert len(found) == len({v.name for v in found}) == 6
    assert [v.name for v in found[1:]][-1].startswith("whitening.shrinkage=ledoit-wolf, rule.w")
    quoted = grid(system, ["whitening.shrinkage=['ledoit-wolf']"])
    assert [v.name for v in quoted] == ["as given", "whitening.shrinkage=ledoit-wolf"]


def test_a_setting_of_a_member_is_varied_too():
    system = nf.Ensemble((nf.s4(), nf.logmel()), weights=(0.6, 0.4))
    found = grid(system, ["weights=[(0.5,0.5),(0.6,0.4)]", "members.1.rule.metric=[cosine]"])
    assert [v.system.weights for v in found] == [(0.6, 0.4), (0.5, 0.5)]


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ([], "nothing to choose from"),
        (["whitening.shrinkge=[0.1]"], "did you mean 'shrinkage'"),
        (["whitning.shrinkage=[0.1]"], "did you mean 'whitening'"),
        (["whitening.shrinkage=[0.1,7]"], "shrinkage is 7"),
        (["whitening.shrinkage=0.1"], r"not part.setting=\[value"),
        (["whitening.shrinkage=(0.1,0.2)"], r"not part.setting=\[value"),
        (["whitening.shrinkage=[]"], r"not part.setting=\[value"),
        (["whitening.shrinkage=[0.1 0.2]"], r"not part.setting=\[value"),
        (["whitening.shrinkage=[" * 999], r"not part.setting=\[value"),
        (["=[0.1]"], r"not part.setting=\[value"),
        (["whitening.shrinkage"], r"not part.setting=\[value"),
        (["whitening.shrinkage=[0.1,1e-1]"], "same system; give each value once"),
        (["seed=[1,2]", "seed=[3,4]"], "same system; give each value once"),
        (["rule.weights=[{1: 2}]"], "weights"),
        ([f"seed={list(range(20))}", f"folds={list(range(2, 20))}"], f"360 .* at most {MOST}"),
    ],
)
def test_bad_grids_are_one_line(vary, said):
    with pytest.raises(SettingError, match=said) as error:
        grid(nf.s4(), vary)
    assert "\n" not in str(error.value)


def test_what_needs_training_anew_is_refused(tmp_path):
    pytest.importorskip("torch")
    from trained_file import TINY, make_trained

    path = str(make_trained(tmp_path / "s1.safetensors"))
    trained = nf.s1(path)
    for vary in ("frontend.sharpness=[4.0]", "embedder.n=[5]", "embedder.embedder.frames=[512]"):
        with pytest.raises(SettingError, match="trained anew"):
            grid(trained, [vary])
    with pytest.raises(SettingError, match="trained anew"):  # so would be a choice among files
        grid(nf.s1(str(TINY)), [f"embedder.embedder.weights=['{path}']"])
    free = ["rule.weights=[(1.0,),(1.0,-0.3)]", "whitening=[ZCA,None]", "calibration=[Raw,ZScore]"]
    assert len(grid(trained, free)) == 8
    assert len(grid(nf.s4(), ["frontend=[Stereo]"])) == 1


# ---- the command -----------------------------------------------------------------------------

VARY = ("--vary", "whitening.shrinkage=[0.001,0.01,'ledoit-wolf']", "--vary", "folds=[3,10]")


@pytest.mark.slow
def test_the_command_on_a_small_data_set(run, dcase, tmp_path):
    path = tmp_path / "lomo.json"
    code, out, err = run("evaluate", dcase, "-s", "s4", "--lomo", *VARY, "--json", path)
    assert code == 0, err
    for line in (
        "Ω = ",
        "honest − default: ΔΩ",
        "peeked − honest: ΔΩ",
        "above the floor: ΔΩ",
        "fan: whitening.shrinkage=",
        "The Ω to quote is the honest one",
        "wrote ",
    ):
        assert line in out, line  # fmt: skip
    assert "SIMULATED" not in out
    data = json.loads(path.read_text())
    lomo = data["lomo"]
    assert len(lomo["candidates"]) == 6
    assert set(lomo["chosen"]) == {"fan", "pump"}
    names = [c["name"] for c in lomo["candidates"]]
    assert names[0] == "whitening.shrinkage=0.01, folds=10 (as given)"
    assert set(lomo["chosen"].values()) <= set(names)
    assert sum(len(c["chosen_for"]) for c in lomo["candidates"]) == 2
    assert sum(c["share_of_draws"] for c in lomo["candidates"]) == pytest.approx(1)
    assert lomo["peeked"]["score"] == max(c["score"] for c in lomo["candidates"])
    assert data["omega"] == data["score"]
    assert data["settings"]["vary"] == list(VARY[1::2])
    alone = tmp_path / "alone.json"
    assert run("evaluate", dcase, "-s", "s4", "--json", alone)[0] == 0
    default = json.loads(alone.read_text())
    assert (lomo["default"]["score"], lomo["default"]["interval"]) == (
        default["score"], default["interval"])  # fmt: skip
    assert lomo["default"]["system"] == default["settings"]["system"]
    assert data["floor"]["score"] == default["floor"]["score"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Simulated recordings, so that there is something to get wrong. Read only."""
    out = tmp_path_factory.mktemp("lomo") / "data"
    sim.simulate(out, "mini", 0, machines=["fan", "ToyCar"], workers=2)
    return out


@pytest.mark.slow
def test_every_candidate_is_that_system_evaluated_alone(simulated):
    runtime = nf.Runtime()
    with pytest.warns(nf.NearfarWarning) as said:
        found = study(simulated, nf.s4(), ["rule.metric=[cosine,euclidean]"], runtime, draws=DRAWS)
    hints = [str(w.message) for w in said if "match_levels" in str(w.message)]
    assert len(hints) == 1  # once, not for each candidate
    assert "with_setting(…, 'enrichment." in hints[0]
    train, test = (nf.Clips.open(simulated, split=split) for split in ("train", "test"))
    scores = []
    for variant in found.candidates:
        with pytest.warns(nf.NearfarWarning):
            scores.append(nf.fit(variant.system, train).score(test))
    assert list(found.choice.evaluations) == [nf.evaluate(s, draws=DRAWS) for s in scores]
    best = [
        {m: e.score for m, e in by_machine(s).items()} for s in scores
    ]  # Ω of all machines but one
    for machine, k in found.choice.machines.items():
        assert best[k][machine] == max(b[machine] for b in best)
    assert found.text.startswith("SIMULATED ")
    assert found.as_dict()["settings"]["data"].startswith("SIMULATED ")
    json.dumps(found.as_dict(), allow_nan=False)


def by_machine(scores):
    machines = {v.clip.machine for v in scores}
    return {
        m: nf.evaluate(nf.Scores(v for v in scores if v.clip.machine != m), draws=0)
        for m in machines
    }


def test_bad_commands_are_one_line(run, dcase, tmp_path):
    lomo = ("--lomo", "--vary", "whitening.shrinkage=[0.1]")
    failed(run("evaluate", dcase, *lomo[1:]), "--vary goes with --choose lomo")
    failed(run("evaluate", dcase, "--lomo"), "--choose lomo needs --vary")
    failed(run("evaluate", "--scores", tmp_path, *lomo), "leave --scores out")
    failed(run("evaluate", dcase, "--detector", tmp_path, *lomo), "leave --detector out")
    failed(run("evaluate", dcase, "--skip-bad", *lomo), "leave --skip-bad out")
    failed(run("evaluate", *lomo), "give DATA")
    failed(run("evaluate", dcase, "--lomo", "--vary", "rule.k=[1]"), "KNN has no setting 'k'")


def test_no_clip_is_read_before_a_refusal(run, dcase, tmp_path):
    one = tmp_path / "one"
    write_machine(one, "fan", 1, source=1, target=1, test=1)
    two = tmp_path / "two"
    shutil.copytree(one / "fan", two / "fan")
    shutil.copytree(one / "fan", two / "pump")
    for clip in tmp_path.rglob("*.wav"):
        clip.write_bytes(b"no sound")
    vary = ("--lomo", "--vary", "whitening.shrinkage=[0.1]")
    failed(run("evaluate", one, *vary), "only one machine, fan")
    failed(run("evaluate", two, "--lomo", "--vary", "whitening.shrinkge=[0.1]"), "did you mean")
    failed(run("evaluate", two, "--lomo", "--vary", "whitening.shrinkage=[9]"), "shrinkage is 9")
    failed(run("evaluate", two, *vary), "wav")
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "machine,section,file,domain,label\nfan,00,section_00_0000.wav,source,normal\n"
    )
    failed(run("evaluate", two, *vary, "--truth", truth), "is not in the truth")
    for clip in (two / "pump" / "test").glob("*anomaly*"):
        clip.unlink()
    failed(run("evaluate", two, *vary), "pump, section 00: no anomaly")
