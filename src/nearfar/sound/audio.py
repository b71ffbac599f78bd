"""Sound in and out of files as float32 `(channels, samples)`, channel 0 near, channel 1 far.

Files are WAV (also RF64 and W64), AIFF, AU (PCM or float) or FLAC at any sample rate: they are
resampled once, here. Of more than two channels it must be said which are near and far. A clip that
cannot be used stops the job with one line (law 5); nothing is repaired in silence.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.errors import AudioError, SettingError, warn
from nearfar.files import atomic_file
from nearfar.runtime.urls import place
from nearfar.sound.recorded import Recorded, joined, measure
from nearfar.sound.source import SUFFIXES, check_rate, in_memory, kind_of, open_source

# Where these live is nobody's business outside: a sound file is read through this module.
__all__ = [
    "LOUDEST", "SAMPLE_RATE", "SHORTEST", "SUFFIXES", "Audio", "ChannelOrder", "channels", "check",
    "check_order",
    "digest_of", "duration", "encode", "extent", "from_array", "kind_of", "pair", "read",
    "read_recorded",
    "to_order", "write",
]  # fmt: skip

Audio = NDArray[np.float32]
# Two numbers are the channels of near and far in a file of several, counted from 1.
ChannelOrder = Literal["near-far", "far-near"] | tuple[int, int]

SAMPLE_RATE = 16_000  # Hz; every number in the report is at this rate (§3.1)
LOUDEST = 1e9  # times full scale; even 32-bit integers taken for floats stay below
SHORTEST = 1.0  # s; a feature needs some frames to have a spread


def read(
    path: str | os.PathLike[str],
    far: str | os.PathLike[str] | None = None,
    *,
    start: float = 0.0,
    stop: float | None = None,
    order: ChannelOrder = "near-far",
    sample_rate: int = SAMPLE_RATE,
    salvage: bool = False,
) -> Audio:
    """Read one clip.

    Args:
        path: WAV, W64, AIFF, AU or FLAC file, or its URL, told by its content; with `far` given
            it is the near microphone's mono file.
        far: the far microphone's mono file, when near and far are two files.
        start: first second of the part to read.
        stop: end of the part to read, in seconds; `None` reads to the end.
        order: which channel of a two-channel file is the near microphone, or the numbers of the
            near and the far channel in a file of any number, counted from 1.
        sample_rate: rate of the result in Hz; files at other rates are resampled (soxr, HQ).
        salvage: take what is there of a file whose header and bytes disagree, with a warning.

    Returns:
        float32, (channels, samples), full scale ±1; channel 0 near, channel 1 far.

    Raises:
        AudioError: missing, empty, not audio, a coding that loses something, more than two
            channels without their numbers, bytes that do not bear out the header, no samples
            between `start` and `stop`, or a file that ends before `stop`.
        SettingError: not 0 <= start < stop, or an impossible `order`.

    Whether the sound can be judged (finite, long enough, not silent) is what `check` says.
    """
    with in_memory(path):
        found = _recorded(path, far, start, stop, order, salvage)
        return _joined([_resample(sound, rate, sample_rate) for sound, rate, _ in found], path, far)


def read_recorded(
    path: str | os.PathLike[str],
    far: str | os.PathLike[str] | None = None,
    *,
    start: float = 0.0,
    stop: float | None = None,
    order: ChannelOrder = "near-far",
    sample_rate: int = SAMPLE_RATE,
    salvage: bool = False,
) -> tuple[Audio, Recorded]:
    """Read one clip as `read` does, and say what its file was like before it was resampled."""
    with in_memory(path):
        found = _recorded(path, far, start, stop, order, salvage)
        sounds = [_resample(sound, rate, sample_rate) for sound, rate, _ in found]
        recorded = joined([measure(*one) for one in found])
        return _joined(sounds, path, far), recorded


def _recorded(
    path: str | os.PathLike[str], far: str | os.PathLike[str] | None,
    start: float, stop: float | None, order: ChannelOrder, salvage: bool,
) -> list[tuple[Audio, int, str]]:  # fmt: skip
    """Each file's own samples, rate and fault."""
    if far is None:
        return [_read_file(place(path), start, stop, order, salvage)]
    # Of two files it is said which is near; `order` is about the channels of one.
    return [_read_file(place(file), start, stop, None, salvage) for file in (path, far)]


def _joined(sounds: list[Audio], path: object, far: object) -> Audio:
    if far is None:
        return sounds[0]
    return pair(*sounds, names=(str(path), str(far)))


def pair(near: ArrayLike, far: ArrayLike, *, names: tuple[str, str] = ("near", "far")) -> Audio:
    """Make one two-channel clip of two mono ones.

    Args:
        near: (samples,) or (1, samples).
        far: the same shape.
        names: what the two are called in an error message.

    Returns:
        float32, (2, samples).

    Raises:
        AudioError: either has more than one channel or is no sound, or the lengths differ.

    >>> pair([0.1, 0.2], [0.0, 0.3]).shape
    (2, 2)
    """
    both = [_numbers(x, name) for name, x in zip(names, (near, far), strict=True)]
    for name, x in zip(names, both, strict=True):
        if x.ndim != 2 or x.shape[0] != 1:
            raise AudioError(f"{name}: shape {x.shape}, need one channel to make a pair")
    if both[0].shape != both[1].shape:
        raise AudioError(
            f"{names[0]} has {both[0].shape[1]} samples, {names[1]} has {both[1].shape[1]}: "
            "near and far must be recorded together; cut both to the same length"
        )
    return np.concatenate(both)


def to_order(audio: Audio, order: ChannelOrder) -> Audio:
    """Put the near microphone first.

    Args:
        audio: (channels, samples).
        order: which channel of `audio` is near; a mono clip is returned as it is.

    Raises:
        AudioError: a channel that `audio` has not.
        SettingError: `order` is neither `near-far` nor `far-near` nor two numbers.
    """
    if isinstance(order, tuple):
        return np.ascontiguousarray(audio[_chosen(audio.shape[0], order, "audio")])
    check_order(order)
    # A copy, since torch takes no array with a negative step.
    return np.ascontiguousarray(audio[::-1]) if order == "far-near" else audio


def from_array(
    audio: ArrayLike, sample_rate: float, *, order: ChannelOrder = "near-far", name: str = "audio"
) -> Audio:
    """Bring an array somebody recorded into our form.

    Args:
        audio: (channels, samples), or (samples,) for mono; integers are scaled by their full scale.
        sample_rate: rate of `audio` in Hz.
        order: which channel is the near microphone.
        name: what the sound is called in an error message.

    Returns:
        float32, (channels, samples) at `SAMPLE_RATE`.

    Raises:
        AudioError: wrong shape, not numbers, or a sample rate outside 1 kHz to 1 MHz.
        SettingError: an unknown `order`.

    >>> from_array(np.array([0, 16384], np.int16), 16_000)
    array([[0. , 0.5]], dtype=float32)
    """
    x = _numbers(audio, name)
    # soundfile and scipy read (samples, channels): said, never turned round in silence.
    if x.ndim != 2 or (x.shape[0] > 2 and not isinstance(order, tuple)):
        hint = "; transpose it" if x.ndim == 2 and x.shape[1] <= 2 else ""
        raise AudioError(f"{name}: shape {np.shape(audio)}, need (channels, samples) with 1 or 2 "
                         f"channels{hint}")  # fmt: skip
    check_rate(sample_rate, name)
    # Chosen first: of eight channels only two are resampled. The samples are the same either way.
    return _resample(to_order(x, order), sample_rate, SAMPLE_RATE)


def check(audio: Audio, *, name: str, channels: int = 2) -> Audio:
    """Refuse what no system can judge; return the channels the system hears.

    Args:
        audio: (channels, samples) at `SAMPLE_RATE`.
        name: what the clip is called in an error message.
        channels: how many channels the system needs; 1 takes the near one of two.

    Returns:
        `audio[:channels]`.

    Raises:
        AudioError: too few or more than two channels, shorter than `SHORTEST`, not finite,
            digitally silent. Channels that the system does not hear are not judged.
    """
    if audio.ndim != 2 or audio.shape[0] > 2:
        raise AudioError(f"{name}: shape {audio.shape}, need (channels, samples), 1 or 2 channels")
    if audio.shape[0] < channels:
        raise AudioError(
            f"{name}: {audio.shape[0]} channel, need {channels} (near, far); "
            "give two mono files as x_near.wav and x_far.wav, or pair them with --pair "
            "'NEAR=*_L.wav,FAR=*_R.wav', or use a near-only system (-s logmel)"
        )
    heard = audio[:channels]
    if heard.shape[1] < SHORTEST * SAMPLE_RATE:
        raise AudioError(f"{name}: {heard.shape[1] / SAMPLE_RATE:.3f} s, need at least "
                         f"{SHORTEST:g} s; leave it out with --skip-bad")  # fmt: skip
    _refuse_unusable(heard, name)
    return heard


def _refuse_unusable(heard: Audio, name: str) -> None:
    """Stop at a channel that is not finite, not scaled to 1, or silent."""
    # Two reductions without a temporary: NaN and ±inf both survive a minimum or a maximum.
    low, high = heard.min(axis=1), heard.max(axis=1)
    for channel, (lowest, highest) in enumerate(zip(low, high, strict=True)):
        which = ("near", "far")[channel]
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise AudioError(f"{name}: the {which} channel has NaN or infinite samples; "
                             "record it again or leave it out with --skip-bad")  # fmt: skip
        if max(-lowest, highest) > LOUDEST:
            raise AudioError(f"{name}: the {which} channel has samples up to "
                             f"{max(-lowest, highest):.3g}, full scale is 1; "
                             "divide by the recorder's full scale")  # fmt: skip
        if lowest == highest:  # any constant: a dead microphone may have an offset
            raise AudioError(
                f"{name}: the {which} channel is digitally silent (every sample {lowest + 0.0:g}); "
                "check the microphone or leave the clip out with --skip-bad"
            )


def write(path: str | os.PathLike[str], audio: Audio, sample_rate: int = SAMPLE_RATE) -> None:
    """Write a WAV file with float samples: nothing is clipped or rounded.

    Args:
        path: of the file; it appears whole or not at all.
        audio: (channels, samples) float32.
        sample_rate: in Hz.

    Raises:
        StorageError: the file cannot be written.
    """
    content = encode(audio, "FLOAT", sample_rate)
    with atomic_file(Path(path)) as file:
        file.write(content)


def encode(audio: Audio, subtype: str, sample_rate: int = SAMPLE_RATE) -> bytes:
    """(channels, samples) as the bytes of a WAV file, `subtype` "PCM_16" or "FLOAT".

    The same sound gives the same bytes: libsndfile stamps the time into float files.
    """
    import io

    buffer = io.BytesIO()
    if subtype == "FLOAT":
        from scipy.io import wavfile  # libsndfile's PEAK chunk has the time of writing

        wavfile.write(buffer, sample_rate, np.asarray(audio.T, dtype=np.float32))
    else:
        import soundfile

        soundfile.write(buffer, audio.T, sample_rate, subtype=subtype, format="WAV")
    return buffer.getvalue()


def duration(path: str | os.PathLike[str], *, salvage: bool = False) -> float:
    """Length of an audio file in seconds, from its header; no sound is read.

    Raises:
        AudioError: as `read`; `salvage` is as there.
    """
    source = open_source(place(path), salvage=salvage)
    return source.frames / source.rate


def extent(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Samples of each channel, channels and rate in Hz of an audio file; no sound is read.

    Raises:
        AudioError: as `duration`.
    """
    source = open_source(place(path))
    return source.frames, source.channels, source.rate


def channels(path: str | os.PathLike[str]) -> int:
    """How many channels an audio file has, from its header.

    Raises:
        AudioError: as `duration`.
    """
    return open_source(place(path)).channels


def _numbers(audio: ArrayLike, name: str) -> Audio:
    """Anything like an array → float32, at least two dimensions; integers by their full scale."""
    try:
        x = np.atleast_2d(np.asarray(audio))
    except ValueError:
        raise AudioError(f"{name}: channels of different lengths, need equal ones") from None
    if x.dtype.kind in "iu":
        info = np.iinfo(x.dtype)
        # Unsigned samples, as in 8-bit WAV files, lie around the middle of their range.
        middle = 0 if x.dtype.kind == "i" else (info.max + 1) // 2
        x = (x.astype(np.float64) - middle) / (info.max + 1 - middle)
    elif x.dtype.kind not in "fb":
        raise AudioError(f"{name}: samples of type {x.dtype}, need numbers")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf, and `check` names it
        return np.ascontiguousarray(x, dtype=np.float32)


def _read_file(
    path: Path, start: float, stop: float | None, order: ChannelOrder | None, salvage: bool
) -> tuple[Audio, int, str]:
    """The file's own samples, near first, its rate in Hz, and what is missing of it."""
    if not (0 <= start < (math.inf if stop is None else stop)):
        raise SettingError(f"{path}: part from {start} s to {stop} s; need 0 <= start < stop")
    source = open_source(path, salvage=salvage)
    chosen = _chosen(source.channels, order, path)
    first, last = _span(path, start, stop, source.frames, source.rate)
    return np.ascontiguousarray(source.read(first, last, chosen)), source.rate, source.fault


def _chosen(count: int, order: ChannelOrder | None, name: str | Path) -> list[int] | slice:
    """Which channels of several are near and far, counted from 0; None is as they lie."""
    if isinstance(order, tuple):
        check_order(order)
        if max(order) > count:
            raise AudioError(f"{name}: {count} channel{'s' if count > 1 else ''}, "
                             f"no channel {max(order)}")  # fmt: skip
        return [channel - 1 for channel in order]
    if order is not None:
        check_order(order)
    if count > 2:
        raise AudioError(f"{name}: {count} channels; say which with --near N --far M")
    return slice(None, None, -1) if order == "far-near" else slice(None)


def check_order(order: ChannelOrder) -> None:
    """Refuse what is neither an order nor two different channels, counted from 1; SettingError."""
    if isinstance(order, tuple):
        # A bool is an int to Python, and no channel.
        numbers = len(order) == 2 and all(type(n) is int and n >= 1 for n in order)
        if not numbers or order[0] == order[1]:
            raise SettingError(f"channels {order!r}; near and far are two different numbers, "
                               "counted from 1")  # fmt: skip
    elif order not in ("near-far", "far-near"):
        raise SettingError(f"channel order {order!r}; it is 'near-far', 'far-near' or two numbers")


def _span(path: Path, start: float, stop: float | None, frames: int, rate: int) -> tuple[int, int]:
    """Seconds → the first sample and the one after the last."""
    first = frames if start * rate >= frames else round(start * rate)
    # frames + 1: past the end is past the end, and an infinite product cannot be rounded.
    last = frames if stop is None else round(min(stop * rate, frames + 1.0))
    if first >= frames or last <= first:
        raise AudioError(f"{path}: no samples" + (f" after {start:g} s" if start else ""))
    if last > frames:
        raise AudioError(f"{path}: ends at {frames / rate:g} s, before {stop:g} s; "
                         "correct the part that is asked for")  # fmt: skip
    return first, last


def _resample(audio: Audio, rate: float, wanted: int) -> Audio:
    if rate == wanted:
        return audio
    import soxr

    if rate < SAMPLE_RATE:
        warn(
            f"recordings at {rate:g} Hz have nothing above {rate / 2:g} Hz; fit on and score "
            "recordings of one sample rate"
        )
    return np.ascontiguousarray(soxr.resample(audio.T, rate, wanted, "HQ").T, dtype=np.float32)


def digest_of(audio: Audio) -> str:
    """sha256 of a sound, hexadecimal."""
    # The shape first: the same bytes as one channel or as two are two sounds.
    state = hashlib.sha256(str(audio.shape).encode())
    for channel in audio:
        state.update(np.ascontiguousarray(channel).data)
    return state.hexdigest()
