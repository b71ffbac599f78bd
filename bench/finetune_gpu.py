"""EAT-large and BEATs on a GPU, fine-tuning and inference: speed, share of the peak, memory.

python -m bench.finetune_gpu [FILE]      # needs CUDA, some seven minutes; lines go to FILE too
python -m bench.finetune_gpu --dry       # counts kernels, FLOPs, bytes; measures nothing

Random weights, random log-mels; the lengths are those of the report's machines (five of 10 s, one
of 11, one of 12), cropped to 60–100 % as training draws them. What is measured is the step
(forward, backward, AdamW in float32 under bf16 autocast), encoding, and a checkpoint, not reading
clips. What is counted is here, what is measured in `bench.gpu`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import flop_registry

from bench import beats, eat
from nearfar.embedder.beats import BEATs
from nearfar.embedder.beats.architecture import BeatsArchitecture
from nearfar.embedder.crops import Crops, crop
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.architecture import Architecture, flops
from nearfar.embedder.encoders import KINDS
from nearfar.embedder.infer import ACCELERATED, FULL, divided, fitting
from nearfar.embedder.logmel import LogMel
from nearfar.embedder.ragged import mean
from nearfar.sound.spectral import HOP
from nearfar.training.examples.examples import crop_places
from nearfar.training.learner.learner import Learner
from nearfar.training.learner.losses import ArcFace
from nearfar.training.loop.checkpoint import State, save, snapshot
from nearfar.training.loop.optimizer import adamw
from nearfar.training.settings import FineTuning

LARGE = Architecture(1024, 24, 16, 4096).projected()
MIX = (160_000,) * 5 + (176_000, 192_000)  # samples of a clip, one for each machine
CLASSES, STEPS = 42, 24
HEARD = 64  # clips that are encoded together
EPOCH = 6_300  # clips: 1,000 of each of seven machines, a tenth held out
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


def drawn(batch: int, step: int, lengths: str = "batch", mix: Sequence[int] = MIX) -> Lengths:
    """How long the clips of a step are."""
    rng = np.random.default_rng([batch, step])
    place = None if lengths == "clip" else float(crop_places(0, 0, STEPS)[step % STEPS])
    cut = [crop(int(samples), 0.6, rng, place) for samples in rng.choice(mix, batch)]
    counted = Counter((last - first) // HOP for first, last in cut)
    return [(clips, frames) for frames, clips in sorted(counted.items())]


def begun(
    device: torch.device,
    checkpointing: bool,
    fake: bool,
    shape: Any = LARGE,
    bf16: bool = True,
) -> State:
    """A training with random weights of an encoder with a head."""
    with device:
        encoder = encoder_of(shape)
        settings = FineTuning(precision="bf16", checkpointing=checkpointing)
        loss = Labelled(shape.projection[2], CLASSES, settings.margin, 30.0)
        learner = Learner(encoder, loss, bf16)
    encoder.checkpointing = checkpointing
    optimizer = adamw(learner.train(), settings)
    if fake:  # as on a GPU; on a CPU it would be a loop over the parameters
        groups = [{**group, "fused": True} for group in optimizer.param_groups]
        optimizer = torch.optim.AdamW(groups, fused=True)
    return State(learner, optimizer)


def encoder_of(shape: Any) -> Any:
    """An encoder as a module, with random weights on the device that is asked for around it."""
    module = KINDS[shape.kind].module("model")
    encoder = (module.Encoder if shape.kind == "eat" else module.BeatsEncoder)(shape)
    with torch.no_grad():
        if shape.kind == "eat":
            encoder.fixed_positional_encoder.positions.normal_(std=0.5).requires_grad_(False)
            encoder.extra_tokens.normal_(std=0.02)
            return encoder
        # What torch does not draw by itself.
        for name, parameter in encoder.named_parameters():
            if name.endswith(("weight_v", "weight_g", "grep_a", "pos_conv.0.bias")):
                parameter.normal_(std=0.02)
        encoder.encoder.pos_conv[0].weight_g.add_(1)
    return encoder


def step(
    state: State, lengths: Lengths, device: torch.device, pool: torch.Tensor | None = None
) -> torch.Tensor:
    """One step of the optimizer; the loss before it, still on the device.

    Log-mels are the beginnings of the pool's, (clips, frames, 128), or new noise.
    """
    if pool is None:
        mels = [torch.randn(clips, frames, 128, device=device) for clips, frames in lengths]
    else:
        parts = torch.split(pool, [clips for clips, _ in lengths])
        mels = [part[:, :frames] for part, (_, frames) in zip(parts, lengths, strict=True)]
    order = torch.arange(sum(clips for clips, _ in lengths), device=device)
    state.optimizer.zero_grad(set_to_none=True)
    loss: torch.Tensor = state.learner(mels, order, order % CLASSES)[0]
    loss.backward()
    # Of all gradients together, as by itself on a GPU.
    nn.utils.clip_grad_norm_(state.learner.parameters(), 1.0, foreach=True)
    state.optimizer.step()
    return loss.detach()


def forward_flops(shape: Any, frames: int) -> int:
    """FLOPs of a clip's products in a pass of an encoder."""
    return flops(shape, frames) if shape.kind == "eat" else beats.flops(shape, frames)


def products(lengths: Lengths, shape: Any = LARGE) -> int:
    """FLOPs of a step's products, forward and backward; checkpointing's second forward is none."""
    return sum(3 * clips * forward_flops(shape, frames) for clips, frames in lengths)


def hearings(clips: int, mix: Sequence[int] = MIX) -> dict[str, list[int]]:
    """What is encoded together, in words → frames of each log-mel."""
    several = [mix[i % len(mix)] for i in range(clips // 4)]
    shortest, longest = int(0.9 * min(mix)), max(mix)
    each = [int(n) for n in np.linspace(shortest, longest, clips // 4)]
    return {
        f"{clips} clips of one length, whole": [min(mix) // HOP // 16 * 16] * clips,
        f"ten crops of {clips // 4} clips of one length": crops([min(mix)] * (clips // 4)),
        f"ten crops of {clips // 4} of the mix of lengths": crops(several),
        f"ten crops of {clips // 4}, each of its own length": crops(each),
    }


def crops(samples: Sequence[int]) -> list[int]:
    """Frames of ten crops of each clip."""
    cut = Crops(LogMel())
    return [(last - first) // HOP // 16 * 16 for n in samples for first, last in cut.places(n)]


def random_embedder(folder: Path, shape: Any, precision: Any) -> Any:
    """An encoder behind the public path, its weights random and in a folder."""
    if shape.kind == "eat":
        eat.write_weights(folder, shape)
        return EAT(str(folder), precision=precision)
    beats.write_weights(folder, shape)
    return BEATs(str(folder), precision=precision)


def checkpoint(state: State) -> tuple[float, float, float]:
    """Seconds that a training waits for the copy, seconds of writing beside it, bytes."""
    run = {"training": FineTuning().to_data()}
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder, "a.checkpoint.safetensors"), time.perf_counter()
        taken = snapshot(state, run)
        copied = time.perf_counter()
        save(path, taken)
        return copied - start, time.perf_counter() - copied, path.stat().st_size


def host_memory() -> float:
    """The most that this process had, bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


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
    print()
    print("| clips at a time | memory, bf16, GB | with training.checkpointing=True |")
    print("|--:|--:|--:|")
    with FakeTensorMode():
        states = [begun(device, thin, fake=True, shape=LARGE) for thin in (False, True)]
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
    one = dry_steps("EAT-large", LARGE)
    print(
        f"floor: each kernel at {PEAK / 1e12:.0f} TFLOP/s and {BANDWIDTH / 1e12:.1f} TB/s, every "
        f"operand read from memory; launches: {1e6 * LAUNCH:.0f} µs each, beside it."
    )
    memory()
    epoch = EPOCH / 32 * one.seconds
    print(
        f"one length of 832 frames: at most {32 / one.seconds:.0f} clips/s, {epoch:.1f} s an "
        f"epoch of {EPOCH:,} clips, {20 * epoch / 60:.1f} min for 20, "
        f"{80 * epoch / 60:.0f} min for four seeds; {EPOCH / 32 * one.flops / 1e15:.1f} PFLOP "
        "an epoch"
    )
    base: Any = BeatsArchitecture()
    if hasattr(base, "projected"):  # where nearfar trains it
        print()
        dry_steps("BEATs-base", base.projected())
    print("", *inference_lines(), sep="\n\n")


def dry_steps(name: str, shape: Any) -> Kernels:
    """The table of a training's steps; what one of clips of one length launches."""
    print(f"counted, not measured; {name}, batch of 32, bf16, a step with AdamW", flush=True)
    print("| lengths | how many | mean | kernels | PFLOP | GB moved | floor, s | launches, s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    cases = {
        "one": [(32, 832)],
        "drawn for the batch": drawn(32, 1),
        "drawn for each clip": drawn(32, 1, "clip"),
    }
    steps = []
    for case, lengths in cases.items():
        found = counted_step(lengths, shape)
        steps.append(found)
        frames = sum(clips * frames for clips, frames in lengths) / 32
        print(
            f"| {case} | {len(lengths)} | {frames:.0f} | {found.count:,} | "
            f"{found.flops / 1e15:.3f} | {found.bytes / 1e9:.0f} | {found.seconds:.3f} | "
            f"{found.count * LAUNCH:.3f} |",
            flush=True,
        )
    return steps[0]


def counted_step(lengths: Lengths, shape: Any) -> Kernels:
    """What a step of a training launches."""
    device = torch.device("cpu")
    with FakeTensorMode():
        state = begun(device, False, fake=True, shape=shape)
        step(state, lengths, device)  # the first one makes the moments
        with Kernels() as found:
            step(state, lengths, device)
    return found


def inference_lines() -> list[str]:
    """What encoding launches, a paragraph and a table: a pass for each length, and as it is now."""
    rows = []
    for name, shape in (("EAT-large", eat.LARGE), ("BEATs-base", BeatsArchitecture())):
        for what, frames in hearings(HEARD).items():
            apart, together = (counted_passes(shape, frames, full) for full in (0, FULL))
            rows.append(
                f"| {name} | {what} | {len(set(frames))} | {apart.count:,} | {together.count:,} | "
                f"{together.flops / 1e12:.1f} | {together.bytes / 1e9:.0f} | "
                f"{together.seconds:.3f} | {together.count * LAUNCH:.3f} |"
            )
    return [
        "Counted, not measured, on tensors without numbers: encoding in bf16, had each length a "
        f"pass of its own, and as it is. Floor: {PEAK / 1e12:.0f} TFLOP/s and "
        f"{BANDWIDTH / 1e12:.1f} TB/s, an H200's, every operand read from memory; a launch "
        f"{1e6 * LAUNCH:.0f} µs, beside it.",
        "| encoder | heard | lengths | kernels, a pass a length | kernels | TFLOP | GB moved | "
        "floor, s | launches, s |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n" + "\n".join(rows),
    ]


def made_in(dtype: torch.dtype, shape: Any) -> Any:
    """An encoder of this kind of numbers: one without any cannot be converted later."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return encoder_of(shape)
    finally:
        torch.set_default_dtype(before)


def counted_passes(shape: Any, frames: Sequence[int], full: int) -> Kernels:
    """What an accelerator launches to encode log-mels of so many frames each."""
    joined = KINDS[shape.kind].module("ragged").together
    with FakeTensorMode(), torch.no_grad():  # inference mode hides the products in a layer
        encoder = made_in(torch.bfloat16, shape).eval()
        if shape.kind == "beats":  # normed once, when it is loaded
            encoder.encoder.pos_conv[0].weight = encoder.encoder.pos_conv[0].normed()
        with Kernels() as found:
            for places, _ in divided(frames, partial(fitting, ACCELERATED), full):
                some = [frames[i] for i in places]
                if len(set(some)) == 1:
                    mean(encoder(torch.empty(len(some), some[0], 128), None).float())
                else:
                    row, where = joined(encoder, [torch.empty(n, 128) for n in some], None)
                    mean(where.table(row).float(), where)
    return found


def main() -> None:
    if "--dry" in sys.argv:
        dry()
    elif torch.cuda.is_available():
        from bench.gpu import Bench, Device, Page

        torch.set_float32_matmul_precision("high")
        files = [Path(name) for name in sys.argv[1:2]]
        sys.exit(1 if Bench(Device(torch.device("cuda")), Page(*files)).run() else 0)
    else:
        print("not run: no CUDA device here (--dry counts without one)")


if __name__ == "__main__":
    main()
