"""Dimensions read off tensors and a config: what agrees comes back, what does not is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.embedder.eat.architecture import (
    MELS,
    PATCH,
    ROWS,
    Architecture,
    flops,
    from_config,
    positions,
)
from nearfar.errors import WeightsError

SMALL = Architecture(dim=8, depth=2, heads=2, hidden=32, columns=4)


@given(
    heads=st.integers(1, 4),
    width=st.integers(1, 6),
    depth=st.integers(1, 5),
    ratio=st.integers(1, 5),
    classes=st.none() | st.integers(1, 600),
    trained=st.booleans(),
    columns=st.integers(1, 20),
)
def test_tensors_and_config_tell_the_architecture(
    heads, width, depth, ratio, classes, trained, columns
):
    dim = 4 * heads * width
    shape = Architecture(dim, depth, heads, ratio * dim, classes, columns=columns)
    shape = shape.projected() if trained else shape
    assert from_config(shape.config(), shape.shapes()) == shape


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dim": 6}, "multiple of 4"),
        ({"heads": 3}, "3 heads do not divide 8"),
        ({"depth": 0}, "depth of the encoder is 0"),
        ({"hidden": True}, "hidden of the encoder is True"),
        ({"classes": 0}, "0 classes"),
        ({"projection": (4, 0, 2)}, "projection of sizes"),
        ({"norm_eps": 0.0}, "norm_eps is 0.0"),
    ],
)
def test_what_no_eat_can_have(settings, words):
    given_ = {"dim": 8, "depth": 1, "heads": 2, "hidden": 32} | settings
    with pytest.raises(WeightsError, match=words):
        Architecture(**given_)


@pytest.mark.parametrize("lost", ["pooling.hidden.weight", "projection.out.weight"])
def test_half_a_head_is_refused(lost):
    shapes = SMALL.projected().shapes()
    del shapes[lost]
    with pytest.raises(WeightsError, match="projection of sizes"):
        from_config(SMALL.config(), shapes)


def test_a_ratio_may_be_rounded_but_not_of_another_encoder():
    config = SMALL.config()
    assert from_config(config | {"mlp_ratio": 3.99}, SMALL.shapes()) == SMALL
    for ratio in (3.5, float("nan")):
        with pytest.raises(WeightsError, match="mlp_ratio"):
            from_config(config | {"mlp_ratio": ratio}, SMALL.shapes())


def test_positions_are_sines_of_the_row_and_of_the_column():
    """In double precision, from the formula: sin mel·ω, cos mel·ω, sin column·ω, cos column·ω."""
    dim, columns = 16, 5
    table = positions(dim, columns)
    omega = 10_000.0 ** (-np.arange(dim // 4) / (dim / 4))
    for patch in range(columns * ROWS):
        column, mel = divmod(patch, ROWS)
        angles = [f(n * omega) for n in (mel, column) for f in (np.sin, np.cos)]
        assert table[0, patch] == pytest.approx(np.concatenate(angles), abs=1e-5)


def test_a_longer_table_begins_like_a_shorter_one():
    assert np.array_equal(positions(8, 9)[:, : 4 * ROWS], positions(8, 4))


def test_products_are_counted_as_torch_counts_them():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from nearfar.embedder.eat.model import Encoder

    frames = 4 * PATCH
    encoder = Encoder(SMALL)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        encoder(torch.zeros(1, frames, MELS))
    attention = SMALL.depth * 4 * (1 + 4 * ROWS) ** 2 * SMALL.dim
    # Which kernel torch takes for attention, and whether it counts that, depends on the processor.
    assert counter.get_total_flops() in (
        flops(SMALL, frames),
        flops(SMALL, frames) - attention,
    )
