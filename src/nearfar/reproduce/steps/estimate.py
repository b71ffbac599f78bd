"""What a run will take, before it begins: hours, memory, disk.

Time follows from one real step and one real pass where `timing` has tried them; where that would
take too long, from the products of the encoder and the speed of one large product on this device.
What is not the encoder's follows from figures of docs/benchmarks.md, taken on one core.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nearfar.embedder.contract import innermost
from nearfar.embedder.crops import Crops
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.architecture import MELS, PATCH, ROWS, Architecture, flops
from nearfar.embedder.eat.weights import file_size
from nearfar.embedding.chain import Chain
from nearfar.frontend import CoherenceMask
from nearfar.reproduce.data import Data
from nearfar.reproduce.steps.plan import Step
from nearfar.reproduce.steps.shared import members_of
from nearfar.training.settings import OF_LOSS, FineTuning

TRAINS, EMBEDS = 0.4, 0.6  # of the speed of a large product: what a training and a pass reach
READ, MASK, FEATURES = 0.35e-3, 0.65e-3, 0.55e-3  # s of one core for a second of a clip
STEREO = 6e-3  # s of one core for a second of a clip: every estimator
BANK, BANK_CLIPS = 1.5, 1000  # s a machine of so many clips: folds, whitening, distances
STEP = 8e-3  # s that a training's step takes besides its products
BYTE = 2e-9  # s that a byte takes to the disk, waited for
CHECKPOINT = 3  # times the encoder: weights and both moments
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
class ClipTime:
    """Seconds that one chain takes for a clip, measured.

    >>> ClipTime(prepare=0.02, encode=0.2, known=0.001).encode
    0.2
    """

    prepare: float  # of one core: to read it, hear it, prepare it; of one step, all of it
    encode: float  # where it is prepared already; 0 of an embedder of one step
    known: float  # where its row is in the cache


@dataclass(frozen=True)
class Timed:
    """What was measured here; what is missing is arithmetic's.

    >>> Timed().trained
    {}
    """

    trained: Mapping[Any, float] = field(default_factory=dict)  # s a clip and epoch
    heard: Mapping[Any, ClipTime] = field(default_factory=dict)
    fronts: Mapping[Any, float] = field(default_factory=dict)  # s a clip of one core: its log-mel
    byte: float = BYTE  # s that a byte takes to the disk of the run


def training_key(settings: FineTuning) -> Any:
    """Trainings for which this is equal take equally long for a clip and epoch."""
    usual = FineTuning()
    of_loss: dict[str, Any] = {name: getattr(usual, name) for name in OF_LOSS}
    return replace(settings, seed=0, epochs=1, **of_loss)


def chain_key(chain: Chain) -> Any:
    """Chains for which this is equal take equally long for a clip."""
    inner = innermost(chain.embedder)
    if isinstance(inner, EAT):
        return chain.preparation, inner.precision
    return chain


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
    checkpoint: float = 0.0  # bytes of one and the next, beside each other


def measure(device: str, precisions: Iterable[str]) -> Speed:
    """Time a large product on a device in some precisions; about a second."""
    import torch

    from nearfar.embedder.device import choose

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
    return Speed(device_name(device), found)


def device_name(device: str) -> str:
    """Of a device, as people and records name it.

    >>> device_name("cpu")
    'cpu'
    """
    import torch

    from nearfar.embedder.device import choose

    where = choose(device)
    return torch.cuda.get_device_name(where) if where.type == "cuda" else where.type


def estimate(
    steps: Sequence[Step], data: Data, shape: Architecture | None, training: FineTuning,
    speed: Speed, workers: int, shared: Collection[Any] = (), timed: Timed | None = None,
) -> Estimate:  # fmt: skip
    """What some steps will take.

    Args:
        steps: in their order.
        data: the clips.
        shape: of the published encoder, if one is needed.
        training: settings of all trainings.
        speed: of products.
        workers: processes.
        shared: preparations that are kept for the next encoder.
        timed: what was measured.
    """
    cost = Cost(data, shape, training, speed, max(1, workers), shared, timed or Timed())
    seconds = tuple(cost.seconds(step) for step in steps)
    trainings = [step for step in steps if step.kind == "train"]
    # A pass takes weights twice, and a batch that is small beside them.
    passing = 0.0 if shape is None else 2.0 * file_size(shape)
    memory = RESIDENT + (cost.training_memory() if trainings else passing)
    disk = cache = checkpoint = 0.0
    if shape is not None and trainings:
        trained = file_size(shape.projected())
        # A checkpoint has weights, both moments and the best so far; the next is written beside it.
        checkpoint = 8.0 * trained
        disk = trained * len(trainings) + checkpoint
        fronts = {step.encoder.frontend for step in trainings if step.encoder is not None}
        cache = len(fronts) * len(data.train) * data.seconds * FRAMES_A_SECOND * MELS * 4
    return Estimate(seconds, memory, disk, cache, speed, checkpoint)


@dataclass
class Cost:
    """Seconds of steps, one after the other: what an earlier one left is not done again.

    >>> from pathlib import Path
    >>> from nearfar.clips import Clips
    >>> none = Data(Path("dev"), Clips(), Clips(), None, None, "near-far", "", True)
    >>> Cost(none, None, FineTuning(), Speed("cpu", {"fp32": 1e11}), 1).training_memory()
    0.0
    """

    data: Data
    shape: Architecture | None
    training: FineTuning
    speed: Speed
    workers: int
    shared: Collection[Any] = ()
    timed: Timed = field(default_factory=Timed)

    def __post_init__(self) -> None:
        self._heard: set[Any] = set()  # front ends with log-mels, chains with rows: cached
        self._kept: set[Any] = set()  # shared preparations that an earlier step made

    def seconds(self, step: Step) -> float:
        """One step's; what an earlier one left in the cache costs nothing."""
        if step.kind == "train":
            return self._train(step)
        if step.kind == "stereo":
            return len(self.data.train) * self.data.seconds * STEREO / self.workers
        members, clips = members_of(step), len(self.data.train) + len(self.data.test)
        chains = tuple(dict.fromkeys(member.chain for member in members))
        each = sum(self._chain(chain) for chain in chains if chain not in self._heard)
        if not each:
            each = max(self.timed.heard.get(chain_key(c), _NOTHING).known for c in chains)
        self._heard.update(chains)
        # Folds, whitening and distances: about as the square of a machine's clips.
        bank = BANK * (len(self.data.train) / max(1, len(self.data.machines)) / BANK_CLIPS) ** 2
        return clips * each + bank * len(self.data.machines) * len(members)

    def _train(self, step: Step) -> float:
        s, clips, length = step.settings, len(self.data.train), self.data.seconds
        front = step.encoder and step.encoder.frontend
        once = self.timed.fronts.get(front, length * (READ + MASK)) * clips / self.workers
        once = 0.0 if ("mel", front) in self._heard else once
        self._heard.add(("mel", front))
        each = self.timed.trained.get(training_key(s)) or self.of_epoch(step)
        return once + clips * s.epochs * each + self.saving(s)

    def saving(self, settings: FineTuning) -> float:
        """What a training waits for the disk: its last checkpoint and its result.

        Those before are written beside it. Of low rank a checkpoint has next to nothing.
        """
        if self.shape is None:
            return 0.0
        more = (settings.choose == "held-out") + (settings.ema > 0)
        encoders = 1 + (0 if settings.lora else CHECKPOINT + more)
        return encoders * file_size(self.shape.projected()) * self.timed.byte

    def of_epoch(self, step: Step) -> float:
        """A clip's share of an epoch, by arithmetic."""
        s = step.settings
        reached = TRAINS * self.speed.products[_precision(s)]
        products = 3 * self._pass(CROP * self.data.seconds) / reached
        return (1 - s.held_out) * (products + STEP / s.batch_size)

    def _chain(self, chain: Chain) -> float:
        """A clip's, the first time that a chain hears it."""
        made = chain.preparation in self._kept
        self._kept |= {chain.preparation} & set(self.shared)
        timed = self.timed.heard.get(chain_key(chain))
        first, then = (timed.prepare, timed.encode) if timed else self._of_chain(chain)
        # On a CPU an encoder has all cores, and clips are prepared in its process.
        alone = chain.encodes and self.speed.device == "cpu"
        return (0.0 if made else first / (1 if alone else self.workers)) + then

    def of_pass(self, chain: Chain) -> float:
        """A clip's on one core, by arithmetic."""
        return sum(self._of_chain(chain))

    def _of_chain(self, chain: Chain) -> tuple[float, float]:
        """To prepare a clip, and to encode it."""
        part: Any = chain.embedder
        crops = part.n if isinstance(part, Crops) else 0
        part = part.embedder if isinstance(part, Crops) else part
        length = self.data.seconds
        each = READ + MASK * isinstance(chain.frontend, CoherenceMask)
        each += FEATURES * isinstance(part, DIF)
        own = length * each * max(1, crops)
        if not isinstance(part, EAT):
            return own, 0.0
        work = crops * self._pass(CROP * length) if crops else self._pass(length)
        return own, work / (EMBEDS * self.speed.products[part.precision])

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


_NOTHING = ClipTime(0.0, 0.0, 0.0)


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
