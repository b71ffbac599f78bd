"""How hard the simulation is: simple baselines and the clean-stem oracle on `small`.

Systems of the report are not looked at here: the simulation was set without them.
"""

import numpy as np
import pytest

from nearfar.sim.difficulty import BASELINES, MELS, BaselineInput, _autoencoder, measure
from nearfar.sim.plan import PRESETS

BOTTLENECK = 8  # of the autoencoder of DCASE Task 2's official baseline

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


def clip_of(frames):
    """A clip with these log-mel frames, (frames, mels); nothing else of it is looked at."""
    moment = frames.T @ frames / len(frames)
    return BaselineInput(0.0, frames.mean(axis=0), moment, np.zeros(3 * MELS))


def test_the_autoencoder_leaves_nothing_of_as_many_directions_as_its_bottleneck():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((MELS, BOTTLENECK + 1)))[0].T
    inside, outside = basis[:-1], basis[-1]

    def frames(level=-40.0):
        return level + rng.standard_normal((50, BOTTLENECK)) @ inside

    train = [clip_of(frames()) for _ in range(4)]
    odd = frames() + 3 * outside  # 3 off in a direction that no normal frame has: 3² is left
    alike, strange = _autoencoder(train, [clip_of(frames()), clip_of(odd)])
    assert alike == pytest.approx(0, abs=1e-6)
    assert strange == pytest.approx(9)


@pytest.mark.slow  # a whole data set, and four systems on it
@pytest.mark.parametrize("name", BASELINES)
def test_omega_is_as_ever(results, name):
    low, high = BANDS[name]
    assert low <= 100 * results[name].omega <= high


@pytest.mark.slow
def test_loudness_tells_nothing_and_clean_machines_tell_much(results):
    assert results["rms"].omega < 0.55
    assert results["oracle"].omega > results["logmel"].omega + 0.08
    assert results["oracle"].omega > results["linear AE"].omega + 0.08
