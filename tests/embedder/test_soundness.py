"""Numbers that are none, in each type of float; sizes in words."""

import json

import numpy as np
import pytest

from nearfar.embedder.beats.architecture import BeatsArchitecture
from nearfar.embedder.beats.weights import open_weights
from nearfar.embedder.soundness import damaged_tensor, size_of
from nearfar.embedder.tensorfile import BYTES, header_bytes

SMALL = BeatsArchitecture(embed=4, dim=8, depth=1, heads=2, hidden=16, taps=4, groups=2, buckets=8)
KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def written(folder, dtype="F32", bad=None):
    """A BEATs of zeros; one number of a tensor is infinite."""
    names = sorted(SMALL.shapes())
    head = header_bytes(SMALL.shapes(), dtype, {"config": json.dumps(SMALL.config())})
    parts = []
    for name in names:
        values = np.zeros(int(np.prod(SMALL.shapes()[name])), KINDS[dtype])
        if name == bad:
            values[-1] = 0x7F80 if dtype == "BF16" else np.inf
        parts.append(values.tobytes())
    (folder / "model.safetensors").write_bytes(head + b"".join(parts))
    return open_weights(folder)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("bad", [None, "encoder.layers.0.fc2.bias", "layer_norm.weight"])
def test_what_is_not_finite_is_found_in_any_type(dtype, bad, tmp_path):
    assert damaged_tensor(written(tmp_path, dtype, bad)) == bad


@pytest.mark.parametrize("dtype", KINDS)
def test_a_size_is_that_of_the_architecture(dtype, tmp_path):
    weights = written(tmp_path, dtype)
    said = size_of(weights)
    assert said == f"{weights.path.stat().st_size:,}, as this architecture has"
    assert weights.path.stat().st_size > SMALL.parameters * BYTES[dtype]
