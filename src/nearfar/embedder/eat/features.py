"""EAT's front end: one channel → the normalised log mel spectrogram that the encoder reads.

The order matters and is the published one: the clip's mean goes first, zeros are appended to the
log mel spectrogram, and only then is it normalised, so that padding is not 0 but `PADDING`.
No mask tells the encoder which frames are padding; it attends to all of them.
"""

from __future__ import annotations

import numpy as np

from nearfar.errors import AudioError, SettingError, warn
from nearfar.sound.fbank import FRAME, N_MELS, fbank, n_frames
from nearfar.sound.spectral import HOP, SAMPLE_RATE, Float32

PATCH = 16  # frames and mel bands that one token covers
MAX_FRAMES = 12_288  # as far as the encoder's positions reach, 2 min 3 s
MEAN, SD = -4.268, 4.569  # of AudioSet's log mel values
SCALE = 2 * SD  # what it is divided by: AudioSet gets a standard deviation of one half
PADDING = (0 - MEAN) / SCALE  # +0.467, a normalised frame that was appended


def check_frames(frames: int | None) -> None:
    """Refuse a number of frames that the encoder cannot read.

    Raises:
        SettingError: neither None nor a whole number of patches from 16 to 12,288 frames.
    """
    if frames is None:
        return
    if not isinstance(frames, int) or frames % PATCH or not PATCH <= frames <= MAX_FRAMES:
        raise SettingError(
            f"frames {frames!r}; take a multiple of {PATCH} from {PATCH} to {MAX_FRAMES}, such as "
            "1024 (10.3 s), or None for each clip's own length"
        )


def frames_of(samples: int, frames: int | None = None) -> int:
    """How many frames `features` gives for a clip, without computing them.

    Args:
        samples: length of the clip at 16 kHz.
        frames: as in `features`.

    Raises:
        AudioError: the clip is shorter than 25 ms, or with frames=None too long for the encoder.
        SettingError: see `check_frames`.

    >>> frames_of(160_000), frames_of(160_000, 1024)
    (1008, 1024)
    """
    check_frames(frames)
    own = n_frames(samples)
    if not own:
        raise AudioError(f"{samples} samples; EAT needs at least {FRAME}, 25 ms")
    if frames is None and own > MAX_FRAMES:
        raise AudioError(
            f"{samples / SAMPLE_RATE:.1f} s are {own} frames, EAT reads {MAX_FRAMES} at most; "
            f"cut the clip, or keep its start with frames={MAX_FRAMES}"
        )
    return -(-own // PATCH) * PATCH if frames is None else frames


def features(channel: Float32, frames: int | None = None) -> Float32:
    """The normalised log mel spectrogram that EAT reads.

    Args:
        channel: (samples,) at 16 kHz, full scale 1.0; not changed.
        frames: length to pad or to cut to, in frames of 10 ms; None rounds the clip's own number
            up to a multiple of 16.

    Returns:
        float32, (frames, 128), about zero mean and standard deviation 0.5 on AudioSet.

    Raises:
        AudioError: not one channel, shorter than 25 ms, or with frames=None longer than 12,288
            frames.
        SettingError: see `check_frames`.

    Source: Chen et al., EAT, IJCAI 2024, and its published feature extraction.
    """
    if channel.ndim != 1:
        raise AudioError(f"audio of shape {channel.shape}; EAT hears one channel")
    total = frames_of(len(channel), frames)
    own = n_frames(len(channel))
    if own > total:
        warn(
            f"clips longer than {total} frames ({total * HOP / SAMPLE_RATE:.1f} s) are cut; "
            "frames=None keeps all of them"
        )
    used = min(own, total)
    centred = channel[: FRAME + (used - 1) * HOP] - np.float32(channel.mean(dtype=np.float64))
    mel = np.empty((total, N_MELS), np.float32)
    fbank(centred, out=mel[:used])
    mel[used:] = 0  # before normalising, as in training
    mel -= np.float32(MEAN)
    mel /= np.float32(SCALE)
    return mel


def fitted(mel: Float32, frames: int | None) -> Float32:
    """A clip's log-mel at another length, as `features` would have made it.

    Args:
        mel: (own frames, 128), what `features` gave at the clip's own length.
        frames: as in `features`; None leaves it as it is.
    """
    if frames is None or len(mel) == frames:
        return mel
    found = np.full((frames, N_MELS), PADDING, np.float32)
    used = min(len(mel), frames)
    found[:used] = mel[:used]
    return found


def cut(mel: Float32, first: int, last: int) -> Float32:
    """Of a clip's log-mel what stands for some of its samples, padded to whole patches.

    It differs from the log-mel of the cut sound in two ways. The start is rounded to a frame, 10
    ms. And the mean that is taken off is the whole clip's, an effect of some 2e-6, since each frame
    loses its own mean anyway.

    Args:
        mel: (frames, 128), what `features` gave at the clip's own length.
        first: sample of the clip.
        last: the first one that is not heard any more.
    """
    own = n_frames(last - first)
    start = round(first / HOP)  # even if rounded up, `own` whole frames follow
    part = np.full((-(-own // PATCH) * PATCH, N_MELS), PADDING, np.float32)
    part[:own] = mel[start : start + own]
    return part
