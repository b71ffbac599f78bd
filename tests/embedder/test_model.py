"""The encoder as a torch module: laws of its shape, on an architecture of a few numbers."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import TINY
from eat_folders import refused
from nearfar.embedder.eat.architecture import Architecture, positions
from nearfar.embedder.eat.model import Encoder, PatchEmbedding, load
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.trunk import AttentiveStatistics, apart, joined

SMALL = Architecture(dim=8, depth=3, heads=2, hidden=16, columns=4)

pytestmark = pytest.mark.usefixtures("one_thread")


def encoder(shape=SMALL, seed=0):
    """With drawn weights, and the fixed table where they have one."""
    generator = torch.Generator().manual_seed(seed)
    made = Encoder(shape)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        table = torch.from_numpy(positions(shape.dim, shape.columns))
        made.fixed_positional_encoder.positions.copy_(table)
    return made.eval()


def mel(clips=2, frames=32, seed=1):
    return torch.randn(clips, frames, 128, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("frames", [16, 32, 64, 80])  # the last is longer than the table
def test_eight_tokens_for_each_sixteen_frames_and_one_in_front(frames):
    with torch.inference_mode():
        assert encoder()(mel(2, frames)).shape == (2, 1 + frames // 16 * 8, 8)


def test_names_and_shapes_are_the_files():
    for shape in (SMALL, SMALL.projected(), Architecture(8, 1, 2, 16, classes=5)):
        state = Encoder(shape).state_dict()
        found = {k: tuple(v.shape) for k, v in state.items() if "num_batches" not in k}
        assert found == shape.shapes()


def test_patches_are_those_of_a_convolution():
    patches = PatchEmbedding(8)
    x = mel(2, 48)
    with torch.inference_mode():
        wanted = patches.proj(x[:, None])  # (batch, dim, columns, 8)
        assert torch.allclose(patches(x), wanted.flatten(2).transpose(1, 2), atol=1e-5)


def test_clips_of_several_lengths_in_one_pass_are_as_if_alone():
    """To rounding: rows and gradients; no clip hears another."""
    made = encoder().double()
    for parameter in made.parameters():
        parameter.requires_grad_(True)
    lengths = {16: 2, 48: 1, 64: 3}
    tokens = [made.embed(mel(n, frames).double()) for frames, n in lengths.items()]

    def slopes(found):
        loss = sum((some**2).sum() for some in found)
        return torch.autograd.grad(loss, list(made.blocks.parameters()), retain_graph=True)

    alone = [made.through(some, 0) for some in tokens]
    row, sizes = joined(tokens)
    assert sizes == [(2, 9), (1, 25), (3, 33)]
    together = apart(made.through(row, 0, None, sizes), sizes)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    for one, other in zip(slopes(alone), slopes(together), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_blocks_in_two_goes_are_the_blocks_in_one():
    made, x = encoder(), mel()
    with torch.inference_mode():
        first = made.through(made.embed(x), 0, 2)
        assert torch.equal(made(x, layer=2), first)
        assert torch.equal(made(x), made.through(first, 2))


def test_a_clip_is_heard_alone():
    made, x = encoder(), mel(3)
    with torch.inference_mode():
        changed = x.clone()
        changed[1:] += 1
        assert torch.allclose(made(x)[0], made(changed)[0], atol=1e-6)
        assert not torch.allclose(made(x)[1], made(changed)[1], atol=1e-3)


def test_drop_path_does_nothing_but_in_training():
    made, x = encoder(), mel(32)
    with torch.no_grad():
        without = made(x)
        for block in made.blocks:
            block.drop_path = 0.5
        assert torch.equal(made(x), without)
        torch.manual_seed(0)
        assert not torch.allclose(made.train()(x), without, atol=1e-3)


def test_checkpointing_changes_no_output_and_no_slope():
    made, x = encoder().train(), mel()
    slopes = []
    for checkpointing in (False, True):
        made.checkpointing = checkpointing
        made.zero_grad()
        out = made(x)
        out.square().sum().backward()
        slopes.append([out.detach(), *(p.grad.clone() for p in made.blocks.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))


def test_equal_tokens_have_themselves_for_mean_and_no_deviation():
    pooling = AttentiveStatistics(8, 4)
    token = torch.arange(8.0)
    with torch.inference_mode():
        mean, deviation = pooling(token.expand(2, 16, 8)).split(8, dim=1)
    assert torch.allclose(mean, token.expand(2, 8), atol=1e-5)
    assert torch.allclose(deviation, torch.full((2, 8), 1e-7**0.5), atol=1e-5)


def test_an_embedding_has_length_one_and_does_not_hear_cls():
    made = encoder(SMALL.projected())
    with torch.inference_mode():
        tokens = made(mel(3))
        rows = made.project(tokens)
        assert rows.shape == (3, 2)
        assert torch.allclose(rows.norm(dim=1), torch.ones(3), atol=1e-6)
        tokens = tokens.clone()
        tokens[:, 0] += 5  # CLS
        assert torch.equal(made.project(tokens), rows)


def test_heads_that_are_not_there():
    tokens = torch.zeros(1, 9, 8)
    refused(lambda: encoder().project(tokens), "no projection", "nearfar finetune")
    refused(lambda: encoder().logits(tokens), "no classes", "fine-tuned")


def test_loaded_weights_are_the_files_and_learn_nothing():
    from safetensors.numpy import load_file

    made, stored = load(open_weights(TINY)), load_file(TINY / "model.safetensors")
    assert not made.training
    assert not any(p.requires_grad for p in made.parameters())
    for name, tensor in made.state_dict().items():
        assert np.array_equal(tensor.numpy(), stored[f"model.{name}"]), name


def test_a_tensor_missing_since_the_file_was_checked_is_one_line(tmp_path):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(TINY / "model.safetensors")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((TINY / name).read_bytes())
    opened = open_weights(tmp_path)
    del tensors["model.blocks.1.mlp.fc1.bias"]
    (tmp_path / "model.safetensors").unlink()  # a new file: the old one may be mapped elsewhere
    save_file(tensors, tmp_path / "model.safetensors")
    refused(lambda: load(opened), "model.safetensors", "blocks.1.mlp.fc1.bias", "copy it again")
