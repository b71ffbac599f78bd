"""EAT-base with seeded random weights as ONNX: beside PyTorch, and in 8 bits.

`python -m bench.exported FOLDER` prints the numbers as JSON: in a process of its own, which has one
thread, so that they are of one core, in processor time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.eat import THREADS, write_weights
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.architecture import MELS, Architecture
from nearfar.embedder.onnx.exporting import export
from nearfar.runtime.runtime import Runtime

BASE = Architecture(768, 12, 12, 3072)
FRAMES = 1_008  # a clip of 10 s
ROUNDS, NORMALS, HELD_OUT = 5, 8, 4
LEAST = {"fp32": 0.9, "int8": 1.5}  # of PyTorch's speed, and of that of fp32


def normal(seed: int, frames: int = FRAMES) -> np.ndarray:
    """A log-mel of noise, with a level and a tilt of its own."""
    rng = np.random.default_rng(seed)
    tilt = np.linspace(-0.5, 0.5, MELS) * rng.standard_normal() + 0.3 * rng.standard_normal()
    return (0.5 * rng.standard_normal((frames, MELS)) + tilt).astype(np.float32)


def measured(folder: Path, shape: Architecture = BASE, frames: int = FRAMES) -> dict[str, Any]:
    """Seconds a clip of each way in turn, how near the rows are, and bytes of the files."""
    import onnxruntime
    import torch

    write_weights(folder / "weights", shape)
    eat, runtime = EAT(str(folder / "weights")), Runtime(device="cpu")
    normals = [normal(i, frames) for i in range(NORMALS)]
    start = time.process_time()
    ways = {"torch": eat, "fp32": export(eat, folder / "fp32")}
    took = time.process_time() - start
    ways["int8"] = export(eat, folder / "int8", precision="int8", normals=normals)
    clips = [normal(1000 + i, frames) for i in range(HELD_OUT)]
    rows = {way: made.encode(clips, runtime) for way, made in ways.items()}  # which warms up, too
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, made in ways.items():
            times[way].append(seconds(lambda e=made: e.encode(clips[:1], runtime)))
    return {
        "times": {way: statistics.median(some) for way, some in times.items()},
        "off": {way: off(rows["torch"], rows[way]) for way in LEAST},
        "cosine": {way: cosine(rows["torch"], rows[way]) for way in LEAST},
        "bytes": {way: (folder / way / "encoder.onnx").stat().st_size for way in LEAST},
        "export": took,
        "versions": f"onnxruntime {onnxruntime.__version__}, PyTorch {torch.__version__}",
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def off(was: np.ndarray, now: np.ndarray) -> float:
    """The largest difference as a share of the largest number."""
    return float(np.abs(was - now).max() / np.abs(was).max())


def cosine(was: np.ndarray, now: np.ndarray) -> float:
    """The least of any clip."""
    a, b = was.astype(np.float64), now.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths).min())


def run() -> str:
    """The section of docs/benchmarks.md."""
    missing = [name for name in ("torch", "onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        return f"## Encoders as ONNX\n\nNot run: no {missing[0]} here."
    environment = os.environ | dict.fromkeys(THREADS, "1")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.exported", folder],
            env=environment,
            cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return text(json.loads(done.stdout))


def text(got: dict[str, Any], shape: Architecture = BASE) -> str:
    """The section, of what was measured."""
    times = got["times"]
    speed = {"fp32": times["torch"] / times["fp32"], "int8": times["fp32"] / times["int8"]}
    beside = {"fp32": "PyTorch", "int8": "ONNX fp32"}
    rows = [f"| PyTorch fp32 | {times['torch']:.3f} | | | | |"]
    for way, least in LEAST.items():
        short = "" if speed[way] >= least else f" **below {least:g}**"
        rows.append(
            f"| ONNX {way} | {times[way]:.3f} | {speed[way]:.2f} × {beside[way]}{short} | "
            f"{got['cosine'][way]:.6f} | {got['off'][way]:.1e} | {got['bytes'][way] / 1e6:.0f} |"
        )
    busy = "" if got["load"] is None else f", load average {got['load']:.1f} at the end"
    return "\n\n".join(
        [
            "## Encoders as ONNX",
            f"EAT {shape.dim}×{shape.depth}, seeded random weights, a clip of 10 s at a time, one "
            f"thread, medians of {ROUNDS} in turn in processor time; {got['versions']}{busy}. "
            f"Rows of {HELD_OUT} other clips are compared with PyTorch's: the least cosine, and "
            "the largest difference as a share of the largest number. The 8 bits were calibrated "
            f"on {NORMALS} clips; of random weights they say less than of a trained encoder's.",
            "| | s a clip | speed | cosine | off | MB |\n|---|--:|--:|--:|--:|--:|\n"
            + "\n".join(rows),
            f"To export it in fp32 takes {got['export']:.1f} s.",
        ]
    )


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]))))
