"""AdamW's groups and rates."""

import math

import pytest

torch = pytest.importorskip("torch")

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


def test_each_layer_below_learns_slower_by_the_decay():
    settings = FineTuning(learning_rate=1e-4, head_rate=10, layer_decay=0.5)
    rates = [layer_rate(f"encoder.blocks.{i}.mlp.fc1.weight", 4, settings) for i in range(4)]
    assert rates == [1e-4 * 0.5**n for n in (3, 2, 1, 0)]
    assert layer_rate("encoder.extra_tokens", 4, settings) == 1e-4 * 0.5**4
    for name in ("encoder.pooling.a", "encoder.projection.b", "loss.centres", "discriminator.out"):
        assert layer_rate(name, 4, settings) == 1e-3
    assert math.isclose(layer_rate("encoder.blocks.3.attn.qkv.lora_a", 4, settings), 1e-3)


def test_every_trained_tensor_is_in_one_group_and_vectors_do_not_decay():
    pupil = learner(open_weights(TINY), 3, FineTuning())
    groups = adamw(pupil, FineTuning(weight_decay=0.05)).param_groups
    grouped = [id(x) for group in groups for x in group["params"]]
    assert sorted(grouped) == sorted(id(x) for x in pupil.parameters() if x.requires_grad)
    for group in groups:
        for x in group["params"]:
            bare = x.ndim < 2 or x is pupil.encoder.extra_tokens
            assert group["weight_decay"] == (0 if bare else 0.05)


def test_a_share_is_of_each_group_s_own_peak():
    optimizer = adamw(learner(open_weights(TINY), 3, FineTuning()), FineTuning())
    peaks = [group["lr"] for group in optimizer.param_groups]
    for share in (0.5, 0.25):  # of the peak, not of the rate before
        set_rates(optimizer, share)
        assert [group["lr"] for group in optimizer.param_groups] == [share * p for p in peaks]
