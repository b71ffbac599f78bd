"""The section of BEATs: shares are of the products beside it, and what cannot be had is said."""

import pytest

pytest.importorskip("torch")

from bench import beats
from bench.eat import MATRIX

from nearfar.embedder.beats.architecture import BeatsArchitecture

PRODUCT = 2 * MATRIX**3


def work():
    return beats.flops(BeatsArchitecture(), beats.FRAMES)


def at(rates):
    """Processor seconds with which everything runs at these FLOP/s."""
    times = {f"{p} product": PRODUCT / rate for p, (rate, _) in rates.items()}
    for p, (_, rate) in rates.items():
        times |= {f"{p} {batch}": work() / rate for batch in beats.BATCHES[p]}
    return times | {"plain": work() / rates["fp32"][1]}


def test_operations_of_a_pass_are_those_of_its_layers():
    """Projections 8 d², MLP 4 d·hidden a token, attention 4 n² d: the rest is a few per cent."""
    shape, n = BeatsArchitecture(), beats.FRAMES // 16 * 8
    layers = shape.depth * (n * (8 * shape.dim**2 + 4 * shape.dim * shape.hidden))
    layers += shape.depth * 4 * n * n * shape.dim
    assert 1 <= work() / layers <= 1.1


def test_shares_and_factors_are_of_one_run():
    told = beats.text({"torch": "2", "times": at({"fp32": (100e9, 70e9), "bf16": (500e9, 400e9)})})
    assert "fp32 at 70% of its peak, 70% asked for" in told
    assert "bf16 at 80% of its peak, 55% asked for" in told
    assert "bf16 5.7 times as quick as plain fp32, 4.5 asked for" in told
    assert "not to be had" not in told


def test_a_factor_that_products_alone_cannot_give_is_said_to_be_out_of_reach():
    told = beats.text({"torch": "2", "times": at({"fp32": (100e9, 80e9), "bf16": (240e9, 160e9)})})
    assert "2.0 times as quick as plain fp32, 4.5 asked for" in told
    assert "2.4 times as quick as fp32's" in told
    assert "3.0 times as quick as plain fp32: the factor asked for is not to be had here" in told


def test_without_bfloat16_that_is_said():
    told = beats.text({"torch": "2", "times": at({"fp32": (100e9, 80e9)})})
    assert "bf16 was not run, this processor has none" in told
    assert "| bf16 |" not in told
