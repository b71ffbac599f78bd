"""A folder asks for a newer nearfar where an older one could not read it, and only there."""

from dataclasses import dataclass, replace

import pytest

import nearfar as nf
from conftest import DATA
from nearfar.detector.folder.formats import (
    ADAPTED,
    BY_DOMAIN,
    CHOSEN,
    KNOWN,
    LEARNT,
    NEW_PART,
    UNADAPTED,
    format_of,
)
from nearfar.parts.data import TYPES, to_data
from nearfar.system.presets import s3_dif

NEAR = nf.System(nf.Near(), nf.LogMel())
GRID = nf.System(nf.Near(), nf.Pooled(nf.EAT("x"), nf.Bands()), rule=nf.PerBand())


def format_(system, order="near-far", by_domain=False):
    return format_of(system, order, by_domain=by_domain)


@pytest.mark.parametrize(
    "system",
    [nf.s1("x"), nf.s2("a", "b", "c", "d"), nf.s3("x"), s3_dif(), nf.s4(), nf.logmel()],
    ids=lambda s: type(s).__name__,
)
def test_the_reports_systems_stay_readable_by_all(system):
    assert format_(system) == UNADAPTED
    first = system.members[0]
    adapted = replace(first, adaptation=nf.UnitLength())
    assert format_(adapted) == ADAPTED
    assert format_(adapted, order=(2, 1)) == CHOSEN
    assert format_(adapted, order=(2, 1), by_domain=True) == BY_DOMAIN


@pytest.mark.parametrize(
    "system",
    [
        replace(NEAR, rule=nf.LocalDensity(metric="cosine")),
        replace(NEAR, rule=nf.VarMin()),
        replace(NEAR, rule=nf.PerDomain()),
        replace(NEAR, embedder=nf.BEATs("x")),
        replace(NEAR, embedder=nf.YAMNet("x")),
        replace(NEAR, embedder=nf.Crops(nf.BEATs("x"))),
        replace(NEAR, embedder=nf.Pooled(nf.EAT("x"), nf.Mean())),
        nf.System(nf.Stereo(), nf.FarSubtracted(nf.LogMel())),
        GRID,
        replace(nf.s3("x"), weights=(), fusion="minimum"),
        nf.Ensemble((NEAR, GRID)),
        nf.s3("x"),
    ],
    ids=lambda s: repr(s)[:60],
)
def test_what_an_older_one_does_not_know_needs_a_newer(system):
    """Each type and setting of ours that is in none of the folders that older ones wrote."""
    new = {"LocalDensity", "VarMin", "PerDomain", "PerBand", "BEATs", "YAMNet", "Pooled"}
    new |= {"FarSubtracted", "fusion"}
    words = set(repr(to_data(system)).replace("'", " ").split())
    assert format_(system) == (NEW_PART if words & new else UNADAPTED)
    assert format_(system, order=(1, 2), by_domain=True) == (NEW_PART if words & new else BY_DOMAIN)


@dataclass(frozen=True)
class Mine:
    """A rule of somebody's own."""

    metric: str = "cosine"
    neighbours: int = 1

    def __call__(self, z, bank, leave_out=None):
        return bank.neighbours(z, 1, "cosine", leave_out)[0][:, 0]


def test_what_was_learnt_needs_the_newest_whatever_the_system():
    for system in (nf.s4(), replace(NEAR, rule=nf.VarMin())):
        assert format_of(system, "near-far", by_domain=False, learnt=True) == LEARNT > NEW_PART


def test_a_part_of_ones_own_is_passed_in_to_any():
    assert format_(replace(NEAR, rule=Mine())) == UNADAPTED


def test_what_is_known_is_what_older_ones_wrote():
    """No part comes later that is called known: what is in an old folder is, and no encoder new."""
    assert set(TYPES) >= KNOWN
    old = " ".join(p.read_text(encoding="utf-8") for p in DATA.glob("detectors/*/detector.json"))
    assert {name for name in TYPES if f'"type": "{name}"' in old} <= KNOWN


def test_the_folder_says_it(tmp_path, dcase):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    det = nf.fit(replace(nf.logmel(), rule=nf.VarMin()), clips).save(tmp_path / "det")
    assert f'"format": {NEW_PART},' in (det / "detector.json").read_text(encoding="utf-8")
    assert nf.load(det).system.rule == nf.VarMin()
