"""What is trained: the encoder with a new head, and the centres of the proxy classes (report §2.2).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.embedder.eat.architecture import POSITIONS, Architecture
from nearfar.embedder.eat.model import (
    AttentiveStatistics,
    Block,
    Encoder,
    Projection,
    apart,
    joined,
    load,
)
from nearfar.embedder.eat.weights import Weights
from nearfar.training.learner.domains import Discriminator, MixStyle
from nearfar.training.learner.lora import add_lora, merged
from nearfar.training.learner.losses import CosineMargin, loss_class
from nearfar.training.settings import FineTuning

CPU = torch.device("cpu")
_LORA, _DISCRIMINATOR = 1, 2  # what is drawn beside the head: streams that never meet


class Learner(nn.Module):
    """Encoder, head and class centres.

    >>> shape = Architecture(dim=16, depth=1, heads=2, hidden=32).projected()
    >>> pupil = Learner(Encoder(shape), CosineMargin(shape.projection[2], 3, 0.2, 30.0))
    >>> pupil.statistics([torch.zeros(2, 32, 128), torch.zeros(1, 16, 128)]).shape  # 2 · dim
    torch.Size([3, 32])
    """

    def __init__(
        self,
        encoder: Encoder,  # with a projection
        loss: CosineMargin,  # holds the centres
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
        kind = self.encoder.extra_tokens.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.bf16):
            tokens = self._tokens(mels)
        return torch.cat([self.encoder.pooling(some[:, 1:].float()) for some in tokens])  # no CLS

    def _tokens(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """(clips, 1 + patches, dim) each, one for each length; mixed on the way in training."""
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
        return self.loss.cosines(rows).argmax(dim=1) == labels, self.loss(rows, labels, lengths)


def learner(
    weights: Weights,
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
    embedding = shape.projection[2] if shape.projection else shape.dim
    with torch.device("meta"):  # no memory is filled that is replaced at once
        encoder = Encoder(shape)
    with seeded(CPU, settings.seed):
        encoder.pooling, encoder.projection = _head(shape)
        loss = loss_class(settings.loss)(embedding, classes, settings.margin, settings.scale)
    _fill(encoder, weights)
    if settings.lora:
        with seeded(CPU, settings.seed, _LORA):
            add_lora(encoder, settings.lora)
    _thin(encoder, settings.drop_path)
    encoder.checkpointing = settings.checkpointing
    discriminator, mixstyle = None, None
    if settings.adaptation == "dann":
        with seeded(CPU, settings.seed, _DISCRIMINATOR):
            discriminator = Discriminator(embedding, domain_shares)
    if settings.adaptation == "mixstyle":
        mixstyle = MixStyle.of_depth(shape.depth)
    return Learner(encoder, loss, settings.precision == "bf16", discriminator, mixstyle)


def _fill(encoder: Encoder, weights: Weights) -> None:
    """Put published weights in; all but the positions, which are a formula, can be trained."""
    wanted = encoder.shape.shapes()
    published = load(weights).state_dict()  # lies in the file: copied before it is changed
    state = {name: x.clone() for name, x in published.items() if name in wanted}
    encoder.load_state_dict(state, strict=False, assign=True)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name != POSITIONS)


def _head(shape: Architecture) -> tuple[AttentiveStatistics, Projection]:
    attention, hidden, out = shape.projection or (1, 1, 1)
    return AttentiveStatistics(shape.dim, attention), Projection(2 * shape.dim, hidden, out)


def _thin(encoder: Encoder, most: float) -> None:
    """Drop-path rises linearly over the blocks, from 0 to `most`."""
    depth = len(encoder.blocks)
    for i, block in enumerate(encoder.blocks):
        if isinstance(block, Block):
            block.drop_path = most * (i / (depth - 1) if depth > 1 else 1.0)


def changing(encoder: Encoder) -> dict[str, Tensor]:
    """The encoder's tensors that training changes, as its state names them; not copied."""
    found = {name: x.detach() for name, x in encoder.named_parameters() if x.requires_grad}
    # The running statistics of BatchNorm, but not its count of batches, which nothing uses.
    return found | {name: x for name, x in encoder.named_buffers() if x.is_floating_point()}


def kept(encoder: Encoder) -> dict[str, Tensor]:
    """A copy on the CPU of what training changes."""
    return {name: x.to(CPU, copy=True) for name, x in changing(encoder).items()}


def exported(encoder: Encoder, best: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The encoder's tensors, or the `best` that were `kept`, as its file lists them, on the CPU."""
    state = encoder.state_dict() | dict(best or {})
    return {
        name: merged(state, name).detach().to(CPU, copy=True) for name in encoder.shape.shapes()
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
