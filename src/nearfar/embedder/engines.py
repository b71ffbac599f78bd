"""Engines that are kept from one call to the next: bounded in bytes, let go of before a training.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import gc
from threading import RLock

import torch

from nearfar.embedder.device import choose
from nearfar.embedder.infer import DTYPES, Engine, Precision
from nearfar.embedder.weights import Shaped, Weights
from nearfar.errors import SettingError

# Bytes of weights, eight EAT-large in float32. System 2 calls its encoders in turn for each few
# clips, and to load them anew each time would take longer than to encode.
MOST = 10 << 30
SHARE = 0.5  # of an accelerator's memory at most: the other half is for activations

_Key = tuple[object, ...]
_kept: dict[_Key, Engine] = {}  # the one called last comes last
_bytes: dict[_Key, int] = {}
_lock = RLock()


def engine(weights: Weights[Shaped], precision: Precision, device: str) -> Engine:
    """The engine of a weights file: one that is kept, or a new one in the place of the oldest.

    Raises:
        What `Engine` raises; for memory only if there is none with all others let go of.
    """
    stat = weights.path.stat()
    # Heads are in the config: the same tensors with others are another encoder.
    file = (str(weights.path.resolve()), stat.st_size, stat.st_mtime_ns)
    key = (*file, weights.architecture, precision, device)
    with _lock:
        if key in _kept:
            _kept[key] = _kept.pop(key)
            return _kept[key]
        size = weights.architecture.parameters * DTYPES[precision].itemsize
        _make_room(size, _most(choose(device)))
        made = _made(weights, precision, device)
        _kept[key], _bytes[key] = made, size
        return made


def release() -> None:
    """Let go of all: what trains next needs the memory, and they can be loaded again."""
    with _lock:
        if not _kept:
            return
        _kept.clear()
        _bytes.clear()
    gc.collect()  # modules hold each other in circles
    # Without this the memory would be free for PyTorch only, and in pieces of the wrong size.
    torch.cuda.empty_cache()  # does nothing where no GPU is in use
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def held() -> int:
    """Bytes of the weights that are kept."""
    return sum(_bytes.values())


def _most(device: torch.device) -> int:
    """Bytes that may be kept, with those of the one to come."""
    if device.type != "cuda":
        return MOST
    return min(MOST, int(SHARE * torch.cuda.get_device_properties(device).total_memory))


def _make_room(size: int, most: int) -> None:
    """The oldest go first; one that is larger than all room is kept alone."""
    while _kept and held() + size > most:
        oldest = next(iter(_kept))
        del _kept[oldest], _bytes[oldest]


def _made(weights: Weights[Shaped], precision: Precision, device: str) -> Engine:
    try:
        return Engine(weights, precision, device)
    except (SettingError, MemoryError):
        if not _kept:
            raise
    release()  # out here, where no error holds what was half loaded
    return Engine(weights, precision, device)
