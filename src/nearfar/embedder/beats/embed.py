"""BEATs as an embedder: plain frozen data that can be named, saved and compared without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from nearfar.embedder.backbone import Backbone, Float32
from nearfar.embedder.beats.features import (
    MAX_FRAMES,
    PATCH,
    cut,
    features,
    fitted,
    frames_of,
    heard,
)
from nearfar.embedder.beats.weights import BeatsWeights, open_weights
from nearfar.errors import SettingError
from nearfar.parts.data import UNSAVED_DEFAULT
from nearfar.sound.fbank import FRAME
from nearfar.sound.spectral import HOP

if TYPE_CHECKING:
    from nearfar.embedder.infer import Head, Precision

REVISION = 1  # raised when the same weights would give other numbers


@dataclass(frozen=True)
class BEATs(Backbone):
    """BEATs (Chen et al., ICML 2023), iteration 3, as an embedder.

    A clip is heard at its own length; what fills no column of 16 frames, 160 ms at most, is not.
    `tokens` gives all tokens, (batch, columns · 8, dim): a grid (columns, 8, dim) of each clip.

    Args:
        weights: folder with `config.json` and `model.safetensors`, or one safetensors file;
            `nearfar weights convert` makes it of a published checkpoint.
        layer: behind which layer, 1 to the encoder's depth; None is the last.
        precision: "fp32", or "bf16", quicker where the processor or the GPU has it.
        pooling: tokens → one row: "mean" over all of them. None is what the weights say: "mean" for
            published ones, the trained head for those that nearfar fine-tuned.

    Raises:
        SettingError: a setting with an impossible value.

    Weights are looked for, and torch is loaded, when they are needed first.

    >>> BEATs("a folder", layer=10)
    BEATs(weights='a folder', layer=10, precision='fp32', pooling=None)
    """

    weights: str
    layer: int | None = None
    precision: Precision = "fp32"
    pooling: Literal["mean"] | None = field(default=None, metadata=UNSAVED_DEFAULT)

    # With the frames that fill no patch any more.
    longest: ClassVar[int] = FRAME + (MAX_FRAMES + PATCH - 1) * HOP - 1

    def __post_init__(self) -> None:
        self._check_settings()
        if self.pooling not in (None, "mean"):
            raise SettingError(f"BEATs.pooling is {self.pooling!r}; it is 'mean', or None")

    @property
    def fingerprint(self) -> str:
        """The weights' hash and every setting but the place where they lie."""
        return f"beats-{REVISION}|{self.opened().fingerprint}|{self.identity}"

    @property
    def identity(self) -> str:
        """The settings, without the place where the weights lie: what a cache knows it by."""
        # As it stands without a trained head it is in cache keys and detectors.
        head = "pooling=trained, " if self._trained else ""
        return f"{head}layer={self.layer}, precision={self.precision}"

    @property
    def preparation(self) -> str:
        """What a log-mel depends on but the audio: never on the weights."""
        return f"beats-{REVISION}"

    def _heard(self, channel: Float32) -> Float32:
        return heard(channel)

    @property
    def mel_key(self) -> str:
        """What the log-mel that a training keeps of a clip depends on but its sound."""
        return f"beats-{REVISION}"

    def whole_mel(self, channel: Float32) -> Float32:
        """The log-mel of (samples,), all whole frames of it."""
        self.check_length(len(channel))
        return features(channel)

    def fitted(self, mel: Float32) -> Float32:
        """The clip as a whole: the frames that fill patches."""
        return fitted(mel)

    def cut(self, mel: Float32, first: int, last: int) -> Float32:
        """Some samples of the clip: the frames that fill patches."""
        return cut(mel, first, last)

    def check_length(self, samples: int) -> None:
        """Refuse a clip that is shorter than a patch, or too long."""
        frames_of(samples)

    def _pooled(self) -> Head:
        from nearfar.embedder.ragged import mean

        return mean  # no CLS among them

    def opened(self) -> BeatsWeights:
        """The weights, looked at and whole."""
        return open_weights(self.weights)
