"""The domain invariant features: time against the bare STFT, against librosa, per residual row."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.dif import DIF, NAMES
from nearfar.sound import spectral
from nearfar.sound.spectral import HOP, N_FFT, SAMPLE_RATE

ROUNDS = 40  # of the short ones; each round times all of them in turn
RUNS = 5  # of so many rounds: what differs between them is the machine's
SLOW_ROUNDS = 9
TARGETS, ROWS = 10, 99  # ten target clips, 990 rows: the official data set's 990 source clips

Array = NDArray[np.float64]
Ranges = Callable[[str, str], str]  # what, times what → "low to high"
BANDS = (0, 200, 400, 800, 1200, 1600, 2400, 3200, 4000, 5200, 6400, 8000)
LR_BANDS = (0, 200, 400, 800, 1600, 2400, 3200, 4800, 6400, 8000)
HZ = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT


def clip(seed: int, seconds: float = 10.0) -> NDArray[np.float32]:
    """Coloured, pulsing noise that reaches the far channel late and with noise of its own."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    x, y = rng.standard_normal((2, n))
    rate = rng.uniform(2, 6)
    near = (x + 0.8 * np.roll(x, 2)) * (1 + 0.5 * np.sin(2 * np.pi * rate * np.arange(n) / n * 10))
    far = rng.uniform(0.2, 0.5) * np.roll(near, rng.integers(80)) + 0.3 * (y + np.roll(y, 1))
    audio = 0.05 * np.stack([near, far])
    return (audio - audio.mean(axis=1, keepdims=True)).astype(np.float32)


def milliseconds(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Medians of processor time, taken in turn so that a busy moment strikes all alike.

    Each after a call to warm up: without that call the quickest would pay for the caches that
    the slowest has filled.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            work()
            start = time.process_time()
            work()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def in_runs(works: Mapping[str, Callable[[], object]]) -> tuple[dict[str, float], Ranges]:
    """Milliseconds over several runs; and between what a time over another lay in each of them."""
    runs = [milliseconds(works, ROUNDS) for _ in range(RUNS)]
    took = {name: statistics.median(run[name] for run in runs) for name in works}

    def between(name: str, of: str) -> str:
        times = sorted(run[name] / run[of] for run in runs)
        return f"{times[0]:.1f} to {times[-1]:.1f}"

    return took, between


def floor(audio: NDArray[np.float32]) -> Callable[[], None]:
    """What no feature of both spectra can do without: framing, window, FFT, in reused buffers."""
    padded = spectral.pad(audio)

    def work() -> None:
        for channel in padded:
            for _ in spectral.spectra(channel):
                pass

    return work


# --- the same 120 features with librosa


@dataclass
class PerFeature:
    """One librosa call each, every one from the waveform: as a user writes it."""

    librosa: Any

    def power(self, y: Array) -> Array:
        return np.abs(self.librosa.stft(y, n_fft=N_FFT, hop_length=HOP, pad_mode="reflect")) ** 2

    def mfcc(self, y: Array) -> Array:
        return self.librosa.feature.mfcc(
            y=y, sr=SAMPLE_RATE, n_mfcc=14, n_mels=40, n_fft=N_FFT, hop_length=HOP,
            pad_mode="reflect",
        )  # fmt: skip

    def coherence(self, near: Array, far: Array) -> Array:
        from scipy.signal import coherence

        padded = np.pad(np.stack([near, far]), ((0, 0), (N_FFT // 2,) * 2), mode="reflect")
        return coherence(*padded, nperseg=N_FFT, noverlap=N_FFT - HOP, detrend=False)[1]


class SharedSTFT(PerFeature):
    """Everything from two librosa STFTs, the coherence too."""

    def __init__(self, librosa: Any, near: Array, far: Array) -> None:
        super().__init__(librosa)
        options = {"n_fft": N_FFT, "hop_length": HOP, "pad_mode": "reflect"}
        self.spectra = {id(y): librosa.stft(y, **options) for y in (near, far)}
        self.powers = {key: np.abs(x) ** 2 for key, x in self.spectra.items()}

    def power(self, y: Array) -> Array:
        return self.powers[id(y)]

    def mfcc(self, y: Array) -> Array:
        mel = self.librosa.feature.melspectrogram(S=self.power(y), sr=SAMPLE_RATE, n_mels=40)
        return self.librosa.feature.mfcc(S=self.librosa.power_to_db(mel), n_mfcc=14)

    def coherence(self, near: Array, far: Array) -> Array:
        x0, x1 = self.spectra[id(near)], self.spectra[id(far)]
        cross = np.abs((x0 * x1.conj()).mean(axis=1)) ** 2
        return cross / (self.power(near).mean(axis=1) * self.power(far).mean(axis=1))


def with_librosa(way: PerFeature, near: Array, far: Array) -> Array:
    """The 120 features, in the order of `NAMES`."""
    return np.concatenate([near_features(way, near), stereo_features(way, near, far)])


def near_features(way: PerFeature, y: Array) -> Array:
    feature, keep = way.librosa.feature, slice(4, -4)
    mfcc = way.mfcc(y)
    deltas = [feature.delta(mfcc[:13], width=9, order=k)[:, keep].std(axis=1) for k in (1, 2)]
    contrast = feature.spectral_contrast(
        S=way.power(y), sr=SAMPLE_RATE, fmin=200, n_bands=6, quantile=0.01
    )
    mean = way.power(y).mean(axis=1)
    ratios = 10 * np.log10([mean[band].sum() / mean.sum() for band in bands(BANDS)])
    shapes = [
        feature.spectral_centroid(S=way.power(y), sr=SAMPLE_RATE),
        feature.spectral_bandwidth(S=way.power(y), sr=SAMPLE_RATE),
        feature.spectral_rolloff(S=way.power(y), sr=SAMPLE_RATE, roll_percent=0.85),
        feature.spectral_flatness(S=way.power(y), power=1.0),
    ]
    shape = np.ravel([[s.mean(), s.std()] for s in shapes])
    return np.concatenate(
        [*deltas, mfcc[1:].mean(axis=1), contrast.mean(axis=1), contrast.std(axis=1), ratios,
         shape, impulsiveness(y, way.power(y))]
    )  # fmt: skip


def impulsiveness(y: Array, power: Array) -> list[float]:
    from scipy.stats import kurtosis

    size, rms = np.abs(y), np.sqrt(np.mean(y**2))
    envelope = np.sqrt(power.sum(axis=0))
    envelope_rms = np.sqrt(np.mean(envelope**2))
    return [
        kurtosis(y, fisher=False),
        size.max() / rms,
        size.max() / size.mean(),
        rms / size.mean(),
        size.max() / np.sqrt(size).mean() ** 2,
        kurtosis(envelope, fisher=False),
        envelope.max() / envelope_rms,
        envelope_rms / envelope.mean(),
    ]


def stereo_features(way: PerFeature, near: Array, far: Array) -> Array:
    def decibels(a: Array, b: Array) -> float:
        return 10 * np.log10(np.sum(a) / np.sum(b))

    p0, p1 = way.power(near), way.power(far)
    centroids = [way.librosa.feature.spectral_centroid(S=p, sr=SAMPLE_RATE) for p in (p0, p1)]
    shares = [p[HZ >= 4_000].sum(axis=0) / p.sum(axis=0) for p in (p0, p1)]
    logs = [10 * np.log10(p.sum(axis=0)) for p in (p0, p1)]
    basic = [
        np.corrcoef(near, far)[0, 1],
        decibels(near**2, far**2),
        decibels((near + far) ** 2, (near - far) ** 2),
        np.mean(centroids[0] - centroids[1]),
        np.mean(shares[0] - shares[1]),
        np.corrcoef(*logs)[0, 1],
        np.std(logs[0] - logs[1]),
    ]
    level = [decibels(p0[band], p1[band]) for band in bands(LR_BANDS)]
    mfcc = (way.mfcc(near) - way.mfcc(far))[1:].mean(axis=1)
    msc = way.coherence(near, far)
    return np.concatenate([basic, level, mfcc, [msc[band].mean() for band in bands(BANDS)]])


def bands(edges: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    low, high = np.array(edges[:-1]), np.array(edges[1:])
    high[-1] += 1
    return [(lo <= HZ) & (hi > HZ) for lo, hi in zip(low, high, strict=True)]


# --- the tables


def against_librosa(part: DIF, spread: Array) -> str:
    import librosa

    near, far = audio = clip(0)
    ways: dict[str, Callable[[Array, Array], PerFeature]] = {
        "one librosa call per feature, `scipy.signal.coherence`": lambda *_: PerFeature(librosa),
        "shared librosa STFT, coherence from it": lambda *y: SharedSTFT(librosa, *y),
    }
    works: dict[str, Callable[[], object]] = {
        name: lambda way=way: with_librosa(way(near, far), near, far) for name, way in ways.items()
    }
    took = milliseconds({"DIF": lambda: part([audio]), **works}, SLOW_ROUNDS)
    rows = [
        "| the same 120 features, written with | ms | times DIF | differs by | at most by |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, way in ways.items():
        error = np.max([librosa_error(part, way, clip(seed), spread) for seed in range(5)], axis=0)
        worst = f"{error.max():.0e}, {NAMES[error.argmax()]}"
        times = took[name] / took["DIF"]
        rows.append(
            f"| {name} | {took[name]:.1f} | {times:.1f} | {np.median(error):.0e} | {worst} |"
        )
    return "\n".join(rows)


def librosa_error(
    part: DIF,
    way: Callable[[Array, Array], PerFeature],
    audio: NDArray[np.float32],
    spread: Array,
) -> Array:
    """(120,): differences in standard deviations."""
    near, far = audio
    return np.abs(with_librosa(way(near, far), near, far) - part([audio])[0]) / spread


def residual_table(part: DIF, one_dif: float, spread: Array) -> str:
    s = np.random.default_rng(0).uniform(0.5, 1.5, ROWS)
    clips = [clip(seed) for seed in range(TARGETS)]
    none, some = np.empty(0), s
    took = milliseconds(
        {
            "none": lambda: [part.residuals(audio, none) for audio in clips],
            "rows": lambda: [part.residuals(audio, some) for audio in clips],
        },
        SLOW_ROUNDS,
    )
    count = TARGETS * ROWS
    rows_only, error = took["rows"] - took["none"], largest_residual_error(part, s[:8], spread)
    return "\n".join(
        [
            f"| {count} residual rows of {TARGETS} clips | ms | share of {count} DIFs |",
            "|---|--:|--:|",
            f"| the rows | {rows_only:.0f} | {rows_only / (count * one_dif):.1%} |",
            f"| with the measuring of the clips | {took['rows']:.0f} | "
            f"{took['rows'] / (count * one_dif):.1%} |",
            "",
            f"A row takes {1e3 * rows_only / count:.0f} µs. Largest difference from mixing the "
            f"audio and computing anew: {error:.0e} of a feature's standard deviation.",
        ]
    )


def largest_residual_error(part: DIF, s: Array, spread: Array) -> float:
    """Over some clips and rows, in standard deviations of each feature."""
    largest = 0.0
    for seed in range(3):
        near, far = clip(seed).astype(np.float64)
        mixed = [np.stack([near, (1 - v) * near + v * far]).astype(np.float32) for v in s]
        error = np.abs(part.residuals(clip(seed), s) - part(mixed)) / spread
        largest = max(largest, float(error.max()))
    return largest


def run() -> str:
    """The section of docs/benchmarks.md."""
    part, audio = DIF(), clip(0)
    took, between = in_runs({"floor": floor(audio), "DIF": lambda: part([audio])})
    spread = part([clip(seed) for seed in range(12)]).astype(np.float64).std(axis=0)
    return "\n\n".join(
        [
            "## DIF: the 120 features of a clip",
            "One core, one 10 s two-channel clip at 16 kHz (made-up coloured noise), medians of "
            "runs in turn. The floor is the framing, window and FFT of both channels into reused "
            "buffers. Differences are in standard deviations of a feature over 12 such clips.",
            "| | ms | times the floor |\n|---|--:|--:|\n"
            f"| floor | {took['floor']:.2f} | 1 |\n"
            f"| DIF, 120 features | {took['DIF']:.2f} | {took['DIF'] / took['floor']:.1f} |",
            f"Over {RUNS} runs of {ROUNDS} rounds DIF took {between('DIF', 'floor')} times its "
            "floor.",
            against_librosa(part, spread),
            "librosa is warm: its first call compiles for some seconds, which is not counted. "
            "Differences are the largest over five clips, of the median feature and of the worst: "
            "there a single bin of a frame is nearly silent, which DIF floors at 80 dB below the "
            "clip's power and `spectral_contrast` at 80 dB below its largest valley.",
            residual_table(part, took["DIF"], spread),
        ]
    )
