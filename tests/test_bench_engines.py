"""The bench of engines: what its numbers are of, and all of it with a few clips."""

import pytest
from bench.engines import Times, measured, text


def made(ray=1.1, second=1.0):
    times = Times()
    times.took("local", 1, 1.8, 0.0)
    times.took("local", 2, second, 0.5)
    times.took("ray", 1, 1.9, 4.0)
    times.took("ray", 2, ray, 5.0)
    return times


def test_the_least_of_all_rounds_counts():
    times = made()
    times.took("ray", 2, 1.3, 4.5)
    times.took("local", 2, 0.9, 0.6)
    assert times.fits["ray", 2] == 1.1
    assert times.begin["ray", 2] == 4.5
    assert times.ratio == pytest.approx(1.1 / 0.9)
    assert times.efficiency("local") == pytest.approx(1.0)


def test_what_is_not_as_quick_as_asked_is_marked():
    assert "**" not in text(made())
    assert "1.20 times as long as processes **above 1.15**" in text(made(ray=1.2))
    assert "0.75 **below 0.85**" in text(made(second=1.2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")  # of sets as small as these
def test_every_way_is_run_with_a_few_clips():
    pytest.importorskip("ray")
    times = measured(count=20, seconds=1, rounds=1)
    assert set(times.fits) == set(times.begin) == {(e, n) for e in ("local", "ray") for n in (1, 2)}
    assert times.begin["ray", 2] > 0
