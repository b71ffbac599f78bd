"""EAT as an embedder: plain frozen data that can be named, saved and compared without torch.

torch is loaded when the first clip is encoded; `model`, `fast`, `infer`, `device` and `convert`
import it and are themselves imported inside functions only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.eat.features import check_frames, features
from nearfar.embedder.eat.record import Training
from nearfar.embedder.eat.weights import CONFIG, TENSORS, Weights, open_weights
from nearfar.errors import AudioError, SettingError, WeightsError, needs
from nearfar.parts.valid import is_whole
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio

if TYPE_CHECKING:
    from nearfar.embedder.eat.infer import Engine, Precision

Float32 = NDArray[np.float32]
Pooling = Literal["mean", "cls", "mean_all"]

REVISION = 1  # raised when the same weights would give other numbers
POOLINGS = ("mean", "cls", "mean_all")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class EAT:
    """The Efficient Audio Transformer (Chen et al., IJCAI 2024) as an embedder (report §2.2).

    Args:
        weights: folder with `config.json` and `model.safetensors`, one safetensors file, or a hub
            id such as `worstchan/EAT-large_epoch20_pretrain`.
        pooling: tokens → one row: "mean" over the patches, "cls" the first token, "mean_all" over
            both. None is what the weights say: "mean" for published ones, the trained head for
            those that nearfar fine-tuned.
        layer: behind which block, 1 to the encoder's depth; None is the last.
        frames: log-mel frames heard, a multiple of 16; shorter clips are padded, longer ones cut.
            None takes each clip's own length, rounded up.
        precision: "fp32", or "bf16", some five times as quick where the processor has it.

    Raises:
        SettingError: a setting with an impossible value.

    Weights are looked for, and torch is loaded, when they are needed first.

    >>> EAT("a folder", frames=1024)
    EAT(weights='a folder', pooling=None, layer=None, frames=1024, precision='fp32')
    """

    weights: str
    pooling: Pooling | None = None
    layer: int | None = None
    frames: int | None = None
    precision: Precision = "fp32"

    channels: ClassVar[int] = 1  # which one, a front end decides

    def __post_init__(self) -> None:
        if not isinstance(self.weights, str | os.PathLike) or not os.fspath(self.weights):
            raise SettingError(f"EAT.weights is {self.weights!r}; give a folder or a hub id")
        # A path becomes text: settings are saved as JSON, and two of one place are equal.
        object.__setattr__(self, "weights", os.fspath(self.weights))
        if self.pooling not in (None, *POOLINGS):
            raise SettingError(
                f"EAT.pooling is {self.pooling!r}; it is one of {', '.join(POOLINGS)}, or None"
            )
        layer = self.layer
        if layer is not None and not is_whole(layer, 1):
            raise SettingError(f"EAT.layer is {layer!r}; it is a block's number from 1 up, or None")
        if self.precision not in PRECISIONS:
            raise SettingError(f"EAT.precision is {self.precision!r}; it is 'fp32' or 'bf16'")
        check_frames(self.frames)

    @property
    def dim(self) -> int:
        """Numbers a clip: 1,024 for EAT-large, 256 for one that nearfar trained."""
        shape = self._opened().architecture  # read once for each state of the file
        return shape.projection[2] if shape.projection and self._trained else shape.dim

    @property
    def training(self) -> Training | None:
        """How nearfar trained the weights; None for published ones."""
        return Training.of(self._opened())

    @property
    def files(self) -> dict[str, Path]:
        """What a copy of the weights consists of: name in a folder → file."""
        tensors = self._opened().path
        config = tensors.parent / CONFIG  # what nearfar trained carries its config inside
        return {TENSORS: tensors} | ({CONFIG: config} if config.is_file() else {})

    @property
    def fingerprint(self) -> str:
        """The weights' hash and every setting but the place where they lie."""
        # As it stands it is in cache keys and detectors: another wording would leave both behind.
        return f"eat-{REVISION}|{self._opened().fingerprint}|{self.identity}"

    @property
    def identity(self) -> str:
        """The settings, without the place where the weights lie: what a cache knows it by."""
        return (
            f"pooling={self.pooling or self._default}, layer={self.layer}, frames={self.frames}, "
            f"precision={self.precision}"
        )

    @property
    def preparation(self) -> str:
        """What a log-mel depends on but the audio: never on the weights."""
        return f"eat-{REVISION} frames={self.frames}"

    def __call__(self, audios: Sequence[Audio]) -> Float32:
        """(1, samples) float32 each, at 16 kHz → (batch, dim).

        Raises:
            WeightsError: no weights there, or not an EAT's.
            SettingError: no torch, a layer the encoder does not have, no memory.
            AudioError: shorter than one frame of 25 ms.
        """
        return self.encode([self.prepare(audio) for audio in audios], Runtime())

    def prepare(self, audio: Audio) -> Float32:
        """The log-mel of one clip, (frames, 128), normalised as the encoder was trained.

        Raises:
            AudioError: not one channel, shorter than a frame, or not finite.
        """
        if audio.ndim != 2 or len(audio) != 1:
            raise AudioError(f"audio of shape {audio.shape}; EAT hears one channel, (1, samples)")
        mel = features(audio[0], self.frames)  # (frames, 128)
        if not np.isfinite(mel).all():
            raise AudioError("audio with NaN or infinite samples; record it again")
        return mel

    def encode(self, mels: Sequence[Float32], runtime: Runtime) -> Float32:
        """(frames, 128) each → (batch, dim), on the runtime's device."""
        engine = self._engine(runtime)  # first, for it says what is missing where torch is
        from nearfar.embedder.eat.infer import POOLING

        head = engine.project if self._trained else POOLING[self.pooling or "mean"]
        rows = engine(mels, head, self.layer, runtime.batch_size)  # (batch, dim)
        if not np.isfinite(rows).all():
            raise WeightsError(
                f"{self.weights}: gives NaN or infinite numbers, so the weights are damaged; "
                "nearfar weights check, or download them again"
            )
        return rows

    def tokens(self, audios: Sequence[Audio], runtime: Runtime | None = None) -> Float32:
        """All tokens of clips of one length, CLS first.

        Returns:
            (batch, 1 + patches, dim); patch p is time column p // 8, mel row p % 8.

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
        return self._engine(runtime)(mels, lambda x: x, self.layer, runtime.batch_size)

    def check(self, runtime: Runtime) -> None:
        """Refuse what cannot run here, before any clip is read; nothing is loaded.

        Raises:
            WeightsError: no weights there, or not an EAT's; no torch.
            SettingError: a layer, device or precision that is not there.
        """
        weights = self._opened()
        depth = weights.architecture.depth
        if self.layer is not None and self.layer > depth:
            raise SettingError(
                f"EAT.layer is {self.layer}; {weights.architecture.name} has {depth}"
            )
        with needs("eat", "EAT needs PyTorch", WeightsError):
            from nearfar.embedder.eat.device import check_bf16, choose
        device = choose(runtime.device)
        if self.precision == "bf16":
            check_bf16(device)

    @property
    def _trained(self) -> bool:
        """Does the embedding come from the head that nearfar trained?"""
        # Any pooling by name means the tokens themselves, of trained weights, too.
        return self.pooling is None and self._opened().architecture.projection is not None

    @property
    def _default(self) -> str:
        return "trained" if self._trained else "mean"

    def _opened(self) -> Weights:
        return open_weights(self.weights)

    def _engine(self, runtime: Runtime) -> Engine:
        self.check(runtime)
        from nearfar.embedder.eat.engines import engine

        return engine(self._opened(), self.precision, runtime.device)
