"""What others published, on and off: every row is the system that its name says, and no other."""

import json
from dataclasses import replace

import pytest

import nearfar as nf
from conftest import TINY, refused
from nearfar import sim
from nearfar.embedder.behind import FarSubtracted
from nearfar.embedder.pooling import Bands, Pooled, RelativeDeviation
from nearfar.errors import SettingError
from nearfar.scoring.local import LocalDensity, VarMin
from nearfar.scoring.parted import PerBand, PerDomain
from nearfar.study import beyond
from nearfar.study.ablation import ablate
from nearfar.study.claims import Variant, find_claim
from nearfar.system.presets import s3_eat
from yamnet_folder import make_folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(make_folder(tmp_path_factory.mktemp("yamnet") / "Y"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated recordings, so that there is something to get wrong. Read only."""
    out = tmp_path_factory.mktemp("beyond") / "data"
    sim.simulate(out, "mini", 0, machines=["fan"])
    return out


def rows(system):
    return {v.name: v for v in find_claim("beyond").variants(system)}


def test_it_starts_from_one_vector_of_the_near_channel(weights):
    start = beyond.plain(weights)
    assert (start.frontend, start.rule, start.whitening) == (nf.Near(), nf.KNN(), None)
    assert start.embedder == nf.YAMNet(weights)
    found = rows(start)
    assert next(iter(found)) == "one vector"
    assert found["one vector"].system == start
    refused(beyond.plain, "0 weights given", error=SettingError)
    refused(lambda: beyond.plain("a", "b"), "2 weights given", error=SettingError)


def test_every_named_part_is_there_alone(weights):
    ear = nf.YAMNet(weights)
    start = beyond.plain(weights)
    wanted = {
        "bands in one row": {"embedder": Pooled(ear, Bands())},
        "bands": {"embedder": Pooled(ear, Bands()), "rule": PerBand(nf.KNN(), 8)},
        "bands, RDP(4)": {"embedder": Pooled(ear, RelativeDeviation(4)),
                          "rule": PerBand(nf.KNN(), 8)},
        "bands, RDP(8)": {"embedder": Pooled(ear, RelativeDeviation(8)),
                          "rule": PerBand(nf.KNN(), 8)},
        "LDN": {"rule": LocalDensity(1, "ratio", "cosine")},
        "LDN as a difference": {"rule": LocalDensity(1, "difference", "cosine")},
        "VarMin(4)": {"rule": VarMin(4, "cosine")},
        "per domain": {"rule": PerDomain(nf.KNN())},
        "FarCancel, one vector": {"frontend": nf.FarCancel()},
        "far subtracted": {"frontend": nf.Stereo(), "embedder": FarSubtracted(ear, 0.5)},
        "bands, RDP(4), LDN": {"embedder": Pooled(ear, RelativeDeviation(4)),
                               "rule": PerBand(LocalDensity(1, "ratio", "cosine"), 8)},
    }  # fmt: skip
    found = rows(start)
    for name, parts in wanted.items():
        assert found[name].system == replace(start, **parts), name
        assert found[name].against == ""
        beside = found[f"DIF and {name}"]
        assert beside.against == "DIF and one vector"
        assert beside.system.members[1] == found[name].system
        assert beside.system.members[0] == replace(nf.s4(), calibration=nf.ZScore())


def test_mean_and_minimum_differ_in_the_fusion_alone(weights):
    found = rows(beyond.plain(weights))
    mean, least = (found[f"{word} of one vector and bands, RDP(4), LDN"].system
                   for word in ("mean", "minimum"))  # fmt: skip
    assert least == replace(mean, fusion="minimum")
    dif = found["DIF and bands, RDP(4), LDN"].system
    assert found["minimum of DIF and bands, RDP(4), LDN"].system == replace(dif, fusion="minimum")


def test_other_encoders_settings_and_own_calibrations_stay(weights):
    percentile = nf.Percentile("linear")
    start = replace(beyond.plain(str(TINY)), calibration=percentile, seed=7)
    found = rows(start)
    for name, row in found.items():
        member = row.system.members[-1]
        assert name == "DIF alone" or (member.calibration, member.seed) == (percentile, 7)
    raw = rows(replace(start, calibration=nf.Raw()))
    assert raw["LDN"].system.calibration == nf.Raw()
    assert raw["DIF and LDN"].system.members[1].calibration == nf.ZScore()


@pytest.mark.parametrize(
    "system",
    [nf.s4(), nf.logmel(), nf.s3(str(TINY)), nf.s1(str(TINY)), s3_eat(str(TINY))],
    ids=["s4", "logmel", "s3", "s1", "s3-eat"],
)
def test_a_system_it_is_not_about_is_one_line(system):
    refused(lambda: rows(system), "'beyond' is about", "--weights", error=SettingError)


@pytest.mark.slow
def test_a_row_is_compared_with_the_row_it_names(weights, data, tmp_path):
    start = beyond.plain(weights)
    names = ("one vector", "LDN", "DIF and one vector", "DIF and LDN")
    variants = [rows(start)[name] for name in names]
    runtime = nf.Runtime(cache=tmp_path)
    result = ablate(data, variants, runtime, draws=50)
    scores = {}
    for variant in variants:
        detector = nf.fit(variant.system, nf.Clips.open(data, split="train"), runtime)
        scores[variant.name] = detector.score(nf.Clips.open(data, split="test"), runtime)
    for row in result.rows[1:]:
        other = row.variant.against or "one vector"
        assert row.comparison == nf.compare(scores[row.variant.name], scores[other], draws=50)
    assert result.reference_of(result.rows[3]) is result.rows[2]
    told = {row["name"]: row for row in result.as_dict()["variants"]}
    assert [told[name]["compared_with"] for name in names] == [
        None, "one vector", "one vector", "DIF and one vector",
    ]  # fmt: skip
    for machine, values in told["DIF and LDN"]["machines"].items():
        before = told["DIF and one vector"]["machines"][machine]["mean"]
        assert values["difference"] == pytest.approx(values["mean"] - before, abs=1e-15)
    head, *_ = (line for line in result.text.splitlines() if line.startswith("variant"))
    assert head.endswith("over")
    pair = [Variant("a", nf.logmel()), Variant("b", nf.logmel())]
    plain = ablate(data, pair, runtime, draws=50)
    assert "over" not in plain.text.splitlines()[0]


def test_the_command_needs_weights_and_takes_settings(run, tmp_path):
    code, out, err = run("ablate", "data", "beyond")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "0 weights given; say --weights" in err
    code, _, err = run("ablate", "data", "beyond", "-s", "s4")
    assert (code, err.count("\n")) == (2, 1)
    assert "leave -s out" in err
    code, _, err = run("ablate", "data", "beyond", "--weights", tmp_path, "--set", "rle.k=1")
    assert (code, "did you mean 'rule'" in err) == (2, True), err


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["yamnet", "eat", "beats"])
def test_one_command_of_any_encoder(run, encoder, weights, tmp_path):
    if encoder == "eat":
        pytest.importorskip("torch")
        weights = str(TINY)
    elif encoder == "beats":
        pytest.importorskip("torch")
        from beats_folders import folder

        weights = folder()
    data = tmp_path / "data"
    sim.simulate(data, "mini", 0, machines=["fan", "valveEmu"])
    args = ("ablate", data, "beyond", "--weights", weights, "--workers", 1)
    code, out, err = run(*args, "--json", "-")
    assert code == 0, err
    told = json.loads(out)
    assert (told["claim"], told["reference"]) == ("beyond", "one vector")
    assert len(told["variants"]) == len(rows(beyond.plain(weights)))
    assert len({row["score"] for row in told["variants"]}) > len(told["variants"]) / 2
