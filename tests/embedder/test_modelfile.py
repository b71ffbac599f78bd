"""An exported file: what it says of itself, and every way in which it is not that."""

import json

import pytest

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from conftest import refused
from nearfar.embedder.onnx.modelfile import DIGEST, FACTS, open_model, read_whole, signed
from nearfar.errors import WeightsError
from onnx_folders import exported


def written(path, data):
    (path / "encoder.onnx").write_bytes(data)
    return path


def whole():
    return (exported() / "encoder.onnx").read_bytes()


def model():
    """The model alone, without our entries."""
    made = onnx.load_from_string(whole())
    del made.metadata_props[:]
    return made


def again(path, made=None, **changes):
    """Signed anew, with other facts or another model."""
    facts = dict(open_model(exported()).facts) | changes
    facts = {name: value for name, value in facts.items() if value is not None}
    facts.setdefault("frames", None)
    return written(path, signed((made or model()).SerializeToString(), facts, None))


def said_of(path):
    return refused(lambda: open_model(path), error=WeightsError)


def test_what_was_signed_is_read_back(tmp_path):
    file = open_model(again(tmp_path, longest=320))
    assert file.facts["longest"] == 320
    assert file.facts["kind"] == "eat"
    assert len(file.sha256) == 64
    assert read_whole(file) == (tmp_path / "encoder.onnx").read_bytes()


def test_other_programs_read_it_as_a_model():
    made = onnx.load_from_string(whole())
    onnx.checker.check_model(made, full_check=True)
    assert {p.key for p in made.metadata_props} == {FACTS, DIGEST}
    assert [(o.domain, o.version) for o in made.opset_import] == [("", 17)]


def test_every_changed_byte_is_seen(tmp_path):
    """In the graph's head, a weight, the facts and the hash itself."""
    data = whole()
    for at in (
        3,
        200,
        len(data) // 2,
        data.index(FACTS.encode()) + 40,
        len(data) - 1,
        len(data) - 70,
    ):
        spoiled = bytearray(data)
        spoiled[at] ^= 1
        said_of(written(tmp_path, bytes(spoiled)))
    for cut in (0, 1, 1000, len(data) - 1, len(data) - 90):
        said_of(written(tmp_path, data[:cut]))
    said_of(written(tmp_path, data + b"\x72\x00"))  # and one that was appended


def test_what_is_no_export_is_said(tmp_path):
    assert "no exported encoder there" in said_of(tmp_path)
    assert "no exported encoder there" in said_of("gone\0")
    assert "no ONNX model" in said_of(written(tmp_path, b"PK\x03\x04" + bytes(100)))
    bare = model().SerializeToString()
    assert "does not say what it was made of" in said_of(written(tmp_path, bare))


def test_another_format_or_opset_is_said(tmp_path):
    assert "newer nearfar (format 2" in said_of(again(tmp_path, format=2))
    assert "does not say its longest" in said_of(again(tmp_path, longest=None))
    made = model()
    made.opset_import[0].version = 26
    assert "has opset 26" in said_of(again(tmp_path, made))
    made = model()
    made.ir_version = 99
    assert "IR version 99" in said_of(again(tmp_path, made))


def test_numbers_in_other_files_are_refused(tmp_path):
    made = model()
    tensor = made.graph.initializer[3]
    tensor.external_data.add(key="location", value="/etc/passwd")
    assert "keeps numbers in other files" in said_of(again(tmp_path, made))
    made = model()
    inner = onnx.TensorProto()
    inner.external_data.add(key="location", value="x")
    made.graph.node[0].attribute.append(onnx.helper.make_attribute("value", inner))
    assert "keeps numbers in other files" in said_of(again(tmp_path, made))


def test_facts_that_are_none_are_said(tmp_path):
    model_, facts = model().SerializeToString(), json.dumps([1, 2])
    from nearfar.embedder.onnx import modelfile

    data = model_ + modelfile._entry(FACTS, facts)
    import hashlib

    data += modelfile._entry(DIGEST, hashlib.sha256(data).hexdigest())
    assert "what it says of itself is damaged" in said_of(written(tmp_path, data))


def test_a_file_written_anew_while_it_is_open_is_seen(tmp_path):
    file = open_model(again(tmp_path))
    again(tmp_path, longest=16)
    assert "written anew" in refused(lambda: read_whole(file), error=WeightsError)
