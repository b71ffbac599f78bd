"""What is trained: the encoder with a new head, and the centres of the proxy classes (report §2.2).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.embedder.encoders import KINDS
from nearfar.embedder.trunk import Trunk, apart, joined, make_head
from nearfar.embedder.weights import Weights
from nearfar.training.learner.adacos import SubclusterAdaCos
from nearfar.training.learner.domains import Discriminator, MixStyle
from nearfar.training.learner.lora import add_lora, merged
from nearfar.training.learner.losses import Centres, loss_class
from nearfar.training.settings import FineTuning

CPU = torch.device("cpu")
_LORA, _DISCRIMINATOR = 1, 2  # what is drawn beside the head: streams that never meet


class Learner(nn.Module):
    """Encoder, head and class centres.

    >>> from nearfar.embedder.eat.model import Architecture, Encoder
    >>> shape = Architecture(dim=16, depth=1, heads=2, hidden=32).projected()
    >>> pupil = Learner(Encoder(shape), SubclusterAdaCos(shape.projection[2], classes=3))
    >>> pupil.statistics([torch.zeros(2, 32, 128), torch.zeros(1, 16, 128)]).shape  # 2 · dim
    torch.Size([3, 32])
    """

    def __init__(
        self,
        encoder: Trunk,  # with a projection
        loss: Centres,  # and what they cost
        bf16: bool = False,  # products of the encoder in bfloat16; head and loss stay in float32
        discriminator: Discriminator | None = None,  # of domains, with DANN alone
        mixstyle: MixStyle | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.loss, self.bf16 = encoder, loss, bf16
        self.discriminator, self.mixstyle = discriminator, mixstyle

    def forward(
        self,
        mels: Sequence[Tensor],
        order: Tensor,
        labels: Tensor,
        domains: Tensor | None = None,
        reversal: float = 0.0,
    ) -> tuple[Tensor, ...]:
        """The loss of some clips.

        Args:
            mels: (clips, frames, 128) each, one for each length.
            order: (batch,) where each clip of the batch lies among those of all `mels`.
            labels: (batch,) class numbers.
            domains: (batch,) 0 source, 1 target, −1 unknown; DANN alone looks at them.
            reversal: λ of DANN.

        Returns:
            mean loss, the domains' in it; (batch, 2 · dim) statistics, to find what is not finite.
        """
        # BatchNorm sees the whole batch, whatever the lengths of its clips.
        statistics = self.statistics(mels)[order]
        rows, lengths = self._embedded(statistics)
        loss = self.loss(rows, labels, lengths)
        if self.discriminator is not None and domains is not None:
            loss = loss + self.discriminator(rows, domains, reversal)
        return loss, statistics.detach()

    def _embedded(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of length 1, (batch, out), and what length they had, (batch,)."""
        unscaled = self.encoder.projection.unscaled(statistics)
        return functional.normalize(unscaled, dim=1), unscaled.norm(dim=1)

    def statistics(self, mels: Sequence[Tensor]) -> Tensor:
        """Pooled tokens, (clips of all lengths, 2 · dim)."""
        kind, leading = next(self.encoder.parameters()).device.type, self.encoder.leading
        with torch.autocast(kind, torch.bfloat16, enabled=self.bf16):
            tokens = self._tokens(mels)
        return torch.cat([self.encoder.pooling(some[:, leading:].float()) for some in tokens])

    def _tokens(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """(clips, tokens, dim) each, one for each length; mixed on the way in training."""
        tokens = [self.encoder.embed(some) for some in mels]
        if self.mixstyle is None or not self.training:
            return self._through(tokens, 0)
        # To the block where clips of all lengths mix, and only then on.
        lower = self._through(tokens, 0, self.mixstyle.block)
        return self._through(self.mixstyle(lower), self.mixstyle.block)

    def _through(
        self, tokens: Sequence[Tensor], first: int, last: int | None = None
    ) -> list[Tensor]:
        """All lengths in one pass: small kernels, one for each length, leave a GPU waiting."""
        if len(tokens) == 1:
            return [self.encoder.through(tokens[0], first, last)]
        together, sizes = joined(tokens)
        return apart(self.encoder.through(together, first, last, sizes), sizes)

    def judge(self, mel: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Clips of one length, in eval mode: which have the nearest centre, and the mean loss."""
        rows, lengths = self._embedded(self.statistics([mel]))
        return self.loss.guess(rows) == labels, self.loss(rows, labels, lengths)


def learner(
    weights: Weights[Any],
    classes: int,
    settings: FineTuning,
    domain_shares: tuple[float, float] = (0.5, 0.5),
) -> Learner:
    """A learner at its beginning: published weights, and a head drawn from the seed.

    An AudioSet head among the weights is left out. DANN needs the shares of source and target clips
    in what is drawn.

    Raises:
        WeightsError: the file changed since it was opened.
        SettingError: a rank that is larger than a layer.
    """
    shape = weights.architecture.projected()
    embedding = shape.projection[2]
    published: Trunk = KINDS[shape.kind].module("model").load(weights)
    with torch.device("meta"):  # no memory is filled that is replaced at once
        encoder = type(published)(shape)
    with seeded(CPU, settings.seed):
        encoder.pooling, encoder.projection = make_head(shape.dim, shape.projection)
        loss = make_loss(embedding, classes, settings)
    _fill(encoder, published)
    if settings.lora:
        with seeded(CPU, settings.seed, _LORA):
            add_lora(encoder, settings.lora)
    _thin(encoder, settings.drop_path)
    encoder.checkpointing = settings.checkpointing
    asked = settings.gradient_decay
    encoder.gradient_decay = encoder.published_decay if asked is None else asked
    discriminator, mixstyle = None, None
    if settings.adaptation == "dann":
        with seeded(CPU, settings.seed, _DISCRIMINATOR):
            discriminator = Discriminator(embedding, domain_shares)
    if settings.adaptation == "mixstyle":
        mixstyle = MixStyle.of_depth(shape.depth, encoder.leading)
    return Learner(encoder, loss, settings.precision == "bf16", discriminator, mixstyle)


def make_loss(embedding: int, classes: int, settings: FineTuning) -> Centres:
    """The loss that the settings name, with centres drawn from torch's generator.

    Raises:
        SettingError: too few classes for it.
    """
    if settings.loss == "sc-adacos":
        return SubclusterAdaCos(embedding, classes, settings.clusters, settings.adaptive_scale)
    return loss_class(settings.loss)(embedding, classes, settings.margin, settings.scale)


def _fill(encoder: Trunk, published: Trunk) -> None:
    """Put published weights in; what can be trained is trained."""
    wanted = encoder.shape.shapes()
    lying = published.state_dict()  # in the file: copied before it is changed
    state = {name: x.clone() for name, x in lying.items() if name in wanted}
    encoder.load_state_dict(state, strict=False, assign=True)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(encoder.trains(name))


def _thin(encoder: Trunk, most: float) -> None:
    """Drop-path rises linearly over the blocks, from 0 to `most`."""
    depth = len(encoder.stack())
    for i, block in enumerate(encoder.stack()):
        block.drop_path = most * (i / (depth - 1) if depth > 1 else 1.0)  # type: ignore[assignment]


def changing(encoder: Trunk) -> dict[str, Tensor]:
    """The encoder's tensors that training changes, as its state names them; not copied."""
    found = {name: x.detach() for name, x in encoder.named_parameters() if x.requires_grad}
    # The running statistics of BatchNorm, but not its count of batches, which nothing uses.
    return found | {name: x for name, x in encoder.named_buffers() if x.is_floating_point()}


def kept(encoder: Trunk) -> dict[str, Tensor]:
    """A copy on the CPU of what training changes."""
    return {name: x.to(CPU, copy=True) for name, x in changing(encoder).items()}


def exported(encoder: Trunk, best: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The encoder's tensors, or the `best` that were `kept`, as its file lists them, on the CPU."""
    state = encoder.state_dict() | dict(best or {})
    return {
        name: merged(state, encoder.stored_as(name)).detach().to(CPU, copy=True)
        for name in encoder.shape.shapes()
    }


@contextmanager
def seeded(device: torch.device, *seed: int) -> Iterator[None]:
    """What torch draws inside comes from these numbers; outside nothing has changed."""
    text = " ".join(map(str, seed)).encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1  # fits int64
    cuda = [device] if device.type == "cuda" else []
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=cuda):
            torch.default_generator.manual_seed(number)
            if cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(number)
            if mps is not None:
                torch.mps.manual_seed(number)
            yield
    finally:
        if mps is not None:
            torch.mps.set_rng_state(mps)
