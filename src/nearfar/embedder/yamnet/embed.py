"""YAMNet-256 as an embedder: plain frozen data that can be named, saved and compared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from nearfar.embedder.contract import Rows32
from nearfar.embedder.weights import CONFIG, TENSORS
from nearfar.embedder.yamnet.layers import DIM, MELS
from nearfar.embedder.yamnet.melspectrum import HIGHEST, LOWEST, log_mels, scaled
from nearfar.embedder.yamnet.weights import YAMNetWeights, network, open_weights
from nearfar.errors import AudioError, SettingError
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.sound.audio import Audio
from nearfar.sound.fbank import group_edges
from nearfar.sound.spectral import Float32

REVISION = 1  # raised when the same weights would give other numbers
SCALES = ("peak", "none")


@dataclass(frozen=True)
class YAMNet:
    """YAMNet-256, trained on AudioSet by Google, published by STMicroelectronics, as an embedder.

    A clip goes through the network whole; its row is the mean over the grid's columns and bands,
    the network's own pooling. It takes some 17 ms for 10 s and needs neither torch nor TensorFlow.

    Args:
        weights: folder with `config.json` and `model.safetensors`, which `nearfar weights convert`
            makes of `yamnet_256_f32.h5`.
        scale: "peak" hears each clip with a peak of 1, so that gain changes nothing; "none" as loud
            as it is.

    Raises:
        SettingError: a setting with an impossible value.

    Weights are looked for when they are needed first.

    >>> YAMNet("a folder")
    YAMNet(weights='a folder', scale='peak')
    """

    weights: str
    scale: Literal["peak", "none"] = "peak"

    channels: ClassVar[int] = 1  # which one, a front end decides
    dim: ClassVar[int] = DIM
    grid_bands: ClassVar[int] = 8  # of 8 mel bands each
    grid_hertz: ClassVar[tuple[float, ...]] = group_edges(8, MELS, LOWEST, HIGHEST)
    grid_dim: ClassVar[int] = DIM

    def __post_init__(self) -> None:
        if not isinstance(self.weights, str | os.PathLike) or not os.fspath(self.weights):
            raise SettingError(f"YAMNet.weights is {self.weights!r}; give a folder")
        # A path becomes text: settings are saved as JSON, and two of one place are equal.
        object.__setattr__(self, "weights", os.fspath(self.weights))
        if self.scale not in SCALES:
            raise SettingError(f"YAMNet.scale is {self.scale!r}; it is 'peak' or 'none'")

    @property
    def fingerprint(self) -> str:
        """The weights' hash and every setting but the place where they lie."""
        return f"yamnet-{REVISION}|{self.opened().fingerprint}|{self.identity}"

    @property
    def identity(self) -> str:
        """The settings, without the place where the weights lie: what a cache knows it by."""
        return f"scale={self.scale}"

    @property
    def files(self) -> dict[str, Path]:
        """What a copy of the weights consists of: name in a folder → file."""
        tensors = self.opened().path
        return {TENSORS: tensors, CONFIG: tensors.parent / CONFIG}

    def check(self, runtime: Runtime) -> None:
        """Refuse what cannot run here, before any clip is read.

        Raises:
            WeightsError: no weights there, or not YAMNet-256's.
        """
        self.opened()

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(1, samples) float32 each, at 16 kHz → (batch, 256): the mean over the grid.

        Raises:
            WeightsError: no weights there, or not YAMNet-256's.
            AudioError: not one channel, shorter than 0.975 s, or not finite.
        """
        # One clip at a time, for a matrix product of another shape rounds otherwise.
        rows = [self._grid(audio).mean(axis=(0, 1), dtype=np.float64) for audio in audios]
        return np.asarray(rows, np.float32).reshape(-1, DIM)

    def tokens(self, audios: Sequence[Audio], runtime: Runtime | None = None) -> Float32:
        """The same as `grid`: a convolution has no other order of its numbers."""
        return self.grid(audios, runtime)

    def grid(self, audios: Sequence[Audio], runtime: Runtime | None = None) -> Float32:
        """The grids of clips of one length.

        Returns:
            (batch, columns, 8, 256): a column every 80 ms, bands from low to high.

        Raises:
            SettingError: clips of different lengths, which have different numbers of columns.
        """
        grids = [self._grid(audio) for audio in audios]
        lengths = sorted({len(grid) for grid in grids})
        if len(lengths) != 1:
            raise SettingError(
                f"tokens of clips of {lengths} columns; give at least one, and one length at a time"
            )
        return np.stack(grids)

    def grids(self, audios: Sequence[Audio], runtime: Runtime) -> list[Float32]:
        """(1, samples) each → (columns, 8, 256) each, bands from low to high."""
        return [self._grid(audio) for audio in audios]

    def _grid(self, audio: Audio) -> Float32:
        """(1, samples) → (columns, 8, 256)."""
        hears = network(self.opened())  # first, for it says what is missing
        if audio.ndim != 2 or len(audio) != 1:
            raise AudioError(f"audio of shape {audio.shape}; YAMNet hears one, (1, samples)")
        channel = np.ascontiguousarray(audio[0], np.float32)
        # Before a ReLU, which could hide it.
        if not np.isfinite(channel).all():
            raise AudioError("audio with NaN or infinite samples; record it again")
        with one_thread():  # the same bits on any number of cores
            return hears(log_mels(scaled(channel) if self.scale == "peak" else channel))

    def opened(self) -> YAMNetWeights:
        """The weights, looked at and whole."""
        return open_weights(self.weights)
