"""Real recordings, if they lie beside the checkout: code survives them, nothing more is claimed."""

import numpy as np
import pytest

import nearfar as nf
from conftest import DATA

pytestmark = pytest.mark.filterwarnings("ignore::nearfar.errors.NearfarWarning")
MACHINES = ("ToyCar", "ToyConveyor", "fan", "fanArray", "fanB", "pump", "slider", "valve")


@pytest.fixture
def real(shared):
    if not (shared / "real").is_dir():
        pytest.skip("no real recordings beside the checkout")
    return shared / "real"


TINY = str(DATA / "eat" / "tiny")


@pytest.mark.parametrize("system", [nf.s4(), nf.logmel(), nf.s3(TINY)], ids=["s4", "logmel", "s3"])
@pytest.mark.slow
def test_every_machine_is_scored_and_evaluated(real, system):
    train = nf.Clips.open(real, split="train")
    test = nf.Clips.open(real, split="test")
    detector = nf.fit(system, train)
    scores = detector.score(test)
    assert detector.machines == MACHINES
    assert np.isfinite(scores.values).all()
    result = nf.evaluate(scores, draws=200)
    assert tuple(result.machines) == MACHINES
    low, high = result.interval
    assert 0 < low < result.omega < high < 1


@pytest.mark.slow
def test_workers_and_loading_do_not_matter(real, tmp_path):
    train = nf.Clips.open(real, split="train")
    test = nf.Clips.open(real, split="test")[::8]
    one = nf.fit(nf.s4(), train)
    two = nf.fit(nf.s4(), train, nf.Runtime(workers=2))
    one.save(tmp_path / "d")
    wanted = one.score(test)
    assert two.score(test, nf.Runtime(workers=2)) == wanted
    assert nf.load(tmp_path / "d").score(test) == wanted
