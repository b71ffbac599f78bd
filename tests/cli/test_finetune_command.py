"""`nearfar finetune`: what it writes, says and refuses."""

import shutil
import signal

import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import write_classes

torch = pytest.importorskip("torch")


from nearfar.training.loop import loop, saving

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture
def command(run):
    from nearfar.cli import finetune as cli_finetune
    from nearfar.cli import main as cli

    names = [c.callback.__name__ for c in cli.app.registered_commands]
    if "finetune" not in names:
        cli.app.command()(cli_finetune.finetune)
    return lambda *args: run("finetune", *args, "--weights", TINY, "--device", "cpu")


SHORT = ("--set", "training.epochs=2", "--set", "training.batch_size=8")


@pytest.mark.slow
def test_command(command, data, tmp_path):
    out, picture = tmp_path / "s1.safetensors", tmp_path / "curves.png"
    code, told, err = command(
        data / "fan", data / "pump", "-o", out, *SHORT, "--seed", 3, "--plot", picture,
        "--set", "frontend.coherence_weight=0", "--set", "training.held_out=0.2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert f"wrote {out}: 4 classes of 2 machines, epoch" in told
    assert "of 6 held-out normals" in told
    set_so = "--set frontend.coherence_weight=0"
    assert f"nearfar fit DATA -s s1 {set_so} --weights {out} -o DETECTOR" in told
    training = nf.EAT(str(out)).training
    assert training.frontend["coherence_weight"] == 0
    assert (training.settings["seed"], training.settings["epochs"]) == (3, 2)
    assert picture.is_file()
    assert command(data, "-o", out)[0] == 2


def test_command_says_when_there_is_nothing_to_go_on_with(command, data, tmp_path):
    out = tmp_path / "s1.safetensors"
    short = (*SHORT[:1], "training.epochs=1", *SHORT[2:], "--set", "embedder.embedder.frames=160")
    code, told, _ = command(data, "-o", out, *short, "--resume")
    assert (code, told.startswith(f"wrote {out}: ")) == (0, True)
    before = out.read_bytes()
    code, again, _ = command(data, "-o", out, *short, "--resume")
    assert (code, out.read_bytes()) == (0, before)
    assert again == told.replace(f"wrote {out}", f"{out} was finished already")


def test_command_leaves_machines_out(command, data, tmp_path):
    out = tmp_path / "s1.safetensors"
    assert command(data, "-o", out, *SHORT, "--exclude", "fan")[0] == 0
    assert nf.EAT(str(out)).training.machines == {"pump"}
    code, _, err = command(data, "-o", tmp_path / "b.safetensors", "--exclude", "fun")
    assert (code, err.count("\n")) == (2, 1)
    assert "did you mean 'fan'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "training.epoch=5"), "did you mean 'epochs'"),
        (("--set", "training.epochs=0"), "training.epochs is 0"),
        (("--set", "frontend.flor=1"), "did you mean 'floor'"),
        (("--seed", "1", "--set", "training.seed=2"), "give one of them"),
        (("--set", "training.batch_size=3", "--set", "training.accumulation=2"), "must divide"),
        (("-s", "s4"), "s4 needs no weights"),
        (("--exclude", "fan", "--exclude", "pump"), "exclude fewer"),
        (("--plot", "nowhere/x.png"), "cannot be written"),
        (("--set", "embedder.shortest=0.5"), "training.shortest is what counts here"),
        (("--set", "embedder.n=3"), "embedder.n has no effect on training; say it to nearfar fit"),
        (("--set", "rule.metric=euclidean"), "say it to nearfar fit"),
        (("--set", "embedder.embedder.precision=bf16"), "training.precision is what counts"),
        (("--set", "embedder.embedder.layer=1"), "leave layer away"),
        (("-s", "s2"), "train s1 four times with --seed 0 … 3"),
        (("-s", "s3"), "s3 is an ensemble of 2 systems"),
    ],
)
def test_command_refuses(command, data, tmp_path, arguments, message):
    code, _, err = command(data, "-o", tmp_path / "s1.safetensors", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_command_says_what_ctrl_c_leaves(command, data, tmp_path, monkeypatch):
    out = tmp_path / "s1.safetensors"
    step = loop.Loop._step

    def interrupted(self, epoch, *args):
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, epoch, *args)

    monkeypatch.setattr(loop.Loop, "_step", interrupted)
    code, _, err = command(data, "-o", out, *SHORT)
    assert code == 130
    assert err.startswith("interrupted; ")
    assert err.endswith("s1.checkpoint.safetensors: --resume goes on from there\n")
    assert err.count("\n") == 1
    monkeypatch.undo()
    assert command(data, "-o", out, *SHORT)[0] == 2
    assert command(data, "-o", out, *SHORT, "--resume")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s1.jsonl", "s1.safetensors"]


@pytest.mark.slow
def test_all_bad_files_are_named_before_a_training_or_left_out_of_it(command, data, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(data, mine)
    bad = sorted((mine / "fan" / "train").iterdir())[2:4]
    for path in bad:
        path.write_bytes(b"no sound")
    out, other = tmp_path / "s1.safetensors", tmp_path / "other.safetensors"
    short = (*SHORT[:1], "training.epochs=1", *SHORT[2:], "--set", "embedder.embedder.frames=160")
    code, told, err = command(mine, "-o", out, *short)
    assert (code, told, err.count("--skip-bad: ")) == (2, "", 1)
    for path in bad:
        assert path.name in err  # one cause of both: one line has it
    assert not list(tmp_path.glob("*.safetensors"))
    code, _, err = command(mine, "-o", out, *short, "--skip-bad")
    assert code == 0
    for path in bad:
        assert path.name in err
        path.unlink()
    assert command(mine, "-o", other, *short)[0] == 0
    assert other.read_bytes() == out.read_bytes()


def test_a_training_stopped_before_its_first_step_is_begun_anew_by_the_same_command(
    command, data, tmp_path, monkeypatch
):
    out = tmp_path / "s1.safetensors"
    monkeypatch.setattr(loop.Loop, "epoch", lambda _: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(saving, "_SIGNALS", ())  # asked twice: at once, without a checkpoint
    code, _, err = command(data, "-o", out, *SHORT)
    assert (code, err.count("\n")) == (143, 1)
    assert "the same command" in err
    assert "--resume" not in err
    monkeypatch.undo()
    assert (tmp_path / "s1.jsonl").read_text() == ""
    assert command(data, "-o", out, *SHORT)[0] == 0
