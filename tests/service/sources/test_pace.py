"""At what rate samples really come, where they come by themselves."""

import numpy as np
import pytest

from nearfar.service.sources.pace import Pace


def told(rate, real, seconds=300, waited=True, jitter=0.2):
    """What is said of a stream of `real` Hz in blocks of some tenths of a second."""
    rng = np.random.default_rng(0)
    pace, now, found = Pace(rate), 0.0, []
    while now < seconds:
        samples = int(rng.integers(real // 10, real // 2))
        now += samples / real
        late = now + rng.uniform(0, jitter)  # no pipe is on time
        found.append(pace.came(samples, late, waited=waited))
    return [one for one in found if one is not None]


@pytest.mark.parametrize("real", [16_000, 15_997, 16_003, 16_160])
def test_the_rate_that_was_said_is_not_told_of_nor_a_recorders_drift(real):
    assert told(16_000, real) == []


@pytest.mark.parametrize(("rate", "real"), [(48_000, 44_100), (44_100, 48_000), (16_000, 8_000)])
def test_another_rate_is_told_once(rate, real):
    (found,) = told(rate, real)
    assert abs(found / real - 1) < 0.02


def test_a_file_that_is_sent_has_no_pace():
    assert told(16_000, 48_000, waited=False) == []
    assert told(16_000, 1_600_000) == []


def test_it_is_told_again_when_it_was_right_between():
    pace, now, found = Pace(1000), 0.0, []
    for real in (1000, 500, 1000, 500):
        for _ in range(100):
            now += 1.0
            found.append(pace.came(real, now, waited=True))
    first, second = (one for one in found if one)
    assert 500 <= first < 960  # the window in which it changed
    assert 500 <= second < 960
