"""Other ways to train: losses, low-rank updates, domain adaptation. None of them forks the loop."""

import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import TESTS, TINY, finish, first_quick, free_port, stop
from finetune_sounds import QUICK, sound, system, write_classes
from nearfar.embedder.eat.architecture import POSITIONS
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import DatasetError, SettingError

torch = pytest.importorskip("torch")

from nearfar.embedder.eat.model import Encoder, load
from nearfar.training import FineTuning
from nearfar.training.examples.examples import batches, domain_shares, examples
from nearfar.training.learner.domains import Discriminator, MixStyle, reversal
from nearfar.training.learner.learner import exported, kept, learner
from nearfar.training.log import StepLine
from nearfar.training.loop import checkpoint, optimizer
from nearfar.training.loop.checkpoint import Best, State
from nearfar.training.loop.loop import Loop
from nearfar.training.loop.team import Team
from nearfar.training.run import finetune

CPU = nf.Runtime(device="cpu")
SHORT = replace(QUICK, epochs=3)
DIM, DEPTH, HIDDEN = 64, 2, 256  # of the tiny encoder, by its config.json
VARIANTS = {  # each new setting at least once, and with what could get in its way
    "elasticface-lora": {"loss": "elasticface", "lora": 4, "accumulation": 2},
    "magface-dann": {"loss": "magface", "adaptation": "dann", "balanced": True},
    "cosface-mixstyle": {"loss": "cosface", "adaptation": "mixstyle", "drop_path": 0.2},
    "lora-dann": {"lora": 3, "adaptation": "dann", "checkpointing": True},
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("classes"), 8, 5, seconds=(1.5, 1.2))


@pytest.fixture(scope="module")
def clips(data):
    return nf.Clips.open(data, split="train")


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    """The file of each variant by its name, and of none. Read only."""
    folder = tmp_path_factory.mktemp("trained")
    files = {}
    for name, changed in {"usual": {}, **VARIANTS}.items():
        files[name] = folder / f"{name}.safetensors"
        finetune(system(TINY), clips, replace(SHORT, **changed), CPU, out=files[name])
    return files


def tensors(path):
    from safetensors.numpy import load_file

    return load_file(path)


def a_loop(clips, settings, cache, shares=(0.5, 0.5)):
    found = examples(clips, nf.CoherenceMask(), None, settings, nf.Runtime(cache=cache))
    pupil = learner(open_weights(TINY), len(found.classes), settings, shares)
    state = State(pupil, optimizer.adamw(pupil, settings))
    return Loop(state, found, settings, Team("cpu"), lambda _: None)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- what holds for all ----------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_the_result_is_a_file_like_any_other(trained, name):
    usual, found = tensors(trained["usual"]), tensors(trained[name])
    assert {n: x.shape for n, x in found.items()} == {n: x.shape for n, x in usual.items()}
    assert all(np.isfinite(x).all() for x in found.values())
    embedder = nf.EAT(str(trained[name]))
    rows = embedder([sound(np.random.default_rng(s), "fan", "source")[:1] for s in range(2)])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert embedder.training.settings == replace(SHORT, **VARIANTS[name]).to_data()


@pytest.mark.parametrize("name", ["usual", *VARIANTS])
def test_a_small_step_lowers_the_loss_of_its_batch(clips, tmp_path, name):
    """Drawn alike and taken twice. Epochs are noisy: their batches, mixing and margins differ."""
    settings = replace(SHORT, **VARIANTS.get(name, {}), learning_rate=1e-4)
    one = a_loop(clips, settings, tmp_path)
    one.state.learner.train()
    one._counted = lambda batch: [(i, 0) for i in batch]  # the same crops in every step
    first, second = (one._step(1, 0, range(0, 24, 3)) for _ in range(2))
    assert second < first


@pytest.mark.parametrize("name", first_quick(VARIANTS))
def test_stopped_and_resumed_the_file_is_the_same(clips, trained, tmp_path, name):
    out = tmp_path / "s1.safetensors"
    settings = replace(SHORT, **VARIANTS[name])

    def stop_at(epoch):
        def watch(entry):
            if isinstance(entry, StepLine) and (entry.epoch, entry.step % 2) == (epoch, 0):
                raise KeyboardInterrupt

        return watch

    for epoch in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            finetune(
                system(TINY), clips, settings, CPU, out=out, resume=epoch > 2, watch=stop_at(epoch)
            )
    finetune(system(TINY), clips, settings, CPU, out=out, resume=True)
    assert out.read_bytes() == trained[name].read_bytes()


@pytest.mark.parametrize("name", ["elasticface-lora", "cosface-mixstyle"])
def test_what_is_drawn_in_a_step_comes_from_its_number(clips, tmp_path, name):
    def losses(*numbers):
        one = a_loop(clips, replace(SHORT, **VARIANTS[name], learning_rate=0.0), tmp_path)
        one.state.learner.train()
        one._counted = lambda batch: [(i, 0) for i in batch]  # the same crops in every step
        return [one._step(1, number, list(range(8))) for number in numbers]

    before = torch.random.get_rng_state()
    first = losses(0, 1, 2, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)  # the state of others does not matter
    assert first == losses(0, 1, 2, 3)
    assert losses(3, 0) == [first[3], first[0]]  # nor do the steps before
    assert len(set(first)) > 1


def test_a_checkpoint_of_before_these_settings_goes_on():
    def run(**training):
        return {"training": training, "weights": "a"}

    now = FineTuning().to_data()
    then = {k: v for k, v in now.items() if k not in ("loss", "lora", "adaptation")}
    checkpoint.refuse_other(Path("x"), run(**then), run(**now))
    with pytest.raises(SettingError, match=r"training\.lora was 0, is 4"):
        checkpoint.refuse_other(Path("x"), run(**then), run(**{**now, "lora": 4}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": "cosfac"}, "training.loss is 'cosfac'; did you mean 'cosface'"),
        ({"loss": None}, "training.loss is None; it has: arcface, cosface"),
        ({"adaptation": "mixstile"}, "did you mean 'mixstyle'"),
        ({"lora": -1}, "training.lora is -1; it is a whole number from 0 to"),
        ({"lora": 2.5}, "training.lora is 2.5; it is a whole number"),
        ({"loss": "magface", "margin": 1.0}, "with magface it is 0 to 0.98"),
    ],
)
def test_refuses_impossible_settings(changed, message):
    with pytest.raises(SettingError) as error:
        FineTuning(**changed)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_magface_gets_the_lengths_that_embeddings_had():
    pupil = learner(open_weights(TINY), 4, FineTuning(loss="magface"))
    mels, labels = [noise(3, 32, 128), noise(2, 48, 128, seed=1)], torch.tensor([0, 1, 2, 3, 0])
    told = pupil.train()(mels, torch.arange(5), labels)
    whole = pupil.encoder.projection.unscaled(told[1])
    assert told[0].item() == pytest.approx(pupil.loss(whole, labels).item(), rel=1e-5)
    unit = torch.nn.functional.normalize(whole, dim=1)
    assert told[0].item() != pytest.approx(pupil.loss(unit, labels).item(), rel=1e-3)
    judged = pupil.eval().judge(mels[0], labels[:3])[1]
    whole = pupil.encoder.projection.unscaled(pupil.statistics(mels[:1]))
    assert judged.item() == pytest.approx(pupil.loss(whole, labels[:3]).item(), rel=1e-5)


# ---- LoRA ------------------------------------------------------------------------------------


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


def test_what_is_frozen_is_as_published_and_updates_have_their_rank(trained):
    before, after = tensors(TINY / "model.safetensors"), tensors(trained["elasticface-lora"])
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    updated = {f"model.blocks.{i}.{x}.weight" for i in range(DEPTH) for x in layers}
    for name in before:
        if name not in updated:
            assert before[name].tobytes() == after[name].tobytes(), name
    for name in updated:
        update = np.linalg.svd((after[name] - before[name]).astype(float), compute_uv=False)
        assert update[3] > 1e-3 * update[0], name
        assert update[4] < 1e-3 * update[3], name


def test_a_checkpoint_has_only_what_changes(clips, tmp_path, monkeypatch):
    from safetensors import safe_open

    point, names = tmp_path / "s1.checkpoint.safetensors", set()
    save = checkpoint.save

    def noted(path, state, run):
        state.best = replace(state.best, epoch=0)  # another one was the best
        save(path, state, run)
        with safe_open(path, framework="np") as file:
            names.update(file.keys())

    monkeypatch.setattr(checkpoint, "save", noted)
    settings = replace(SHORT, epochs=1, lora=4, adaptation="dann")
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
    checkpoint.save(point, there, {})
    checkpoint.restore(point, back, {})
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


# ---- DANN ------------------------------------------------------------------------------------


def test_the_turned_gradient_comes_in_as_the_paper_says():
    for p in (0.0, 0.03, 0.25, 0.9, 1.0):
        assert reversal(p) == pytest.approx(math.tanh(5 * p), abs=1e-12)  # the same, otherwise


def test_the_encoder_gets_the_gradient_turned_round_and_the_classifier_does_not():
    torch.manual_seed(0)
    judge, domains = Discriminator(8, (0.5, 0.5)), torch.tensor([0, 1, 1, 0, -1])

    def gradients(strength):
        judge.zero_grad()
        x = noise(5, 8).requires_grad_()
        judge(x, domains, strength).backward()
        return x.grad, [p.grad.clone() for p in judge.parameters()]

    x = noise(5, 8).requires_grad_()  # without anything that turns
    logits = judge.out(torch.relu(judge.hidden(x)))[:4, 0]
    sign = 1 - 2 * domains[:4]  # log(1 + e^z) for source, log(1 + e^−z) for target, weights of 1
    (torch.log1p(torch.exp(sign * logits)).sum() / 5).backward()
    plain, own = x.grad, [p.grad.clone() for p in judge.parameters()]
    for strength in (0.0, 0.4, 1.0):
        turned, same = gradients(strength)
        assert torch.allclose(turned, -strength * plain, atol=1e-8)
        assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(own, same, strict=True))
    assert plain[:4].abs().min() > 0
    assert (plain[4] == 0).all()  # no domain: no part in it


def test_both_domains_count_one_half():
    torch.manual_seed(0)
    n = 1000
    domains = torch.tensor([0] * 980 + [1] * 10 + [-1] * 10)
    judge, x = Discriminator(8, (0.98, 0.01)).double(), noise(n, 8).double()
    z = judge.out(torch.relu(judge.hidden(x)))[:, 0].detach().numpy()
    source, target = np.log1p(np.exp(z[:980])), np.log1p(np.exp(-z[980:990]))
    expected = source.mean() / 2 + target.mean() / 2
    assert judge(x, domains, 1.0).item() == pytest.approx(expected, rel=1e-9)
    # And in parts too, whatever clips these have.
    cut = torch.randperm(n, generator=torch.Generator().manual_seed(1)).split(40)
    parts = [judge(x[some], domains[some], 1.0).item() * len(some) / n for some in cut]
    assert sum(parts) == pytest.approx(expected, rel=1e-9)


def test_a_batch_without_domains_has_gradients_of_zero():
    """AdamW leaves out what has none, and a resumed training could not know in which steps."""
    judge = Discriminator(8, (0.5, 0.5))
    judge(noise(4, 8), torch.full((4,), -1), 1.0).backward()
    assert all((p.grad == 0).all() for p in judge.parameters())


@pytest.mark.parametrize("balanced", [False, True])
def test_shares_of_domains_are_those_of_what_is_drawn(clips, tmp_path, balanced):
    settings = replace(SHORT, balanced=balanced, seed=3)
    found = examples(clips, nf.CoherenceMask(), None, settings, nf.Runtime(cache=tmp_path))
    assert Counter(found.domains.tolist()) == {0: 16, 1: 10}
    drawn = [
        int(found.domains[i])
        for epoch in range(40)
        for some in batches(found, settings, epoch)
        for i in some
    ]
    share = drawn.count(1) / len(drawn)
    assert domain_shares(found, balanced)[1] == pytest.approx(share, abs=0.02)
    assert sum(domain_shares(found, balanced)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kept", "message"),
    [("source", "there is only source clips"), ("target", "only target clips"),
     (None, "there is no clip with a domain")],
)  # fmt: skip
def test_one_domain_alone_is_refused_before_any_work(clips, tmp_path, monkeypatch, kept, message):
    monkeypatch.setattr("nearfar.training.examples.examples.prepare", None)  # no front end is heard
    if kept is None:
        some = nf.Clips(replace(c, domain=None, attributes=c.domain) for c in clips)
    else:
        some = nf.Clips(c for c in clips if c.domain == kept)
    settings = replace(SHORT, adaptation="dann")
    with pytest.raises(DatasetError, match=message) as error:
        finetune(system(TINY), some, settings, CPU, out=tmp_path / "s1.safetensors")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_progress_is_that_of_the_whole_training(clips, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "nearfar.training.loop.loop.reversal", lambda p: seen.append(p) or reversal(p)
    )
    finetune(system(TINY), clips, replace(SHORT, adaptation="dann"), CPU,
             out=tmp_path / "s1.safetensors")  # fmt: skip
    assert seen == pytest.approx(np.arange(len(seen)) / len(seen))


# ---- MixStyle --------------------------------------------------------------------------------


ALWAYS = MixStyle(1, chance=1.0, alpha=0.5)


def styles(x):
    """Mean and deviation over the patches, float64."""
    patches = x[:, 1:].detach().double().numpy()
    return np.stack([patches.mean(axis=1), np.sqrt(patches.var(axis=1) + 1e-6)], axis=1)


def some_tokens():
    """Clips of two lengths whose channels differ in level and spread."""
    return [
        noise(n, tokens, 6, seed=n) * (1 + noise(n, 1, 6, seed=n + 9) ** 2) + 3 * noise(n, 1, 6)
        for n, tokens in ((3, 9), (2, 17))
    ]


def test_a_clip_takes_part_of_anothers_style_whatever_its_length():
    tokens = some_tokens()
    torch.manual_seed(1)
    mixed = ALWAYS(tokens)
    before = np.concatenate([styles(x) for x in tokens])
    after = np.concatenate([styles(x) for x in mixed])
    donors = []
    for i, row in enumerate(after):
        for j, other in enumerate(before):  # new = other + λ (own − other), one λ for all channels
            way = before[i] - other
            share = (way * (row - other)).sum() / max((way**2).sum(), 1e-12)
            if np.allclose(row, other + share * way, atol=1e-4) and j != i and share < 1 - 1e-6:
                assert share >= -1e-6
                donors.append((i, j))
    assert len(donors) >= 2
    assert any((i < 3) != (j < 3) for i, j in donors)  # between lengths
    assert len({j for _, j in donors}) == len(donors)  # a permutation


def test_all_but_the_style_stays():
    tokens = some_tokens()
    torch.manual_seed(1)
    for x, y in zip(tokens, ALWAYS(tokens), strict=True):
        assert torch.equal(x[:, 0], y[:, 0])  # CLS

        def normal(some):
            mean, deviation = np.moveaxis(styles(some), 1, 0)[:, :, None]
            return (some[:, 1:].double().numpy() - mean) / deviation

        assert np.allclose(normal(x), normal(y), atol=1e-4)


def test_statistics_have_no_gradient():
    tokens = [x.requires_grad_() for x in some_tokens()]
    torch.manual_seed(1)
    mixed, weights = ALWAYS(tokens), [noise(*x.shape, seed=5) for x in some_tokens()]
    sum((y * w).sum() for y, w in zip(mixed, weights, strict=True)).backward()
    for x, y, w in zip(tokens, mixed, weights, strict=True):
        ratio = torch.from_numpy(styles(y)[:, 1] / styles(x)[:, 1])[:, None]
        assert torch.allclose(x.grad[:, 1:].double(), ratio * w[:, 1:], rtol=1e-3)


def test_half_of_the_batches_are_mixed_as_the_seed_says():
    tokens, usual = some_tokens(), MixStyle.of_depth(24)
    assert [MixStyle.of_depth(d).block for d in (1, 2, 12, 24)] == [1, 1, 3, 6]
    torch.manual_seed(0)
    mixed = sum(usual(tokens)[0] is not tokens[0] for _ in range(400))
    assert mixed == pytest.approx(200, abs=40)  # four deviations
    torch.manual_seed(5)
    first = ALWAYS(tokens)
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first, ALWAYS(tokens), strict=True))


@torch.no_grad()
def test_mixing_is_off_when_clips_are_judged():
    mels = [noise(3, 32, 128), noise(2, 48, 128, seed=1)]
    usual = learner(open_weights(TINY), 4, FineTuning())
    pupil = learner(open_weights(TINY), 4, FineTuning(adaptation="mixstyle"))
    pupil.mixstyle = replace(pupil.mixstyle, chance=1.0)
    torch.manual_seed(1)
    assert not torch.allclose(pupil.train().statistics(mels), usual.statistics(mels), atol=1e-3)
    assert torch.equal(pupil.eval().statistics(mels), usual.statistics(mels))


@torch.no_grad()
def test_blocks_in_two_parts_are_the_blocks():
    encoder, mel = load(open_weights(TINY)), noise(2, 48, 128)
    half = encoder.through(encoder.embed(mel), 0, 1)
    assert torch.equal(half, encoder(mel, 1))
    assert torch.equal(encoder.through(half, 1), encoder(mel))


# ---- several processes, and the command ------------------------------------------------------

CHILD = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
import nearfar as nf
from finetune_sounds import QUICK, system
from nearfar.training import run

data, weights, out = sys.argv[2:5]
class Watched(run.Loop):
    def __post_init__(self):
        super().__post_init__()
        Watched.last = self
run.Loop = Watched
settings = replace(QUICK, epochs=2, accumulation=2, loss="elasticface", lora=4)
settings = replace(settings, adaptation=sys.argv[5])
run.finetune(system(weights), nf.Clips.open(data, split="train"), settings,
             nf.Runtime(device="cpu"), out=out)
import os
from safetensors.torch import save_file
save_file(dict(Watched.last.state.learner.state_dict()), f"{out}.{os.environ['RANK']}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("adaptation", ["dann"])
def test_two_processes_end_with_equal_weights(data, tmp_path, adaptation):
    pytest.importorskip("accelerate")
    out = tmp_path / "s1.safetensors"
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHILD, TESTS, data, TINY, out, adaptation],
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": r, "LOCAL_RANK": r},
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in "01"
    ]
    try:
        for process in processes:
            told = finish(process)[1]
            assert process.returncode == 0, told
    finally:
        stop(processes)
    first, second = (tensors(f"{out}.{rank}") for rank in "01")
    assert first.keys() == second.keys()
    for name in first:
        assert np.array_equal(first[name], second[name]), name


@pytest.fixture
def command(run):
    return lambda *args: run("finetune", *args, "--weights", TINY, "--device", "cpu")


def test_command(command, run, data, tmp_path):
    out = tmp_path / "s1.safetensors"
    quick = ("--set", "training.epochs=1", "--set", "training.batch_size=8")
    code, told, err = command(
        data, "-o", out, *quick, "--loss", "cosface", "--lora", 4, "--adapt", "mixstyle",
        "--set", "training.loss=cosface",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert f"wrote {out}" in told
    settings = nf.EAT(str(out)).training.settings
    found = {k: settings[k] for k in ("loss", "lora", "adaptation")}
    assert found == {"loss": "cosface", "lora": 4, "adaptation": "mixstyle"}
    code, told, _ = run("weights", "check", out)
    assert code == 0
    (line,) = (x for x in told.splitlines() if x.startswith("training"))
    words = set(line.removeprefix("training").strip().split(", "))
    assert words == {
        "loss=cosface", "lora=4", "adaptation=mixstyle", "epochs=1", "batch_size=8"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", "arkface"), "training.loss is 'arkface'; did you mean 'arcface'"),
        (("--adapt", "dan"), "did you mean 'dann'"),
        (("--lora", "-2"), "training.lora is -2"),
        (("--lora", "99"), "training.lora is 99; with this encoder it is 0 to 64"),
        (("--loss", "cosface", "--set", "training.loss=magface"),
         "--loss cosface and training.loss=magface; give one of them"),
        (("--adapt", "none", "--set", "training.adaptation=dann"), "--adapt none and training.ad"),
        (("--lora", "4", "--set", "training.lora=8"), "--lora 4 and training.lora=8"),
        (("--set", "training.lss=cosface"), "did you mean 'loss'"),
    ],
)  # fmt: skip
def test_command_refuses(command, data, tmp_path, arguments, message):
    code, _, err = command(data, "-o", tmp_path / "s1.safetensors", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
