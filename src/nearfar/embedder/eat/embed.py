"""EAT as an embedder: plain frozen data that can be named, saved and compared without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from nearfar.embedder.backbone import Backbone, Float32
from nearfar.embedder.eat.features import (
    MAX_FRAMES,
    PATCH,
    check_frames,
    cut,
    features,
    fitted,
    frames_of,
)
from nearfar.embedder.eat.weights import Weights, open_weights
from nearfar.errors import SettingError
from nearfar.sound.fbank import FRAME, n_frames
from nearfar.sound.spectral import HOP

if TYPE_CHECKING:
    from nearfar.embedder.infer import Head, Precision

Pooling = Literal["mean", "cls", "mean_all"]

REVISION = 1  # raised when the same weights would give other numbers
POOLINGS = ("mean", "cls", "mean_all")


@dataclass(frozen=True)
class EAT(Backbone):
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

    leading: ClassVar[int] = 1  # CLS
    longest: ClassVar[int] = FRAME + (MAX_FRAMES - 1) * HOP

    def __post_init__(self) -> None:
        self._check_settings()
        if self.pooling not in (None, *POOLINGS):
            raise SettingError(
                f"EAT.pooling is {self.pooling!r}; it is one of {', '.join(POOLINGS)}, or None"
            )
        check_frames(self.frames)

    @property
    def fingerprint(self) -> str:
        """The weights' hash and every setting but the place where they lie."""
        # As it stands it is in cache keys and detectors: another wording would leave both behind.
        return f"eat-{REVISION}|{self.opened().fingerprint}|{self.identity}"

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

    def _heard(self, channel: Float32) -> Float32:
        return features(channel, self.frames)

    @property
    def mel_key(self) -> str:
        """What the log-mel that a training keeps of a clip depends on but its sound."""
        return f"eat-{REVISION}"

    def whole_mel(self, channel: Float32) -> Float32:
        """The log-mel of (samples,), not padded beyond its last 16 frames.

        Where a fixed number of frames is heard, a crop may lie behind the first of them, so all
        are kept, up to the most that EAT reads.
        """
        own = -(-n_frames(len(channel)) // PATCH) * PATCH
        return features(channel, None if self.frames is None else min(max(PATCH, own), MAX_FRAMES))

    def fitted(self, mel: Float32) -> Float32:
        """The clip as a whole: padded, or cut at its end, to `frames`, as `features` does."""
        return fitted(mel, self.frames)

    def cut(self, mel: Float32, first: int, last: int) -> Float32:
        """Some samples of the clip, as `features` would pad them to whole patches."""
        return fitted(cut(mel, first, last), self.frames)

    def check_length(self, samples: int) -> None:
        """Refuse a clip that is shorter than a frame or, at its own length, too long."""
        frames_of(samples, self.frames)

    def _pooled(self) -> Head:
        from nearfar.embedder.infer import POOLING

        return POOLING[self.pooling or "mean"]

    @property
    def _default(self) -> str:
        return "trained" if self._trained else "mean"

    def opened(self) -> Weights:
        """The weights, looked at and whole."""
        return open_weights(self.weights)
