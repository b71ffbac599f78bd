"""Losses of metric learning on classes: softmax over cosines, with a margin for the own class.

Each class has a centre; embeddings and centres count by direction, and in MagFace by length too. A
loss is what its margin does to the cosine between an embedding and the centre of its own class.
One without a margin, with several centres a class, is in `nearfar.training.learner.adacos`.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.errors import DatasetError, SettingError

SINE_FLOOR = 1e-12  # of sin², under the root: its slope is infinite at 0

# MagFace's published numbers: l_m = 0.45 and u_m = 0.8 to ArcFace's 0.5; and λ_g = 35 as a multiple
# of the least, s · m′ / |g′(l_a)| with s = 64, l_a = 10, u_a = 110.
LOW_MARGIN, HIGH_MARGIN = 0.45 / 0.5, 0.8 / 0.5
PRICE = 35 * (1 / 10**2 - 1 / 110**2) / (64 * (0.8 - 0.45) / (110 - 10))


class Centres(nn.Module):
    """Directions that classes have, one or more each, and how near embeddings are to them.

    >>> Centres(4, 3).cosines(torch.ones(2, 4)).shape  # (batch, centres)
    torch.Size([2, 3])

    Raises:
        SettingError: an impossible size.
    """

    def __init__(
        self,
        embedding: int,
        classes: int,  # 2 or more
        each: int = 1,  # centres of a class, one behind the other
        generator: torch.Generator | None = None,  # draws the centres; None is torch's own
    ) -> None:
        super().__init__()
        for name, value, least in (("embedding", embedding, 1), ("classes", classes, 2)):
            if value < least:
                raise SettingError(f"{name} is {value}; a loss needs {least} or more")
        self.classes = classes
        drawn = torch.randn(classes * each, embedding, generator=generator)
        self.centres = nn.Parameter(functional.normalize(drawn, dim=1))  # (centres, embedding)

    def cosines(self, x: Tensor) -> Tensor:
        """(batch, embedding) of any length → (batch, centres), in the centres' precision.

        Under autocast too: bfloat16 cannot tell cosines apart that are nearer than 0.004, and the
        scale would make an error of 0.1 of that.
        """
        with torch.autocast(x.device.type, enabled=False):
            unit = functional.normalize(x.to(self.centres.dtype), dim=1)
            return functional.linear(unit, functional.normalize(self.centres, dim=1))

    def guess(self, x: Tensor) -> Tensor:
        """(batch, embedding) → the number of the likeliest class, (batch,)."""
        return self.cosines(x).argmax(dim=1)

    def check(self, labels: Tensor) -> None:
        """Refuse what is no class.

        Raises:
            DatasetError: a label below 0, or behind the last class.
        """
        # torch takes −100 for "leave out" in silence, and on a GPU a wrong label ends the process.
        low, high = (int(v) for v in torch.aminmax(labels))
        if low < 0 or high >= self.classes:
            raise DatasetError(
                f"label {low if low < 0 else high}; with {self.classes} classes it is 0 to "
                f"{self.classes - 1}"
            )


class CosineMargin(Centres):
    """Cross-entropy of scaled cosines between embeddings and class centres.

    A loss of the family overrides `margined`, and `penalty` if the lengths are to cost something.

    >>> class Plain(CosineMargin):
    ...     def margined(self, own, lengths):
    ...         return own
    >>> Plain(4, 3, 0.0, 30.0).cosines(torch.ones(2, 4)).shape  # (batch, classes)
    torch.Size([2, 3])

    Raises:
        SettingError: an impossible size, margin or scale.
    """

    def __init__(
        self,
        embedding: int,
        classes: int,  # 2 or more
        margin: float,  # what `margined` takes from the own class, in its own unit
        scale: float,  # of the cosines, s
        generator: torch.Generator | None = None,  # draws the centres; None is torch's own
    ) -> None:
        super().__init__(embedding, classes, generator=generator)
        if not 0 <= margin <= math.pi / 2:
            raise SettingError(f"margin is {margin}; it is 0 to π/2")
        if not 0 < scale < math.inf:
            raise SettingError(f"scale is {scale}; it is a number above 0")
        self.margin, self.scale = float(margin), float(scale)
        self._set_up(embedding)

    def forward(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mean loss of a batch.

        Args:
            x: (batch, embedding), of any length.
            labels: (batch,) int64, each a class's number.
            lengths: (batch,) of the embeddings, where `x` was made unit already; None: those of x.

        Raises:
            DatasetError: a label that is no class.
        """
        self.check(labels)
        cosines = self.cosines(x)
        with torch.autocast(x.device.type, enabled=False):
            place = labels[:, None]
            lengths = (x.norm(dim=1) if lengths is None else lengths).to(cosines.dtype)
            own = self.margined(cosines.gather(1, place)[:, 0], lengths)
            logits = self.scale * cosines.scatter(1, place, own[:, None])
            loss = functional.cross_entropy(logits, labels)
            extra = self.penalty(lengths)
            return loss if extra is None else loss + extra

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """What stands for the cosine to the own class, (batch,), no larger than `own`.

        Some losses look at the lengths, (batch,), of embeddings before they were made unit.
        """
        raise NotImplementedError(f"{type(self).__name__} has no margin; override margined")

    def _set_up(self, embedding: int) -> None:
        """What a loss of the family computes once, of its margin and scale."""

    def penalty(self, lengths: Tensor) -> Tensor | None:
        """What embeddings of these lengths, (batch,), cost beside; None: nothing."""
        return None


class ArcFace(CosineMargin):
    """Additive angular margin, s·cos(θ + m) (Deng et al., CVPR 2019, Eq. 3; report §2.2).

    Beyond θ + m = π the cosine would rise again and reward embeddings that point away from their
    class. There it goes on as cos θ − m·sin m, which keeps falling with θ: the step of the paper's
    published code (insightface, `ArcMarginProduct` without "easy margin").

    >>> loss, own = ArcFace(4, 3, margin=0.2, scale=30.0), torch.tensor([math.cos(0.5)])
    >>> round(float(loss.margined(own, torch.ones(1)).acos()), 4)  # θ + m
    0.7
    """

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """cos θ → cos(θ + m), (batch,)."""
        return turned(own, self.margin, math.cos(self.margin), math.sin(self.margin))


class CosFace(CosineMargin):
    """Additive margin of the cosine, s·(cos θ − m) (Wang et al., CVPR 2018, Eq. 4).

    >>> round(float(CosFace(4, 3, 0.2, 30.0).margined(torch.tensor([0.5]), torch.ones(1))), 4)
    0.3
    """

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """cos θ → cos θ − m, (batch,)."""
        return own - self.margin


class ElasticFace(CosineMargin):
    """ArcFace with a margin drawn anew for each clip and step (ElasticFace-Arc, Boutros et al.,
    CVPRW 2022, §3.2).

    m ~ N(margin, σ), kept within 0 to π/2: a margin below 0 would reward what it is to cost. Drawn
    from torch's generator on the CPU, so that every device draws the same; in eval mode the margin
    is the mean.

    Attributes:
        sigma: radians; 0.0125 is the default of the paper's published code.

    >>> loss, own = ElasticFace(4, 3, margin=0.2, scale=30.0).eval(), torch.tensor([math.cos(0.5)])
    >>> round(float(loss.margined(own, torch.ones(1)).acos()), 4)  # the mean margin
    0.7
    """

    sigma = 0.0125

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """cos θ → cos(θ + m), (batch,)."""
        margins = torch.full(own.shape, self.margin, dtype=own.dtype)
        if self.training:
            drawn = margins + self.sigma * torch.randn(own.shape, dtype=own.dtype)
            margins = drawn.clamp(0, math.pi / 2)
        m = margins.to(own.device)
        return turned(own, m, torch.cos(m), torch.sin(m))


class MagFace(CosineMargin):
    """ArcFace with a margin that grows with the embedding's length, and a price on short ones (Meng
    et al., CVPR 2021, Eq. 3 and §3.2).

    m(a) is a line from 0.9 · margin at l_a to 1.6 · margin at u_a, constant beyond them: the
    paper's 0.45 and 0.8 to ArcFace's usual 0.5. Its l_a = 10 and u_a = 110 are lengths of 512
    numbers; here they are in proportion to the root of how many there are.

    The price is λ_g · g(a), g(a) = 1/a + a/u_a², which has its minimum at u_a. Two things are ours:

    * λ_g. An embedding of length l_a only gets longer if the price falls faster there than the
      class's term can rise, λ_g · |g′(l_a)| ≥ s · m′. The paper's λ_g = 35 is 1.55 times the least
      such value for its s = 64 and margins; ours is as many times the least for these. Without
      margin nothing is left but softmax.
    * Below l_a the published code holds the length at l_a, and a clip that is there has no slope
      that would bring it back. Here g goes on below l_a as its tangent: a slope that is never 0,
      nor without bounds as that of 1/a. Above u_a it is g itself, which pulls back.

    >>> loss = MagFace(512, 3, margin=0.5, scale=64.0)  # the paper's own
    >>> round(loss.low, 4), round(loss.high, 4), loss.shortest, loss.longest
    (0.45, 0.8, 10.0, 110.0)

    Raises:
        SettingError: as `CosineMargin`, or a margin that would exceed π/2.
    """

    def _set_up(self, embedding: int) -> None:
        self.low, self.high = LOW_MARGIN * self.margin, HIGH_MARGIN * self.margin  # l_m, u_m
        if self.high > math.pi / 2:
            raise SettingError(f"margin is {self.margin}; for magface it is 0 to 0.98")
        root = math.sqrt(embedding / 512)
        self.shortest, self.longest = 10 * root, 110 * root  # l_a, u_a
        slope = (self.high - self.low) / (self.longest - self.shortest)  # m′
        steepest = 1 / self.shortest**2 - 1 / self.longest**2  # |g′(l_a)|
        self.price = PRICE * self.scale * slope / steepest  # λ_g

    def margined(self, own: Tensor, lengths: Tensor) -> Tensor:
        """cos θ → cos(θ + m(a)), (batch,)."""
        share = (lengths - self.shortest) / (self.longest - self.shortest)
        m = self.low + (self.high - self.low) * share.clamp(0, 1)
        return turned(own, m, torch.cos(m), torch.sin(m))

    def penalty(self, lengths: Tensor) -> Tensor:
        """λ_g · g(a), the mean over the batch."""
        low, high = self.shortest, self.longest
        a = lengths.clamp(min=low)
        g = 1 / a + a / high**2
        below = (lengths - low).clamp(max=0) * (1 / high**2 - 1 / low**2)  # the tangent
        return self.price * (g + below).mean()


def turned(own: Tensor, m: float | Tensor, cosine: float | Tensor, sine: float | Tensor) -> Tensor:
    """cos θ → cos(θ + m), (batch,), and beyond θ + m = π what `ArcFace` says.

    One margin m, with its cosine and sine, or (batch,) one for each.
    """
    # (1 − c)(1 + c), not 1 − c²: exact where c is near 1.
    own_sine = torch.sqrt(((1 - own) * (1 + own)).clamp(min=SINE_FLOOR))
    within = own >= -cosine  # θ + m ≤ π
    return torch.where(within, own * cosine - own_sine * sine, own - m * sine)


def loss_class(name: str) -> type[CosineMargin]:
    """The class of a loss, by its name in the settings."""
    return {c.__name__.lower(): c for c in (ArcFace, CosFace, ElasticFace, MagFace)}[name]
