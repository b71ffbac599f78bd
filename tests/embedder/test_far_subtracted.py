"""The residual of two embeddings: near less a part of far."""

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY
from nearfar.embedder.behind import FarSubtracted
from nearfar.errors import SettingError
from nearfar.testing import noise

EMBEDDERS = [nf.LogMel(n_mels=20), nf.EAT(str(TINY)), nf.Pooled(nf.EAT(str(TINY)))]


@pytest.mark.parametrize("inner", EMBEDDERS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("amount", [0, 0.5, -2.0])
def test_it_is_what_the_formula_says(inner, amount):
    audios = [noise(2, s, seed=i) for i, s in enumerate((1.0, 2.0, 2.0))]
    near, far = (inner([a[c : c + 1] for a in audios]) for c in (0, 1))
    got = FarSubtracted(inner, amount)(audios)
    np.testing.assert_allclose(got, near - amount * far.astype(np.float64), rtol=1e-5, atol=1e-5)
    assert got.dtype == np.float32


def test_near_is_the_first_channel():
    audio = noise(2, 1.0)
    audio[1] *= 0.01
    inner = nf.LogMel(n_mels=20, invariant=False)
    one, other = (FarSubtracted(inner)([some])[0] for some in (audio, audio[::-1]))
    assert one.mean() > other.mean() + 10


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FarSubtracted(nf.DIF()), r"FarSubtracted\.embedder is DIF.*hears one channel"),
        (lambda: FarSubtracted(None), r"FarSubtracted\.embedder is None"),
        (lambda: FarSubtracted(nf.LogMel(), "half"), r"FarSubtracted\.amount is 'half'"),
        (
            lambda: nf.System(nf.Near(), FarSubtracted(nf.LogMel())),
            r"Near\(\) gives 1 channels, FarSubtracted needs 2",
        ),
    ],
)
def test_what_cannot_be_is_one_line(make, words):
    with pytest.raises(SettingError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_detector_of_it_is_fitted_kept_and_used(dcase, tmp_path):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    system = nf.System(nf.Stereo(), FarSubtracted(nf.EAT(str(TINY))))
    detector = nf.fit(system, clips)
    detector.save(tmp_path / "far")
    again = nf.load(tmp_path / "far")
    assert again.system == system
    assert again.score(clips) == detector.score(clips)
