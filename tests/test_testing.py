"""The contract catches each promise that a part can break, and says which."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.testing import check_embedder, check_frontend, check_part, check_rule, noise


@dataclass(frozen=True)
class Heard:
    """A front end that keeps every promise."""

    needs: ClassVar[int] = 2
    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "heard-1"

    def __call__(self, audio):
        return audio[:1].copy()


class Short(Heard):
    def __call__(self, audio):
        return audio[:1, :-1].copy()


class Double(Heard):
    def __call__(self, audio):
        return audio[:1].astype(np.float64)


class Holes(Heard):
    def __call__(self, audio):
        out = audio[:1].copy()
        out[0, 0] = np.nan
        return out


class Louder(Heard):
    def __call__(self, audio):
        audio *= 2
        return audio[:1].copy()


class Moody(Heard):
    calls: ClassVar[list] = []

    def __call__(self, audio):
        self.calls.append(0)
        return audio[:1] * np.float32(len(self.calls))


def test_a_good_part_passes():
    check_frontend(Heard())


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        (Short, "gave shape"),
        (Double, "gave float64"),
        (Holes, "NaN"),
        (Louder, "changed its input"),
        (Moody, "two answers"),
    ],
)
def test_broken_front_ends(part, broken):
    with pytest.raises(AssertionError, match=broken):
        check_frontend(part())


@dataclass(frozen=True)
class Levels:
    """An embedder that keeps every promise: the mean and the largest of the absolute samples."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 2
    fingerprint: ClassVar[str] = "levels-1"

    def __call__(self, audios):
        return np.array([[np.abs(a).mean(), np.abs(a).max()] for a in audios], np.float32)


class Batch(Levels):
    def __call__(self, audios):
        rows = super().__call__(audios)
        return rows / rows.max()


class Order(Levels):
    def __call__(self, audios):
        return super().__call__(audios) + np.arange(len(audios), dtype=np.float32)[:, None]


class Nameless(Levels):
    fingerprint: ClassVar[str] = ""


def test_a_good_embedder_passes():
    check_embedder(Levels())


@pytest.mark.parametrize(
    ("part", "broken"), [(Batch, "alone"), (Order, "alone"), (Nameless, "empty fingerprint")]
)
def test_broken_embedders(part, broken):
    with pytest.raises(AssertionError, match=broken):
        check_embedder(part())


@dataclass
class Thawed:
    """No frozen dataclass, yet it hashes."""

    size: int = 1

    def __hash__(self):
        return hash(self.size)


@dataclass(frozen=True)
class Unequal:
    """A copy of it is another."""

    size: int = 1

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return 1


@pytest.mark.parametrize(
    ("part", "broken"),
    [(object(), "no dataclass"), (Thawed(), "not frozen"), (Unequal(), "a copy is not equal")],
)
def test_broken_parts(part, broken):
    with pytest.raises(AssertionError, match=broken):
        check_part(part)


@dataclass(frozen=True)
class Forgetful:
    """A rule that leaves nothing out."""

    metric: str = "euclidean"
    neighbours: ClassVar[int] = 1

    def __call__(self, z, bank, leave_out=None):
        return nf.KNN(metric="euclidean")(z, bank)


def test_a_rule_that_forgets_to_leave_out():
    check_rule(nf.KNN(metric="euclidean"))
    with pytest.raises(AssertionError, match="leaving out a clip leaves some of its rows"):
        check_rule(Forgetful())


def test_the_noise_of_the_contract_is_a_clip_that_every_part_must_take():
    sound = noise(2, 1.5, seed=3)
    assert sound.shape == (2, round(1.5 * SAMPLE_RATE))
    assert sound.dtype == np.float32
    assert np.abs(sound).max() < 1
    assert np.array_equal(sound, noise(2, 1.5, seed=3))
    assert not np.array_equal(sound, noise(2, 1.5, seed=4))
    assert 0.2 < np.corrcoef(sound)[0, 1] < 0.9  # partly
