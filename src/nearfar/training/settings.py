"""Settings of the training, plain data; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from nearfar.errors import SettingError
from nearfar.parts.valid import choice, flag, number, whole


@dataclass(frozen=True)
class FineTuning:
    """How an encoder is fine-tuned on proxy classes (report §2.2).

    The report gives the loss's margin, the head's sizes, the crops, and that every layer is
    trained. The rest is ours, named as ours.

    >>> FineTuning(epochs=5, loss="magface").scale
    30.0
    >>> FineTuning(batch_size=32, accumulation=3)
    Traceback (most recent call last):
    nearfar.errors.SettingError: training.accumulation is 3; it must divide the batch of 32

    Raises:
        SettingError: an impossible value.
    """

    # Report §2.2, §3.3; sc-adacos is the one published for training on many machines.
    loss: Literal["arcface", "cosface", "elasticface", "magface", "sc-adacos"] = "arcface"
    margin: float = 0.2  # m (report §3.3, ArcFace's): radians, of CosFace in cosine
    scale: float = 30.0  # s of a loss with a margin; ours
    clusters: int = 16  # centres of a class, of sc-adacos alone (Wilkinghoff, IJCNN 2021)
    adaptive_scale: bool = False  # of sc-adacos: s follows the batches instead of staying
    shortest: float = 0.6  # of a temporal crop, as a share of the clip (report §2.2)
    lengths: Literal["batch", "clip"] = "batch"  # a crop's length is drawn for; ours
    epochs: int = 20  # ours, as all below
    batch_size: int = 32  # clips a step, over all processes and accumulated parts
    learning_rate: float = 5e-5  # of the encoder's last layer, at its highest
    head_rate: float = 10.0  # times that, for pooling, projection and class centres
    layer_decay: float = 1.0  # each layer's rate is this times that of the layer above it
    # Each layer's gradient is this times what it would be, once for each layer above it. None: as
    # the encoder's authors trained it, BEATs 0.6 and EAT 1.
    gradient_decay: float | None = None
    weight_decay: float = 0.05  # AdamW's; none for biases, norms and CLS
    warmup: float = 0.1  # share of all steps in which the rate rises; then it falls as a cosine
    drop_path: float = 0.0  # chance to leave out a branch of the last block, rising linearly to it
    ema: float = (
        0.0  # decay of a moving average of the weights, as 0.999; 0: the weights themselves
    )
    gradient_norm: float = 1.0  # gradients are scaled down to it; 0 leaves them
    balanced: bool = False  # draw classes evenly instead of clips
    held_out: float = 0.1  # share of the normals never trained on
    # The epoch that is kept; "held-out": the one most right on those normals. The report says
    # nothing of choosing, and for some machines that hangs on one clip of the target domain.
    choose: Literal["last", "held-out"] = "last"
    accumulation: int = 1  # parts a batch is computed in, where memory is short
    checkpointing: bool = False  # keep no activations: less memory, a third more products
    # Of the products; weights stay in float32. "auto": bf16 on a GPU that has it, else fp32.
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    lora: int = 0  # rank of low-rank updates of the frozen encoder; 0 trains every layer
    adaptation: Literal["none", "dann", "mixstyle"] = "none"  # of source and target domain
    seed: int = 0  # of everything that is drawn

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.loss == "magface" and self.margin > MAGFACE_MOST:
            raise SettingError(
                f"training.margin is {self.margin!r}; with magface it is 0 to {MAGFACE_MOST:g}"
            )
        self._check_loss()
        if self.batch_size % self.accumulation:
            raise SettingError(
                f"training.accumulation is {self.accumulation}; it must divide the batch of "
                f"{self.batch_size}"
            )

    def _check_loss(self) -> None:
        """What another loss than the one chosen would look at is refused: it would be in vain."""
        many = self.loss == "sc-adacos"
        for name in ("margin", "scale") if many else ("clusters", "adaptive_scale"):
            if getattr(self, name) != _USUAL[name]:
                why = "has none, and makes its own scale" if many else "has one centre a class"
                raise SettingError(
                    f"training.{name} is {getattr(self, name)!r}; {self.loss} {why}: leave it away"
                    + ("" if many else ", or take training.loss=sc-adacos")
                )

    def _check_kinds(self) -> None:
        """Each setting by itself."""
        for name, value in self._all().items():
            said = f"training.{name}"
            if name in _WHOLE:
                low, high = _RANGES[name]
                whole(said, value, int(low), int(high))
            elif name in _RANGES and not (name == "gradient_decay" and value is None):
                number(said, value, *_RANGES[name])
            elif name in _CHOICES:
                choice(said, value, _CHOICES[name])
            elif name in ("balanced", "checkpointing", "adaptive_scale"):
                flag(said, value)

    @property
    def draws(self) -> bool:
        """Does torch draw anything in a step?"""
        return self.drop_path > 0 or self.loss == "elasticface" or self.adaptation == "mixstyle"

    def to_data(self) -> dict[str, Any]:
        """JSON-ready; settings that came later are left out where they are as they come.

        So that what does not use them is called what it was called before they were there.
        """
        return {n: x for n, x in self._all().items() if n not in _LATER or x != _USUAL[n]}

    def _all(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


_USUAL: dict[str, Any] = {f.name: f.default for f in fields(FineTuning)}
OF_LOSS = ("loss", "clusters", "adaptive_scale")  # what makes it another loss
_LATER = ("clusters", "adaptive_scale", "gradient_decay")
MAGFACE_MOST = 0.98  # its margins reach 1.6 times that, π/2: beyond, cos(θ + m) is of no use
_CHOICES = {
    "loss": ("arcface", "cosface", "elasticface", "magface", "sc-adacos"),
    "adaptation": ("none", "dann", "mixstyle"),
    "precision": ("auto", "fp32", "bf16"),
    "lengths": ("batch", "clip"),
    "choose": ("last", "held-out"),
}
# What a training of an older nearfar did, which had not yet the setting.
_BEFORE = {"lengths": "clip", "choose": "held-out"}


def as_then(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A training's settings as data, with those that the nearfar of its time had not."""
    return _USUAL | _BEFORE | dict(settings)


def unusual(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a training's settings as data, those that are not as they come."""
    usual = dict(_USUAL)
    then = as_then(settings)
    usual["precision"] = "fp32" if then["precision"] == "fp32" else "auto"  # what that comes to
    return {name: value for name, value in then.items() if value != usual.get(name)}


_RANGES: dict[str, tuple[float, float]] = {
    "margin": (0, 1.5),
    "scale": (1e-3, 1e3),
    "shortest": (0.05, 1),
    "epochs": (1, 100_000),
    "batch_size": (2, 65_536),
    "learning_rate": (0, 1),
    "head_rate": (0, 1e4),
    "layer_decay": (1e-3, 1),
    "gradient_decay": (1e-3, 1),
    "clusters": (1, 65_536),
    "weight_decay": (0, 1),
    "warmup": (0, 1),
    "drop_path": (0, 0.9),
    "ema": (0, 1 - 1e-9),
    "gradient_norm": (0, 1e6),
    "held_out": (0, 0.5),
    "accumulation": (1, 65_536),
    "lora": (0, 65_536),
    "seed": (0, 2**63 - 1),
}
_WHOLE = ("epochs", "batch_size", "accumulation", "lora", "seed", "clusters")
