"""Adaptation of embeddings: formulas computed again, and the laws that every part keeps."""

import json
import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfar as nf
from conftest import machine_sound, write, write_machine
from nearfar.detector.member import NormalRows, assign_folds, fit_member
from nearfar.scoring.adapt import Adaptation, Adapted
from nearfar.scoring.bank import SOURCE, TARGET
from nearfar.study.claims import find_claim

PARTS = [nf.MeanShift(), nf.UnitLength(), nf.Standardise()]
EUCLIDEAN = nf.KNN((1.0, -0.35), "euclidean")


def rows(n_source, n_target, dim=5, seed=0, apart=8.0):
    """Features in different units; targets lie `apart` sd away in the first."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_source + n_target, dim))
    x[n_source:, 0] += apart
    x = x * 10.0 ** np.linspace(-2, 3, dim) + np.linspace(-5, 50, dim)
    domain = np.r_[np.full(n_source, SOURCE), np.full(n_target, TARGET)].astype(np.int8)
    return x.astype(np.float32), domain


def table_of(x, domain):
    return NormalRows(x, np.arange(len(x)), domain, np.zeros(len(x)))


def recipe(part, **changes):
    """What fitting reads of a System."""
    default = {
        "adaptation": part, "whitening": None, "enrichment": (), "rule": EUCLIDEAN,
        "self_scores": "cross-fitted", "folds": 5, "seed": 0,
    }  # fmt: skip
    return SimpleNamespace(**(default | changes))


def fitted(system, table):
    folds = assign_folds(table.origin, table.domain, system.folds, system.seed)
    return fit_member(system, table, [{}] * len(system.enrichment), folds), folds


# ---- the formulas again, one row and one number at a time


def brute(part, x, domain, queries):
    """The adapted queries, from the sentences of the docstrings."""
    x, queries = np.asarray(x, dtype=float), np.asarray(queries, dtype=float)
    if isinstance(part, nf.UnitLength):
        return np.array([q / np.linalg.norm(q) if q.any() else q for q in queries])
    sd = np.array([np.std(column) if np.ptp(column) else 1.0 for column in x.T])
    centre = np.mean(x, axis=0)
    if isinstance(part, nf.Standardise):
        return (queries - centre) / sd
    means = [np.mean(x[domain == d], axis=0) for d in sorted(set(domain.tolist()))]
    moved = []
    for q in queries:
        distances = [np.linalg.norm((q - m) / sd) for m in means]
        moved.append(q - means[int(np.argmin(distances))] + centre)
    return np.array(moved)


def brute_score(z, bank, weights=EUCLIDEAN.weights):
    distances = np.sort(np.linalg.norm(bank - z, axis=1))
    return sum(w * d for w, d in zip(weights, distances, strict=False))


@pytest.mark.parametrize("part", PARTS, ids=repr)
@pytest.mark.parametrize(("n_source", "n_target"), [(30, 6), (9, 0), (0, 9), (1, 1), (2, 0)])
def test_formula(part, n_source, n_target):
    x, domain = rows(n_source, n_target)
    queries, _ = rows(12, 12, seed=1)
    got = part.fit(x, domain)(queries)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, brute(part, x, domain, queries), rtol=1e-12, atol=1e-12)


def test_mean_shift_brings_the_domains_together():
    x, domain = rows(40, 8)
    x = x.astype(np.float64)  # numpy's mean of float32 is float32
    z = nf.MeanShift().fit(x, domain)(x)
    sd = x.std(axis=0)
    apart = (z[domain == TARGET].mean(axis=0) - z[domain == SOURCE].mean(axis=0)) / sd
    np.testing.assert_allclose(apart, 0, atol=1e-6)
    np.testing.assert_allclose((z.mean(axis=0) - x.mean(axis=0)) / sd, 0, atol=1e-6)


def test_mean_shift_is_blind_to_labels_of_rows_and_to_units():
    """A target clip beside the sources moves as they do; a loud unit does not decide."""
    x = np.array([[0, 0], [1, 900], [0, 300], [10, 0], [11, 900], [10, 300]], dtype=np.float32)
    domain = np.array([0, 0, 0, 1, 1, 1], dtype=np.int8)
    move = nf.MeanShift().fit(x, domain)
    z = move(np.array([[1.0, 300.0], [9.0, 300.0], [2.0, 900.0]]))
    np.testing.assert_allclose(z[:, 0], [6.0, 4.0, 7.0])  # the means are 1/3 and 31/3, all: 16/3
    np.testing.assert_allclose(z[:, 1], [300, 300, 900])
    stretched = nf.MeanShift().fit(x * np.float32([1, 1000]), domain)
    again = stretched(np.array([[1.0, 3e5], [9.0, 3e5], [2.0, 9e5]]))
    np.testing.assert_allclose(again[:, 0], z[:, 0])


@pytest.mark.parametrize("domain", [SOURCE, TARGET])
def test_one_domain_is_not_moved_by_a_bit(domain):
    x, _ = rows(7, 0)
    queries, _ = rows(3, 3, seed=1)
    move = nf.MeanShift().fit(x, np.full(7, domain, dtype=np.int8))
    np.testing.assert_array_equal(move(queries), queries.astype(np.float64))


def test_unit_length_leaves_zeros_alone():
    z = nf.UnitLength().fit(np.ones((2, 3)), np.zeros(2, dtype=np.int8))(
        np.array([[0.0, 0.0, 0.0], [0.0, -3.0, 4.0], [1e30, 0.0, 0.0]])
    )
    np.testing.assert_allclose(z, [[0, 0, 0], [0, -0.6, 0.8], [1, 0, 0]])


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_a_constant_dimension_keeps_its_unit(part):
    x, domain = rows(8, 4)
    x[:, 2] = 7.0
    queries = x[:2].copy()
    queries[:, 2] = 9.0
    z = part.fit(x, domain)(queries)
    assert np.isfinite(z).all()
    if not isinstance(part, nf.UnitLength):
        np.testing.assert_allclose(z[:, 2] - part.fit(x, domain)(x[:2])[:, 2], 2.0)


# ---- laws


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 99), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_row_alone_is_the_row_among_others_to_the_bit(n, dim, seed, fortran):
    x, domain = rows(12, 5, dim, seed)
    queries, _ = rows(n, 0, dim, seed + 1)
    laid = np.asfortranarray(queries) if fortran else queries
    for part in PARTS:
        adapt = part.fit(x, domain)
        alone = np.concatenate([adapt(q[None]) for q in queries])
        np.testing.assert_array_equal(adapt(laid), alone)


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_neither_input_is_changed(part):
    x, domain = rows(12, 5)
    before = x.astype(np.float64)
    z = x.astype(np.float64)
    part.fit(x, domain)(z)
    np.testing.assert_array_equal(z, before)
    np.testing.assert_array_equal(x, before)


def scores_of(part, table, queries, **changes):
    system = recipe(part, **changes)
    member, _ = fitted(system, table)
    return system.rule(member.scale(queries), member.bank), member.self_scores


@pytest.mark.parametrize("kind", ["cross-fitted", "loo"])
def test_cosine_scores_do_not_see_the_length(kind):
    table = table_of(*rows(20, 5))
    queries, _ = rows(6, 6, seed=1)
    changes = {"rule": nf.KNN((1.0, -0.3)), "self_scores": kind}
    for one, other in zip(
        scores_of(nf.UnitLength(), table, queries, **changes),
        scores_of(None, table, queries, **changes),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("kind", ["cross-fitted", "loo"])
def test_whitening_standardises_anyway(kind):
    table = table_of(*rows(20, 5))
    queries, _ = rows(6, 6, seed=1)
    changes = {"whitening": nf.ZCA(), "enrichment": (nf.PseudoTarget(),), "self_scores": kind}
    for one, other in zip(
        scores_of(nf.Standardise(), table, queries, **changes),
        scores_of(None, table, queries, **changes),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def whitener(z):
    """ZCA with λ = 0.01, by eigenvectors; distances only."""
    sd = np.array([np.std(c) if np.ptp(c) > 1e-9 else 1.0 for c in z.T])
    y = (z - z.mean(axis=0)) / sd
    correlation = 0.99 * y.T @ y / len(y)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    return (vectors / np.sqrt(values)).T / sd


@pytest.mark.parametrize("part", PARTS, ids=repr)
@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("pseudo", [False, True])
@pytest.mark.parametrize(("n_source", "n_target"), [(17, 5), (11, 0), (8, 1)])
def test_cross_fitted_self_scores_are_those_of_refits(part, whitened, pseudo, n_source, n_target):
    """Adaptation, whitening and extra rows again without the fold, from the formulas above."""
    x, domain = rows(n_source, n_target, apart=1.0)
    system = recipe(
        part,
        whitening=nf.ZCA() if whitened else None,
        enrichment=(nf.PseudoTarget(),) if pseudo else (),
    )
    member, folds = fitted(system, table_of(x, domain))
    expected = []
    for i in range(len(x)):
        keep = folds != folds[i]
        mine, of_mine = x[keep].astype(float), domain[keep]
        bank = mine
        if pseudo and (of_mine == TARGET).any():
            move = mine[of_mine == TARGET].mean(axis=0) - mine[of_mine == SOURCE].mean(axis=0)
            bank = np.concatenate([mine, mine[of_mine == SOURCE] + move])
        turn = np.eye(x.shape[1])
        if whitened:
            turn = whitener(brute(part, mine, of_mine, mine))
        z = brute(part, mine, of_mine, x[i : i + 1]) @ turn.T
        expected.append(brute_score(z[0], brute(part, mine, of_mine, bank) @ turn.T))
    np.testing.assert_allclose(member.self_scores, expected, rtol=1e-7)


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_loo_is_fitted_once_and_takes_only_the_rows_out(part):
    x, domain = rows(9, 4, apart=1.0)
    member, _ = fitted(recipe(part, self_scores="loo"), table_of(x, domain))
    z = brute(part, x, domain, x)
    expected = [brute_score(z[i], np.delete(z, i, axis=0)) for i in range(len(z))]
    np.testing.assert_allclose(member.self_scores, expected, rtol=1e-9)


@pytest.mark.parametrize("part", [nf.MeanShift(), nf.Standardise()], ids=repr)
def test_a_clip_moves_nothing_that_judges_it(part):
    """Planted: one clip far away would stretch units and means that it had a part in."""
    x, domain = rows(15, 5, apart=1.0)
    far, further = x.copy(), x.copy()
    far[3] += 1e4
    further[3] += 2e4
    one, folds = fitted(recipe(part), table_of(far, domain))
    other, _ = fitted(recipe(part), table_of(further, domain))
    grown = other.self_scores[3] / one.self_scores[3]
    assert grown == pytest.approx(2, rel=0.1)  # with a part in its own unit: 1
    beside = (folds == folds[3]) & (np.arange(20) != 3)
    np.testing.assert_array_equal(one.self_scores[beside], other.self_scores[beside])


@pytest.mark.parametrize("part", PARTS, ids=repr)
@pytest.mark.parametrize("kind", ["cross-fitted", "loo"])
@pytest.mark.parametrize("domain", [(0, 0), (0, 1), (1, 1)])
def test_two_clips(part, kind, domain):
    x = np.array([[1.0, 2.0, 3.0], [4.0, 2.0, -1.0]], dtype=np.float32)
    system = recipe(part, self_scores=kind, rule=nf.KNN(metric="euclidean"), whitening=nf.ZCA())
    member, _ = fitted(system, table_of(x, np.array(domain, dtype=np.int8)))
    assert np.isfinite(member.self_scores).all()
    assert np.isfinite(member.scale(x)).all()


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_the_bank_keeps_the_embeddings_and_adapts_them_like_queries(part):
    x, domain = rows(12, 4)
    member, _ = fitted(recipe(part, enrichment=(nf.PseudoTarget(),)), table_of(x, domain))
    np.testing.assert_array_equal(member.embeddings[:16], x)
    np.testing.assert_array_equal(member.bank.embeddings, member.scale(member.embeddings))


# ---- a part of somebody's own


@dataclass(frozen=True)
class Halves:
    """Learns nothing, halves everything; or breaks its promise."""

    how: str = "fine"

    def fit(self, embeddings, domain):
        return Adapted(self, {"half": np.full(embeddings.shape[1], 0.5)})

    def apply(self, z, learned):
        if self.how == "short":
            return z[:, 1:]
        return z * learned["half"] * (np.nan if self.how == "nan" else 1.0)


def test_a_part_of_ones_own_is_a_part():
    for part in (*PARTS, Halves()):
        assert isinstance(part, Adaptation)
    system = replace(nf.logmel(), adaptation=Halves())
    assert system.adaptation == Halves()
    for wrong in (nf.ZCA(), "MeanShift", nf.MeanShift, 3):
        with pytest.raises(nf.NearfarError, match=r"System\.adaptation is .*MeanShift\(\)"):
            replace(nf.logmel(), adaptation=wrong)


@pytest.mark.parametrize("how", ["short", "nan"])
def test_a_broken_part_is_one_line(how):
    x, domain = rows(4, 0)
    with pytest.raises(nf.NearfarError, match="mend the part") as caught:
        Halves(how).fit(x, domain)(x)
    assert "\n" not in str(caught.value)


# ---- with sounds: fit, score, save, load


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    root = tmp_path_factory.mktemp("adapt")
    write_machine(root, "fan", 1, source=7, target=3, test=2)
    return root


@pytest.fixture(scope="module")
def clips(machine):
    return nf.Clips.open(machine, split="train"), nf.Clips.open(machine, split="test")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    return nf.Runtime(cache=tmp_path_factory.mktemp("cache of adapt"))


SYSTEMS = [
    nf.Ensemble((nf.s4(), replace(nf.logmel(), adaptation=part))) for part in PARTS
] + [replace(nf.s4(), adaptation=part) for part in (*PARTS, Halves())]  # fmt: skip


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: f"{type(s).__name__}")
def test_saved_and_loaded_and_alone_scores_the_same(system, clips, runtime, tmp_path):
    train, test = clips
    detector = nf.fit(system, train, runtime)
    scores = detector.score(test, runtime)
    detector.save(tmp_path / "d")
    loaded = nf.load(tmp_path / "d", types=(Halves,))
    assert loaded.system == system
    assert loaded.score(test, runtime) == scores
    for clip, verdict in zip(test, scores, strict=True):
        assert loaded.score(nf.Clips([clip]), runtime)[0] == verdict
    assert json.loads((tmp_path / "d" / "detector.json").read_text())["format"] == 2


def test_a_system_survives_its_repr(clips):
    for system in SYSTEMS[:-1]:
        assert eval(repr(system), vars(nf) | {n: getattr(nf, n) for n in nf.__all__}) == system


def test_adaptation_does_something(clips, runtime):
    train, test = clips
    plain = nf.fit(nf.s4(), train, runtime).score(test, runtime).values
    other = nf.fit(replace(nf.s4(), adaptation=nf.MeanShift()), train, runtime).score(test, runtime)
    assert np.abs(other.values - plain).max() > 1e-3


def test_without_adaptation_an_older_nearfar_can_read_the_folder(clips, runtime, tmp_path):
    nf.fit(nf.s4(), clips[0], runtime).save(tmp_path / "d")
    data = json.loads((tmp_path / "d" / "detector.json").read_text())
    assert data["format"] == 1
    assert "adaptation" not in data["system"]


@pytest.fixture
def saved(clips, runtime, tmp_path):
    system = replace(nf.s4(), adaptation=nf.MeanShift())
    nf.fit(system, clips[0], runtime).save(tmp_path / "d")
    return tmp_path / "d"


def forged(folder, change):
    """Other tensors in the bank, and hashes that fit."""
    import hashlib

    from safetensors.numpy import load_file, save

    from nearfar.detector.folder.index import _hash

    path = folder / "detector.json"
    data = json.loads(path.read_text())
    entry = data["sections"][0]
    tensors = load_file(folder / entry["bank"])
    change(tensors, data["system"])
    (folder / entry["bank"]).write_bytes(save(tensors))
    entry["sha256"] = hashlib.sha256((folder / entry["bank"]).read_bytes()).hexdigest()
    data["sha256"] = _hash(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda t, s: t.pop("0.adaptation.means"),
        lambda t, s: t.update({"0.adaptation.means": t["0.adaptation.means"][:, :5]}),
        lambda t, s: t.update({"0.adaptation.centre": np.zeros(1)}),
        lambda t, s: t.update({"0.adaptation.sd": np.full(120, np.nan)}),
        lambda t, s: t.update({"0.adaptation.means": np.zeros((0, 120))}),
        lambda t, s: t.update({"0.adaptation.sd": np.zeros(())}),
        lambda t, s: s.pop("adaptation"),
        lambda t, s: s.update(adaptation={"type": "Standardise"}),
    ],
    ids=range(8),
)
def test_a_folder_that_does_not_fit_itself_is_refused(saved, change):
    forged(saved, lambda tensors, system: None)
    nf.load(saved)
    forged(saved, change)
    with pytest.raises(nf.NearfarError, match="fit again") as caught:
        nf.load(saved)
    assert "\n" not in str(caught.value)


def test_a_format_too_new_says_so(saved, monkeypatch):
    """As a nearfar of before this part would."""
    monkeypatch.setattr("nearfar.detector.folder.index.FORMAT", 1)
    with pytest.raises(nf.NearfarError, match=r"format 2, .* reads up to 1; upgrade nearfar"):
        nf.load(saved)


def test_the_command_line(run, machine, tmp_path):
    code, _, err = run(
        "fit", machine, "-o", tmp_path / "d", "-s", "s4", "--set", "adaptation=UnitLength",
        "--workers", 1,
    )  # fmt: skip
    assert code == 0, err
    assert nf.load(tmp_path / "d").system.adaptation == nf.UnitLength()
    code, _, err = run("fit", machine, "-o", tmp_path / "e", "--set", "whitening=ZAC")
    assert code != 0
    assert "did you mean 'ZCA'" in err
    assert not (tmp_path / "e").exists()


def test_the_claim():
    variants = find_claim("adaptation").variants(nf.Ensemble((nf.s4(), nf.logmel())))
    assert [v.name for v in variants] == ["no adaptation", "mean shift", "unit length", "z-score"]
    parts = [{m.adaptation for m in v.system.members} for v in variants]
    assert parts == [{None}, {nf.MeanShift()}, {nf.UnitLength()}, {nf.Standardise()}]
    turned = find_claim("adaptation").variants(replace(nf.s4(), adaptation=nf.UnitLength()))
    assert turned[0].name == "unit length"
    assert len(turned) == 4


def test_copies_and_one_domain_with_sounds(tmp_path, runtime):
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / "train" / f"{i}.wav", machine_sound(rng))
    shutil.copy(tmp_path / "train" / "0.wav", tmp_path / "new.wav")
    train = nf.Clips.open(tmp_path / "train")
    for part in PARTS:
        detector = nf.fit(
            replace(nf.logmel(), rule=nf.KNN(metric="euclidean"), adaptation=part), train
        )
        verdict = detector.score(nf.Clips.open(tmp_path / "new.wav"))[0]
        assert verdict.score == 0
        assert "this very recording" in verdict.warning
