"""The command finetune: what its flags come to, and who speaks."""

import pytest

import nearfar as nf
from nearfar.cli import finetune as command
from nearfar.errors import SettingError
from nearfar.training import FineTuning


def settings(*assignments, **flags):
    return command._training_settings(assignments, flags)


def test_a_flag_is_the_setting_of_its_name():
    flags = {"seed": 3, "loss": "cosface", "lora": 4, "adapt": "dann"}
    assert settings(**flags) == FineTuning(seed=3, loss="cosface", lora=4, adaptation="dann")
    assert settings(seed=None, loss=None, lora=None, adapt=None) == FineTuning()
    assert settings(" training.epochs=5", "frontend.floor=0.1", seed=0) == FineTuning(epochs=5)


def test_a_flag_and_a_setting_may_agree_but_not_differ():
    assert settings("training.lora=8", lora=8).lora == 8
    with pytest.raises(SettingError, match=r"--adapt dann and training\.adaptation=none; give one"):
        settings("training.adaptation=none", adapt="dann")


@pytest.mark.parametrize("path", ["frontend.floor", "embedder.frames", "embedder.embedder.layer"])
def test_what_a_training_hears_of_is_taken(path):
    command._refuse_ignored(f"{path}=1")


@pytest.mark.parametrize("path", ["rule.metric", "embedder.n", "frontends.floor", "whitening"])
def test_what_a_training_would_not_hear_of_is_refused(path):
    with pytest.raises(SettingError, match="has no effect on training"):
        command._refuse_ignored(f"{path}=1")


@pytest.mark.parametrize(("rank", "speaks"), [(None, True), ("0", True), ("1", False)])
def test_of_several_processes_one_speaks(run, monkeypatch, dcase, tmp_path, rank, speaks):
    pytest.importorskip("torch")
    runtimes = []

    def instead(recipe, clips, training, runtime, **more):
        runtimes.append(runtime)

    monkeypatch.setattr("nearfar.training.run.finetune", instead)
    monkeypatch.setattr(nf.EAT, "training", None)
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    out = tmp_path / "s1.safetensors"
    code, told, _ = run("finetune", dcase, "-o", out, "--weights", "tests/data/eat/tiny")
    assert (code, told) == (0, f"wrote {out}\n" if speaks else "")
    assert (runtimes[0].progress is not None) == speaks
