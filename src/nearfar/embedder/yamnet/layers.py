"""What YAMNet-256 is: its layers, and the name and shape of each of its tensors.

YAMNet is MobileNet v1 trained on AudioSet's sounds (Google, 2019; Howard et al., MobileNets, 2017).
STMicroelectronics publishes it cut behind the sixth layer, with 256 channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from nearfar.embedder.tensorfile import Shape
from nearfar.errors import WeightsError

WIDTHS = (32, 64, 128, 128, 256, 256)  # channels behind each layer
STRIDES = (2, 1, 2, 1, 2, 1)  # of its 3 × 3 convolution, in time and in frequency
EPSILON = 1e-4  # added to a variance before it divides
MELS = 64  # bands that it reads
REDUCTION = 8  # the strides multiplied: frames of a column, mel bands of a band
BANDS = MELS // REDUCTION
DIM = WIDTHS[-1]
# Of each convolution, by which its normalisation is told from another's; there is no scale.
NORM = ("beta", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class YAMNetArchitecture:
    """The dimensions of YAMNet-256, of which there is one.

    >>> shapes = YAMNetArchitecture().shapes()
    >>> len(shapes), shapes["layer2.depthwise_conv.depthwise_kernel"]
    (44, (3, 3, 32, 1))
    """

    kind: ClassVar[str] = "yamnet"
    name: ClassVar[str] = f"YAMNet-{DIM}"

    @property
    def parameters(self) -> int:
        """Numbers of all tensors."""
        return sum(map(math.prod, self.shapes().values()))

    def shapes(self) -> dict[str, Shape]:
        """Every tensor: name → shape, kernels as (time, frequency, in, out).

        The names are Keras's, with a dot for a slash and without the ":0" at their end.
        """
        shapes = _convolution("layer1.conv", "kernel", (3, 3, 1, WIDTHS[0]), WIDTHS[0])
        for number, (before, behind) in enumerate(pairwise(WIDTHS), start=2):
            deep, point = (3, 3, before, 1), (1, 1, before, behind)
            layer = f"layer{number}"
            shapes |= _convolution(f"{layer}.depthwise_conv", "depthwise_kernel", deep, before)
            shapes |= _convolution(f"{layer}.pointwise_conv", "kernel", point, behind)
        return shapes

    def config(self) -> dict[str, Any]:
        """What config.json says."""
        # Strides and epsilon are in no tensor: with others the same numbers are another network.
        return {
            "model_type": self.kind,
            "widths": list(WIDTHS),
            "strides": list(STRIDES),
            "batch_norm_epsilon": EPSILON,
            "mel_bands": MELS,
        }


def from_config(config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> YAMNetArchitecture:
    """The architecture, if a config is its; shapes are compared by who asks.

    Raises:
        WeightsError: a setting is missing, or another.
    """
    architecture = YAMNetArchitecture()
    for name, wanted in architecture.config().items():
        if config.get(name) != wanted:
            raise WeightsError(
                f"its config has {name} {config.get(name)!r}, {architecture.name} has {wanted!r}; "
                "make the folder anew: nearfar weights convert yamnet_256_f32.h5 OUT"
            )
    return architecture


def _convolution(name: str, kernel: str, shape: Shape, channels: int) -> dict[str, Shape]:
    return {f"{name}.{kernel}": shape} | {f"{name}.bn.{part}": (channels,) for part in NORM}
