"""Folders of a tiny encoder, to be changed and refused."""

import json
import shutil
from functools import partial

from safetensors.numpy import save_file

import conftest
from conftest import TINY
from nearfar.errors import WeightsError

refused = partial(conftest.refused, error=WeightsError)


def tiny_in(path):
    """A copy of the tiny encoder, to be spoiled."""
    copy = path / "weights"
    copy.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(TINY / name, copy / name)
    return copy


def configure(folder, without=(), **fields):
    config = json.loads((TINY / "config.json").read_text()) | fields
    config = {k: v for k, v in config.items() if k not in without}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def store(folder, tensors, metadata=None):
    save_file(tensors, folder / "model.safetensors", metadata=metadata)
    return folder


def pack(fields, data=b""):
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}
