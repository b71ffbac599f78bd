"""Sessions of onnxruntime that are kept from one call to the next: bounded in bytes.

This file imports onnxruntime; import it inside functions only.
"""

from __future__ import annotations

import os
from threading import RLock
from typing import Any

import onnxruntime

from nearfar.embedder.onnx.modelfile import ModelFile, read_whole
from nearfar.errors import WeightsError, first_line

MOST = 4 << 30  # bytes of files; more is no small machine's

_kept: dict[tuple[str, str], Any] = {}  # the one called last comes last
_bytes: dict[tuple[str, str], int] = {}
_lock = RLock()


def session(file: ModelFile) -> Any:
    """The session of an exported encoder: one that is kept, or a new one.

    Raises:
        WeightsError: the file changed, or this onnxruntime cannot run it.
    """
    key = (str(file.path), file.sha256)
    with _lock:
        if key in _kept:
            _kept[key] = _kept.pop(key)
            return _kept[key]
        data = read_whole(file)
        while _kept and sum(_bytes.values()) + len(data) > MOST:
            oldest = next(iter(_kept))
            del _kept[oldest], _bytes[oldest]
        made = made_of(data, str(file.path))
        _kept[key], _bytes[key] = made, len(data)
        return made


def made_of(data: bytes, name: str) -> Any:
    """A new session of a model's bytes.

    Raises:
        WeightsError: this onnxruntime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and said in one line
    options.use_deterministic_compute = True
    options.intra_op_num_threads = threads()
    # Clips differ in length: memory that is kept for the next one grows with each longest, and
    # threads that wait for it by spinning take the processor from whoever else works here.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # Of bytes, never of a path: they are those whose hash was compared.
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a dozen types, all of them of its own
        raise WeightsError(
            f"{name}: onnxruntime {onnxruntime.__version__} cannot run it "
            f"({first_line(error)[:160]}); install a newer onnxruntime, or export it again"
        ) from None


def threads() -> int:
    """Of a session: as many as the environment allows PyTorch and OpenMP; 0 is one a core.

    Rows have the same bits with any number.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() else 0
