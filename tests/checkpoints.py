"""Checkpoints as fairseq writes them."""

from functools import partial

import numpy as np
import pytest
from safetensors.numpy import load_file

import conftest
from conftest import TINY
from nearfar.errors import WeightsError

torch = pytest.importorskip("torch")

IMAGE = "modality_encoders.IMAGE."
NORM = f"{IMAGE}context_encoder.norm."
refused = partial(conftest.refused, error=WeightsError)


def pretrain_names(tensors):
    """The published names turned into those of a fairseq pre-training checkpoint."""
    out = {}
    for name, value in tensors.items():
        bare = name.removeprefix("model.")
        if bare.startswith("pre_norm."):
            out[NORM + bare.removeprefix("pre_norm.")] = torch.from_numpy(value.copy())
        elif bare.startswith("blocks."):
            out[bare] = torch.from_numpy(value.copy())
        else:
            out[IMAGE + bare] = torch.from_numpy(value.copy())
    return out


def save(path, model, **parts):
    """A checkpoint as fairseq's trainer writes it."""
    content = {"args": None, "cfg": {"model": {"_name": "data2vec_multi"}}, "model": model}
    content |= {"optimizer_history": [], "extra_state": {}, "last_optimizer_state": None}
    torch.save(content | parts, path)
    return path


def same(folder, gold=TINY, **instead):
    """The tensors of the published file to the bit, but for those given instead."""
    have, want = load_file(folder / "model.safetensors"), load_file(gold / "model.safetensors")
    assert have.keys() == want.keys()
    want |= {f"model.{name}": value for name, value in instead.items()}
    for name, value in want.items():
        assert have[name].dtype == np.float32
        assert np.array_equal(have[name], value), name


def leaves_nothing(folder, before):
    """No half-written folder, hidden or not."""
    assert sorted(p.name for p in folder.iterdir()) == sorted(before)
