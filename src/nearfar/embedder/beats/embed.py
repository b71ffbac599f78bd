"""BEATs as an embedder: plain frozen data that can be named, saved and compared without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearfar.embedder.backbone import Backbone, Float32
from nearfar.embedder.beats.features import heard
from nearfar.embedder.beats.weights import BeatsWeights, open_weights

if TYPE_CHECKING:
    from nearfar.embedder.infer import Engine, Head, Precision

REVISION = 1  # raised when the same weights would give other numbers


@dataclass(frozen=True)
class BEATs(Backbone):
    """BEATs (Chen et al., ICML 2023), iteration 3, as an embedder: the mean over its tokens.

    A clip is heard at its own length; what fills no column of 16 frames, 160 ms at most, is not.
    `tokens` gives all tokens, (batch, columns · 8, dim): a grid (columns, 8, dim) of each clip.

    Args:
        weights: folder with `config.json` and `model.safetensors`, or one safetensors file;
            `nearfar weights convert` makes it of a published checkpoint.
        layer: behind which layer, 1 to the encoder's depth; None is the last.
        precision: "fp32", or "bf16", quicker where the processor or the GPU has it.

    Raises:
        SettingError: a setting with an impossible value.

    Weights are looked for, and torch is loaded, when they are needed first.

    >>> BEATs("a folder", layer=10)
    BEATs(weights='a folder', layer=10, precision='fp32')
    """

    weights: str
    layer: int | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        self._check_settings()

    @property
    def fingerprint(self) -> str:
        """The weights' hash and every setting but the place where they lie."""
        return f"beats-{REVISION}|{self._opened().fingerprint}|{self.identity}"

    @property
    def identity(self) -> str:
        """The settings, without the place where the weights lie: what a cache knows it by."""
        return f"layer={self.layer}, precision={self.precision}"

    @property
    def preparation(self) -> str:
        """What a log-mel depends on but the audio: never on the weights."""
        return f"beats-{REVISION}"

    def _heard(self, channel: Float32) -> Float32:
        return heard(channel)

    def _head(self, engine: Engine) -> Head:
        from nearfar.embedder.ragged import mean

        return mean  # no CLS among them

    def _opened(self) -> BeatsWeights:
        return open_weights(self.weights)
