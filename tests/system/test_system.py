"""A System refuses parts that do not fit together before any clip is read."""

import json
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from nearfar.embedding.chain import Chain
from nearfar.errors import SettingError
from nearfar.parts.change import with_setting
from nearfar.parts.data import from_data, to_data

PLAIN = nf.System(nf.Near(), nf.LogMel())


@dataclass(frozen=True)
class Asking:
    """An enrichment that needs no audio."""

    def pool_size(self, lr_corr, n_source, n_target):
        return 0

    def __call__(self, real, lr_corr, pool):
        return None


@dataclass(frozen=True)
class Stereophonic:
    """An embedder of two channels without residuals."""

    channels: ClassVar[int] = 2
    dim: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "stereophonic-1"

    def __call__(self, audios):
        return np.zeros((len(audios), 1), np.float32)


# ---- what it says of itself ------------------------------------------------------------------


def test_it_needs_what_its_front_end_needs():
    assert [nf.System(f, nf.LogMel()).needs for f in (nf.Near(), nf.Far())] == [1, 2]
    both = nf.Ensemble((PLAIN, nf.System(nf.Far(), nf.LogMel())))
    assert both.needs == 2
    assert nf.Ensemble((PLAIN,)).needs == 1


def test_it_is_an_ensemble_of_one():
    assert (PLAIN.members, PLAIN.weights) == ((PLAIN,), (1.0,))
    assert PLAIN.chain == Chain(nf.Near(), nf.LogMel())


def test_it_is_frozen_and_equal_by_its_settings():
    with pytest.raises(FrozenInstanceError):
        PLAIN.seed = 1
    assert replace(PLAIN) == PLAIN
    assert len({PLAIN, replace(PLAIN), replace(PLAIN, seed=1)}) == 2


def test_an_adaptation_is_given_by_name_only():
    """Calls by place that were written before there was one mean what they meant."""
    system = nf.System(nf.Near(), nf.LogMel(), nf.KNN(), nf.ZCA(), ())
    assert (system.whitening, system.adaptation) == (nf.ZCA(), None)
    assert {f.name for f in fields(nf.System) if f.kw_only} == {"adaptation"}


# ---- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frontend": nf.LogMel()}, "System.frontend"),
        ({"embedder": nf.Near()}, "System.embedder"),
        ({"rule": None}, "System.rule"),
        ({"rule": nf.ZCA()}, "System.rule"),
        ({"adaptation": nf.MeanShift}, "System.adaptation"),
        ({"adaptation": nf.ZCA()}, "System.adaptation"),
        ({"whitening": "zca"}, "System.whitening"),
        ({"calibration": 1}, "System.calibration"),
        ({"enrichment": nf.PseudoTarget()}, "a tuple"),
        ({"enrichment": (nf.ZCA(),)}, "cannot make rows"),
        ({"frontend": nf.Stereo()}, "gives 2 channels, LogMel needs 1"),
        ({"embedder": nf.DIF()}, "gives 1 channels, DIF needs 2"),
        ({"enrichment": (nf.ResidualAugmentation(),)}, "LogMel has none"),
        ({"self_scores": "none"}, "cross-fitted"),
        ({"folds": 1}, "folds is 1"),
        ({"folds": True}, "folds is True"),
        ({"folds": 2.0}, "folds is 2.0"),
        ({"seed": -1}, "seed is -1"),
        ({"false_alarm_rate": 0}, "rate"),
        ({"false_alarm_rate": 1.0}, "rate"),
        ({"false_alarm_rate": float("nan")}, "rate"),
    ],
)
def test_parts_that_do_not_fit_are_one_line(change, said):
    with pytest.raises(SettingError, match=said) as caught:
        replace(PLAIN, **change)
    assert "\n" not in str(caught.value)


def test_enrichment_without_audio_goes_with_every_embedder():
    for part in (Asking(), nf.PseudoTarget()):
        assert replace(PLAIN, enrichment=(part,)).enrichment == (part,)
    stereo = nf.System(nf.Stereo(), Stereophonic(), enrichment=(Asking(),))
    with pytest.raises(SettingError, match="residuals"):
        replace(stereo, enrichment=(Asking(), nf.ResidualAugmentation()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((),), "tuple of systems"),
        (([PLAIN],), "tuple of systems"),
        (((PLAIN, nf.Ensemble((PLAIN,))),), "each must be a System"),
        (((PLAIN, PLAIN), (1.0,)), "weights"),
        (((PLAIN, PLAIN), [0.5, 0.5]), "weights"),
        (((PLAIN, PLAIN), (-1.0, 2.0)), "weights"),
        (((PLAIN, PLAIN), (0.0, 0.0)), "weights"),
        (((PLAIN, PLAIN), (float("inf"), 1.0)), "weights"),
        (((PLAIN,), (1.0,), 2.0), "rate"),
    ],
)
def test_impossible_ensembles_are_one_line(arguments, said):
    with pytest.raises(SettingError, match=said) as caught:
        nf.Ensemble(*arguments)
    assert "\n" not in str(caught.value)


def test_weights_left_out_are_equal_and_written_out():
    four = nf.Ensemble((PLAIN,) * 4)
    assert four.weights == (0.25,) * 4
    assert "weights=(0.25, 0.25, 0.25, 0.25)" in repr(four)
    assert nf.Ensemble((PLAIN, PLAIN), (3, 1)).weights == (3, 1)


# ---- how an ensemble is fused ----------------------------------------------------------------


def test_a_minimum_is_said_saved_and_read_again():
    both = nf.Ensemble((PLAIN, nf.System(nf.Far(), nf.LogMel())), fusion="minimum")
    assert from_data(json.loads(json.dumps(to_data(both)))) == both
    assert with_setting(replace(both, fusion="mean"), "fusion=minimum") == both
    assert (PLAIN.fusion, nf.Ensemble((PLAIN,)).fusion) == ("mean", "mean")


def test_a_mean_is_saved_as_before_it_had_a_name():
    data = to_data(nf.Ensemble((PLAIN,)))
    assert "fusion" not in data
    assert from_data(data).fusion == "mean"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fusion": "maximum"}, r"Ensemble\.fusion is 'maximum'"),
        ({"fusion": None}, r"Ensemble\.fusion is None"),
        ({"fusion": "minimum", "weights": (0.6, 0.4)}, "a minimum knows no weights"),
    ],
)
def test_a_fusion_that_is_none_is_one_line(settings, words):
    with pytest.raises(SettingError, match=words) as caught:
        nf.Ensemble((PLAIN, replace(PLAIN, seed=1)), **settings)
    assert "\n" not in str(caught.value)
