"""Factory noise: kinds, levels, the mixes of both domains."""

import numpy as np
import pytest
from scipy.fft import irfft

from nearfar.sim import noise


@pytest.mark.parametrize("name", [k for k in noise.KINDS if noise.KINDS[k].course])
def test_events_have_unit_level_over_the_clip(name):
    spectra = noise.events(np.random.default_rng(2), noise.KINDS[name], 48_000, 50_000)
    power = sum(np.mean(irfft(s, 50_000)[:48_000] ** 2) for s in spectra)
    assert power == pytest.approx(1.0, abs=0.1)
    assert len(spectra) == len(noise.KINDS[name].places)


def test_a_steady_kind_has_no_events():
    with pytest.raises(ValueError, match="steady"):
        noise.events(np.random.default_rng(0), noise.KINDS["hall"], 100, 128)


def test_domains_have_the_same_kinds_in_other_proportions():
    assert set(noise.SOURCE_MIX) == set(noise.TARGET_MIX) == set(noise.KINDS)
    drawn = [
        [noise.draw_kind(rng, weight).name for _ in range(4000)]
        for rng, weight in ((np.random.default_rng(0), 0.0), (np.random.default_rng(1), 1.0))
    ]
    for names, mix in zip(drawn, (noise.SOURCE_MIX, noise.TARGET_MIX), strict=True):
        for name, share in mix.items():
            assert names.count(name) / 4000 == pytest.approx(share, abs=0.03)
