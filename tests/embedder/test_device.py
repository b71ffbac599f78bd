"""Devices and precisions that this machine does not have."""

import pytest
import torch

import nearfar as nf
from conftest import DATA
from nearfar.embedder.device import choose, tf32
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


@pytest.mark.parametrize("before", [False, True])
def test_quick_products_are_so_inside_only(before):
    matmul, inside = torch.backends.cuda.matmul, []
    usual, matmul.allow_tf32 = matmul.allow_tf32, before

    def fails():
        with tf32():
            inside.append(matmul.allow_tf32)
            raise ZeroDivisionError

    try:
        with pytest.raises(ZeroDivisionError):
            fails()
        assert (inside, matmul.allow_tf32) == ([True], before)
    finally:
        matmul.allow_tf32 = usual


def test_bf16_where_the_processor_has_none(monkeypatch):
    monkeypatch.setattr("nearfar.embedder.device.has_bf16_instructions", lambda: False)
    with pytest.raises(
        nf.NearfarError, match=r"embed again: fit with with_setting.*embedder\.precision="
    ):
        nf.EAT(TINY, precision="bf16")([noise(1, 1.0)])
