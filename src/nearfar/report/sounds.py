"""Sounds inside a page: clips as FLAC in data URLs, all of a page at one gain."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import SAMPLE_RATE

LOUDEST = 0.89  # of full scale, about −1 dB: some players clip what resampling lifts above
# Of every page, in the order of its buttons and keys.
SOUNDS = {"near": "near microphone", "far": "far microphone", "heard": "what the system heard",
          "normal": "nearest normal clip"}  # fmt: skip
QUIETEST = 1e-6  # a peak below is silence, and is not made loud


@dataclass(frozen=True)
class Track:
    """One sound of a player.

    >>> Track("near", "near microphone", "data:audio/flac;base64,", 10.0).name
    'near'
    """

    name: str  # colour and key, as "near"
    label: str  # what its button says
    url: str  # the sound itself
    seconds: float


def tracks(sounds: Mapping[str, tuple[str, NDArray[np.float32]]]) -> list[Track]:
    """Sounds that are heard against each other: one gain for all, so that louder is louder.

    Args:
        sounds: name → (label, (samples,) at 16 kHz).
    """
    gain = common_gain([audio for _, audio in sounds.values()])
    return [
        Track(name, label, url(gain * audio), len(audio) / SAMPLE_RATE)
        for name, (label, audio) in sounds.items()
    ]


def common_gain(sounds: Sequence[NDArray[np.float32]]) -> float:
    """What brings the loudest of them to just below full scale.

    >>> common_gain([np.array([0.0, -0.445], np.float32)]).__round__(3)
    2.0
    """
    peak = max((float(np.max(np.abs(audio), initial=0.0)) for audio in sounds), default=0.0)
    return LOUDEST / peak if peak > QUIETEST else 1.0


def url(audio: NDArray[np.float32]) -> str:
    """(samples,) at 16 kHz as a data URL of `flac`."""
    return "data:audio/flac;base64," + base64.b64encode(flac(audio)).decode()


def flac(audio: NDArray[np.float32]) -> bytes:
    """(samples,) at 16 kHz as a FLAC with 16 bits, half the size of a WAV."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
