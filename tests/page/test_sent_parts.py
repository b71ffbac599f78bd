"""A request is stored as it comes; whatever it says of itself, nothing is half there."""

import tempfile
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from nearfar.page.refusal import Refusal
from nearfar.page.sent.sent_files import SentFolder
from nearfar.page.sent.sent_parts import SentParts
from setups import as_parts, whole


def body(files):
    """A request's body, and what it says that it is."""
    request = httpx.Request("POST", "http://x/", files=as_parts(files))
    return request.read(), request.headers["content-type"]


def send(tmp_path, content, kind, step=1 << 20):
    folder = SentFolder(tmp_path / "pump.normals")
    with SentParts(folder, kind) as parts:
        for i in range(0, len(content), step):
            parts.feed(content[i : i + step])
        parts.end()
    return parts


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_files_come_as_they_were_however_they_are_cut(tmp_path, step):
    files = {"day/a.wav": b"\r\n--almost\r\n" * 9, "day/b.wav": b"", "c.wav": bytes(range(256))}
    parts = send(tmp_path, *body(files), step=step)
    assert (parts.stored, parts.known, parts.left_out, parts.refused) == (3, 0, [], [])
    for name, data in files.items():
        assert (tmp_path / "pump.normals" / name).read_bytes() == data


def test_one_bad_name_costs_the_others_nothing(tmp_path):
    files = {"../x.wav": b"1", "a.wav": b"2", ".DS_Store": b"3", "a.txt": b"4", "b.wav": b"5"}
    parts = send(tmp_path, *body(files))
    assert parts.stored == 2
    assert [".DS_Store" in parts.left_out[0], "a.txt" in parts.left_out[1]] == [True, True]
    assert len(parts.refused) == 1
    assert "../x.wav" in parts.refused[0]
    assert whole(tmp_path / "pump.normals") == ["a.wav", "b.wav"]
    assert not (tmp_path / "x.wav").exists()


def test_names_that_are_one_when_written_alike(tmp_path):
    names = ["Lu\u0308fter.wav", "L\u00fcfter.wav"]
    first, second = ({name: data} for name, data in zip(names, (b"one", b"one"), strict=True))
    assert send(tmp_path, *body(first)).stored == 1
    assert send(tmp_path, *body(second)).known == 1
    assert "L" in send(tmp_path, *body({names[0]: b"two"})).refused[0]
    assert len(whole(tmp_path / "pump.normals")) == 1


def test_a_field_that_is_no_file_is_passed_over(tmp_path):
    request = httpx.Request(
        "POST", "http://x/", data={"who": "Ada"}, files=as_parts({"a.wav": b""})
    )
    assert send(tmp_path, request.read(), request.headers["content-type"]).stored == 1


@pytest.mark.parametrize("cut", [4, 40, 200, 2000])
def test_a_request_that_ends_half_way_keeps_only_whole_files(tmp_path, cut):
    content, kind = body({"a.wav": b"1" * 1000, "b.wav": b"2" * 1000})
    refused(lambda: send(tmp_path, content[:-cut], kind), "half-way", error=Refusal)
    left = whole(tmp_path / "pump.normals") if cut < 2000 else []
    assert left in ([], ["a.wav"], ["a.wav", "b.wav"])
    for name in left:
        assert len((tmp_path / "pump.normals" / name).read_bytes()) == 1000


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "audio/wav; boundary=x",
             f"multipart/form-data; boundary={'x' * 10_000}"],
)  # fmt: skip
def test_another_kind_of_request_is_refused(tmp_path, kind):
    refused(lambda: SentParts(SentFolder(tmp_path / "n"), kind), error=Refusal)


def test_a_body_that_is_none_is_refused(tmp_path):
    _, kind = body({"a.wav": b""})
    refused(lambda: send(tmp_path, b"no boundary here" * 50, kind), error=Refusal)
    assert not (tmp_path / "pump.normals").exists()


def test_thousands_of_files_in_one_request_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("nearfar.page.sent.sent_parts.FILES", 3)
    content, kind = body({f"{i}.wav": b"x" for i in range(5)})
    with pytest.raises(Refusal) as caught:
        send(tmp_path, content, kind)
    assert caught.value.status == 413
    assert len(whole(tmp_path / "pump.normals")) == 3


BODY, KIND = body({"day/a.wav": b"1" * 60, "b.wav": b"2" * 60})


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, len(BODY)), st.integers(0, 40), st.binary(max_size=40)),
                max_size=4), st.integers(1, 200))  # fmt: skip
@settings(max_examples=150)
def test_damaged_requests_are_refused_or_stored_and_nothing_is_half_there(damage, step):
    content = BODY
    for at, less, more in damage:
        content = content[:at] + more + content[at + less :]
    with tempfile.TemporaryDirectory() as place:
        with suppress(Refusal):
            send(Path(place), content, KIND, step)
        found = whole(Path(place))
        assert all(name.startswith("pump.normals/") for name in found)


def test_a_form_in_which_no_file_was_chosen_sends_none(tmp_path):
    content, kind = body({"a.wav": b""})
    parts = send(tmp_path, content.replace(b"a.wav", b""), kind)
    assert (parts.stored, parts.refused, parts.left_out) == (0, [], [])
