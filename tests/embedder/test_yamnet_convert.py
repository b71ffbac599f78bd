"""Keras's HDF5 becomes a folder of ours with the same numbers, or one line says why not."""

import sys

import numpy as np
import pytest

from conftest import refused
from yamnet_folder import described, make_keras, random_tensors

h5py = pytest.importorskip("h5py")

from nearfar.embedder.yamnet import weights as weights_file
from nearfar.embedder.yamnet.convert import convert

LAYER3 = "layer3.pointwise_conv.kernel"


def same(weights, tensors):
    have = weights_file.tensors(weights.path)
    assert have.keys() == tensors.keys()
    assert all(np.array_equal(have[name], tensors[name]) for name in tensors)


def test_the_same_numbers_wherever_the_file_has_them(tmp_path):
    places = ("model_weights/model_2", "model_weights/yamnet", "whatever/there/is")
    for number, place in enumerate(places):
        path = make_keras(tmp_path / f"{number}.h5", place=place)
        same(convert(path, tmp_path / str(number)), random_tensors())
    # Weights alone: Keras then says nothing of the model.
    same(convert(make_keras(tmp_path / "w.h5", description=""), tmp_path / "w"), random_tensors())


def test_the_published_file(shared, tmp_path):
    source = shared / "weights" / "yamnet_256_f32.h5"
    if not source.is_file():
        pytest.skip(f"no {source.name} in the folder {shared.name} beside the checkout")
    weights = convert(source, tmp_path / "ear")
    with h5py.File(source) as file:
        network = file["model_weights/model_2"]
        tensors = {n: network[n.replace(".", "/") + ":0"][()] for n in random_tensors()}
    same(weights, tensors)


def test_the_command_knows_the_file_by_its_first_bytes(tmp_path, run):
    path = make_keras(tmp_path / "named otherwise")
    code, out, err = run("weights", "convert", path, tmp_path / "ear")
    assert (code, err) == (0, "")
    assert "YAMNet-256" in out
    assert sorted(p.name for p in (tmp_path / "ear").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("content", [b"", b"hello", b"<html>", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_no_hdf5_is_one_line_whatever_it_is(tmp_path, run, content):
    path = tmp_path / "yamnet.h5"
    path.write_bytes(content)
    code, _, err = run("weights", "convert", path, tmp_path / "out")
    assert code == 2
    assert err.count("\n") == 1
    assert "no HDF5 file, or damaged" in err
    assert not (tmp_path / "out").exists()


def test_a_file_cut_off_or_not_there_is_one_line(tmp_path):
    path = make_keras(tmp_path / "a.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(lambda: convert(path, tmp_path / "out"), path, "damaged")
    refused(lambda: convert(tmp_path / "b.h5", tmp_path / "out"), "b.h5: no such file")


def test_bytes_changed_anywhere_are_refused_or_still_numbers(tmp_path):
    """Damage is told, never a traceback; in the numbers themselves it cannot be seen."""
    path = make_keras(tmp_path / "a.h5")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(40):
        broken = bytearray(whole)
        for place in rng.integers(0, 40_000, size=20):  # most of what is not a number lies there
            broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(broken))
        try:
            convert(path, tmp_path / f"out{number}")
        except Exception as error:
            refused(lambda e=error: (_ for _ in ()).throw(e), path)


def test_another_network_is_one_line_each(tmp_path):
    tensors = random_tensors()
    without = {name: value for name, value in tensors.items() if name != LAYER3}
    kernel = "layer3/pointwise_conv/kernel:0"
    cases = [
        (make_keras(tmp_path / "0.h5", {"conv1.kernel": np.zeros(3)}), "not a YAMNet"),
        (make_keras(tmp_path / "1.h5", without), f"model_2/{kernel}' is missing (1 of 44)"),
        (
            make_keras(tmp_path / "2.h5", without | {LAYER3: np.zeros((1, 1, 64, 64))}),
            f"{kernel}' is (1, 1, 64, 64), need (1, 1, 64, 128)",
        ),
        (
            make_keras(tmp_path / "3.h5", **{"layer7/conv/kernel:0": np.zeros(3)}),
            "layer7/conv/kernel:0' is none of YAMNet-256's",
        ),
        (
            make_keras(tmp_path / "4.h5", without | {LAYER3: np.zeros((1, 1, 64, 128), int)}),
            "int64",
        ),
        (make_keras(tmp_path / "5.h5", description=described((2, 1, 2, 1, 1, 1))), "has strides"),
        (make_keras(tmp_path / "6.h5", description=described(epsilon=1e-3)), "[0.001]"),
        (make_keras(tmp_path / "7.h5", description="{"), "description of the model is damaged"),
        (make_keras(tmp_path / "8.h5", description='{"config": 3}'), "AttributeError"),
        (
            make_keras(tmp_path / "9.h5", without | {LAYER3: np.full((1, 1, 64, 128), np.nan)}),
            "finite",
        ),
    ]
    tensors["layer2.depthwise_conv.bn.moving_variance"] -= 9
    cases.append((make_keras(tmp_path / "11.h5", tensors), "moving_variance' has numbers that"))
    (tmp_path / "12.h5").mkdir()
    cases.append((tmp_path / "12.h5", "is a folder"))
    with h5py.File(tmp_path / "10.h5", "w"):
        cases.append((tmp_path / "10.h5", "it has no data sets"))
    for path, words in cases:
        refused(lambda p=path: convert(p, tmp_path / "out"), path, words)
    assert not (tmp_path / "out").exists()


def test_links_that_lead_out_of_the_file_are_not_followed(tmp_path):
    other = make_keras(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(other), "/model_weights")
    refused(lambda: convert(tmp_path / "a.h5", tmp_path / "out"), "it has no data sets")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        (tmp_path / "raw").write_bytes(bytes(4 * 288))
        shape, name = (3, 3, 1, 32), "layer1/conv/kernel:0"
        outside = [(str(tmp_path / "raw"), 0, 4 * 288)]
        file.create_dataset(name, shape, "f4", external=outside)
    refused(lambda: convert(tmp_path / "b.h5", tmp_path / "out"), "lies in another file")


def test_nothing_is_overwritten(tmp_path):
    path = make_keras(tmp_path / "a.h5")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out in ("full", "file"):
        refused(lambda o=out: convert(path, tmp_path / o), "choose a new folder")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    convert(path, tmp_path / "empty")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_config_is_not_taken(tmp_path):
    refused(
        lambda: convert(tmp_path / "a.h5", tmp_path / "b", tmp_path / "c.json"), "leave --config"
    )


def test_without_h5py_there_is_one_line(tmp_path, run, monkeypatch):
    path = make_keras(tmp_path / "a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    code, _, err = run("weights", "convert", path, tmp_path / "out")
    assert code == 2
    assert "an HDF5 file needs h5py; pip install 'nearfar[convert]'" in err
    assert err.count("\n") == 1
