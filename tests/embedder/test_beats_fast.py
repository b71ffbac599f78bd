"""BEATs packed for a CPU in bfloat16: the plain module but for rounding, and the plain module."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beats_folders import folder, recording
from nearfar.embedder.beats import fast
from nearfar.embedder.beats.fast import packed
from nearfar.embedder.beats.features import heard
from nearfar.embedder.beats.model import BeatsEncoder, load
from nearfar.embedder.beats.weights import open_weights
from nearfar.embedder.device import has_bf16
from nearfar.embedder.packing import can_pack

if not has_bf16(torch.device("cpu")) or not can_pack():
    pytest.skip("no packed bfloat16 products here", allow_module_level=True)


def cosine(a, b):
    a, b = a.flatten(0, 1).double(), b.flatten(0, 1).double()
    return torch.nn.functional.cosine_similarity(a, b).min()


@pytest.mark.parametrize("layer", [None, 1, 2])
def test_packed_is_the_plain_encoder_but_for_rounding(layer):
    weights = open_weights(folder())
    mel = torch.from_numpy(np.stack([heard(recording("wav6s")[0])] * 2))
    with torch.inference_mode():
        exact = load(weights)(mel, layer)
        quick = packed(load(weights, torch.bfloat16))(mel, layer).float()
        plain = load(weights, torch.bfloat16)(mel, layer).float()
    assert quick.shape == exact.shape
    # Rounded to 8 bits either way: as near as the plain one in the same precision, give or take.
    assert (quick - exact).abs().mean() <= 2 * (plain - exact).abs().mean()
    assert cosine(quick, exact) >= 0.999


def test_where_nothing_can_be_packed_the_module_itself_is_used(monkeypatch):
    monkeypatch.setattr(fast, "can_pack", lambda: False)
    assert isinstance(packed(load(open_weights(folder()), torch.bfloat16)), BeatsEncoder)
