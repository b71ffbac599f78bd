"""What an embedder is: what it must have, what it may offer, and the one place that asks.

An embedder is a frozen dataclass with

    channels: int        channels it needs of its front end
    dim: int             numbers per clip
    fingerprint: str     changes whenever the same audio would give other numbers
    __call__(audios: sequence of (channels, samples) float32) -> (batch, dim) float32

The row of a clip must not depend on the clips beside it. An embedder may offer more, each promise
by itself; whoever wants to know asks the function named here, never the embedder:

    batch: int           how many clips it likes at a time                           `batch_of`
    identity: str        its settings, if its repr has some that change no number,
                         as a file's place does                                      `identity_of`
    alike                fingerprints of before, whose rows differ from today's by rounding
                         alone: their banks are still its own                         `alike_of`
    prepare, encode      two steps (`TwoStep`): a cheap one for a clip alone, which
                         worker processes take, and a costly one for many clips,
                         on a device (see `nearfar.embedder.eat`)                    `is_two_step`
    encodes: bool        is there work left for `encode`? False where `prepare` gives the row
                                                                                     `encodes`
    preparation: str     what `prepare` depends on but the audio: embedders for
                         which it is equal prepare alike, and one does it for all
                                                                                `preparation_of`
    residuals(audio, s, level=…)    rows for another far channel
                         (see `nearfar.embedder.dif`)                              `has_residuals`
    check(runtime)       refuses what cannot run here, before any clip is read       `check`
    weights: str         where its weights lie                                       `weights_of`
    files                name in a folder → file that a copy of its weights needs    `files_of`
    training             how it was trained, None if it was not; whoever has it has
                         heard clips, which must not judge themselves                `training_of`
    features             of each number a `Feature`: name, unit, formula (see
                         `nearfar.embedder.dif.table`), by which people know it      `features_of`
    bands: int           how many frequency bands its row keeps apart, each as long as the
                         others, one behind the other                              `bands_of`
    grids(prepared, runtime)    (columns, grid_bands, grid_dim) of each clip, bands from low to
                         high: of what `prepare` gave, or of the audio where there is
                         no such step                                              `has_grid`
    grid_bands, grid_dim: int   of its grids; the bands are known without its weights
    grid_hertz           the edges of its bands in Hz, one more than bands         `hertz_of`
    grid_source, row_of(grid)   the embedder whose grids it pools, and its row of one; who pools the
                         same grids can have them made once                  `grid_source_of`
    embedder             the embedder inside, which this one wraps, as `Crops` does  `innermost`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import getattr_static
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import Audio

if TYPE_CHECKING:
    from nearfar.embedder.dif.table import Feature
    from nearfar.runtime.runtime import Runtime

Rows32 = NDArray[np.float32]  # (clips, dim); a cache keeps these four bytes a number


class Embedder(Protocol):
    """What an embedder is; see the module's text for the contract.

    >>> from nearfar.embedder.logmel import LogMel
    >>> is_embedder(LogMel()), is_embedder("LogMel()")
    (True, False)
    """

    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def dim(self) -> int: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    def __call__(self, audios: Sequence[Audio]) -> Rows32: ...  # noqa: D102


class TwoStep(Embedder, Protocol):
    """An embedder with a step for each clip and a step for many, on the runtime's device.

    >>> from nearfar.embedder.crops import Crops
    >>> from nearfar.embedder.logmel import LogMel
    >>> is_two_step(LogMel()), is_two_step(Crops(LogMel()))
    (False, True)
    """

    def prepare(self, audio: Audio) -> Any: ...  # noqa: D102
    def encode(self, prepared: Sequence[Any], runtime: Runtime) -> Rows32: ...  # noqa: D102


class Residuals(Embedder, Protocol):
    """An embedder that gives rows of clips with another far channel (report Eq. 2).

    >>> from nearfar.embedder.dif import DIF
    >>> has_residuals(DIF()), has_residuals(None)
    (True, False)
    """

    def residuals(self, audio: Audio, s: NDArray[np.float64], *, level: float = 1.0) -> Rows32:
        """(len(s), dim) for a clip (2, samples), its near channel mixed in at a level."""
        ...


def is_embedder(part: object) -> TypeGuard[Embedder]:
    """Has it what an embedder has?"""
    return callable(part) and _offers(part, "channels", "dim", "fingerprint")


def is_two_step(part: object) -> TypeGuard[TwoStep]:
    """Is it an embedder that works in two steps?"""
    return is_embedder(part) and _offers(part, "prepare", "encode")


def encodes(embedder: Any) -> bool:
    """Does its second step cost anything? One that has no such step has no such cost.

    >>> from nearfar.embedder.pooling import Bands, Pooled
    >>> from nearfar.embedder.yamnet import YAMNet
    >>> pooled = Pooled(YAMNet("a folder"), Bands())
    >>> is_two_step(pooled), encodes(pooled)
    (True, False)
    """
    said = bool(embedder.encodes) if _offers(embedder, "encodes") else True
    return is_two_step(embedder) and said


def preparation_of(embedder: Any) -> str:
    """What the first of two steps depends on but the audio; "" if the embedder does not say."""
    said = str(embedder.preparation) if _offers(embedder, "preparation") else ""
    # With its class: one derived from EAT inherits the promise, and may prepare otherwise.
    return said and f"{type(embedder).__module__}.{type(embedder).__qualname__} {said}"


def has_residuals(part: object) -> TypeGuard[Residuals]:
    """Does it give rows for another far channel?"""
    return _offers(part, "residuals")


def has_grid(part: object) -> bool:
    """Is it an embedder that gives grids of time and frequency?"""
    return is_embedder(part) and _offers(part, "grids", "grid_bands", "grid_dim")


def grid_source_of(embedder: Any) -> Any:
    """The embedder whose grids are pooled into its rows; None if it pools none."""
    return embedder.grid_source if _offers(embedder, "grid_source", "row_of") else None


def batch_of(embedder: Any) -> int:
    """How many clips it likes at a time; 1 if it does not say."""
    # One at a time stays in the processor's cache: batches are for who gains by them.
    return int(embedder.batch) if _offers(embedder, "batch") else 1


def identity_of(part: Any) -> str:
    """The settings that change a number, as text: of an embedder, or of any other part."""
    said = part.identity if _offers(part, "identity") else ""
    return said or repr(part)  # a dataclass's repr has every setting: none is forgotten


def alike_of(embedder: Any) -> tuple[str, ...]:
    """Fingerprints whose rows differ from the embedder's by rounding alone; () if it knows none.

    >>> from nearfar.embedder.crops import Crops
    >>> from nearfar.embedder.dif import DIF
    >>> alike_of(DIF()), alike_of(Crops(DIF(), n=2))
    (('dif-1',), ('dif-1, crops-1 2 0.6 0',))
    """
    if _offers(embedder, "alike"):
        return tuple(embedder.alike)
    inside = alike_of(embedder.embedder) if _offers(embedder, "embedder") else ()
    if not inside:  # nor is any weights file opened for a fingerprint
        return ()
    whole, now = embedder.fingerprint, embedder.embedder.fingerprint
    # One that does not name what is inside has no other fingerprint for it.
    return tuple(whole.replace(now, was, 1) for was in inside if now in whole)


def check(embedder: Any, runtime: Runtime) -> None:
    """Let an embedder refuse what cannot run here, before any clip is read.

    Raises:
        WeightsError: weights that are missing or wrong.
        SettingError: a device or precision that is not here.
    """
    if _offers(embedder, "check"):
        embedder.check(runtime)


def bands_of(embedder: Any) -> int:
    """How many bands its row, or that of the one inside, keeps apart; 1 if it does not say."""
    holder = _holder(embedder, "bands")
    return 1 if holder is None else int(holder.bands)


def hertz_of(embedder: Any) -> tuple[float, ...]:
    """Edges in Hz of the bands that it, or the one inside, keeps apart; () if it does not say."""
    holder = _holder(embedder, "grid_hertz")
    return () if holder is None else tuple(float(hz) for hz in holder.grid_hertz)


def features_of(embedder: Any) -> tuple[Feature, ...]:
    """Name, unit and formula of each of its numbers; () where they have no names.

    >>> from nearfar.embedder.dif import DIF
    >>> [feature.unit for feature in features_of(DIF(names=("kurtosis", "rms_ratio")))]
    ['1', 'dB']
    """
    holder = _holder(embedder, "features")
    return () if holder is None else tuple(holder.features)


def innermost(embedder: Any) -> Any:
    """The embedder that hears, without those that only wrap it."""
    # However many wrap each other: crops of crops are no reason to stop at the first.
    return innermost(embedder.embedder) if _offers(embedder, "embedder") else embedder


def weights_of(embedder: Any) -> str | None:
    """Where an embedder, or the one inside it, has its weights; None if it has none."""
    holder = _holder(embedder, "weights")  # another's may be arrays; only a text is a place
    return holder.weights if holder is not None and isinstance(holder.weights, str) else None


def with_weights(embedder: Any, place: str) -> Any:
    """The same embedder with its weights elsewhere."""
    if _offers(embedder, "weights"):
        return replace(embedder, weights=place)
    # The wrapper stays what it is around it: its cut of the clips is part of the bank.
    return replace(embedder, embedder=with_weights(embedder.embedder, place))


def files_of(embedder: Any) -> Mapping[str, Path]:
    """What a copy of its weights consists of: name in a folder → file; {} if it does not say.

    Raises:
        WeightsError: the weights are gone.
    """
    holder = _holder(embedder, "files")
    return {} if holder is None else dict(holder.files)


def training_of(embedder: Any) -> Any:
    """How an embedder, or the one inside it, was trained; None for one that was not."""
    holder = _holder(embedder, "training")
    return None if holder is None else holder.training


def _holder(embedder: Any, name: str) -> Any:
    """The embedder, or the one inside it, that offers something; None if none does."""
    if _offers(embedder, name):
        return embedder
    return _holder(embedder.embedder, name) if _offers(embedder, "embedder") else None


def _offers(part: object, *names: str) -> bool:
    """Has it something by each of these names?

    Nothing is asked for its value: `dim` of an encoder opens its weights file.
    """
    # None is nothing: a field may be there and not be used. Runtime-checkable protocols would not
    # do: before Python 3.12 `isinstance` reads every property.
    return all(getattr_static(part, name, None) is not None for name in names)
