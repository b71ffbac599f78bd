"""The floor: the mean log-mel spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nearfar.embedder.contract import Rows32
from nearfar.parts.valid import whole
from nearfar.sound.audio import SAMPLE_RATE, Audio
from nearfar.sound.spectral import log_mel


@dataclass(frozen=True)
class LogMel:
    """Mean over time of the log-mel spectrum in dB: the floor that every system must beat.

    The defaults are the front end of the official DCASE baseline.

    >>> LogMel(n_mels=40)([np.zeros((1, 16_000), np.float32)]).shape
    (1, 40)
    """

    n_mels: int = 128  # bands from 0 to 8 kHz
    n_fft: int = 1024  # samples
    hop: int = 512  # samples

    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "logmel-1"  # raised when the same audio would give other numbers

    def __post_init__(self) -> None:
        whole("LogMel.n_mels", self.n_mels, 1, 1024)
        whole("LogMel.n_fft", self.n_fft, 1, SAMPLE_RATE)
        whole("LogMel.hop", self.hop, 1, SAMPLE_RATE)

    @property
    def dim(self) -> int:
        """One number a mel band."""
        return self.n_mels

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(1, samples) each → (batch, n_mels), dB."""
        return np.stack(
            [
                log_mel(a[0], n_fft=self.n_fft, hop=self.hop, n_mels=self.n_mels).mean(axis=1)
                for a in audios
            ]
        ).astype(np.float32)
