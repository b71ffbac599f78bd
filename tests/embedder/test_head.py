"""The head behind an encoder: sizes that follow it, tensors that torch's modules have."""

import pytest

torch = pytest.importorskip("torch")

from conftest import refused
from nearfar.embedder.head import OF_HEAD, check_head, head_of, head_shapes, head_sizes
from nearfar.embedder.trunk import make_head
from nearfar.errors import WeightsError


def test_of_eat_large_it_is_the_reports():
    shapes = head_shapes(1024, head_sizes(1024))
    assert shapes["projection.hidden.weight"] == (512, 2048)  # §2.2: 2,048 → 512 → 256
    assert shapes["projection.out.weight"] == (256, 512)


@pytest.mark.parametrize("dim", [1, 3, 8, 768, 1024])
def test_names_and_shapes_are_those_of_the_modules(dim):
    sizes = head_sizes(dim)
    pooling, projection = make_head(dim, sizes)
    made = {f"pooling.{n}": x for n, x in pooling.state_dict().items()}
    made |= {f"projection.{n}": x for n, x in projection.state_dict().items()}
    counted = "projection.norm.num_batches_tracked"  # no file has it
    shapes = {n: tuple(x.shape) for n, x in made.items() if n != counted}
    assert head_shapes(dim, sizes) == shapes
    assert all(name.startswith(OF_HEAD) for name in shapes)
    assert head_of(shapes) == sizes


def test_half_a_head_is_told_from_none():
    shapes = head_shapes(8, head_sizes(8))
    assert head_of({}) is head_of({"blocks.0.norm.weight": (8,)}) is None
    del shapes["projection.out.weight"]
    half = head_of(shapes)
    assert half == (1, 4, 0)
    refused(lambda: check_head(half), "(1, 4, 0)", "1 or more", error=WeightsError)
    check_head(None)
