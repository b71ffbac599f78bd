"""Kaldi's filter bank and EAT's front end: time against their FFT calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.dif import clip, milliseconds
from nearfar.embedder.eat.features import features
from nearfar.sound.fbank import N_FFT, fbank, n_frames
from nearfar.sound.spectral import BLOCK, blocks

ROUNDS = 40
NAMES = {"all": "its FFTs, one call", "cached": "its FFTs, cached"}


def ffts(samples: int, block: int | None = None) -> Callable[[], None]:
    """One rfft of every frame and nothing else.

    One call takes all frames; with `block` that many, always the same, from cache.
    """
    from scipy.fft import rfft

    count = n_frames(samples)
    framed = np.random.default_rng(0).standard_normal((block or count, N_FFT)).astype(np.float32)

    def work() -> None:
        for first, last in blocks(count, block or count):
            rfft(framed[: last - first], axis=1)

    return work


def run() -> str:
    """The section of docs/benchmarks.md."""
    channel = clip(0)[0]
    parts: dict[str, Callable[[], object]] = {
        "`fbank`, 998 × 128": lambda: fbank(channel),
        "`eat.features`, 1008 × 128": lambda: features(channel),
    }
    floors = {"all": ffts(len(channel)), "cached": ffts(len(channel), BLOCK)}
    took = milliseconds({**floors, **parts}, ROUNDS)
    rows = [
        f"| {NAMES.get(name, name)} | {took[name]:.2f} | {took[name] / took['cached']:.1f} | "
        f"{took[name] / took['all']:.1f} |"
        for name in ("all", "cached", *parts)
    ]
    return "\n\n".join(
        [
            "## Kaldi's filter bank: EAT's front end",
            "One core, one channel of a 10 s clip at 16 kHz (made-up coloured noise), medians of "
            f"runs in turn. The floor is the clip's {n_frames(len(channel))} FFTs of {N_FFT} "
            f"samples alone, called again and again on one block of {BLOCK} frames that never "
            "leaves the cache, or once for all.",
            "| | ms | times its FFTs, cached | times its FFTs, one call |\n|---|--:|--:|--:|\n"
            + "\n".join(rows),
        ]
    )
