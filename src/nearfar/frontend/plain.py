"""Audio → audio: what the embedder gets to hear.

A front end is a frozen dataclass with three facts and a call:

    needs: int         channels it takes (1: the near microphone is enough)
    channels: int      channels it gives
    fingerprint: str   changes whenever the same audio would give another sound
    __call__(audio: (needs, samples) float32) -> (channels, samples) float32
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from nearfar.sound.audio import Audio


@runtime_checkable
class Frontend(Protocol):
    """What a front end is; see the module's text for the contract.

    >>> isinstance(Near(), Frontend), isinstance(print, Frontend)
    (True, False)
    """

    @property
    def needs(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    def __call__(self, audio: Audio) -> Audio: ...  # noqa: D102


@dataclass(frozen=True)
class Near:
    """The near microphone alone; also takes mono recordings.

    >>> import numpy as np
    >>> Near()(np.array([[0.5, 0.5], [0.0, 0.1]], np.float32)).tolist()
    [[0.5, 0.5]]
    """

    needs: ClassVar[int] = 1  # so that a second channel is neither asked for nor judged
    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "near-1"

    def __call__(self, audio: Audio) -> Audio:
        """(1 or 2, samples) → (1, samples)."""
        return audio[:1]


@dataclass(frozen=True)
class Far:
    """The far microphone alone: what a system hears that is not beside the machine.

    >>> import numpy as np
    >>> Far()(np.array([[0.5, 0.5], [0.0, 0.25]], np.float32)).tolist()
    [[0.0, 0.25]]
    """

    needs: ClassVar[int] = 2
    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "far-1"

    def __call__(self, audio: Audio) -> Audio:
        """(2, samples) → (1, samples)."""
        return audio[1:2]  # a slice: the channel stays an axis, and nothing is copied


@dataclass(frozen=True)
class Stereo:
    """Both microphones, untouched (Systems 3 and 4: "Preprocess: None", report Table 1).

    >>> Stereo().needs, Stereo().channels
    (2, 2)
    """

    needs: ClassVar[int] = 2
    channels: ClassVar[int] = 2
    fingerprint: ClassVar[str] = "stereo-1"

    def __call__(self, audio: Audio) -> Audio:
        """(2, samples) → (2, samples)."""
        return audio
