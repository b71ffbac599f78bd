"""What is trained: the encoder with a new head, and the centres of the proxy classes (report §2.2).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nearfar.eat.architecture import POSITIONS, Architecture
from nearfar.eat.model import AttentiveStatistics, Block, Encoder, Projection, load
from nearfar.eat.weights import Weights
from nearfar.finetune.losses import ArcFace
from nearfar.finetune.settings import FineTuning

CPU = torch.device("cpu")


class Learner(nn.Module):
    """Encoder, head and class centres.

    Args:
        encoder: with a projection.
        loss: holds the centres.
        bf16: products of the encoder in bfloat16; head and loss stay in float32.
    """

    def __init__(self, encoder: Encoder, loss: ArcFace, bf16: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self.bf16 = bf16

    def forward(self, mels: Sequence[Tensor], order: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The loss of some clips.

        Args:
            mels: (clips, frames, 128) each, one for each length.
            order: (batch,) where each clip of the batch lies among those of all `mels`.
            labels: (batch,) class numbers.

        Returns:
            mean loss, and (batch, 2 · dim) the statistics without gradient, to find what is not
            finite.
        """
        # BatchNorm sees the whole batch, whatever the lengths of its clips.
        statistics = self.statistics(mels)[order]
        rows = self.encoder.projection(statistics)
        return self.loss(rows, labels), statistics.detach()

    def statistics(self, mels: Sequence[Tensor]) -> Tensor:
        """Pooled tokens, (clips of all lengths, 2 · dim)."""
        kind = self.encoder.extra_tokens.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.bf16):
            tokens = [self.encoder(some) for some in mels]
        return torch.cat([self.encoder.pooling(some[:, 1:].float()) for some in tokens])

    def judge(self, mel: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Clips of one length, in eval mode: which have the nearest centre, and the mean loss."""
        rows = self.encoder.projection(self.statistics([mel]))
        return self.loss.cosines(rows).argmax(dim=1) == labels, self.loss(rows, labels)


def learner(weights: Weights, classes: int, settings: FineTuning) -> Learner:
    """A learner at its beginning: published weights, and a head drawn from the seed.

    An AudioSet head among the weights is left out.

    Raises:
        WeightsError: the file changed since it was opened.
    """
    shape = weights.architecture.projected()
    with torch.device("meta"):
        encoder = Encoder(shape)
    with seeded(CPU, settings.seed):
        head, loss = _head(shape), ArcFace(
            shape.projection[2] if shape.projection else shape.dim,
            classes, settings.margin, settings.scale,
        )  # fmt: skip
    encoder.pooling, encoder.projection = head
    wanted = shape.shapes()
    published = load(weights).state_dict()  # lies in the file: copied before it is changed
    state = {name: x.clone() for name, x in published.items() if name in wanted}
    encoder.load_state_dict(state, strict=False, assign=True)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name != POSITIONS)
    _thin(encoder, settings.drop_path)
    encoder.checkpointing = settings.checkpointing
    return Learner(encoder, loss, settings.precision == "bf16")


def _head(shape: Architecture) -> tuple[AttentiveStatistics, Projection]:
    attention, hidden, out = shape.projection or (1, 1, 1)
    return AttentiveStatistics(shape.dim, attention), Projection(2 * shape.dim, hidden, out)


def _thin(encoder: Encoder, most: float) -> None:
    """Drop-path rises linearly over the blocks, from 0 to `most`."""
    depth = len(encoder.blocks)
    for i, block in enumerate(encoder.blocks):
        if isinstance(block, Block):
            block.drop_path = most * (i / (depth - 1) if depth > 1 else 1.0)


def exported(encoder: Encoder) -> dict[str, Tensor]:
    """The encoder's tensors as its file lists them, copied to the CPU."""
    state = encoder.state_dict()
    return {name: state[name].detach().to(CPU, copy=True) for name in encoder.shape.shapes()}


@contextmanager
def seeded(device: torch.device, *seed: int) -> Iterator[None]:
    """What torch draws inside comes from these numbers; outside nothing has changed."""
    text = " ".join(map(str, seed)).encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1
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
