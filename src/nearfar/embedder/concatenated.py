"""Several embedders of one clip, their rows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeGuard

import numpy as np

from nearfar.embedder.contract import (
    Embedder,
    Rows32,
    features_of,
    is_embedder,
    is_two_step,
    weights_of,
)
from nearfar.embedder.dif import DIF
from nearfar.embedder.dif.analysis import measure
from nearfar.embedder.dif.table import Feature
from nearfar.embedder.envelope import ENV, band_filters
from nearfar.errors import SettingError
from nearfar.sound.audio import Audio


@dataclass(frozen=True)
class Concatenated:
    """Embedders whose rows stand side by side, as one row that is whitened and compared.

    Each hears the first channels of the clip, as many as it needs. DIF and ENV share one pass over
    it. Encoders are no parts of it: they are members of an `Ensemble`, each with its own bank.

    Args:
        parts: two or more, in the order of their numbers; none twice.

    Raises:
        SettingError: too few, one twice, or one that is an encoder.

    >>> from nearfar.embedder.ltas import LTAS
    >>> both = Concatenated((DIF(), LTAS()))
    >>> both.channels, both.dim, len(both.features)
    (2, 184, 184)
    """

    parts: tuple[Embedder, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple) or len(self.parts) < 2:
            raise SettingError(
                f"Concatenated.parts is {self.parts!r}; give a tuple of two embedders or more, "
                "such as (DIF(), ENV())"
            )
        for part in self.parts:
            if isinstance(part, type) or not is_embedder(part):
                raise SettingError(
                    f"Concatenated.parts has {part!r}; give embedders, such as ENV()"
                )
            if is_two_step(part) or weights_of(part) is not None:
                raise SettingError(
                    f"Concatenated.parts has {part!r}, an encoder; make it a member of an "
                    "Ensemble, where it has a bank and a scale of its own"
                )
            if self.parts.count(part) > 1:
                raise SettingError(f"Concatenated.parts has {part!r} twice; name each part once")

    @property
    def channels(self) -> int:
        """As many as the part that needs most."""
        return max(part.channels for part in self.parts)

    @property
    def dim(self) -> int:
        """Those of all parts."""
        return sum(part.dim for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """Changes whenever that of a part does."""
        return "concatenated-1 " + ", ".join(part.fingerprint for part in self.parts)

    @property
    def features(self) -> tuple[Feature, ...]:
        """Name, unit and formula of each number; () where a part's have none."""
        found = [features_of(part) for part in self.parts]
        return tuple(chain.from_iterable(found)) if all(found) else ()

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(channels, samples) each → (batch, dim); the rows of the parts, to the bit.

        Raises:
            AudioError: a clip that a part cannot use.
        """
        return np.concatenate([self._row(audio) for audio in audios] or [self._none()])

    def _row(self, audio: Audio) -> Rows32:
        shared = sum(_shares(part) for part in self.parts) > 1
        clip = measure(audio, near_filters=band_filters()) if shared else None
        rows = [
            part([audio[: part.channels]])
            if clip is None or not _shares(part)
            else part.of(clip).astype(np.float32)[None]
            for part in self.parts
        ]
        return np.concatenate(rows, axis=1)

    def _none(self) -> Rows32:
        return np.empty((0, self.dim), np.float32)


def _shares(part: Embedder) -> TypeGuard[DIF | ENV]:
    """Is it made of the pass over a clip that `measure` takes?"""
    # By class, and none that is derived from it: that one may hear something else.
    return type(part) in (DIF, ENV)
