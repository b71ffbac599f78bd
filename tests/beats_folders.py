"""BEATs of the gold, converted once, and changed in one way for a test."""

import warnings
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

from conftest import DATA
from nearfar.errors import NearfarWarning
from nearfar.sound.audio import read

torch = pytest.importorskip("torch")

from nearfar.embedder.beats.convert import convert

GOLD = DATA / "beats"
TINY = GOLD / "tiny" / "checkpoint.pt"


@cache
def folder(name="tiny"):
    """A converted checkpoint; made anew in each process that runs tests."""
    out = Path(mkdtemp(), name)
    with warnings.catch_warnings():  # of a head that is dropped: a test of its own asks for it
        warnings.simplefilter("ignore", NearfarWarning)
        convert(GOLD / name / "checkpoint.pt", out)
    return str(out)


def gold(name):
    with np.load(GOLD / f"{name}.npz") as file:
        return {key: file[key] for key in file}


def recording(name):
    return read(DATA / "eat" / "wav" / f"{name}.wav")[:1]


def content(path=TINY):
    return torch.load(path, weights_only=True)


def changed(path, cfg=None, drop=(), **tensors):
    """The tiny checkpoint with other settings and other tensors, saved to a path."""
    was = content()
    model = {k: v for k, v in was["model"].items() if k not in drop}
    model |= {name.replace("__", "."): value for name, value in tensors.items()}
    torch.save({"cfg": was["cfg"] | (cfg or {}), "model": model}, path)
    return path
