"""Training never loses work: killed, out of disk, out of numbers, in two processes."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import TESTS, TINY, finish, first_quick, free_port, stop
from finetune_sounds import QUICK, system, write_classes
from nearfar.errors import FormatError, SettingError, StorageError, WeightsError
from nearfar.sound.audio import digest_of

torch = pytest.importorskip("torch")
resource = pytest.importorskip("resource")  # none on Windows, and no SIGKILL either

from nearfar.training.examples.examples import Examples
from nearfar.training.log import EpochLine, StepLine, lines
from nearfar.training.loop import checkpoint
from nearfar.training.run import finetune

CPU = nf.Runtime(device="cpu")
SETTINGS = replace(QUICK, epochs=4, drop_path=0.2)

CHILD = """
import os, signal, sys
from pathlib import Path
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
import nearfar as nf
from finetune_sounds import QUICK, system
from nearfar.training import run
from nearfar.training.log import StepLine

data, weights, out, kill = sys.argv[2:6]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def watch(entry):
    if isinstance(entry, StepLine) and kill == f"step {entry.step}":
        Often.last.check(wait=True)
        die()

class Often(run.Saver):  # a clock of its own: a checkpoint after every second step or so
    def __init__(self, *args, **kwargs):
        ticks = iter(range(0, 10**9, 300))
        super().__init__(*args, **kwargs, clock=lambda: next(ticks))
        Often.last = self
run.Saver = Often

if kill == "written":  # a checkpoint is whole, but has not got its name yet
    sync = os.fsync
    def fsync(file):
        sync(file)
        if any(p.stat().st_ino == os.fstat(file).st_ino for p in Path(out).parent.glob(".*check*")):
            die()
    os.fsync = fsync
if kill == "exported":
    unlink = Path.unlink
    Path.unlink = lambda path, **k: die() if "checkpoint" in path.name else unlink(path, **k)

Loop = run.Loop
class Watched(Loop):
    def __post_init__(self):
        super().__post_init__()
        Watched.last = self
    def _batches(self, epoch):
        usual = super()._batches(epoch)
        if "RANK" not in os.environ:
            return usual
        twice = [[0, 0, 5, 5, 9, 9, 12, 12], [3, 3, 7, 7, 15, 15, 20, 20]]
        return twice if epoch < 2 else usual[:2]
run.Loop = Watched

clips = nf.Clips.open(data, split="train")
settings = replace(QUICK, epochs=4, drop_path=0.2)
if "RANK" in os.environ:  # both copies of a clip are to be the same
    settings = replace(settings, drop_path=0.0)
    from nearfar.training.loop import loop
    usual_rng = loop.crop_rng
    loop.crop_rng = lambda seed, epoch, i, _: usual_rng(seed, epoch, i)
run.finetune(system(weights), clips, settings, nf.Runtime(device="cpu"), out=out,
             resume=kill != "never", watch=watch)
if "RANK" in os.environ:
    from safetensors.torch import save_file
    state = {k: v for k, v in Watched.last.state.learner.state_dict().items()}
    save_file(state, f"{out}.{os.environ['RANK']}")
"""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"), seconds=(1.5, 1.2))


@pytest.fixture(scope="module")
def clips(data):
    return nf.Clips.open(data, split="train")


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory):
    """The file of a training that nothing stopped. Read only."""
    out = tmp_path_factory.mktemp("whole") / "s1.safetensors"
    finetune(system(TINY), clips, SETTINGS, CPU, out=out)
    return out


def train(data, out, kill, ranks=(None,)):
    """Train in other processes: (exit code, standard error) of each."""
    launched = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": str(len(ranks))
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHILD, TESTS, data, TINY, out, kill],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                **({} if rank is None else {"RANK": rank, "LOCAL_RANK": rank, **launched}),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]
    try:
        told = [finish(process)[1] for process in processes]
    finally:
        stop(processes)
    return [(p.returncode, text) for p, text in zip(processes, told, strict=True)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_killed_again_and_again_the_weights_are_the_same(data, whole, tmp_path):
    out = tmp_path / "s1.safetensors"
    # 26 clips in batches of 8: four steps an epoch.
    for kill in ("step 2", "step 7", "written", "step 15", "exported"):
        assert train(data, out, kill) == [(-signal.SIGKILL, "")]
        assert out.exists() == (kill == "exported")
        assert any(name.startswith(".") for name in names(tmp_path)) == (kill == "written")
    assert train(data, out, "step 0") == [(0, "")]
    assert out.read_bytes() == whole.read_bytes()
    assert names(tmp_path) == ["s1.jsonl", "s1.safetensors"]  # and no half-written parts
    told = [(x["epoch"], x["step"], x["loss"]) for x in lines(out.with_suffix(".jsonl"))]
    want = [(x["epoch"], x["step"], x["loss"]) for x in lines(whole.with_suffix(".jsonl"))]
    assert told == want


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(data, tmp_path):
    """In two epochs every clip is there twice: each process has it once, as one process has all.

    So the losses of their steps must be those of one process; the weights would be too, but for
    those that change nothing (a bias before BatchNorm, of keys), whose gradient is rounding. In
    the epochs behind them the processes have different clips.
    """
    pytest.importorskip("accelerate")
    alone, out = tmp_path / "alone.safetensors", tmp_path / "s1.safetensors"
    for path, ranks in ((alone, ("0",)), (out, ("0", "1"))):
        for code, told in train(data, path, "never", ranks=ranks):
            assert code == 0, told
    from safetensors.torch import load_file

    first, second = (load_file(f"{out}.{rank}") for rank in "01")
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert nf.EAT(str(out)).training.provenance["run"]["processes"] == 2
    both, one = (
        [x["loss"] for x in lines(path.with_suffix(".jsonl")) if "rate" in x]
        for path in (out, alone)
    )
    assert len(both) == 8
    # Rounding grows from step to step: 2e-4 were seen, and a step moves the loss by half.
    assert both[:4] == pytest.approx(one[:4], rel=1e-2)
    assert both[2:4] != pytest.approx(both[:2], rel=0.1)  # the same clips, and the weights moved


class Stop(Exception):
    pass


def stopped(clips, out, epoch, **changed):
    """A training that was stopped in an epoch, after its first step."""

    def watch(entry):
        if isinstance(entry, StepLine) and entry.epoch == epoch:
            raise Stop

    settings = replace(SETTINGS, **changed)
    with pytest.raises(Stop):
        finetune(system(TINY), clips, settings, CPU, out=out, watch=watch, checkpoint_minutes=0)
    assert out.with_suffix(".checkpoint.safetensors").exists()


def refused(error, match, *args, **kwargs):
    with pytest.raises(error, match=match) as caught:
        finetune(*args, CPU, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "number", first_quick([signal.SIGINT, signal.SIGTERM]), ids=lambda number: number.name
)
def test_who_stops_it_waits_for_a_step_and_loses_nothing(clips, whole, tmp_path, number):
    """In the middle of an epoch, long before a checkpoint is due."""
    out, steps = tmp_path / "s1.safetensors", []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def watch(entry):
        if isinstance(entry, StepLine):
            steps.append(entry.step)
            if entry.step == 5:
                os.kill(os.getpid(), number)

    with pytest.raises((KeyboardInterrupt, SystemExit)) as told:
        finetune(system(TINY), clips, SETTINGS, CPU, out=out, watch=watch)
    assert told.type is (KeyboardInterrupt if number == signal.SIGINT else SystemExit)
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert steps == [1, 2, 3, 4, 5]
    finetune(system(TINY), clips, SETTINGS, CPU, out=out, resume=True, watch=watch)
    assert steps == [1, 2, 3, 4, 5, *range(7, 17)]  # the sixth was done, and not told any more
    assert out.read_bytes() == whole.read_bytes()
    logged = [(x["step"], x["loss"]) for x in lines(out.with_suffix(".jsonl"))]
    assert logged == [(x["step"], x["loss"]) for x in lines(whole.with_suffix(".jsonl"))]


@pytest.mark.parametrize("step", first_quick([6, 1, 4, 8, 16]))
def test_stopped_after_any_step_the_best_epoch_is_the_same(clips, tmp_path, step):
    """Drawn twice in an epoch, clips must be cut as they would have been; the best be kept."""
    settings = replace(SETTINGS, choose="held-out", balanced=True, accumulation=2)
    whole, out = tmp_path / "whole.safetensors", tmp_path / "s1.safetensors"
    finetune(system(TINY), clips, settings, CPU, out=whole)

    def watch(entry):
        if isinstance(entry, StepLine) and entry.step == step:
            raise Stop

    with pytest.raises(Stop):
        finetune(system(TINY), clips, settings, CPU, out=out, watch=watch, checkpoint_minutes=0)
    finetune(system(TINY), clips, settings, CPU, out=out, resume=True)
    assert out.read_bytes() == whole.read_bytes()


def test_goes_on_only_with_the_same_training(clips, tmp_path):
    out, s1 = tmp_path / "s1.safetensors", system(TINY)
    stopped(clips, out, 2)
    point = out.with_suffix(".checkpoint.safetensors")
    before = point.read_bytes()
    refused(StorageError, "resume=True goes on", s1, clips, SETTINGS, out=out)
    other = replace(SETTINGS, epochs=9, learning_rate=0.5)
    told = refused(SettingError, "another training", s1, clips, other, out=out, resume=True)
    assert "training.epochs was 4, is 9" in told
    assert "training.learning_rate was 0.001, is 0.5" in told
    weak = system(TINY, nf.CoherenceMask(coherence_weight=0.0))
    told = refused(SettingError, "another", weak, clips, SETTINGS, out=out, resume=True)
    assert "frontend.coherence_weight was 0.7, is 0.0;" in told
    fewer = nf.Clips(clips[1:])
    refused(SettingError, ": other clips;", s1, fewer, SETTINGS, out=out, resume=True)
    others = system(TINY.with_name("tiny_finetune"))
    told = refused(SettingError, "other weights", others, clips, SETTINGS, out=out, resume=True)
    assert "other clips" not in told
    assert point.read_bytes() == before
    assert not out.exists()


def test_finished_is_finished(clips, whole):
    before = whole.read_bytes()
    again = finetune(system(TINY), clips, SETTINGS, CPU, out=whole, resume=True)
    assert again.embedder.embedder.weights == str(whole)
    other = replace(SETTINGS, seed=7)
    refused(SettingError, "seed was 0, is 7", system(TINY), clips, other, out=whole, resume=True)
    assert whole.read_bytes() == before


@pytest.mark.parametrize("there", ["weights", "another training", "anything"])
def test_going_on_replaces_nothing_but_its_own_result(clips, whole, tmp_path, there):
    out = tmp_path / "s1.safetensors"
    seed = {"seed": 7} if there == "another training" else {}
    stopped(clips, out, 2, **seed)
    source = {"weights": TINY / "model.safetensors", "another training": whole}.get(there)
    before = source.read_bytes() if source else b"anything"
    out.write_bytes(before)
    settings = replace(SETTINGS, **seed)
    with pytest.raises((SettingError, StorageError, WeightsError)) as told:
        finetune(system(TINY), clips, settings, CPU, out=out, resume=True)
    assert str(out) in str(told.value)
    assert "\n" not in str(told.value)
    assert out.read_bytes() == before
    assert out.with_suffix(".checkpoint.safetensors").exists()


def test_the_log_has_an_epoch_before_its_checkpoint_and_once(clips, tmp_path, monkeypatch):
    """Killed between a checkpoint and the log, an epoch would be missing for ever."""
    out = tmp_path / "s1.safetensors"
    save, logged = checkpoint.save, []

    def killed(path, taken):
        if taken.facts["batches"]:  # in the middle of an epoch
            return
        found = [x["epoch"] for x in lines(out.with_suffix(".jsonl")) if "rate" not in x]
        logged.append(found)
        if len(logged) == 2:
            raise Stop
        save(path, taken)
        if len(logged) == 4:
            raise Stop

    monkeypatch.setattr(checkpoint, "save", killed)

    def again():
        finetune(system(TINY), clips, SETTINGS, CPU, out=out, resume=True, checkpoint_minutes=0)

    for _ in range(2):
        with pytest.raises(Stop):
            again()
    again()
    assert logged == [[1], [1, 2], [1, 2], [1, 2, 3], [1, 2, 3, 4]]


@pytest.mark.parametrize("damage", ["truncated", "empty", "other", "newer", "no record"])
def test_damaged_checkpoints(clips, tmp_path, damage):
    out = tmp_path / "s1.safetensors"
    point = out.with_suffix(".checkpoint.safetensors")
    if damage == "other":
        point.write_bytes((TINY / "model.safetensors").read_bytes())
    elif damage == "no record":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(2)}, point, {"nearfar": '{"format": 1, "run": 3}'})
    else:
        stopped(clips, out, 2)
        content = point.read_bytes()
        point.write_bytes(
            {
                "truncated": content[:-100],
                "empty": b"",
                "newer": content.replace(rb"{\"format\": 2", rb"{\"format\": 9"),
            }[damage]
        )
    told = refused(FormatError, "delete it", system(TINY), clips, SETTINGS, out=out, resume=True)
    assert ("newer nearfar" if damage == "newer" else "damaged") in told
    assert str(point) in told


def test_a_full_disk_keeps_the_last_checkpoint(clips, tmp_path):
    """It is said in one line, no later than at the next step."""
    whole, out = tmp_path / "whole.safetensors", tmp_path / "full" / "s1.safetensors"
    out.parent.mkdir()
    settings = replace(SETTINGS, held_out=0.0)
    finetune(system(TINY), clips, settings, CPU, out=whole)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def watch(entry):
        if isinstance(entry, EpochLine) and entry.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))

    try:
        with pytest.raises(
            StorageError, match=r"No checkpoint of step [89]: the one before"
        ) as told:
            finetune(system(TINY), clips, settings, CPU, out=out, watch=watch, checkpoint_minutes=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(told.value)
    assert names(out.parent) == ["s1.checkpoint.safetensors", "s1.jsonl"]
    finetune(system(TINY), clips, settings, CPU, out=out, resume=True)
    assert out.read_bytes() == whole.read_bytes()


def test_a_loss_that_is_no_number(clips, whole, tmp_path, monkeypatch):
    """One clip's activations overflow in epoch 3: it is named, and nothing of it is kept."""
    out = tmp_path / "s1.safetensors"
    training = nf.EAT(str(whole)).training
    bad = next(c for c in clips if training.has_heard(digest_of(c.read()[:1])))
    crop, calls = Examples.crop, []

    def poisoned(self, i, *drawn):
        calls.append(i)
        mel = crop(self, i, *drawn)
        return mel * np.float32(1e38) if len(calls) > 52 and self.clips[i] == bad else mel

    monkeypatch.setattr(Examples, "crop", poisoned)
    with pytest.raises(SettingError, match="the loss is nan in epoch 3, step ") as told:
        finetune(system(TINY), clips, SETTINGS, CPU, out=out, checkpoint_minutes=0)
    assert f"with {bad.name};" in str(told.value)
    assert re.search(r"the checkpoint of step (8|9|10|11) is kept", str(told.value))
    assert "\n" not in str(told.value)
    monkeypatch.undo()
    finetune(system(TINY), clips, SETTINGS, CPU, out=out, resume=True)
    assert hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(whole.read_bytes()).digest()


def test_a_held_out_loss_that_is_no_number(clips, whole, tmp_path, monkeypatch):
    """It names the held-out clip, and no other."""
    training = nf.EAT(str(whole)).training
    bad = next(c for c in clips if digest_of(c.read()[:1]) in training.held_out)
    heard = Examples.whole

    def poisoned(self, i):
        mel = heard(self, i)
        return mel * np.float32(1e38) if self.clips[i] == bad else mel

    monkeypatch.setattr(Examples, "whole", poisoned)
    out = tmp_path / "s1.safetensors"
    told = refused(SettingError, "held-out loss is nan", system(TINY), clips, SETTINGS, out=out)
    assert f"in epoch 1, with {bad.name};" in told


def test_a_log_that_was_cut_short(tmp_path):
    from nearfar.training.log import Log

    path = tmp_path / "s1.jsonl"
    path.write_text('{"epoch": 1, "step": 1}\n{"epoch": 2, "step": 2}\n{"epoch": 1, "st')
    with Log(path, after=1) as log:
        log(StepLine(2, 2, 2, 2, 0.5, 1e-3, 1.0, 0.0))
    assert [(x["epoch"], x["step"]) for x in lines(path)] == [(1, 1), (2, 2)]
    assert path.read_text().count("\n") == 2
