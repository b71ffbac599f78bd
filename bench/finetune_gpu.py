"""Full fine-tuning of EAT-large on a GPU: clips/s, memory, share of the dense bf16 peak.

python -m bench.finetune_gpu           # needs CUDA; some five minutes
python -m bench.finetune_gpu --dry     # the same code with a tiny encoder on the CPU, no figures

Random weights, random log-mels of 1,024 frames: what is measured is the step (forward, backward,
AdamW in float32 under bf16 autocast), not reading clips. Nothing depends on it.
"""

from __future__ import annotations

import sys
import time

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nearfar.embedder.eat.architecture import Architecture, flops
from nearfar.embedder.eat.model import Encoder
from nearfar.training.learner.learner import Learner
from nearfar.training.learner.losses import ArcFace
from nearfar.training.loop.optimizer import adamw
from nearfar.training.settings import FineTuning

LARGE = Architecture(1024, 24, 16, 4096).projected()
TINY = Architecture(64, 2, 4, 256).projected()
FRAMES, CLASSES, STEPS, WARM = 1024, 77, 12, 4
AIM = 0.45  # of the dense bf16 peak


class Kernels(TorchDispatchMode):
    """Counts what is launched inside: operators but for views and allocations.

    An operator is one kernel or a few; on meta or CPU tensors the count is of operators, and what
    it is good for is comparing passes with one another.
    """

    IDLE = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count += not (func.is_view or name in self.IDLE)
        return func(*args, **(kwargs or {}))


def peak(device: torch.device, size: int) -> float:
    """FLOP/s of a bf16 product of two square matrices, the best of some."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(12):
        wait(device)
        start = time.perf_counter()
        a @ a
        wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    shape: Architecture, device: torch.device, batch: int, checkpointing: bool
) -> tuple[float, float]:
    """Clips/s and peak memory, GB."""
    torch.manual_seed(0)
    encoder = Encoder(shape)
    encoder.checkpointing = checkpointing
    with torch.no_grad():
        encoder.fixed_positional_encoder.positions.normal_(std=0.5)
        encoder.extra_tokens.normal_(std=0.02)
    settings = FineTuning(precision="bf16", checkpointing=checkpointing)
    sizes = shape.projection or (1, 1, 1)
    learner = Learner(encoder, ArcFace(sizes[2], CLASSES, settings.margin, settings.scale), True)
    learner.to(device).train()
    optimizer = adamw(learner, settings)
    mel = torch.randn(batch, FRAMES, 128, device=device)
    labels = torch.arange(batch, device=device) % CLASSES
    order = torch.arange(batch, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for step in range(STEPS):
        if step == WARM:
            wait(device)
            start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        learner([mel], order, labels)[0].backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
    wait(device)
    seconds = (time.perf_counter() - start) / (STEPS - WARM)
    used = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else float("nan")
    return batch / seconds, used


def main() -> None:
    dry = "--dry" in sys.argv
    if not dry and not torch.cuda.is_available():
        print("not run: no CUDA device here (--dry runs the code without one)")
        return
    device = torch.device("cpu" if dry else "cuda")
    shape, batches, size = (TINY, (4,), 256) if dry else (LARGE, (32, 64), 8192)
    name = "dry run, no figures" if dry else torch.cuda.get_device_name(device)
    most = peak(device, size)
    print(f"{name}; PyTorch {torch.__version__}; bf16 product {size}³: {most / 1e12:.0f} TFLOP/s")
    print(f"{shape.name}, {3 * flops(shape, FRAMES) / 1e12:.3f} TFLOP a clip and step")
    print("| batch | checkpointing | clips/s | TFLOP/s | of the peak | memory, GB |")
    print("|--:|---|--:|--:|--:|--:|")
    for batch in batches:
        for checkpointing in (False, True):
            speed, memory = measure(shape, device, batch, checkpointing)
            rate = speed * 3 * flops(shape, FRAMES)  # forward and backward
            print(
                f"| {batch} | {'yes' if checkpointing else 'no'} | {speed:.1f} | "
                f"{rate / 1e12:.1f} | {100 * rate / most:.0f}% | {memory:.1f} |"
            )
    if not dry:
        print(f"Aim: {100 * AIM:.0f} % of the peak; checkpointing's second forward is not counted.")


if __name__ == "__main__":
    main()
