"""Domain invariant features (report §2.1.2): 120 numbers of a two-channel clip, each with a name.

`TABLE` has the name, unit and formula of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.embedder.dif.analysis import Measured, measure
from nearfar.embedder.dif.families import (
    NEAR_FAMILIES,
    STEREO_FAMILIES,
    NearMeasures,
    PairMeasures,
    hear_near,
)
from nearfar.embedder.dif.residual import mix, pair_of
from nearfar.embedder.dif.table import CANDIDATES, NAMES, TABLE, Feature
from nearfar.errors import SettingError, did_you_mean
from nearfar.sound.spectral import Float32, Float64

__all__ = ["CANDIDATES", "DIF", "NAMES", "TABLE", "Feature"]

REVISION = 2  # raise it whenever the same audio gives other numbers
_FEATURES = {feature.name: feature for feature in TABLE}
_FAMILIES = {
    family: [feature.name for feature in TABLE if feature.family == family]
    for family in (*NEAR_FAMILIES, *STEREO_FAMILIES)
}


@dataclass(frozen=True, repr=False)
class DIF:
    """The domain invariant features as an embedder.

        near = 80    delta_mfcc_std 26, mfcc_mean 13, spectral_contrast 14, band_energy_ratio 11,
                     spectral_shape 8, impulsiveness 8
        stereo = 40  basic_stereo 7, band_level_difference 9, mfcc_difference 13, coherence 11

    None of the 120 changes when both channels are amplified alike. 31 more candidates do, or
    follow the operating point; with them there are the report's 151.

    Args:
        names: which features, in which order; any of `CANDIDATES`.

    Raises:
        SettingError: an unknown name, a name twice, or none.

    >>> DIF(names=("kurtosis", "rms_ratio"))
    DIF(names=('kurtosis', 'rms_ratio'))
    >>> DIF(), DIF().dim
    (DIF(), 120)
    """

    names: tuple[str, ...] = NAMES

    channels: ClassVar[int] = 2  # near, far
    # Of 1 the sums over frames went in another order; no feature moved by 1e-4 of its spread.
    alike: ClassVar[tuple[str, ...]] = ("dif-1",)

    def __post_init__(self) -> None:
        if isinstance(self.names, str) or not self.names:
            raise SettingError(f"DIF.names is {self.names!r}; give a tuple of feature names")
        names = tuple(self.names)
        object.__setattr__(self, "names", names)
        for name in names:
            if name not in _FEATURES:
                raise SettingError(
                    f"DIF has no feature {name!r}; {did_you_mean(str(name), CANDIDATES)}"
                )
            if names.count(name) > 1:
                raise SettingError(f"DIF.names has {name!r} twice; name each feature once")

    def __repr__(self) -> str:
        # 120 names would drown a system's repr. Cache keys have it: another wording empties caches.
        return "DIF()" if self.names == NAMES else f"DIF(names={self.names!r})"

    @property
    def dim(self) -> int:
        """How many features."""
        return len(self.names)

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same audio would give other numbers."""
        return f"dif-{REVISION}"

    @property
    def features(self) -> tuple[Feature, ...]:
        """Name, unit and formula of each number."""
        return tuple(_FEATURES[name] for name in self.names)

    @property
    def stereo(self) -> NDArray[np.bool_]:
        """(dim,): which features the far channel has a part in."""
        return np.array([_FEATURES[name].channel == "stereo" for name in self.names])

    def __call__(self, audios: Sequence[Float32]) -> Float32:
        """The features of some clips, each on its own.

        Args:
            audios: (2, samples) float32 each, near and far, at 16 kHz; lengths may differ.

        Returns:
            float32, (batch, dim).

        Raises:
            AudioError: a clip of another shape, shorter than 0.1 s, not finite, or without a
                sound in its near channel.
        """
        rows = np.empty((len(audios), self.dim), np.float32)
        for row, audio in zip(rows, audios, strict=True):
            row[:] = self.of(measure(audio))
        return rows

    def of(self, clip: Measured) -> Float64:
        """(dim,): the features of a clip that is measured, for whoever shares the pass over it."""
        near = hear_near(clip)
        row: Float64 = self._rows(near, pair_of(near))[0]
        return row

    def residuals(self, audio: Float32, s: ArrayLike, *, level: float = 1.0) -> Float32:
        """Features of the clip with the far channel R = (1 − s)·level·y₀ + s·y₁ (report Eq. 2).

        Args:
            audio: (2, samples) float32.
            s: (m,); 1 is the clip itself, 0 two identical channels.
            level: gain of y₀ in the mixture; the report's is 1.

        Returns:
            float32, (m, dim); the near features are those of the clip in every row.

        Raises:
            AudioError: as for a call.
            SettingError: s or level is not finite.
        """
        b = np.atleast_1d(np.asarray(s, dtype=np.float64))  # (m,) of y₁; y₀ has 1 − s
        if not (np.isfinite(b).all() and np.isfinite(level)):
            raise SettingError(f"residual rows with level {level:g} and s from {b.min():g} to "
                               f"{b.max():g}; both must be finite")  # fmt: skip
        near = hear_near(measure(audio, cross_sums=True))  # once for all rows: the costly part
        return self._rows(near, mix(near, (1 - b) * level, b)).astype(np.float32)

    def _rows(self, near: NearMeasures, pair: PairMeasures) -> Float64:
        """(rows of the pair, dim); families without a wanted feature are left alone."""
        # A family is computed whole: its features share their work.
        wanted = {_FEATURES[name].family for name in self.names}
        columns = [name for family in _FAMILIES if family in wanted for name in _FAMILIES[family]]
        near_row = [f(near) for family, f in NEAR_FAMILIES.items() if family in wanted]
        blocks = [np.tile(values, (len(pair.cross), 1)) for values in near_row]
        blocks += [f(pair) for family, f in STEREO_FAMILIES.items() if family in wanted]
        place = {name: column for column, name in enumerate(columns)}
        return np.concatenate(blocks, axis=1)[:, [place[name] for name in self.names]]
