"""BEATs as an embedder: gold from the recording on, one row for one clip, settings."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import nearfar as nf
from beats_folders import folder, gold, recording
from conftest import TINY as EAT_TINY
from conftest import refused
from nearfar.embedder.device import has_bf16
from nearfar.runtime.runtime import Runtime
from nearfar.testing import check_embedder, noise

TOKEN, MEAN, COSINE = 5e-5, 2e-5, 0.9995  # as for EAT
CASES = ["tiny/wav6s", "tiny/wav10s", "same/wav6s", "tiny_finetuned/wav6s"]
needs_bf16 = pytest.mark.skipif(
    not has_bf16(torch.device("cpu")), reason="no bfloat16 arithmetic on this processor"
)


def last(values):
    return values["tokens"] if "tokens" in values else values["layers"][-1]


@pytest.mark.parametrize("case", CASES)
def test_tokens_and_their_mean_are_the_official_ones(case):
    name, wav = case.split("/")
    part, values, clip = nf.BEATs(folder(name)), gold(case), recording(wav)
    tokens = part.tokens([clip])
    assert tokens.dtype == np.float32
    assert np.abs(tokens[0] - last(values)).max() <= TOKEN
    assert np.abs(part([clip])[0] - values["mean"]).max() <= MEAN
    assert part.dim == len(values["mean"])


def test_the_grid_is_columns_of_eight_bands():
    part = nf.BEATs(folder())
    tokens = part.tokens([recording("wav10s")])
    assert tokens.shape == (1, 62 * 8, 64)
    # A tone in the highest band changes that band of the first layer's input most.
    quiet = noise(1, 2.0, seed=3) * 0.01
    loud = quiet + 0.1 * np.sin(2 * np.pi * 7_500 * np.arange(32_000) / 16_000).astype("f4")
    apart = [p.reshape(12, 8, 128 * 2) for p in (patches(quiet), patches(loud))]
    change = np.abs(apart[1] - apart[0]).mean(axis=(0, 2))
    assert change.argmax() == 7


def patches(clip):
    """(frames, 128) of a clip cut as the encoder cuts it, one row a token."""
    mel = nf.BEATs(folder()).prepare(clip)
    mel = mel[: len(mel) // 16 * 16]
    return mel.reshape(-1, 16, 8, 16).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_layers_are_chosen_by_number(layer):
    want = gold("tiny/wav6s")
    rows = nf.BEATs(folder(), layer=layer)([recording("wav6s")])
    assert np.abs(rows[0] - want["layer_means"][layer]).max() <= MEAN


@needs_bf16
@pytest.mark.parametrize("case", CASES)
def test_bf16_points_where_fp32_does(case):
    name, wav = case.split("/")
    row, want = nf.BEATs(folder(name), precision="bf16")([recording(wav)])[0], gold(case)["mean"]
    assert row @ want / np.linalg.norm(row) / np.linalg.norm(want) >= COSINE


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
def test_a_clips_row_does_not_depend_on_its_neighbours(precision):
    part = nf.BEATs(folder(), precision=precision)
    clips = [noise(1, s, seed=i) for i, s in enumerate((3.0, 1.7, 3.0, 0.4, 3.0))]
    together = part(clips)
    alone = np.concatenate([part([clip]) for clip in clips])
    assert np.array_equal(together, alone)
    assert np.array_equal(together[::-1], part(clips[::-1]))


def test_it_keeps_the_contract():
    check_embedder(nf.BEATs(folder()))
    check_embedder(nf.BEATs(folder(), layer=1))


def test_the_fingerprint_is_the_numbers_and_not_the_place(tmp_path):
    from shutil import copytree

    moved = copytree(folder(), tmp_path / "moved")
    part = nf.BEATs(folder())
    assert nf.BEATs(moved).fingerprint == part.fingerprint
    others = {
        nf.BEATs(folder(), layer=1).fingerprint,
        nf.BEATs(folder(), precision="bf16").fingerprint,
        nf.BEATs(folder("same")).fingerprint,
    }
    assert part.fingerprint not in others
    assert len(others) == 3
    assert set(part.files) == {"model.safetensors", "config.json"}
    assert part.training is None


# ---- what a user can get wrong -------------------------------------------------------------------


def test_another_encoders_weights_are_named():
    refused(lambda: nf.BEATs(str(EAT_TINY)).dim, "tensors of EAT, not of a BEATs", "EAT(…)")
    refused(lambda: nf.EAT(folder()).dim, "tensors of BEATs, not of an EAT", "BEATs(…)")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nf.BEATs(""), "BEATs.weights is ''"),
        (lambda: nf.BEATs("x", layer=0), "BEATs.layer is 0"),
        (lambda: nf.BEATs("x", layer=1.5), "BEATs.layer is 1.5"),
        (lambda: nf.BEATs("x", precision="fp16"), "BEATs.precision is 'fp16'"),
        (lambda: nf.BEATs("no such place").dim, "no such folder or file"),
        (
            lambda: nf.BEATs(folder(), layer=4).check(Runtime()),
            "BEATs.layer is 4; BEATs 64×3 has 3",
        ),
    ],
)
def test_settings_that_cannot_be(make, words):
    refused(make, words)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 2_799])
def test_a_clip_without_one_patch_is_refused(samples):
    clip = np.zeros((1, samples), np.float32)
    refused(lambda: nf.BEATs(folder()).prepare(clip), "needs at least 2,800, 175 ms")


def test_a_clip_of_one_patch_and_silence_are_heard():
    part = nf.BEATs(folder())
    assert part.tokens([noise(1, 0.175)]).shape == (1, 8, 64)
    assert np.isfinite(part([np.zeros((1, 16_000), np.float32)])).all()


def test_clips_that_are_too_long_not_finite_or_stereo_are_refused():
    part = nf.BEATs(folder())
    refused(lambda: part.prepare(np.zeros((1, 2_000_000), np.float32)), "12288 at most")
    refused(lambda: part.prepare(np.full((1, 16_000), np.nan, np.float32)), "NaN or infinite")
    refused(lambda: part.prepare(np.zeros((2, 16_000), np.float32)), "BEATs hears one channel")
    refused(lambda: part.tokens([noise(1, 1.0), noise(1, 2.0)]), "one length at a time")
