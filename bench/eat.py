"""EAT-large with seeded random weights through the public path: speed, memory, share of the peak.

`python -m bench.eat TASK FOLDER [PRECISION]` prints one task's numbers as JSON: each runs in its
own process, with all cores, whatever the other benchmarks set for themselves. On a machine with
other work speed is that of one core in processor time: threads that wait for each other there say
nothing.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.architecture import MELS, POSITIONS, Architecture, flops, positions
from nearfar.runtime.runtime import Runtime

LARGE = Architecture(1024, 24, 16, 4096)
TINY = Architecture(64, 2, 4, 256)
FRAMES = 1_024  # a clip of 10 s, padded as in training
BATCHES: tuple[int | None, ...] = (None, 1, 4, 8)  # None: what a device takes by itself
ROUNDS = 3
MATRIX, ACCELERATED_MATRIX = 2_048, 8_192
MEMORY = 2.5  # GB, the limit
DISK = 3e9  # bytes that must be free for the weights
MANY = 10_000  # clips of the tiny encoder
NO_MEMORY = "Peak memory of a whole process: not measured beside the machine's other work."
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def counted(shape: Architecture, frames: int) -> int:
    """The same as PyTorch counts it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from nearfar.embedder.eat.model import Encoder

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        Encoder(shape)(torch.empty(1, frames, MELS))
    return counter.get_total_flops()


def write_weights(folder: Path, shape: Architecture) -> None:
    """A weights folder as published, with random numbers."""
    import torch
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for name, size in shape.shapes().items():
        tensor = torch.empty(size).normal_(0, 0.02, generator=draw)
        if "norm" in name and name.endswith("weight"):
            tensor += 1
        if name == POSITIONS:
            tensor = torch.from_numpy(positions(shape.dim, shape.columns)).view(size)
        tensors[f"model.{name}"] = tensor
    folder.mkdir()
    save_file(tensors, str(folder / "model.safetensors"))
    config = {"embed_dim": shape.dim, "depth": shape.depth, "num_heads": shape.heads}
    (folder / "config.json").write_text(json.dumps(config))


def clips(count: int, frames: int = FRAMES) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.5 * rng.standard_normal((frames, MELS))).astype(np.float32) for _ in range(count)]


def is_alone() -> bool:
    """Has this process one thread alone?"""
    return os.environ.get(THREADS[0]) == "1"


def seconds(work: Callable[[], object]) -> float:
    """Of the clock; of the processor for one thread alone, which a busy machine hardly changes."""
    clock = time.process_time if is_alone() else time.perf_counter
    start = clock()
    work()
    return clock() - start


def is_busy() -> bool:
    """Has this machine more to do than a core's worth beside this?"""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 1 + (os.cpu_count() or 1) / 2


def matrix_seconds(dtype: str, size: int, device: str) -> list[float]:
    """Seconds of one product after another."""
    import torch

    a = torch.full((size, size), 0.5, device=device).to(getattr(torch, dtype))

    def product() -> None:
        torch.mm(a, a)
        if device == "cuda":
            torch.cuda.synchronize()

    product()
    return [seconds(product) for _ in range(10)]


def has_bf16(device: str) -> bool:
    import torch

    from nearfar.embedder.device import check_bf16
    from nearfar.errors import SettingError

    try:
        check_bf16(torch.device(device))
    except SettingError:
        return False
    return True


# ---- tasks, each in a process of its own ------------------------------------------------------


def speed(folder: Path) -> dict[str, Any]:
    """Seconds a clip of each precision and batch, in turn with products of matrices."""
    import torch

    if (mine := flops(LARGE, FRAMES)) != (theirs := counted(LARGE, FRAMES)):
        raise SystemExit(f"{mine} FLOP by the formula, {theirs} by PyTorch")
    precisions = ("fp32", "bf16") if has_bf16("cpu") else ("fp32",)
    eats = {p: EAT(str(folder / "large"), frames=FRAMES, precision=p) for p in precisions}
    one = clips(1)
    load = {p: seconds(lambda e=e: e.encode(one, Runtime(device="cpu"))) for p, e in eats.items()}
    times: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {p: [] for p in precisions}
    for turn in range(ROUNDS + 1):  # the first warms up
        for batch in BATCHES:
            mels = clips(batch or 4)
            for p, eat in eats.items():
                runtime = Runtime(device="cpu", batch_size=batch)
                if p == "fp32" and (not turn or (batch == 8 and turn > 1)):
                    continue  # needs no warming up, and 10 s each
                took = seconds(lambda e=eat, m=mels, r=runtime: e.encode(m, r)) / len(mels)
                if turn:
                    times.setdefault(f"{p} {batch}", []).append(took)
                dtype = "float32" if p == "fp32" else "bfloat16"
                peaks[p] += matrix_seconds(dtype, MATRIX, "cpu")[: 3 if p == "fp32" else 10]
        for p, eat in eats.items():
            if turn:
                took = seconds(lambda e=eat: e.encode(one, Runtime(device="cpu")))
                times.setdefault(f"{p} alone", []).append(took)
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "first": load,
        "times": {name: statistics.median(x) for name, x in times.items()},
        "peaks": {p: 2 * MATRIX**3 / statistics.median(x) for p, x in peaks.items()},
        "front": front(folder, eats["fp32"]),
        "alone": is_alone(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def front(folder: Path, eat: EAT) -> float:
    """Seconds to read a clip of 10 s and to make its log-mel."""
    import soundfile

    from nearfar.sound import audio

    path = folder / "clip.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((160_000, 2))
    soundfile.write(path, noise, 16_000, subtype="PCM_16")
    return statistics.median(seconds(lambda: eat.prepare(audio.read(path)[:1])) for _ in range(30))


def memory(folder: Path, precision: str) -> dict[str, float]:
    """Peak of the whole process: loaded, then after 8 clips, then after 40, at batch 8."""
    eat = EAT(str(folder / "large"), frames=FRAMES, precision=precision)  # type: ignore[arg-type]
    runtime = Runtime(device="cpu", batch_size=8)
    mels = clips(8)
    eat.encode(mels, runtime)
    first = peak_gb()
    for _ in range(4 if precision == "bf16" else 1):
        eat.encode(mels, runtime)
    return {"first": first, "last": peak_gb()}


def flat(folder: Path) -> dict[str, float]:
    """Peak after a tenth and after all of many clips; tiny encoder, for the pass around it."""
    eat = EAT(str(folder / "tiny"))
    mels = clips(100, 96)
    peaks = []
    for _ in range(MANY // len(mels)):
        eat.encode(mels, Runtime(device="cpu"))
        peaks.append(peak_gb())
    return {"first": peaks[len(peaks) // 10 - 1], "last": peaks[-1]}


def peak_gb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def cuda(folder: Path) -> dict[str, Any]:
    """bf16 clips a second of a GPU; empty without one."""
    import torch

    if not torch.cuda.is_available() or not has_bf16("cuda"):
        return {}
    eat = EAT(str(folder / "large"), frames=FRAMES, precision="bf16")
    rates = {}
    for batch in (32, 64, 128):
        mels, runtime = clips(batch) * 4, Runtime(device="cuda", batch_size=batch)
        eat.encode(mels, runtime)
        rates[batch] = len(mels) / statistics.median(
            seconds(lambda m=mels, r=runtime: eat.encode(m, r)) for _ in range(ROUNDS)
        )
    size = ACCELERATED_MATRIX
    peak = 2 * size**3 / statistics.median(matrix_seconds("bfloat16", size, "cuda"))
    return {"name": torch.cuda.get_device_name(), "rates": rates, "peak": peak}


# ---- the section ------------------------------------------------------------------------------


def child(*arguments: str, alone: bool = False) -> dict[str, Any]:
    """One task in a process that has all cores, or one."""
    environment = {k: v for k, v in os.environ.items() if k not in THREADS}
    if alone:
        environment |= dict.fromkeys(THREADS, "1")
    done = subprocess.run(
        [sys.executable, "-m", "bench.eat", *arguments],
        env=environment,
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run() -> str:
    """The section of docs/benchmarks.md."""
    if shutil.disk_usage(tempfile.gettempdir()).free < DISK:
        return f"## EAT-large\n\nNot run: less than {DISK / 1e9:g} GB free for its weights."
    with tempfile.TemporaryDirectory() as folder:
        child("write", folder)
        quick = child("speed", folder, alone=is_busy())
        parts = speed_text(quick)
        if quick["alone"]:  # that many clips would take most of an hour
            parts.append(NO_MEMORY)
        else:
            used = {p: child("memory", folder, p) for p in quick["peaks"]}
            parts += memory_text(used, child("flat", folder))
        return "\n\n".join([*parts, cuda_text(child("cuda", folder))])


def speed_text(got: dict[str, Any]) -> list[str]:
    work, times, peaks = flops(LARGE, FRAMES), got["times"], got["peaks"]
    rows = []
    for p in peaks:
        for batch in (*BATCHES, "alone"):
            t = times[f"{p} {batch}"]
            ratio = times[f"fp32 {batch}"] / t
            name = {None: "default", "alone": "one clip alone"}.get(batch, batch)
            rows.append(
                f"| {p} | {name} | {t:.3f} | {work / t / 1e9:,.0f} | {work / t / peaks[p]:.0%} | "
                f"{'–' if p == 'fp32' else f'{ratio:.1f}'} |"
            )
    shown = ", ".join(f"{p} {peak / 1e9:,.0f}" for p, peak in peaks.items())
    fastest = "bf16" if "bf16" in peaks else "fp32"
    share = got["front"] / times[f"{fastest} None"]
    first = ", ".join(f"{p} {t:.1f} s" for p, t in got["first"].items())
    alone = "one thread, in processor time for the machine had other work"
    threads = alone if got["alone"] else f"{got['threads']} threads"
    return [
        "## EAT-large",
        f"Seeded random weights, clips of {FRAMES:,} frames (10 s), {work / 1e9:.1f} GFLOP each, "
        f"through `EAT.encode`; {threads}, PyTorch {got['torch']}, load average "
        f"{got['load']:.1f} at the end. Medians of {ROUNDS} passes (of fp32 by eights: one) in "
        f"turn with products of two {MATRIX:,} × {MATRIX:,} matrices, whose median is "
        f"the peak: {shown} GFLOP/s.",
        "| precision | clips at a time | s a clip | GFLOP/s | of the peak | × fp32 |\n"
        "|---|---|--:|--:|--:|--:|\n" + "\n".join(rows),
        *([] if "bf16" in peaks else ["This processor has no bfloat16: bf16 was not run."]),
        f"Reading a clip and its log-mel take {1e3 * got['front']:.1f} ms, {share:.1%} of a "
        f"{fastest} pass by default. Load and first clip: {first}.",
    ]


def memory_text(used: dict[str, dict[str, float]], many: dict[str, float]) -> list[str]:
    lines = [
        f"{p} {x['first']:.2f} GB, more clips later {x['last']:.2f} GB"
        + ("" if x["last"] < MEMORY else f" **above the limit of {MEMORY} GB**")
        for p, x in used.items()
    ]
    return [
        f"Peak memory of a whole process at batch 8 (8 clips, then 8 in fp32 or 32 in bf16): "
        f"{'; '.join(lines)}. A tiny encoder's process: {many['first']:.3f} GB after "
        f"{MANY // 10:,} clips, {many['last']:.3f} GB after {MANY:,}. "
        "(EAT-large itself was not run that long.)"
    ]


def cuda_text(got: dict[str, Any]) -> str:
    if not got:
        return "On a GPU: not run, there was none."
    shares = ", ".join(
        f"{rate:,.0f} clips/s at batch {batch} ({rate * flops(LARGE, FRAMES) / got['peak']:.0%})"
        for batch, rate in got["rates"].items()
    )
    return (
        f"{got['name']}, bf16: {shares}; in brackets the share of a product of two "
        f"{ACCELERATED_MATRIX:,}² matrices, {got['peak'] / 1e12:,.0f} TFLOP/s."
    )


def main(task: str, folder: Path, *more: str) -> None:
    if task == "write":
        write_weights(folder / "large", LARGE)
        write_weights(folder / "tiny", TINY)
    tasks: dict[str, Callable[..., dict[str, Any]]] = {
        "write": lambda _: {},
        "speed": speed,
        "memory": memory,
        "flat": flat,
        "cuda": cuda,
    }
    print(json.dumps(tasks[task](folder, *more)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
