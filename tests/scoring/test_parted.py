"""Rules that ask another about parts of the bank: bands of a row, rows of a domain."""

import warnings
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from made_banks import bank_of, queries_of, without
from nearfar.detector.member import NormalRows, assign_folds, fit_member
from nearfar.errors import DatasetError, SettingError
from nearfar.scoring.bank import SOURCE, TARGET, MemoryBank
from nearfar.scoring.parted import PerBand, PerDomain, bands_of, parts_domains, unparted
from nearfar.testing import check_system

INNER = [
    nf.KNN(), nf.KNN((1.0, -0.35), "euclidean"), nf.LocalDensity(2, metric="cosine"), nf.VarMin(),
]  # fmt: skip


# ---- bands


@pytest.mark.parametrize("inner", INNER, ids=repr)
@pytest.mark.parametrize("bands", [1, 2, 4])
def test_the_score_is_the_mean_of_banks_of_their_own(inner, bands):
    """Asked of each band by itself, as if there were nothing else."""
    bank, queries = bank_of(dim=8), queries_of(dim=8)
    out = np.arange(9) - 1
    for left in (None, out):
        expected = np.zeros(9)
        for band in range(bands):
            part = slice(band * 8 // bands, (band + 1) * 8 // bands)
            own = MemoryBank(bank.embeddings[:, part], bank.origin, bank.domain)
            expected += inner(queries[:, part], own, leave_out=left)
        got = PerBand(inner, bands)(queries, bank, leave_out=left)
        np.testing.assert_allclose(got, expected / bands, rtol=1e-10, atol=1e-10)


def test_bands_of_one_clip_may_have_different_nearest_clips():
    rows = np.array([[0.0, 9.0], [9.0, 0.0]])
    bank = MemoryBank(rows, np.arange(2), np.zeros(2, np.int8))
    query, euclidean = np.zeros((1, 2)), nf.KNN(metric="euclidean")
    assert PerBand(euclidean, 2)(query, bank).tolist() == [0.0]
    assert euclidean(query, bank).tolist() == [9.0]


def test_a_row_in_any_layout_scores_the_same_bits():
    bank, queries = bank_of(60, 80, 24), queries_of(40, 24)
    rule = PerBand(nf.VarMin(), 8)
    together = rule(np.asfortranarray(queries), bank)
    assert [float(rule(q[None], bank)[0]) for q in queries] == together.tolist()


def test_a_row_that_is_not_so_many_bands_is_one_line():
    with pytest.raises(SettingError, match=r"PerBand\.bands is 3, a row has 4 numbers"):
        PerBand(bands=3)(queries_of(), bank_of())


@dataclass(frozen=True)
class Grid:
    """Means of a sound's quarters, as if they were bands."""

    bands: int = 4
    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 12
    fingerprint: ClassVar[str] = "grid"

    def __call__(self, audios):
        parts = [np.array_split(audio[0], 12) for audio in audios]
        return np.array([[p.std() for p in some] for some in parts], dtype=np.float32)


def test_a_system_with_bands_keeps_the_contract():
    system = nf.System(nf.Near(), Grid(), rule=PerBand(nf.LocalDensity(metric="cosine"), 4))
    check_system(system)
    crops = replace(system, embedder=nf.Crops(Grid(), n=2))  # bands of the embedder inside
    assert crops.rule == system.rule


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embedder": nf.LogMel()}, "asks for 4 bands, LogMel keeps none apart; give an embedder"),
        ({"embedder": nf.EAT("x")}, "EAT keeps none apart; pool its grid, embedder=Pooled"),
        ({"embedder": Grid(bands=3)}, "asks for 4 bands, Grid keeps 3; say bands=3"),
        ({"whitening": nf.ZCA()}, r"keeps 4 bands apart, ZCA\(.* mixes them; give whitening=None"),
        ({"rule": PerDomain(PerBand(bands=8))}, "asks for 8 bands, Grid keeps 4"),
    ],
)
def test_bands_where_there_are_none_are_refused_in_one_line(changes, words):
    system = nf.System(nf.Near(), Grid(), rule=PerBand(bands=4))
    with pytest.raises(SettingError, match=words) as caught:
        replace(system, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PerBand(bands=0), r"PerBand\.bands is 0"),
        (lambda: PerBand(rule=nf.ZCA()), r"PerBand\.rule is ZCA"),
        (lambda: PerBand(rule=nf.KNN), r"PerBand\.rule is <class"),
        (lambda: PerBand(PerBand()), "has no bands of its own"),
        (lambda: PerDomain(PerDomain()), "has no domains"),
        (lambda: PerDomain(None), r"PerDomain\.rule is None"),
    ],
)
def test_impossible_settings_are_one_line(make, words):
    with pytest.raises(SettingError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_what_is_nested_is_found():
    nested = PerDomain(PerBand(nf.VarMin(), bands=4))
    assert (bands_of(nested), parts_domains(nested)) == (4, True)
    assert nested.metric == "cosine"
    assert parts_domains(PerBand(PerDomain(), 2))
    assert not parts_domains(PerBand(nf.KNN(), 2))


# ---- domains


def plain_share(value, known):
    """The share of known values that are no larger; beyond the largest it goes on."""
    known = sorted(known)
    share = sum(k <= value for k in known) / len(known)
    unit = (known[-1] - float(np.median(known))) or 1.0
    return share + max(value - known[-1], 0.0) / unit / len(known)


def plain_surprise(inner, query, bank):
    """The docstring's sentence, a domain and a clip at a time."""
    shares = []
    for domain in (SOURCE, TARGET):
        rows = np.flatnonzero(bank.domain == domain)
        own = MemoryBank(bank.embeddings[rows], bank.origin[rows], bank.domain[rows])
        real = [i for i in rows if i == np.flatnonzero(bank.origin == bank.origin[i])[0]]
        known = [
            float(inner(bank.embeddings[i][None], without(own, bank.origin[i]))[0]) for i in real
        ]
        shares.append(plain_share(float(inner(query[None], own)[0]), known))
    return min(shares)


@pytest.mark.parametrize("inner", INNER, ids=repr)
def test_the_less_surprised_domain_counts(inner):
    bank, queries = bank_of(12, 30), queries_of()
    expected = [plain_surprise(inner, q, bank) for q in queries]
    got = PerDomain(inner)(queries, bank)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)
    assert len(set(got.tolist())) > 1


def test_no_yardstick_sees_a_clip_that_is_left_out():
    bank, queries, rule = bank_of(12, 30), queries_of(12), PerDomain(nf.KNN(metric="euclidean"))
    out = np.arange(12) - 1
    expected = [rule(q[None], without(bank, o))[0] for q, o in zip(queries, out, strict=True)]
    np.testing.assert_allclose(rule(queries, bank, leave_out=out), expected, rtol=1e-10)


def test_it_goes_on_rising_far_away():
    bank, rule = bank_of(12, 30), PerDomain(nf.KNN(metric="euclidean"))
    far = rule(np.array([[10.0], [20.0], [40.0]]) * np.ones(4), bank)
    assert 1 < far[0] < far[1] < far[2]


@pytest.mark.parametrize("targets", [0, 1, 12])
def test_where_a_domain_is_missing_all_are_one(targets):
    x = np.random.default_rng(0).standard_normal((12, 4))
    bank = MemoryBank(x, np.arange(12), (np.arange(12) < targets).astype(np.int8))
    inner = nf.KNN(metric="euclidean")
    known = inner(x, bank, leave_out=np.arange(12))
    expected = [plain_share(float(d), known.tolist()) for d in inner(queries_of(), bank)]
    np.testing.assert_allclose(PerDomain(inner)(queries_of(), bank), expected, rtol=1e-12)


@pytest.mark.parametrize("inner", [*INNER, PerBand(nf.VarMin(), 2)], ids=repr)
@pytest.mark.parametrize(("n", "targets"), [(3, 0), (3, 1), (4, 2), (14, 4)])
@pytest.mark.parametrize("kind", ["cross-fitted", "loo"])
def test_machines_of_few_clips_work(inner, n, targets, kind):
    n += inner.neighbours - 1  # which KNN asks of each fold
    x = np.random.default_rng(0).standard_normal((n, 6)).astype(np.float32)
    table = NormalRows(x, np.arange(n), (np.arange(n) < targets).astype(np.int8), np.zeros(n))
    system = SimpleNamespace(
        adaptation=None, whitening=None, enrichment=(), rule=PerDomain(inner), self_scores=kind,
    )  # fmt: skip
    folds = assign_folds(table.origin, table.domain, 10, 0)
    member = fit_member(system, table, [], folds)
    assert np.isfinite(member.self_scores).all()
    assert np.isfinite(PerDomain(inner)(member.scale(x + 1), member.bank)).all()


def test_a_share_is_never_compared_with_a_distance():
    """Of four clips a fold has three: too few for k = 3, and their distances are no shares."""
    bank = bank_of(3, 3)
    few = PerDomain(nf.KNN((1.0, -0.35, -0.05), "euclidean"))
    with pytest.raises(DatasetError, match=r"against k = 3 rows .* of 3 rows that is too many"):
        few(queries_of(), bank)
    assert (few(queries_of(), bank_of(4, 4)) <= 9).all()


@pytest.mark.parametrize(
    ("rule", "targets", "named"),
    [
        (nf.KNN(), 1, "target"), (nf.KNN(), 2, ""), (nf.KNN(), 11, "source"),
        (nf.KNN((1.0, 0.5)), 2, "target"), (nf.KNN((1.0, 0.5)), 3, ""),
        (PerDomain(PerBand(nf.KNN((1.0, 0.5)), 2)), 2, "target"), (nf.VarMin(9), 2, ""),
    ],
)  # fmt: skip
def test_a_domain_needs_a_clip_more_than_neighbours(rule, targets, named):
    domain = (np.arange(12) < targets).astype(np.int8)
    assert unparted(rule, np.arange(12), domain) == named


def test_a_fit_says_where_a_domain_is_missing(dcase):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    source = nf.Clips([c for c in clips if c.domain == "source"])
    system = replace(nf.logmel(), rule=PerDomain())
    with pytest.warns(nf.NearfarWarning, match="fan: no target clips, PerDomain needs 2 of each"):
        nf.fit(system, source)
    with warnings.catch_warnings():
        warnings.simplefilter("error", nf.NearfarWarning)
        nf.fit(system, clips)
    targets = sum(c.domain == "target" for c in clips)
    many = replace(system, rule=PerDomain(nf.KNN((1.0,) + (0.0,) * (targets - 1))))
    with pytest.warns(nf.NearfarWarning, match=f"needs more for k = {targets}: all clips are"):
        nf.fit(many, clips)
