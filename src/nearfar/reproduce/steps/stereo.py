"""What the two channels are like under every reading of the report's words (§2.1.1, §3.3).

The report names a mean power ratio, a mean coherence γ, a mean mask with its share at the floor and
an LR correlation, but not how each was estimated. Here all readings are measured side by side, so
that on the real data `tables.stereo_tables` can tell which one was the authors'.

Each clip gives one number per reading; a machine's is the mean over its normal training clips. The
report does not say which clips its numbers are of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from nearfar.clips import Clip, Clips
from nearfar.errors import AudioError, DatasetError, FormatError
from nearfar.frontend import CoherenceMask
from nearfar.frontend.level import normalised
from nearfar.frontend.mask import EPSILON
from nearfar.runtime import workers
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound import spectral
from nearfar.sound.audio import Audio, ChannelOrder
from nearfar.sound.channels import relate
from nearfar.sound.spectral import Float32, Float64

BATCH = 16  # clips per job: a second of work
HIGHPASS = 200.0  # Hz; below it a building's rumble is the same at both microphones
MAX_LAG = 0.010  # s; 3.4 m of sound


@dataclass(frozen=True)
class Quantity:
    """Something the report gives a number of, and the ways to read it.

    >>> [(quantity.name, quantity.unit) for quantity in QUANTITIES[:2]]
    [('power_ratio', 'dB'), ('gamma', '1')]
    """

    name: str
    title: str  # as in the middle of a sentence
    unit: str
    digits: int  # shown behind the point
    readings: tuple[str, ...]
    legend: str  # what each reading is


COHERENCES = ("clip", "ema", "ema_debiased", "mixed")
LOGARITHMS = ("ln", "log10")
_MASKS = tuple(f"{coherence}, {log}" for log in LOGARITHMS for coherence in COHERENCES)
_OF_MASK = "Eq. 1 with each reading of γ, and with the logarithm to base e or 10."

QUANTITIES = (
    Quantity(
        "power_ratio", "mean near/far power ratio", "dB", 2,
        ("waveform", "frequencies", "bins", "mean"),
        "waveform: of the whole waveforms' powers; frequencies: mean over frequencies of the log "
        "ratio of mean powers; bins: mean over time-frequency bins of the log ratio of the "
        "smoothed powers P₀/P₁; mean: log of the mean over bins of P₀/P₁.",
    ),
    Quantity(
        "gamma", "mean coherence γ", "1", 4, COHERENCES,
        "clip: Φ, P₀ and P₁ are means over the clip; ema: all three smoothed over the past; "
        "ema_debiased: that, less what unrelated channels have; mixed: Φ is the clip's mean, P₀ "
        "and P₁ are smoothed. Each between 0 and 1.",
    ),
    Quantity("mask", "mean mask", "amplitude", 3, _MASKS, _OF_MASK),
    Quantity("at_floor", "mask at its floor", "share of bins", 3, _MASKS, _OF_MASK),
    Quantity(
        "lr_corr", "LR correlation", "1", 3,
        ("waveform", "above 200 Hz", "within 10 ms", "frame rms", "log-mel"),
        "waveform: Pearson at lag zero, as nearfar uses it; above 200 Hz: the same without what "
        "lies below; within 10 ms: the largest at any lag from −10 to 10 ms; frame rms: of the "
        "levels of frames of 25 ms; log-mel: of the clip's mean log-mel spectra.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """One reading of one machine; nan where no clip has a number.

    >>> Spread.of(np.array([1.0, 3.0, np.nan])).mean
    2.0
    """

    mean: float
    sd: float  # over clips; nan for fewer than two
    clips: int  # that have a number

    @classmethod
    def of(cls, values: Float64) -> Spread:
        """Of the numbers of all clips."""
        finite = values[np.isfinite(values)]
        mean = float(finite.mean()) if finite.size else math.nan
        return cls(mean, float(finite.std(ddof=1)) if finite.size > 1 else math.nan, finite.size)

    @classmethod
    def from_data(cls, mean: float | None, sd: float | None, clips: int) -> Spread:
        """The inverse of `to_data`, whose items are the arguments."""
        return cls(math.nan if mean is None else mean, math.nan if sd is None else sd, clips)

    def to_data(self) -> dict[str, float | None]:
        """JSON-ready; nan becomes None."""
        return {name: None if math.isnan(v) else v for name, v in vars(self).items()}


@dataclass(frozen=True)
class MachineStatistics:
    """One machine's normal training clips.

    >>> readings = sum(len(quantity.readings) for quantity in QUANTITIES)
    >>> fan = MachineStatistics.of("fan", np.ones((4, readings)))
    >>> fan.clips, fan.dead, fan.mean("gamma", "clip")
    (4, 0, 1.0)
    """

    machine: str
    clips: int
    dead: int  # with a silent or constant channel, which have no numbers
    figures: Mapping[str, Mapping[str, Spread]]  # quantity → reading

    @classmethod
    def of(cls, machine: str, rows: Float64) -> MachineStatistics:
        """Of numbers, (clips, readings)."""
        columns = iter(rows.T)
        figures = {q.name: {r: Spread.of(next(columns)) for r in q.readings} for q in QUANTITIES}
        return cls(machine, len(rows), int(np.isnan(rows).all(axis=1).sum()), figures)

    def mean(self, quantity: str, reading: str) -> float:
        """The mean over clips; nan where no clip has a number."""
        return self.figures[quantity][reading].mean


@dataclass(frozen=True)
class Statistics:
    """What `measure` found, machine by machine in the order of their names.

    >>> nothing = Statistics((), "near-far")
    >>> Statistics.from_data(nothing.to_data()) == nothing
    True
    """

    machines: tuple[MachineStatistics, ...]
    order: str  # of the channels in a file

    def to_data(self) -> dict[str, Any]:
        """JSON-ready; nan becomes None."""
        machines = []
        for m in self.machines:
            figures = {q: {r: s.to_data() for r, s in of.items()} for q, of in m.figures.items()}
            machines.append({**vars(m), "figures": figures})
        return {"order": self.order, "machines": machines}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Statistics:
        """The inverse of `to_data`; `FormatError` if a reading is missing or has another form."""
        try:
            machines = [
                replace(MachineStatistics(**row), figures={
                    q.name: {r: Spread.from_data(**row["figures"][q.name][r]) for r in q.readings}
                    for q in QUANTITIES
                })
                for row in data["machines"]
            ]  # fmt: skip
            return cls(tuple(machines), data["order"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"stereo statistics: {error!r}; measure them again") from None


def measure(clips: Clips, runtime: Runtime, order: ChannelOrder = "near-far") -> Statistics:
    """Measure every reading on the normal training clips among some; each is read once.

    Raises:
        AudioError: the first clip that has one channel, is not finite, is too short or cannot be
            read. A silent or constant channel is counted and has no numbers.
        DatasetError: no training clips.
        SettingError: an unknown `order`.
    """
    training = [c for c in clips if c.split != "test" and c.label != "anomaly"]
    if not training:
        raise DatasetError("no normal training clips; the stereo statistics are of those")
    found: dict[str, list[Float64]] = {}
    for clip, row in zip(training, _rows(training, runtime, order), strict=True):
        found.setdefault(clip.machine, []).append(row)
    machines = (MachineStatistics.of(name, np.stack(found[name])) for name in sorted(found))
    return Statistics(tuple(machines), str(order))


def clip_figures(audio: Audio, name: str = "audio") -> dict[str, dict[str, float]]:
    """Every reading of one clip, (2, samples) at 16 kHz: quantity → reading → number.

    They are in the units of `QUANTITIES`; nan where a channel is silent or constant.

    Raises:
        AudioError: not two channels, half a frame (200 samples) or less, or not finite; it begins
            with `name`.
    """
    _check(audio, name)
    if any(float(x.min()) == float(x.max()) for x in audio):
        return {q.name: dict.fromkeys(q.readings, math.nan) for q in QUANTITIES}
    pair, exponents = normalised(audio, 0)
    scale = 20 * math.log10(2) * (exponents[0] - exponents[1])  # dB
    spectra = spectral.stft(pair)  # (2, 201, frames)
    powers = np.square(spectra.real) + np.square(spectra.imag)
    cross = (spectra[0] * spectra[1].conj()).mean(axis=1, dtype=np.complex128)  # Φ₀₁, (201,)
    means = powers.mean(axis=2, dtype=np.float64)  # (2, 201)
    rows = powers.reshape(-1, powers.shape[2])  # smoothed in place, as the mask smooths: P₀, P₁
    smoothed = spectral.smooth(rows, CoherenceMask().smoothing).reshape(powers.shape)
    lr_corr, level = relate(audio)
    ratios = {"waveform": level, **_ratios(means, smoothed, scale)}
    return {
        "power_ratio": ratios,
        **_masks(audio, _mixed(cross, means, smoothed)),
        "lr_corr": {"waveform": lr_corr, **_correlations(pair)},
    }


def _rows(clips: Sequence[Clip], runtime: Runtime, order: ChannelOrder) -> Iterator[Float64]:
    """The numbers of each clip, in order."""
    progress = runtime.progress or (lambda what, done, of: None)
    jobs = [clips[i : i + BATCH] for i in range(0, len(clips), BATCH)]
    done = 0
    progress("stereo statistics", done, len(clips))
    for rows in workers.run(partial(_measure, order), jobs, runtime.workers):
        done += len(rows)
        progress("stereo statistics", done, len(clips))
        yield from rows


def _measure(order: ChannelOrder, clips: Sequence[Clip]) -> list[Float64]:
    with one_thread():
        return [_row(clip, order) for clip in clips]


def _row(clip: Clip, order: ChannelOrder) -> Float64:
    try:
        figures = clip_figures(clip.read(order), clip.name)
    except AudioError as error:
        text = str(error)
        named = text.startswith((clip.name, str(clip.path)))
        raise AudioError(text if named else f"{clip.name}: {text}") from None
    return np.array([figures[q.name][reading] for q in QUANTITIES for reading in q.readings])


def _check(audio: Audio, name: str) -> None:
    """What has no numbers at all; a silent channel is judged by its caller."""
    if audio.ndim != 2 or audio.shape[0] != 2:
        raise AudioError(f"{name}: shape {audio.shape}, need (2, samples), near and far; "
                         "the stereo statistics are of two microphones")  # fmt: skip
    if audio.shape[1] <= spectral.N_FFT // 2:
        raise AudioError(f"{name}: {audio.shape[1]} samples, need more than "
                         f"{spectral.N_FFT // 2}; leave it out")  # fmt: skip
    if not np.isfinite(audio).all():
        raise AudioError(f"{name}: NaN or infinite samples; record it again or leave it out")


def _ratios(means: Float64, smoothed: Float32, scale: float) -> dict[str, float]:
    """dB, over the frequencies, or bins, in which both channels have power."""
    over_time = means[:, (means > 0).all(axis=0)]
    bins = smoothed[:, (smoothed > 0).all(axis=0)]
    if not (over_time.size and bins.size):
        return dict.fromkeys(("frequencies", "bins", "mean"), math.nan)
    ratio = bins[0].astype(np.float64) / bins[1]
    return {
        "frequencies": scale + float(np.mean(10 * np.log10(over_time[0] / over_time[1]))),
        "bins": scale + float(np.mean(10 * np.log10(ratio))),
        "mean": scale + 10 * math.log10(float(np.mean(ratio))),
    }


def _mixed(cross: Any, means: Float64, smoothed: Float32) -> Float32:
    """γ = |Φ₀₁|² / (P₀P₁ + ε) with Φ of the clip and P smoothed, at most 1: (201, frames)."""
    epsilon = EPSILON * float(means[0].mean()) * float(means[1].mean())
    above = np.square(np.abs(cross))[:, None]
    below = smoothed[0].astype(np.float64) * smoothed[1] + epsilon
    gamma = np.divide(above, below, out=np.zeros_like(below), where=below > 0)
    bounded: Float32 = np.minimum(gamma, 1.0, out=gamma).astype(np.float32)
    return bounded


def _masks(audio: Audio, mixed: Float32) -> dict[str, dict[str, float]]:
    """Mean γ, mean mask and share at the floor, by reading.

    A mask without weight and floor is the sigmoid of Eq. 1 alone. To base 10 its logarithm is
    smaller by ln 10, as if β were.
    """
    report = CoherenceMask()
    natural, common = report.sharpness, report.sharpness / math.log(10)
    gates, gammas = {}, {"mixed": mixed}
    bare = CoherenceMask(natural, coherence_weight=0, floor=0, coherence="clip")
    gates["ln"], gammas["clip"] = bare.measure(audio)
    bare = replace(bare, sharpness=common, coherence="ema")
    gates["log10"], gammas["ema"] = bare.measure(audio)
    gammas["ema_debiased"] = replace(bare, coherence="ema_debiased").coherence_of(audio)
    masks, floors = {}, {}
    lowest = np.float32(report.floor)
    for coherence in COHERENCES:
        factor = 1 - np.float32(report.coherence_weight) * gammas[coherence]  # 1 − w γ
        for log in LOGARITHMS:
            mask = np.maximum(gates[log] * factor, lowest)
            masks[f"{coherence}, {log}"] = float(mask.mean(dtype=np.float64))
            floors[f"{coherence}, {log}"] = float(np.mean(mask <= lowest))
    means = {name: float(gammas[name].mean(dtype=np.float64)) for name in COHERENCES}
    return {"gamma": means, "mask": masks, "at_floor": floors}


def _correlations(pair: Audio) -> dict[str, float]:
    """The other readings of LR_corr; each the same whatever the channels' gains."""
    from scipy.fft import irfft, next_fast_len, rfft

    lags = round(MAX_LAG * spectral.SAMPLE_RATE)
    centred = pair.astype(np.float64) - pair.mean(axis=1, dtype=np.float64)[:, None]
    size = next_fast_len(pair.shape[1] + lags, real=True)  # zeros: no lag wraps around
    spectra = rfft(centred, size, axis=1)
    cross = spectra[0] * spectra[1].conj()
    norm = math.sqrt(float(np.prod(np.square(centred).sum(axis=1))))
    at_lags = irfft(cross, size)[np.arange(-lags, lags + 1)] / norm
    # By Parseval the spectra correlate as the waveforms do.
    first = math.ceil(HIGHPASS * size / spectral.SAMPLE_RATE)
    energy = [float(np.sum(np.square(np.abs(x[first:])))) for x in spectra]
    padded = spectral.pad(pair)  # frames as those of the mask
    levels = [np.sqrt(np.square(spectral.frames(x)).mean(axis=1)) for x in padded]
    mels = [spectral.log_mel(x).mean(axis=1) for x in pair]
    return {
        "above 200 Hz": _over(float(cross[first:].real.sum()), math.sqrt(energy[0] * energy[1])),
        "within 10 ms": float(at_lags.max()),
        "frame rms": _pearson(*levels),
        "log-mel": _pearson(*mels),
    }


def _pearson(x: Float32, y: Float32) -> float:
    """Correlation of two series; nan if one is constant."""
    a, b = (v.astype(np.float64) - v.mean(dtype=np.float64) for v in (x, y))
    return _over(float(a @ b), math.sqrt(float(a @ a) * float(b @ b)))


def _over(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
