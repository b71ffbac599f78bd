"""System 3 from the command line, and detectors that remember which encoder they were made with."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import nearfar as nf
from command import failed
from conftest import DATA
from nearfar.detector.folder.weights import drop_weights
from nearfar.detector.member import assign_folds
from nearfar.parts.change import with_setting
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread as one_blas_thread
from nearfar.sound.audio import read
from nearfar.system import presets

EAT_DATA = DATA / "eat"
TINY, TUNED = EAT_DATA / "tiny", EAT_DATA / "tiny_finetune"


@pytest.fixture
def weights(tmp_path):
    """A copy of the tiny encoder that a test may move and damage."""
    return Path(shutil.copytree(TINY, tmp_path / "weights"))


@pytest.fixture(scope="module")
def train(dcase):
    return nf.Clips.open(dcase, split="train")


@pytest.fixture(scope="module")
def test_clips(dcase):
    return nf.Clips.open(dcase, split="test")


@pytest.fixture(scope="module")
def fitted(train):
    return nf.fit(nf.s3(str(TINY)), train)


# ---- what System 3 computes ------------------------------------------------------------------


@pytest.mark.slow
def test_fit_score_evaluate(run, dcase, weights, tmp_path):
    where = tmp_path / "detector"
    code, out, err = run("fit", dcase, "-s", "s3", "--weights", weights, "-o", where)
    assert (code, "wrote" in out) == (0, True), err
    code, out, err = run("score", where, dcase / "fan" / "test", "--machine", "fan", "--json", "-")
    assert code == 0, err
    scores = [v["score"] for v in json.loads(out)["scores"]]
    assert len(scores) == 12
    assert len(set(scores)) > 4
    code, out, err = run("evaluate", dcase, "-s", "s3", "--weights", weights)
    assert (code, "Ω = " in out) == (0, True), err
    code, by_detector, err = run("evaluate", dcase, "--detector", where)
    assert (code, by_detector) == (0, out), err


def whitened(rows, fitted_on, shrinkage=0.01):
    """Distances are Mahalanobis distances with the shrunk correlation matrix (report §2.3)."""
    mean, sd = fitted_on.mean(0), fitted_on.std(0)
    z = (fitted_on - mean) / sd
    shrunk = (1 - shrinkage) * z.T @ z / len(z) + shrinkage * np.eye(z.shape[1])
    values, vectors = np.linalg.eigh(shrunk)
    return (rows - mean) / sd @ (vectors / np.sqrt(values)) @ vectors.T


def weighted(queries, bank):
    nearest = np.sort(cdist(queries, bank), axis=1)
    return nearest[:, 0] - 0.35 * nearest[:, 1] - 0.05 * nearest[:, 2]  # Eq. 4


def near_row(part, clip):
    """A clip's embedding from its near channel, with one BLAS thread as nearfar works.

    Several threads cut a product elsewhere, which is another last bit.
    """
    with one_blas_thread():
        return part([read(clip.path)[:1]])[0]


def test_eat_alone_is_the_reports_formulas(train, test_clips):
    """Embeddings → whitening → weighted neighbours → percentiles of held-out clips, by hand.

    64 dimensions and twelve clips: fewer clips than dimensions, as with EAT-large.
    """
    detector = nf.fit(presets.s3_eat(str(TINY)), train)
    part = nf.EAT(str(TINY))
    section = detector.sections["fan", "00"]
    by_name = {c.name: near_row(part, c).astype(float) for c in train}
    rows = np.stack([by_name[clip.name] for clip in section.clips])
    domain = np.array(["_target_" in clip.name for clip in section.clips]).astype(np.int8)
    folds = assign_folds(np.arange(len(rows)), domain, 10, 0)
    self_scores = np.empty(len(rows))
    for fold in np.unique(folds):
        rest, held = rows[folds != fold], rows[folds == fold]
        self_scores[folds == fold] = weighted(whitened(held, rest), whitened(rest, rest))
    np.testing.assert_allclose(section.members[0].self_scores, self_scores, rtol=1e-8)
    fans = [c for c in test_clips if c.machine == "fan"]
    queries = np.stack([near_row(part, c).astype(float) for c in fans])
    raw = weighted(whitened(queries, rows), whitened(rows, rows))
    wanted = [(self_scores <= score).mean() for score in raw]
    got = [v.score for v in detector.score(fans)]
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_the_ensemble_is_60_to_40(fitted, train, test_clips):
    """Each member alone holds out the same clips together, so its percentiles are the same."""
    dif = nf.fit(presets.s3_dif(), train).score(test_clips)
    eat = nf.fit(presets.s3_eat(str(TINY)), train).score(test_clips)
    for a, b, c in zip(dif, eat, fitted.score(test_clips), strict=True):
        assert c.score == pytest.approx(0.6 * a.score + 0.4 * b.score, abs=1e-12)


def test_a_member_alone_has_the_self_scores_that_it_has_inside(fitted, train):
    """EAT alone hears one channel and System 3 two; clips lie in the same folds all the same."""
    alone = nf.fit(presets.s3_eat(str(TINY)), train)
    for key, section in fitted.sections.items():
        own = alone.sections[key]
        names = [clip.name for clip in section.clips]
        inside = dict(zip(names, section.members[1].self_scores, strict=True))
        found = [inside[clip.name] for clip in own.clips]
        np.testing.assert_allclose(found, own.members[0].self_scores, rtol=1e-9)


def test_the_literal_reading_sends_all_new_clips_to_the_top(train, test_clips):
    """n ≤ d: a clip in its own whitening is nearer than any new one can be (DESIGN §3.5)."""
    eat = presets.s3_eat(str(TINY))
    literal = nf.fit(replace(eat, self_scores="loo", whitening=nf.ZCA(1e-6)), train)
    honest = nf.fit(replace(eat, whitening=nf.ZCA(1e-6)), train)
    top = [v.score == 1.0 for v in literal.score(test_clips)]
    assert all(top)
    normal = nf.Clips(c for c in test_clips if c.label == "normal" and c.domain == "source")
    assert not all(v.score == 1.0 for v in honest.score(normal))


def test_a_continuous_tail_has_no_ties_and_keeps_the_order(train, test_clips):
    eat = presets.s3_eat(str(TINY))
    scores = {
        name: np.array([v.score for v in nf.fit(replace(eat, calibration=part), train).score(fans)])
        for fans in [nf.Clips(c for c in test_clips if c.machine == "fan")]
        for name, part in (
            ("raw", nf.Raw()), ("flat", nf.Percentile()), ("tail", nf.Percentile("linear")),
        )
    }  # fmt: skip
    above = scores["flat"] == 1.0
    assert above.sum() > 1
    order = np.argsort(scores["raw"][above])
    assert (np.diff(scores["tail"][above][order]) > 0).all()
    assert (scores["tail"][above] >= 1).all()


@pytest.mark.slow
def test_scores_do_not_depend_on_how(fitted, train, test_clips, tmp_path):
    """Order, workers, cache, partly filled cache, one clip alone: the same bits."""
    wanted = [v.score for v in fitted.score(test_clips)]
    turned = nf.Clips(list(test_clips)[::-1])
    cached = Runtime(cache=tmp_path)
    fitted.score(nf.Clips(list(test_clips)[3:8]), cached)
    for clips, runtime in (
        (test_clips, cached),
        (test_clips, cached),
        (turned, Runtime(workers=2)),
    ):
        got = [v.score for v in fitted.score(clips, runtime)]
        assert got == (wanted if clips is test_clips else wanted[::-1])
    assert [fitted.score([clip])[0].score for clip in test_clips] == wanted
    again = nf.fit(nf.s3(str(TINY)), nf.Clips(list(train)[::-1]), Runtime(workers=2))
    assert [v.score for v in again.score(test_clips)] == wanted


def test_an_array_is_scored_like_its_file(fitted, test_clips):
    clip = test_clips[0]
    alone = fitted.score(read(clip.path), sr=16_000, machine=clip.machine)
    assert alone[0].score == fitted.score([clip])[0].score


def test_near_embeddings_are_kept_for_all_who_need_the_near_channel(
    run,
    dcase,
    weights,
    tmp_path,
    monkeypatch,
):
    """A system of one channel finds what a system of two left in the cache."""
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "cache"))
    run("fit", dcase, "-s", "s3", "--weights", weights, "-o", tmp_path / "a")
    before = run("cache")[1]
    run("fit", dcase, "-s", "s3-eat", "--weights", weights, "-o", tmp_path / "b")
    assert run("cache")[1] == before


# ---- detectors and their encoder -------------------------------------------------------------


@pytest.mark.slow
def test_weights_that_moved(train, test_clips, weights, tmp_path):
    fitted = nf.fit(nf.s3(str(weights)), train)
    wanted = [v.score for v in fitted.score(test_clips)]
    fitted.save(tmp_path / "detector")
    moved = weights.rename(tmp_path / "elsewhere")
    detector = nf.load(tmp_path / "detector")
    assert detector.threshold("fan").value == fitted.threshold("fan").value  # needs no weights
    with pytest.raises(nf.NearfarError, match="say where they are now with weights=…"):
        detector.score(test_clips)
    found = nf.load(tmp_path / "detector", weights=moved)
    assert [v.score for v in found.score(test_clips)] == wanted


def test_other_weights_are_refused(fitted, test_clips, tmp_path, weights):
    fitted.save(tmp_path / "detector")
    with pytest.raises(nf.NearfarError, match="not the weights that the detector was fitted with"):
        nf.load(tmp_path / "detector", weights=TUNED)
    mine = nf.fit(replace(presets.s3_eat(str(weights)), calibration=nf.Raw()), _few(test_clips))
    mine.save(tmp_path / "mine")
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps(config | {"num_heads": 2}))
    with pytest.raises(nf.NearfarError, match=r"other weights or config\.json: .* then, .* now"):
        nf.load(tmp_path / "mine").score(_few(test_clips))


def _few(clips):
    """Normal test clips as if they were recorded for training."""
    return nf.Clips(
        replace(c, split="train") for c in clips if c.label == "normal" and c.machine == "fan"
    )


def changed(folder):
    """Other weights in the same place."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4:] = np.float32(0.5).tobytes()
    path.with_name("new").write_bytes(data)
    path.with_name("new").replace(path)


def test_weights_replaced_while_a_detector_lives(train, test_clips, weights, tmp_path):
    fitted = nf.fit(presets.s3_eat(str(weights)), train)
    fitted.score(test_clips)
    changed(weights)
    with pytest.raises(nf.NearfarError, match="is not what the bank was made with"):
        fitted.score(test_clips)
    with pytest.raises(nf.NearfarError, match="is not what the bank was made with"):
        fitted.save(tmp_path / "detector", weights="copy")
    assert not (tmp_path / "detector").exists()


def test_a_damaged_copy_is_not_used_and_mended(train, test_clips, weights, tmp_path):
    """The recorded place still has the right ones; the next copy is whole again."""
    fitted = nf.fit(presets.s3_eat(str(weights)), train)
    wanted = [v.score for v in fitted.score(test_clips)]
    fitted.save(tmp_path / "detector", weights="copy")
    (copy,) = (tmp_path / "detector").glob("weights-*")
    changed(copy)
    detector = nf.load(tmp_path / "detector")
    assert [v.score for v in detector.score(test_clips)] == wanted
    detector.save(tmp_path / "detector", weights="copy")
    shutil.rmtree(weights)
    assert [v.score for v in nf.load(tmp_path / "detector").score(test_clips)] == wanted


def test_what_a_killed_copy_left_is_removed_by_the_next_save(train, weights, tmp_path):
    left = tmp_path / "detector" / ".weights-x"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    fitted = nf.fit(presets.s3_eat(str(weights)), train)
    drop_weights((), left.parent)  # without the lock: perhaps somebody is at work
    assert left.exists()
    fitted.save(left.parent)
    assert not left.exists()


@pytest.mark.parametrize("setting", ["precision=bf16", "pooling=cls", "frames=1024", "layer=1"])
def test_another_precision_or_setting_is_refused(fitted, test_clips, setting):
    changed = replace(fitted, system=with_setting(fitted.system, f"members.1.embedder.{setting}"))
    with pytest.raises(nf.NearfarError, match=r"then, .* now.* fit again to embed"):
        changed.score(test_clips)


def test_a_copy_of_the_weights_makes_the_folder_portable(train, test_clips, weights, tmp_path):
    fitted = nf.fit(nf.s3(str(weights)), train)
    wanted = [v.score for v in fitted.score(test_clips)]
    fitted.save(tmp_path / "a", weights="copy")
    shutil.rmtree(weights)
    carried = (tmp_path / "a").rename(tmp_path / "b")
    detector = nf.load(carried)
    assert [v.score for v in detector.score(test_clips)] == wanted
    detector.with_false_alarm_rate(0.2).save(carried)  # as `nearfar threshold` does
    assert [v.score for v in nf.load(carried).score(test_clips)] == wanted
    assert len(list(carried.glob("weights-*"))) == 1
    nf.fit(nf.s4(), train).save(carried)
    assert not list(carried.glob("weights-*"))  # nobody needs it any more


def test_a_failed_save_leaves_nothing(train, weights, tmp_path, monkeypatch):
    fitted = nf.fit(nf.s3(str(weights)), train)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nearfar.detector.folder.weights.shutil.copyfile", full)
    with pytest.raises(nf.NearfarError, match="No space left"):
        fitted.save(tmp_path / "new", weights="copy")
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    monkeypatch.setattr("nearfar.detector.folder.disk.write_text", full)
    with pytest.raises(nf.NearfarError, match="No space left"):
        fitted.save(tmp_path / "new", weights="copy")
    assert not (tmp_path / "new").exists()
    with pytest.raises(nf.NearfarError, match="'keep' or 'copy'"):
        fitted.save(tmp_path / "new", weights="move")


def test_system_4_detectors_of_before_are_read(detector_folder, test_clips, tmp_path):
    """Their file says nothing of embedders."""
    from nearfar.detector.folder.index import _hash

    old = Path(shutil.copytree(detector_folder, tmp_path / "old"))
    data = json.loads((old / "detector.json").read_text())
    del data["embedders"]
    data["sha256"] = _hash(data)
    (old / "detector.json").write_text(json.dumps(data))
    wanted = [v.score for v in nf.load(detector_folder).score(test_clips)]
    assert [v.score for v in nf.load(old).score(test_clips)] == wanted


# ---- embed, and what a user can get wrong ----------------------------------------------------


@pytest.mark.slow
def test_embed(run, dcase, weights, tmp_path):
    file = tmp_path / "e.npz"
    code, out, err = run("embed", dcase, "--weights", weights, "-o", file)
    assert (code, "48 clips × 64 numbers" in out) == (0, True), err
    with np.load(file, allow_pickle=False) as table:
        clips = nf.Clips.open(dcase)
        assert [Path(p) for p in table["path"]] == [c.path for c in clips]
        assert sorted(set(table["label"])) == ["anomaly", "normal"]
        row = near_row(nf.EAT(str(weights)), clips[5])
        assert np.array_equal(table["embeddings"][5], row)
        assert nf.EAT(str(weights)).fingerprint in str(table["made_by"])
    code, out, err = run("embed", dcase / "fan", "-s", "s4", "-o", file)
    assert (code, "24 clips × 120 numbers" in out) == (0, True), err
    failed(run("embed", dcase, "-s", "s3", "--weights", weights, "-o", file), "2 embedders")
    failed(run("embed", dcase, "--weights", weights, "-o", tmp_path / "e.csv"), ".npz")
    failed(run("embed", dcase, "--weights", weights, "-o", tmp_path / "no" / "e.npz"), "no")
    failed(run("embed", dcase, "-o", file), "s3-eat needs the weights of 1 encoder")


def test_weights_on_the_command_line(run, dcase, weights, tmp_path):
    out = tmp_path / "d"
    failed(run("fit", dcase, "-s", "s3", "-o", out), "needs the weights of 1", "--weights")
    failed(run("fit", dcase, "-s", "s4", "--weights", weights, "-o", out), "needs no weights")
    failed(run("fit", dcase, "-s", "s3", "--weights", tmp_path / "no", "-o", out), "no")
    twice = ["--weights", weights, "--weights", weights]
    failed(run("fit", dcase, "-s", "s3", *twice, "-o", out), "2 given")
    flags = ["-s", "s3", "--weights", weights, "-o", out]
    failed(run("fit", dcase, *flags, "--device", "cuda:9"), "cuda:9")
    failed(run("fit", dcase, *flags, "--set", "members.1.embedder.layer=9"), "layer is 9")
    assert not out.exists()
    code, _, err = run("fit", dcase, *flags, "--device", "cpu", "--batch-size", "3")
    assert code == 0, err
    (weights / "model.safetensors").write_bytes(b"")
    failed(run("score", out, dcase / "fan" / "test", "--machine", "fan"), "--weights")


def test_systems_are_shown_without_any_weights(run):
    code, out, err = run("systems", "s3")
    assert code == 0, err
    assert eval(out, vars(nf) | {n: getattr(nf, n) for n in nf.__all__}) == nf.s3(
        "worstchan/EAT-large_epoch20_pretrain"
    )
    assert "0.60 + 0.40" in run("systems")[1]


def test_a_system_of_ones_own_is_given_its_weights(run, dcase, weights, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("from nearfar import s3\ndef make(w): return s3(w)\nready = s3('x')\n")
    code, out, err = run("systems", f"{mine}:make", "--weights", weights)
    assert (code, str(weights) in out) == (0, True), err
    failed(run("systems", f"{mine}:ready", "--weights", weights), "is a system already")
    failed(run("systems", f"{mine}:make"), "make", "failed")
