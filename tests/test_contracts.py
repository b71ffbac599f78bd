"""Every part of ours passes the contract that third parties are given."""

import re
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from beats_folders import folder as beats
from conftest import TINY
from nearfar.detector.fitting import fit_many
from nearfar.system.presets import PRESETS
from nearfar.testing import check_embedder, check_frontend, check_part, check_rule, check_system
from yamnet_folder import make_folder


def named(part):
    """Without the place of its weights: two processes make folders of their own."""
    return re.sub(r"'/[^']*/", "'", repr(part))


@pytest.mark.parametrize(
    "part",
    [
        nf.Near(),
        nf.Far(),
        nf.Stereo(),
        nf.CoherenceMask(),
        nf.CoherenceMask(coherence="ema"),
        nf.FarCancel(),
    ],
    ids=named,
)
def test_frontends(part):
    check_frontend(part)


@pytest.mark.parametrize(
    "part",
    [
        nf.DIF(),
        nf.DIF(names=nf.DIF().names[::-7]),
        nf.ENV(),
        nf.LTAS(),
        nf.Concatenated((nf.DIF(), nf.ENV(), nf.LTAS())),
        nf.Concatenated((nf.LTAS(), nf.LogMel())),
        nf.LogMel(),
        nf.LogMel(n_mels=40),
        nf.EAT(str(TINY)),
        nf.EAT(str(TINY), pooling="cls", layer=1, frames=1024),
        nf.BEATs(beats()),
        nf.BEATs(beats(), layer=1),
        nf.Pooled(nf.EAT(str(TINY))),
        nf.Pooled(nf.EAT(str(TINY), layer=1), nf.RelativeDeviation(power=4)),
        nf.Pooled(nf.EAT(str(TINY)), nf.Mean()),
        nf.Crops(nf.Pooled(nf.EAT(str(TINY))), n=2),
        nf.FarSubtracted(nf.EAT(str(TINY))),
        nf.FarSubtracted(nf.Pooled(nf.EAT(str(TINY))), amount=1),
        nf.FarSubtracted(nf.LogMel(), amount=0.25),
    ],
    ids=named,
)
def test_embedders(part):
    check_embedder(part)


def test_the_small_ear(tmp_path):
    check_embedder(nf.YAMNet(str(make_folder(tmp_path / "ear"))))


@pytest.mark.parametrize(
    "part",
    [
        nf.KNN(), nf.KNN(metric="euclidean"), nf.KNN((1.0, -0.35, -0.05), "euclidean"),
        nf.LocalDensity(), nf.LocalDensity(k=16, form="difference"),
        nf.LocalDensity(k=3, metric="cosine"), nf.VarMin(), nf.VarMin(k=99, metric="euclidean"),
        nf.PerBand(bands=2), nf.PerBand(nf.LocalDensity(k=3, metric="cosine"), bands=4),
        nf.PerDomain(), nf.PerDomain(nf.VarMin(metric="euclidean")),
        nf.PerDomain(nf.PerBand(bands=2)), nf.PerBand(nf.PerDomain(), bands=2),
    ],
    ids=named,
)  # fmt: skip
def test_rules(part):
    check_rule(part)


@pytest.mark.parametrize(
    "part",
    [
        nf.ZCA(), nf.ZCA("ledoit-wolf"), nf.ResidualAugmentation(), nf.PseudoTarget(),
        nf.MeanShift(), nf.UnitLength(), nf.Standardise(),
        nf.Raw(), nf.ZScore(), nf.Percentile(), nf.Percentile("linear"),
    ],
    ids=named,
)  # fmt: skip
def test_parts_are_plain_data(part):
    check_part(part)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name):
    system = PRESETS[name](name, [str(TINY)] * PRESETS[name].encoders)
    for member in system.members:
        check_system(member)
    assert eval(repr(system), vars(nf) | {n: getattr(nf, n) for n in nf.__all__}) == system


@pytest.mark.slow
def test_presets_take_whatever_encoder_the_weights_are():
    for name in PRESETS:
        system = PRESETS[name](name, [beats()] * PRESETS[name].encoders)
        for member in system.members:
            check_system(member)
        assert ("BEATs(" in repr(system)) == (PRESETS[name].encoders > 0)
        assert eval(repr(system), vars(nf) | {n: getattr(nf, n) for n in nf.__all__}) == system


@pytest.mark.slow
def test_what_is_beyond_the_report_goes_with_every_embedder(dcase):
    """Rules of density, bands and domains, and far taken off rows: together, fitted and scored."""
    mono = (nf.LogMel(), nf.EAT(str(TINY)), nf.BEATs(beats()))
    rows = (*mono, *map(nf.Pooled, mono[1:]))
    ears = (nf.DIF(), *rows, *map(nf.FarSubtracted, rows))
    rules = (nf.LocalDensity(metric="cosine"), nf.VarMin(), nf.PerDomain())
    pairs = [(ear, rule) for ear in ears for rule in rules]
    pairs += [(nf.Pooled(ear), nf.PerBand(rule)) for ear in mono[1:] for rule in rules]
    fronts = {1: nf.Near(), 2: nf.Stereo()}
    systems = [nf.System(fronts[ear.channels], ear, rule=rule) for ear, rule in pairs]
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)  # of sets as small as this
        for system, detector in zip(systems, fit_many(systems, clips), strict=True):
            assert np.isfinite(detector.self_scores("fan")).all(), system
            assert np.isfinite(detector.score(clips[:2]).values).all(), system


def test_presets_say_how_many_weights_they_take():
    with pytest.raises(nf.NearfarError, match="s3 needs the weights of 1 encoder, 0 given"):
        PRESETS["s3"]("s3", [])
    with pytest.raises(nf.NearfarError, match="s4 needs no weights"):
        PRESETS["s4"]("s4", ["x"])


def test_the_contract_finds_broken_parts():
    @dataclass(frozen=True)
    class Loudest:
        """Cheats: scales by the loudest clip of the batch."""

        channels: ClassVar[int] = 1
        dim: ClassVar[int] = 1
        fingerprint: ClassVar[str] = "x"

        def __call__(self, audios):
            rows = np.array([[np.abs(a).max()] for a in audios], dtype=np.float32)
            return rows / rows.max()

    with pytest.raises((AssertionError, AttributeError, TypeError)):
        check_embedder(Loudest())


@dataclass(frozen=True)
class Upside:
    """A rule with the sign the wrong way round."""

    metric: str = "euclidean"
    neighbours: ClassVar[int] = 1

    def __call__(self, z, bank, leave_out=None):
        return -nf.KNN(metric="euclidean")(z, bank, leave_out)


def test_the_contract_finds_a_rule_upside_down():
    with pytest.raises(AssertionError, match="higher"):
        check_rule(Upside())


def test_parts_that_do_not_fit_are_refused_at_once():
    with pytest.raises(nf.NearfarError, match="needs 2"):
        nf.System(frontend=nf.Near(), embedder=nf.DIF())
    with pytest.raises(nf.NearfarError, match="residuals"):
        replace(nf.logmel(), enrichment=(nf.ResidualAugmentation(),))
    with pytest.raises(nf.NearfarError, match="frontend"):
        nf.System(frontend=None, embedder=nf.DIF())
