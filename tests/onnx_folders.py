"""Exported encoders of the tiny ones, each made once a process."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from conftest import TINY
from nearfar.embedder.eat import EAT
from nearfar.embedder.onnx.exporting import export


def mel(frames, seed=0):
    """A made-up log-mel, with a level and a tilt of its own."""
    rng = np.random.default_rng([seed, frames])
    tilt = np.linspace(-0.5, 0.5, 128) * rng.standard_normal()
    return (0.4 * rng.standard_normal((frames, 128)) + tilt).astype(np.float32)


def sound(seconds, seed=0):
    """Noise, (1, samples)."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((1, round(16_000 * seconds)))).astype(np.float32)


@cache
def exported(precision="fp32"):
    """The folder of the tiny EAT."""
    folder = Path(mkdtemp())
    normals = [mel(128, i) for i in range(6)] if precision == "int8" else []
    export(EAT(str(TINY)), folder, precision=precision, normals=normals, longest=12)
    return folder
