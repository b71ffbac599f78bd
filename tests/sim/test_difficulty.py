"""How hard the simulation is: simple baselines and the clean-stem oracle on `small`.

Systems of the report are not looked at here: the simulation was set without them.
"""

import pytest

from nearfar.sim.difficulty import BASELINES, measure
from nearfar.sim.plan import PRESETS

pytestmark = pytest.mark.slow  # a whole data set, and four systems on it

# Mean ± 3 standard deviations of Ω in per cent over seeds 1 to 20, printed by
# `python -m bench.bands`; the seed below is none of them.
BANDS = {
    "rms": (43.6, 55.1),  # mean 49.3, sd 1.9
    "logmel": (47.6, 58.6),  # mean 53.1, sd 1.8
    "linear AE": (49.1, 60.4),  # mean 54.7, sd 1.9
    "oracle": (66.5, 79.9),  # mean 73.2, sd 2.2
}
SEED = 21


@pytest.fixture(scope="module")
def results():
    return measure(PRESETS["small"], SEED, workers=2)


@pytest.mark.parametrize("name", BASELINES)
def test_omega_is_as_ever(results, name):
    low, high = BANDS[name]
    assert low <= 100 * results[name].omega <= high


def test_loudness_tells_nothing_and_clean_machines_tell_much(results):
    assert results["rms"].omega < 0.55
    assert results["oracle"].omega > results["logmel"].omega + 0.08
    assert results["oracle"].omega > results["linear AE"].omega + 0.08
