"""Nothing fitted on a clip judges that clip: self-scores against brute force, and planted leaks."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.detector.member import NormalRows, assign_folds, fit_member, pool_sizes
from nearfar.errors import DatasetError
from nearfar.scoring.bank import SOURCE, TARGET, MemoryBank
from nearfar.scoring.enrich import PseudoTarget, ResidualAugmentation
from nearfar.scoring.rule import KNN
from nearfar.scoring.whiten import ZCA

BOTH = (ResidualAugmentation(), PseudoTarget())


def recipe(**changes):
    """What fitting reads of a System, without front end and embedder."""
    default = {
        "adaptation": None, "whitening": ZCA(), "enrichment": BOTH, "rule": KNN(metric="euclidean"),
        "self_scores": "cross-fitted", "folds": 10, "seed": 0,
    }  # fmt: skip
    return SimpleNamespace(**(default | changes))


def clips(n_source, n_target, dim=6, seed=0, lr_corr=0.0, spread=0.0):
    """Sources around 0, targets around (2, 0, …), features in different units."""
    rng = np.random.default_rng(seed)
    n = n_source + n_target
    domain = np.r_[np.full(n_source, SOURCE), np.full(n_target, TARGET)].astype(np.int8)
    rows = rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim))
    rows[domain == TARGET, 0] += 2
    rows = (rows * 10.0 ** rng.uniform(-2, 2, dim) + 5).astype(np.float32)
    correlations = rng.standard_normal(n)
    correlations = lr_corr + spread * (correlations - correlations.mean())
    return NormalRows(rows, np.arange(n), domain, correlations)


def changed(table, **fields):
    return NormalRows(**{k: fields.get(k, v) for k, v in vars(table).items()})


def pool_rows(table, origin, size, seed=0):
    """Residual rows: the clip's own with the last half of its features drawn anew."""
    row = table.embeddings[np.flatnonzero(table.origin == origin)[0]]
    rows = np.tile(row, (size, 1))
    half = rows.shape[1] // 2
    scale = table.embeddings.std(axis=0)[half:] + 1e-3
    noise = np.random.default_rng([seed, origin]).standard_normal((size, rows.shape[1] - half))
    rows[:, half:] += (0.3 * scale * noise).astype(np.float32)
    return rows


def pools_of(system, table, folds):
    targets = np.unique(table.origin[table.domain == TARGET])
    return [
        {int(o): pool_rows(table, o, size) for o in targets} if size else {}
        for size in pool_sizes(system, table, folds)
    ]


def fitted(system, table):
    folds = assign_folds(table.origin, table.domain, system.folds, system.seed)
    pools = pools_of(system, table, folds)
    return fit_member(system, table, pools, folds), folds, pools


# ---- the brute force: everything again from the report's sentences, one clip at a time


def brute_rows(table, keep, pool, *, pseudo=True):
    """Rows and their origins that a bank of the clips in `keep` holds."""
    x = table.embeddings.astype(np.float64)
    rows = [(x[j], table.origin[j]) for j in keep]
    sources = [j for j in keep if table.domain[j] == SOURCE]
    targets = [j for j in keep if table.domain[j] == TARGET]
    if not sources or not targets:
        return rows
    lr_corr = sum(table.lr_corr[j] for j in keep) / len(keep)
    aug_ratio = 0.0 if lr_corr > 0.6 else 0.1 if lr_corr > 0.3 else 1.0
    different = sorted({int(table.origin[j]) for j in targets})
    for t in range(round(aug_ratio * len(sources))):
        origin = different[t % len(different)]
        rows.append((pool[origin][t // len(different)].astype(np.float64), origin))
    if pseudo:
        move = np.mean([x[j] for j in targets], axis=0) - np.mean([x[j] for j in sources], axis=0)
        rows += [(x[j] + move, table.origin[j]) for j in sources]
    return rows


def brute_whitening(x, shrinkage):
    """ZCA by eigenvectors."""
    scale = x.std(axis=0)
    scale[scale == 0] = 1  # one clip alone
    correlation = ((x - x.mean(axis=0)) / scale).T @ ((x - x.mean(axis=0)) / scale) / len(x)
    np.fill_diagonal(correlation, 1)
    values, vectors = np.linalg.eigh((1 - shrinkage) * correlation + shrinkage * np.eye(len(scale)))
    return np.diag(1 / scale) @ vectors @ np.diag(values**-0.5) @ vectors.T


def distance(u, v, metric):
    if metric == "euclidean":
        return np.linalg.norm(u - v)
    return 1 - u @ v / np.linalg.norm(u) / np.linalg.norm(v)


def brute_score(query, rows, centre, matrix, rule):
    z = (query - centre) @ matrix
    distances = sorted(distance(z, (row - centre) @ matrix, rule.metric) for row in rows)
    return sum(w * d for w, d in zip(rule.weights, distances, strict=False))


def brute_cross_fitted(system, table, folds, pool, shrinkage=0.01):
    x = table.embeddings.astype(np.float64)
    scores = []
    for i in range(len(table)):
        keep = [j for j in range(len(table)) if folds[j] != folds[i]]
        matrix = brute_whitening(x[keep], shrinkage) if system.whitening else np.eye(x.shape[1])
        centre = x[keep].mean(axis=0) if system.whitening else np.zeros(x.shape[1])
        rows = [row for row, _ in brute_rows(table, keep, pool)]
        scores.append(brute_score(x[i], rows, centre, matrix, system.rule))
    return np.array(scores)


def brute_loo(system, table, pool, shrinkage=0.01):
    x = table.embeddings.astype(np.float64)
    everything = range(len(table))
    matrix, centre = brute_whitening(x, shrinkage), x.mean(axis=0)
    rows = brute_rows(table, everything, pool)
    return np.array(
        [
            brute_score(
                x[i], [r for r, o in rows if o != table.origin[i]], centre, matrix, system.rule
            )
            for i in everything
        ]
    )


# ---- cross-fitted self-scores


@pytest.mark.parametrize(
    ("lr_corr", "spread"), [(0.8, 0.0), (0.45, 0.0), (0.1, 0.0), (0.3, 0.1), (0.6, 0.1)]
)
@pytest.mark.parametrize("rule", [KNN(), KNN((1.0, -0.35, -0.05), "euclidean")], ids=repr)
def test_cross_fitted_self_scores_are_those_of_brute_force(lr_corr, spread, rule):
    table = clips(34, 6, lr_corr=lr_corr, spread=spread)
    system = recipe(rule=rule, folds=5)
    member, folds, pools = fitted(system, table)
    expected = brute_cross_fitted(system, table, folds, pools[0])
    np.testing.assert_allclose(member.self_scores, expected, rtol=1e-8, atol=1e-9)


def test_the_tier_is_that_of_the_rest():
    """Near a tier's border the folds fall on both sides of it, and so brute force must be met."""
    table = clips(34, 6, lr_corr=0.3, spread=0.1)
    folds = assign_folds(table.origin, table.domain, 5, 0)
    means = [table.lr_corr[folds != f].mean() for f in range(5)]
    assert min(means) < 0.3 < max(means)


@pytest.mark.parametrize(
    ("n_source", "n_target", "dim"),
    [
        (3, 0, 20),
        (2, 1, 20),
        (1, 2, 20),
        (0, 3, 4),
        (9, 0, 120),
        (8, 1, 120),
        (20, 1, 3),
        (25, 12, 8),
    ],
)
@pytest.mark.parametrize("folds", [2, 10])
def test_few_clips_one_target_no_target(n_source, n_target, dim, folds):
    table = clips(n_source, n_target, dim, seed=n_source)
    system = recipe(folds=folds)
    member, dealt, pools = fitted(system, table)
    expected = brute_cross_fitted(system, table, dealt, pools[0])
    assert np.isfinite(member.self_scores).all()
    np.testing.assert_allclose(member.self_scores, expected, rtol=1e-7)
    assert np.isfinite(member.bank.embeddings).all()


def test_without_whitening_and_without_enrichment():
    table = clips(20, 4)
    plain = recipe(whitening=None, enrichment=(), rule=KNN((1.0, 0.5)))
    member, folds, pools = fitted(plain, table)
    assert pools == []
    assert member.whitening is None
    x = table.embeddings.astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = 1 - unit @ unit.T
    cosines[folds[:, None] == folds] = np.inf
    nearest = np.sort(cosines, axis=1)
    np.testing.assert_allclose(member.self_scores, nearest[:, 0] + 0.5 * nearest[:, 1], rtol=1e-9)


def test_ledoit_wolf_is_estimated_anew_in_each_fold():
    table = clips(40, 5, dim=30)
    system = recipe(whitening=ZCA("ledoit-wolf"), enrichment=(), folds=4)
    member, folds, _ = fitted(system, table)
    for fold in range(4):
        rest, held = table.where(folds != fold), table.where(folds == fold)
        alone = fit_member(
            system, rest, [], np.zeros(len(rest), dtype=np.int64) + np.arange(len(rest)) % 2
        )
        again = system.rule(alone.scale(held.embeddings), alone.bank)
        np.testing.assert_allclose(member.self_scores[folds == fold], again, rtol=1e-9)


def test_a_self_score_is_what_a_detector_without_the_fold_would_say():
    table = clips(50, 10)
    system = recipe(folds=6)
    member, folds, pools = fitted(system, table)
    for fold in range(6):
        rest, held = table.where(folds != fold), table.where(folds == fold)
        alone = fit_member(system, rest, pools, np.arange(len(rest)) % 2)
        says = system.rule(alone.scale(held.embeddings), alone.bank)
        # Bank rows are kept as float32, so that a detector on disk says the same.
        np.testing.assert_allclose(member.self_scores[folds == fold], says, rtol=2e-5)


# ---- leaks, planted


@pytest.mark.parametrize("self_scores", ["cross-fitted", "loo"])
@pytest.mark.parametrize("outlier", [7, 63])  # a source clip, a target clip
def test_an_outlier_is_not_excused_by_rows_made_of_it(outlier, self_scores):
    """Its residual and pseudo-target rows lie beside it; they are of its origin."""
    table = clips(60, 8)
    rows = table.embeddings.copy()
    rows[outlier] += 40 * rows.std(axis=0) * (-1.0) ** np.arange(6)
    table = changed(table, embeddings=rows)
    member, _, pools = fitted(recipe(self_scores=self_scores), table)
    if outlier == 63:
        beside = pools[0][63]
        assert len(beside) >= 7
    others = np.delete(member.self_scores, outlier)
    assert member.self_scores[outlier] > 3 * others.max()


def test_what_a_held_out_clip_sounds_like_changes_no_score_of_its_fold():
    """Bit for bit: nothing of it is in whitening, tier, means, enrichment or bank."""
    table = clips(40, 6, lr_corr=0.3, spread=0.1)
    system = recipe(folds=5)
    member, folds, pools = fitted(system, table)
    for i in (0, 17, 41, 45):
        rows, lr_corr = table.embeddings.copy(), table.lr_corr.copy()
        rows[i] += 1000
        lr_corr[i] = 0.99
        other = fit_member(
            system, changed(table, embeddings=rows, lr_corr=lr_corr), pools, folds
        ).self_scores
        mates = (folds == folds[i]) & (np.arange(len(table)) != i)
        assert mates.sum() > 3
        np.testing.assert_array_equal(other[mates], member.self_scores[mates])
        assert other[i] > member.self_scores[i]
        assert (other[folds != folds[i]] != member.self_scores[folds != folds[i]]).any()


def test_residual_rows_of_a_held_out_clip_are_not_looked_at():
    table = clips(40, 6)
    system = recipe(folds=3)
    member, folds, pools = fitted(system, table)
    for origin in (40, 43, 45):
        fold = folds[origin]
        poisoned = [
            {o: rows + 1e6 if o == origin else rows for o, rows in p.items()} for p in pools
        ]
        other = fit_member(system, table, poisoned, folds).self_scores
        np.testing.assert_array_equal(other[folds == fold], member.self_scores[folds == fold])


@pytest.mark.parametrize("self_scores", ["cross-fitted", "loo"])
def test_copies_of_a_clip_do_not_judge_each_other(self_scores):
    table = clips(30, 5)
    copies = np.r_[np.arange(35), 3, 3, 32]  # a source clip three times, a target clip twice
    doubled = table.where(np.ones(35, dtype=bool))
    doubled = NormalRows(
        table.embeddings[copies], table.origin[copies], table.domain[copies], table.lr_corr[copies]
    )
    member, folds, pools = fitted(recipe(self_scores=self_scores, folds=4), doubled)
    assert folds[3] == folds[35] == folds[36]
    assert folds[32] == folds[37]
    assert member.self_scores.min() > 0
    assert member.self_scores[3] == member.self_scores[35] == member.self_scores[36]
    if self_scores == "cross-fitted":
        expected = brute_cross_fitted(recipe(), doubled, folds, pools[0])
    else:
        expected = brute_loo(recipe(), doubled, pools[0])
    np.testing.assert_allclose(member.self_scores, expected, rtol=1e-5)


# ---- the report's literal reading


@pytest.mark.parametrize("lr_corr", [0.1, 0.45, 0.8])
@pytest.mark.parametrize("rule", [KNN(), KNN((1.0, -0.35, -0.05), "euclidean")], ids=repr)
def test_loo_self_scores_are_those_of_brute_force(lr_corr, rule):
    table = clips(30, 5, lr_corr=lr_corr)
    system = recipe(self_scores="loo", rule=rule)
    member, _, pools = fitted(system, table)
    expected = brute_loo(system, table, pools[0])
    np.testing.assert_allclose(member.self_scores, expected, rtol=1e-5, atol=1e-8)


def test_loo_is_optimistic_with_few_clips_of_many_dimensions():
    """DESIGN §3.5: with n ≤ d whitening fitted on a clip pulls it in; a new clip looks far away."""
    many = clips(440, 0, dim=120)
    table, fresh = many.where(np.arange(440) < 40), many.embeddings[40:]
    scores = {}
    for kind in ("loo", "cross-fitted"):
        system = recipe(self_scores=kind, enrichment=())
        member, _, _ = fitted(system, table)
        judged = system.rule(member.scale(fresh), member.bank)
        scores[kind] = np.mean(judged[:, None] > member.self_scores)
    assert scores["loo"] == 1.0
    assert scores["cross-fitted"] < 0.8


# ---- folds


@st.composite
def sections(draw):
    """Clips with copies, both domains, in any order."""
    names = draw(st.integers(1, 40))
    copies = draw(st.lists(st.integers(0, names - 1), max_size=10))
    of_name = np.array(draw(st.lists(st.sampled_from([0, 0, 1]), min_size=names, max_size=names)))
    origin = np.array(draw(st.permutations([*range(names), *copies])), dtype=np.int64)
    return origin, of_name[origin].astype(np.int8)


@given(sections(), st.integers(2, 12), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_folds_are_even_in_each_domain_and_never_split_a_clip(section, n_folds, seed):
    origin, domain = section
    folds = assign_folds(origin, domain, n_folds, seed)
    names, first = np.unique(origin, return_index=True)
    count = min(n_folds, len(names))
    assert set(folds.tolist()) == set(range(count))
    fold_of = dict(zip(origin.tolist(), folds.tolist(), strict=True))
    assert all(fold_of[o] == f for o, f in zip(origin.tolist(), folds.tolist(), strict=True))
    for which in (SOURCE, TARGET):
        mine = [fold_of[int(o)] for o in names[domain[first] == which]]
        sizes = [Counter(mine)[f] for f in range(count)]
        assert max(sizes) - min(sizes) <= 1
    sizes = Counter(fold_of.values())
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(sections(), st.integers(2, 12), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_folds_do_not_depend_on_the_order_of_clips(section, n_folds, random):
    origin, domain = section
    turn = list(range(len(origin)))
    random.shuffle(turn)
    folds = assign_folds(origin, domain, n_folds, 7)
    np.testing.assert_array_equal(assign_folds(origin[turn], domain[turn], n_folds, 7), folds[turn])


def test_a_clip_in_both_domains_is_dealt_once_and_the_same_in_any_order():
    origin, domain = np.array([0, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 1], dtype=np.int8)
    folds = assign_folds(origin, domain, 2, 0)
    assert folds[2] == folds[3]
    np.testing.assert_array_equal(assign_folds(origin[::-1], domain[::-1], 2, 0), folds[::-1])


def test_folds_are_shuffled_by_the_seed_alone():
    origin, domain = np.arange(50), np.zeros(50, dtype=np.int8)
    one = assign_folds(origin, domain, 5, 1)
    np.random.seed(3)  # noqa: NPY002 - global state must not matter
    np.testing.assert_array_equal(assign_folds(origin, domain, 5, 1), one)
    assert (assign_folds(origin, domain, 5, 2) != one).any()
    assert (one != np.arange(50) % 5).any()


# ---- pools


@given(
    n_source=st.integers(1, 25), n_target=st.integers(0, 6), n_folds=st.integers(2, 6),
    lr_corr=st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.9]), seed=st.integers(0, 50),
    kind=st.sampled_from(["cross-fitted", "loo"]), copied=st.booleans(),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_pools_are_as_long_as_any_fold_needs_and_no_longer(
    n_source, n_target, n_folds, lr_corr, seed, kind, copied
):
    if n_source + n_target < 4:
        return
    table = clips(n_source, n_target, 3, seed, lr_corr, spread=0.1)
    if copied and n_target:
        last = np.r_[np.arange(len(table)), len(table) - 1]
        table = NormalRows(
            table.embeddings[last], table.origin[last], table.domain[last], table.lr_corr[last]
        )
    system = recipe(folds=n_folds, self_scores=kind, enrichment=(ResidualAugmentation(),))
    folds = assign_folds(table.origin, table.domain, n_folds, 0)
    pools = pools_of(system, table, folds)
    member = fit_member(system, table, pools, folds)  # an index too far would raise
    assert np.isfinite(member.self_scores).all()
    size = pool_sizes(system, table, folds)[0]
    if size:
        short = [{o: rows[: size - 1] for o, rows in pools[0].items()}]
        with pytest.raises(IndexError):
            fit_member(system, table, short, folds)


def test_pseudo_target_needs_no_pool():
    table = clips(10, 3)
    assert pool_sizes(recipe(enrichment=(PseudoTarget(),)), table, np.arange(13) % 3) == [0]
    assert pool_sizes(recipe(), table, np.arange(13) % 3)[1] == 0


# ---- the member


def test_the_bank_holds_real_rows_first_then_what_was_made_of_them():
    table = clips(20, 4)
    member, _, pools = fitted(recipe(), table)
    np.testing.assert_array_equal(member.embeddings[:24], table.embeddings)
    assert len(member.embeddings) == 24 + 20 + 20  # aug_ratio 1.0 and one pseudo row a source
    assert member.embeddings.dtype == np.float32
    expected = brute_rows(table, range(24), pools[0])
    np.testing.assert_allclose(member.embeddings, [row for row, _ in expected], rtol=1e-5)
    np.testing.assert_array_equal(member.origin, [origin for _, origin in expected])
    assert (member.domain[24:] == TARGET).all()


@pytest.mark.parametrize("kind", ["cross-fitted", "loo"])
def test_a_member_says_the_same_as_a_bank_made_by_hand(kind):
    """Whitening is fitted on real rows only, before enrichment."""
    table = clips(30, 6)
    system = recipe(self_scores=kind)
    member, _, _ = fitted(system, table)
    x = table.embeddings.astype(np.float64)
    matrix, centre = brute_whitening(x, 0.01), x.mean(axis=0)
    queries = clips(25, 0, seed=9).embeddings
    got = system.rule(member.scale(queries), member.bank)
    rows = member.embeddings.astype(np.float64)
    expected = [brute_score(q, rows, centre, matrix, system.rule) for q in queries.astype(float)]
    np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_facts():
    table = clips(30, 6, lr_corr=0.1)
    member, _, _ = fitted(recipe(), table)
    x = table.embeddings.astype(np.float64)
    z = (x - x.mean(axis=0)) @ brute_whitening(x, 0.01)
    source, target = z[:30], z[30:]
    apart = np.linalg.norm(target.mean(axis=0) - source.mean(axis=0))
    spread = np.sqrt(np.mean(np.sum((source - source.mean(axis=0)) ** 2, axis=1)))
    expected = {
        "source": 30, "target": 6, "rows": 96, "lr_corr": 0.1, "shift": apart, "spread": spread
    }  # fmt: skip
    assert member.facts == pytest.approx(expected)
    alone, _, _ = fitted(recipe(), clips(30, 0))
    assert np.isnan(alone.facts["shift"])


def test_fitting_twice_gives_the_same_bits_and_leaves_the_table_alone():
    table = clips(40, 6)
    before = table.embeddings.copy()
    one, other = fitted(recipe(), table)[0], fitted(recipe(), table)[0]
    np.testing.assert_array_equal(one.self_scores, other.self_scores)
    np.testing.assert_array_equal(one.bank.embeddings, other.bank.embeddings)
    np.testing.assert_array_equal(table.embeddings, before)


def test_the_order_of_clips_moves_scores_with_them_and_no_further_than_rounding():
    table = clips(40, 6)
    turn = np.random.default_rng(0).permutation(46)
    turned = NormalRows(
        table.embeddings[turn], table.origin[turn], table.domain[turn], table.lr_corr[turn]
    )
    one, folds, pools = fitted(recipe(), table)
    other = fit_member(recipe(), turned, pools, folds[turn])
    np.testing.assert_allclose(other.self_scores, one.self_scores[turn], rtol=1e-9)


def test_more_neighbours_than_clips_is_one_line():
    system = recipe(rule=KNN((1.0, -0.35, -0.05), "euclidean"), enrichment=())
    with pytest.raises(DatasetError, match=r"k = 3 .* of 2 rows") as caught:
        fitted(system, clips(3, 0))
    assert "\n" not in str(caught.value)


def test_table_as_bank_and_in_part():
    table = clips(5, 2)
    part = table.where(table.domain == TARGET)
    assert len(part) == 2
    assert isinstance(part.bank(), MemoryBank)
    np.testing.assert_array_equal(part.bank().origin, [5, 6])
    np.testing.assert_array_equal(part.embeddings, table.embeddings[5:])


# ---- parts of long recordings ----------------------------------------------------------------


def parts(name, count):
    from pathlib import Path

    from nearfar.clips import Clip

    return [Clip(Path(name), start=10.0 * i, stop=10.0 * i + 10) for i in range(count)]


def test_neighbouring_parts_of_one_recording_share_a_fold():
    """60 parts, 10 folds: six in a row stay together, so at most 9 of 59 pairs are parted."""
    from nearfar.clips.training import recording_blocks

    blocks = recording_blocks(parts("hour.wav", 60), 10)
    assert len(set(blocks)) == 10
    assert np.count_nonzero(np.diff(blocks)) == 9


def test_many_recordings_are_never_parted():
    from nearfar.clips.training import recording_blocks

    clips = [clip for i in range(12) for clip in parts(f"{i}.wav", 5)]
    blocks = recording_blocks(clips[::-1], 10)[::-1]
    for i in range(12):
        assert len(set(blocks[5 * i : 5 * i + 5])) == 1
    assert len(set(blocks)) == 12


def test_whole_files_are_blocks_of_their_own():
    from pathlib import Path

    from nearfar.clips import Clip
    from nearfar.clips.training import recording_blocks

    whole = [Clip(Path(f"{i}.wav")) for i in range(7)]
    assert len(set(recording_blocks(whole, 10))) == 7
    mixed = recording_blocks([*whole, *parts("hour.wav", 3)], 10)
    assert len(set(mixed)) == 8  # the three parts are one session


def test_two_great_sessions_never_share_a_fold():
    """Else what is left of the clips would be held against nearly all of them."""
    blocks = np.repeat(np.arange(20), [40, 40, *[1] * 18])
    for seed in range(100):
        folds = assign_folds(blocks, np.zeros(len(blocks), np.int8), 10, seed)
        assert np.bincount(folds).max() <= 42
        assert len(np.unique(folds)) == 10
