"""Grids pooled over time: formulas again by plain loops, and what a system makes of bands."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY
from nearfar.embedder.contract import bands_of, innermost, is_two_step, weights_of
from nearfar.embedder.pooling import Bands, Mean, Pooled, RelativeDeviation
from nearfar.errors import SettingError
from nearfar.runtime.runtime import Runtime
from nearfar.testing import check_embedder, noise

EAT = nf.EAT(str(TINY))


def grid_of(columns=7, bands=3, dim=4, seed=0):
    return np.random.default_rng(seed).standard_normal((columns, bands, dim))


def plain_deviation(grid, power):
    """The formula, a band and a column at a time."""
    rows = []
    for f in range(grid.shape[1]):
        x = grid[:, f]
        mu = sum(x) / len(x)
        d = [np.sqrt(sum((v - m) ** 2 for v, m in zip(row, mu, strict=True))) for row in x]
        share = [one / max(d) if max(d) > 0 else 0.0 for one in d]
        weights = [(1 + s) ** power for s in share]
        rows.append(sum(w * row for w, row in zip(weights, x, strict=True)) / sum(weights))
    return np.array(rows)


@pytest.mark.parametrize("power", [0, 1, 4, 8.0])
def test_relative_deviation_is_the_formula(power):
    grid = grid_of()
    got = RelativeDeviation(power)(grid)
    np.testing.assert_allclose(got, plain_deviation(grid, power), rtol=1e-10, atol=1e-12)
    # Neither the unit nor an order of the columns matters.
    np.testing.assert_allclose(RelativeDeviation(power)(3 * grid), 3 * got, rtol=1e-10)
    np.testing.assert_allclose(RelativeDeviation(power)(grid[::-1]), got, rtol=1e-10)


def test_power_zero_is_the_mean_and_what_never_changes_stays():
    grid = grid_of()
    np.testing.assert_allclose(RelativeDeviation(0)(grid), Bands()(grid), rtol=1e-12, atol=1e-15)
    still = np.repeat(grid[:1], 5, axis=0)
    np.testing.assert_allclose(RelativeDeviation(8)(still), grid[0], rtol=1e-12)
    one = RelativeDeviation(8)(grid[:1])  # a single column
    np.testing.assert_allclose(one, grid[0], rtol=1e-12)


def test_a_rare_event_counts_more_the_higher_the_power():
    grid = np.zeros((50, 1, 1))
    grid[7] = 1.0
    said = [float(RelativeDeviation(p)(grid)[0, 0]) for p in (0, 4, 8)]
    assert said[0] == pytest.approx(1 / 50)
    assert said[0] < said[1] < said[2]


@pytest.mark.parametrize("bad", [-1, "8", None, float("nan"), True, 1000])
def test_a_power_that_is_none_is_one_line(bad):
    with pytest.raises(SettingError, match=r"RelativeDeviation\.power is .*from 0 to 100"):
        RelativeDeviation(bad)


# ---- an encoder with a grid


def test_a_grid_is_the_encoders_tokens_column_by_column():
    audios = [noise(1, 2.0, seed=i) for i in range(3)]
    tokens = EAT.tokens(audios)[:, 1:]  # CLS first
    grids = EAT.grids([EAT.prepare(a) for a in audios], Runtime())
    for one, grid in zip(tokens, grids, strict=True):
        assert grid.shape == (len(one) // 8, EAT.grid_bands, EAT.grid_dim)
        for p in (0, 5, 8, 21):  # patch p is time column p // 8, mel row p % 8
            np.testing.assert_array_equal(grid[p // 8, p % 8], one[p])


def test_bands_are_means_over_time_one_behind_another():
    audio = noise(1, 2.0)
    (grid,) = EAT.grids([EAT.prepare(audio)], Runtime())
    (row,) = Pooled(EAT)([audio])
    dim = EAT.grid_dim
    for band in range(8):
        expected = grid[:, band].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(row[band * dim : (band + 1) * dim], expected, atol=1e-6)


def test_mean_is_the_embedders_own_row_to_the_bit():
    audios = [noise(1, s, seed=i) for i, s in enumerate((1.0, 2.0, 2.0))]
    np.testing.assert_array_equal(Pooled(EAT, Mean())(audios), EAT(audios))
    cls = replace(EAT, pooling="cls")
    np.testing.assert_array_equal(Pooled(cls, Mean())(audios), cls(audios))


def test_what_a_wrapper_says_is_what_the_encoder_says():
    pooled = Pooled(EAT)
    assert (pooled.bands, pooled.dim) == (8, 8 * EAT.grid_dim)
    assert bands_of(nf.Crops(pooled, n=2)) == bands_of(nf.FarSubtracted(pooled)) == 8
    assert bands_of(EAT) == bands_of(Pooled(EAT, Mean())) == 1
    assert weights_of(pooled) == EAT.weights
    assert innermost(pooled) == EAT
    assert pooled.fingerprint != Pooled(EAT, RelativeDeviation()).fingerprint
    assert pooled.preparation == Pooled(EAT, RelativeDeviation()).preparation
    assert str(TINY) not in pooled.identity  # a cache knows it wherever its weights lie


@dataclass(frozen=True)
class OneStep:
    """A grid of loudness without a second step, as YAMNet's."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 3
    grid_bands: ClassVar[int] = 2
    grid_dim: ClassVar[int] = 3
    fingerprint: ClassVar[str] = "one-step"

    def __call__(self, audios):
        return np.stack([g.mean(axis=(0, 1)) for g in self.grids(audios, None)])

    def grids(self, audios, runtime):
        shape = (-1, self.grid_bands, self.grid_dim, 40)
        return [(a[0][: len(a[0]) // 240 * 240].reshape(shape) ** 2).mean(axis=3) for a in audios]


@pytest.mark.parametrize("pooling", [Bands(), RelativeDeviation(4), Mean()], ids=repr)
def test_an_encoder_of_one_step_works_in_the_first(pooling):
    pooled = Pooled(OneStep(), pooling)
    check_embedder(pooled)
    assert not is_two_step(OneStep())
    assert pooled.prepare(noise(1, 1.0)).shape == (pooled.dim,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Pooled(nf.LogMel()), r"Pooled\.embedder is LogMel\(.*has no grid"),
        (lambda: Pooled(None), r"Pooled\.embedder is None"),
        (lambda: Pooled(EAT, "bands"), r"Pooled\.pooling is 'bands'"),
        (lambda: Pooled(EAT, Bands), r"Pooled\.pooling is <class"),
        (lambda: Pooled(EAT, nf.KNN()), r"Pooled\.pooling is KNN\("),
    ],
)
def test_what_cannot_be_pooled_is_one_line(make, words):
    with pytest.raises(SettingError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Broken:
    """A pooling of somebody's own that does not keep its promise."""

    how: str

    def __call__(self, grid):
        return {
            "flat": lambda: grid.mean(axis=(0, 1)), "none": lambda: None,
            "nan": lambda: grid[0] * np.nan, "huge": lambda: np.full(grid.shape[1:], 1e300),
            "fails": lambda: 1 / 0,
        }[self.how]()  # fmt: skip


@pytest.mark.parametrize("how", ["flat", "none", "nan", "huge", "fails"])
def test_a_pooling_of_ones_own_that_breaks_its_promise_is_one_line(how):
    with pytest.raises(SettingError, match=r"Broken\(how='.*mend the pooling") as caught:
        Pooled(OneStep(), Broken(how))([noise(1, 1.0)])
    assert "\n" not in str(caught.value)


def test_a_detector_with_a_bank_for_each_band(dcase, tmp_path):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    system = nf.System(
        nf.FarCancel(),
        Pooled(EAT, RelativeDeviation(4)),
        rule=nf.PerBand(nf.LocalDensity(1, metric="cosine")),
    )
    detector = nf.fit(system, clips)
    detector.save(tmp_path / "bands")
    again = nf.load(tmp_path / "bands")
    assert again.system == system
    assert again.score(clips) == detector.score(clips)
    with pytest.raises(SettingError, match="PerBand asks for 8 bands, EAT keeps none apart"):
        replace(system, embedder=EAT)
