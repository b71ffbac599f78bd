"""Residual rows of clips on disk (report Eq. 2): how loud near is mixed in, and their cache."""

import numpy as np
import pytest

import nearfar as nf
from conftest import RATE, write
from nearfar.embedding.chain import Chain
from nearfar.embedding.residual import residual_rows
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import digest_of

CHAIN = Chain(nf.Stereo(), nf.DIF())
S = np.array([0.5, 0.8, 1.2, 1.5])
RATIO = 18.0  # near over far, dB


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two unrelated channels, near far above far, as with ToyCar."""
    rng = np.random.default_rng(0)
    near = rng.standard_normal(2 * RATE)
    far = np.convolve(rng.standard_normal(2 * RATE), [1, 0.6, 0.3], "same")
    near, far = (x / np.sqrt(np.mean((x - x.mean()) ** 2)) for x in (near, far))
    audio = np.stack([0.2 * near, 0.2 * 10 ** (-RATIO / 20) * far])
    path = write(tmp_path_factory.mktemp("residual") / "a.wav", audio, subtype="FLOAT")
    return nf.Clip(path, machine="ToyCar")


def rows(clip, runtime=None, match_levels=False, s=S, order="near-far"):
    request = [(clip, digest_of(clip.read(order)), s)]
    return residual_rows(
        request, CHAIN, runtime or Runtime(), match_levels=match_levels, order=order
    )[0]


def mixed(clip, s, gain):
    """Eq. 2 in float64: R = (1 − s)·gain·y₀ + s·y₁."""
    near, far = clip.read().astype(np.float64)
    return np.stack([near, (1 - s) * gain * near + s * far]).astype(np.float32)


@pytest.mark.parametrize("match_levels", [False, True])
def test_rows_are_the_features_of_the_mixture(clip, match_levels):
    """With `match_levels` near is mixed in as loud as far is, without it as it is."""
    near, far = clip.read().astype(np.float64).std(axis=1)
    gain = far / near if match_levels else 1.0
    wanted = CHAIN.embedder([mixed(clip, s, gain) for s in S])
    np.testing.assert_allclose(rows(clip, match_levels=match_levels), wanted, rtol=1e-3, atol=2e-2)


def test_matched_levels_keep_the_ratio_of_the_channels(clip):
    """Of uncorrelated y₀ and y₁ at one level, R's power is that of far times (1 − s)² + s²."""
    place = CHAIN.embedder.names.index("rms_ratio")
    found = rows(clip, match_levels=True)[:, place]
    wanted = RATIO - 10 * np.log10((1 - S) ** 2 + S**2)
    np.testing.assert_allclose(found, wanted, atol=0.2)


# ---- the cache -------------------------------------------------------------------------------


def test_a_cache_gives_each_what_it_asked_for(clip, tmp_path):
    """What differs in the request differs in the cache, in whichever order it is asked."""
    asked = [
        {"match_levels": match, "s": s} for match in (False, True) for s in (S, S[::-1], S + 0.01)
    ]
    wanted = [rows(clip, **a) for a in asked]
    runtime = Runtime(cache=tmp_path)
    for order in (range(6), reversed(range(6)), range(6)):
        for i in order:
            np.testing.assert_array_equal(rows(clip, runtime, **asked[i]), wanted[i])
    assert not np.allclose(wanted[0], wanted[3])


@pytest.mark.filterwarnings("ignore::nearfar.errors.NearfarWarning")
def test_a_system_that_matches_levels_is_fitted_the_same_after_one_that_does_not(dcase, tmp_path):
    train, test = nf.Clips.open(dcase, split="train"), nf.Clips.open(dcase, split="test")[::4]
    literal = nf.ResidualAugmentation(tiers=((-1.0, 1.0),))
    matched = nf.ResidualAugmentation(tiers=((-1.0, 1.0),), match_levels=True)
    runtime = Runtime(cache=tmp_path)
    wanted, found = {}, {}
    for part in (literal, matched):
        system = nf.System(frontend=nf.Stereo(), embedder=nf.DIF(), enrichment=(part,))
        wanted[part] = nf.fit(system, train).score(test).values
        found[part] = nf.fit(system, train, runtime).score(test, runtime).values
        np.testing.assert_array_equal(found[part], wanted[part])
    assert not np.array_equal(wanted[literal], wanted[matched])
