"""Weights on disk are what they say, or one line tells what is wrong."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

import nearfar as nf
from conftest import TINY, refused
from nearfar.embedder.encoders import encoder_of, kind_of
from nearfar.embedder.yamnet.weights import damaged_tensor, open_weights, tensors
from nearfar.testing import noise
from yamnet_folder import make_folder, random_tensors


def test_a_folder_or_its_file_is_opened_with_all_numbers(tmp_path):
    folder = make_folder(tmp_path / "ear")
    for place in (folder, str(folder), folder / "model.safetensors"):
        have, want = tensors(open_weights(place).path), random_tensors()
        assert have.keys() == want.keys()
        assert all(np.array_equal(have[name], want[name]) for name in want)
    assert kind_of(folder) == kind_of(folder / "model.safetensors") == "yamnet"
    assert encoder_of(folder) == nf.YAMNet(str(folder))


def test_what_is_not_there_is_one_line(tmp_path):
    for place in (tmp_path / "none", "a\0b", " "):
        refused(
            lambda p=place: open_weights(p), "no such folder or file", "nearfar weights convert"
        )
    refused(lambda: open_weights(tmp_path), f"{tmp_path}: has no model.safetensors")
    with pytest.raises(nf.NearfarError, match="safetensors of YAMNet-256 there, or make them of"):
        open_weights(tmp_path)
    folder = make_folder(tmp_path / "ear")
    (folder / "config.json").unlink()
    refused(lambda: open_weights(folder), "has no config.json")
    for place in (folder, folder / "model.safetensors"):  # known by their tensors
        refused(lambda p=place: encoder_of(p).fingerprint, "has no config.json")
        assert kind_of(place) == "yamnet"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "eat"}, "config has model_type 'eat', YAMNet-256 has 'yamnet'"),
        ({"strides": [2, 2, 2, 1, 1, 1]}, "config has strides"),
    ],
)
def test_a_config_of_another_network_is_one_line(tmp_path, change, words):
    folder = make_folder(tmp_path / "ear", **change)
    refused(lambda: open_weights(folder), folder, words)


def test_a_config_that_is_no_json_is_one_line_with_its_path_once(tmp_path):
    folder = make_folder(tmp_path / "ear")
    (folder / "config.json").write_text("{")
    line = refused(lambda: open_weights(folder), "is no JSON")
    assert line.count(str(folder)) == 1


def test_other_tensors_are_one_line_each(tmp_path):
    whole = random_tensors()
    name = "layer3.pointwise_conv.kernel"
    without = {key: value for key, value in whole.items() if key != name}
    cases = [
        (without, f"{name!r} is missing (1 of 44)"),
        (
            without | {name: np.zeros((1, 1, 64, 127), np.float32)},
            "(1, 1, 64, 127), need (1, 1, 64, 128)",
        ),
        (whole | {"dense.kernel": np.zeros((256, 10), np.float32)}, "'dense.kernel' is none of"),
        (without | {name: whole[name].astype(np.float64)}, "is F64; need F32"),
    ]
    for number, (some, words) in enumerate(cases):
        folder = make_folder(tmp_path / str(number), some)
        refused(lambda f=folder: open_weights(f), folder, words)


def test_a_file_that_is_cut_off_is_one_line(tmp_path):
    file = make_folder(tmp_path / "ear") / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        refused(lambda: open_weights(file.parent), file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layer1.conv.kernel", np.nan),
        ("layer6.pointwise_conv.bn.beta", np.inf),
        ("layer2.depthwise_conv.bn.moving_variance", -1.0),
    ],
)
def test_damaged_numbers_are_found_before_a_clip_is_heard(tmp_path, name, value):
    some = random_tensors()
    assert damaged_tensor(open_weights(make_folder(tmp_path / "whole"))) is None
    some[name].flat[3] = value
    folder = make_folder(tmp_path / "ear", some)
    assert damaged_tensor(open_weights(folder)) == name
    refused(lambda: nf.YAMNet(str(folder))([noise(1)]), name, "NaN, infinite or a variance")


def test_other_weights_at_the_same_place_are_noticed(tmp_path):
    folder = make_folder(tmp_path / "ear")
    part = nf.YAMNet(str(folder))
    first, row = part.fingerprint, part([noise(1)])
    save_file(random_tensors(1), tmp_path / "other")
    os.replace(tmp_path / "other", folder / "model.safetensors")
    assert part.fingerprint != first
    assert not np.array_equal(part([noise(1)]), row)


def test_an_eat_is_not_taken_for_it_nor_it_for_an_eat(tmp_path):
    folder = make_folder(tmp_path / "ear")
    refused(lambda: nf.YAMNet(str(TINY)).fingerprint, "has the tensors of EAT, not of YAMNet-256")
    refused(lambda: nf.EAT(str(folder)).fingerprint, "has the tensors of YAMNet, not of an EAT")


def test_half_precision_is_one_line(tmp_path):
    some = {name: values.astype(np.float16) for name, values in random_tensors().items()}
    refused(lambda: open_weights(make_folder(tmp_path / "ear", some)), "has F16, need F32")


def test_any_other_safetensors_are_one_line(tmp_path):
    folder = make_folder(tmp_path / "ear", {"head.bias": np.zeros(3, np.float32)})
    refused(lambda: open_weights(folder), "not a YAMNet (its first tensor is 'head.bias'")
