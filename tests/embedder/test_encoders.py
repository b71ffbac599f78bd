"""Whatever encoder the weights are: their own record decides, and nothing is loaded for it."""

import json
import shutil
from functools import partial

import pytest

import nearfar as nf
from conftest import TINY, refused
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.encoders import (
    FIRST,
    KINDS,
    encoder_of,
    kind_of,
    kind_of_checkpoint,
    trained_behind,
)
from nearfar.embedder.tensorfile import header_bytes
from nearfar.errors import WeightsError


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_what_the_commands_call(kind):
    row = KINDS[kind]
    assert type(row.of("x")).__name__ == row.encoder
    assert callable(row.module("weights").open_weights)
    assert callable(row.module("facts").facts)
    assert callable(row.module("facts").damaged_tensor)
    pytest.importorskip("torch")
    assert callable(row.module("convert").convert)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_of_the_kind_that_its_config_says(kind, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    assert kind_of(tmp_path) == kind
    assert encoder_of(tmp_path) == KINDS[kind].of(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "7", '{"model_type": 7}', '{"model_type": "os"}', "{}", "\x00"]
)
def test_a_config_that_says_nothing_is_left_to_who_opens_it(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    assert kind_of(tmp_path) == FIRST
    assert kind_of(tmp_path / "config.json") == FIRST


def test_a_file_that_carries_its_config_is_asked_first(tmp_path):
    file = tmp_path / "one.safetensors"
    for kind in KINDS:
        head = json.dumps({"__metadata__": {"config": json.dumps({"model_type": kind})}}).encode()
        file.write_bytes(len(head).to_bytes(8, "little") + head)
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "another"}))
        assert kind_of(file) == kind


@pytest.mark.parametrize("text", ["", "[]", '{"model_type": "beats"}', '{"model_type": "vit"}'])
def test_tensors_say_what_a_damaged_config_does_not(text, tmp_path):
    shutil.copytree(TINY, tmp_path / "ear")
    (tmp_path / "ear" / "config.json").write_text(text)
    for place in (tmp_path / "ear", tmp_path / "ear" / "model.safetensors"):
        assert kind_of(place) == "eat"
        ear = encoder_of(place)
        line = refused(partial(getattr, ear, "dim"), "config", error=WeightsError)
        assert "take EAT(" not in line  # which was taken already


def test_a_published_file_is_what_its_name_ends_with(tmp_path):
    (tmp_path / "ear.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(9))
    for place, words in ((tmp_path, "make it: "), (tmp_path / "ear.h5", "is an HDF5 file")):
        assert kind_of(place) == "yamnet"
        refused(lambda p=place: encoder_of(p).fingerprint, words, "nearfar weights convert")


def test_sslam_is_an_eat_of_the_base_size(tmp_path):
    """Its tensors are EAT's by name, shape and count; here they are zeros."""
    shape = Architecture(768, 12, 12, 3072)
    named = {f"model.{name}": size for name, size in shape.shapes().items()}
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(header_bytes(named, "F32", {"format": "pt"}))
        file.truncate(file.tell() + 4 * 89_972_736)  # holes: no disk is needed
    (tmp_path / "config.json").write_text(json.dumps(shape.config()))
    ear = encoder_of(tmp_path)
    assert (type(ear), ear.dim, ear.grid_bands) == (nf.EAT, 768, 8)
    assert KINDS["eat"].module("weights").open_weights(tmp_path).architecture == shape


@pytest.mark.parametrize("place", ["nowhere", "owner/name", "", "\0", "~nobody/x"])
def test_what_is_not_there_is_refused_when_it_is_opened(place):
    assert kind_of(place) == FIRST


def test_presets_take_whatever_the_weights_are(tmp_path):
    for kind, row in KINDS.items():
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        place = str(tmp_path)
        assert nf.s3(place).members[1].embedder == row.of(place)
        assert nf.s1(place).embedder.embedder == row.of(place)


def test_a_checkpoint_that_nobody_knows_is_left_to_who_converts_it(tmp_path):
    file = tmp_path / "x.pt"
    assert kind_of_checkpoint(file) == FIRST
    for content in (b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x80\x02}."):
        file.write_bytes(content)
        assert kind_of_checkpoint(file) == FIRST
    assert kind_of_checkpoint(tmp_path) == FIRST
    shutil.copytree(TINY, tmp_path / "tiny")
    assert kind_of(tmp_path / "tiny") == "eat"


def test_a_trained_file_says_behind_which_front_end(tmp_path):
    pytest.importorskip("torch")
    from trained_file import make_trained

    for n, front in enumerate((nf.CoherenceMask(floor=0.3), nf.FarCancel(), nf.Near())):
        assert trained_behind(make_trained(tmp_path / f"{n}.safetensors", frontend=front)) == front


@pytest.mark.parametrize("said", ["{", "7", "{}", '{"frontend": {"type": "Mine"}}', "[]"])
def test_a_record_that_nobody_knows_is_left_to_the_fit(said, tmp_path):
    head = json.dumps({"__metadata__": {"nearfar": said}}).encode()
    file = tmp_path / "t.safetensors"
    file.write_bytes(len(head).to_bytes(8, "little") + head)
    assert trained_behind(file) is None


def test_published_weights_were_trained_behind_nothing():
    assert trained_behind(TINY) is None
    assert trained_behind("owner/name@main") is None
