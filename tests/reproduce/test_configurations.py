"""The report's Table 1 says what the presets are."""

from dataclasses import replace

import nearfar as nf
from nearfar.frontend import CoherenceMask
from nearfar.reproduce.reported import SYSTEMS, load
from nearfar.reproduce.tables import configurations as table_1
from nearfar.system.presets import PRESETS, Preset
from nearfar.training.settings import FineTuning
from reproduced import cells

REPORT = load()


def columns(reported=None, seeds=4, training=None):
    _, body = cells(table_1.configurations(training or FineTuning(), reported, seeds))
    return {row[0]: dict(zip(SYSTEMS, row[1:], strict=True)) for row in body}


def test_table_1_says_what_the_report_says():
    ours = columns()
    assert list(ours) == [row.step for row in REPORT.table1]
    for system in ("S1", "S2"):
        assert ours["Preprocess"][system] == "coherence mask"
        assert ours["Feature"][system] == "EAT, fine-tuned, 10 crops"
        assert ours["Training"][system] == "ArcFace"
        assert ours["Augmentation"][system] == "temporal crops"
        assert ours["Scoring"][system] == "cosine, k = 1"
    for system in ("S3", "S4"):
        assert "mask" not in ours["Preprocess"][system]
        assert ours["Training"][system] == "none, 0 parameters"
        assert ours["Augmentation"][system] == "residual augmentation + pseudo-target"
    assert ours["Feature"]["S3"] == "DIF, 120 + EAT, frozen"
    assert ours["Feature"]["S4"] == "DIF, 120"
    assert ours["Scoring"]["S3"] == "weighted euclidean, k = 3 (1, −0.35, −0.05)"
    assert ours["Scoring"]["S4"] == "euclidean, k = 1"
    assert ours["Ensemble"] == {
        "S1": "single", "S2": "ZScore, mean of 4 seeds", "S3": "Percentile, 0.60 to 0.40",
        "S4": "single",
    }  # fmt: skip


def test_table_1_stands_above_the_reports():
    _, body = cells(table_1.configurations(FineTuning(), REPORT, 4))
    assert [row[0] for row in body[::2]] == [row.step for row in REPORT.table1]
    for row, theirs in zip(body[1::2], REPORT.table1, strict=True):
        assert row == ["– report", *theirs.systems.values()]


def test_table_1_would_show_another_preset(monkeypatch):
    def other(weights):
        system = nf.s3(weights)
        rule = nf.KNN(weights=(1.0, 0.5), metric="cosine")
        eat = replace(system.members[1], rule=rule, frontend=CoherenceMask())
        return replace(system, members=(system.members[0], eat), weights=(0.5, 0.5))

    before = columns()
    presets = {**PRESETS, "s3": Preset(other, encoders=1)}
    monkeypatch.setattr(table_1, "PRESETS", presets)
    after = columns()
    assert "weighted cosine, k = 2 (1, 0.5)" in after["Scoring"]["S3"]
    assert "coherence mask" in after["Preprocess"]["S3"]
    assert after["Ensemble"]["S3"] == "Percentile, 0.50 to 0.50"
    assert all(after[step]["S4"] == before[step]["S4"] for step in before)
    rule = nf.PerDomain(nf.VarMin(k=4))
    fused = replace(nf.s3("x"), weights=(), fusion="minimum")
    dif, eat = fused.members
    fused = replace(fused, members=(replace(dif, rule=rule), eat))
    monkeypatch.setattr(table_1, "PRESETS", PRESETS | {"s3": Preset(lambda w: fused, encoders=1)})
    told = columns()
    assert told["Scoring"]["S3"].startswith(f"cosine, {rule!r} + weighted euclidean, k = 3")
    assert told["Ensemble"]["S3"] == "Percentile, minimum"
    assert columns(training=FineTuning(loss="magface"))["Training"]["S1"] == "MagFace"
    assert columns(seeds=1)["Ensemble"]["S2"] == "ZScore, one seed"
