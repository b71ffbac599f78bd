"""What encoders that run in torch have in common as embedders; nothing of it loads torch by itself.

torch is loaded when the first clip is encoded; `infer`, `engines` and `device`, and an encoder's
own `model`, `fast` and `convert`, import it and are themselves imported inside functions only.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.record import Training
from nearfar.embedder.weights import CONFIG, TENSORS, Weights
from nearfar.errors import AudioError, SettingError, WeightsError, needs
from nearfar.parts.valid import is_whole
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio
from nearfar.sound.fbank import group_edges

if TYPE_CHECKING:
    from nearfar.embedder.infer import Engine, Head, Precision

Float32 = NDArray[np.float32]

PRECISIONS = ("fp32", "bf16")


class Backbone(ABC):
    """An encoder as an embedder in two steps: log-mels in workers, tokens on a device.

    A class of its own for each encoder, a frozen dataclass, has `weights`, `pooling`, `layer` and
    `precision` among its fields and says how a clip is heard, how tokens are pooled and what it is
    called; and for a training, which computes a clip's log-mel once, how parts are cut of that.

    >>> from nearfar.embedder.eat import EAT
    >>> isinstance(EAT("a folder"), Backbone)
    True
    """

    weights: str
    pooling: str | None
    layer: int | None
    precision: Precision
    frames: int | None = None  # that each clip is brought to; None: its own length

    channels: ClassVar[int] = 1  # which one, a front end decides
    grid_bands: ClassVar[int] = 8  # of 16 mel bands each
    grid_hertz: ClassVar[tuple[float, ...]] = group_edges(8)
    leading: ClassVar[int] = 0  # tokens before those of the grid
    longest: ClassVar[int]  # samples that are heard at most

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """The weights' hash and every setting but the place where they lie."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """The settings, without the place where the weights lie: what a cache knows it by."""

    @property
    @abstractmethod
    def preparation(self) -> str:
        """What a log-mel depends on but the audio: never on the weights."""

    @abstractmethod
    def opened(self) -> Weights[Any]:
        """The weights, looked at and whole.

        Raises:
            WeightsError: not there, not whole, or another encoder's.
        """

    @abstractmethod
    def _heard(self, channel: Float32) -> Float32:
        """The normalised log-mel of (samples,), (frames, 128)."""

    @abstractmethod
    def _pooled(self) -> Head:
        """What makes one row of tokens where no trained head does."""

    @property
    @abstractmethod
    def mel_key(self) -> str:
        """What the log-mel that a training keeps of a clip depends on but its sound."""

    @abstractmethod
    def whole_mel(self, channel: Float32) -> Float32:
        """The log-mel of (samples,) that a training keeps, (frames, 128): crops are cut of it."""

    @abstractmethod
    def fitted(self, mel: Float32) -> Float32:
        """Of a kept log-mel what is heard of the clip as a whole."""

    @abstractmethod
    def cut(self, mel: Float32, first: int, last: int) -> Float32:
        """Of a kept log-mel what is heard of the samples from `first` on, `last` not among them."""

    @abstractmethod
    def check_length(self, samples: int) -> None:
        """Refuse a clip of which a training could hear nothing, or more than fits.

        Raises:
            AudioError: too short, or too long.
        """

    def _check_settings(self) -> None:
        """Refuse impossible settings, and make a path text.

        Raises:
            SettingError: which one, and what it is.
        """
        name = type(self).__name__
        if not isinstance(self.weights, str | os.PathLike) or not os.fspath(self.weights):
            raise SettingError(f"{name}.weights is {self.weights!r}; give a folder or a hub id")
        # A path becomes text: settings are saved as JSON, and two of one place are equal.
        object.__setattr__(self, "weights", os.fspath(self.weights))
        layer = self.layer
        if layer is not None and not is_whole(layer, 1):
            raise SettingError(
                f"{name}.layer is {layer!r}; it is a block's number from 1 up, or None"
            )
        if self.precision not in PRECISIONS:
            raise SettingError(f"{name}.precision is {self.precision!r}; it is 'fp32' or 'bf16'")

    @property
    def dim(self) -> int:
        """Numbers a clip: of the trained head's embedding, or of a token."""
        shape = self.opened().architecture  # read once for each state of the file
        return int(shape.projection[2] if self._trained else shape.dim)

    @property
    def _trained(self) -> bool:
        """Does the embedding come from the head that nearfar trained?"""
        # Any pooling by name means the tokens themselves, of trained weights, too.
        return self.pooling is None and self.opened().architecture.projection is not None

    @property
    def training(self) -> Training | None:
        """How nearfar trained the weights; None for published ones."""
        return Training.of(self.opened())

    @property
    def files(self) -> dict[str, Path]:
        """What a copy of the weights consists of: name in a folder → file."""
        tensors = self.opened().path
        config = tensors.parent / CONFIG  # what nearfar trained carries its config inside
        return {TENSORS: tensors} | ({CONFIG: config} if config.is_file() else {})

    def __call__(self, audios: Sequence[Audio]) -> Float32:
        """(1, samples) float32 each, at 16 kHz → (batch, dim).

        Raises:
            WeightsError: no weights there, or another encoder's.
            SettingError: no torch, a layer the encoder does not have, no memory.
            AudioError: too short for the encoder.
        """
        return self.encode([self.prepare(audio) for audio in audios], Runtime())

    def prepare(self, audio: Audio) -> Float32:
        """The log-mel of one clip, (frames, 128), normalised as the encoder was trained.

        Raises:
            AudioError: not one channel, too short, or not finite.
        """
        if audio.ndim != 2 or len(audio) != 1:
            raise AudioError(
                f"audio of shape {audio.shape}; {type(self).__name__} hears one channel, "
                "(1, samples)"
            )
        mel = self._heard(audio[0])  # (frames, 128)
        if not np.isfinite(mel).all():
            raise AudioError("audio with NaN or infinite samples; record it again")
        return mel

    def encode(self, mels: Sequence[Float32], runtime: Runtime) -> Float32:
        """(frames, 128) each → (batch, dim), on the runtime's device."""
        engine = self._engine(runtime)  # first, for it says what is missing where torch is
        head = engine.project if self._trained else self._pooled()
        rows = engine(mels, head, self.layer, runtime.batch_size)  # (batch, dim)
        if not np.isfinite(rows).all():
            raise WeightsError(
                f"{self.weights}: gives NaN or infinite numbers, so the weights are damaged; "
                "nearfar weights check, or download them again"
            )
        return rows

    def tokens(self, audios: Sequence[Audio], runtime: Runtime | None = None) -> Float32:
        """All tokens of clips of one length, in a row as the encoder has them; see `grid`.

        Returns:
            (batch, tokens, dim); patch p is time column p // 8, mel row p % 8. EAT has one token
            more, CLS, before them.

        Raises:
            SettingError: clips of different lengths, which have different numbers of tokens.
        """
        mels = [self.prepare(audio) for audio in audios]
        lengths = sorted({len(mel) for mel in mels})
        if len(lengths) != 1:
            raise SettingError(
                f"tokens of clips of {lengths} frames; give at least one, and one length at a time"
            )
        runtime = runtime or Runtime()
        return self._engine(runtime)(mels, lambda x, places=None: x, self.layer, runtime.batch_size)

    def grid(self, audios: Sequence[Audio], runtime: Runtime | None = None) -> Float32:
        """The same tokens where they lie in time and frequency, without CLS.

        Returns:
            (batch, columns, 8, dim): a column of 160 ms each, bands from low to high.

        Raises:
            SettingError: clips of different lengths, which have different numbers of columns.
        """
        tokens = self.tokens(audios, runtime)[:, self.leading :]  # (batch, columns · 8, dim)
        return tokens.reshape(len(tokens), -1, self.grid_bands, tokens.shape[2])

    @property
    def grid_dim(self) -> int:
        """Numbers a token, also where the weights have a head behind them."""
        return int(self.opened().architecture.dim)

    def grids(self, mels: Sequence[Float32], runtime: Runtime) -> list[Float32]:
        """(frames, 128) each → (columns, 8, dim) each, bands from low to high.

        Raises:
            WeightsError: weights that give NaN or infinite numbers.
        """
        engine = self._engine(runtime)

        def behind(tokens: Any, places: Any = None) -> Any:
            return tokens[:, self.leading :]

        found = []
        rows = engine.each(mels, behind, self.layer, runtime.batch_size)
        for mel, row in zip(mels, rows, strict=True):
            columns = len(mel) // 16  # frames of a column
            grid = row[: columns * self.grid_bands].reshape(columns, self.grid_bands, -1)
            if not np.isfinite(grid).all():
                raise WeightsError(
                    f"{self.weights}: gives NaN or infinite numbers, so the weights are damaged; "
                    "nearfar weights check, or download them again"
                )
            found.append(grid)
        return found

    def check(self, runtime: Runtime) -> None:
        """Refuse what cannot run here, before any clip is read; nothing is loaded.

        Raises:
            WeightsError: no weights there, or another encoder's; no torch.
            SettingError: a layer, device or precision that is not there.
        """
        shape, name = self.opened().architecture, type(self).__name__
        if self.layer is not None and self.layer > shape.depth:
            raise SettingError(f"{name}.layer is {self.layer}; {shape.name} has {shape.depth}")
        with needs("eat", f"{name} needs PyTorch", WeightsError):
            from nearfar.embedder.device import check_bf16, choose
        device = choose(runtime.device)
        if self.precision == "bf16":
            check_bf16(device)

    def _engine(self, runtime: Runtime) -> Engine:
        self.check(runtime)
        from nearfar.embedder.engines import engine

        return engine(self.opened(), self.precision, runtime.device)
