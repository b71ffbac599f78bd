"""Devices and precisions that this machine does not have."""

import pytest
import torch

import nearfar as nf
from conftest import DATA
from nearfar.embedder.eat.device import choose
from nearfar.runtime.runtime import Runtime
from nearfar.testing import noise

GOLD = DATA / "eat"


TINY, TUNED = str(GOLD / "tiny"), str(GOLD / "tiny_finetune")


@pytest.mark.parametrize("name", ["cuda:99", "cpu:x", "tpu", "meta", ""])
def test_devices_that_are_not_here(name):
    with pytest.raises(nf.NearfarError, match="device"):
        choose(name)


def test_cuda_asked_for_and_absent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(nf.NearfarError, match=r"device=.cpu"):
        nf.EAT(TINY).encode([nf.EAT(TINY).prepare(noise(1, 1.0))], Runtime(device="cuda"))
    assert choose("auto").type in ("cpu", "mps")


def test_bf16_where_the_processor_has_none(monkeypatch):
    monkeypatch.setattr("nearfar.embedder.eat.device.has_bf16_instructions", lambda: False)
    with pytest.raises(
        nf.NearfarError, match=r"embed again: fit with with_setting.*embedder\.precision="
    ):
        nf.EAT(TINY, precision="bf16")([noise(1, 1.0)])
