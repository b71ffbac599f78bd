"""EAT's graph: positions of any length, and each pooling."""

import numpy as np
import pytest

pytest.importorskip("onnx")

from nearfar.embedder.eat.architecture import Architecture, positions
from nearfar.embedder.onnx.eatgraph import _table

SHAPE = Architecture(dim=8, depth=1, heads=2, hidden=16, columns=4)


def test_stored_positions_come_first_and_the_formula_goes_on():
    stored = positions(8, 4) + np.float32(1e-3)
    assert np.array_equal(_table(SHAPE, lambda _: stored, 2), stored[:, :16])
    longer = _table(SHAPE, lambda _: stored, 6)
    assert longer.shape == (1, 48, 8)
    assert np.array_equal(longer[:, :32], stored)
    assert np.array_equal(longer[:, 32:], positions(8, 6)[:, 32:])
