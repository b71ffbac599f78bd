"""Systems 1 and 2 from nothing: simulate, finetune (killed once), fit, evaluate; honest alarms."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom

import nearfar as nf
from conftest import TINY, finish, machine_sound, write
from nearfar import sim
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.record import Training
from nearfar.runtime.runtime import Runtime
from nearfar.training import FineTuning, finetune

pytestmark = pytest.mark.slow  # test_trained.py has the laws, with an encoder made by hand

# Killed when the checkpoint of the first epoch has just been written.
KILLED = """
import os, signal
from nearfar.cli import main as cli
from nearfar.training import run
from nearfar.training.loop import checkpoint

save, Saver = checkpoint.save, run.Saver
run.Saver = lambda copy, write, minutes, **more: Saver(copy, write, 0, **more)

def dying(path, taken):
    save(path, taken)
    os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save = dying
cli.main()
"""
SETTINGS = ("epochs=4", "learning_rate=0.002", "head_rate=1", "batch_size=16", "held_out=0.2")


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """Two machines of the simulated mini set. Read only."""
    folder = tmp_path_factory.mktemp("mini") / "data"
    sim.simulate(folder, "mini", 0, machines=["fan", "ToyCar"])
    return folder


def train(data, out, *extra, cache, program=("-m", "nearfar")):
    """The command line in a process of its own, one thread: exit code, output, errors."""
    environment = os.environ | {"NEARFAR_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    settings = [x for s in SETTINGS for x in ("--set", f"training.{s}")]
    process = subprocess.Popen(
        [sys.executable, *program, "finetune", data, "--weights", TINY, "-o", out,
         "--workers", "1", *settings, *extra],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, err = finish(process)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def trained(mini, tmp_path_factory):
    """System 1's encoder, killed once on the way."""
    folder = tmp_path_factory.mktemp("trained")
    out = folder / "s1.safetensors"
    checkpoint = folder / "s1.checkpoint.safetensors"
    code, _, err = train(mini, out, cache=folder / "cache", program=("-c", KILLED))
    assert code == -signal.SIGKILL, err
    assert checkpoint.exists()
    assert not out.exists()
    code, told, err = train(mini, out, "--resume", cache=folder / "cache")
    assert code == 0, err
    assert "next: nearfar fit DATA -s s1 --weights" in told
    assert not checkpoint.exists()
    return out


def test_system_1_from_nothing(mini, trained, tmp_path, run):
    flags = ["-s", "s1", "--weights", trained, "--set", "embedder.n=3"]
    code, out, err = run("fit", mini, *flags, "-o", tmp_path / "d")
    assert code == 0, err
    code, out, err = run(
        "evaluate", mini, "--detector", tmp_path / "d", "--json", tmp_path / "r.json", "--no-floor"
    )
    assert code == 0, err
    assert out.startswith("SIMULATED v1 seed 0")
    assert "Ω = " in out
    result = json.loads((tmp_path / "r.json").read_text())
    assert set(result["settings"]["system"]["embedder"]) >= {"type", "embedder", "n"}
    code, out, err = run("score", tmp_path / "d", mini / "fan" / "test", "--json", "-")
    assert code == 0, err
    assert len({v["score"] for v in json.loads(out)["scores"]}) > 10
    record = Training.of(open_weights(trained))
    train_clips = nf.Clips.open(mini, split="train")
    assert len(record.held_out) + len(record.heard) == len(train_clips)
    assert 0.1 < len(record.held_out) / len(train_clips) < 0.3


def test_system_2_from_nothing(mini, trained, tmp_path, run):
    """Three more seeds, one epoch each: they hold out the same clips."""
    clips = nf.Clips.open(mini, split="train")
    paths = [trained]
    for seed in (1, 2, 3):
        path = tmp_path / f"s1-seed{seed}.safetensors"
        settings = FineTuning(epochs=1, seed=seed, learning_rate=2e-3, held_out=0.2)
        finetune(nf.s1(str(TINY)), clips, settings, Runtime(cache=tmp_path), out=path)
        paths.append(path)
    records = [Training.of(open_weights(path)) for path in paths]
    assert len({record.held_out for record in records}) == 1
    flags = ["-s", "s2", *(x for path in paths for x in ("--weights", path))]
    for i in range(4):  # ten crops take too long here
        flags += ["--set", f"members.{i}.embedder.n=2"]
    code, _, err = run("fit", mini, *flags, "-o", tmp_path / "d")
    assert code == 0, err
    detector = nf.load(tmp_path / "d")
    assert detector.threshold("fan").clips == sum(
        detector.sections["fan", "00"].fresh
    )  # the held-out ones, the same for all four
    json_file = tmp_path / "r.json"
    code, out, err = run(
        "evaluate", mini, "--detector", tmp_path / "d", "--no-floor", "--json", json_file
    )
    assert (code, "Ω = " in out) == (0, True), err
    few = nf.Clips.open(mini, split="test", machines=["fan"])[::4]
    assert len(set(detector.score(few).values.tolist())) > 3


def test_the_false_alarm_rate_holds_on_fresh_normals(tmp_path):
    """Thresholds from held-out clips, normals the encoder and the bank have never heard.

    Of m held-out scores the threshold leaves a above it; a fresh normal, exchangeable with them, is
    above it with a chance distributed as Beta(a + 1, m − a).
    """
    rng = np.random.default_rng(5)
    for i in range(120):
        domain = "source" if i % 2 else "target"
        name = f"section_00_{domain}_train_normal_{i:04d}_noAttribute.wav"
        write(tmp_path / "fan" / "train" / name, machine_sound(rng, 1.0, domain))
    clips = nf.Clips.open(tmp_path, split="train")
    small = replace(nf.s1(str(TINY)), embedder=nf.Crops(nf.EAT(str(TINY)), n=1))
    settings = FineTuning(epochs=1, learning_rate=2e-3, head_rate=1.0, held_out=0.5)
    system = finetune(small, clips, settings, out=tmp_path / "s1.safetensors")
    detector = nf.fit(replace(system, false_alarm_rate=0.2), clips)
    drawn = detector.threshold("fan")
    assert 50 <= drawn.clips <= 70
    count = 100
    alarms = sum(
        detector.score(machine_sound(rng, 1.0, "source" if i % 2 else "target"), sr=16_000)[0]
        .anomalous
        for i in range(count)
    )  # fmt: skip
    above = round(0.2 * drawn.clips - 0.5)
    low, high = betabinom(count, above + 1, drawn.clips - above).interval(0.9995)
    assert low <= alarms <= high
