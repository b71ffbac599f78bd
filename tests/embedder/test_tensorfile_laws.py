"""The header of a safetensors file: what is written is what the format's own package reads."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from nearfar.embedder.tensorfile import BYTES, header, header_bytes
from nearfar.errors import WeightsError

SHAPES = st.dictionaries(
    st.text("abcxyz.0_", min_size=1, max_size=8),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("tensors") / "some.safetensors"


@given(
    shapes=SHAPES, metadata=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2)
)
def test_what_is_written_the_formats_package_reads(file, shapes, metadata):
    head = header_bytes(shapes, "F32", metadata)
    assert len(head) % 8 == 0
    numbers = np.arange(sum(int(np.prod(s)) for s in shapes.values()), dtype="<f4")
    file.write_bytes(head + numbers.tobytes())
    with safe_open(file, framework="numpy") as opened:
        assert (opened.metadata() or {}) == metadata
        read = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    found = header(file)
    assert found.length == len(head)
    assert found.metadata == metadata
    for name, tensor in found.tensors.items():
        assert tensor.shape == read[name].shape == shapes[name]
        own = numbers[tensor.start // 4 : tensor.stop // 4].reshape(tensor.shape)
        assert np.array_equal(own, read[name])


def test_it_is_what_the_formats_package_writes(file):
    tensors = {"b": np.zeros((2, 3), np.float32), "a": np.ones(4, np.float32)}
    save_file(tensors, file, {"format": "pt"})
    shapes = {name: t.shape for name, t in tensors.items()}
    head = header_bytes(shapes, "F32", {"format": "pt"})
    assert file.read_bytes().startswith(head)


def test_numbers_have_the_bytes_of_their_names():
    for name, size in BYTES.items():
        bits = int("".join(c for c in name.split("_")[0] if c.isdigit()) or 8)
        assert size * 8 == bits


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no safetensors, or damaged"),
        (b"version https://git-lfs.github.com/spec/v1", "git-LFS pointer"),
        (b"PK\x03\x04 and more than that", "is a pickle by its content"),
        (b"\x80\x02}q\x00 and so on", "is a pickle by its content"),
        (header_bytes({"a": (2,)}, "F32", {}), "no safetensors, or damaged"),
    ],
)
def test_what_is_none_is_one_line(file, content, words):
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        header(file)


def test_a_name_given_twice_is_refused(file):
    entry = json.dumps({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    text = f'{{"a":{entry},"a":{entry}}}'.encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(WeightsError, match="no safetensors, or damaged"):
        header(file)


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match="is no file"):
        header(tmp_path)
