"""bfloat16 on a CPU: the same bits with any neighbours, the same encoder but for rounding."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import DATA
from nearfar.embedder import packing
from nearfar.embedder.device import check_bf16
from nearfar.embedder.eat import fast, model
from nearfar.embedder.eat.architecture import POSITIONS, Architecture, positions
from nearfar.embedder.eat.embed import EAT
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.infer import POOLING, Engine
from nearfar.errors import SettingError
from nearfar.runtime.runtime import Runtime

GOLD = DATA / "eat"
WIDE = Architecture(1024, 2, 16, 4096, columns=64)  # the products of EAT-large, two blocks of them
COSINE = 0.9995  # bf16 to fp32, pooled

try:
    check_bf16(torch.device("cpu"))
except SettingError as error:
    pytest.skip(f"no bfloat16 here: {error}", allow_module_level=True)


def cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Weights as wide as EAT-large's; attention logits of about unit variance."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("wide")
    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in WIDE.shapes().items():
        tensor = torch.randn(shape, generator=draw) * 0.02
        if "qkv.weight" in name:
            tensor *= 1 / 32 / 0.02
        if "norm" in name and name.endswith("weight"):
            tensor += 1
        if name == POSITIONS:
            tensor = torch.from_numpy(positions(WIDE.dim, WIDE.columns)).view(shape)
        tensors["model." + name] = tensor
    save_file(tensors, str(folder / "model.safetensors"))
    config = {"embed_dim": WIDE.dim, "depth": WIDE.depth, "num_heads": WIDE.heads}
    (folder / "config.json").write_text(json.dumps(config))
    return open_weights(folder)


@pytest.fixture(scope="module")
def mels():
    """Five different clips of 10.24 s."""
    rng = np.random.default_rng(1)
    return [(0.5 * rng.standard_normal((1024, 128))).astype(np.float32) for _ in range(5)]


@pytest.fixture(scope="module")
def quick(wide):
    engine = Engine(wide, "bf16", "cpu")
    if not isinstance(engine.encoder, fast._Packed):
        pytest.skip("this PyTorch cannot pack weights; the plain module is used and tested below")
    return engine


@pytest.fixture(scope="module")
def exact(wide):
    return Engine(wide, "fp32", "cpu")


def embed(engine, mels, batch=None, layer=None, pooling="mean"):
    return engine(mels, POOLING[pooling], layer, batch)


CASES = [(4, 592), *(pytest.param(n, 1024, marks=pytest.mark.slow) for n in (None, 3))]


@pytest.mark.parametrize(("batch", "frames"), CASES)
def test_a_clip_alone_is_bit_equal_to_it_among_others_in_any_order(quick, mels, batch, frames):
    mels = [mel[:frames] for mel in mels]
    alone = np.stack([embed(quick, [mel], batch)[0] for mel in mels])
    for chosen in ([3, 0], [2, 4, 1], [4, 1, 3, 0], [3, 0, 4, 1, 2]):
        together = embed(quick, [mels[i] for i in chosen], batch)
        np.testing.assert_array_equal(together, alone[chosen])


@pytest.mark.slow
def test_lengths_do_not_touch_each_other(quick, mels):
    mixed = [mels[0], mels[1][:592], mels[2][:96], mels[3], mels[4][:592]]
    together = embed(quick, mixed)
    for mel, row in zip(mixed, together, strict=True):
        np.testing.assert_array_equal(embed(quick, [mel])[0], row)


@pytest.mark.parametrize("frames", [16, 592, 1024])
def test_packed_is_the_encoder_but_for_rounding(quick, exact, mels, frames):
    """Lengths whose rows are cut in other ways; each clip pooled, and its CLS."""
    some = [mel[:frames] for mel in mels[:2]]
    a, b = (e(some, lambda x: x, None, 2) for e in (quick, exact))
    assert cosine(a[:, 1:].mean(axis=1), b[:, 1:].mean(axis=1)).min() >= COSINE
    assert cosine(a[:, 0], b[:, 0]).min() >= COSINE


def test_a_layer_of_the_packed_encoder_is_that_of_the_plain_module(wide, quick, mels):
    plain = model.load(wide, torch.bfloat16)
    mel = torch.from_numpy(np.stack(mels[:2]))
    with torch.inference_mode():
        for layer in (1, 2):
            wanted = plain(mel, layer).float()
            got = quick.encoder(mel, layer).float()
            step = 2.0**-8 * wanted.abs().clamp(min=1)  # of bfloat16, at 1 and above
            assert ((got - wanted).abs() / step).mean() < 2
            assert ((got - wanted).abs() / step).max() < 16
        # and the other layer is not within these bounds
        assert ((plain(mel, 1).float() - wanted).abs() / step).mean() > 20


@pytest.mark.slow
def test_the_plain_module_is_used_where_weights_cannot_be_packed(wide, exact, mels, monkeypatch):
    """An operator that is missing, refuses, or computes another thing."""

    def missing(*_):
        raise AttributeError("no such operator")

    def refusing(*_):
        raise RuntimeError("only with MKLDNN")

    for broken in (missing, refusing, lambda _self, x: torch.zeros(len(x), 64)):
        with monkeypatch.context() as patch:
            patch.setattr(packing.PackedLinear, "gelu", broken)
            assert not packing.can_pack()
            plain = Engine(wide, "bf16", "cpu")
        assert isinstance(plain.encoder, model.Encoder)
    short = [mel[:592] for mel in mels[:3]]
    together = embed(plain, short)
    np.testing.assert_array_equal(together, np.stack([embed(plain, [mel])[0] for mel in short]))
    assert cosine(together, embed(exact, short)).min() >= COSINE


@pytest.mark.slow
def test_two_threads_get_the_bits_that_one_gets(quick, mels):
    alone = [embed(quick, [mel]) for mel in mels]
    with ThreadPoolExecutor(2) as pool:
        for a, b in zip(alone, pool.map(lambda mel: embed(quick, [mel]), mels), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seconds", [6, 10])
def test_bf16_is_close_to_the_published_encoder(seconds):
    """Gold of the official code, tiny, log-mels and all."""
    import soundfile

    audio, _ = soundfile.read(GOLD / "wav" / f"wav{seconds}s.wav", dtype="float32")
    gold = np.load(GOLD / "tiny" / f"wav{seconds}s.npz")
    eat = EAT(str(GOLD / "tiny"), precision="bf16", frames=int(gold["target_length"]))
    clip = eat.prepare(audio[None])[None]
    for pooling in ("mean", "cls", "mean_all"):
        row = replace(eat, pooling=pooling).encode(clip, Runtime(device="cpu"))[0]
        assert cosine(row, gold[{"mean": "mean_patch"}.get(pooling, pooling)]) >= COSINE


def test_no_layer_is_kept_twice(quick):
    """Packed weights replace the others: what is left in the module is outside the blocks."""
    left = sum(p.numel() for p in quick.encoder.encoder.parameters())
    d = WIDE.dim
    patch, cls, norm, table = 256 * d + d, d, 2 * d, WIDE.columns * 8 * d
    assert left == patch + cls + norm + table


@pytest.mark.slow
def test_public_path_is_the_same_in_any_batch(wide):
    rng = np.random.default_rng(2)
    audio = [(0.1 * rng.standard_normal((1, 96_000))).astype(np.float32) for _ in range(4)]
    eat = EAT(str(wide.path.parent), precision="bf16")
    mels = [eat.prepare(a) for a in audio]
    cpu = Runtime(device="cpu")
    alone = np.concatenate([eat.encode([mel], cpu) for mel in mels])
    np.testing.assert_array_equal(eat.encode(mels, cpu), alone)
