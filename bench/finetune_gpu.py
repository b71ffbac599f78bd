"""Full fine-tuning of EAT-large on a GPU: speed, share of the bf16 peak, memory, checkpoints.

python -m bench.finetune_gpu           # needs CUDA
python -m bench.finetune_gpu --dry     # counts EAT-large's step and memory; measures nothing

Random weights, random log-mels; the lengths are those of the report's machines (five of 10 s, one
of 11, one of 12), cropped to 60–100 % as training draws them. What is measured is the step
(forward, backward, AdamW in float32 under bf16 autocast) and a checkpoint, not reading clips.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import flop_registry

from nearfar.embedder.crops import crop
from nearfar.embedder.eat.architecture import Architecture, flops
from nearfar.embedder.eat.model import Encoder
from nearfar.sound.spectral import HOP
from nearfar.training.examples.examples import crop_places
from nearfar.training.learner.learner import Learner
from nearfar.training.learner.losses import ArcFace
from nearfar.training.loop.checkpoint import State, save, snapshot
from nearfar.training.loop.optimizer import adamw
from nearfar.training.settings import FineTuning

LARGE = Architecture(1024, 24, 16, 4096).projected()
MIX = (160_000,) * 5 + (176_000, 192_000)  # samples of a clip, one for each machine
CLASSES, STEPS, WARM = 42, 24, 4
EPOCH = 6_300  # clips: 1,000 of each of seven machines, a tenth held out
AIM = 0.4  # of the dense bf16 peak
# An H200's data sheet, for the floor: dense bf16, and what its memory moves.
PEAK, BANDWIDTH = 989e12, 4.8e12
LAUNCH = 5e-6  # s that a CPU needs to launch a kernel from Python; a round number

Lengths = list[tuple[int, int]]  # (clips, frames)


class Kernels(TorchDispatchMode):
    """Counts what is launched inside: operators but for views and allocations.

    An operator is one kernel or a few: what the count is good for is comparing passes.
    """

    IDLE = (
        "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach",
        "device", "_unsafe_view",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.count, self.flops, self.bytes, self.seconds = 0, 0, 0, 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not (func.is_view or func.overloadpacket.__name__ in self.IDLE):
            self._add(func.overloadpacket, args, kwargs, out)
        return out

    def _add(self, packet, args, kwargs, out) -> None:
        count = flop_registry.get(packet)
        work = count(*args, **kwargs, out_val=out) if count else 0
        tensors = [x for x in tree_flatten((args, kwargs, out))[0] if isinstance(x, torch.Tensor)]
        moved = sum(x.numel() * x.element_size() for x in tensors)
        self.count, self.flops, self.bytes = self.count + 1, self.flops + work, self.bytes + moved
        # No kernel is quicker than its products, or than the reading of its operands.
        self.seconds += max(work / PEAK, moved / BANDWIDTH)


class Labelled(ArcFace):
    """Without the look at its labels, which tensors without numbers do not survive."""

    def check(self, labels: torch.Tensor) -> None:
        pass


def drawn(batch: int, step: int, lengths: str = "batch") -> Lengths:
    """How long the clips of a step are."""
    rng = np.random.default_rng([batch, step])
    place = None if lengths == "clip" else float(crop_places(0, 0, STEPS)[step])
    cut = [crop(int(samples), 0.6, rng, place) for samples in rng.choice(MIX, batch)]
    counted = Counter((last - first) // HOP for first, last in cut)
    return [(clips, frames) for frames, clips in sorted(counted.items())]


def begun(device: torch.device, checkpointing: bool, fake: bool) -> State:
    """A training of EAT-large with random weights."""
    with device:
        encoder = Encoder(LARGE)
        sizes = LARGE.projection or (1, 1, 1)
        settings = FineTuning(precision="bf16", checkpointing=checkpointing)
        learner = Learner(encoder, Labelled(sizes[2], CLASSES, settings.margin, 30.0), True)
    encoder.checkpointing = checkpointing
    encoder.fixed_positional_encoder.positions.requires_grad_(False)
    with torch.no_grad():
        encoder.fixed_positional_encoder.positions.normal_(std=0.5)
        encoder.extra_tokens.normal_(std=0.02)
    optimizer = adamw(learner.train(), settings)
    if fake:  # as on a GPU; on a CPU it would be a loop over the parameters
        groups = [{**group, "fused": True} for group in optimizer.param_groups]
        optimizer = torch.optim.AdamW(groups, fused=True)
    return State(learner, optimizer)


def step(state: State, lengths: Lengths, device: torch.device) -> None:
    """One step of the optimizer."""
    mels = [torch.randn(clips, frames, 128, device=device) for clips, frames in lengths]
    order = torch.arange(sum(clips for clips, _ in lengths), device=device)
    state.optimizer.zero_grad(set_to_none=True)
    state.learner(mels, order, order % CLASSES)[0].backward()
    # Of all gradients together, as by itself on a GPU.
    torch.nn.utils.clip_grad_norm_(state.learner.parameters(), 1.0, foreach=True)
    state.optimizer.step()


def products(lengths: Lengths) -> int:
    """FLOPs of a step's products, forward and backward; checkpointing's second forward is none."""
    return sum(3 * clips * flops(LARGE, frames) for clips, frames in lengths)


@dataclass(frozen=True)
class Measured:
    """What a GPU took."""

    clips_per_s: float
    flops_per_s: float
    memory: float  # bytes


def measure(state: State, device: torch.device, batch: int) -> Measured:
    """Some steps of the mix."""
    torch.cuda.reset_peak_memory_stats(device)
    work = 0
    for number in range(STEPS):
        if number == WARM:
            torch.cuda.synchronize()
            start = time.perf_counter()
        lengths = drawn(batch, number)
        step(state, lengths, device)
        work += products(lengths) if number >= WARM else 0
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated(device)
    return Measured(batch * (STEPS - WARM) / seconds, work / seconds, memory)


def checkpoint(state: State) -> tuple[float, float, float]:
    """Seconds that a training waits for the copy, seconds of writing beside it, bytes."""
    run = {"training": FineTuning().to_data()}
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder, "a.checkpoint.safetensors"), time.perf_counter()
        taken = snapshot(state, run)
        copied = time.perf_counter()
        save(path, taken)
        return copied - start, time.perf_counter() - copied, path.stat().st_size


def peak(device: torch.device, size: int = 8192) -> float:
    """FLOP/s of a bf16 product of two square matrices, the best of some."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(12):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def host_memory() -> float:
    """The most that this process had, bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def on_gpu() -> None:
    device = torch.device("cuda")
    torch.set_float32_matmul_precision("high")
    most = peak(device)
    print(f"{torch.cuda.get_device_name(device)}; PyTorch {torch.__version__}; "
          f"bf16 product 8192³: {most / 1e12:.0f} TFLOP/s")  # fmt: skip
    print("| batch | checkpointing | clips/s | TFLOP/s | of the peak | memory, GB |")
    print("|--:|---|--:|--:|--:|--:|")
    for batch in (32, 64):
        for checkpointing in (False, True):
            state = begun(device, checkpointing, fake=False)
            found = measure(state, device, batch)
            print(
                f"| {batch} | {'yes' if checkpointing else 'no'} | {found.clips_per_s:.1f} | "
                f"{found.flops_per_s / 1e12:.1f} | {100 * found.flops_per_s / most:.0f}% | "
                f"{found.memory / 1e9:.1f} |"
            )
    copied, written, size = checkpoint(state)
    print(f"checkpoint: {size / 1e9:.1f} GB; the training waits {copied:.1f} s, and it is written "
          f"beside it in {written:.1f} s; host memory {host_memory() / 1e9:.1f} GB")  # fmt: skip
    print(f"Aim: {100 * AIM:.0f} % of the peak; checkpointing's second forward is not counted.")


def held(state: State) -> float:
    """Bytes of weights, gradients and moments."""
    return float(
        sum((4 if x.requires_grad else 1) * 4 * x.numel() for x in state.learner.parameters())
    )


def saved(state: State, lengths: Lengths) -> float:
    """Bytes that a forward pass keeps for the backward one, weights apart, each storage once."""
    own = {x.untyped_storage()._cdata for x in state.learner.parameters()}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage  # held, or its number would be given again
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        mels = [torch.randn(clips, frames, 128) for clips, frames in lengths]
        order = torch.arange(sum(clips for clips, _ in lengths))
        state.learner(mels, order, order % CLASSES)
    return float(sum(storage.nbytes() for storage in found.values()))


def memory() -> None:
    """What must lie on the device, for clips of 10 s heard whole: the longest of their crops."""
    device, frames = torch.device("cpu"), 992
    print("| clips at a time | memory, bf16, GB | with training.checkpointing=True |")
    print("|--:|--:|--:|")
    with FakeTensorMode():
        states = [begun(device, checkpointing, fake=True) for checkpointing in (False, True)]
        for clips in (16, 32, 64):
            plain, thin = (saved(state, [(clips, frames)]) for state in states)
            # One block at a time is computed again, with all that it keeps.
            totals = [held(states[0]) + plain, held(states[1]) + thin + plain / LARGE.depth]
            print(f"| {clips} | " + " | ".join(f"{x / 1e9:.0f}" for x in totals) + " |")
        print(
            f"weights, gradients, moments: {held(states[0]) / 1e9:.1f} GB; a clip: "
            f"{plain / clips / 1e9:.2f} GB, or {thin / clips / 1e9:.2f} with checkpointing"
        )
        taken = snapshot(states[0], {})
        size = sum(x.numel() * x.element_size() for x in taken.tensors.values())
        print(f"checkpoint: {size / 1e9:.1f} GB, result {size / 3e9:.1f} GB")
        print(f"log-mel of a clip of 10 s: {4 * 128 * 1008 / 1e6:.2f} MB, "
              f"{7_000 * 4 * 128 * 1008 / 1e9:.1f} GB for 7,000")  # fmt: skip


def dry() -> None:
    """Counted on tensors without numbers, as on a CPU: a GPU's operators differ in some."""
    print("counted, not measured; EAT-large, batch of 32, bf16, a step with AdamW")
    print("| lengths | how many | mean | kernels | PFLOP | GB moved | floor, s | launches, s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    device = torch.device("cpu")
    cases = {
        "one": [(32, 832)],
        "drawn for the batch": drawn(32, 1),
        "drawn for each clip": drawn(32, 1, "clip"),
    }
    floors, work = {}, {}
    with FakeTensorMode():
        for name, lengths in cases.items():
            state = begun(device, False, fake=True)
            step(state, lengths, device)  # the first one makes the moments
            with Kernels() as found:
                step(state, lengths, device)
            floors[name], work[name] = found.seconds, found.flops
            mean = sum(clips * frames for clips, frames in lengths) / 32
            print(
                f"| {name} | {len(lengths)} | {mean:.0f} | {found.count:,} | "
                f"{found.flops / 1e15:.3f} | {found.bytes / 1e9:.0f} | {found.seconds:.3f} | "
                f"{found.count * LAUNCH:.3f} |"
            )
    print(
        f"floor: each kernel at {PEAK / 1e12:.0f} TFLOP/s and {BANDWIDTH / 1e12:.1f} TB/s, every "
        f"operand read from memory; launches: {1e6 * LAUNCH:.0f} µs each, beside it."
    )
    memory()
    epoch = EPOCH / 32 * floors["one"]
    print(
        f"one length of 832 frames: at most {32 / floors['one']:.0f} clips/s, {epoch:.1f} s an "
        f"epoch of {EPOCH:,} clips, {20 * epoch / 60:.1f} min for 20, "
        f"{80 * epoch / 60:.0f} min for four seeds; {EPOCH / 32 * work['one'] / 1e15:.1f} PFLOP "
        "an epoch"
    )


def main() -> None:
    if "--dry" in sys.argv:
        dry()
    elif torch.cuda.is_available():
        on_gpu()
    else:
        print("not run: no CUDA device here (--dry counts without one)")


if __name__ == "__main__":
    main()
