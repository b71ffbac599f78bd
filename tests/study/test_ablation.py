"""Ablations: variants differ in one part, and each row is what that system gives alone."""

import json
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import nearfar as nf
from command import failed
from conftest import first_quick, write, write_machine
from nearfar import sim
from nearfar.detector.member import fit_member
from nearfar.embedder.dif import NAMES, TABLE
from nearfar.errors import DatasetError, SettingError
from nearfar.metrics.official import omega
from nearfar.parts.data import from_data
from nearfar.study.ablation import ablate
from nearfar.study.claims import CLAIMS, Variant, find_claim

RULE = nf.KNN((1.0, -0.35, -0.05), "euclidean")
FAMILY = {f.name: f.family for f in TABLE}
CHANNEL = {f.name: f.channel for f in TABLE}


def dif_member(**settings):
    settings = {"rule": RULE, "calibration": nf.Percentile(), **settings}
    enrichment = (nf.ResidualAugmentation(), nf.PseudoTarget())
    return nf.System(nf.Stereo(), nf.DIF(), whitening=nf.ZCA(), enrichment=enrichment, **settings)


def log_mel_member(**settings):
    settings = {"rule": RULE, "calibration": nf.Percentile(), **settings}
    return nf.System(nf.Near(), nf.LogMel(), whitening=nf.ZCA(), **settings)


DRAWS = 200  # of the bootstrap; enough to tell intervals apart
S3 = nf.Ensemble((dif_member(), log_mel_member()), (0.6, 0.4))  # of System 3's shape


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated recordings, so that there is something to get wrong. Read only."""
    out = tmp_path_factory.mktemp("ablate") / "data"
    sim.simulate(out, "mini", 0, machines=["fan", "valveEmu"], workers=2)
    return out


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    return nf.Runtime(cache=tmp_path_factory.mktemp("shared cache"))


def variants_of(claim, system):
    return find_claim(claim).variants(system)


def alone(system, data, runtime, order="near-far"):
    """The system by itself, as `nearfar evaluate` has it."""
    detector = nf.fit(system, nf.Clips.open(data, split="train"), runtime, order=order)
    return detector.score(nf.Clips.open(data, split="test"), runtime)


def of_claim(claim, system, data, runtime):
    variants = variants_of(claim, system)
    return ablate(data, variants, runtime, claim=claim, sentence="so they say", draws=DRAWS)


# ---- every row is what the system gives alone ------------------------------------------------


OF_S3 = [name for name, claim in CLAIMS.items() if claim.start is None and name != "members"]


@pytest.mark.parametrize("claim", first_quick(["members", *OF_S3]))
def test_the_reference_is_the_system_itself_bit_for_bit(claim, data, runtime):
    system = S3
    if claim == "families":  # each family costs a second: three of them
        names = tuple(n for n in NAMES if FAMILY[n] in ("mfcc_mean", "impulsiveness", "coherence"))
        first = replace(S3.members[0], embedder=nf.DIF(names))
        system = replace(S3, members=(first, S3.members[1]))
    result = of_claim(claim, system, data, runtime)
    assert result.reference.variant.system == system
    assert result.reference.comparison is None
    assert result.reference.evaluation == nf.evaluate(alone(system, data, runtime), draws=DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "system"),
    [("enrichment", nf.s4()), ("channels", nf.s4()), ("selfscores", S3), ("percentile", S3)],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_every_row_is_that_system_fitted_alone(claim, system, data, runtime):
    result = of_claim(claim, system, data, runtime)
    reference = alone(system, data, runtime)
    for row in result.rows:
        scores = alone(row.variant.system, data, runtime)
        assert row.evaluation == nf.evaluate(scores, draws=DRAWS), row.variant.name
        if row is not result.reference:
            compared = nf.compare(scores, reference, draws=DRAWS)
            assert row.comparison == compared, row.variant.name


def test_other_channel_order(data, runtime):
    variant = Variant("swapped", nf.s4())
    swapped = ablate(data, [variant], runtime, order="far-near", draws=DRAWS).reference
    far_near = alone(nf.s4(), data, runtime, order="far-near")
    assert swapped.evaluation == nf.evaluate(far_near, draws=DRAWS)
    assert swapped.evaluation != nf.evaluate(alone(nf.s4(), data, runtime), draws=DRAWS)


@pytest.mark.slow
def test_without_a_cache_nothing_changes_and_nothing_is_left(data, runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    variants = variants_of("enrichment", nf.s4())
    with_cache, without = ablate(data, variants, runtime), ablate(data, variants)
    assert [r.evaluation for r in with_cache.rows] == [r.evaluation for r in without.rows]
    assert not list(tmp_path.iterdir())
    with pytest.raises(SettingError, match="broken"):
        ablate(data, [Variant("broken", nf.System(nf.Near(), Broken()))])
    assert not list(tmp_path.iterdir())


# ---- a clip is read and embedded once --------------------------------------------------------

HEARD = Counter()


@dataclass(frozen=True)
class Counting:
    """Counts how often it hears a clip."""

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 4
    fingerprint: ClassVar[str] = "counting"

    def __call__(self, audios):
        HEARD.update(a.tobytes() for a in audios)
        return np.array([np.resize(np.abs(np.fft.rfft(a[0]))[1:], 4) for a in audios], np.float32)


class Broken(Counting):
    def __call__(self, audios):
        raise RuntimeError("broken")


@pytest.mark.parametrize("claim", ["coefficients", "fusion", "members", "percentile", "selfscores"])
def test_a_clip_is_embedded_once_for_all_variants(claim, dcase):
    HEARD.clear()
    members = (
        nf.System(nf.Near(), Counting(), rule=RULE, calibration=nf.Percentile()),
        nf.System(nf.Near(), Counting(), rule=nf.KNN((1.0, -0.2)), calibration=nf.Percentile()),
    )
    result = of_claim(claim, nf.Ensemble(members), dcase, nf.Runtime())
    assert len(result.rows) >= 2
    assert len(HEARD) == 24 + 24
    assert set(HEARD.values()) == {1}


def test_a_member_that_variants_share_is_fitted_once(data, runtime, monkeypatch):
    fitted = []
    monkeypatch.setattr(
        "nearfar.detector.fits.fit_member",
        lambda s, *rest: (fitted.append(s), fit_member(s, *rest))[1],
    )
    assert len(of_claim("fusion", S3, data, runtime).rows) == 12
    assert Counter(fitted) == dict.fromkeys(S3.members, 2)  # once a machine


# ---- what the claims change ------------------------------------------------------------------


def by_name(claim, system=S3):
    return {v.name: v.system for v in variants_of(claim, system)}


def test_coefficients_are_moved_by_a_fifth():
    systems = list(by_name("coefficients").values())
    moved = [tuple(np.divide(m.rule.weights, RULE.weights)) for s in systems for m in s.members]
    assert moved[0::2] == moved[1::2]  # both members alike
    wanted = [(1, 1, 1)]
    for places in ((0,), (1,), (2,), (0, 1, 2)):
        wanted += [tuple(f if j in places else 1 for j in range(3)) for f in (0.8, 1.2)]
    np.testing.assert_allclose(moved[0::2], wanted, rtol=1e-12)


def test_a_member_with_one_coefficient_is_left_alone():
    mixed = nf.Ensemble((dif_member(), log_mel_member(rule=nf.KNN())))
    for system in by_name("coefficients", mixed).values():
        assert system.members[1] == mixed.members[1]


def test_scaling_all_coefficients_changes_no_rank(data, runtime):
    """A law of ranks: percentiles and Ω know only the order of scores."""
    rows = {r.variant.name: r for r in of_claim("coefficients", S3, data, runtime).rows}
    for name in ("all −20 %", "all +20 %"):
        assert rows[name].evaluation.score == rows["as it is"].evaluation.score
        assert rows[name].comparison.interval == (0, 0)
        assert rows[name].comparison.p == 1
    others = {r.evaluation.score for n, r in rows.items() if n.startswith("d₁")}
    assert others != {rows["as it is"].evaluation.score}  # the data could tell


def test_the_ends_of_the_fusion_are_the_members(data, runtime):
    fusion = of_claim("fusion", S3, data, runtime).rows
    ensemble, first, second = of_claim("members", S3, data, runtime).rows
    assert len(fusion) == 12
    weights = [row.variant.system.weights[0] for row in fusion[1:]]
    assert weights == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    for row, member in ((fusion[1], second), (fusion[7], ensemble), (fusion[11], first)):
        assert row.evaluation.score == member.evaluation.score
        assert row.machines == member.machines
    assert len({first.evaluation.score, second.evaluation.score, ensemble.evaluation.score}) == 3


def test_members_are_called_by_embedder_and_k():
    assert list(by_name("members")) == ["ensemble", "DIF alone (k = 3)", "LogMel alone (k = 3)"]
    twins = nf.Ensemble((dif_member(), dif_member(seed=1)))
    assert list(by_name("members", twins))[1:] == ["DIF 1 alone (k = 3)", "DIF 2 alone (k = 3)"]


def test_enrichment_is_switched_on_and_off():
    own = replace(nf.s4(), enrichment=(nf.ResidualAugmentation(match_levels=True),))
    for system, first in (
        (nf.s4(), "residual and pseudo-target"),
        (own, "residual augmentation only"),
    ):
        rows = by_name("enrichment", system)
        assert next(iter(rows)) == first
        assert len(rows) == 4
        for name, variant in rows.items():
            kinds = {type(e) for e in variant.enrichment}
            assert (nf.ResidualAugmentation in kinds) == name.startswith("residual")
            assert (nf.PseudoTarget in kinds) == ("pseudo-target" in name)
            assert replace(variant, enrichment=system.enrichment) == system
    assert rows["residual and pseudo-target"].enrichment[0].match_levels  # a setting is kept


def test_channels_part_the_features():
    both, near, stereo = (s.embedder.names for s in by_name("channels", nf.s4()).values())
    assert sorted(near + stereo) == sorted(both) == sorted(NAMES)
    assert {CHANNEL[n] for n in near} == {"near"}
    assert {CHANNEL[n] for n in stereo} == {"stereo"}


def test_a_family_left_out_is_exactly_that():
    (_, whole), *rows = by_name("families", nf.s4()).items()
    left_out = []
    for name, system in rows:
        gone = [n for n in NAMES if n not in system.embedder.names]
        assert set(system.embedder.names) | set(gone) == set(NAMES)
        assert {FAMILY[n] for n in gone} == {FAMILY[gone[0]]}
        assert not {FAMILY[n] for n in system.embedder.names} & {FAMILY[gone[0]]}
        assert name == f"without {FAMILY[gone[0]]} ({len(gone)})"
        assert system.enrichment == whole.enrichment
        left_out += gone
    assert left_out == list(NAMES)  # each once, in the order of the table


def test_without_stereo_features_there_are_no_residual_rows():
    rows = by_name("channels", nf.s4())
    assert rows["80 near features alone, no residual augmentation"].enrichment == (
        nf.PseudoTarget(),
    )
    assert rows["40 stereo features alone"].enrichment == nf.s4().enrichment
    few = replace(nf.s4(), embedder=nf.DIF(("kurtosis", "rms_ratio")))
    assert list(by_name("families", few))[1:] == [
        "without impulsiveness (1)",
        "without basic_stereo (1), no residual augmentation",
    ]


def test_own_state_names_the_reference():
    linear = replace(S3, members=tuple(
        replace(m, self_scores="loo", calibration=nf.Percentile("linear")) for m in S3.members
    ))  # fmt: skip
    assert list(by_name("percentile")) == ["flat tail", "linear tail"]
    assert list(by_name("percentile", linear)) == ["linear tail", "flat tail"]
    assert list(by_name("selfscores", linear)) == ["leave-one-out, literal", "cross-fitted"]
    half = replace(S3, members=(S3.members[0], linear.members[1]))
    assert list(by_name("percentile", half)) == ["as it is", "flat tail", "linear tail"]
    assert by_name("percentile", linear)["flat tail"].members[0].self_scores == "loo"


@pytest.mark.parametrize(
    ("claim", "system"),
    [
        ("coefficients", nf.s4()), ("fusion", nf.s4()), ("members", nf.s4()),
        ("fusion", nf.Ensemble((dif_member(), dif_member(seed=1), log_mel_member()))),
        ("enrichment", nf.logmel()), ("channels", nf.logmel()), ("families", nf.logmel()),
        ("channels", replace(nf.s4(), embedder=nf.DIF(("rms_ratio", "lr_correlation")))),
        ("families", replace(nf.s4(), embedder=nf.DIF(("rms_ratio", "lr_correlation")))),
        ("selfscores", nf.s4()), ("percentile", nf.s4()), ("coeficients", nf.s4()),
    ],
)  # fmt: skip
def test_a_claim_that_does_not_apply_says_to_which_it_does(claim, system):
    with pytest.raises(SettingError, match=r"[Ss]ystem|did you mean") as error:
        variants_of(claim, system)
    assert "\n" not in str(error.value)
    assert claim in str(error.value)


# ---- what comes out --------------------------------------------------------------------------


def test_json_adds_up(data, runtime):
    result = of_claim("channels", S3, data, runtime)
    out = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert out["claim"] == "channels"
    assert out["settings"]["data"] == "SIMULATED v1 seed 0"
    reference, *others = out["variants"]
    assert reference["name"] == out["reference"]
    assert reference["difference"] is None
    for row in others:
        assert row["difference"] == pytest.approx(row["score"] - reference["score"], abs=1e-15)
        low, high = row["difference_interval"]
        assert low <= high
        assert 0 < row["p"] <= 1
        for machine, values in row["machines"].items():
            base = reference["machines"][machine]["mean"]
            assert values["difference"] == pytest.approx(values["mean"] - base, abs=1e-15)
            three = row["evaluation"]["machines"][machine]["00"]
            figures = [three[k] for k in ("auc_source", "auc_target", "pauc")]
            assert values["mean"] == pytest.approx(omega(figures))
    for row, variant in zip(out["variants"], result.rows, strict=True):
        assert from_data(row["system"]) == variant.variant.system


def test_text_shows_all_rows_and_machines(data, runtime):
    result = of_claim("members", S3, data, runtime)
    lines = result.text.splitlines()
    assert lines[:2] == ["SIMULATED v1 seed 0", "members: so they say"]
    assert lines[2].split() == ["variant", "Ω", "95", "%", "ΔΩ", "95", "%", "p"]
    for row in result.rows:
        assert sum(line.startswith(row.variant.name) for line in lines) == 2
        assert f"{100 * row.evaluation.score:.2f}" in result.text
        assert f"{100 * row.machines['fan']:.2f}" in result.text


def test_real_recordings_are_not_called_simulated(dcase):
    result = ablate(dcase, [Variant("floor", nf.logmel())])
    assert "SIMULATED" not in result.text + json.dumps(result.as_dict())


def test_progress_counts_variants(dcase):
    seen = []
    runtime = nf.Runtime(progress=lambda *report: seen.append(report))
    of_claim("channels", nf.s4(), dcase, runtime)
    assert [r for r in seen if r[0] == "variant"] == [("variant", n, 3) for n in (1, 2, 3)]
    assert {"listening", "fitting"} <= {what for what, _, _ in seen}


def test_a_warning_of_every_variant_is_given_once(tmp_path):
    rng = np.random.default_rng(0)
    for machine in ("fan 1.5", "fan 2.5"):  # numbers in a name are no measured numbers
        write_machine(tmp_path, machine, 1, source=6, target=1, test=1)
        for i in range(3):
            name = f"section_00_target_train_normal_{i:04d}_noAttribute.wav"
            noise = 0.1 * rng.standard_normal((2, 24_000))
            write(tmp_path / machine / "train" / name, noise)
    system = replace(
        nf.s4(),
        whitening=None,
        embedder=nf.DIF(("centroid_mean", "mfcc_mean_1", "coherence_0_200")),
    )
    variants = variants_of("families", system)

    def apart(work):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
        texts = {str(w.message) for w in caught if " apart" in str(w.message)}
        return Counter(text.split(":")[0] for text in texts)

    train = nf.Clips.open(tmp_path, split="train")
    each = apart(lambda: [nf.fit(v.system, train) for v in variants])
    assert len(each) == 2
    assert min(each.values()) > 1  # variants say it with numbers of their own
    assert apart(lambda: ablate(tmp_path, variants)) == {"fan 1.5": 1, "fan 2.5": 1}


def test_bad_input(dcase, tmp_path):
    with pytest.raises(SettingError, match="at least one"):
        ablate(dcase, [])
    with pytest.raises(SettingError, match="name of its own"):
        ablate(dcase, [Variant("a", nf.s4()), Variant("a", nf.logmel())])
    with pytest.raises(SettingError, match="no variant 'c' to compare 'b' with"):
        ablate(dcase, [Variant("a", nf.s4()), Variant("b", nf.logmel(), "c")])
    write_machine(tmp_path, "fan", 1, source=3, target=1, test=1)
    for clip in (tmp_path / "fan" / "test").iterdir():
        clip.rename(clip.with_name(clip.name.replace("section_00", "section_01")))
    with pytest.raises(DatasetError, match="fan section 01: test clips but no training clips"):
        ablate(tmp_path, [Variant("a", nf.logmel())])


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path):
    """An ensemble in a person's own file."""
    path = tmp_path / "mine.py"
    path.write_text(f"from nearfar import *\nimport nearfar\nsystem = {S3!r}\n")
    return f"{path}:system"


def test_one_command_a_claim(run, data, mine, tmp_path):
    one = ("-s", mine, "--workers", 1, "--json")
    code, out, _ = run("ablate", data, "fusion", *one, tmp_path / "f.json")
    assert code == 0
    assert out.startswith("SIMULATED v1 seed 0\nfusion: ")
    assert "1.0 DIF, 0.0 LogMel" in out
    figures = json.loads((tmp_path / "f.json").read_text())
    assert len(figures["variants"]) == 12
    code, out, _ = run("evaluate", data, "--no-floor", *one, tmp_path / "e.json")
    alone = json.loads((tmp_path / "e.json").read_text())
    assert figures["variants"][0]["evaluation"]["omega"] == alone["omega"]
    assert figures["variants"][0]["interval"] == alone["interval"]


@pytest.mark.slow
def test_settings_of_the_command(run, data, tmp_path):
    options = ("--set", "whitening.shrinkage=0.1", "--workers", 1, "--no-cache")
    code, _, _ = run("ablate", data, "channels", *options, "--json", tmp_path / "f.json")
    assert code == 0
    for row in json.loads((tmp_path / "f.json").read_text())["variants"]:
        assert row["system"]["whitening"]["shrinkage"] == 0.1


def test_refusals_of_the_command(run, dcase, tmp_path):
    failed(run("ablate", dcase, "fusio"), "did you mean 'fusion'")
    failed(run("ablate", dcase, "fusion", "-s", "s4"), "ensembles of two members")
    failed(run("ablate", dcase, "channels", "-s", "s44"), "did you mean 's4'")
    failed(run("ablate", tmp_path / "nothing", "channels", "-s", "s4"), "nothing")


def test_the_help_names_every_claim(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run("ablate", "--help")
    for claim in CLAIMS:
        assert claim in out
