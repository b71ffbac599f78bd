"""What a BEATs is made of: its dimensions and its tensors. No torch here.

Names of tensors are those of the published checkpoints. All dimensions are read off the tensors;
only `max_distance` of the relative positions leaves no trace in them and comes from the config.

Source: Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", ICML 2023, and the code
its authors published (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from nearfar.embedder.beats.features import PATCH
from nearfar.embedder.head import HeadSizes, check_head, head_of, head_shapes, head_sizes
from nearfar.embedder.tensorfile import Shape
from nearfar.errors import WeightsError
from nearfar.parts.own import shown
from nearfar.parts.valid import is_whole

MELS = 128  # mel bands of the input
ROWS = MELS // PATCH  # tokens per column of 16 frames; token p = column * 8 + row
GATES = 8  # numbers a head's query gives for the gate: two sums of four
TABLE = "self_attn.relative_attention_bias.weight"  # once a layer, the same in all
TAPS_G, TAPS_V = "encoder.pos_conv.0.weight_g", "encoder.pos_conv.0.weight_v"

# What a config may say that we compute differently: it is refused, by name and value.
_IMPLEMENTED: dict[str, Any] = {
    "input_patch_size": PATCH,
    "conv_bias": False,
    "layer_norm_first": False,
    "deep_norm": True,
    "activation_fn": "gelu",
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}
# No tensor tells these two, and a config without them means others to the official code.
_SILENT = ("max_distance", "deep_norm")
LARGEST = 10_000_000  # of any dimension
# Field here → field of the published config.
_FIELDS = {
    "embed": "embed_dim", "dim": "encoder_embed_dim", "depth": "encoder_layers",
    "heads": "encoder_attention_heads", "hidden": "encoder_ffn_embed_dim", "taps": "conv_pos",
    "groups": "conv_pos_groups", "buckets": "num_buckets", "distance": "max_distance",
}  # fmt: skip


@dataclass(frozen=True)
class BeatsArchitecture:
    """The dimensions of a BEATs; as they come, of the base size that was published.

    Args:
        embed: of a patch before the first layer.
        dim: of a token.
        depth: layers.
        heads: of the attention, `dim / heads` dimensions each.
        hidden: units of a layer's MLP.
        taps: tokens that the convolution of the positions reaches over.
        groups: of that convolution.
        buckets: of relative positions, half of them for keys behind the query.
        distance: in tokens, from which on all share the last bucket.
        projection: sizes of the head that nearfar trains; None for published weights.

    Raises:
        WeightsError: numbers that no BEATs can have.

    >>> BeatsArchitecture().name, f"{BeatsArchitecture().parameters:,}"
    ('BEATs-base', '90,354,032')
    """

    embed: int = 512
    dim: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    taps: int = 128
    groups: int = 16
    buckets: int = 320
    distance: int = 800
    # Out of the repr, which is part of the keys of published weights' embeddings; a file with a
    # head has a hash of its own.
    projection: HeadSizes | None = field(default=None, repr=False)

    kind: ClassVar[str] = "beats"

    def __post_init__(self) -> None:
        for ours, theirs in _FIELDS.items():
            if not is_whole(value := getattr(self, ours), 1, LARGEST):
                raise WeightsError(
                    f"{theirs} of the encoder is {shown(value)}; it is a number "
                    f"from 1 to {LARGEST:,}"
                )
        for name in ("heads", "groups"):
            if self.dim % getattr(self, name):
                raise WeightsError(
                    f"{_FIELDS[name]} {getattr(self, name)} does not divide {self.dim} "
                    "dimensions; this is no BEATs"
                )
        if self.buckets % 4 or self.distance <= self.buckets // 4:
            raise WeightsError(
                f"num_buckets {self.buckets} with max_distance {self.distance}; need a multiple "
                "of 4, and a distance of more than a quarter of it"
            )
        check_head(self.projection)

    @property
    def name(self) -> str:
        """What people call it.

        >>> BeatsArchitecture(embed=32, dim=64, depth=3, heads=4, groups=4).name
        'BEATs 64×3'
        """
        base = replace(self, projection=None) == BeatsArchitecture()
        name = "BEATs-base" if base else f"BEATs {self.dim}×{self.depth}"
        head = self.projection
        return name if head is None else f"{name} trained by nearfar ({head[2]} numbers)"

    @property
    def alpha(self) -> float:
        """What DeepNorm multiplies a sum's first term by, (2 · layers)^¼.

        >>> round(BeatsArchitecture().alpha, 4)
        2.2134
        """
        return math.pow(2 * self.depth, 0.25)

    @property
    def parameters(self) -> int:
        """Stored numbers, the table of relative positions once a layer."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    def shapes(self) -> dict[str, Shape]:
        """Every tensor of the encoder, with its shape."""
        d = self.dim
        shapes: dict[str, Shape] = {
            "patch_embedding.weight": (self.embed, 1, PATCH, PATCH),
            "layer_norm.weight": (self.embed,),
            "layer_norm.bias": (self.embed,),
        }
        if self.embed != d:
            shapes |= {"post_extract_proj.weight": (d, self.embed), "post_extract_proj.bias": (d,)}
        shapes |= {
            TAPS_G: (1, 1, self.taps),
            TAPS_V: (d, d // self.groups, self.taps),
            "encoder.pos_conv.0.bias": (d,),
            "encoder.layer_norm.weight": (d,),
            "encoder.layer_norm.bias": (d,),
        }
        for i in range(self.depth):
            shapes |= {f"encoder.layers.{i}.{name}": s for name, s in self._layer().items()}
        if self.projection is not None:
            shapes |= head_shapes(d, self.projection)
        return shapes

    def projected(self) -> BeatsArchitecture:
        """The same encoder with the head that nearfar trains, its sizes following the encoder's.

        >>> BeatsArchitecture().projected().projection
        (96, 384, 192)
        """
        return replace(self, projection=head_sizes(self.dim))

    def _layer(self) -> dict[str, Shape]:
        d, hidden = self.dim, self.hidden
        shapes: dict[str, Shape] = {
            "self_attn.grep_a": (1, self.heads, 1, 1),
            TABLE: (self.buckets, self.heads),
            "self_attn.grep_linear.weight": (GATES, d // self.heads),
            "self_attn.grep_linear.bias": (GATES,),
            "fc1.weight": (hidden, d),
            "fc1.bias": (hidden,),
            "fc2.weight": (d, hidden),
            "fc2.bias": (d,),
        }
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"self_attn.{name}.weight": (d, d), f"self_attn.{name}.bias": (d,)}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
        return shapes

    def config(self) -> dict[str, Any]:
        """The same as a config.json, with the field names of the published checkpoints."""
        sizes = {theirs: getattr(self, ours) for ours, theirs in _FIELDS.items()}
        return {"model_type": self.kind, **sizes, **_IMPLEMENTED}


def from_config(config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> BeatsArchitecture:
    """The architecture of a file: dimensions from its tensors, checked against its config.

    Args:
        config: as in config.json; fields that change nothing here are not looked at.
        shapes: of the tensors. Whether all are there is not asked here but by comparing them with
            `BeatsArchitecture.shapes`.

    Raises:
        WeightsError: the config asks for what is not implemented, or disagrees with the tensors.
    """
    kind = config.get("model_type", BeatsArchitecture.kind)
    if kind != BeatsArchitecture.kind:
        raise WeightsError(
            f"the config says model_type {kind!r}: not a BEATs, which the tensors are; take the "
            "config.json that belongs to them"
        )
    for name, want in _IMPLEMENTED.items():
        if name in config and not _same(config[name], want):
            raise WeightsError(
                f"the config says {name} = {config[name]!r}; only {want!r} is implemented, as in "
                "every published BEATs"
            )
    found = _sizes(shapes)
    for ours, theirs in _FIELDS.items():
        if theirs not in config or ours not in found:
            continue
        if not _same(config[theirs], found[ours]):
            raise WeightsError(
                f"the config says {theirs} = {config[theirs]!r}, the tensors {found[ours]}; "
                "it belongs to other weights"
            )
    distance = config.get("max_distance", BeatsArchitecture.distance)
    architecture = BeatsArchitecture(**found, distance=distance, projection=head_of(shapes))
    for name in _SILENT:
        if name not in config:
            raise WeightsError(
                f"no config says {name}, which no tensor tells; give a config.json that does (base "
                f"size: {architecture.config()[name]!r})"
            )
    return architecture


def _sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Dimensions by our names, as far as tensors that tell them are there and have that axis."""
    first = "encoder.layers.0."
    where = {
        "embed": ("patch_embedding.weight", 0),
        "dim": (f"{first}fc2.weight", 0),
        "hidden": (f"{first}fc1.weight", 0),
        "heads": (f"{first}{TABLE}", 1),
        "taps": (TAPS_V, 2),
        "buckets": (f"{first}{TABLE}", 0),
    }
    # What is missing keeps the base size's number, and its name is told when tensors are compared.
    found = {
        ours: shapes[name][axis]
        for ours, (name, axis) in where.items()
        if len(shapes.get(name, ())) > axis
    }
    layers = {name.split(".")[2] for name in shapes if name.startswith("encoder.layers.")}
    if layers:
        found["depth"] = len(layers)
    taps = shapes.get(TAPS_V, ())
    if len(taps) == 3 and taps[1]:
        found["groups"] = taps[0] // taps[1]
    return found


def _same(value: object, want: object) -> bool:
    """Equal, and no True for 1."""
    if not isinstance(value, bool | int | float | str):  # a checkpoint may hold anything
        return False
    return isinstance(value, bool) == isinstance(want, bool) and value == want
