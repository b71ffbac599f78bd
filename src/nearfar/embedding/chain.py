"""A front end and the embedder behind it: what a clip is turned into numbers by."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.embedder.contract import (
    Embedder,
    Rows32,
    check,
    encodes,
    grid_source_of,
    identity_of,
    is_two_step,
    preparation_of,
)
from nearfar.errors import SettingError
from nearfar.files import sha256
from nearfar.parts.own import USER_PREFIX, guarded, shown
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio

if TYPE_CHECKING:
    from nearfar.frontend import Frontend


# Where these parts lay when the first caches were filled: part of their keys ever since, so that a
# cache outlives every move. A part that is not listed is called `nearfar.` and its name.
FIRST_ROOMS = {
    "Near": "nearfar.frontend.plain",
    "Far": "nearfar.frontend.plain",
    "Stereo": "nearfar.frontend.plain",
    "CoherenceMask": "nearfar.frontend.mask",
    "FarCancel": "nearfar.frontend.cancel",
    "DIF": "nearfar.dif",
    "LogMel": "nearfar.embedder",
    "EAT": "nearfar.eat.embed",
    "Crops": "nearfar.crops",
}


@dataclass(frozen=True)
class Chain:
    """A front end and an embedder, and the embedder's promises kept.

    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Near
    >>> Chain(Near(), LogMel()).key.split("|")[:3]
    ['nearfar.frontend.plain.Near', 'Near()', 'near-1']
    """

    frontend: Frontend
    embedder: Embedder

    @property
    def key(self) -> str:
        """Everything that changes the numbers, as text."""
        return f"{identity(self.frontend)}|{identity(self.embedder)}"

    @property
    def two_step(self) -> bool:
        """Does the embedder prepare each clip and encode many? See `nearfar.embedder.contract`."""
        return is_two_step(self.embedder)

    @property
    def encodes(self) -> bool:
        """Is its second step a costly one, for a device or for all cores at once?"""
        return encodes(self.embedder)

    @property
    def preparation(self) -> tuple[Frontend, str] | None:
        """Chains for which this is equal prepare clips alike; None: nobody knows."""
        said = preparation_of(self.embedder) if self.two_step else ""
        return (self.frontend, said) if said else None

    def check(self, runtime: Runtime) -> None:
        """Refuse what cannot run here, before any clip is read.

        Raises:
            WeightsError: weights that are missing or wrong.
            SettingError: a device or precision that is not here.
        """
        check(self.embedder, runtime)

    def rows(self, audios: Sequence[Audio], runtime: Runtime) -> Rows32:
        """Clips that the front end made → (clips, dim) float32.

        Raises:
            SettingError: an embedder that breaks its contract.
            AudioError: a clip that it cannot use.
        """
        if self.two_step:
            return self.encode([self.prepare(audio) for audio in audios], runtime)
        return self._kept(self._called(self.embedder, audios), len(audios))

    def hear(self, audio: Audio) -> Audio:
        """What the front end makes of a clip, (channels, samples), and its promises kept.

        Raises:
            SettingError: a front end that breaks its contract.
        """
        heard = guarded(self.frontend, self.frontend, audio, kind="front end")
        wanted = (self.frontend.channels, audio.shape[1])
        if np.shape(heard) != wanted:
            raise SettingError(
                f"{shown(self.frontend)} gave {np.shape(heard)}, its contract says {wanted}"
            )
        made: Audio = heard
        return made

    def prepare(self, audio: Audio) -> Any:
        """The first of two steps, for one clip; what it gives is the embedder's own affair."""
        embedder: Any = self.embedder
        return self._guarded(embedder.prepare, audio)

    @property
    def grid_source(self) -> Any:
        """The embedder whose grids its own pools; None if it pools none."""
        return grid_source_of(self.embedder)

    def grid(self, audio: Audio) -> Any:
        """(columns, bands, dim) of a clip as heard, by a source that works in one step."""
        return self.grids([audio], Runtime())[0]

    def grids(self, heard: Sequence[Any], runtime: Runtime) -> Any:
        """(columns, bands, dim) each, of clips as its source takes them."""
        return self._guarded(lambda some: self.grid_source.grids(some, runtime), heard)

    def pool(self, grids: Sequence[Any]) -> Rows32:
        """Grids of its source → (clips, dim) float32, as `encode` gives them."""
        embedder: Any = self.embedder
        rows = self._called(lambda some: np.stack([embedder.row_of(g) for g in some]), grids)
        return self._kept(rows, len(grids))

    def encode(self, prepared: Sequence[Any], runtime: Runtime) -> Rows32:
        """The second of two steps: (clips, dim) float32."""
        embedder: Any = self.embedder
        # The runtime comes second, by place: a name would be one more promise to keep.
        rows = self._called(lambda some: embedder.encode(some, runtime), prepared)
        return self._kept(rows, len(prepared))

    def _kept(self, rows: Rows32, clips: int) -> Rows32:
        # Before anything is cached: a wrong row would be found again for ever.
        wanted = (clips, self.embedder.dim)  # of an encoder, asked of its weights
        if rows.shape != wanted:
            raise SettingError(f"{self.embedder!r} gave {rows.shape}, its contract says {wanted}")
        if not np.isfinite(rows).all():
            raise SettingError(f"{self.embedder!r} gave NaN or infinite numbers; mend the embedder")
        return rows

    def _called(self, work: Callable[[Any], Any], what: Any) -> Rows32:
        """The embedder's answer as float32: what a cache would give back."""
        given = self._guarded(work, what)
        try:
            return np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError):  # None of a forgotten return, a ragged list
            raise SettingError(
                f"{shown(self.embedder)} gave {type(given).__name__}, no table of numbers; "
                "mend the embedder"
            ) from None

    def _guarded(self, work: Callable[[Any], Any], what: Any) -> Any:
        return guarded(self.embedder, work, what, kind="embedder")


def identity(part: Frontend | Embedder) -> str:
    """A part's name, settings and fingerprint; of a person's own file its content too.

    A part of ours is known by its public name, wherever its file lies.
    """
    cls = type(part)
    code = ""
    if cls.__module__.startswith(USER_PREFIX):
        # Nobody raises a fingerprint while trying things out: an edited file is another part.
        code = sha256(Path(str(sys.modules[cls.__module__].__file__)))
    # By the whole first name: a package called nearfar_more is not ours.
    ours = cls.__module__.split(".")[0] == "nearfar"
    room = FIRST_ROOMS.get(cls.__name__, "nearfar") if ours else cls.__module__
    return f"{room}.{cls.__qualname__}{code}|{identity_of(part)}|{part.fingerprint}"
