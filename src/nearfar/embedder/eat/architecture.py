"""What an EAT is made of: its dimensions, its tensors, its fixed position table. No torch here.

Names of tensors are those of the published files without their prefix `model.`. Dimensions are
read off the tensors; only the number of heads leaves no trace in them and comes from the config.

Source: Chen et al., "EAT: Self-Supervised Pre-Training with Efficient Audio Transformer", IJCAI
2024, and the configurations its authors published (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.head import HeadSizes, check_head, head_of, head_shapes, head_sizes
from nearfar.embedder.tensorfile import Shape
from nearfar.errors import WeightsError
from nearfar.parts.valid import is_number, is_whole

PATCH = 16  # frames and mel bands of a patch
MELS = 128  # mel bands of the input
ROWS = MELS // PATCH  # patches per column of 16 frames; patch p = column * 8 + row
COLUMNS = 768  # of the published position tables: 12,288 frames, 122.9 s

PROJECTION = "local_encoder.proj"
POSITIONS = "fixed_positional_encoder.positions"
_SIZES = {(768, 12, 12, 3072): "base", (1024, 24, 16, 4096): "large"}
_AUDIOSET = 527  # classes
_DERIVED_HEADS = {768: 12, 1024: 16}  # heads of 64 dimensions, in every published EAT

# What a config may say that we compute differently: it is refused, by name and value.
_IMPLEMENTED: dict[str, Any] = {
    "layer_norm_first": False,
    "norm_affine": True,
    "qkv_bias": True,
    "fixed_positions": True,
    "patch_size": PATCH,
    "stride": PATCH,
    "mel_bins": MELS,
    "in_chans": 1,
    "num_extra_tokens": 1,
    "act": "gelu",
    "act_layer": "gelu",
    "hidden_act": "gelu",
    "activation_fn": "gelu",
}
# Where a dimension can be read: the first of these tensors that is there. All of them are checked
# against `shapes` later.
_DIM = (("extra_tokens", -1), ("pre_norm.weight", 0), (f"{PROJECTION}.bias", 0))
_HIDDEN = (("mlp.fc1.weight", 0), ("mlp.fc1.bias", 0), ("mlp.fc2.weight", -1))
_CLASSES = (("head.weight", 0), ("head.bias", 0))


@dataclass(frozen=True)
class Architecture:
    """The dimensions of an EAT.

    Args:
        dim: of a token.
        depth: transformer blocks.
        heads: of the attention, `dim / heads` dimensions each.
        hidden: units of a block's MLP.
        classes: of the fine-tuned head; None for a pretrained encoder.
        projection: sizes of the head that nearfar trains; None for published weights.
        norm_eps: of every LayerNorm of the encoder.
        columns: of the stored position table, 16 frames each; longer clips get positions anew.

    Raises:
        WeightsError: numbers that no EAT can have.

    >>> tiny = Architecture(dim=8, depth=1, heads=2, hidden=32, columns=4)
    >>> tiny.shapes()["fixed_positional_encoder.positions"]  # 8 patches a column
    (1, 32, 8)
    """

    dim: int
    depth: int
    heads: int
    hidden: int
    classes: int | None = None
    norm_eps: float = 1e-6  # as published
    columns: int = COLUMNS
    projection: HeadSizes | None = None
    kind: ClassVar[str] = "eat"

    def __post_init__(self) -> None:
        for name in ("dim", "depth", "heads", "hidden", "columns"):
            value = getattr(self, name)
            if not is_whole(value, 1):
                raise WeightsError(f"{name} of the encoder is {value!r}; it is a number from 1 up")
        if self.classes is not None and not is_whole(self.classes, 1):
            raise WeightsError(f"the head has {self.classes!r} classes; need 1 or more")
        check_head(self.projection)
        if self.dim % 4:  # a quarter each: sine and cosine of the mel row and of the column
            raise WeightsError(
                f"{self.dim} dimensions; the position table needs a multiple of 4, this is no EAT"
            )
        if self.dim % self.heads:
            raise WeightsError(
                f"{self.heads} heads do not divide {self.dim} dimensions; correct num_heads in "
                "the config"
            )
        if not 0 < self.norm_eps < 1:
            raise WeightsError(f"norm_eps is {self.norm_eps!r}; the published value is 1e-06")

    @property
    def name(self) -> str:
        """What people call it.

        >>> Architecture(1024, 24, 16, 4096).name
        'EAT-large pretrained'
        >>> Architecture(64, 2, 4, 256, classes=7).name
        'EAT 64×2 fine-tuned (7 classes)'
        """
        size = _SIZES.get((self.dim, self.depth, self.heads, self.hidden))
        first = f"EAT-{size}" if size else f"EAT {self.dim}×{self.depth}"
        if self.projection is not None:
            return f"{first} trained by nearfar ({self.projection[2]} numbers)"
        if self.classes is None:
            return f"{first} pretrained"
        on = " on AudioSet" if self.classes == _AUDIOSET else ""
        return f"{first} fine-tuned{on} ({self.classes} classes)"

    @property
    def parameters(self) -> int:
        """Stored numbers, the position table among them.

        >>> Architecture(1024, 24, 16, 4096).parameters
        308867072
        """
        return sum(math.prod(shape) for shape in self.shapes().values())

    def shapes(self) -> dict[str, Shape]:
        """Every tensor of the encoder, with its shape."""
        d = self.dim
        shapes: dict[str, Shape] = {
            "extra_tokens": (1, 1, d),  # CLS
            f"{PROJECTION}.weight": (d, 1, PATCH, PATCH),  # of a convolution, as published
            f"{PROJECTION}.bias": (d,),
            POSITIONS: (1, self.columns * ROWS, d),
            "pre_norm.weight": (d,),
            "pre_norm.bias": (d,),
        }
        for i in range(self.depth):
            shapes |= {f"blocks.{i}.{name}": shape for name, shape in self._block().items()}
        if self.classes is not None:
            shapes |= {
                "fc_norm.weight": (d,),
                "fc_norm.bias": (d,),
                "head.weight": (self.classes, d),
                "head.bias": (self.classes,),
            }
        if self.projection is not None:
            shapes |= head_shapes(d, self.projection)
        return shapes

    def projected(self) -> Architecture:
        """The same encoder with the head that nearfar trains, its sizes following the encoder's.

        For EAT-large 2,048 statistics → 512 → 256, as in the report (§2.2); no AudioSet head.

        >>> Architecture(1024, 24, 16, 4096).projected().projection
        (128, 512, 256)
        """
        return replace(self, classes=None, projection=head_sizes(self.dim))

    def _block(self) -> dict[str, Shape]:
        d, hidden = self.dim, self.hidden
        return {
            "norm1.weight": (d,),
            "norm1.bias": (d,),
            "attn.qkv.weight": (3 * d, d),  # query, key and value in one product
            "attn.qkv.bias": (3 * d,),
            "attn.proj.weight": (d, d),
            "attn.proj.bias": (d,),
            "norm2.weight": (d,),
            "norm2.bias": (d,),
            "mlp.fc1.weight": (hidden, d),
            "mlp.fc1.bias": (hidden,),
            "mlp.fc2.weight": (d, hidden),
            "mlp.fc2.bias": (d,),
        }

    def config(self) -> dict[str, Any]:
        """The same as a config.json with the field names of the published ones."""
        settings = {name: v for name, v in _IMPLEMENTED.items() if name in _PUBLISHED}
        sizes = {
            "model_type": "eat",
            "model_variant": "pretrain" if self.classes is None else "finetune",
            "embed_dim": self.dim,
            "depth": self.depth,
            "num_heads": self.heads,
            "mlp_ratio": self.hidden / self.dim,
            "norm_eps": self.norm_eps,
            "max_length": self.columns,
            "img_size": [1024, MELS],  # frames of the pre-training; they limit nothing here
            "torch_dtype": "float32",
        }
        head = {} if self.classes is None else {"num_classes": self.classes}
        return settings | sizes | head


_PUBLISHED = (
    "layer_norm_first", "norm_affine", "qkv_bias", "fixed_positions", "patch_size", "stride",
    "mel_bins", "in_chans",
)  # fmt: skip


def flops(shape: Architecture, frames: int) -> int:
    """Of one clip's products in a pass; a multiplication and an addition are two."""
    patches = frames // PATCH * ROWS
    n, d = patches + 1, shape.dim
    # In a block: qkv and output 4 d², MLP 2 d·hidden a token; scores and their use 2 n² d.
    block = 2 * n * (4 * d * d + 2 * d * shape.hidden) + 4 * n * n * d
    return shape.depth * block + 2 * patches * PATCH * PATCH * d


def from_config(config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Architecture:
    """The architecture of a file: dimensions from its tensors, heads and eps from its config.

    Args:
        config: as in config.json; fields that change nothing here are not looked at.
        shapes: of the tensors, by their names without prefix. Whether all are there is not asked
            here but by comparing them with `Architecture.shapes`.

    Raises:
        WeightsError: the config asks for what is not implemented, names no heads where they
            cannot be derived, or disagrees with the tensors.
    """
    _refuse_other_functions(config)
    dim = _read(shapes, _DIM)
    if dim is None:
        raise WeightsError("no tensor 'extra_tokens'; these are not the weights of an EAT")
    depth = _depth(shapes)
    hidden = _read(shapes, [(f"blocks.0.{name}", axis) for name, axis in _HIDDEN])
    # What is missing gets a likely size here, and its name when tensors are compared.
    table = shapes.get(POSITIONS, ())
    architecture = Architecture(
        dim=dim,
        depth=depth,
        heads=_heads(config, dim),
        hidden=4 * dim if hidden is None else hidden,
        classes=_read(shapes, _CLASSES),
        projection=head_of(shapes),
        norm_eps=_number(config, "norm_eps", 1e-6),
        columns=table[1] // ROWS if len(table) == 3 else COLUMNS,
    )
    _compare(config, architecture)
    return architecture


def positions(dim: int, columns: int) -> NDArray[np.float32]:
    """The fixed sin-cos table, in the arithmetic it was published in: float32 all the way.

    With ω_i = 10000^(−i / (dim/4)) the row of patch p = column * 8 + mel is
    [sin mel·ω, cos mel·ω, sin column·ω, cos column·ω]: the mel index comes first.

    Returns:
        float32, (1, columns * 8, dim).
    """
    omega = np.arange(dim // 4, dtype=np.float32) / np.float32(dim / 4)
    omega = np.float32(1) / np.float32(10_000) ** omega
    table = np.empty((columns, ROWS, dim), np.float32)
    table[:, :, : dim // 2] = _waves(ROWS, omega)[None, :]
    table[:, :, dim // 2 :] = _waves(columns, omega)[:, None]
    return table.reshape(1, columns * ROWS, dim)


def _waves(steps: int, omega: NDArray[np.float32]) -> NDArray[np.float32]:
    """(steps, 2 * len(omega)): sines, then cosines."""
    angle = np.arange(steps, dtype=np.float32)[:, None] * omega
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _refuse_other_functions(config: Mapping[str, Any]) -> None:
    kind = config.get("model_type", "eat")
    if kind != "eat":
        raise WeightsError(
            f"the config says model_type {kind!r}: not an EAT, which the tensors are; take the "
            "config.json that belongs to them"
        )
    for name, want in _IMPLEMENTED.items():
        if name in config and not _same(config[name], want):
            raise WeightsError(
                f"the config says {name} = {config[name]!r}; only {want!r} is implemented, as in "
                "every published EAT"
            )
    size = config.get("img_size")
    if size is not None and not (isinstance(size, list) and size and _same(size[-1], MELS)):
        raise WeightsError(
            f"the config says img_size = {size!r}; the second number must be {MELS} mel bands"
        )


def _same(value: object, want: object) -> bool:
    """Equal, and no True for 1."""
    return isinstance(value, bool) == isinstance(want, bool) and value == want


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if not is_number(value, -math.inf, math.inf):
        raise WeightsError(f"the config says {name} = {value!r}; need a number")
    return float(value)


def _read(shapes: Mapping[str, Shape], where: Iterable[tuple[str, int]]) -> int | None:
    for name, axis in where:
        if shapes.get(name):  # a scalar has no axis to read
            return shapes[name][axis]
    return None


def _depth(shapes: Mapping[str, Shape]) -> int:
    """Blocks, counted; a gap in their numbers is found when tensors are compared."""
    indices = {name.split(".")[1] for name in shapes if name.startswith("blocks.")}
    if not indices:
        raise WeightsError("no tensor 'blocks.0.…'; these are not the weights of an EAT")
    return len(indices)


def _heads(config: Mapping[str, Any], dim: int) -> int:
    heads = config.get("num_heads")
    if heads is None and dim in _DERIVED_HEADS:
        return _DERIVED_HEADS[dim]
    if heads is None:
        raise WeightsError(
            f"the config names no num_heads, and with {dim} dimensions they cannot be told from "
            "the tensors; add num_heads to it"
        )
    if not is_whole(heads, 1):
        raise WeightsError(f"the config says num_heads = {heads!r}; it is a number from 1 up")
    return int(heads)


def _compare(config: Mapping[str, Any], found: Architecture) -> None:
    """Config and tensors must tell the same."""
    for name, value in (("embed_dim", found.dim), ("depth", found.depth)):
        if name in config and not _same(config[name], value):
            raise WeightsError(
                f"the config says {name} = {config[name]!r}, the tensors {value}; "
                "it belongs to other weights"
            )
    # A ratio is written with few digits: near enough is the same number of units.
    ratio = _number(config, "mlp_ratio", found.hidden / found.dim)
    if not abs(found.dim * ratio - found.hidden) < 1:  # not: NaN is refused too
        raise WeightsError(
            f"the config says mlp_ratio = {ratio!r}, the tensors {found.hidden / found.dim:g}; "
            "it belongs to other weights"
        )
    _compare_head(config, found)


def _compare_head(config: Mapping[str, Any], found: Architecture) -> None:
    variant = config.get("model_variant")
    have = "pretrain" if found.classes is None else "finetune"
    if variant is not None and variant != have:
        raise WeightsError(
            f"the config says model_variant = {variant!r}, the tensors have "
            f"{'no' if found.classes is None else 'a'} head; write {have!r} there if the tensors "
            "are the ones you mean"
        )
    classes = config.get("num_classes")
    if found.classes is not None and classes is not None and not _same(classes, found.classes):
        raise WeightsError(
            f"the config says num_classes = {classes!r}, the head has {found.classes}; "
            "it belongs to other weights"
        )
