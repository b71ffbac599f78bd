"""Losses of metric learning on classes: softmax over cosines, with a margin for the own class.

Each class has a centre; embeddings and centres count by direction only. A loss is what its margin
does to the cosine between an embedding and the centre of its own class.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.errors import DatasetError, SettingError

SINE_FLOOR = 1e-12  # of sin², under the root: its slope is infinite at 0


class CosineMargin(nn.Module):
    """Cross-entropy of scaled cosines between embeddings and class centres.

    A loss of the family overrides `margined`.

    Args:
        embedding: numbers an embedding has.
        classes: 2 or more.
        margin: what `margined` takes from the own class, in its own unit.
        scale: of the cosines, s.
        generator: what the centres are drawn from; None is torch's own.

    Raises:
        SettingError: an impossible size, margin or scale.
    """

    def __init__(
        self,
        embedding: int,
        classes: int,
        margin: float,
        scale: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (("embedding", embedding, 1), ("classes", classes, 2)):
            if value < least:
                raise SettingError(f"{name} is {value}; a loss needs {least} or more")
        if not 0 <= margin <= math.pi / 2:
            raise SettingError(f"margin is {margin}; it is 0 to π/2")
        if not 0 < scale < math.inf:
            raise SettingError(f"scale is {scale}; it is a number above 0")
        self.margin, self.scale = float(margin), float(scale)
        drawn = torch.randn(classes, embedding, generator=generator)
        self.centres = nn.Parameter(functional.normalize(drawn, dim=1))  # (classes, embedding)

    def cosines(self, x: Tensor) -> Tensor:
        """(batch, embedding) of any length → (batch, classes), in the centres' precision.

        Under autocast too: bfloat16 cannot tell cosines apart that are nearer than 0.004, and the
        scale would make an error of 0.1 of that.
        """
        with torch.autocast(x.device.type, enabled=False):
            unit = functional.normalize(x.to(self.centres.dtype), dim=1)
            return functional.linear(unit, functional.normalize(self.centres, dim=1))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            x: (batch, embedding), of any length.
            labels: (batch,) int64, each a class's number.

        Raises:
            DatasetError: a label that is no class.
        """
        self._check(labels)
        cosines = self.cosines(x)
        with torch.autocast(x.device.type, enabled=False):
            place = labels[:, None]
            lengths = x.to(cosines.dtype).norm(dim=1)
            own = self.margined(cosines.gather(1, place)[:, 0], lengths)
            logits = self.scale * cosines.scatter(1, place, own[:, None])
            return functional.cross_entropy(logits, labels)

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """What stands for the cosine to the own class.

        Args:
            own: (batch,) cosines.
            lengths: (batch,) of the embeddings before they were made unit: some losses look at it.

        Returns:
            (batch,), no larger than `own`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no margin; override margined")

    def _check(self, labels: Tensor) -> None:
        # torch takes −100 for "leave out" in silence, and on a GPU a wrong label ends the process.
        low, high = (int(v) for v in torch.aminmax(labels))
        if low < 0 or high >= len(self.centres):
            raise DatasetError(
                f"label {low if low < 0 else high}; with {len(self.centres)} classes it is 0 to "
                f"{len(self.centres) - 1}"
            )


class ArcFace(CosineMargin):
    """Additive angular margin, s·cos(θ + m) (Deng et al., CVPR 2019, Eq. 3; report §2.2).

    Beyond θ + m = π the cosine would rise again and reward embeddings that point away from their
    class. There it goes on as cos θ − m·sin m, which keeps falling with θ: the step of the paper's
    published code (insightface, `ArcMarginProduct` without "easy margin").
    """

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """cos θ → cos(θ + m), (batch,)."""
        m = self.margin
        # (1 − c)(1 + c), not 1 − c²: exact where c is near 1.
        sine = torch.sqrt(((1 - own) * (1 + own)).clamp(min=SINE_FLOOR))
        turned = own * math.cos(m) - sine * math.sin(m)  # cos(θ + m)
        within = own >= -math.cos(m)  # θ + m ≤ π
        return torch.where(within, turned, own - m * math.sin(m))
