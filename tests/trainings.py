"""Trainings of the tiny encoder that are stepped by hand."""

from dataclasses import replace

import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import EAR, QUICK
from nearfar.embedder.eat.weights import open_weights

torch = pytest.importorskip("torch")

from nearfar.training.examples.examples import examples
from nearfar.training.learner.learner import learner
from nearfar.training.loop import optimizer
from nearfar.training.loop.checkpoint import State
from nearfar.training.loop.loop import Loop
from nearfar.training.loop.team import Team

SHORT = replace(QUICK, epochs=3)
DIM, DEPTH, HIDDEN = 64, 2, 256  # of the tiny encoder, by its config.json
VARIANTS = {  # each new setting at least once, and with what could get in its way
    "elasticface-lora": {"loss": "elasticface", "lora": 4, "accumulation": 2},
    "magface-dann": {"loss": "magface", "adaptation": "dann", "balanced": True},
    "cosface-mixstyle": {"loss": "cosface", "adaptation": "mixstyle", "drop_path": 0.2},
    "lora-dann": {"lora": 3, "adaptation": "dann", "checkpointing": True},
}


def tensors(path):
    from safetensors.numpy import load_file

    return load_file(path)


def a_loop(clips, settings, cache, shares=(0.5, 0.5)):
    found = examples(clips, nf.CoherenceMask(), EAR, settings, nf.Runtime(cache=cache))
    pupil = learner(open_weights(TINY), len(found.classes), settings, shares)
    state = State(pupil, optimizer.adamw(pupil, settings))
    return Loop(state, found, settings, Team("cpu"), lambda _: None)


def a_step(one, epoch, number, batch):
    """A step of a loop on these clips; their mean loss."""
    return one._step(epoch, number, batch, one._load(epoch, number, one._counted(batch)))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
