"""BEATs-base with seeded random weights through the public path: share of the peak, times fp32.

`python -m bench.beats speed FOLDER` prints its numbers as JSON: in a process of its own, as EAT's.
Seconds are the processor's, of one core.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.eat import MATRIX, clips, has_bf16
from nearfar.embedder.beats import BEATs
from nearfar.embedder.beats.architecture import TABLE, TAPS_G, BeatsArchitecture
from nearfar.runtime.runtime import Runtime

FRAMES = 992  # a clip of 10 s: 62 columns
BATCHES = {"fp32": (None, 4), "bf16": (None, 1, 4)}  # None: what a device takes by itself
ROUNDS = 3
AIMS = {"fp32": 0.70, "bf16": 0.55}  # of the peak
FASTER = 4.5  # times fp32, of bf16


def write_weights(folder: Path, shape: BeatsArchitecture) -> None:
    """A weights folder as `nearfar weights convert` makes it, with random numbers."""
    import torch
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for name, size in shape.shapes().items():
        tensor = torch.empty(size).normal_(0, 0.02, generator=draw)
        if ("norm" in name and name.endswith("weight")) or name == TAPS_G:
            tensor += 1
        if name.endswith(TABLE):  # one for all layers
            tensor = torch.linspace(-1, 1, tensor.numel()).view(size).contiguous()
        tensors[name] = tensor
    folder.mkdir()
    save_file(tensors, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(shape.config()))


@cache
def flops(shape: BeatsArchitecture, frames: int) -> int:
    """Of one clip's products in a pass, as PyTorch counts them; two for each multiplication."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from nearfar.embedder.beats.model import BeatsEncoder

    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        BeatsEncoder(shape)(torch.empty(1, frames, 128))
    return int(counter.get_total_flops())


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def speed(folder: Path) -> dict[str, Any]:
    """Processor seconds a clip, in turn with products of matrices, all of one core."""
    import torch

    torch.set_num_threads(1)
    precisions = [p for p in BATCHES if p == "fp32" or has_bf16("cpu")]
    parts = {p: BEATs(str(folder / "base"), precision=p) for p in precisions}  # type: ignore[arg-type]
    plain = _plain(folder)
    matrices = {p: torch.full((MATRIX, MATRIX), 0.5).to(d) for p, d in _dtypes(precisions)}
    times: dict[str, list[float]] = {}
    for turn in range(ROUNDS + 1):  # the first warms up
        for p, part in parts.items():
            works: dict[str, tuple[int, Callable[[], object]]] = {
                f"{p} product": (1, lambda a=matrices[p]: torch.mm(a, a)),
            }
            for batch in BATCHES[p]:
                mels, runtime = clips(batch or 2, FRAMES), Runtime(device="cpu", batch_size=batch)
                works[f"{p} {batch}"] = (
                    len(mels),
                    lambda e=part, m=mels, r=runtime: e.encode(m, r),
                )
            if p == "fp32":
                works["plain"] = (1, plain)
            for name, (many, work) in works.items():
                took = cpu_seconds(work) / many
                if turn:
                    times.setdefault(name, []).append(took)
    return {
        "torch": torch.__version__,
        "times": {k: statistics.median(v) for k, v in times.items()},
    }


def _dtypes(precisions: list[str]) -> list[tuple[str, Any]]:
    from nearfar.embedder.infer import DTYPES

    return [(p, DTYPES[p]) for p in precisions]  # type: ignore[index]


def _plain(folder: Path) -> Callable[[], object]:
    """The straightforward implementation: the module itself in fp32, a clip at a time."""
    import torch

    from nearfar.embedder.beats.model import load
    from nearfar.embedder.beats.weights import open_weights

    encoder, mel = load(open_weights(folder / "base")), torch.from_numpy(np.stack(clips(1, FRAMES)))

    def work() -> object:
        with torch.inference_mode():
            return encoder(mel)

    return work


def child(task: str, folder: str) -> dict[str, Any]:
    """One task in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.beats", task, folder],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run() -> str:
    """The section of docs/benchmarks.md."""
    with TemporaryDirectory() as folder:
        write_weights(Path(folder) / "base", BeatsArchitecture())
        return text(child("speed", folder))


def text(got: dict[str, Any]) -> str:
    """Of a machine's numbers what the page says."""
    work, times = flops(BeatsArchitecture(), FRAMES), got["times"]
    rows = []
    for p, batches in BATCHES.items():
        peak = 2 * MATRIX**3 / times[f"{p} product"] if f"{p} product" in times else 0.0
        for batch in batches:
            if (took := times.get(f"{p} {batch}")) is None:
                continue
            ratio = times["plain"] / took
            rows.append(
                f"| {p} | {batch or 'default'} | {took:.3f} | {work / took / 1e9:,.0f} | "
                f"{work / took / peak:.0%} | {ratio:.1f} |"
            )
    parts = [
        "## BEATs-base",
        f"Seeded random weights, clips of {FRAMES} frames (10 s), {work / 1e9:.1f} GFLOP each, "
        f"through `BEATs.encode`; PyTorch {got['torch']}. Processor seconds of one core, medians "
        f"of {ROUNDS} passes in turn with products of two {MATRIX:,} × {MATRIX:,} matrices, whose "
        "median is the peak; plain fp32 is the module itself, a clip at a time.",
        "| precision | clips at a time | s a clip | GFLOP/s | of the peak | × plain fp32 |\n"
        "|---|---|--:|--:|--:|--:|\n" + "\n".join(rows),
    ]
    return "\n\n".join([*parts, verdict(times, work)])


def verdict(times: dict[str, float], work: float) -> str:
    """What was asked for, beside what is there."""
    told = []
    for p, aim in AIMS.items():
        if f"{p} product" not in times:
            told.append(f"{p} was not run, this processor has none")
            continue
        share = work / best(times, p) * times[f"{p} product"] / (2 * MATRIX**3)
        told.append(f"{p} at {share:.0%} of its peak, {aim:.0%} asked for")
    if "bf16 product" in times:
        ratio = times["plain"] / best(times, "bf16")
        told.append(f"bf16 {ratio:.1f} times as quick as plain fp32, {FASTER} asked for")
        # Beside a slow fp32 product a share of the peak could still give it.
        possible = times["plain"] * 2 * MATRIX**3 / work / times["bf16 product"]
        peaks = times["fp32 product"] / times["bf16 product"]
        told.append(
            f"its products alone are {peaks:.1f} times as quick as fp32's, and a pass at its whole "
            f"peak would be {possible:.1f} times as quick as plain fp32"
            + (": the factor asked for is not to be had here" if possible < FASTER else "")
        )
    return "At best: " + "; ".join(told) + "."


def best(times: dict[str, float], precision: str) -> float:
    """Seconds a clip of the quickest way to encode."""
    ways = {f"{precision} {batch}" for batch in BATCHES[precision]}
    return min(seconds for name, seconds in times.items() if name in ways)


if __name__ == "__main__":
    print(json.dumps({"speed": speed}[sys.argv[1]](Path(sys.argv[2]))))
