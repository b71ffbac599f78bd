"""Any bytes by the name of a safetensors file are read or refused in one line."""

import contextlib
import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY
from eat_folders import entry, pack, refused, tiny_in
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.tensorfile import header
from nearfar.errors import WeightsError


@pytest.fixture
def folder(tmp_path):
    return tiny_in(tmp_path)


WHOLE = (TINY / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    shutil.copyfile(TINY / "config.json", folder / "config.json")
    return folder


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.integers(0, 4000), st.integers(0, len(WHOLE) - 1)))
def test_truncated_anywhere(cut, length):
    (cut / "model.safetensors").write_bytes(WHOLE[:length])
    refused(lambda: open_weights(cut), "model.safetensors", "download")


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2791), st.binary(min_size=1, max_size=6))
def test_a_damaged_header_is_read_or_refused(cut, where, damage):
    content = WHOLE[:where] + damage + WHOLE[where + len(damage) :]
    (cut / "model.safetensors").write_bytes(content)
    with contextlib.suppress(WeightsError):  # and nothing else
        open_weights(cut)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes(cut, content):
    (cut / "model.safetensors").write_bytes(content)
    refused(lambda: open_weights(cut))


@pytest.mark.parametrize(
    "content",
    [
        (10**9).to_bytes(8, "little") + b"{" * 50,
        (2**64 - 1).to_bytes(8, "little") + b"{}",
        pack({"a": entry(shape=[2])}, b"1234"),
        pack({"a": entry(offsets=[-4, 0])}),
        pack({"a": entry(offsets=[0, 4, 8])}, b"1234"),
        pack({"a": entry(offsets=[4, 8])}, b"12345678"),
        pack({"a": entry(), "b": entry()}, b"1234"),
        pack({"a": entry(), "b": entry(offsets=[2, 6])}, b"123456"),
        pack({"a": entry(dtype="F31")}, b"1234"),
        pack({"a": entry(shape=[2**62, 4])}, b"1234"),
        pack({"a": entry()}, b"12345"),
        pack([]),
        pack({"a": entry(shape=[True])}, b"1234"),
        pack({"a": entry(shape=[1.0])}, b"1234"),
        pack({"a": entry(shape=1)}, b"1234"),
        pack({"a": entry(dtype=4)}, b"1234"),
        pack({"a": None}),
        pack({"__metadata__": {"a": 1}}),
        pack({"__metadata__": 1}),
        pack(b'{"a":%b,"a":%b}' % (2 * (json.dumps(entry()).encode(),)), b"1234"),
        pack(b'{"a":' * 50_000),
        pack(b'{"a":"\xff"}'),
        b"<html>not found</html>",
    ],
)
def test_headers_that_are_none(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    line = refused(
        lambda: header(folder / "model.safetensors"), "or damaged (", "download it again"
    )
    assert line.startswith(str(folder / "model.safetensors"))
    assert len(line) < len(str(folder)) + 300


def test_a_pointer_is_called_one(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1235498104\n"
    (folder / "model.safetensors").write_text(text)
    refused(lambda: header(folder / "model.safetensors"), "a git-LFS pointer", "download it again")


def test_a_header_too_long_is_not_read(tmp_path):
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.write((150_000_000).to_bytes(8, "little") + b"{")
        file.truncate(200_000_000)  # takes no space on the disk
    refused(lambda: header(tmp_path / "a.safetensors"), "header too large", "download it again")


def test_a_header_as_long_as_a_pickle_begins(tmp_path):
    """0x0280 bytes: the file begins as a pickle of protocol 2 does."""
    text = json.dumps({"__metadata__": {"a": ""}})
    text = text.replace('""', '"' + "x" * (0x280 - len(text)) + '"')
    (tmp_path / "a.safetensors").write_bytes(pack(text.encode()))
    assert (tmp_path / "a.safetensors").read_bytes()[:2] == b"\x80\x02"
    assert header(tmp_path / "a.safetensors").tensors == {}
