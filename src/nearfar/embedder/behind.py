"""What an encoder hears far away, taken off what it hears near the machine: in embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nearfar.embedder.contract import (
    Embedder,
    Rows32,
    check,
    encodes,
    identity_of,
    is_embedder,
    is_two_step,
    preparation_of,
)
from nearfar.errors import SettingError
from nearfar.parts.valid import number
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio


@dataclass(frozen=True)
class FarSubtracted:
    """e(near) − amount · e(far): the residual of two embeddings, of clips with both channels.

    The front end is one that gives both, such as `Stereo()`. Bands that the embedder keeps apart
    stay apart.

    Args:
        embedder: hears one channel at a time.
        amount: of the far channel's embedding.

    Raises:
        SettingError: an embedder of two channels, or an amount that is no number.

    >>> from nearfar.embedder.logmel import LogMel
    >>> one = LogMel(n_mels=20)
    >>> audio = np.random.default_rng(0).standard_normal((2, 16000)).astype(np.float32)
    >>> near, far = one([audio[:1]])[0], one([audio[1:]])[0]
    >>> bool(np.allclose(FarSubtracted(one)([audio])[0], near - 0.5 * far, atol=1e-6))
    True
    """

    embedder: Embedder
    amount: float = 0.5  # published with k = 1 for SSLAM

    channels: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not is_embedder(self.embedder) or self.embedder.channels != 1:
            raise SettingError(
                f"FarSubtracted.embedder is {self.embedder!r}; give one that hears one channel, "
                "such as EAT(weights)"
            )
        number("FarSubtracted.amount", self.amount, -100, 100)

    @property
    def dim(self) -> int:
        """That of the embedder inside."""
        return self.embedder.dim

    @property
    def fingerprint(self) -> str:
        """The embedder's, and how much of far is taken off."""
        return f"{self.embedder.fingerprint}, far-subtracted-1 {self.amount}"

    @property
    def identity(self) -> str:
        """The settings, without the place of any weights."""
        inner = f"{type(self.embedder).__name__}({identity_of(self.embedder)})"
        return f"FarSubtracted({inner}, {self.amount})"

    @property
    def preparation(self) -> str:
        """What the embedder inside makes of each channel; "" if it is silent."""
        inner = preparation_of(self.embedder) if is_two_step(self.embedder) else ""
        return inner and f"{inner}, both channels"

    @property
    def encodes(self) -> bool:
        """Is work left after the first step? It does all of an encoder of one step."""
        return encodes(self.embedder)

    def check(self, runtime: Runtime) -> None:
        """What the embedder inside refuses is refused."""
        check(self.embedder, runtime)

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(2, samples) each → (batch, dim)."""
        return self.encode([self.prepare(audio) for audio in audios], Runtime())

    def prepare(self, audio: Audio) -> Any:
        """Both channels as the embedder inside prepares them; the row, if it has one step."""
        inner: Any = self.embedder
        channels = [np.ascontiguousarray(audio[:1]), np.ascontiguousarray(audio[1:])]
        if is_two_step(inner):
            return [inner.prepare(channel) for channel in channels]
        return self._rows(inner(channels))[0]  # workers take this step, and with it all the work

    def encode(self, prepared: Sequence[Any], runtime: Runtime) -> Rows32:
        """Clips as prepared → (clips, dim)."""
        inner: Any = self.embedder
        if not is_two_step(inner):
            return np.stack(prepared)
        return self._rows(inner.encode([one for both in prepared for one in both], runtime))

    def _rows(self, rows: Rows32) -> Rows32:
        """(2 · clips, dim), near and far in turn → (clips, dim)."""
        near, far = rows[::2].astype(np.float64), rows[1::2].astype(np.float64)
        return (near - self.amount * far).astype(np.float32)
