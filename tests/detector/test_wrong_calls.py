"""Calls that people get wrong in Python: each is one line that says what is wanted."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import nearfar as nf
from nearfar.errors import DatasetError
from nearfar.testing import check_rule, check_system, noise


@dataclass(frozen=True)
class Density:
    """A rule of somebody's own, with a bug that such rules have: 0/0."""

    metric: str = "euclidean"
    neighbours: int = 1
    broken: bool = True

    def __call__(self, z, bank, leave_out=None):
        distances, _ = bank.neighbours(z, 1, self.metric, leave_out)
        return distances[:, 0] * (np.nan if self.broken else 1.0)


@dataclass(frozen=True)
class Loudness:
    """An embedder of somebody's own."""

    channels: int = 1
    dim: int = 2
    fingerprint: str = "loudness-1"

    def __call__(self, audios):
        return np.array([[a.std(), np.abs(a).mean()] for a in audios], np.float32)


@pytest.fixture(scope="module")
def clips(dcase):
    return nf.Clips.open(dcase, split="train", machines="fan")


def test_a_rule_that_gives_nan_judges_nobody(clips):
    """NaN is below every threshold: all clips would pass for normal."""
    for system in (
        nf.System(frontend=nf.Near(), embedder=nf.LogMel(), rule=Density()),
        nf.System(frontend=nf.Near(), embedder=nf.LogMel(), rule=Density(), self_scores="loo"),
    ):
        with pytest.raises(nf.NearfarError, match=r"^Density\(.*gave NaN or infinite scores"):
            nf.fit(system, clips)
    with pytest.raises(AssertionError, match="NaN or infinite"):
        check_rule(Density())


def test_a_rule_of_another_shape_is_named(clips):
    @dataclass(frozen=True)
    class Wide(Density):
        def __call__(self, z, bank, leave_out=None):
            return bank.neighbours(z, 3, "euclidean", leave_out)[0]

    with pytest.raises(nf.NearfarError, match=r"gave \(\d+, 3\), its contract says \(\d+,\)"):
        nf.fit(nf.System(frontend=nf.Near(), embedder=nf.LogMel(), rule=Wide()), clips)


def test_a_system_with_own_parts_passes_the_contract():
    """Parts that are on no list, one of them inside another."""
    own = nf.System(frontend=nf.Near(), embedder=Loudness(), rule=Density(broken=False))
    check_system(own)
    check_system(replace(own, embedder=nf.Crops(Loudness(), n=2)))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"frontend": nf.Stereo}, "frontend is the class Stereo"),
        ({"embedder": nf.DIF}, "embedder is the class DIF"),
        ({"rule": nf.KNN}, "rule is the class KNN"),
        ({"whitening": nf.ZCA}, "whitening is the class ZCA"),
        ({"adaptation": nf.MeanShift}, "adaptation is the class MeanShift"),
        ({"calibration": nf.ZScore}, "calibration is the class ZScore"),
        ({"enrichment": (nf.PseudoTarget,)}, "enrichment has <class"),
    ],
)
def test_a_class_is_no_part(part, name):
    with pytest.raises(nf.NearfarError, match=f"^System.{name}"):
        replace(nf.s4(), **part)


def test_what_fit_is_given(clips):
    for first in ("s4", nf.s4, clips):
        with pytest.raises(nf.NearfarError, match=r"fit takes a system first, not .*fit\(nf.s4"):
            nf.fit(first, nf.s4())
    for wrong in ("folder", ["folder"], [1, 2], nf.s4()):
        with pytest.raises(nf.NearfarError, match=r"fit takes clips, not .*Clips.open\(folder"):
            nf.fit(nf.s4(), wrong)
    for wrong in ("folder", [1, 2]):
        with pytest.raises(nf.NearfarError, match=r"Clips.open\(folder\)"):
            nf.Clips(wrong)


def test_what_score_and_evaluate_are_given(detector_folder, clips):
    detector = nf.load(detector_folder)
    for wrong in ("folder", clips[0].path, clips[0]):
        with pytest.raises(DatasetError, match="score takes clips"):  # as fit has it
            detector.score(wrong)
    with pytest.raises(nf.NearfarError, match="needs its sample rate"):
        detector.score(noise())
    for wrong in (detector, nf.s4()):
        with pytest.raises(nf.NearfarError, match=r"evaluate\(detector.score\(clips\)\)"):
            nf.evaluate(wrong, clips)


@pytest.mark.parametrize("nothing", [None, 5, 0.5])
def test_what_is_neither_clips_nor_sound_is_no_array_without_a_rate(detector_folder, nothing):
    with pytest.raises(DatasetError, match=rf"score takes clips, not {nothing!r}; give Clips"):
        nf.load(detector_folder).score(nothing)


def test_names_that_were_handed_on_are_told_where_they_are():
    for name, where in (("read", "nearfar.sound.audio.read"), ("Truth", "nearfar.scores.truth")):
        with pytest.raises(AttributeError, match=where):
            getattr(nf, name)
    with pytest.raises(AttributeError, match="did you mean 'CoherenceMask'"):
        _ = nf.CoherenceMasks
