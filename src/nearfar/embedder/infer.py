"""Log-mels in, one row a clip out: batches on one device, in one precision.

Clips of one length share a batch. On an accelerator those whose length alone would fill none share
one with others (`nearfar.embedder.ragged`): it would wait for the launch of small kernels.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nearfar.embedder.device import choose
from nearfar.embedder.encoders import KINDS
from nearfar.embedder.ragged import mean, projected
from nearfar.embedder.weights import Shaped, Weights
from nearfar.errors import SettingError, warn
from nearfar.runtime.threads import has_openmp, unhelped

Float32 = NDArray[np.float32]
Precision = Literal["fp32", "bf16"]
# (batch, tokens, dim) → (batch, dim); of clips of several lengths it is given their `Ragged` too.
Head = Callable[..., Tensor]
Batch = tuple[list[int], int]  # places of clips, and how many a pass has, with those that fill it

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Tokens at a time; a clip of 10 s has 513. A CPU is as quick with one such clip in fp32 as with
# many, and nearly so with two in bf16.
TOKENS = {"fp32": 513, "bf16": 1_026}
ACCELERATED = 32_832  # 64 such clips
# Tokens of one length from which on it has passes of its own on an accelerator, 8 such clips: a
# layer's products then take longer than their launch.
FULL = 4_104
MANY = 1 << 30  # tokens; no bound
# Parameters up to which a CPU's cores take a batch each, and not a part of one: matrices of dim 64
# are done sooner than threads that share them have met. EAT-base has 88 million.
SMALL = 1 << 20

POOLING: dict[str, Head] = {
    "mean": lambda tokens, places=None: mean(tokens, places, first=1),
    "cls": lambda tokens, places=None: tokens[:, 0],
    "mean_all": mean,
}


class Engine:
    """One encoder on one device, ready to be called.

    Args:
        weights: opened and checked.
        precision: of weights and activations.
        device: its name, "auto" among them.

    Raises:
        SettingError: the device is not here.
        WeightsError: a file that changed since it was opened.

    A file of zeros, small enough for an example:

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from nearfar.embedder.eat.architecture import Architecture
    >>> from nearfar.embedder.tensorfile import header_bytes
    >>> from nearfar.embedder.eat.weights import open_weights
    >>> small = Architecture(dim=8, depth=1, heads=2, hidden=16, columns=4)
    >>> with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    ...     file = Path(folder, "small.safetensors")
    ...     head = header_bytes(small.shapes(), "F32", {"config": json.dumps(small.config())})
    ...     _ = file.write_bytes(head + bytes(4 * small.parameters))
    ...     engine_ = Engine(open_weights(file), "fp32", "cpu")
    ...     engine_([np.zeros((32, 128), np.float32)], POOLING["mean"], None, None).shape
    (1, 8)
    """

    def __init__(self, weights: Weights[Shaped], precision: Precision, device: str) -> None:
        self.device, self.precision = choose(device), precision
        # One number, and none for each length: of those there may be hundreds.
        self._room = MANY  # tokens of a pass that memory had room for
        self._accelerated = self.device.type != "cpu"
        small = weights.architecture.parameters <= SMALL
        self._apart = small and not self._accelerated  # has each core a batch of its own?
        kind = KINDS[weights.architecture.kind]
        self._together = kind.module("ragged").together
        encoder = self._whole = kind.module("model").load(weights, DTYPES[precision])
        self.encoder: Callable[[Tensor, int | None], Tensor]
        if precision == "bf16" and self.device.type == "cpu":
            self.encoder = kind.module("fast").packed(encoder)
        else:
            try:
                self.encoder = encoder.to(self.device)
            except (RuntimeError, MemoryError) as error:
                if not _no_memory(error):
                    raise
                raise SettingError(
                    f"{self.device}: no memory for the encoder; free some, or take --device cpu"
                ) from None

    @property
    def project(self) -> Head:
        """The embedding that the weights were trained for."""
        whole: Any = self._whole
        return lambda x, places=None: (
            whole.project(x) if places is None else projected(whole, x, places)
        )

    def __call__(
        self, mels: Sequence[Float32], head: Head, layer: int | None, batch: int | None
    ) -> Float32:
        """What a head makes of the tokens of each clip.

        Args:
            mels: (frames, 128) each; on a CPU clips of one length share a batch.
            head: (batch, tokens, dim) float32 → (batch, …).
            layer: behind which block; None is the last.
            batch: clips at a time; None leaves it to the device.

        Returns:
            (clips, …) float32, in order.

        Raises:
            SettingError: not even one clip fits into the device's memory.
        """
        return np.stack(self.each(mels, head, layer, batch))

    def each(
        self, mels: Sequence[Float32], head: Head, layer: int | None, batch: int | None
    ) -> list[Float32]:
        """As `self(…)`, each clip's by itself: what a head makes of all tokens has their length.

        Among clips of other lengths it may be longer: what is behind a clip's tokens is no number
        of it.
        """
        if not len(mels):
            raise SettingError("no clips to encode; give at least one")
        full = FULL if self._accelerated else 0
        batches = divided([len(mel) for mel in mels], lambda n: self._size(n, batch), full)

        def encode(some: list[int], size: int) -> Float32:
            return self._padded([mels[i] for i in some], size, head, layer)

        rows: dict[int, Float32] = {}  # by the clip's place: batches go by length
        for (some, _), out in zip(batches, self._each(encode, batches), strict=True):
            rows.update(zip(some, out, strict=True))
        return [rows[i] for i in range(len(mels))]

    def _each(
        self, encode: Callable[[list[int], int], Float32], batches: Sequence[Batch]
    ) -> Iterable[Float32]:
        """What each batch gives, in their order; those of a small encoder side by side."""
        threads = min(torch.get_num_threads(), len(batches))
        if not self._apart or not has_openmp():
            return (encode(*one) for one in batches)
        with ThreadPoolExecutor(threads, initializer=_alone) as pool:
            # In a context each, so that who holds our warnings is given theirs too.
            here = [copy_context() for _ in batches]
            return list(pool.map(lambda at, one: at.run(encode, *one), here, batches))

    def _size(self, frames: int, batch: int | None = None) -> int:
        """Clips of some frames at a time, or fewer than a `batch` where memory had no room."""
        most = ACCELERATED if self._accelerated else TOKENS[self.precision]
        return min(batch or fitting(most, frames), fitting(self._room, frames))

    def _padded(self, mels: Sequence[Float32], size: int, head: Head, layer: int | None) -> Float32:
        """One batch, on a CPU always of the same size.

        A BLAS library may round a row differently for another number of rows, and the score of a
        clip must not depend on the clips beside it. An accelerator would compute 64 for one.
        """
        extra = 0 if self._accelerated else size - len(mels)
        return self._rows([*mels, *[mels[-1]] * extra], head, layer)[: len(mels)]

    def _rows(self, mels: Sequence[Float32], head: Head, layer: int | None) -> Float32:
        """One batch; half of it at a time where memory is short."""
        try:
            with torch.inference_mode():
                # Heads work in float32, whatever the encoder does.
                rows: Float32 = self._headed(mels, head, layer).cpu().numpy()
                return rows
        except (RuntimeError, MemoryError) as error:
            if not _no_memory(error):
                raise
        half = self._halved(mels)
        parts = [self._rows(part, head, layer) for part in (mels[:half], mels[half:])]
        return np.concatenate(parts)

    def _headed(self, mels: Sequence[Float32], head: Head, layer: int | None) -> Tensor:
        if len({len(mel) for mel in mels}) == 1:
            stacked = torch.from_numpy(np.stack(mels)).to(self.device)
            return head(self.encoder(stacked, layer).float())
        # One copy to the device, however many clips there are.
        whole = torch.from_numpy(np.concatenate(mels)).to(self.device)
        parts = torch.split(whole, [len(mel) for mel in mels])
        row, places = self._together(self._whole, parts, layer)
        return head(places.table(row).float(), places)

    def _halved(self, mels: Sequence[Float32]) -> int:
        """Half a batch that was too large for the memory, and a word about it."""
        half = len(mels) // 2
        longest = max(map(len, mels))
        if not half:
            raise SettingError(
                f"{self.device}: out of memory with one clip of {longest} frames; "
                "take --device cpu, shorter clips, or --set embedder.precision=bf16"
            )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._room = half * tokens_of(longest)  # not tried again at full size for each batch
        warn(
            f"{self.device}: out of memory with {len(mels)} clips at a time, going on with {half}; "
            f"--batch-size {half} says so from the start"
        )
        return half


def tokens_of(frames: int) -> int:
    """Of a clip: CLS, and 8 patches for 16 frames."""
    return 1 + frames // 2


def fitting(tokens: int, frames: int) -> int:
    """Clips of some frames in so many tokens; one that is too long is one by itself.

    >>> fitting(513, 1_024), fitting(513, 512), fitting(513, 2_048)
    (1, 1, 1)
    """
    return max(1, tokens // tokens_of(frames))


def divided(frames: Sequence[int], size: Callable[[int], int], full: int) -> list[Batch]:
    """Which clips go through together.

    Args:
        frames: of each clip.
        size: clips of so many frames at a time, at most.
        full: tokens of a length from which on it has passes of its own; 0: every length has.

    Returns:
        places of clips, and how many of their longest a pass may have; on an accelerator what
        shares a pass is all that it has.

    >>> divided([32, 16, 32, 32], lambda frames: 2, full=0)
    [([0, 2], 2), ([3], 2), ([1], 2)]
    >>> divided([32, 16, 32, 32], lambda frames: 3, full=100)
    [([0, 2, 3], 3), ([1], 1)]
    """
    lengths: dict[int, list[int]] = {}
    for i, length in enumerate(frames):
        lengths.setdefault(length, []).append(i)
    batches: list[Batch] = []
    few: dict[int, list[int]] = {}  # lengths that would leave an accelerator waiting
    for length, places in lengths.items():
        most = size(length)
        if len(places) < most and len(places) * tokens_of(length) < full:
            few[length] = places
        else:
            batches += [(places[i : i + most], most) for i in range(0, len(places), most)]
    # Shortest first: what shares a pass differs little in length, and its table holds little that
    # is no token.
    pack: list[int] = []
    for length, place in ((n, place) for n in sorted(few) for place in few[n]):
        if len(pack) >= size(length):
            batches.append((pack, len(pack)))
            pack = []
        pack.append(place)
    return [*batches, (pack, len(pack))] if pack else batches


def _alone() -> None:
    """Let no other thread help this one."""
    torch.get_num_threads()  # which sets it the first time that a thread asks anything of PyTorch
    unhelped()


def _no_memory(error: Exception) -> bool:
    """Did memory run out? CUDA has an error for it, MPS and the CPU have words."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "DefaultCPUAllocator")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        some in str(error) for some in words
    )
