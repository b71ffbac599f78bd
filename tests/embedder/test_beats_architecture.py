"""What a BEATs may be: numbers that none can have, and configs that say otherwise."""

import pytest

from conftest import refused
from nearfar.embedder.beats.architecture import TABLE, BeatsArchitecture, from_config
from nearfar.errors import WeightsError

BASE = BeatsArchitecture()


def test_the_config_is_read_back():
    small = BeatsArchitecture(embed=4, dim=8, depth=2, heads=2, hidden=16, taps=4, groups=2)
    for shape in (BASE, small):
        assert from_config(shape.config(), shape.shapes()) == shape


def test_a_projection_is_there_only_where_sizes_differ():
    same = BeatsArchitecture(embed=768)
    assert "post_extract_proj.weight" in BASE.shapes()
    assert not any(name.startswith("post_extract_proj") for name in same.shapes())


def test_alpha_is_deepnorms():
    assert BASE.alpha == pytest.approx(2.2134, abs=1e-4)  # facts/beats.md
    assert BeatsArchitecture(depth=8).alpha == 2  # 16 to the power ¼


def test_the_table_stands_once_a_layer():
    assert sum(name.endswith(TABLE) for name in BASE.shapes()) == 12
    assert BASE.parameters - 11 * 320 * 12 == 90_311_792  # different ones, facts/beats.md


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"depth": 0}, "encoder_layers of the encoder is 0"),
        ({"dim": 7.0}, "encoder_embed_dim of the encoder is 7.0"),
        ({"heads": 5}, "encoder_attention_heads 5 does not divide 768"),
        ({"groups": 7}, "conv_pos_groups 7 does not divide 768"),
        ({"buckets": 6}, "num_buckets 6"),
        ({"distance": 80}, "max_distance 80"),
    ],
)
def test_what_no_beats_can_be(sizes, words):
    refused(lambda: BeatsArchitecture(**sizes), words, error=WeightsError)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "eat"}, "model_type 'eat': not a BEATs"),
        ({"deep_norm": False}, "deep_norm = False; only True"),
        ({"deep_norm": 1}, "deep_norm = 1; only True"),
        ({"activation_fn": "relu"}, "activation_fn = 'relu'"),
        ({"conv_pos": 64}, "conv_pos = 64, the tensors 128"),
        ({"encoder_ffn_embed_dim": True}, "encoder_ffn_embed_dim = True, the tensors 3072"),
        ({"max_distance": None}, "max_distance of the encoder is None"),
        ({"max_distance": 10**400}, "it is a number from 1 to 10,000,000"),
        ({"deep_norm": [True]}, "deep_norm = [True]; only True"),
        ({}, "no config says max_distance, which no tensor tells"),
        ({"max_distance": 800}, "no config says deep_norm"),
    ],
)
def test_a_config_that_says_otherwise(config, words):
    refused(lambda: from_config(config, BASE.shapes()), words, error=WeightsError)


def test_shapes_of_any_kind_are_an_architecture_or_one_line():
    """Tensors without axes, of none, or none at all: whether all fit is compared later."""
    said = []
    for shape in ((), (0,), (3,), (1, 2, 3, 4, 5)):
        for name in BASE.shapes():
            try:
                from_config({}, {name: shape})
            except WeightsError as error:
                said.append(str(error))
    assert said
    assert not any("\n" in line for line in said)
