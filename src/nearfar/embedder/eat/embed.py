"""EAT as an embedder: plain frozen data that can be named, saved and compared without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from nearfar.embedder.backbone import Backbone, Float32
from nearfar.embedder.eat.features import check_frames, features
from nearfar.embedder.eat.weights import Weights, open_weights
from nearfar.errors import SettingError

if TYPE_CHECKING:
    from nearfar.embedder.infer import Engine, Head, Precision

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

    def __post_init__(self) -> None:
        self._check_settings()
        if self.pooling not in (None, *POOLINGS):
            raise SettingError(
                f"EAT.pooling is {self.pooling!r}; it is one of {', '.join(POOLINGS)}, or None"
            )
        check_frames(self.frames)

    @property
    def dim(self) -> int:
        """Numbers a clip: 1,024 for EAT-large, 256 for one that nearfar trained."""
        shape = self._opened().architecture  # read once for each state of the file
        return shape.projection[2] if shape.projection and self._trained else shape.dim

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

    def _heard(self, channel: Float32) -> Float32:
        return features(channel, self.frames)

    def _head(self, engine: Engine) -> Head:
        from nearfar.embedder.infer import POOLING

        return engine.project if self._trained else POOLING[self.pooling or "mean"]

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
