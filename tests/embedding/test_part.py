"""A part is read as it was written, whole, or refused in one line."""

from pathlib import Path

import pytest

import nearfar as nf
from conftest import first_quick, refused
from nearfar.embedding.part import Question, check_place, read_part, write_part
from nearfar.errors import FormatError, StorageError
from nearfar.runtime.shards import Deferred, Shard
from nearfar.version import __version__
from processes import no_space
from shard_parts import CLIPS, CODEC, Listened, part_of, said_of, saying


@pytest.mark.parametrize(("number", "of"), [(1, 2), (2, 2), (1, 1), (7, 9)])
def test_a_part_is_read_as_it_was_written(tmp_path, number, of):
    told = [("a.wav: quiet", "a.wav"), ("line", "")]
    found = read_part(part_of(tmp_path, number, of, told=told, rate=0.1 + 0.2))
    own = CLIPS[Shard(number, of).mine]
    assert (found.shard, found.clips, found.told) == (Shard(number, of), own, told)
    assert found.head["asked"] == {"skip_bad": False, "rate": 0.1 + 0.2}
    assert [*found.pieces] == CODEC.names(Listened(own))
    rows = [one.rows[0][0] for one in CODEC.result([*found.pieces.values()])]
    assert rows == list(range(len(own)))


def test_the_same_shard_is_the_same_bytes(tmp_path):
    first = part_of(tmp_path).read_bytes()
    assert part_of(tmp_path).read_bytes() == first


@pytest.mark.parametrize("changed", first_quick([0xFF, 1, 0x80]))
def test_a_changed_byte_wherever_it_is_is_one_line(tmp_path, changed):
    path = part_of(tmp_path)
    content = path.read_bytes()
    for place in range(0, len(content), 10):
        some = bytearray(content)
        some[place] ^= changed
        path.write_bytes(some)
        refused(lambda: read_part(path), path, error=FormatError)


def test_a_part_cut_short_or_made_longer_is_one_line(tmp_path):
    path = part_of(tmp_path)
    content = path.read_bytes()
    for some in (*(content[:size] for size in range(0, len(content), 37)), content + b"\0"):
        path.write_bytes(some)
        refused(lambda: read_part(path), path, error=FormatError)


@pytest.mark.parametrize("head", [
    {"shard": [3, 2]}, {"shard": [1]}, {"shard": None}, {"clips": 10**12}, {"clips": -1},
    {"clips": "a"}, {"told": 5}, {"told": [["a"]]}, {"command": "watch"}, {"command": 5},
    {"asked": []},
], ids=str)  # fmt: skip
def test_what_no_shard_says_of_itself_is_refused(tmp_path, head):
    refused(
        lambda: read_part(saying(part_of(tmp_path), **head)), "run its shard", error=FormatError
    )


@pytest.mark.parametrize("kind", [0, 2, "x", None])
def test_another_format_is_named(tmp_path, kind):
    path = saying(part_of(tmp_path), format=kind)
    refused(lambda: read_part(path), f"format {kind}", __version__, error=FormatError)


@pytest.mark.parametrize(("name", "told"), [
    ("folder", "is a folder"), ("gone", "no such file"), ("empty", "another file"),
    ("table.csv", "another file"),
])  # fmt: skip
def test_what_is_no_part_is_told_for_what_it_is(tmp_path, name, told):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "table.csv").write_text("path,machine\na.wav,fan\n")
    refused(lambda: read_part(tmp_path / name), name, told, error=FormatError)


def test_only_a_part_of_this_shard_is_written_over(tmp_path):
    path, other = part_of(tmp_path), tmp_path / "notes"
    other.write_text("mine")
    check_place(path, Shard(1, 2), [], replace=False)
    for place, shard in ((path, Shard(2, 2)), (path, Shard(1, 3)), (other, Shard(1, 2))):
        refused(lambda p=place, s=shard: check_place(p, s, [], False), "--replace",
                error=StorageError)  # fmt: skip
    refused(lambda: check_place(other, Shard(1, 2), [other], True), "input", error=StorageError)


def test_a_full_disk_leaves_no_half_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", no_space)
    asked = Question("fit", {}, [nf.Clip("a.wav")])
    refused(lambda: write_part(tmp_path / "1", Shard(1, 1), asked, Deferred({}, [])), "No space",
            error=StorageError)  # fmt: skip
    assert [*tmp_path.iterdir()] == []


def test_a_part_says_by_which_nearfar_it_was_written(tmp_path):
    assert said_of(part_of(tmp_path).read_bytes())["nearfar"] == __version__


def test_no_part_is_written_to_a_folder_that_is_called_like_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(lambda: check_place(Path("s3://plant/part"), Shard(1, 2), [], False),
            "s3://plant/part: parts are written to this machine", error=StorageError)  # fmt: skip
    assert not list(tmp_path.iterdir())
