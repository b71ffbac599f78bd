"""`nearfar reproduce` as people use it: all tables on simulated data, killed, resumed, checked."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from conftest import PATIENCE, TINY
from nearfar import sim
from nearfar.reproduce.entries import ENTRIES, PAIRS, RANK
from nearfar.reproduce.steps import schedule
from nearfar.reproduce.steps.estimate import Timed

torch = pytest.importorskip("torch")
pytest.importorskip("resource")  # none on Windows, and no SIGKILL either

from trained_file import make_trained

pytestmark = pytest.mark.usefixtures("one_thread")  # as the processes that are compared have it

SEEDS, EPOCHS = 2, 2


@pytest.fixture(autouse=True)
def by_arithmetic(monkeypatch):
    """No step is tried for the estimate here: it takes seconds, and test_timing.py does it."""
    monkeypatch.setattr(schedule, "_timed", lambda *what: Timed())


# Killed when the first checkpoint of a training has just been written.
CHILD = """
import os, signal
from nearfar.cli import main as cli
from nearfar.training import run
from nearfar.training.loop import checkpoint

save, Saver = checkpoint.save, run.Saver
run.Saver = lambda copy, write, minutes, **more: Saver(copy, write, 0, **more)

def dying(path, taken):
    save(path, taken)
    if "train-mask-seed-1" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save = dying
cli.main()
"""


def command(folder, *more):
    return [
        "reproduce", str(folder / "data"), "--weights", str(TINY), "-o", str(folder / "run"),
        "--seeds", str(SEEDS), "--set", f"training.epochs={EPOCHS}", "--workers", "1",
        "--device", "cpu", *more,
    ]  # fmt: skip


def start(folder, head, *more):
    environment = {**os.environ, "NEARFAR_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *head, *command(folder, *more)],
        capture_output=True, text=True, env=environment, timeout=PATIENCE,
    )  # fmt: skip


def records(folder):
    """Every step that is done: name → (its record, when the record was written)."""
    paths = (folder / "run" / "steps").glob("*.json")
    return {
        record["name"]: (record, path.stat().st_mtime_ns)
        for path in paths
        for record in [json.loads(path.read_text())]
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated recordings. Read only."""
    folder = tmp_path_factory.mktemp("reproduce")
    sim.simulate(folder / "data", "mini", 0, workers=2)
    return folder / "data"


@pytest.fixture(scope="module")
def runs(data):
    """A run of all tables that was killed once: what was done before, and how it ended."""
    folder = data.parent
    killed = start(folder, ["-c", CHILD])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = records(folder)
    checkpoints = sorted((folder / "run" / "weights").glob("*.checkpoint.safetensors"))
    refused = start(folder, ["-m", "nearfar"])
    ended = start(folder, ["-m", "nearfar"], "--resume")
    assert ended.returncode == 0, ended.stderr
    return folder, before, checkpoints, refused, ended


@pytest.fixture(scope="module")
def results(runs):
    data = json.loads((runs[0] / "run" / "results.json").read_text(encoding="utf-8"))
    return data, {table["name"]: table for table in data["tables"]}


# ---- killed and resumed ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_run_left_whole_steps_and_a_checkpoint(runs):
    _, before, checkpoints, refused, _ = runs
    assert "train mask, seed 0" in before
    assert "train mask, seed 1" not in before
    assert len(checkpoints) == 1
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "--resume" in refused.stderr


@pytest.mark.slow
def test_what_was_done_is_not_done_again(runs):
    folder, before, _, _, ended = runs
    after = records(folder)
    assert {name: after[name] for name in before} == before
    assert set(before) < set(after)
    assert "score s4;" not in ended.stderr  # no line says that it is being done
    log = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    started = [entry["step"] for entry in log if entry["event"] == "start"]
    again = [name for name in set(started) if started.count(name) > 1]
    assert again == ["train mask, seed 1"]
    assert not list((folder / "run" / "weights").glob("*.checkpoint.safetensors"))


@pytest.mark.slow
def test_the_training_that_was_killed_ends_as_if_it_had_not_been(runs, tmp_path):
    import nearfar as nf
    from nearfar.training import FineTuning, finetune

    folder = runs[0]
    clips = nf.Clips.open(folder / "data", split="train")
    settings = FineTuning(epochs=EPOCHS, seed=1)
    runtime = nf.Runtime(device="cpu", cache=folder / "cache")
    system = nf.System(frontend=nf.CoherenceMask(), embedder=nf.Crops(nf.EAT(str(TINY))))
    finetune(system, clips, settings, runtime, out=tmp_path / "whole.safetensors")
    (resumed,) = (folder / "run" / "weights").glob("train-mask-seed-1*.safetensors")
    assert resumed.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.slow
def test_a_finished_run_is_printed_again_from_its_scores_alone(runs):
    folder = runs[0]
    before = [(folder / "run" / name).read_bytes() for name in ("results.md", "results.json")]
    written = records(folder)
    again = start(folder, ["-m", "nearfar"], "--resume")
    assert again.returncode == 0
    assert "all done" in again.stderr
    after = [(folder / "run" / name).read_bytes() for name in ("results.md", "results.json")]
    assert after == before
    assert records(folder) == written


# ---- the tables ------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_table_and_comparison_of_the_report_is_there(results):
    _, tables = results
    assert {
        "table1", "table2", "table3", "2-differences", "3-differences", "text-systems",
        "text-differences", "readings-systems", "readings-differences",
    } <= set(tables)  # fmt: skip
    assert sum(name.startswith("stereo") for name in tables) >= 5
    for name in ("2", "3", "text", "readings"):
        asked = [(c["first"], c["second"]) for c in tables[f"{name}-differences"]["comparisons"]]
        assert asked == [(pair.first, pair.second) for pair in PAIRS[name]]
    names = {row["entry"] for row in tables["text-systems"]["rows"]}
    assert {"cosface", "elasticface", "magface", "lora", "dann", "mixstyle", "w0"} <= names
    assert {"mean-shift", "unit-length", "z-score", "s3-dif", "s3-eat"} <= names


@pytest.mark.slow
def test_simulated_data_say_so_and_the_report_stays_away(runs, results):
    data, _ = results
    text = (runs[0] / "run" / "results.md").read_text(encoding="utf-8")
    assert text.splitlines()[2].startswith("**SIMULATED v")
    assert data["data"]["label"].startswith("SIMULATED")
    assert data["report"] is None
    heads = [line for line in text.splitlines() if line.startswith("|")]
    assert heads
    assert not any("report" in line for line in heads)
    # Numbers of its own may be those of the report by chance; nothing is called the report's.
    assert {key for key in keys(data) if "report" in key} == {"report"}


def keys(data):
    """Every key in nested dictionaries and lists."""
    if isinstance(data, dict):
        yield from data
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from keys(value)


@pytest.mark.slow
def test_seeds_versions_and_hashes_are_told(runs, results):
    import hashlib

    data, _ = results
    assert data["seeds"] == list(range(SEEDS))
    assert data["training"]["epochs"] == EPOCHS
    assert data["versions"][0]["torch"] == torch.__version__
    content = (TINY / "model.safetensors").read_bytes()
    assert data["weights"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert len({step["key"] for step in data["steps"]}) == len(data["steps"])
    for step in data["steps"]:
        for name, sha256 in step["files"].items():
            assert hashlib.sha256((runs[0] / "run" / name).read_bytes()).hexdigest() == sha256


def scores_of(folder, name, data):
    """Ω of each seed of an entry, recomputed from its score files by scikit-learn and SciPy."""
    found = []
    for step in data["steps"]:
        if step["name"].split(",")[0] == f"score {name}":
            figures = []
            for path in sorted(step["files"]):
                if "anomaly_score" in path:
                    figures += figures_of(folder / "run" / path)
            found.append(hmean(np.maximum(figures, np.finfo(float).eps)))
    return found


def figures_of(path):
    """AUC(source), AUC(target), pAUC of one machine: anomalies are those of both domains."""
    scores = defaultdict(list)
    with path.open(newline="") as file:
        for name, score in csv.reader(file):
            _, _, domain, _, label, *_ = name.split("_")
            scores[domain, label].append(float(score))
    bad = scores["source", "anomaly"] + scores["target", "anomaly"]
    good = {d: scores[d, "normal"] for d in ("source", "target")}
    both = good["source"] + good["target"]
    return [*(auc(good[d], bad) for d in good), auc(both, bad, max_fpr=0.1)]


def auc(normal, anomalous, **more):
    labels = [0] * len(normal) + [1] * len(anomalous)
    return roc_auc_score(labels, normal + anomalous, **more)


@pytest.mark.slow
def test_the_arithmetic_of_every_number(runs, results):
    folder, (data, tables) = runs[0], results
    omega = {name: scores_of(folder, name, data) for name in ENTRIES}
    count = {"once": 1, "all": 1, "each": SEEDS}
    assert {n: len(v) for n, v in omega.items()} == {n: count[e.seeds] for n, e in ENTRIES.items()}
    rows = tables["text-systems"]["rows"] + tables["table3"]["rows"]
    for row in rows:
        assert row["seeds"] == pytest.approx(omega[row["entry"]], abs=1e-12)
        assert row["value"] == pytest.approx(np.mean(omega[row["entry"]]), abs=1e-12)
        assert row["interval"][0] <= row["interval"][1]
    for name, own in tables["table2"]["omega"].items():
        assert own["value"] == pytest.approx(omega[name][0], abs=1e-12)
        values = [v for machine in tables["table2"]["figures"][name].values()
                  for v in machine.values()]  # fmt: skip
        assert len(values) == 9
        assert hmean(np.maximum(values, np.finfo(float).eps)) == pytest.approx(own["value"])
    for table in ("2", "3", "text", "readings"):
        for row in tables[f"{table}-differences"]["comparisons"]:
            wanted = np.mean(omega[row["first"]]) - np.mean(omega[row["second"]])
            assert row["difference"] == pytest.approx(wanted, abs=1e-12)
            low, high = row["interval"]
            assert row["distinguishable"] == (low > 0 or high < 0)
            assert "report" not in row


@pytest.mark.slow
def test_parts_that_cannot_matter_do_not(results):
    """Unit length changes no cosine; a row that is exactly 0 shows that pairs share their clips."""
    _, tables = results
    rows = {row["first"]: row for row in tables["text-differences"]["comparisons"]}
    assert rows["unit-length"]["difference"] == pytest.approx(0, abs=1e-12)
    assert max(map(abs, rows["unit-length"]["interval"])) < 1e-9


@pytest.mark.slow
def test_trainings_are_those_of_the_report(runs, results):
    from nearfar.embedder.eat.weights import open_weights
    from nearfar.embedder.record import Training

    found = {}
    for path in (runs[0] / "run" / "weights").glob("*.safetensors"):
        training = Training.of(open_weights(path))
        found[path.name.split("-seed")[0].removeprefix("train-")] = training
    assert {n: t.settings["loss"] for n, t in found.items() if "face" in n} == {
        "cosface": "cosface", "elasticface": "elasticface", "magface": "magface"
    }  # fmt: skip
    assert found["lora"].settings["lora"] == RANK
    assert found["dann"].settings["adaptation"] == "dann"
    assert found["mixstyle"].settings["adaptation"] == "mixstyle"
    weight = {n: t.frontend.get("coherence_weight") for n, t in found.items()}
    assert (weight["near"], weight["mask"], weight["mask-w0"]) == (None, 0.7, 0.0)
    assert found["near"].frontend["type"] == "Near"
    plain = {"loss": "arcface", "lora": 0, "adaptation": "none"}
    for name in ("near", "mask", "mask-w0"):
        assert {k: found[name].settings[k] for k in plain} == plain


@pytest.mark.slow
def test_markdown_rows_have_as_many_cells_as_their_head(runs):
    text = (runs[0] / "run" / "results.md").read_text(encoding="utf-8")
    blocks = [b for b in text.split("\n\n") if b.startswith("|")]
    assert len(blocks) >= 12
    for block in blocks:
        assert len({line.count(" | ") for line in block.strip().splitlines()}) == 1
        assert not any(word in block for word in ("nan", "None", "inf"))


# ---- what is refused -------------------------------------------------------------------------


@pytest.fixture
def call(data, run, tmp_path):
    """The command in this process, with a folder of its own."""

    def go(*arguments, data=data, weights=TINY, out=tmp_path / "run"):
        given = () if weights is None else ("--weights", weights)
        return run("reproduce", data, *given, "-o", out, *arguments)

    return go


def test_a_dry_run_tells_the_plan_and_writes_nothing(call, tmp_path):
    code, out, _ = call("--dry-run", "--table", "3", "--seeds", "3")
    assert code == 0
    lines = out.strip().splitlines()
    assert sum("train near" in line for line in lines) == 3
    assert sum("train mask" in line for line in lines) == 3
    assert not any("cosface" in line for line in lines)
    assert all(word in lines[-1] for word in ("memory", "disk", "GB"))
    assert not (tmp_path / "run").exists()


def test_table_1_needs_no_weights_and_no_time(call, tmp_path):
    code, out, _ = call("--table", "1", weights=None)
    assert code == 0
    assert "| Preprocess | coherence mask | coherence mask |" in " ".join(out.split())
    assert (tmp_path / "run" / "results.json").is_file()


def one_line(error):
    assert len(error.strip().splitlines()) == 1, error
    return error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "4"], "no table '4'"),
        (["--seeds", "0"], "--seeds 0"),
        (["--set", "training.seed=3"], "training.seed"),
        (["--set", "training.loss=cosface"], "training.loss"),
        (["--set", "frontend.floor=0.1"], "frontend.floor"),
        (["--set", "training.epoch=3"], "epochs"),
        (["--device", "cuda:7"], "cuda:7"),
    ],
)
def test_impossible_settings_are_refused_at_once(call, tmp_path, arguments, said):
    code, _, error = call(*arguments)
    assert code == 2
    assert said in one_line(error)
    assert not (tmp_path / "run").exists()


def test_weights_are_looked_at_before_anything_is_read(call, tmp_path):
    code, _, error = call(weights=None)
    assert code == 2
    assert "--weights is missing" in one_line(error)
    code, _, error = call(weights=make_trained(tmp_path / "s1.safetensors"))
    assert code == 2
    assert "trained by nearfar already" in one_line(error)
    assert not (tmp_path / "run").exists()


def test_other_data_are_refused_or_stand_alone(call, dcase):
    code, _, error = call(data=dcase)
    assert code == 2
    assert "ToyCarEmu" in one_line(error)
    assert "--any-data" in error
    code, out, _ = call("--any-data", "--dry-run", data=dcase)
    assert code == 0
    assert "score s4" in out


@pytest.mark.parametrize("size", ["2", "abc"])
def test_a_launcher_is_refused(call, monkeypatch, size):
    monkeypatch.setenv("WORLD_SIZE", size)
    code, _, error = call("--table", "1")
    assert code == 2
    assert f"WORLD_SIZE is '{size}'" in one_line(error)


def test_an_empty_launcher_is_none(call, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert call("--table", "1", "--dry-run")[0] == 0


def test_dann_without_a_target_domain_is_refused_before_any_training(call, data, tmp_path):
    for path in data.rglob("*.wav"):
        if "_target_train_" not in path.name:
            (new := tmp_path / "data" / path.relative_to(data)).parent.mkdir(
                parents=True, exist_ok=True
            )
            new.hardlink_to(path)
    arguments = ("--dry-run", "--any-data")
    code, _, error = call(*arguments, "--table", "text", data=tmp_path / "data")
    assert code == 2
    assert "both domains" in one_line(error)
    assert call(*arguments, "--table", "3", data=tmp_path / "data")[0] == 0


@pytest.mark.slow
def test_too_small_a_disk_is_said_first(call, tmp_path, monkeypatch):
    from types import SimpleNamespace

    from nearfar.reproduce.steps import schedule

    monkeypatch.setattr(schedule.shutil, "disk_usage", lambda _: SimpleNamespace(free=1e6))
    for more in ((), ("--dry-run",)):
        code, _, error = call("--table", "3", *more)
        assert code == 2
        assert "1 MB free" in error.strip().splitlines()[-1]
        assert ("train near" in error) == bool(more)  # the plan is shown all the same
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_was_found(call):
    code, out, _ = call("--dry-run", "--table", "1", weights=None)
    assert code == 0
    assert out.startswith("SIMULATED v")
    assert "3 machines, 84 training and 72 test clips" in out.splitlines()[0]


def test_a_folder_with_other_things_stays_as_it_was(call, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    code, _, error = call("--table", "1")
    assert code == 2
    assert "choose a new" in one_line(error)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_a_step_that_fails_is_named_and_the_rest_stays(call, tmp_path, monkeypatch):
    from nearfar.errors import SettingError
    from nearfar.reproduce.steps import stereo

    def broken(*_):
        raise SettingError("the far microphone fell off")

    monkeypatch.setattr(stereo, "measure", broken)
    code, _, error = call("--table", "text", "--set", "training.epochs=1")
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert "stereo statistics failed: the far microphone fell off" in last
    assert "log.jsonl" in last
    assert "--resume" in last
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    failed = json.loads(log[-1])
    assert (failed["event"], failed["step"]) == ("failed", "stereo statistics")
    assert "Traceback" in failed["traceback"]
    assert not list((tmp_path / "run" / "steps").iterdir())
