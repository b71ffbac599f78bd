"""Low-rank updates: the published encoder before the first step, merged equal to unmerged."""

from collections import Counter
from dataclasses import replace

import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import system, write_classes
from nearfar.embedder.eat.architecture import POSITIONS
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import SettingError

torch = pytest.importorskip("torch")

from nearfar.embedder.eat.model import Encoder, load
from nearfar.training import FineTuning
from nearfar.training.learner.learner import exported, kept, learner
from nearfar.training.loop import checkpoint, optimizer
from nearfar.training.loop.checkpoint import Best, State
from nearfar.training.run import finetune
from trainings import DEPTH, DIM, HIDDEN, SHORT, noise

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = nf.Runtime(device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"), 8, 5, seconds=(1.5, 1.2))


@pytest.fixture(scope="module")
def clips(data):
    return nf.Clips.open(data, split="train")


def adapted(rank=4, seed=0):
    """A learner in eval mode, with updates as if it had been trained."""
    pupil = learner(open_weights(TINY), 4, FineTuning(lora=rank, seed=seed)).eval()
    for i, (name, x) in enumerate(pupil.named_parameters()):
        if name.endswith("lora_b"):
            x.data = 0.05 * noise(*x.shape, seed=i)
    return pupil


@torch.no_grad()
def test_before_the_first_step_it_is_the_published_encoder():
    pupil, published = learner(open_weights(TINY), 4, FineTuning(lora=4)), load(open_weights(TINY))
    mel = noise(2, 48, 128)
    assert torch.equal(pupil.encoder(mel), published(mel))


@torch.no_grad()
def test_merged_is_equal_to_unmerged():
    encoder, mel = adapted().encoder, noise(3, 64, 128)
    plain = Encoder(encoder.shape).eval()
    plain.load_state_dict(exported(encoder), strict=False)
    assert not torch.allclose(encoder(mel), load(open_weights(TINY))(mel), atol=1e-2)
    rows = encoder.project(encoder(mel)), plain.project(plain(mel))
    assert torch.allclose(*rows, rtol=0, atol=1e-6)
    assert torch.allclose(encoder.double()(mel), plain.double()(mel), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 16, DIM])
def test_as_many_numbers_are_trained_as_the_ranks_make(rank):
    pupil = learner(open_weights(TINY), 5, FineTuning(lora=rank))
    attention, hidden, out = pupil.encoder.shape.projection
    widths = (DIM + 3 * DIM) + (DIM + DIM) + (DIM + HIDDEN) + (HIDDEN + DIM)
    pooling = (DIM * attention + attention) + (attention + 1)
    projection = (2 * DIM * hidden + hidden) + 2 * hidden + (hidden * out + out)
    expected = DEPTH * rank * widths + pooling + projection + 5 * out
    assert sum(x.numel() for x in pupil.parameters() if x.requires_grad) == expected


def test_a_checkpoint_has_only_what_changes(clips, tmp_path, monkeypatch):
    from safetensors import safe_open

    point, names = tmp_path / "s1.checkpoint.safetensors", set()
    save, snapshot = checkpoint.save, checkpoint.snapshot

    def copied(state, run):
        state.best = replace(state.best, epoch=0)  # another one was the best
        return snapshot(state, run)

    def noted(path, taken):
        save(path, taken)
        with safe_open(path, framework="np") as file:
            names.update(file.keys())

    monkeypatch.setattr(checkpoint, "snapshot", copied)
    monkeypatch.setattr(checkpoint, "save", noted)
    settings = replace(SHORT, epochs=1, lora=4, adaptation="dann", choose="held-out")
    finetune(system(TINY), clips, settings, CPU, out=tmp_path / "s1.safetensors")
    assert not point.exists()
    kinds = Counter(name.split(".")[0] for name in names)
    assert kinds["learner"] == kinds["exp_avg"] + 2  # BatchNorm's two statistics
    assert any(name.startswith("learner.discriminator.") for name in names)
    assert any(name.startswith("best.blocks.1.mlp.fc2.lora_b") for name in names)
    encoder = {n for n in names if ".blocks." in n or "local_encoder" in n or "norm." in n}
    assert all(n.endswith(("lora_a", "lora_b")) for n in encoder if "projection" not in n)


def test_the_best_updates_come_back_from_a_checkpoint(tmp_path):
    point, settings = tmp_path / "s1.checkpoint.safetensors", FineTuning(lora=4)

    def state(seed):
        pupil = adapted(seed=seed)
        return State(pupil, optimizer.adamw(pupil, settings), epoch=2, best=Best(1, 0.5, 1.0))

    there, back = state(0), state(1)
    there.weights = {n: x + 1 for n, x in kept(there.learner.encoder).items()}
    run = {"training": replace(settings, choose="held-out").to_data()}
    checkpoint.save(point, checkpoint.snapshot(there, run))
    checkpoint.restore(point, back, run)
    assert back.weights.keys() == there.weights.keys()
    assert all(torch.equal(x, back.weights[n]) for n, x in there.weights.items())
    best = exported(back.learner.encoder, back.weights)
    name = "blocks.0.mlp.fc1"
    b, a = (there.weights[f"{name}.lora_{k}"] for k in "ba")
    published = load(open_weights(TINY)).state_dict()[f"{name}.weight"]
    assert torch.allclose(best[f"{name}.weight"], published + b @ a, atol=1e-5)


def test_updates_learn_as_fast_as_the_head():
    settings = FineTuning(lora=2, learning_rate=1e-4, head_rate=7.0, layer_decay=0.5)
    pupil = learner(open_weights(TINY), 4, settings)
    names = {id(p): n for n, p in pupil.named_parameters()}
    rates = {
        names[id(p)]: group["peak"] / 1e-4
        for group in optimizer.adamw(pupil, settings).param_groups
        for p in group["params"]
    }
    assert rates["encoder.blocks.1.attn.qkv.lora_a"] == pytest.approx(7)
    assert rates["encoder.blocks.0.mlp.fc2.lora_b"] == pytest.approx(3.5)
    assert not any(n.endswith("qkv.weight") or POSITIONS in n for n in rates)


def test_a_rank_larger_than_a_layer_is_refused_before_any_work(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("nearfar.training.run.examples", None)  # not even looked for
    with pytest.raises(SettingError, match=r"^training.lora is 65; with this encoder it is 0 to"):
        finetune(system(TINY), clips, FineTuning(lora=65), CPU, out=tmp_path / "s1.safetensors")
