"""YAMNet: its parts beside the matrix products alone, which no layout could avoid."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from bench.dif import clip, milliseconds
from nearfar.embedder.yamnet.layers import REDUCTION, STRIDES, WIDTHS, YAMNetArchitecture
from nearfar.embedder.yamnet.melspectrum import log_mels, scaled
from nearfar.embedder.yamnet.network import Network

ROUNDS = 40


def network() -> Network:
    """One with weights drawn from a seed: a product takes as long with any."""
    rng = np.random.default_rng(0)
    return Network(
        {
            name: np.abs(rng.standard_normal(shape)).astype(np.float32) / 10
            for name, shape in YAMNetArchitecture().shapes().items()
        }
    )


def products(frames: int) -> Callable[[], None]:
    """The pointwise convolutions of a clip, each one matrix product."""
    rng = np.random.default_rng(0)
    places, pairs = frames // 2 * 32, []  # behind the first layer
    for stride, (before, behind) in zip(STRIDES[1:], pairwise(WIDTHS), strict=True):
        places //= stride**2
        sizes = ((places, before), (before, behind))
        pairs.append([rng.standard_normal(size).astype(np.float32) for size in sizes])
    out = [np.empty((len(x), weights.shape[1]), np.float32) for x, weights in pairs]

    def work() -> None:
        for (x, weights), into in zip(pairs, out, strict=True):
            np.matmul(x, weights, out=into)

    return work


def run() -> str:
    """The section of docs/benchmarks.md."""
    channel, made = clip(0)[0], network()
    mels = log_mels(scaled(channel))
    parts: dict[str, Callable[[], object]] = {
        "its matrix products alone": products(len(mels) // REDUCTION * REDUCTION),
        f"log-mel, {len(mels)} × {mels.shape[1]}": lambda: log_mels(scaled(channel)),
        "layers": lambda: made(mels),
        "both": lambda: made(log_mels(scaled(channel))),
    }
    took = milliseconds(parts, ROUNDS)
    floor = took["its matrix products alone"]
    rows = [f"| {name} | {took[name]:.2f} | {took[name] / floor:.1f} |" for name in parts]
    return "\n\n".join(
        [
            "## YAMNet-256, the small learned ear",
            "One core, one channel of a 10 s clip at 16 kHz (made-up coloured noise), weights "
            "drawn from a seed, medians of runs in turn.",
            "| | ms | times its products |\n|---|--:|--:|\n" + "\n".join(rows),
        ]
    )
