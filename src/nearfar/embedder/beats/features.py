"""BEATs' front end: one channel → the normalised log mel spectrogram that the encoder reads.

Kaldi's defaults, on samples of 16 bits: another window, another level and another scaling than
EAT's, nothing padded and no length fixed. Frames that fill no patch are not heard.
"""

from __future__ import annotations

import numpy as np

from nearfar.errors import AudioError
from nearfar.sound.fbank import fbank, n_frames, povey
from nearfar.sound.spectral import HOP, SAMPLE_RATE, Float32

PATCH = 16  # frames and mel bands that one token covers
MAX_FRAMES = 12_288  # 2 min 3 s: attention's scores grow with the square of a clip's length
LEVEL = np.float32(2**15)  # of full scale, as samples of 16 bits have it
MEAN, SD = 15.41663, 6.55582  # of AudioSet's log mel values
SCALE = 2 * SD  # what it is divided by: AudioSet gets a standard deviation of one half


def frames_of(samples: int) -> int:
    """How many frames of a clip are heard: whole patches of 16.

    Args:
        samples: length of the clip at 16 kHz.

    Raises:
        AudioError: shorter than one patch, 175 ms, or longer than the encoder's memory allows.

    >>> frames_of(160_000)  # of 998
    992
    """
    heard = n_frames(samples) // PATCH * PATCH
    if not heard:
        raise AudioError(f"{samples} samples; BEATs needs at least 2,800, 175 ms")
    if heard > MAX_FRAMES:
        raise AudioError(
            f"{samples / SAMPLE_RATE:.1f} s are {heard} frames, BEATs reads {MAX_FRAMES} at most; "
            "cut the clip"
        )
    return heard


def features(channel: Float32) -> Float32:
    """The normalised log mel spectrogram that BEATs reads, all whole frames of it.

    Args:
        channel: (samples,) at 16 kHz, full scale 1.0; not changed.

    Returns:
        float32, (1 + (samples - 400) // 160, 128), about zero mean and standard deviation 0.5 on
        AudioSet.

    Raises:
        AudioError: not one channel, or shorter than 25 ms.

    Source: Chen et al., BEATs, ICML 2023, and its published feature extraction (MIT).
    """
    if channel.ndim != 1:
        raise AudioError(f"audio of shape {channel.shape}; BEATs hears one channel")
    mel = fbank(channel * LEVEL, shape=povey(), exact=True)
    mel -= np.float32(MEAN)
    mel /= np.float32(SCALE)
    return mel


def heard(channel: Float32) -> Float32:
    """The frames of `features` that fill patches; the others are not computed.

    Raises:
        AudioError: see `frames_of` and `features`.
    """
    used = frames_of(channel.shape[-1])
    return features(channel[..., : (used - 1) * HOP + 400])


def fitted(mel: Float32) -> Float32:
    """Of all frames of a clip those that fill patches."""
    return mel[: len(mel) // PATCH * PATCH]


def cut(mel: Float32, first: int, last: int) -> Float32:
    """Of a clip's log-mel what is heard of some of its samples: whole patches, one at least.

    It is the log-mel of the cut sound but for the start, which is rounded to a frame, 10 ms.

    Args:
        mel: (frames, 128), what `features` gave for the whole clip.
        first: sample of the clip.
        last: the first one that is not heard any more.
    """
    own = max(PATCH, n_frames(last - first) // PATCH * PATCH)
    start = min(round(first / HOP), len(mel) - own)  # of one column the last frames may be missing
    return mel[start : start + own]
