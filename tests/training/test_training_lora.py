"""Low-rank updates: what is frozen, what is trained, and that both are one matrix again."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn

from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.eat.model import Encoder
from nearfar.errors import SettingError
from nearfar.training.learner.lora import LowRank, add_lora, check_rank, merged

SHAPE = Architecture(dim=16, depth=2, heads=2, hidden=32).projected()


def encoder(rank):
    found = Encoder(SHAPE)
    add_lora(found, rank)
    return found


def test_the_head_is_trained_and_of_the_rest_updates_alone():
    for name, parameter in encoder(4).named_parameters():
        new = name.startswith(("pooling.", "projection.")) or ".lora_" in name
        assert parameter.requires_grad == new, name


def test_four_matrices_of_each_block_have_an_update():
    names = [n for n, m in encoder(4).named_modules() if isinstance(m, LowRank)]
    assert len(names) == 4 * SHAPE.depth
    assert {n.rpartition(".")[2] for n in names} == {"qkv", "proj", "fc1", "fc2"}


def test_merged_is_the_paper_s_sum():
    torch.manual_seed(0)
    layer = LowRank(nn.Linear(8, 6).double(), 2).double()
    nn.init.normal_(layer.lora_b)
    state = {f"x.{name}": tensor for name, tensor in layer.state_dict().items()}
    x = torch.randn(5, 8, dtype=torch.float64)
    one = nn.functional.linear(x, merged(state, "x.weight"), merged(state, "x.bias"))
    torch.testing.assert_close(one, layer(x))
    wanted = layer.weight + layer.lora_b @ layer.lora_a
    torch.testing.assert_close(merged(state, "x.weight"), wanted)


def test_what_has_no_update_stays_itself():
    state = {"x.weight": torch.ones(2, 2), "x.bias": torch.ones(2)}
    assert all(merged(state, name) is state[name] for name in state)


def test_the_layer_s_own_tensors_are_shared_and_frozen_ones_stay():
    layer = nn.Linear(8, 6)
    assert LowRank(layer, 2).weight is layer.weight
    assert LowRank(layer, 2).bias is layer.bias
    assert LowRank(nn.Linear(8, 6, bias=False), 2).bias is None


@pytest.mark.parametrize("rank", [-1, 17])
def test_a_rank_that_no_matrix_can_have(rank):
    with pytest.raises(SettingError, match=rf"training\.lora is {rank}; with this encoder .* 16"):
        check_rank(rank, 16)
    check_rank(0, 16)
    check_rank(16, 16)
