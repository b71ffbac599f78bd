"""Extra rows: how many, of which clips, with which s; and a translation is a translation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from nearfar.errors import SettingError
from nearfar.scoring.bank import SOURCE, TARGET, MemoryBank
from nearfar.scoring.enrich import Enrichment, PseudoTarget, ResidualAugmentation, shift
from nearfar.scoring.whiten import ZCA

RESIDUAL, PSEUDO = ResidualAugmentation(), PseudoTarget()


def real(n_source, n_target, dim=3, seed=0):
    """Sources have origins 0 …, targets 100 …"""
    rng = np.random.default_rng(seed)
    origin = np.r_[np.arange(n_source), 100 + np.arange(n_target)].astype(np.int64)
    domain = np.r_[np.full(n_source, SOURCE), np.full(n_target, TARGET)].astype(np.int8)
    return MemoryBank(rng.standard_normal((n_source + n_target, dim)), origin, domain)


def pool_of(bank, size, dim=3):
    """Row t of clip o is (o, t, 0): rows say where they come from."""
    targets = np.unique(bank.origin[bank.domain == TARGET])
    return {
        int(o): np.array([[o, t] + [0] * (dim - 2) for t in range(size)], np.float32).reshape(
            size, dim
        )
        for o in targets
    }


# ---- residual augmentation: how many (report §2.3)


@pytest.mark.parametrize(
    ("lr_corr", "ratio"),
    [
        (1.0, 0.0), (0.61, 0.0), (np.nextafter(0.6, 1), 0.0),  # > 0.6
        (0.6, 0.1), (0.45, 0.1), (np.nextafter(0.3, 1), 0.1),  # 0.3 < x ≤ 0.6
        (0.3, 1.0), (0.0, 1.0), (-0.5, 1.0), (-1.0, 1.0), (np.nextafter(-1, -2), 1.0),  # ≤ 0.3
    ],
)  # fmt: skip
def test_three_tiers(lr_corr, ratio):
    assert RESIDUAL.ratio(lr_corr) == ratio
    assert RESIDUAL.rows(lr_corr, 990) == round(990 * ratio)


@pytest.mark.parametrize(
    ("lr_corr", "n_source", "n_target", "each"),
    [(0.1, 990, 10, 99), (0.4, 990, 10, 10), (0.9, 990, 10, 0), (0.1, 991, 10, 100),
     (0.1, 990, 9, 110), (0.1, 3, 10, 1), (0.1, 990, 0, 0), (0.1, 0, 10, 0), (0.4, 4, 10, 0)],
)  # fmt: skip
def test_pool_size_is_rows_a_clip_rounded_up(lr_corr, n_source, n_target, each):
    assert RESIDUAL.pool_size(lr_corr, n_source, n_target) == each


@given(
    lr_corr=st.floats(-1, 1), n_source=st.integers(0, 60), n_target=st.integers(0, 9),
    ratios=st.lists(st.floats(0, 5), min_size=1, max_size=4),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_as_many_rows_as_the_tier_says_dealt_evenly(lr_corr, n_source, n_target, ratios):
    if not n_source + n_target:
        return
    part = ResidualAugmentation(tiers=tuple((0.5 - i / 2, r) for i, r in enumerate(ratios)))
    bank = real(n_source, n_target)
    size = part.pool_size(lr_corr, n_source, n_target)
    extra = part(bank, lr_corr, pool_of(bank, size))
    wanted = part.rows(lr_corr, n_source) if n_target else 0
    if not wanted:
        assert extra is None
        return
    assert len(extra) == wanted
    assert (extra.domain == TARGET).all()
    np.testing.assert_array_equal(extra.embeddings[:, 0], extra.origin)  # made of that clip
    counts = [int((extra.origin == 100 + i).sum()) for i in range(n_target)]
    assert sum(counts) == wanted
    assert max(counts) - min(counts) <= 1
    for o in np.unique(extra.origin):  # its first rows, each once
        turns = extra.embeddings[extra.origin == o, 1]
        np.testing.assert_array_equal(np.sort(turns), np.arange(len(turns)))


def test_copies_of_a_target_clip_are_dealt_rows_once():
    bank = real(12, 3)
    copied = MemoryBank(
        np.concatenate([bank.embeddings, bank.embeddings[-1:]]),
        np.r_[bank.origin, bank.origin[-1]],
        np.r_[bank.domain, bank.domain[-1]].astype(np.int8),
    )
    pool = pool_of(bank, RESIDUAL.pool_size(0.0, 12, 3))
    once, twice = RESIDUAL(bank, 0.0, pool), RESIDUAL(copied, 0.0, pool)
    np.testing.assert_array_equal(twice.embeddings, once.embeddings)
    np.testing.assert_array_equal(twice.origin, once.origin)
    assert len(np.unique(twice.embeddings, axis=0)) == len(twice)


def test_the_same_rows_in_any_order_of_clips():
    bank = real(20, 5)
    turn = np.random.default_rng(0).permutation(25)
    turned = MemoryBank(bank.embeddings[turn], bank.origin[turn], bank.domain[turn])
    pool = pool_of(bank, 4)
    one, other = RESIDUAL(bank, 0.1, pool), RESIDUAL(turned, 0.1, pool)
    assert sorted(map(tuple, one.embeddings)) == sorted(map(tuple, other.embeddings))


def test_a_longer_pool_gives_the_same_rows():
    """The pool is drawn once, as long as the largest need of any fold."""
    bank = real(20, 5)
    few, many = RESIDUAL(bank, 0.1, pool_of(bank, 4)), RESIDUAL(bank, 0.1, pool_of(bank, 40))
    np.testing.assert_array_equal(few.embeddings, many.embeddings)


# ---- residual augmentation: s ~ U(0.5, 1.5)

DIGESTS = [f"{i:064x}" for i in range(1, 4)] + ["f" * 64, "0" * 64, "ab" * 32]


def test_draws_belong_to_a_clip_and_a_longer_draw_begins_the_same():
    for digest in DIGESTS:
        long = RESIDUAL.draw(3, digest, 50)
        for size in (0, 1, 7, 49):
            np.testing.assert_array_equal(RESIDUAL.draw(3, digest, size), long[:size])


def test_draws_differ_between_clips_and_seeds():
    draws = [
        RESIDUAL.draw(seed, digest, 4).tobytes() for seed in (0, 1, 2**40) for digest in DIGESTS
    ]
    assert len(set(draws)) == len(draws)


def test_every_part_of_the_digest_counts():
    base = "a" * 64
    for i in range(64):
        other = base[:i] + "b" + base[i + 1 :]
        assert not np.array_equal(RESIDUAL.draw(0, base, 2), RESIDUAL.draw(0, other, 2))


def test_draws_are_uniform_in_their_range():
    s = np.concatenate([RESIDUAL.draw(0, f"{i:064x}", 20) for i in range(200)])
    assert s.min() >= 0.5
    assert s.max() <= 1.5
    assert kstest(s, "uniform", args=(0.5, 1.0)).pvalue > 1e-3
    first = np.array([RESIDUAL.draw(0, f"{i:064x}", 1)[0] for i in range(500)])
    assert kstest(first, "uniform", args=(0.5, 1.0)).pvalue > 1e-3  # across clips as well
    np.testing.assert_array_equal(
        ResidualAugmentation(s_range=(2.0, 2.0)).draw(0, "0" * 64, 3), 2.0
    )
    wide = ResidualAugmentation(s_range=(-3.0, 7.0)).draw(0, "1" * 64, 500)
    assert -3 <= wide.min() < -2 < 6 < wide.max() <= 7


def test_drawing_leaves_the_global_generator_alone():
    np.random.seed(5)  # noqa: NPY002 - the state under test
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    RESIDUAL.draw(0, DIGESTS[0], 10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# ---- pseudo-target


@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_pseudo_target_is_a_parallel_translation(n_source, n_target, seed):
    bank = real(n_source, n_target, dim=4, seed=seed)
    extra = PSEUDO(bank, 0.5, {})
    source, target = bank.embeddings[:n_source], bank.embeddings[n_source:]
    for i in range(n_source):
        for j in range(4):
            moved = source[i, j] + sum(target[:, j]) / n_target - sum(source[:, j]) / n_source
            assert extra.embeddings[i, j] == pytest.approx(moved, abs=1e-12)
    np.testing.assert_allclose(extra.embeddings.mean(axis=0), target.mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(extra.origin, np.arange(n_source))
    assert (extra.domain == TARGET).all()
    assert PSEUDO.pool_size(0.1, n_source, n_target) == 0


@pytest.mark.parametrize("part", [RESIDUAL, PSEUDO], ids=repr)
@pytest.mark.parametrize(("n_source", "n_target"), [(5, 0), (0, 5)])
def test_one_domain_alone_gives_no_rows(part, n_source, n_target):
    bank = real(n_source, n_target)
    size = part.pool_size(0.0, n_source, n_target)
    assert part(bank, 0.0, pool_of(bank, size)) is None
    assert isinstance(part, Enrichment)


@pytest.mark.parametrize("part", [RESIDUAL, PSEUDO], ids=repr)
def test_the_real_rows_are_left_alone(part):
    bank = real(6, 2)
    before = bank.embeddings.copy()
    extra = part(bank, 0.0, pool_of(bank, 3))
    extra.embeddings[:] = np.nan
    np.testing.assert_array_equal(bank.embeddings, before)


# ---- the shift that a person is warned of


def test_shift_in_plain_units():
    """Sources one away from their centre in each of two directions, targets 7 away."""
    rows = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [7, 0], [7, 2], [7, -2]])
    bank = MemoryBank(rows, np.arange(7), np.array([0, 0, 0, 0, 1, 1, 1], dtype=np.int8))
    assert shift(bank, lambda z: z) == pytest.approx((7.0, 1.0))
    assert shift(bank, lambda z: 2 * z + 5) == pytest.approx((14.0, 2.0))


def test_shift_in_whitened_units_does_not_depend_on_the_units_of_features():
    bank = real(40, 5, dim=6)
    rescaled = MemoryBank(bank.embeddings * 10.0 ** np.arange(6) - 3, bank.origin, bank.domain)
    one, other = (shift(b, ZCA().fit(b.embeddings)) for b in (bank, rescaled))
    assert one == pytest.approx(other, rel=1e-9)


def test_shift_without_both_domains_is_unknown():
    assert all(np.isnan(shift(real(5, 0), lambda z: z)))
    assert all(np.isnan(shift(real(0, 5), lambda z: z)))


# ---- bad settings


@pytest.mark.parametrize(
    "bad",
    [
        (), [(0.6, 0.0)], ((0.6,),), ((0.6, 0.0, 1.0),), (0.6, 0.0), (("0.6", 0.0),),
        ((0.6, -0.1),),
        ((0.6, np.nan),), ((0.6, np.inf),), ((0.6, 1e9),), ((np.nan, 1.0),), ((0.6, None),),
        ((0.6, 10**400),), ((10**400, 0.5),), None, "all", ([0.6, 0.0],), ((0.6, True),),
    ],
)  # fmt: skip
def test_bad_tiers(bad):
    with pytest.raises(SettingError, match=r"ResidualAugmentation\.tiers is .*as in") as caught:
        ResidualAugmentation(tiers=bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        (1.5, 0.5), (0.5,), [0.5, 1.5], 1.0, None, (0.5, np.nan), (-np.inf, 1.0), ("a", "b"),
        (0, 10**400), (-1e308, 1e308), (False, True),
    ],
)  # fmt: skip
def test_bad_range(bad):
    with pytest.raises(SettingError, match=r"ResidualAugmentation\.s_range is .*as in") as caught:
        ResidualAugmentation(s_range=bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [1, 0, None, "yes", "True"])
def test_bad_match_levels(bad):
    with pytest.raises(SettingError, match=r"match_levels is .*True or False"):
        ResidualAugmentation(match_levels=bad)
