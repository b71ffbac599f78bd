"""AdamW's groups and rates."""

import math

import pytest

torch = pytest.importorskip("torch")

from beats_folders import folder
from nearfar.embedder.beats.architecture import BeatsArchitecture
from nearfar.embedder.beats.model import BeatsEncoder
from nearfar.embedder.beats.weights import open_weights as beats_weights
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.eat.model import Encoder
from nearfar.embedder.eat.weights import open_weights
from nearfar.training import FineTuning
from nearfar.training.learner.learner import learner
from nearfar.training.loop.optimizer import adamw, layer_rate, schedule, set_rates

TINY = "tests/data/eat/tiny"


@pytest.mark.parametrize("steps", [1, 2, 7, 400])
@pytest.mark.parametrize("warmup", [0, 0.1, 0.5, 1])
def test_a_schedule_rises_to_one_then_falls_and_never_stops_learning(steps, warmup):
    shares = [schedule(i, steps, warmup) for i in range(steps)]
    rising = round(warmup * steps)
    assert max(shares) == 1
    assert shares[:rising] == sorted(shares[:rising])
    assert shares[rising:] == sorted(shares[rising:], reverse=True)
    assert all(0 < share <= 1 for share in shares)


def test_the_cosine_is_half_way_down_in_the_middle():
    assert schedule(100 + 450, 1000, 0.1) == pytest.approx(0.5)
    assert schedule(1000, 1000, 0.1) == pytest.approx(0, abs=1e-12)


SIZES = {"dim": 8, "depth": 4, "heads": 2, "hidden": 16}


@pytest.mark.parametrize(
    ("encoder", "layer", "first"),
    [
        (Encoder(Architecture(columns=4, **SIZES)), "blocks.{}.mlp.fc1", "extra_tokens"),
        (
            BeatsEncoder(BeatsArchitecture(embed=8, taps=4, groups=2, **SIZES)),
            "encoder.layers.{}.fc1",
            "encoder.pos_conv.0.weight_v",
        ),
    ],
    ids=["EAT", "BEATs"],
)
def test_each_layer_below_learns_slower_by_the_decay(encoder, layer, first):
    settings = FineTuning(learning_rate=1e-4, head_rate=10, layer_decay=0.5)

    def rate(name):
        return layer_rate(name, encoder, settings)

    names = [f"encoder.{layer.format(i)}" for i in range(4)]
    assert [rate(f"{name}.weight") for name in names] == [1e-4 * 0.5**n for n in (3, 2, 1, 0)]
    assert rate(f"encoder.{first}") == 1e-4 * 0.5**4
    for name in ("encoder.pooling.a", "encoder.projection.b", "loss.centres", "discriminator.out"):
        assert rate(name) == 1e-3
    assert math.isclose(rate(f"{names[3]}.lora_a"), 1e-3)


def test_every_trained_tensor_is_in_one_group_and_vectors_do_not_decay():
    pupil = learner(open_weights(TINY), 3, FineTuning())
    groups = adamw(pupil, FineTuning(weight_decay=0.05)).param_groups
    grouped = [id(x) for group in groups for x in group["params"]]
    assert sorted(grouped) == sorted(id(x) for x in pupil.parameters() if x.requires_grad)
    for group in groups:
        for x in group["params"]:
            bare = x.ndim < 2 or x is pupil.encoder.extra_tokens
            assert group["weight_decay"] == (0 if bare else 0.05)


def test_of_beats_what_is_no_matrix_does_not_decay_and_one_table_is_trained():
    pupil = learner(beats_weights(folder()), 3, FineTuning())
    names = {id(x): name for name, x in pupil.named_parameters()}
    decays = {
        names[id(x)]: group["weight_decay"]
        for group in adamw(pupil, FineTuning(weight_decay=0.05)).param_groups
        for x in group["params"]
    }
    tables = [name for name in names.values() if "relative_attention_bias" in name]
    assert len(tables) == 3
    assert set(names.values()) - set(decays) == set(tables[1:])
    kept = {
        name for name, decay in decays.items() if not decay and pupil.get_parameter(name).ndim > 1
    }
    inner = "encoder.encoder.layers"
    assert kept == {
        tables[0],
        "encoder.encoder.pos_conv.0.weight_g",
        *(f"{inner}.{i}.self_attn.grep_a" for i in range(3)),
    }


@pytest.mark.parametrize("clusters", [1, 16])
def test_adamw_learns_as_fast_whatever_the_gradients_decay_and_slower_by_its_own_rates(clusters):
    """It divides a gradient by its size: a step of the first layer is as long, to the ε in it."""
    mel = torch.randn(4, 48, 128, generator=torch.Generator().manual_seed(0))

    def moved(**changed):
        settings = FineTuning(loss="sc-adacos", clusters=clusters, weight_decay=0, **changed)
        pupil = learner(beats_weights(folder()), 4, settings).train()
        weight = pupil.encoder.encoder.layers[0].fc1.weight
        before, optimizer = weight.detach().clone(), adamw(pupil, settings)
        pupil([mel], torch.arange(4), torch.arange(4))[0].backward()
        optimizer.step()
        return float(weight.grad.norm()), float((weight.detach() - before).norm())

    (usual, step), (less, same) = moved(gradient_decay=1.0), moved(gradient_decay=0.5)
    assert less == pytest.approx(usual / 4, rel=1e-3)  # of three layers two are above it
    assert same == pytest.approx(step, rel=1e-2)
    assert moved(gradient_decay=1.0, layer_decay=0.5)[1] == pytest.approx(step / 4, rel=1e-2)


def test_a_share_is_of_each_group_s_own_peak():
    optimizer = adamw(learner(open_weights(TINY), 3, FineTuning()), FineTuning())
    peaks = [group["lr"] for group in optimizer.param_groups]
    for share in (0.5, 0.25):  # of the peak, not of the rate before
        set_rates(optimizer, share)
        assert [group["lr"] for group in optimizer.param_groups] == [share * p for p in peaks]
