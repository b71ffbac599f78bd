"""The first-shot view: without labels no Ω; with them dev and eval, and what lies between."""

import json
import shutil

import numpy as np
import pytest
import soundfile

import nearfar as nf
from conftest import write, write_machine
from nearfar.scores.truth import read_truth
from nearfar.study.assessment import of_data
from nearfar.study.firstshot import Sides, View


def write_hard(root, machine, seed):
    """A machine of which half of the anomalies sound normal, so that there is an interval."""
    write_machine(root, machine, seed, source=6, target=5, test=4)
    folder = root / machine / "test"
    for i, path in enumerate(sorted(folder.glob("*anomaly*"))):
        if i % 2:
            shutil.copy(folder / path.name.replace("anomaly", "normal"), path)
            write(path, 0.9 * soundfile.read(path)[0].T)


ARGS = ("-s", "logmel", "--workers", 1)


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    root = tmp_path_factory.mktemp("dev") / "dev"
    for seed, machine in enumerate(("fan", "pump")):
        write_hard(root, machine, seed)
    return root


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The evaluation machine with its labels in its names, as nobody has it at first."""
    root = tmp_path_factory.mktemp("named") / "named"
    write_hard(root, "Sander", 7)
    return root


@pytest.fixture(scope="module")
def hidden(named, tmp_path_factory):
    """The same as published: (folder, ground truth folder, list)."""
    root = tmp_path_factory.mktemp("eval")
    shutil.copytree(named / "Sander" / "train", root / "eval" / "Sander" / "train")
    (root / "eval" / "Sander" / "test").mkdir()
    lines = {"data": [], "domain": [], "attributes": []}
    for i, path in enumerate(sorted((named / "Sander" / "test").iterdir())):
        name = f"section_00_{i:04d}.wav"
        shutil.copy(path, root / "eval" / "Sander" / "test" / name)
        lines["data"].append(f"{name},{int('anomaly' in path.name)}")
        lines["domain"].append(f"{name},{int('target' in path.name)}")
        lines["attributes"].append(f"{name},{path.stem}")
    for kind, some in lines.items():
        folder = root / "gt" / f"ground_truth_{kind}"
        folder.mkdir(parents=True)
        (folder / "ground_truth_Sander_section_00_test.csv").write_text("\n".join(some) + "\n")
    listed = root / "eval_data_list_2026.csv"
    listed.write_text("Sander\n" + "".join(f"{x}.wav\n" for x in lines["attributes"]))
    return root / "eval", root / "gt", listed


def omega(root):
    train, test = (nf.Clips.open(root, split=split) for split in ("train", "test"))
    return nf.evaluate(nf.fit(nf.logmel(), train).score(test))


# ---- without labels --------------------------------------------------------------------------


def test_without_labels_there_are_scores_and_alarms_and_no_number(hidden):
    result = of_data(hidden[0], nf.logmel(), nf.Runtime())
    assert isinstance(result, View)
    detector = nf.fit(nf.logmel(), nf.Clips.open(hidden[0], split="train"))
    scores = detector.score(nf.Clips.open(hidden[0], split="test"))
    (row,) = result.rows
    assert (row.machine, row.clips) == ("Sander", 16)
    assert row.anomalous == sum(v.anomalous for v in scores)
    assert row.threshold == detector.threshold("Sander").value
    assert row.expected == detector.threshold("Sander").expected
    assert (row.source, row.target) == (6, 5)
    assert 0 <= row.distance <= 1
    assert [r.score for r in result.scores.rows] == scores.values.tolist()
    assert "Ω =" not in result.text
    assert "No labels of Sander, so no Ω" in result.text


def test_the_command_says_it_in_one_line_and_json_has_no_number(run, hidden):
    code, out, err = run("evaluate", hidden[0], *ARGS)
    assert code == 0, err
    assert sum("no Ω" in line for line in out.splitlines()) == 1
    told = json.loads(run("evaluate", hidden[0], *ARGS, "--json", "-")[1])
    assert told["omega"] is None
    assert told["unlabelled"][0]["machine"] == "Sander"
    assert len(told["scores"]) == 16
    assert sum(row["anomalous"] for row in told["scores"]) == told["unlabelled"][0]["anomalous"]


def test_machines_with_labels_are_judged_beside_those_without(dev, hidden):
    both = of_data([dev, hidden[0]], nf.logmel(), nf.Runtime())
    assert both.evaluation == omega(dev)
    assert [row.machine for row in both.unlabelled] == ["Sander"]
    assert both.sides is None
    assert "Sander" not in both.as_dict()["machines"]


def test_a_detector_too_has_the_view(hidden, tmp_path, run):
    folder = nf.fit(nf.logmel(), nf.Clips.open(hidden[0], split="train")).save(tmp_path / "det")
    code, out, err = run("evaluate", hidden[0], "--detector", folder)
    assert code == 0, err
    assert "No labels of Sander" in out


# ---- dev and eval ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "data folder", "list"])
@pytest.mark.parametrize("by", ["two DATA", "--eval"])
def test_both_numbers_are_those_of_each_alone(run, dev, named, hidden, form, by):
    data, folder, listed = hidden
    truth = {"folder": folder, "data folder": folder / "ground_truth_data", "list": listed}[form]
    place = (dev, data) if by == "two DATA" else (dev, "--eval", data)
    code, out, err = run("evaluate", *place, *ARGS, "--truth", truth, "--json", "-")
    assert code == 0, err
    told = json.loads(out)
    one, other = omega(dev), omega(named)
    assert told["dev"]["omega"] == one.omega
    assert told["dev"]["interval"] == list(one.interval)
    assert told["eval"]["omega"] == other.omega
    assert told["eval"]["interval"] == list(other.interval)
    assert told["eval_minus_dev"]["difference"] == pytest.approx(other.score - one.score)


def test_the_table_stands_side_by_side(run, dev, hidden):
    code, out, err = run("evaluate", dev, hidden[0], *ARGS, "--truth", hidden[1])
    assert code == 0, err
    lines = out.splitlines()
    head = next(line for line in lines if line.split()[:2] == ["dev", "eval"])
    assert head.split("  ")[-1].strip() == "eval − dev"
    row = next(line for line in lines if line.startswith("Ω "))
    one, other, moved = (float(x) for x in row.split()[1:])
    assert moved == pytest.approx(other - one, abs=0.011)


def test_the_difference_is_of_independent_draws(dev, named):
    result = of_data([dev, named], nf.logmel(), nf.Runtime(), evaluation=named)
    sides = result.sides
    apart = [nf.metrics.official.bootstrap(s, t) for s, t in _parts(result, dev, named)]
    low, high = np.quantile(apart[1] - apart[0], [0.025, 0.975])
    assert sides.interval == pytest.approx((low, high))
    assert sides.dev.interval[0] <= sides.dev.score <= sides.dev.interval[1]


def _parts(result, dev, named):
    from nearfar.scores.join import ScoreTable
    from nearfar.scores.truth import Truth

    for root in (dev, named):
        test = nf.Clips.open(root, split="test")
        rows = [r for r in result.scores.rows if r.machine in test.machines]
        yield ScoreTable(tuple(rows)), Truth.from_clips(test)


def test_all_labels_from_one_place_are_one_set(dev, hidden):
    result = of_data(hidden[0], nf.logmel(), nf.Runtime(), truth=hidden[1])
    assert result.sides is None
    assert result.evaluation.omega is not None
    assert isinstance(of_data(dev, nf.logmel(), nf.Runtime()).evaluation.score, float)


def test_a_truth_of_other_machines_is_refused(run, dev, hidden):
    code, out, err = run("evaluate", dev, *ARGS, "--truth", hidden[2])
    assert (code, out) == (2, "")
    assert "no score for 'section_00_0000.wav' of Sander" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scores", ".", "--truth", ".", "--eval", "x"), "--eval is for DATA"),
        (("d", "--eval", "x", "--choose", "lomo", "--vary", "folds=[3]"), "leave --eval out"),
        (("d", "--eval", "no such place"), "d: no such file"),
        (("d", "--transductive"), "--transductive is for --scores"),
    ],
)
def test_what_does_not_go_together_is_one_line(run, arguments, said):
    code, out, err = run("evaluate", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_side_without_sections_is_refused(hidden):
    truth = read_truth(hidden[1])
    with pytest.raises(nf.NearfarError, match="no labelled clips of eval"):
        Sides.of(nf.scores.join.ScoreTable(()), truth, ((("Sander", "00"),), ()), None)
