"""What a set of clips is like, per machine, before anything is fitted on it.

Nothing stops at a clip that cannot be used: it is listed with its reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.clips import Clip
from nearfar.errors import AudioError, NearfarError, printable, visible
from nearfar.files import begins
from nearfar.frontend import CoherenceMask
from nearfar.health.copies import Sound
from nearfar.health.shift import by_rereading
from nearfar.health.suspects import FLOOR, Suspect, by_look, is_twice
from nearfar.health.suspects import lines as suspect_lines
from nearfar.health.suspects import turned as turned_lines
from nearfar.sound import audio as audio_file
from nearfar.sound import spectral
from nearfar.sound.audio import Audio, ChannelOrder, check
from nearfar.sound.channels import relate
from nearfar.sound.lag import Lag
from nearfar.sound.look import Look, look
from nearfar.sound.recorded import Recorded, joined
from nearfar.text import counted, one_line, plain, turned

CLIPPED = 0.999  # of full scale; 16-bit recordings end at 0.99997
BROKEN_SHOWN = 20  # lines of the text; the report itself has all
SCHEMA = 1  # of the JSON; raised when a program that reads it could err
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
    far_level: float
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
    clips: int
    broken: int
    mono: int
    dead: int  # also by level
    identical: int  # also up to gain or noise
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
    refused: tuple[tuple[str, str], ...] = ()  # could be looked at, but a fit would not take them
    suspects: tuple[Suspect, ...] = ()  # stand out from their machine's clips
    lags: tuple[tuple[str, Lag], ...] = ()  # clip's name, far behind near; of two files only
    judged: Mapping[str, int] = field(default_factory=dict)  # machine → clips to fit on

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None) -> str:
        """What is printed, the table in at most so many characters a line if it can."""
        rows = [_HEADER, *(tuple(map(visible, _row(machine))) for machine in self.machines)]
        lines = [turned(rows, width), _LEGEND]
        told = map(visible, suspect_lines(self.suspects, self.judged).values())
        lags = [_lag_text(name, lag) for name, lag in self.lags]
        ratios = {m.machine: m.mean.ratio for m in self.machines if m.mean is not None}
        broken, refused = ([why for _, why in clips] for clips in (self.broken, self.refused))
        lines += _listed("cannot be used:", broken)
        lines += _listed("would be refused by fit:", refused)
        lines += _listed("of two recorders, far behind near:", lags)
        return "\n".join([*lines, *told, *map(visible, turned_lines(ratios))])

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data for JSON; what is no number is null.

        Keys: `schema`; `machines`, a list with the fields of `MachineReport`; `broken` and
        `refused`, lists of {clip, reason}; `suspects`, a list of {machine, clip, file, kind,
        value, usual, says}; `lags`, a list of {clip, begin_ms, end_ms, drift_ppm}.
        """
        suspects = [suspect.as_dict() for suspect in self.suspects]
        lags = [
            {"clip": name, "begin_ms": lag.begin, "end_ms": lag.end, "drift_ppm": lag.drift}
            for name, lag in self.lags
        ]
        broken, refused = (
            [{"clip": name, "reason": reason} for name, reason in clips]
            for clips in (self.broken, self.refused)
        )
        whole = {"schema": SCHEMA, "machines": [asdict(m) for m in self.machines], "broken": broken,
                 "refused": refused, "suspects": suspects, "lags": lags}  # fmt: skip
        found: dict[str, Any] = plain(whole)
        return found


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    more = len(lines) - BROKEN_SHOWN
    shown = [f"  {line}" for line in lines[:BROKEN_SHOWN]]
    return (
        [f"{counted(len(lines), 'clip')} {title}", *shown, *[f"  and {more} more"] * (more > 0)]
        if lines
        else []
    )


def _lag_text(name: str, lag: Lag) -> str:
    if math.isnan(lag.ms):
        return f"{visible(name)}: no common sound found"
    drift = "" if math.isnan(lag.drift) else f", drift {lag.drift:+.0f} ppm"
    return f"{visible(name)}: {lag.ms:+.1f} ms{drift}"


def is_inspection(path: Path) -> bool:
    """Is a file plainly the JSON of an inspection?"""
    return begins(path, r'\{\s*"(schema|version)": \d+,\s*"machines": ')


_HEADER = (
    "machine", "clips", "s", "near dBFS", "far dBFS", "ratio dB", "power dB", "LR_corr", "γ",
    "mask", "floor %", "clipped %", "mono", "dead", "identical", "broken",
)  # fmt: skip
_LEGEND = (
    "ratio: near over far, mean over frequencies of the log ratio; power: of the whole waveforms.\n"
    "γ: coherence over a clip, mean over frequencies. mask, floor: mean of the coherence mask and "
    "its share at the floor.\n"
    "dead: a channel is silent, constant, or at the noise floor (−90 dBFS). identical: both "
    "channels are one, up to gain or noise. Means over clips."
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
    seen: dict[str, list[_Seen]] = {}
    broken: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    counts: dict[str, int] = {}
    for clip in clips:
        seen.setdefault(clip.machine, [])
        try:
            one, reason = _see(clip, order, mask)
        except AudioError as error:
            broken.append((clip.name, _naming(clip, error)))
            counts[clip.machine] = counts.get(clip.machine, 0) + 1
        else:
            seen[clip.machine].append(one)
            refused += [(clip.name, reason)] if reason else []
    everything = [one for name in sorted(seen) for one in seen[name]]
    # A machine of nothing but mono clips is for systems of one channel.
    pairs = {one.clip.machine for one in everything if one.channels > 1}
    mono = [o.clip.name for o in everything if o.channels == 1 and o.clip.machine in pairs]
    why = "mono, its machine's other clips have two channels, which most systems need"
    refused += [(n, f"{printable(n)}: {why}") for n in mono if n not in dict(refused)]
    return Inspection(
        tuple(_machine(name, seen[name], counts.get(name, 0)) for name in sorted(seen)),
        tuple(broken),
        tuple(refused),
        tuple(_suspects(everything, dict(refused), order)),
        tuple((one.clip.name, one.look.lag) for one in everything if one.look.lag is not None),
        Counter(one.clip.machine for one in everything if _fitted_on(one.clip)),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """A clip that could be read."""

    clip: Clip
    seconds: float
    channels: int
    numbers: ClipStatistics
    look: Look


def _see(clip: Clip, order: ChannelOrder, mask: CoherenceMask | None) -> tuple[_Seen, str]:
    """A clip's numbers, and why a fit would refuse it; "" if it would not."""
    reason = ""
    try:
        audio, recorded = clip.read_recorded(order)
    except AudioError as error:
        if clip.far is None or clip.fault:
            raise
        # Two recorders seldom stop together: their common length says how they relate.
        audio, recorded, reason = *_common(clip), _naming(clip, error)
    numbers = clip_statistics(audio, mask=mask, name=clip.name)
    if recorded.clipped:  # what a resampler made of a flat top is no flat top
        numbers = replace(numbers, clipping=max(recorded.clipped))
    if not reason:
        try:
            check(audio, name=clip.name, channels=len(audio))
        except AudioError as error:
            reason = _naming(clip, error)
    seen = look(audio, recorded, two_files=clip.far is not None)
    seconds = audio.shape[1] / spectral.SAMPLE_RATE
    return _Seen(clip, seconds, len(audio), numbers, seen), reason


def _common(clip: Clip) -> tuple[Audio, Recorded]:
    """Near and far from their beginnings, as long as the shorter of them."""
    (near, of_near), (far, of_far) = (
        audio_file.read_recorded(path, start=clip.start, stop=clip.stop, salvage=clip.salvage)
        for path in (clip.path, clip.far or clip.path)
    )
    n = min(near.shape[1], far.shape[1])
    both = audio_file.pair(near[:, :n], far[:, :n], names=(str(clip.path), str(clip.far)))
    return both, joined([of_near, of_far])


def _fitted_on(clip: Clip) -> bool:
    """Test clips may be anomalous and targets in plenty: nobody fits on them."""
    return clip.split != "test" and clip.label != "anomaly"


def _suspects(
    seen: Sequence[_Seen], refused: Collection[str], order: ChannelOrder
) -> list[Suspect]:
    """As a fit finds them, machine by machine and section by section."""
    groups: dict[tuple[str, str], list[tuple[Clip, Look]]] = {}
    for one in (one for one in seen if _fitted_on(one.clip)):
        groups.setdefault((one.clip.machine, one.clip.section), []).append((one.clip, one.look))
    found: list[Suspect] = []
    for group in groups.values():
        # What a fit refuses is named as well, but is no yardstick of the others.
        found += by_look([(clip, what) for clip, what in group if clip.name not in refused])
        found += [suspect for suspect in by_look(group) if suspect.clip.name in refused]
        found += by_rereading([Sound(clip, what) for clip, what in group], order)
    return found


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
    powers = [float(np.mean(np.square(x, dtype=np.float64))) for x in audio]
    levels = [10 * math.log10(power) if power > 0 else -math.inf for power in powers]
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


def _machine(name: str, found: Sequence[_Seen], broken: int) -> MachineReport:
    seconds = [one.seconds for one in found]
    numbers = [one.numbers for one in found]
    return MachineReport(
        machine=name,
        clips=len(found),
        broken=broken,
        mono=sum(one.channels == 1 for one in found),
        dead=sum(one.numbers.dead or min(one.look.levels) <= FLOOR for one in found),
        identical=sum(one.numbers.identical or is_twice(one.look) for one in found),
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


def _naming(clip: Clip, error: NearfarError) -> str:
    """One line that begins with the clip's name or path."""
    text = one_line(error)  # of an error, where what does not print is spelled out
    names = printable(clip.name), printable(str(clip.path))
    return text if text.startswith(names) else f"{names[0]}: {text}"


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
