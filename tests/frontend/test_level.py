"""Both channels at one level, without the loss of a bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nearfar.frontend.level import normalised

# 0, or 1e-9 to 1e9 of full scale: quieter beside a loud peak than float32 itself can hold is 0.
loudness = st.floats(float(np.float32(1e-9)), float(np.float32(1e9)), width=32)
samples = st.just(0.0) | loudness | loudness.map(lambda x: -x)
sounds = hnp.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 40)), elements=samples)


@given(sounds, st.integers(0, 5))
def test_the_way_back_is_exact(audio, half):
    scaled, exponents = normalised(audio, half)
    inner = scaled[:, half : half + audio.shape[1]]
    assert np.array_equal(np.ldexp(inner, np.array(exponents)[:, None]), audio)


@given(sounds)
def test_peaks_lie_between_a_half_and_one(audio):
    for before, after in zip(audio, normalised(audio, 0)[0], strict=True):
        peak = np.abs(after).max()
        assert peak == 0 if not before.any() else 0.5 <= peak < 1


@pytest.mark.parametrize("length", [None, 7, 20])
def test_zeros_around_and_behind(length):
    audio = np.ones((2, 7), np.float32)
    scaled, _ = normalised(audio, 3, length)
    assert scaled.shape == (2, (length or 7) + 6)
    assert scaled.dtype == np.float32
    outside = np.ones(scaled.shape[1], bool)
    outside[3:10] = False
    assert not scaled[:, outside].any()
    assert scaled[:, ~outside].all()


def test_each_channel_has_its_own_level():
    audio = np.stack([np.full(5, 3.0), np.full(5, 2.0**-20)]).astype(np.float32)
    scaled, exponents = normalised(audio, 0)
    assert exponents == (2, -19)
    assert scaled[:, 0].tolist() == [0.75, 0.5]


# The ends of what float32 holds in full, and beyond them.
@pytest.mark.parametrize(
    "peak", [1.0, 1e9, 3.3e38, *(2.0**e for e in (126, -125, -126, -127, -149))]
)
def test_scaled_samples_are_those_of_ldexp_to_the_bit(peak):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 500))
    x[:, 7] = [1.0, -0.5]
    audio = (x * peak).astype(np.float32)
    scaled, exponents = normalised(audio, 3)
    expected = [np.ldexp(c, -e) for c, e in zip(audio, exponents, strict=True)]
    assert scaled[:, 3:-3].tobytes() == np.stack(expected).tobytes()
