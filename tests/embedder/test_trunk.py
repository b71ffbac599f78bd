"""What EAT and BEATs share as modules that are trained: one pass, gradients, heads, file names."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from beats_folders import folder
from conftest import TINY
from nearfar.embedder.beats import model as beats
from nearfar.embedder.beats.architecture import TABLE, BeatsArchitecture
from nearfar.embedder.beats.weights import open_weights as beats_weights
from nearfar.embedder.eat import model as eat
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.trunk import apart, joined, thinned, with_gradient
from nearfar.errors import WeightsError

SHAPES = {
    "EAT": Architecture(dim=8, depth=3, heads=2, hidden=16, columns=8),
    "BEATs": BeatsArchitecture(
        embed=4, dim=8, depth=3, heads=2, hidden=16, taps=4, groups=2, buckets=16, distance=40
    ),
}
KINDS = {"EAT": eat.Encoder, "BEATs": beats.BeatsEncoder}

pytestmark = pytest.mark.usefixtures("one_thread")
each = pytest.mark.parametrize("kind", SHAPES)


def trunk(kind, head=False, seed=0):
    """A small encoder of drawn numbers in float64."""
    shape = SHAPES[kind].projected() if head else SHAPES[kind]
    made, generator = KINDS[kind](shape).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def mels(*lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, frames, 128, generator=generator).double() for n, frames in lengths]


def gradients(made, loss):
    loss.backward()
    found = {n: x.grad.clone() for n, x in made.named_parameters() if x.grad is not None}
    made.zero_grad()
    return found


# ---- one pass for all lengths --------------------------------------------------------------------


@each
def test_clips_of_all_lengths_in_one_pass_are_each_by_itself(kind):
    made = trunk(kind).train()
    tokens = [made.embed(mel) for mel in mels((2, 16), (1, 48), (3, 64))]
    alone = [made.through(some, 0) for some in tokens]
    row, sizes = joined(tokens)
    together = apart(made.through(row, 0, None, sizes), sizes)
    weights = [torch.randn_like(some) for some in alone]
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    sums = [
        sum((w * x).sum() for w, x in zip(weights, xs, strict=True)) for xs in (alone, together)
    ]
    sums[0].backward(retain_graph=True)
    first = {n: x.grad.clone() for n, x in made.named_parameters() if x.grad is not None}
    made.zero_grad()
    second = gradients(made, sums[1])
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-8, atol=1e-9)


def test_a_clip_that_is_thinned_is_thinned_in_all_its_tokens():
    row, sizes = joined([torch.ones(40, 3, 8), torch.ones(40, 5, 8)])
    torch.manual_seed(0)
    for some in apart(thinned(row, 0.5, sizes), sizes):
        assert set(some.unique().tolist()) == {0.0, 2.0}  # the mean stays what it was
        assert bool((some == some[:, :1, :1]).all())
    assert thinned(row, 0.0, sizes) is row


@each
def test_blocks_are_left_out_in_training_alone(kind):
    made, (mel,) = trunk(kind), mels((6, 32))
    whole = made.eval()(mel)
    for block in made.stack():
        block.drop_path = 0.5
    assert torch.equal(made(mel), whole)
    torch.manual_seed(1)
    assert not torch.allclose(made.train()(mel), whole)


@each
def test_activations_computed_again_change_no_gradient(kind):
    made, (mel,) = trunk(kind).train(), mels((2, 32))
    found = []
    for checkpointing in (False, True):
        made.checkpointing = checkpointing
        found.append(gradients(made, made(mel).square().sum()))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-12, atol=1e-12)


# ---- gradients that shrink on their way down -----------------------------------------------------


def test_a_gradient_is_multiplied_and_nothing_else():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(with_gradient(x, 0.6), x)
    (with_gradient(x, -0.5) * torch.arange(4.0)).sum().backward()
    assert torch.equal(x.grad, -0.5 * torch.arange(4.0).double().expand(3, 4))


@each
def test_each_layer_below_has_the_decay_once_more(kind):
    """Of a block n below the last it is decayⁿ, exactly where the decay is a power of two."""
    made, (mel,) = trunk(kind).train(), mels((2, 32))
    usual = gradients(made, made(mel).square().sum())
    assert made.gradient_decay == 1  # until a training says so
    made.gradient_decay = 0.5
    decayed = gradients(made, made(mel).square().sum())
    assert usual.keys() == decayed.keys()
    depth = len(made.stack())
    for name, gradient in usual.items():
        if name.endswith(TABLE):  # it is beside all layers, not below them
            assert not torch.allclose(decayed[name], gradient * 0.5 ** (depth - 1))
            continue
        at = made.blocks_at
        block = int(name.removeprefix(at).split(".")[0]) if name.startswith(at) else -1
        assert torch.equal(decayed[name], gradient * 0.5 ** (depth - 1 - block)), name
    made.eval()
    assert gradients(made, made(mel).square().sum()).keys() == usual.keys()
    judged = gradients(made, made(mel).square().sum())
    assert all(torch.equal(judged[name], x) for name, x in usual.items())


def test_decays_are_those_of_the_authors():
    assert beats.BeatsEncoder.published_decay == 0.6  # facts/beats.md: of every published config
    assert eat.Encoder.published_decay == 1


# ---- names and files -----------------------------------------------------------------------------


@each
def test_what_a_trunk_says_of_its_names_is_there(kind):
    made = trunk(kind, head=True)
    names = dict(made.named_parameters())
    for i, block in enumerate(made.stack()):
        inside = {n.rpartition(".")[2] for n, m in block.named_modules()}
        assert inside.issuperset(made.adapted)
        for name, parameter in block.named_parameters():
            assert names[f"{made.blocks_at}{i}.{name}"] is parameter
    for ending in made.undecayed:
        assert any(name.endswith(ending) for name in names), ending
    assert {made.stored_as(name) for name in made.shape.shapes()} <= set(made.state_dict())


@each
def test_a_head_hears_what_does_not_lead(kind):
    made, (mel,) = trunk(kind, head=True).eval(), mels((2, 32))
    tokens = made(mel)
    rows = made.project(tokens)
    assert rows.shape == (2, made.shape.projection[2])
    assert torch.allclose(rows.norm(dim=1), torch.ones(2).double())
    assert torch.equal(rows, made.projection(made.pooling(tokens[:, made.leading :])))
    with pytest.raises(WeightsError, match="has no projection; nearfar finetune makes one"):
        trunk(kind).project(tokens)


@pytest.mark.parametrize(
    ("load", "weights"),
    [(eat.load, lambda: open_weights(TINY)), (beats.load, lambda: beats_weights(folder()))],
    ids=["EAT", "BEATs"],
)
def test_a_file_fills_an_encoder_and_a_changed_one_does_not(load, weights):
    opened = weights()
    made = load(opened, torch.bfloat16)
    assert {x.dtype for x in made.parameters()} == {torch.bfloat16}
    assert not any(x.requires_grad for x in made.parameters())
    wrong = replace(opened, architecture=replace(opened.architecture, hidden=7))
    with pytest.raises(WeightsError, match=r"cannot be read .*; copy it again") as error:
        load(wrong)
    assert "\n" not in str(error.value)
