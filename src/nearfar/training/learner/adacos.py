"""Sub-cluster AdaCos: several centres a class, no margin, and a scale that nobody sets.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from nearfar.errors import SettingError
from nearfar.training.learner.losses import Centres


def fixed_scale(centres: int) -> float:
    """s = √2 · ln(centres − 1) (AdaCos, Zhang et al., CVPR 2019, Eq. 12, of all sub-clusters).

    Raises:
        SettingError: fewer than three centres, for which it is 0 and nothing could be learned.

    >>> round(fixed_scale(116 * 16), 2)
    10.64
    """
    if centres < 3:
        raise SettingError(
            f"sc-adacos with {centres} centres has a scale of 0; training.clusters=2 or more"
        )
    return math.sqrt(2) * math.log(centres - 1)


class SubclusterAdaCos(Centres):
    """Cross-entropy of classes whose probability is the sum over their sub-clusters' (Wilkinghoff,
    "Sub-Cluster AdaCos: Learning Representations for Anomalous Sound Detection", IJCNN 2021).

    With C classes of K sub-clusters each, s the scale and θ the angle of an embedding to a centre,

        P(class j) = Σ over its K centres of exp(s · cos θ)  /  Σ over all C · K of exp(s · cos θ)

    The loss is −ln P(own class), the mean over a batch. Each normal condition may so be several
    clouds. The scale is s = √2 · ln(C·K − 1), or with `adaptive` begins there and in each batch of
    a training becomes, before it is used and without a gradient,

        s ← ln(mean over clips of Σ over all C·K of exp(s · cos θ)) / cos(min(π/4, median of θ_own))

    θ_own is a clip's sum of angles to the centres of its class, as in the published code: with more
    than one centre a class it is above π/4 but at the very end. K = 1 with the fixed scale is
    AdaCos's fixed form; AdaCos's dynamic one leaves the own class out of the sum, this one's, made
    for mixed clips, does not. Mixing clips (mixup) is the paper's and is not done here. Centres are
    trained, as in the paper; its author's later systems draw them once.

    >>> loss = SubclusterAdaCos(4, classes=3, clusters=2)
    >>> loss.centres.shape, round(loss.scale, 3)  # √2 · ln 5
    (torch.Size([6, 4]), 2.276)

    Raises:
        SettingError: an impossible size.
    """

    moving: Tensor | None

    def __init__(
        self,
        embedding: int,
        classes: int,  # C, 2 or more
        clusters: int = 16,  # K
        adaptive: bool = False,
        generator: torch.Generator | None = None,  # draws the centres; None is torch's own
    ) -> None:
        if clusters < 1:
            raise SettingError(f"clusters is {clusters}; a class has 1 or more")
        super().__init__(embedding, classes, clusters, generator)
        self.clusters, self.first_scale = clusters, fixed_scale(classes * clusters)
        # A buffer, so that a checkpoint has it and processes agree on it.
        begin = torch.tensor(self.first_scale) if adaptive else None
        self.register_buffer("moving", begin)

    @property
    def scale(self) -> float:
        """s as it is now."""
        return self.first_scale if self.moving is None else float(self.moving)

    def forward(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mean loss of a batch.

        Args:
            x: (batch, embedding), of any length.
            labels: (batch,) int64, each a class's number.
            lengths: of the embeddings; they count for nothing here.

        Raises:
            DatasetError: a label that is no class.
        """
        self.check(labels)
        cosines = self.cosines(x)
        with torch.autocast(x.device.type, enabled=False):
            if self.training and self.moving is not None:
                self._move(self.moving, cosines.detach(), labels)
            return functional.cross_entropy(self._classes(cosines), labels)

    def guess(self, x: Tensor) -> Tensor:
        """(batch, embedding) → the number of the likeliest class, (batch,)."""
        return self._classes(self.cosines(x)).argmax(dim=1)

    def _classes(self, cosines: Tensor) -> Tensor:
        """ln Σ exp(s · cos θ) over each class's centres, (batch, classes)."""
        scale = self.first_scale if self.moving is None else self.moving.to(cosines.dtype)
        return torch.logsumexp(self._by_class(scale * cosines), dim=2)

    def _by_class(self, of_centres: Tensor) -> Tensor:
        """(batch, centres) → (batch, classes, clusters)."""
        return of_centres.view(len(of_centres), self.classes, self.clusters)

    def _move(self, moving: Tensor, cosines: Tensor, labels: Tensor) -> None:
        """The scale of this batch, by the one before."""
        of_class = self._by_class(cosines.clamp(-1, 1).acos()).sum(dim=2)
        own = of_class.gather(1, labels[:, None]).median()
        total = torch.logsumexp((moving * cosines).flatten(), dim=0) - math.log(len(cosines))
        moving.copy_(total / torch.cos(own.clamp(max=math.pi / 4)))
