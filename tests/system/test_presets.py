"""Presets are the report's Table 1; each gold value is a sentence of it."""

from dataclasses import replace

import pytest

import nearfar as nf
from beats_folders import folder as beats
from nearfar.embedder.contract import innermost
from nearfar.errors import SettingError
from nearfar.parts.data import from_data, to_data
from nearfar.system.presets import DENSITY, PRESETS, s3_dif, s3_eat
from nearfar.system.system import Ensemble, System
from yamnet_folder import make_folder

WEIGHTS = ("a", "b", "c", "d")


def made(name):
    return PRESETS[name](name, WEIGHTS[: PRESETS[name].encoders])


def test_system_1_is_the_masked_clip_through_crops_of_eat_and_the_nearest_by_cosine():
    (member,) = made("s1").members
    assert member.frontend == nf.CoherenceMask(5.0, 0.7, 0.2, 0.9)  # β, w, δ, α of Eq. 1
    assert member.embedder == nf.Crops(nf.EAT("a"))
    assert (member.embedder.n, member.embedder.shortest) == (10, 0.6)  # §2.2, §2.3
    assert member.rule == nf.KNN((1.0,), "cosine")  # Eq. 3
    assert (member.whitening, member.enrichment, member.adaptation) == (None, (), None)


def test_system_2_is_four_times_system_1_z_scored_by_leave_one_out():
    ensemble = made("s2")
    assert ensemble.weights == (0.25,) * 4
    for place, member in zip(WEIGHTS, ensemble.members, strict=True):
        (one,) = nf.s1(place).members
        assert (member.frontend, member.embedder, member.rule) == (
            one.frontend, one.embedder, one.rule)  # fmt: skip
        # "Leave-one-out training set self-scores" (§2.4): of all clips.
        assert (member.calibration, member.self_scores) == (nf.ZScore(clips="all"), "loo")


def test_system_3_is_both_paths_in_percentiles():
    ensemble = made("s3")
    assert ensemble.members == (s3_dif(), s3_eat("a"))
    assert ensemble.weights == (0.60, 0.40)  # × pct_DIF, × pct_EAT
    assert DENSITY == (1.0, -0.35, -0.05)  # Eq. 4
    for member in ensemble.members:
        assert member.rule == nf.KNN(DENSITY, "euclidean")
        assert (member.whitening, member.calibration) == (nf.ZCA(), nf.Percentile("flat"))


def test_enrichment_is_for_dif_only():
    """§2.3: "(DIF only)", of both."""
    assert s3_dif().enrichment == nf.s4().enrichment
    assert s3_dif().enrichment == (nf.ResidualAugmentation(), nf.PseudoTarget())
    assert s3_eat("a").enrichment == ()


def test_the_eat_path_hears_the_near_channel_alone_and_the_dif_path_both():
    assert (s3_eat("a").frontend, s3_eat("a").needs) == (nf.Near(), 1)
    assert (s3_dif().frontend, s3_dif().needs) == (nf.Stereo(), 2)


def test_system_4_is_the_dif_path_scored_by_one_neighbour():
    system = nf.s4()
    assert (system.frontend, system.embedder, system.whitening) == (nf.Stereo(), nf.DIF(), nf.ZCA())
    assert system.embedder.dim == 120
    assert system.rule == nf.KNN((1.0,), "euclidean")  # L2 distance, parameter-free
    assert system.calibration == nf.Raw()


def test_tiers_and_factors_are_those_of_section_2_3():
    augmentation, _ = nf.s4().enrichment
    assert augmentation.s_range == (0.5, 1.5)
    assert not augmentation.match_levels
    assert [augmentation.ratio(r) for r in (0.61, 0.6, 0.31, 0.3)] == [0, 0.1, 0.1, 1]


def test_system_5_without_weights_is_system_4s_back_end_on_three_kinds_of_features():
    system = nf.System(
        nf.Stereo(), nf.Concatenated((nf.DIF(), nf.ENV(), nf.LTAS())), whitening=nf.ZCA(),
        enrichment=(nf.PseudoTarget(),), rule=nf.KNN((1.0,), "euclidean"),
    )  # fmt: skip
    assert made("s5-dif") == system
    assert system.embedder.dim == 120 + 112 + 64


def test_the_small_one_is_that_beside_the_bands_of_near():
    features, bands = made("s5-small").members
    assert replace(features, calibration=nf.Raw()) == made("s5-dif")
    assert (bands.frontend, bands.whitening, bands.enrichment) == (nf.Near(), None, ())
    assert bands.embedder == nf.Pooled(nf.EAT("a"), nf.RelativeDeviation(4.0))
    assert bands.rule == nf.PerBand(nf.LocalDensity(1, "ratio", "cosine"), bands=8)


def test_system_5_is_cancelled_bands_a_global_view_and_the_features():
    bands, whole, features = made("s5").members
    assert bands.frontend == nf.FarCancel()
    assert bands.embedder == nf.Pooled(nf.EAT("a"), nf.RelativeDeviation(8.0))
    assert bands.rule == nf.PerBand(nf.VarMin(4, "cosine"), bands=8)
    assert (whole.frontend, whole.embedder) == (nf.Near(), nf.EAT("a"))
    assert (whole.rule, whole.whitening) == (nf.KNN((1.0,), "cosine"), None)
    assert replace(features, calibration=nf.Raw()) == made("s5-dif")


@pytest.mark.parametrize("name", ["s5", "s5-small"])
def test_members_are_scaled_by_held_out_normals_that_no_encoder_knows(name):
    ensemble = made(name)
    assert (ensemble.fusion, len(set(ensemble.weights))) == ("mean", 1)
    for member in ensemble.members:
        assert (member.calibration, member.self_scores) == (
            nf.ZScore(clips="fresh"),
            "cross-fitted",
        )


@pytest.mark.parametrize("kind", ["BEATs", "YAMNet"])
@pytest.mark.parametrize("name", ["s5", "s5-small"])
def test_system_5_takes_whatever_encoder_the_weights_are(name, kind, tmp_path):
    place = beats() if kind == "BEATs" else str(make_folder(tmp_path / "ear"))
    members = PRESETS[name](name, [place]).members
    encoders = {type(innermost(m.embedder)).__name__ for m in members} - {"Concatenated"}
    assert encoders == {kind}
    assert all(m.rule.bands == 8 for m in members if isinstance(m.rule, nf.PerBand))


def test_only_trained_systems_have_trained_parameters():
    """Table 1: Systems 3 and 4 train none. The report's EAT-large has some 300 million."""
    counts = {name: preset.parameters for name, preset in PRESETS.items()}
    assert {name for name, count in counts.items() if count} == {"s1", "s2"}
    assert counts["s2"] == 4 * counts["s1"]
    assert 3.0e8 < counts["s1"] < 3.2e8


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_repr_and_json(name):
    system = made(name)
    names = {n: getattr(nf, n) for n in nf.__all__}
    assert eval(repr(system), names | {"System": System, "Ensemble": Ensemble}) == system
    assert from_data(to_data(system)) == system


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("more", [-1, 1])
def test_too_many_or_too_few_weights_are_one_line(name, more):
    count = PRESETS[name].encoders + more
    if count < 0:
        return
    with pytest.raises(SettingError, match=f"^{name} needs ") as caught:
        PRESETS[name](name, ["x"] * count)
    assert "\n" not in str(caught.value)
    assert ("finetune" in str(caught.value)) == PRESETS[name].trained
