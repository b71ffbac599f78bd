"""What a training begins with: all that is drawn comes from the seed, and from nothing else."""

import pytest
import torch

from conftest import TINY
from nearfar.embedder.eat.weights import open_weights
from nearfar.training import FineTuning
from nearfar.training.learner.learner import learner

DRAWN = {"plain": {}, "lora": {"lora": 4}, "dann": {"adaptation": "dann"}}


def parts(seed, **settings):
    """Tensors of the head, the class centres and whatever else is drawn, by name."""
    state = learner(open_weights(TINY), 5, FineTuning(seed=seed, **settings)).state_dict()
    head = ("pooling.", "projection.", "loss.", "discriminator.", "lora")
    found = {n: x for n, x in state.items() if any(h in n for h in head)}
    # Biases, norms and LoRA's second factor begin at constants.
    return {n: x for n, x in found.items() if x.unique().numel() > 1}


@pytest.mark.parametrize("kind", DRAWN)
def test_another_seed_draws_every_part_anew(kind):
    one, two = parts(0, **DRAWN[kind]), parts(1, **DRAWN[kind])
    assert one.keys() == two.keys()
    assert any("loss.centres" in name for name in one)
    assert sum("projection" in name for name in one) >= 2
    for name, tensor in one.items():
        assert not torch.equal(tensor, two[name]), name
        # Not merely a few numbers: two draws do not look alike.
        pair = torch.stack([tensor.flatten(), two[name].flatten()])
        if pair.shape[1] >= 100:
            assert abs(torch.corrcoef(pair)[0, 1]) < 0.5, name


@pytest.mark.parametrize("kind", DRAWN)
def test_one_seed_draws_the_same_whatever_was_drawn_before(kind):
    one = parts(3, **DRAWN[kind])
    torch.rand(7)
    state = torch.random.get_rng_state()
    two = parts(3, **DRAWN[kind])
    assert torch.equal(state, torch.random.get_rng_state())
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


def test_what_is_drawn_beside_the_head_moves_it_not():
    """So that plain, LoRA and DANN of one seed begin with the same head and centres."""
    plain = parts(2)
    for kind in ("lora", "dann"):
        other = parts(2, **DRAWN[kind])
        assert all(torch.equal(x, other[name]) for name, x in plain.items()), kind
