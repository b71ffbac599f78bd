"""The encoder is the published function: equal to the official code's outputs, and its laws."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import nearfar as nf
from conftest import DATA
from nearfar.embedder.device import check_bf16
from nearfar.embedder.eat.architecture import Architecture, positions
from nearfar.embedder.eat.model import Block, Encoder, load
from nearfar.embedder.eat.weights import open_weights
from nearfar.sound.audio import read
from nearfar.testing import noise

GOLD = DATA / "eat"


TINY, TUNED = str(GOLD / "tiny"), str(GOLD / "tiny_finetune")


def clips(lengths=(6.0, 3.0, 6.0, 1.7, 3.0, 10.0, 6.0)):
    return [noise(1, s, seed=i) for i, s in enumerate(lengths)]


# What the official code gave: outputs, weights, recording, frames.
CASES = {
    "tiny/wav6s": (TINY, "wav6s", 1024),
    "tiny/wav10s": (TINY, "wav10s", 1024),
    "tiny/wav16s": (TINY, "wav16s", 1024),
    "tiny/wav16s_len1600": (TINY, "wav16s", 1600),
    "tiny_finetune/wav6s_len608": (TUNED, "wav6s", 608),
}


HAS_BF16 = True


try:
    check_bf16(torch.device("cpu"))
except nf.NearfarError:
    HAS_BF16 = False


needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="no bfloat16 arithmetic on this processor")


def recording(name):
    return read(GOLD / "wav" / f"{name}.wav")[:1]


@pytest.fixture(params=CASES)
def case(request):
    weights, wav, frames = CASES[request.param]
    return weights, recording(wav), frames, np.load(GOLD / f"{request.param}.npz")


# The official code cuts in silence.
@pytest.mark.filterwarnings("ignore:clips longer than 1024 frames")
class TestGold:
    def test_tokens(self, case):
        weights, audio, frames, gold = case
        tokens = nf.EAT(weights, frames=frames).tokens([audio])
        assert tokens.shape == (1, *gold["tokens"].shape)
        assert np.abs(tokens[0] - gold["tokens"]).max() <= 5e-5

    @pytest.mark.parametrize(
        ("pooling", "name"), [("mean", "mean_patch"), ("cls", "cls"), ("mean_all", "mean_all")]
    )
    def test_pooled(self, case, pooling, name):
        weights, audio, frames, gold = case
        row = nf.EAT(weights, pooling=pooling, frames=frames)([audio])
        assert row.dtype == np.float32
        assert row.shape == (1, *gold[name].shape)
        assert np.abs(row[0] - gold[name]).max() <= 2e-5

    @needs_bf16
    def test_bf16(self, case):
        weights, audio, frames, gold = case
        row = nf.EAT(weights, frames=frames, precision="bf16")([audio])[0].astype(float)
        wanted = gold["mean_patch"].astype(float)
        cosine = row @ wanted / np.linalg.norm(row) / np.linalg.norm(wanted)
        assert cosine >= 0.9995


def test_logits_of_the_finetuned_head():
    encoder = load(open_weights(TUNED))
    gold = np.load(GOLD / "tiny_finetune" / "wav6s_len608.npz")
    mel = torch.from_numpy(nf.EAT(TUNED, frames=608).prepare(recording("wav6s")))[None]
    with torch.inference_mode():
        logits = encoder.logits(encoder(mel))
    assert np.abs(logits[0].numpy() - gold["logits"]).max() <= 2e-5
    with pytest.raises(nf.NearfarError, match="no classes"):
        load(open_weights(TINY)).logits(torch.zeros(1, 9, 64))


def test_clips_longer_than_the_stored_table_get_positions_anew():
    """Half of a table, and the same clip: the other half is made as it was."""
    weights = open_weights(TINY)
    whole = load(weights)
    half = replace(weights.architecture, columns=16)
    with torch.device("meta"):
        short = Encoder(half)
    state = dict(whole.state_dict())
    name = "fixed_positional_encoder.positions"
    ours = torch.from_numpy(positions(half.dim, weights.architecture.columns))
    whole.load_state_dict(state | {name: ours}, assign=True)
    short.load_state_dict(state | {name: ours[:, : 16 * 8]}, assign=True)
    mel = torch.from_numpy(nf.EAT(TINY).prepare(noise(1, 6.0)))[None]
    with torch.inference_mode():
        assert torch.equal(short.eval()(mel), whole(mel))


# ---- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
def test_a_row_does_not_depend_on_the_clips_beside_it(precision):
    """Not on their number, their length, their order: to the bit on a CPU."""
    part = nf.EAT(TINY, precision=precision)
    together = part(clips())
    alone = np.concatenate([part([clip]) for clip in clips()])
    assert np.array_equal(together, alone)
    assert np.array_equal(part(clips()[::-1])[::-1], together)


def test_own_length_is_the_length_rounded_up():
    """10 s are 998 frames, heard as 1,008; `frames` of the same number is the same function."""
    audio = recording("wav10s")
    free = nf.EAT(TINY).tokens([audio])
    assert free.shape == (1, 1 + 1008 // 2, 64)
    assert np.array_equal(free, nf.EAT(TINY, frames=1008).tokens([audio]))


def test_padding_is_heard():
    """As in the published code nothing masks it: another padding is another embedding."""
    audio = recording("wav6s")
    rows = [nf.EAT(TINY, frames=frames)([audio]) for frames in (None, 1024)]
    assert np.abs(rows[0] - rows[1]).max() > 1e-3


def test_layer():
    """The last layer is the default; the first is one block of the same encoder."""
    audio = recording("wav6s")
    assert np.array_equal(nf.EAT(TINY, layer=2).tokens([audio]), nf.EAT(TINY).tokens([audio]))
    encoder = load(open_weights(TINY))
    mel = torch.from_numpy(nf.EAT(TINY).prepare(audio))[None]
    with torch.inference_mode():
        first = encoder.blocks[0](encoder.embed(mel))
    assert np.array_equal(nf.EAT(TINY, layer=1).tokens([audio]), first.numpy())
    with pytest.raises(nf.NearfarError, match=r"layer is 3; .* has 2"):
        nf.EAT(TINY, layer=3)([audio])


def test_threads_may_share_an_encoder():
    part, sounds, found = nf.EAT(TINY), clips(), {}
    wanted = part(sounds)

    def work(i):
        found[i] = part(sounds)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[i], wanted) for i in range(4))


def test_gradient_checkpointing_changes_no_gradient():
    encoder = load(open_weights(TINY)).train()
    mel = torch.from_numpy(nf.EAT(TINY).prepare(noise(1, 2.0)))[None]
    gradients = []
    for checkpointing in (False, True):
        encoder.checkpointing = checkpointing
        encoder.requires_grad_(True)
        encoder.zero_grad()
        (encoder(mel) ** 2).sum().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert len(gradients[0]) > 20
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_drop_path_leaves_out_branches_only_in_training():
    torch.manual_seed(0)
    block = Block(Architecture(dim=8, depth=1, heads=2, hidden=16))
    block.drop_path = 0.5
    x = torch.randn(64, 3, 8)
    with torch.no_grad():
        still = block.eval()(x)
        assert torch.equal(block(x), still)
        trained = block.train()(x)
        without = block.norm2(block.norm1(x))  # both branches left out
    kept = (trained - without).abs().amax(dim=(1, 2)) > 1e-6
    assert 0.5 < kept.float().mean() < 0.95  # three clips of four keep a branch


def test_weights_are_mapped_not_copied():
    """float32 parameters lie in the file: loading twice shares the memory."""
    first, second = load(open_weights(TINY)), load(open_weights(TINY))
    assert not any(p.requires_grad for p in first.parameters())
    assert not first.training
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_fingerprint_knows_all_but_the_place(tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("config.json", "model.safetensors"):
        (moved / name).write_bytes((Path(TINY) / name).read_bytes())
    here, there = nf.EAT(TINY), nf.EAT(str(moved))
    assert here != there
    assert here.fingerprint == there.fingerprint
    assert here.identity == there.identity
    others = [
        nf.EAT(TUNED), replace(here, pooling="cls"), replace(here, layer=1),
        replace(here, frames=1024), replace(here, precision="bf16"),
    ]  # fmt: skip
    assert len({part.fingerprint for part in (here, *others)}) == 6
    assert replace(here, pooling="mean").fingerprint == here.fingerprint  # what the weights say
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"num_heads": 2}))
    assert there.fingerprint != here.fingerprint


def test_other_heads_in_the_config_are_another_encoder(tmp_path):
    """The same tensors: what is kept in memory must not be taken for it."""
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((Path(TINY) / name).read_bytes())
    part, sound = nf.EAT(str(tmp_path)), [noise(1, 2.0)]
    before = part(sound)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_heads": 2}))
    assert np.abs(part(sound) - before).max() > 1e-3


def test_a_table_of_its_own_cannot_be_continued():
    """Positions that are not the fixed ones are not replaced in silence by longer fixed ones."""
    encoder = load(open_weights(TUNED))  # 64 columns
    mel = torch.zeros(1, 1600, 128)
    with torch.inference_mode():
        assert encoder(mel).shape == (1, 801, 32)
        encoder.fixed_positional_encoder.positions = torch.nn.Parameter(
            torch.ones(1, 512, 32), requires_grad=False
        )
        assert encoder(mel[:, :1024]).shape == (1, 513, 32)
        with pytest.raises(nf.NearfarError, match="positions of their own for 1024"):
            encoder(mel)


# ---- what a user can get wrong -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pooling": "max"}, "pooling is 'max'; it is one of mean, cls, mean_all"),
        ({"layer": 0}, "layer is 0"),
        ({"layer": True}, "layer is True"),
        ({"frames": 1000}, "1000"),
        ({"frames": 1024.0}, "1024.0"),
        ({"precision": "fp16"}, "precision is 'fp16'; it is 'fp32' or 'bf16'"),
        ({"weights": ""}, "weights is ''; give a folder or a hub id"),
        ({"weights": None}, "weights is None"),
    ],
)
def test_impossible_settings(settings, words):
    with pytest.raises(nf.NearfarError, match=words.replace("(", r"\(")):
        nf.EAT(**({"weights": TINY} | settings))


def test_clips_of_several_lengths_have_no_common_tokens():
    with pytest.raises(nf.NearfarError, match="one length at a time"):
        nf.EAT(TINY).tokens([noise(1, 1.0), noise(1, 2.0)])
    with pytest.raises(nf.NearfarError, match="at least one"):
        nf.EAT(TINY).tokens([])


def test_audio_that_is_none():
    part = nf.EAT(TINY)
    bad = noise(1, 1.0)
    bad[0, 5] = np.nan
    for audio, words in ((noise(2, 1.0), "one channel"), (bad, "NaN"), (bad[:, :300], "300")):
        with pytest.raises(nf.NearfarError, match=words):
            part([audio])
    with pytest.raises(nf.NearfarError, match="at least one"):
        part([])


def test_without_torch_there_is_one_line():
    """A fresh process in which torch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import nearfar as nf, nearfar.testing as t\n"
        f"part = nf.EAT({TINY!r}); print(part.dim)\n"
        "try: part([t.noise(1)])\n"
        "except nf.NearfarError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "64", "EAT needs PyTorch; pip install 'nearfar[eat]', or '.[eat]' in its folder",
    ]  # fmt: skip
