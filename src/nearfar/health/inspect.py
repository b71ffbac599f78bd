"""What a set of clips is like, per machine, before anything is fitted on it.

Nothing stops at a clip that cannot be used: it is listed with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from nearfar.clips import Clip
from nearfar.errors import AudioError, NearfarError
from nearfar.frontend import CoherenceMask
from nearfar.sound import spectral
from nearfar.sound.audio import Audio, ChannelOrder
from nearfar.sound.channels import relate
from nearfar.text import aligned, one_line

CLIPPED = 0.999  # of full scale; 16-bit recordings end at 0.99997
BROKEN_SHOWN = 20  # lines of the text; the report itself has all
_NAN = float("nan")


@dataclass(frozen=True)
class ClipStatistics:
    """Numbers of one clip; nan where a mono or silent channel leaves a number without meaning.

    >>> hum = np.sin(np.arange(16_000, dtype=np.float32) / 10) / 2
    >>> found = clip_statistics(np.stack([hum, hum / 2]))  # near is twice as loud
    >>> round(found.power_ratio, 2), round(found.lr_corr, 2), found.identical
    (6.02, 1.0, False)
    """

    near_level: float  # dBFS, rms; −inf for silence
    far_level: float  # dBFS
    ratio: float  # near over far, dB: mean over frequencies of the log ratio of mean powers
    power_ratio: float  # near over far, dB: of the waveforms' powers, means removed
    lr_corr: float  # zero-lag correlation of the waveforms
    coherence: float  # γ over the clip, mean over frequencies
    mask: float  # mean of the report's mask
    at_floor: float  # share of the mask at its floor
    clipping: float  # share of samples of the louder channel at full scale
    dead: bool  # a channel is constant, which silence is too
    identical: bool


@dataclass(frozen=True)
class MachineReport:
    """One machine: means over its clips that could be read, counts of the others.

    >>> from pathlib import Path
    >>> [fan] = inspect_clips([Clip(Path("gone.wav"), machine="fan")]).machines
    >>> fan.clips, fan.broken, fan.mean
    (0, 1, None)
    """

    machine: str
    clips: int  # read
    broken: int
    mono: int
    dead: int
    identical: int
    seconds: tuple[float, float]  # shortest, longest
    mean: ClipStatistics | None  # None if no clip could be read; `dead`, `identical`: of any clip


@dataclass(frozen=True)
class Inspection:
    """What `inspect_clips` found; `str` of it is a table of plain text.

    >>> from pathlib import Path
    >>> inspect_clips([Clip(Path("gone.wav"))]).broken
    (('gone.wav', 'gone.wav: no such file'),)
    """

    machines: tuple[MachineReport, ...]
    broken: tuple[tuple[str, str], ...]  # clip's name, reason

    def __str__(self) -> str:
        rows = [_HEADER, *(_row(machine) for machine in self.machines)]
        lines = [aligned(rows), _LEGEND]
        if self.broken:
            lines.append(f"{len(self.broken)} clips cannot be used:")
            lines += [f"  {reason}" for _, reason in self.broken[:BROKEN_SHOWN]]
        if len(self.broken) > BROKEN_SHOWN:
            lines.append(f"  and {len(self.broken) - BROKEN_SHOWN} more")
        return "\n".join(lines)


_HEADER = (
    "machine", "clips", "s", "near dBFS", "far dBFS", "ratio dB", "power dB", "LR_corr", "γ",
    "mask", "floor %", "clipped %", "mono", "dead", "identical", "broken",
)  # fmt: skip
_LEGEND = (
    "ratio: near over far, mean over frequencies of the log ratio; power: of the whole waveforms.\n"
    "γ: coherence over a clip, mean over frequencies. mask, floor: mean of the coherence mask and "
    "its share at the floor.\n"
    "dead: a channel is silent or constant. identical: both channels are one. Means over clips."
)


def inspect_clips(
    clips: Iterable[Clip], *, order: ChannelOrder = "near-far", mask: CoherenceMask | None = None
) -> Inspection:
    """Look at every clip.

    Args:
        clips: any; each is read once.
        order: which channel of a file is near.
        mask: the mask to try; the report's if not given.

    Returns:
        Per machine, in the order of their names, and every clip that cannot be used.

    Raises:
        SettingError: an unknown `order`.
    """
    found: dict[str, list[tuple[float, int, ClipStatistics]]] = {}
    broken: list[tuple[str, str]] = []
    counts: dict[str, int] = {}
    for clip in clips:
        found.setdefault(clip.machine, [])
        try:
            audio = clip.read(order)
            numbers = clip_statistics(audio, mask=mask, name=clip.name)
        except AudioError as error:
            broken.append((clip.name, _naming(clip, error)))
            counts[clip.machine] = counts.get(clip.machine, 0) + 1
        else:
            seconds = audio.shape[1] / spectral.SAMPLE_RATE
            found[clip.machine].append((seconds, len(audio), numbers))
    machines = (_machine(name, found[name], counts.get(name, 0)) for name in sorted(found))
    return Inspection(tuple(machines), tuple(broken))


def clip_statistics(
    audio: Audio, *, mask: CoherenceMask | None = None, name: str = "audio"
) -> ClipStatistics:
    """Look at one clip.

    Args:
        audio: (1 or 2, samples) float32 at 16 kHz; silence is allowed.
        mask: the mask to try; the report's if not given.
        name: what the clip is called in an error message.

    Raises:
        AudioError: another shape, half a frame (200 samples) or less, or samples that are not
            finite.
    """
    _refuse_unmeasurable(audio, name)
    levels = [_decibels(float(np.mean(np.square(x, dtype=np.float64)))) for x in audio]
    clipping = max(float(np.mean(np.abs(x) >= CLIPPED)) for x in audio)
    dead = any(float(x.min()) == float(x.max()) for x in audio)
    if len(audio) == 1:
        return ClipStatistics(
            levels[0], _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, clipping, dead, False
        )
    lr_corr, power_ratio = relate(audio)
    identical = bool(np.array_equal(audio[0], audio[1]))
    ratio = coherence = mean = floor = _NAN
    if not dead:
        ratio = _log_ratio(audio)
        coherence, mean, floor = _through(mask or CoherenceMask(), audio)
    return ClipStatistics(
        levels[0], levels[1], ratio, power_ratio, _NAN if dead else lr_corr, coherence, mean,
        floor, clipping, dead, identical,
    )  # fmt: skip


def _refuse_unmeasurable(audio: Audio, name: str) -> None:
    if audio.ndim != 2 or audio.shape[0] not in (1, 2) or audio.shape[1] <= spectral.N_FFT // 2:
        raise AudioError(f"{name}: shape {audio.shape}, need 1 or 2 channels of more than "
                         f"{spectral.N_FFT // 2} samples")  # fmt: skip
    if not np.isfinite(audio).all():
        raise AudioError(f"{name}: NaN or infinite samples; record it again or leave it out")


def _through(mask: CoherenceMask, audio: Audio) -> tuple[float, float, float]:
    """Means of γ and of the mask, and the share of the mask at its floor."""
    values, gamma = mask.measure(audio)
    at_floor = values <= np.float32(mask.floor)
    return float(gamma.mean()), float(values.mean()), float(np.mean(at_floor))


def _log_ratio(audio: Audio) -> float:
    """dB, mean over the frequencies at which both channels have power."""
    powers = []
    for channel in spectral.pad(audio):
        power = np.zeros(spectral.N_FFT // 2 + 1)
        for _, _, x in spectral.spectra(channel):
            power += (x.real.astype(np.float64) ** 2 + x.imag.astype(np.float64) ** 2).sum(axis=1)
        powers.append(power)
    both = (powers[0] > 0) & (powers[1] > 0)
    if not both.any():
        return _NAN
    return float(np.mean(10 * np.log10(powers[0][both] / powers[1][both])))


def _machine(
    name: str, found: Sequence[tuple[float, int, ClipStatistics]], broken: int
) -> MachineReport:
    seconds = [s for s, _, _ in found]
    numbers = [n for _, _, n in found]
    return MachineReport(
        machine=name,
        clips=len(found),
        broken=broken,
        mono=sum(channels == 1 for _, channels, _ in found),
        dead=sum(n.dead for n in numbers),
        identical=sum(n.identical for n in numbers),
        seconds=(min(seconds), max(seconds)) if seconds else (_NAN, _NAN),
        mean=_mean(numbers) if numbers else None,
    )


def _mean(numbers: Sequence[ClipStatistics]) -> ClipStatistics:
    means = {
        f.name: _finite_mean([getattr(n, f.name) for n in numbers])
        for f in fields(ClipStatistics)
        if f.name not in ("dead", "identical")
    }
    return ClipStatistics(
        **means, dead=any(n.dead for n in numbers), identical=any(n.identical for n in numbers)
    )


def _finite_mean(values: Sequence[float]) -> float:
    """Without the clips for which the number means nothing, and without silence's −inf dB."""
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else _NAN


def _decibels(power: float) -> float:
    return 10 * math.log10(power) if power > 0 else -math.inf


def _naming(clip: Clip, error: NearfarError) -> str:
    """One line that begins with the clip's name or path."""
    text = one_line(error)
    return text if text.startswith((clip.name, str(clip.path))) else f"{clip.name}: {text}"


def _row(m: MachineReport) -> tuple[str, ...]:
    counts = tuple(str(n) for n in (m.mono, m.dead, m.identical, m.broken))
    if m.mean is None:
        return (m.machine, str(m.clips), *["–"] * (len(_HEADER) - 2 - len(counts)), *counts)
    low, high = m.seconds
    s, spans = m.mean, f"{low:.1f}" if high - low < 0.05 else f"{low:.1f}–{high:.1f}"
    figures = (
        (s.near_level, ".1f"), (s.far_level, ".1f"), (s.ratio, "+.1f"), (s.power_ratio, "+.1f"),
        (s.lr_corr, ".2f"), (s.coherence, ".3f"), (s.mask, ".2f"), (100 * s.at_floor, ".1f"),
        (100 * s.clipping, ".2f"),
    )  # fmt: skip
    texts = tuple("–" if math.isnan(v) else format(v, f) for v, f in figures)
    return (m.machine, str(m.clips), spans, *texts, *counts)
