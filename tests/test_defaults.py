"""Each default of the report, or of docs/decisions.md, with where it stands: one table.

A default is what most results are made with. Whoever changes one changes those, and this table.
"""

import inspect
from dataclasses import fields, is_dataclass

import pytest

import nearfar as nf
from nearfar.embedder.crops import STEP, Crops
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.logmel import LogMel
from nearfar.reproduce.entries import RANK
from nearfar.scoring.calibrate import Percentile, ZScore
from nearfar.scoring.enrich import PseudoTarget, ResidualAugmentation
from nearfar.scoring.rule import KNN
from nearfar.scoring.whiten import ZCA
from nearfar.sound import spectral
from nearfar.system.presets import s3_dif, s3_eat
from nearfar.system.system import System
from nearfar.training import FineTuning

REPORT = "report §{}".format
OURS = "decisions.md, {}".format

TABLE = [  # whose, name, value, source
    (FineTuning, "loss", "arcface", REPORT("2.2")),
    (FineTuning, "margin", 0.2, REPORT("3.3, ArcFace m = 0.2")),
    (FineTuning, "scale", 30.0, OURS("Training")),
    (FineTuning, "clusters", 16, OURS("Training on everything")),
    (FineTuning, "adaptive_scale", False, OURS("Training on everything")),
    (FineTuning, "gradient_decay", None, OURS("Training on everything")),
    (FineTuning, "shortest", 0.6, REPORT("2.2, 60–100 %")),
    (FineTuning, "lengths", "batch", OURS("Training")),
    (FineTuning, "epochs", 20, OURS("Training")),
    (FineTuning, "batch_size", 32, OURS("Training")),
    (FineTuning, "learning_rate", 5e-5, OURS("Training")),
    (FineTuning, "head_rate", 10.0, OURS("Training")),
    (FineTuning, "layer_decay", 1.0, REPORT("2.2, all layers alike")),
    (FineTuning, "weight_decay", 0.05, OURS("Training")),
    (FineTuning, "warmup", 0.1, OURS("Training")),
    (FineTuning, "ema", 0.0, OURS("Training")),
    (FineTuning, "drop_path", 0.0, OURS("Training")),
    (FineTuning, "gradient_norm", 1.0, OURS("Training")),
    (FineTuning, "balanced", False, OURS("Training")),
    (FineTuning, "held_out", 0.1, OURS("Training")),
    (FineTuning, "choose", "last", OURS("Training")),
    (FineTuning, "accumulation", 1, OURS("Training")),
    (FineTuning, "checkpointing", False, OURS("Training")),
    (FineTuning, "precision", "auto", OURS("Training")),
    (FineTuning, "lora", 0, REPORT("2.2, fully fine-tuned")),
    (FineTuning, "adaptation", "none", REPORT("4")),
    (FineTuning, "seed", 0, OURS("Training")),
    (Crops, "n", 10, REPORT("2.3, ten crops")),
    (Crops, "shortest", 0.6, OURS("Training")),
    (Crops, "seed", 0, OURS("Training")),
    (nf.CoherenceMask, "sharpness", 5.0, REPORT("2.1.1, β")),
    (nf.CoherenceMask, "coherence_weight", 0.7, REPORT("2.1.1, w")),
    (nf.CoherenceMask, "floor", 0.2, REPORT("2.1.1, δ")),
    (nf.CoherenceMask, "smoothing", 0.9, REPORT("2.1.1, α")),
    (nf.CoherenceMask, "coherence", "clip", OURS("Coherence γ")),
    (ZCA, "shrinkage", 0.01, OURS("Whitening")),
    (ResidualAugmentation, "tiers", ((0.6, 0.0), (0.3, 0.1), (-1.0, 1.0)), REPORT("2.3")),
    (ResidualAugmentation, "s_range", (0.5, 1.5), OURS("Residual augmentation")),
    (ResidualAugmentation, "match_levels", False, OURS("Residual augmentation")),
    (Percentile, "tail", "flat", OURS("Percentiles")),
    (Percentile, "clips", "fresh", OURS("Percentiles")),
    (ZScore, "clips", "fresh", OURS("Percentiles")),
    (System, "self_scores", "cross-fitted", OURS("Self-scores")),
    (System, "folds", 10, OURS("Self-scores")),
    (System, "false_alarm_rate", 0.1, OURS("Threshold")),
    (System, "adaptation", None, OURS("Adaptation")),
    (nf.EAT, "pooling", None, OURS("EAT")),
    (nf.EAT, "layer", None, OURS("EAT")),
    (nf.EAT, "frames", None, OURS("EAT")),
    (nf.EAT, "precision", "fp32", OURS("EAT")),
    (nf.BEATs, "layer", None, OURS("BEATs")),
    (nf.BEATs, "precision", "fp32", OURS("BEATs")),
    (nf.BEATs, "pooling", None, OURS("BEATs")),
    (nf.YAMNet, "scale", "peak", OURS("YAMNet")),
    (nf.FarSubtracted, "amount", 0.5, OURS("Residual of embeddings")),
    (nf.Pooled, "pooling", nf.Bands(), OURS("Grids and pooling")),
    (nf.RelativeDeviation, "power", 8.0, OURS("Grids and pooling")),
    (nf.LocalDensity, "k", 1, OURS("Beyond the report: density")),
    (nf.LocalDensity, "form", "ratio", OURS("Beyond the report: density")),
    (nf.LocalDensity, "metric", "euclidean", OURS("Beyond the report: density")),
    (nf.VarMin, "k", 4, OURS("Beyond the report: density")),
    (nf.VarMin, "metric", "cosine", OURS("Beyond the report: density")),
    (nf.PerBand, "rule", KNN(), OURS("Bands")),
    (nf.PerBand, "bands", 8, OURS("Bands")),
    (nf.PerDomain, "rule", KNN(), OURS("Per-domain scores")),
    (nf.Ensemble, "fusion", "mean", OURS("Fusion")),
]


@pytest.mark.parametrize(
    ("whose", "name", "value", "source"), TABLE, ids=lambda x: getattr(x, "__name__", str(x))
)
def test_a_default_is_its_sources(whose, name, value, source):
    (found,) = [f for f in fields(whose) if f.name == name]
    assert (type(found.default), found.default) == (type(value), value), source


@pytest.mark.parametrize(
    "whose",
    [
        FineTuning, Crops, nf.CoherenceMask, ZCA, ResidualAugmentation, Percentile, ZScore,
        nf.EAT, nf.BEATs, nf.YAMNet, nf.FarSubtracted, nf.Pooled, nf.RelativeDeviation,
        nf.LocalDensity, nf.VarMin, nf.PerBand, nf.PerDomain,
    ],
)  # fmt: skip
def test_no_default_is_missing_in_the_table(whose):
    assert is_dataclass(whose)
    named = {name for part, name, *_ in TABLE if part is whose}
    assert {f.name for f in fields(whose)} - named <= {"embedder", "weights"}  # have no default


def test_the_sections_of_decisions_that_are_named_are_there():
    from tools.house import ROOT

    page = (ROOT.parents[1] / "docs" / "decisions.md").read_text(encoding="utf-8")
    for source in {source for *_, source in TABLE if source.startswith(OURS(""))}:
        assert f"**{source.removeprefix(OURS(''))}" in page, source


def test_what_has_no_dataclass():
    """Sizes of the head, window and hop, rule of System 3, rank of the report's LoRA."""
    large = Architecture(1024, 24, 16, 4096).projected()
    assert 2 * large.dim == 2048  # report §2.2: weighted mean and standard deviation
    assert large.projection[1:] == (512, 256)  # report §2.2
    assert (spectral.N_FFT, spectral.HOP, STEP) == (400, 160, 16 * spectral.HOP)  # report §2.1.1
    assert RANK == 16  # report §3.3
    assert nf.s3("eat").weights == (0.6, 0.4)  # report §2.4
    assert s3_dif().rule == s3_eat("eat").rule == KNN((1.0, -0.35, -0.05), "euclidean")
    assert nf.s1("eat").rule == KNN((1.0,), "cosine")  # report §2.4
    assert nf.s4().rule == KNN((1.0,), "euclidean")
    assert nf.s4().enrichment == (ResidualAugmentation(), PseudoTarget())  # report §2.3
    assert nf.s4().embedder.dim == 120  # report §2.1.2
    assert len(nf.s2("a", "b", "c", "d").members) == 4
    assert LogMel() == LogMel(n_mels=128, n_fft=1024, hop=512)


def test_a_checkpoint_of_ten_minutes():
    pytest.importorskip("torch")
    from nearfar.training.run import finetune

    assert inspect.signature(finetune).parameters["checkpoint_minutes"].default == 10.0
