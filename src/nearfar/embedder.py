"""What an embedder is, and the simplest one.

An embedder is a frozen dataclass with

    channels: int        channels it needs of its front end
    dim: int             numbers per clip
    fingerprint: str     changes whenever the same audio would give other numbers
    __call__(audios: sequence of (channels, samples) float32) -> (batch, dim) float32

and, if it works faster on several clips at once, `batch: int`, how many it likes.
The row of a clip must not depend on the clips beside it. It may also have

    identity: str        its settings, if its repr has some that change no number (a file's place)
    prepare, encode      two steps (`TwoStep`): a cheap one for a clip alone, which worker processes
                         take, and a costly one for many clips, on a device (see `nearfar.eat`)
    check(runtime)       refuses what cannot run here, before any clip is read
    residuals(audio, s, level=…)   rows for another far channel (see `nearfar.dif`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from nearfar.audio import SAMPLE_RATE, Audio
from nearfar.errors import SettingError
from nearfar.spectral import log_mel

if TYPE_CHECKING:
    from nearfar.store import Runtime

Rows32 = NDArray[np.float32]


class Embedder(Protocol):
    """What an embedder is; see the module's text for the contract."""

    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    def __call__(self, audios: Sequence[Audio]) -> Rows32: ...  # noqa: D102


class TwoStep(Embedder, Protocol):
    """An embedder with a step for each clip and a step for many, on the runtime's device."""

    def prepare(self, audio: Audio) -> Any: ...  # noqa: D102
    def encode(self, prepared: Sequence[Any], runtime: Runtime) -> Rows32: ...  # noqa: D102


def is_embedder(part: object) -> TypeGuard[Embedder]:
    """Has it what an embedder has?

    Nothing is asked for its value: `dim` of an encoder opens its weights file.
    """
    return callable(part) and _has(part, "channels", "dim", "fingerprint")


def is_two_step(part: object) -> TypeGuard[TwoStep]:
    """Is it an embedder that works in two steps?"""
    return is_embedder(part) and _has(part, "prepare", "encode")


def _has(part: object, *names: str) -> bool:
    return all(getattr_static(part, name, None) is not None for name in names)


@dataclass(frozen=True)
class LogMel:
    """Mean over time of the log-mel spectrum in dB: the floor that every system must beat.

    The defaults are the front end of the official DCASE baseline.
    """

    n_mels: int = 128
    n_fft: int = 1024  # samples
    hop: int = 512  # samples

    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "logmel-1"

    def __post_init__(self) -> None:
        for name, most in (("n_mels", 1024), ("n_fft", SAMPLE_RATE), ("hop", SAMPLE_RATE)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise SettingError(f"LogMel.{name} is {value!r}; it is a whole number, 1 to {most}")

    @property
    def dim(self) -> int:
        """One number a mel band."""
        return self.n_mels

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(1, samples) each → (batch, n_mels), dB."""
        return np.stack(
            [
                log_mel(a[0], n_fft=self.n_fft, hop=self.hop, n_mels=self.n_mels).mean(axis=1)
                for a in audios
            ]
        ).astype(np.float32)
