"""What a run will take, before it begins: hours, memory, disk. Arithmetic, not a measurement.

Time follows from the products of the encoder and the speed of one large product on this device;
what is not the encoder's follows from figures of docs/benchmarks.md, taken on one core.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.embedder.crops import Crops
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.architecture import MELS, PATCH, ROWS, Architecture, flops
from nearfar.embedder.eat.weights import file_size
from nearfar.frontend import CoherenceMask
from nearfar.reproduce.data import Data
from nearfar.reproduce.steps.plan import Step
from nearfar.system.system import System
from nearfar.training.settings import FineTuning

TRAINS, EMBEDS = 0.4, 0.6  # of the speed of a large product: what a training and a pass reach
READ, MASK, FEATURES = 0.35e-3, 0.65e-3, 0.55e-3  # s of one core for a second of a clip
STEREO = 12e-3  # s of one core for a second of a clip: every estimator
BANK = 1.5  # s a machine: folds, whitening, distances
STEP = 8e-3  # s that a training's step takes besides its products
FRAMES_A_SECOND = 100
CROP = 0.8  # of a clip, the mean of 60 to 100 %
ACTIVATIONS = {"bf16": 36.0, "fp32": 72.0}  # bytes a token, dimension and layer: docs/training.md
CHECKPOINTED = 0.15  # of those, with gradient checkpointing
RESIDENT = 2.5e9  # bytes: the program, its libraries, banks


@dataclass(frozen=True)
class Speed:
    """Large products of a device, FLOP/s, by precision.

    >>> Speed("cpu", {"fp32": 1e11}).products["fp32"] / 1e9  # GFLOP/s
    100.0
    """

    device: str
    products: Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """What steps will take.

    >>> told = Estimate((60.0, 120.0), 2.5e9, 0.0, 0.0, Speed("cpu", {}))
    >>> span(sum(told.seconds)), size(told.memory)
    ('3 min', '2.5 GB')
    """

    seconds: tuple[float, ...]  # of each step, in their order
    memory: float  # bytes, of the device if it has its own
    disk: float  # bytes in the run's folder, with room for one checkpoint
    cache: float  # bytes of log-mels in the cache folder
    speed: Speed


def measure(device: str, precisions: Iterable[str]) -> Speed:
    """Time a large product on a device in some precisions; about a second."""
    import torch

    from nearfar.embedder.eat.device import choose

    where, found = choose(device), {}
    size = 2048 if where.type == "cpu" else 8192
    for precision in sorted(set(precisions)):
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        a = torch.randn(size, size, device=where, dtype=dtype)
        best = math.inf
        for _ in range(4):
            start = time.perf_counter()
            float((a @ a)[0, 0])  # waits for the device
            best = min(best, time.perf_counter() - start)
        found[precision] = 2 * size**3 / best
    return Speed(torch.cuda.get_device_name(where) if where.type == "cuda" else where.type, found)


def estimate(
    steps: Sequence[Step], data: Data, shape: Architecture | None, training: FineTuning,
    speed: Speed, workers: int,
) -> Estimate:  # fmt: skip
    """What some steps will take; `shape` is of the published encoder, if one is needed."""
    cost = _Cost(data, shape, training, speed, max(1, workers))
    seconds = tuple(cost.seconds(step) for step in steps)
    trainings = [step for step in steps if step.kind == "train"]
    # A pass takes weights twice, and a batch that is small beside them.
    passing = 0.0 if shape is None else 2.0 * file_size(shape)
    memory = RESIDENT + (cost.training_memory() if trainings else passing)
    disk = cache = 0.0
    if shape is not None and trainings:
        trained = file_size(shape.projected())
        # A checkpoint has weights, both moments and the best so far; the next is written beside it.
        disk = trained * len(trainings) + 8 * trained
        fronts = {step.encoder.frontend for step in trainings if step.encoder is not None}
        cache = len(fronts) * len(data.train) * data.seconds * FRAMES_A_SECOND * MELS * 4
    return Estimate(seconds, memory, disk, cache, speed)


@dataclass
class _Cost:
    data: Data
    shape: Architecture | None
    training: FineTuning
    speed: Speed
    workers: int

    def __post_init__(self) -> None:
        self._heard: set[Any] = set()  # front ends with log-mels, chains with rows: cached

    def seconds(self, step: Step) -> float:
        """One step's; what an earlier one left in the cache costs nothing."""
        if step.kind == "train":
            return self._train(step)
        if step.kind == "stereo":
            return len(self.data.train) * self.data.seconds * STEREO / self.workers
        names = [need.key for need in step.needs]
        system: Any = step.system("published", names)
        rows = sum(self._rows(member) for member in system.members)
        return rows + BANK * len(self.data.machines) * len(system.members)

    def _train(self, step: Step) -> float:
        s, clips, length = step.settings, len(self.data.train), self.data.seconds
        front = ("mel", step.encoder and step.encoder.frontend)
        once = 0.0 if front in self._heard else clips * length * (READ + MASK) / self.workers
        self._heard.add(front)
        heard = clips * (1 - s.held_out) * s.epochs
        reached = TRAINS * self.speed.products[_precision(s)]
        products = 3 * heard * self._pass(CROP * length) / reached
        return once + products + STEP * heard / s.batch_size

    def _rows(self, member: System) -> float:
        if member.chain in self._heard:
            return 0.0
        self._heard.add(member.chain)
        part: Any = member.embedder
        crops = part.n if isinstance(part, Crops) else 0
        part = part.embedder if isinstance(part, Crops) else part
        clips, length = len(self.data.train) + len(self.data.test), self.data.seconds
        each = READ + MASK * isinstance(member.frontend, CoherenceMask)
        each += FEATURES * isinstance(part, DIF)
        own = clips * length * each * max(1, crops) / self.workers
        if not isinstance(part, EAT):
            return own
        work = crops * self._pass(CROP * length) if crops else self._pass(length)
        return own + clips * work / (EMBEDS * self.speed.products[part.precision])

    def _pass(self, seconds: float) -> float:
        frames = max(PATCH, round(seconds * FRAMES_A_SECOND))
        return 0.0 if self.shape is None else flops(self.shape, frames)

    def training_memory(self) -> float:
        """Bytes: weights, gradients, moments, activations."""
        if self.shape is None:
            return 0.0
        s, tokens = self.training, self.data.seconds * FRAMES_A_SECOND / PATCH * ROWS
        clips = min(s.batch_size, len(self.data.train)) / s.accumulation
        each = ACTIVATIONS[_precision(s)] * tokens * self.shape.dim * self.shape.depth
        kept = CHECKPOINTED if s.checkpointing else 1.0
        return 4.0 * file_size(self.shape.projected()) + clips * each * kept


def _precision(settings: FineTuning) -> str:
    """Of the products; a run has said what "auto" is before it is priced."""
    return "bf16" if settings.precision == "bf16" else "fp32"


def span(seconds: float) -> str:
    """A time for people.

    >>> [span(x) for x in (4, 100, 5000, 400_000)]
    ['4 s', '2 min', '1.4 h', '4.6 days']
    """
    for unit, size, digits in (("s", 60, 0), ("min", 60, 0), ("h", 48, 1)):
        if seconds < size:
            return f"{seconds:.{digits}f} {unit}"
        seconds /= 60 if unit != "h" else 24
    return f"{seconds:.1f} days"


def size(count: float) -> str:
    """Bytes for people.

    >>> [size(x) for x in (3.2e6, 3.61e9, 3.61e11)]
    ['3 MB', '3.6 GB', '361 GB']
    """
    if count < 1e9:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.1f} GB" if count < 1e11 else f"{count / 1e9:.0f} GB"
