"""The front ends: time against the FFT calls that each of them makes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.dif import ROUNDS, RUNS, clip, in_runs
from nearfar.frontend import CoherenceMask, FarCancel
from nearfar.sound.spectral import BLOCK, HOP, N_FFT, blocks, n_frames


def ffts(
    samples: int, n_fft: int = N_FFT, hop: int = HOP, block: int | None = None
) -> Callable[[], None]:
    """Two rfft and one irfft of every frame and nothing else.

    Each call takes all frames of a channel; with `block` that many, always the same, from cache.
    """
    from scipy.fft import irfft, rfft

    count = n_frames(samples, hop)
    framed = np.random.default_rng(0).standard_normal((count, n_fft)).astype(np.float32)
    spectrum = rfft(framed, axis=1)

    def work() -> None:
        for first, last in blocks(count, block or count):
            part, bins = framed[: last - first], spectrum[: last - first]
            rfft(part, axis=1)
            rfft(part, axis=1)
            irfft(bins, n_fft, axis=1)

    return work


def run() -> str:
    """The section of docs/benchmarks.md."""
    audio = clip(0)
    samples = audio.shape[1]
    cancel = FarCancel()
    floors = {
        "mask": ffts(samples),
        "cancel": ffts(samples, cancel.n_fft, cancel.hop),
        "cached": ffts(samples, block=BLOCK),
    }
    parts = {
        "`CoherenceMask()`": CoherenceMask(),
        "`CoherenceMask(coherence='ema')`": CoherenceMask(coherence="ema"),
        "`CoherenceMask(coherence='ema_debiased')`": CoherenceMask(coherence="ema_debiased"),
        "`CoherenceMask(sharpness=4.0)`": CoherenceMask(sharpness=4.0),
        "`FarCancel()`": cancel,
    }
    took, between = in_runs(
        {**floors, **{name: lambda part=part: part(audio) for name, part in parts.items()}}
    )
    rows = [
        f"| {name} | {took[floor]:.2f} | {took[floor] / took[of]:.1f} |"
        for name, floor, of in (
            ("FFT calls of the mask", "mask", "mask"),
            ("the same from cache", "cached", "mask"),
            ("FFT calls of the cancellation", "cancel", "cancel"),
        )
    ]
    rows += [
        f"| {name} | {took[name]:.2f} | {took[name] / took[floor]:.1f} |"
        for name, part in parts.items()
        for floor in ["cancel" if part is cancel else "mask"]
    ]
    return "\n\n".join(
        [
            "## Front ends: the coherence mask, far-channel cancellation",
            "One core, one 10 s two-channel clip at 16 kHz (made-up coloured noise), medians of "
            "runs in turn. The measure is the FFT calls alone that a front end makes: two forward "
            "and one back for all frames. From cache: called again and again on one block of "
            "frames that never leaves it.",
            "| front end | ms | times its FFT calls |\n|---|--:|--:|\n" + "\n".join(rows),
            f"Over {RUNS} runs of {ROUNDS} rounds the mask took "
            f"{between('`CoherenceMask()`', 'mask')} times its FFT calls, `FarCancel` "
            f"{between('`FarCancel()`', 'cancel')} times.",
        ]
    )
