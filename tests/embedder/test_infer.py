"""Out of memory: smaller batches, then one line; other errors are bugs."""

import numpy as np
import pytest
import torch

import nearfar as nf
from conftest import DATA
from nearfar.embedder import infer
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.engines import engine
from nearfar.runtime.runtime import Runtime
from nearfar.testing import noise

GOLD = DATA / "eat"


TINY, TUNED = str(GOLD / "tiny"), str(GOLD / "tiny_finetune")


def clips(lengths=(6.0, 3.0, 6.0, 1.7, 3.0, 10.0, 6.0)):
    return [noise(1, s, seed=i) for i, s in enumerate(lengths)]


# ---- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_the_batch_size_changes_no_more_than_rounding(size):
    part = nf.EAT(TINY)
    mels = [part.prepare(clip) for clip in clips()]
    rows = part.encode(mels, Runtime(batch_size=size))
    assert np.abs(rows - part(clips())).max() <= 1e-6


# ---- what a user can get wrong -------------------------------------------------------------------


def test_out_of_memory_halves_the_batch_and_says_so(monkeypatch):
    made = engine(open_weights(TINY), "fp32", "cpu")
    mels = [nf.EAT(TINY).prepare(clip) for clip in clips((3.0,) * 5)]
    whole, seen = made.encoder, []

    def small(mel, layer):
        seen.append(len(mel))
        if len(mel) > 2:
            raise torch.OutOfMemoryError
        return whole(mel, layer)

    monkeypatch.setattr(made, "encoder", small)
    monkeypatch.setattr(made, "_room", infer.MANY)
    with pytest.warns(nf.NearfarWarning) as told:
        rows = made(mels, infer.POOLING["mean"], None, 8)
    assert [str(w.message).split("out of memory with ")[1][:7] for w in told] == [
        "8 clips", "4 clips", "4 clips"
    ]  # fmt: skip
    assert "Runtime(batch_size=2) says so" in str(told[-1].message)
    seen.clear()
    made(mels, infer.POOLING["mean"], None, 8)
    assert max(seen) == 2  # remembered
    assert np.array_equal(rows, nf.EAT(TINY)(clips((3.0,) * 5)))

    def none(mel, layer):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(made, "encoder", none)
    with pytest.raises(nf.NearfarError, match="out of memory with one clip"):
        made(mels[:1], infer.POOLING["mean"], None, 1)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(), MemoryError(),
        RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
    ],
    ids=["cuda", "numpy", "cpu", "mps"],
)  # fmt: skip
def test_no_memory_for_the_encoder_or_a_clip(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(nf.NearfarError, match="no memory for the encoder"):
        infer.Engine(open_weights(TINY), "fp32", "cpu")
    monkeypatch.undo()
    made = infer.Engine(open_weights(TINY), "fp32", "cpu")
    monkeypatch.setattr(made, "encoder", fail)
    with pytest.raises(nf.NearfarError, match="out of memory with one clip"):
        made([nf.EAT(TINY).prepare(noise(1, 1.0))], infer.POOLING["mean"], None, 1)


def test_other_errors_of_torch_are_bugs(monkeypatch):
    made = infer.Engine(open_weights(TINY), "fp32", "cpu")

    def fail(*_):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(made, "encoder", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        made([nf.EAT(TINY).prepare(noise(1, 1.0))], infer.POOLING["mean"], None, 1)
