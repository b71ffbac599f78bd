"""The floor: the mean log-mel spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.contract import Rows32
from nearfar.errors import SettingError
from nearfar.parts.data import unsaved_as
from nearfar.parts.valid import whole
from nearfar.sound.audio import SAMPLE_RATE, Audio
from nearfar.sound.spectral import Float32, log_mel


@dataclass(frozen=True)
class LogMel:
    """Mean over time of the log-mel spectrum in dB: the floor that every system must beat.

    Its bands are those of the official DCASE baseline. A row says how the sound is spread over
    them, not how loud it is: gain and a constant added to the samples change nothing.
    Without `invariant`, as in detectors of before it was there, they do.

    >>> hiss = np.random.default_rng(0).standard_normal((1, 16_000), np.float32)
    >>> first, second = LogMel(n_mels=40)([hiss, hiss / 10 + 0.04])
    >>> len(first), np.allclose(first, second, atol=1e-3)
    (40, True)
    """

    n_mels: int = 128  # bands from 0 to 8 kHz
    n_fft: int = 1024  # samples
    hop: int = 512  # samples
    # Out of the repr, which is part of the first caches' keys: the fingerprint tells them apart.
    invariant: bool = field(default=True, repr=False, metadata=unsaved_as(False))

    channels: ClassVar[int] = 1

    def __post_init__(self) -> None:
        whole("LogMel.n_mels", self.n_mels, 1, 1024)
        whole("LogMel.n_fft", self.n_fft, 1, SAMPLE_RATE)
        whole("LogMel.hop", self.hop, 1, SAMPLE_RATE)
        if not isinstance(self.invariant, bool):
            raise SettingError(f"LogMel.invariant is {self.invariant!r}; it is True or False")

    @property
    def dim(self) -> int:
        """One number a mel band."""
        return self.n_mels

    @property
    def fingerprint(self) -> str:
        """Another one whenever the same audio would give other numbers."""
        return "logmel-2" if self.invariant else "logmel-1"

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(1, samples) each → (batch, n_mels), dB; if `invariant`, about their mean."""
        return np.stack([self._row(audio[0]) for audio in audios]).astype(np.float32)

    def _row(self, channel: Float32) -> NDArray[np.floating]:
        sound = _levelled(channel) if self.invariant else channel
        mels = log_mel(sound, n_fft=self.n_fft, hop=self.hop, n_mels=self.n_mels)
        row: NDArray[np.floating] = mels.mean(axis=1)
        return row - float(row.mean(dtype=np.float64)) if self.invariant else row


def _levelled(channel: Float32) -> Float32:
    """Without its mean and of rms 1, so that the floor of the logarithm is relative too."""
    exact = channel.astype(np.float64)
    exact -= exact.mean()
    level = float(np.sqrt(np.mean(exact**2)))
    # Of a constant only rounding is left, which must not be blown up to a sound.
    constant = level <= np.finfo(np.float32).eps * float(np.abs(channel).max())
    levelled: Float32 = (exact * 0 if constant else exact / level).astype(np.float32)
    return levelled
