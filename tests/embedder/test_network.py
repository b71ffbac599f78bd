"""YAMNet's layers against the published outputs, and against their definition in float64."""

import numpy as np
import pytest

from nearfar.embedder.yamnet import network as module
from nearfar.embedder.yamnet.network import Network
from yamnet_folder import GOLD, random_tensors


@pytest.fixture
def published(shared, tmp_path):
    """The network with the weights that its publisher gives out."""
    pytest.importorskip("h5py")
    from nearfar.embedder.yamnet.convert import convert
    from nearfar.embedder.yamnet.weights import network

    weights = shared / "weights" / "yamnet_256_f32.h5"
    if not weights.is_file():
        pytest.skip(f"no {weights.name} in the folder {shared.name} beside the checkout")
    return network(convert(weights, tmp_path / "ear"))


def test_the_published_grid_and_embeddings(published):
    gold = np.load(GOLD)
    grids = [published(patch) for patch in gold["patches"]]
    assert np.abs(grids[0] - gold["grid"][0]).max() < 1e-5
    means = np.array([grid.mean(axis=(0, 1)) for grid in grids])
    assert np.abs(means - gold["embedding"]).max() < 1e-5


def convolved(x, kernel, stride, depthwise):
    """(t, f, in) by a kernel (3, 3, in, out), padded as TensorFlow pads "same", in float64."""
    pads = [(1, 1)] * 2 if stride == 1 else [(0, 1)] * 2  # of even lengths
    padded = np.pad(x, [*pads, (0, 0)])
    rows, bands = x.shape[0] // stride, x.shape[1] // stride
    out = np.zeros((rows, bands, kernel.shape[2] if depthwise else kernel.shape[3]))
    for t in range(rows):
        for f in range(bands):
            seen = padded[stride * t : stride * t + 3, stride * f : stride * f + 3]
            letters = "ijc,ijco->c" if depthwise else "ijc,ijco->o"
            out[t, f] = np.einsum(letters, seen, kernel.astype(np.float64))
    return out


def normalised(x, tensors, name):
    beta, mean, variance = (
        tensors[f"{name}.bn.{part}"].astype(np.float64)
        for part in ("beta", "moving_mean", "moving_variance")
    )
    return np.maximum((x - mean) / np.sqrt(variance + 1e-4) + beta, 0)


def plainly(mels, tensors):
    """The six layers as they are defined."""
    x = convolved(mels[:, :, None].astype(float), tensors["layer1.conv.kernel"], 2, False)
    x = normalised(x, tensors, "layer1.conv")
    for number, stride in zip(range(2, 7), (1, 2, 1, 2, 1), strict=True):
        deep, point = f"layer{number}.depthwise_conv", f"layer{number}.pointwise_conv"
        x = convolved(x, tensors[f"{deep}.depthwise_kernel"], stride, True)
        x = normalised(x, tensors, deep)
        x = x @ tensors[f"{point}.kernel"][0, 0].astype(np.float64)
        x = normalised(x, tensors, point)
    return x


@pytest.mark.parametrize("frames", [8, 96, 120])
def test_it_is_what_it_is_defined_as(frames):
    mels = np.random.default_rng(frames).standard_normal((frames, 64)).astype(np.float32)
    tensors = random_tensors(frames)
    wanted = plainly(mels, tensors)
    assert wanted.shape == (frames // 8, 8, 256)
    assert (wanted > 0).mean() > 0.2  # not all cut off
    assert np.abs(Network(tensors)(mels) - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_frames_beyond_a_whole_column_are_not_heard():
    mels = np.random.default_rng(0).standard_normal((103, 64)).astype(np.float32)
    made = Network(random_tensors())
    assert np.array_equal(made(mels), made(mels[:96]))


@pytest.mark.parametrize("columns", [16, 17, 40])
def test_a_long_clip_has_no_seams(columns, monkeypatch):
    """In pieces as in one: nothing of what a column depends on is cut off."""
    mels = np.random.default_rng(1).standard_normal((8 * columns, 64)).astype(np.float32)
    made = Network(random_tensors(1))
    whole = made(mels)
    monkeypatch.setattr(module, "PIECE", 5)
    assert np.abs(made(mels) - whole).max() < 1e-5 * np.abs(whole).max()


def test_the_size_of_a_block_is_a_matter_of_speed(monkeypatch):
    mels = np.random.default_rng(2).standard_normal((200, 64)).astype(np.float32)
    made = Network(random_tensors(2))
    whole = made(mels)
    for size in (1, 1 << 12, 1 << 20):
        monkeypatch.setattr(module, "BLOCK", size)
        assert np.abs(made(mels) - whole).max() < 1e-5 * np.abs(whole).max()


def test_a_column_hears_so_far_and_no_farther():
    """What BEFORE and BEHIND say, seen from a frame that changes."""
    mels = np.random.default_rng(3).standard_normal((160, 64)).astype(np.float32)
    made = Network(random_tensors(3))
    before = made(mels)
    for frame, end in ((80, 10 - module.BEHIND), (87, 10 + module.BEFORE)):  # both of column 10
        moved = mels.copy()
        moved[frame] += 5
        columns = np.flatnonzero((made(moved) != before).any(axis=(1, 2)))
        assert end in (columns.min(), columns.max())


def test_memory_of_the_input_is_left_alone():
    mels = np.random.default_rng(4).standard_normal((96, 64)).astype(np.float32)
    kept = mels.copy()
    Network(random_tensors())(mels)
    assert np.array_equal(mels, kept)
