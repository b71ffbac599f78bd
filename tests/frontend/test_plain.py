"""The front ends that only choose: near, far, both."""

import numpy as np
import pytest

from nearfar.frontend import Far, Frontend, Near, Stereo
from nearfar.testing import check_frontend, noise

PAIR = noise(2, 1.0)


@pytest.mark.parametrize("part", [Near(), Far(), Stereo()], ids=repr)
def test_each_is_a_front_end(part):
    assert isinstance(part, Frontend)
    check_frontend(part)


def test_near_above_far_is_stereo():
    assert np.array_equal(np.concatenate([Near()(PAIR), Far()(PAIR)]), Stereo()(PAIR))


def test_near_takes_mono_and_hears_the_same():
    assert Near.needs == 1
    assert np.array_equal(Near()(PAIR[:1]), Near()(PAIR))


def test_nothing_is_copied():
    for part in (Near(), Far(), Stereo()):
        assert np.shares_memory(part(PAIR), PAIR)


def test_what_sounds_otherwise_is_called_otherwise():
    assert len({part.fingerprint for part in (Near(), Far(), Stereo())}) == 3
