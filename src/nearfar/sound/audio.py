"""Sound in and out of files as float32 `(channels, samples)`, channel 0 near, channel 1 far.

Files are WAV (PCM 16, 24, 32 bit, float) or FLAC, one or two channels, any sample rate: they are
resampled once, here. A clip that cannot be used stops the job with one line (law 5); nothing is
repaired in silence.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.errors import AudioError, SettingError, first_line, warn
from nearfar.files import atomic_file
from nearfar.sound.recorded import Recorded

Audio = NDArray[np.float32]
# Two numbers are the channels of near and far in a file of several, counted from 1.
ChannelOrder = Literal["near-far", "far-near"] | tuple[int, int]

SAMPLE_RATE = 16_000  # Hz; every number in the report is at this rate (§3.1)
LOUDEST = 1e9  # times full scale; even 32-bit integers taken for floats stay below
SHORTEST = 1.0  # s; a feature needs some frames to have a spread
SUFFIXES = (".wav", ".flac")  # lossless ones only: codecs remove what ears do not miss
_RATES = (1_000, 1_000_000)  # Hz; a header outside is damaged, and 1 Hz would become gigabytes
_STREAMED = 0x7FFF_0000  # bytes; from here on a WAV header means "length not known when I began"


def read(
    path: str | os.PathLike[str],
    far: str | os.PathLike[str] | None = None,
    *,
    start: float = 0.0,
    stop: float | None = None,
    order: ChannelOrder = "near-far",
    sample_rate: int = SAMPLE_RATE,
) -> Audio:
    """Read one clip.

    Args:
        path: WAV or FLAC file; with `far` given it is the near microphone's mono file.
        far: the far microphone's mono file, when near and far are two files.
        start: first second of the part to read.
        stop: end of the part to read, in seconds; `None` reads to the end.
        order: which channel of a two-channel file is the near microphone.
        sample_rate: rate of the result in Hz; files at other rates are resampled (soxr, HQ).

    Returns:
        float32, (channels, samples), full scale ±1; channel 0 near, channel 1 far.

    Raises:
        AudioError: missing, empty, truncated, not audio, more than two channels,
            no samples between `start` and `stop`, or a file that ends before `stop`.
        SettingError: not 0 <= start < stop, or an unknown `order`.

    Whether the sound can be judged (finite, long enough, not silent) is what `check` says.
    """
    return read_recorded(path, far, start=start, stop=stop, order=order, sample_rate=sample_rate)[0]


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
    if far is None:
        found = to_order(_read_file(Path(path), start, stop, sample_rate), order)
        return found, Recorded(sample_rate)
    # Of two files it is said which is near; `order` is about the channels of one.
    near_audio = _read_file(Path(path), start, stop, sample_rate)
    both = pair(
        near_audio, _read_file(Path(far), start, stop, sample_rate), names=(str(path), str(far))
    )
    return both, Recorded(sample_rate)


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
        SettingError: `order` is neither `near-far` nor `far-near`.
    """
    if order not in ("near-far", "far-near"):
        raise SettingError(f"channel order {order!r}; it is 'near-far' or 'far-near'")
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
    if x.ndim != 2 or x.shape[0] > 2:
        hint = "; transpose it" if x.ndim == 2 and x.shape[1] <= 2 else ""
        raise AudioError(f"{name}: shape {np.shape(audio)}, need (channels, samples) with 1 or 2 "
                         f"channels{hint}")  # fmt: skip
    _check_rate(sample_rate, name)
    return to_order(_resample(x, sample_rate, SAMPLE_RATE), order)


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
            "give two mono files as x_near.wav and x_far.wav, or use a near-only system (-s logmel)"
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
    low, high = heard.min(axis=1), heard.max(axis=1)  # (channels,) each
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
                f"{name}: the {which} channel is digitally silent (every sample {lowest:g}); "
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


def duration(path: str | os.PathLike[str]) -> float:
    """Length of an audio file in seconds, from its header.

    Raises:
        AudioError: missing, not audio, or a WAV file shorter than its header says.
    """
    with _open(Path(path)) as file:
        return float(file.frames / file.samplerate)


def channels(path: str | os.PathLike[str]) -> int:
    """How many channels an audio file has, from its header.

    Raises:
        AudioError: as `duration`.
    """
    with _open(Path(path)) as file:
        return int(file.channels)


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


def _check_rate(rate: Any, name: str | Path) -> None:
    lowest, highest = _RATES
    if not (isinstance(rate, int | float | np.number) and lowest <= rate <= highest):
        raise AudioError(f"{name}: sample rate {rate} Hz, need {lowest:,} to {highest:,}")


def _open(path: Path) -> Any:
    import soundfile

    if not os.path.isfile(path):  # unlike Path.is_file, never raises
        raise AudioError(f"{path}: no such file")
    try:
        _check_complete(path)
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError, UnicodeError) as error:
        raise AudioError(
            f"{path}: not a readable WAV or FLAC file ({_reason(error)}); "
            "record it again or leave it out with --skip-bad"
        ) from None
    if file.frames >= 2**62:  # libsndfile's "unknown": a FLAC stream cut off from its start
        file.close()
        raise AudioError(f"{path}: its header does not say how long it is; write the file again")
    return file


def _check_complete(path: Path) -> None:
    """Refuse an empty file, and a WAV file with less data than its header promises.

    libsndfile reads what is left of a truncated WAV file without a word.
    """
    size = path.stat().st_size
    if size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); record it again")
    with path.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":  # FLAC: a missing end is found in decoding
            return
        while len(head := file.read(8)) == 8:
            length = int.from_bytes(head[4:], "little")
            there = size - file.tell()
            if head[:4] != b"data":
                file.seek(length + length % 2, os.SEEK_CUR)  # chunks begin at even positions
            elif there < length < _STREAMED:
                raise AudioError(f"{path}: truncated, {there} of {length} bytes of sound are there")
            else:
                return


def _read_file(path: Path, start: float, stop: float | None, sample_rate: int) -> Audio:
    import soundfile

    if not (0 <= start < (math.inf if stop is None else stop)):
        raise SettingError(f"{path}: part from {start} s to {stop} s; need 0 <= start < stop")
    with _open(path) as file:
        if file.channels > 2:
            raise AudioError(f"{path}: {file.channels} channels, need 1 or 2 (near, far); "
                             "write the two microphones to a file of their own")  # fmt: skip
        rate = file.samplerate
        _check_rate(rate, path)
        first, last = _span(path, start, stop, file.frames, rate)
        try:
            file.seek(first)
            raw = file.read(last - first, dtype="float32", always_2d=True)  # (samples, channels)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(f"{path}: damaged or truncated ({_reason(error)})") from None
    if len(raw) < last - first:
        raise AudioError(f"{path}: truncated, {len(raw)} of {last - first} samples are there")
    return _resample(np.ascontiguousarray(raw.T), rate, sample_rate)


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


def _reason(error: Exception) -> str:
    """The first line of a library's message, without its prefix or the path."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error).strip()
    first = first_line(text) or type(error).__name__
    return first.rsplit(": ", 1)[-1].rstrip(".")


def digest_of(audio: Audio) -> str:
    """sha256 of a sound, hexadecimal."""
    # The shape first: the same bytes as one channel or as two are two sounds.
    state = hashlib.sha256(str(audio.shape).encode())
    for channel in audio:
        state.update(np.ascontiguousarray(channel).data)
    return state.hexdigest()
