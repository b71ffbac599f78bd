"""The simulated data set: layout, purity, resuming, refusals."""

import hashlib
import json
import os
import shutil
import sys

import numpy as np
import pytest
import soundfile

import nearfar as nf
from conftest import first_quick
from nearfar import sim
from nearfar.sim import stress
from nearfar.sim.plan import PRESETS
from nearfar.sound.audio import read
from processes import output, python

TINY = {"machines": ["fan", "valveEmu"]}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim") / "mini"
    written = sim.simulate(out, "mini", 3, workers=2, **TINY)
    assert written.label == "SIMULATED v1 seed 3"
    return out


def content(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_names_and_folders_are_those_of_the_real_set(mini):
    train, test = nf.Clips.open(mini, split="train"), nf.Clips.open(mini, split="test")
    preset = PRESETS["mini"]
    for machine in ("fan", "valveEmu"):
        mine = train.select(machine=machine)
        assert len(mine.select(domain="source")) == preset.source
        assert len(mine.select(domain="target")) == preset.target
        for domain in ("source", "target"):
            for label in ("normal", "anomaly"):
                assert len(test.select(machine=machine, domain=domain, label=label)) == preset.test
        assert all(c.label == "normal" for c in mine)
    for clip in [*train, *test][::9]:
        info = soundfile.info(str(clip.path))
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 2, "PCM_16")
        assert info.duration == preset.seconds


def test_attributes_say_what_the_names_say(mini):
    lines = (mini / "fan" / "attributes_00.csv").read_text().splitlines()
    assert lines[0] == "file_name,d1p,d1v"
    for line in lines[1:]:
        name, parameter, value = line.split(",")
        assert name.endswith(f"_{parameter}_{value}.wav")
        assert (mini / name).exists()
    assert (mini / "valveEmu" / "attributes_00.csv").read_text().splitlines()[0] == "file_name"


@pytest.mark.slow
def test_workers_and_order_do_not_matter(mini, tmp_path):
    sim.simulate(tmp_path / "one", "mini", 3, workers=1, **TINY)
    assert content(tmp_path / "one") == content(mini)
    sim.simulate(tmp_path / "fan", "mini", 3, machines=["fan"])
    fan = {k: v for k, v in content(mini).items() if k.startswith("fan/")}
    assert {k: v for k, v in content(tmp_path / "fan").items() if k.startswith("fan/")} == fan


def test_another_seed_is_another_set(mini, tmp_path):
    sim.simulate(tmp_path / "other", "mini", 4, machines=["fan"])
    name = "fan/train/section_00_source_train_normal_0000_spd_1.wav"
    assert (tmp_path / "other" / name).read_bytes() != (mini / name).read_bytes()


@pytest.mark.slow
def test_an_interrupted_run_is_completed(mini, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(mini, out)
    manifest = json.loads((out / "manifest.json").read_text())
    entries = manifest["clips"]
    lost, torn = entries[5]["file"], entries[9]["file"]
    (out / lost).unlink()
    (out / torn).write_bytes((out / torn).read_bytes()[:1000])
    (out / "journal.jsonl").write_text(
        "\n".join(json.dumps(e) for e in entries[:20]) + '\n{"file": "torn'
    )
    (out / "ground_truth.jsonl").unlink()
    begun = {"simulation": manifest["simulation"], "complete": False}
    (out / "manifest.json").write_text(json.dumps(begun))
    written = sim.simulate(out, "mini", 3, **TINY)
    assert written.rendered == written.clips - 18
    assert content(out) == content(mini)
    assert sim.simulate(out, "mini", 3, **TINY).rendered == 0


def test_the_manifest_has_the_hashes(mini):
    manifest = json.loads((mini / "manifest.json").read_text())
    assert manifest["label"] == "SIMULATED v1 seed 3"
    for entry in manifest["clips"]:
        digest = hashlib.sha256((mini / entry["file"]).read_bytes()).hexdigest()
        assert digest == entry["sha256"]
    truth = [json.loads(x) for x in (mini / "ground_truth.jsonl").read_text().splitlines()]
    assert [t["file"] for t in truth] == [e["file"] for e in manifest["clips"]]
    for row in truth:
        assert (row["fault"] is not None) == ("_anomaly_" in row["file"])
        assert np.isfinite(row["snr_db"])


@pytest.mark.slow
def test_stems_add_up(tmp_path):
    sim.simulate(tmp_path, "mini", 3, machines=["fan"], stems=True, workers=2)
    for path in sorted((tmp_path / "fan" / "test").iterdir())[::7]:
        parts = [
            read(tmp_path / "fan" / "supplemental" / name / path.name)
            for name in ("machine", "noise")
        ]
        assert np.abs(sum(parts) - read(path)).max() <= 1.01 / 32768
    assert len(nf.Clips.open(tmp_path, split="test")) == 24  # stems are no clips


@pytest.mark.slow
def test_lost_stems_come_back(tmp_path):
    sim.simulate(tmp_path / "s", "mini", 3, machines=["fan"], stems=True)
    before = content(tmp_path / "s")
    shutil.rmtree(tmp_path / "s" / "fan" / "supplemental" / "noise")
    assert sim.simulate(tmp_path / "s", "mini", 3, machines=["fan"], stems=True).rendered == 52
    assert content(tmp_path / "s") == before


@pytest.mark.parametrize(
    "damage",
    first_quick(
        [
            b'{"file": 5, "sha256": 1, "truth": 5}\n',
            b"\xff\xfe\x00",
            b"[1]\n5\nnull\n",
            b'{"file": "t',
        ]
    ),
)
@pytest.mark.slow
def test_a_damaged_journal_costs_time_only(mini, tmp_path, damage):
    out = tmp_path / "again"
    shutil.copytree(mini, out)
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "journal.jsonl").write_bytes(damage)
    begun = {"simulation": manifest["simulation"], "complete": False, "clips": 5}
    (out / "manifest.json").write_text(json.dumps(begun))
    sim.simulate(out, "mini", 3, workers=2, **TINY)
    assert content(out) == content(mini)


def test_another_stress_set_is_refused(mini, tmp_path):
    sim.write_stress(tmp_path / "s", 1)
    before = content(tmp_path / "s")
    sim.write_stress(tmp_path / "s", 1)
    with pytest.raises(nf.NearfarError, match="holds another set"):
        sim.write_stress(tmp_path / "s", 2)
    assert content(tmp_path / "s") == before
    with pytest.raises(nf.NearfarError, match="has other files"):
        sim.write_stress(mini, 1)
    with pytest.raises(nf.NearfarError, match="no machine 'zork'"):
        sim.write_stress(tmp_path / "z", 1, "zork")
    assert not (tmp_path / "z").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 5}, "seed 3, not 5"),
        ({"machines": ["fan"]}, "machines"),
        ({"stems": True}, "stems False, not True"),
        ({"preset": "small"}, "preset 'mini', not 'small'"),
    ],
)
def test_another_set_in_the_folder_is_refused(mini, change, words):
    arguments = {"preset": "mini", "seed": 3, **TINY, **change}
    before = content(mini)
    with pytest.raises(nf.NearfarError, match=words):
        sim.simulate(mini, **arguments)
    assert content(mini) == before


def test_a_run_that_made_no_clip_binds_its_folder_to_nothing(tmp_path, monkeypatch):
    out = tmp_path / "set"
    with pytest.raises(nf.NearfarError, match="number of processes"):
        sim.simulate(out, "mini", 1, workers=10**20, **TINY)
    assert not out.exists()

    class Stopped(BaseException):
        """Ctrl-C."""

    def stop(*_, **__):
        raise Stopped

    with monkeypatch.context() as patched:  # its folder is made by then
        patched.setattr("nearfar.sim.dataset.atomic_file", stop)
        with pytest.raises(Stopped):
            sim.simulate(out, "mini", 1, **TINY)
    assert not out.exists()
    monkeypatch.setattr("nearfar.sim.dataset.render", stop)
    with pytest.raises(Stopped):
        sim.simulate(out, "mini", 1, **TINY)
    assert not out.exists()
    out.mkdir()  # somebody's own folder stays, empty as it was
    with pytest.raises(Stopped):
        sim.simulate(out, "mini", 1, **TINY)
    assert not list(out.iterdir())


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(nf.NearfarError, match="no preset 'big'; it has: dev, mini, small, stress"):
        sim.simulate(tmp_path / "x", "big")
    with pytest.raises(nf.NearfarError, match="did you mean 'fan'"):
        sim.simulate(tmp_path / "x", "mini", machines=["fam"])
    with pytest.raises(nf.NearfarError, match="did you mean 'fan'"):
        sim.describe("fam")
    assert not (tmp_path / "x").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(nf.NearfarError, match="has other files"):
        sim.simulate(tmp_path / "mine", "mini")


# Everything but the sounds is real; in a process of its own, for it forks. Each child is killed
# one step later than the one before.
KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from nearfar import sim
from nearfar.sim import dataset, plan
from nearfar.sim.scene import Rendered
from processes import tree

small = replace(plan.PRESETS["mini"], source=1, target=1, test=1)
plan.PRESETS = dataset.PRESETS = {"mini": small}
one = Rendered(*[np.zeros((2, 160), np.float32)] * 3, truth={})
dataset.render = lambda key, seed, **_: one
os.fsync = lambda _: None

STEPS = {"os.chmod", "os.rename", "os.remove", "os.mkdir", "open"}
work, turn, armed = Path(sys.argv[1]), 0, False

def hook(event, arguments):
    global turn
    if armed and event in STEPS and str(work) in str(arguments):
        if turn == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        turn -= 1

def simulate(out):
    return sim.simulate(out, "mini", 0, machines=["fan"])

sys.addaudithook(hook)
simulate(work / "whole")
wanted, left = tree(work / "whole"), 0
for step in range(int(sys.argv[2])):
    out = work / str(step)
    child = os.fork()
    if not child:
        turn, armed = step, True
        simulate(out)
        armed = False
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    left += bool(list(out.rglob(".*.nearfar"))) if out.exists() else 0
    simulate(out)
    assert tree(out) == wanted, (step, set(tree(out)) ^ set(wanted))
    if not ended:
        break
print(step, left, ended)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("steps", [12, pytest.param(500, marks=pytest.mark.slow)])
def test_killed_at_any_step_and_run_again_nothing_half_written_stays(tmp_path, steps):
    """The manifest and the first clips; and, slow, until the set is whole."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = output(python(KILLED, tmp_path, steps, env=environment))
    last, left, ended = map(int, said.split())
    assert left >= last // 4  # it did leave something behind
    assert last == 11 if steps == 12 else (last > 30 and not ended)


def test_killed_at_its_first_file_the_folder_is_still_free(tmp_path, monkeypatch):
    monkeypatch.setattr(stress, "_contents", lambda *_: [("nan.wav", b"quick to make")])
    (out := tmp_path / "out").mkdir()
    (out / ".manifest.json.abcd1234.nearfar").write_text("{")
    sim.write_stress(out)
    assert not list(out.glob(".*"))
