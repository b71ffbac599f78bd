"""On a GPU: EAT-large and BEATs, inference and fine-tuning, in one command of some seven minutes.

`python -m bench.finetune_gpu` runs it. Nobody can mend it while it runs: what is worth most comes
first, every line is written when it is known, a part begins only if there is time left for it,
one that fails says so and the next one runs, and a batch that does not fit is halved.

Random weights, random log-mels; the lengths are those of the report's machines. Everything that
asks CUDA is in `Device`, so that a CPU, with small encoders, runs all the rest
(tests/test_bench_gpu.py).
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from bench import finetune_gpu as counted
from bench.eat import matrix_seconds
from nearfar.embedder.beats.architecture import BeatsArchitecture
from nearfar.embedder.device import has_bf16
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.engines import release
from nearfar.errors import NearfarError
from nearfar.runtime.runtime import Runtime

LARGE = Architecture(1024, 24, 16, 4096)
SECONDS = 420.0  # of all; a start and what PyTorch loads at first use come on top
PART = 45.0  # s that measured passes or steps of one part may take
# In what CUDA and cuBLAS say when memory ran out.
NO_ROOM = ("out of memory", "ALLOC_FAILED")


@dataclass
class Device:
    """Where it runs: all that is asked of CUDA."""

    device: torch.device

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.cuda else "a CPU, for trying out"

    def wait(self) -> None:
        """Until all that was launched is done: a launch comes back at once."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def forget(self) -> None:
        """What is free is given back, and the peak begins anew."""
        release()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def most(self) -> float:
        """Bytes of tensors at the peak; of a CPU the whole process's."""
        if self.cuda:
            return float(torch.cuda.max_memory_allocated(self.device))
        return counted.host_memory()


@dataclass
class Page:
    """Lines as they come, to the terminal and to a file: a timeout loses none of them."""

    path: Path | None = None
    lines: list[str] = field(default_factory=list)

    def say(self, line: str = "") -> None:
        self.lines.append(line)
        print(line, flush=True)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())


@dataclass
class Bench:
    """What is measured, and by when."""

    device: Device
    page: Page
    eat: Architecture = LARGE
    beats: BeatsArchitecture = field(default_factory=BeatsArchitecture)
    batch: int = 32
    steps: int = 60
    warm: int = 4
    passes: int = 64  # clips encoded at a time
    matrix: int = 8_192
    mix: tuple[int, ...] = counted.MIX
    seconds: float = SECONDS
    part: float = PART
    peak: float = counted.PEAK  # FLOP/s of a product of two matrices; measured first
    failed: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)

    @property
    def precision(self) -> str:
        return "bf16" if has_bf16(self.device.device) else "fp32"

    def run(self) -> int:
        """All parts, in order of their worth; how many failed."""
        self.page.say(f"{self.device.name}; PyTorch {torch.__version__}, {self.precision}")
        with TemporaryDirectory() as folder:
            for name, least, work in self._parts(Path(folder)):
                if self.left < least:
                    self.page.say(
                        f"{name}: not run, {self.left:.0f} s were left of {self.seconds:.0f}"
                    )
                else:
                    self._guarded(name, work)
        self.page.say(f"{time.monotonic() - self.began:.0f} s in all, {self.failed} parts failed")
        return self.failed

    def _parts(self, folder: Path) -> Iterator[tuple[str, float, Callable[[], None]]]:
        """Name, seconds without which it is not begun, and what is done."""
        short = self.part / 3
        yield "products", 5, self.products
        yield "EAT fine-tuning", short, lambda: self.fine_tuning(self.eat.projected(), "EAT")
        yield "EAT inference", short, lambda: self.inference("eat", folder)
        yield "BEATs inference", short, lambda: self.inference("beats", folder)
        yield "BEATs fine-tuning", short, self.beats_fine_tuning
        yield "checkpoint", short, self.checkpoint
        for batch, checkpointing in ((self.batch, True), (2 * self.batch, False)):
            yield (
                f"EAT fine-tuning, batch {batch}, checkpointing {checkpointing}",
                short,
                lambda b=batch, c=checkpointing: self.fine_tuning(
                    self.eat.projected(), "EAT", b, c
                ),
            )

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.failed += 1
            told = " ".join(str(error).split())[:300]
            self.page.say(f"{name}: FAILED, {type(error).__name__}: {told}")
            traceback.print_exc(file=sys.stderr)
        # Out of the handler, whose traceback holds what filled the memory.
        self.device.forget()

    # ---- parts -----------------------------------------------------------------------------------

    def products(self) -> None:
        """The peak that shares are of."""
        dtype = "bfloat16" if self.precision == "bf16" else "float32"
        took = matrix_seconds(dtype, self.matrix, self.device.device.type)
        self.peak = 2 * self.matrix**3 / min(took)
        self.page.say(
            f"{self.precision} product {self.matrix}³: {self.peak / 1e12:.2f} TFLOP/s, the peak "
            f"below; an H200's data sheet says {counted.PEAK / 1e12:.0f} in bf16"
        )

    def fine_tuning(
        self, shape: Any, name: str, batch: int | None = None, checkpointing: bool = False
    ) -> None:
        """Steps of the real mix of lengths; the batch halved until it fits."""
        batch = batch or self.batch
        while True:
            with self._no_room() as full:
                self._steps(shape, name, batch, checkpointing)
            self.device.forget()
            if not full:
                return
            self.page.say(f"{name} fine-tuning, batch {batch}: out of memory")
            if batch < 4:
                raise NearfarError(f"no room for a batch of {batch}")
            batch //= 2

    def _steps(self, shape: Any, name: str, batch: int, checkpointing: bool) -> None:
        state = counted.begun(
            self.device.device,
            checkpointing,
            fake=False,
            shape=shape,
            bf16=self.precision == "bf16",
        )
        pool = self._pool(batch)
        work, clips, losses, start, limit = 0.0, 0, [], 0.0, time.monotonic() + self.part
        for number in range(self.steps):
            if number == self.warm:
                self.device.wait()
                start = time.perf_counter()
            if number > self.warm and (time.monotonic() > limit or self.left < 0):
                break
            lengths = counted.drawn(batch, number, mix=self.mix)
            losses.append(counted.step(state, lengths, self.device.device, pool))
            if number >= self.warm:
                work += counted.products(lengths, shape)
                clips += batch
        self.device.wait()
        seconds = time.perf_counter() - start
        told = [float(loss) for loss in losses]  # read here: each would have waited for its step
        self.page.say(
            f"{name} fine-tuning, batch {batch}{', checkpointing' if checkpointing else ''}: "
            f"{clips / seconds:.1f} clips/s, {work / seconds / 1e12:.2f} TFLOP/s, "
            f"{work / seconds / self.peak:.0%} of the peak, {self.device.most() / 1e9:.1f} GB; "
            f"loss {np.mean(told[:3]):.3f} in the first three steps, {np.mean(told[-3:]):.3f} in "
            f"the last three of {len(told)}"
        )

    def _pool(self, batch: int) -> torch.Tensor:
        """Log-mels that every step hears again, from their beginning on: they can be learned."""
        frames = max(self.mix) // counted.HOP // 16 * 16
        return torch.randn(batch, frames, 128, device=self.device.device)

    def beats_fine_tuning(self) -> None:
        """As EAT's, where this nearfar can."""
        if not hasattr(self.beats, "projected"):
            self.page.say("BEATs fine-tuning: not run, this nearfar trains EAT alone")
            return
        self.fine_tuning(self.beats.projected(), "BEATs")

    def checkpoint(self) -> None:
        """What a training waits for, and what is written beside it."""
        state = counted.begun(self.device.device, False, fake=False, shape=self.eat.projected())
        copied, written, size = counted.checkpoint(state)
        self.page.say(
            f"checkpoint of EAT: {size / 1e9:.2f} GB; the training waits {copied:.2f} s, and it "
            f"is written beside it in {written:.2f} s; host memory "
            f"{counted.host_memory() / 1e9:.1f} GB"
        )

    def inference(self, kind: str, folder: Path) -> None:
        """Clips whole, in ten crops of one length, of the mix, and of a length each."""
        shape: Any = self.eat if kind == "eat" else self.beats
        embedder = counted.random_embedder(folder / kind, shape, self.precision)
        runtime = Runtime(device=self.device.device.type, batch_size=None)
        for name, frames in counted.hearings(self.passes, self.mix).items():
            mels = [np.random.default_rng(0).standard_normal((n, 128), np.float32) for n in frames]
            embedder.encode(mels, runtime)
            took, limit = [], time.monotonic() + self.part / 4
            while len(took) < 3 or (len(took) < 8 and time.monotonic() < limit):
                if took and self.left < 0:
                    break
                start = time.perf_counter()
                embedder.encode(mels, runtime)  # it ends with a copy to the host, and so waits
                took.append(time.perf_counter() - start)
            seconds = float(np.median(took))
            work = sum(counted.forward_flops(shape, n) for n in frames)
            self.page.say(
                f"{kind} inference, {name}: {len(frames) / seconds:.1f} log-mels/s, "
                f"{work / seconds / 1e12:.2f} TFLOP/s, {work / seconds / self.peak:.0%} of the "
                f"peak, {self.device.most() / 1e9:.1f} GB"
            )

    @contextmanager
    def _no_room(self) -> Iterator[list[bool]]:
        """Its list has something in it if memory ran out inside."""
        full: list[bool] = []
        try:
            yield full
        except (RuntimeError, MemoryError) as error:
            if not any(word in str(error) or isinstance(error, MemoryError) for word in NO_ROOM):
                raise
            full.append(True)
            traceback.clear_frames(error.__traceback__)  # they hold what filled the memory


def run() -> str:
    """The section of docs/benchmarks.md: measured where there is a GPU, or else counted."""
    head = "## EAT-large and BEATs-base on a GPU"
    if not torch.cuda.is_available():
        return "\n\n".join([head, "Not measured: there was none.", *counted.inference_lines()])
    torch.set_float32_matmul_precision("high")
    page = Page()
    Bench(Device(torch.device("cuda")), page).run()
    return "\n\n".join([head, "\n".join(f"- {line}" for line in page.lines)])
