"""Where an encoder runs, and in which precision it can.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nearfar.errors import SettingError

AUTO = "auto"


def choose(name: str) -> torch.device:
    """The device that a name means; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        SettingError: a name that is none, or a device that is not here.
    """
    if name == AUTO:
        return torch.device(_best())
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingError(f"device {name!r}; it is auto, cpu, cuda, cuda:1 … or mps") from None
    if device.type == "cuda":
        _check_cuda(name, device)
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise SettingError("device 'mps': this is no Mac with Apple silicon; take cpu")
    elif device.type != "cpu":
        raise SettingError(f"device {name!r}; it is auto, cpu, cuda, cuda:1 … or mps")
    return device


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _check_cuda(name: str, device: torch.device) -> None:
    if not torch.cuda.is_available():
        reason = (
            "this PyTorch was built without CUDA" if torch.version.cuda is None else "no GPU found"
        )
        raise SettingError(f"device {name!r}: {reason}; take --device cpu")
    count = torch.cuda.device_count()  # "cuda" without a number is the current one, always there
    if device.index is not None and device.index >= count:
        raise SettingError(f"device {name!r}: there are {count}, the last is cuda:{count - 1}")


def has_bf16(device: torch.device) -> bool:
    """Is there bfloat16 arithmetic, not emulated and many times slower?"""
    if device.type == "cuda":
        return bool(
            torch.cuda.is_bf16_supported(including_emulation=False)
        )  # older ones emulate it
    if device.type == "cpu":
        # oneDNN says yes to any AVX-512, hence the second question.
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and has_bf16_instructions()
    return False


@contextmanager
def tf32() -> Iterator[None]:
    """Inside, a GPU multiplies float32 matrices with 10 bits after the point, eight times as fast.

    On a CPU it changes nothing.
    """
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, True
    try:
        yield
    finally:
        matmul.allow_tf32 = before


def check_bf16(device: torch.device) -> None:
    """Refuse bfloat16 where it would be emulated.

    Raises:
        SettingError: no bfloat16 arithmetic here.
    """
    if not has_bf16(device):
        raise SettingError(
            f"precision bf16: {device.type} here has no bfloat16 arithmetic, and scores of another "
            "precision are not comparable; embed again: fit with --set embedder.precision=fp32"
        )


def has_bf16_instructions() -> bool:
    """Does this processor multiply bfloat16 matrices itself (AMX, AVX-512 BF16, Arm BF16)?"""
    if hasattr(torch.cpu, "get_capabilities"):
        capable = torch.cpu.get_capabilities()
        return any(bool(capable.get(name)) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    # PyTorch before 2.9 knows of Intel's only.
    known = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in _INTEL]
    return any(ask() for ask in known if ask is not None)


# Asked of PyTorch by these names before 2.9.
_INTEL = ("amx_tile", "avx512_bf16")
