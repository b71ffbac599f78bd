"""Zips that were made to do harm, and those that merely are another file: nothing comes of them."""

import errno
import io
import os
import random
import stat
import struct
import zipfile

import pytest

from conftest import refused
from nearfar.clips.download.published import Archive
from nearfar.clips.download.unpacking import contents, missing, opened, place_in, unpack
from nearfar.errors import DatasetError, StorageError
from record_server import tiny, zipped


def archive(size=10_000, split="dev", machine="fan"):
    return Archive(f"dev_{machine}.zip", machine, split, size, "0" * 32, "")


def looked(tmp_path, content, **of):
    """What a zip is found to hold."""
    place = tmp_path / "a.zip"
    place.write_bytes(content)
    with opened(place, (made := archive(len(content), **of))) as file:
        return contents(file, made)


def unpacked(tmp_path, content, target="raw/fan", **of):
    """A zip on the disk, as a delivery does it."""
    place, staging, target = tmp_path / "a.zip", tmp_path / "aside", tmp_path / target
    place.write_bytes(content)
    made = archive(len(content), **of)
    with opened(place, made) as file:
        listed = contents(file, made)
        absent, _ = missing(listed, target)
        unpack(file, absent, staging, made, lambda there: None)
    place_in(staging, target)
    return target


def tree(folder):
    """Name → bytes of all that lies in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def entry(name, mode=0, **changes):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    for key, value in changes.items():
        setattr(info, key, value)
    return info


FAN = tiny("fan", "dev")


def test_a_machine_comes_whole_into_its_folder(tmp_path):
    target = unpacked(tmp_path, zipped({"fan/": b"", "fan/train/": b"", **FAN}))
    assert {f"fan/{name}": content for name, content in tree(target).items()} == FAN
    assert not (tmp_path / "aside").exists()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_however_it_is_packed(compression, tmp_path):
    assert len(tree(unpacked(tmp_path, zipped(FAN, compression)))) == len(FAN)


def test_the_folder_of_a_second_edition_may_have_its_number(tmp_path):
    content = zipped({name.replace("fan/", "fan_r2/"): c for name, c in FAN.items()})
    assert {f"fan/{name}" for name in tree(unpacked(tmp_path, content))} == set(FAN)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.wav", "fan/../../evil.wav", "/etc/evil.wav", "//host/evil.wav", "fan//evil.wav",
        "fan/./evil.wav", "fan/..", "C:/evil.wav", "fan/train/C:evil.wav", "..\\evil.wav",
        "fan\\train\\evil.wav", "fan/train/evil.wav\x00.txt", "fan/train/a\nb.wav",
        "fan/train/con.wav", "fan/train/NUL", "fan/train/evil.wav.", "fan/train /evil.wav",
        "fan/train/evil.wav:stream", "fan/train/*.wav", "fan/train/\x1b[31m.wav",
        "fan/train/" + "x" * 256, "fan/" + "x/" * 20 + "a.wav", "",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_or_is_none_everywhere_is_refused(name, tmp_path):
    content = zipped({**FAN, entry(name): b"evil"})
    line = refused(lambda: looked(tmp_path, content), "dev_fan.zip", error=DatasetError)
    assert "\x1b" not in line
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_a_link_a_device_or_a_folder_that_is_a_file_is_refused(kind, tmp_path):
    content = zipped({**FAN, entry("fan/train/evil.wav", kind | 0o777): b"/etc/passwd"})
    refused(lambda: looked(tmp_path, content), "evil.wav", "link", error=DatasetError)


def test_folders_that_some_system_takes_for_one_are_refused(tmp_path):
    for name in ("fan/TRAIN/b.wav", "fan/Train/"):
        content = zipped({**FAN, name: b""})
        refused(lambda made=content: looked(tmp_path, made), "other letters", error=DatasetError)


@pytest.mark.parametrize(
    "name",
    [
        "fan/train/A.wav", "fan_r2/train/a.wav", "fan/train/a.wav/b.wav",
        "fan/train/a.wav/", "fan/train/a.wav",
    ],
)  # fmt: skip
def test_names_that_some_system_takes_for_one_are_refused(name, tmp_path, recwarn):
    content = zipped({**FAN, "fan/train/a.wav": b"1", entry(name): b"2"})
    refused(lambda: looked(tmp_path, content), "twice", error=DatasetError)


def test_accents_that_are_spelled_in_two_ways_are_one_name(tmp_path):
    content = zipped({**FAN, "fan/train/\u00e9.wav": b"1", "fan/train/e\u0301.wav": b"2"})
    refused(lambda: looked(tmp_path, content), "twice", error=DatasetError)


def test_what_unpacks_to_far_too_much_is_refused(tmp_path):
    content = zipped({**FAN, "fan/train/zeros.wav": bytes(60_000_000)})
    assert len(content) < 100_000
    refused(lambda: looked(tmp_path, content), "60,00", "no recordings", error=DatasetError)


def lie(content, name, offset, value):
    """A zip whose directory says something else of one file."""
    at = content.index(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 4)
    return content[: at + offset] + struct.pack("<I", value) + content[at + offset + 4 :]


@pytest.mark.parametrize(
    ("offset", "value"),
    [(24, 10), (24, 101), (24, 5000), (16, 0xDEAD), (20, 5), (42, 7), (42, 0xFFFFFF)],
)  # unpacked bytes, checksum, packed bytes, place
def test_a_zip_that_lies_of_a_file_gives_no_file(offset, value, tmp_path):
    name = "fan/train/section_00_source_train_normal_0001_noAttribute.wav"
    content = lie(zipped(FAN), name, offset, value)
    refused(lambda: unpacked(tmp_path, content), "dev_fan.zip", error=DatasetError)
    assert not (tmp_path / "raw").exists()


def test_an_encrypted_file_is_refused(tmp_path):
    name = "fan/attributes_00.csv"
    content = lie(zipped(FAN), name, 8, 1 | 8 << 16)  # flag, and the way it is packed
    refused(lambda: looked(tmp_path, content), "encrypted", error=DatasetError)


def test_a_way_of_packing_that_nobody_knows_is_refused(tmp_path):
    content = lie(zipped(FAN), "fan/attributes_00.csv", 8, 99 << 16)
    refused(lambda: unpacked(tmp_path, content), "cannot be unpacked", error=DatasetError)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"PK\x03\x04" + bytes(30), zipped(FAN)[:-30], zipped(FAN)[100:]]
)
def test_what_is_no_whole_zip_is_refused(content, tmp_path):
    refused(lambda: unpacked(tmp_path, content), "dev_fan.zip", "zip", error=DatasetError)


@pytest.mark.parametrize(
    ("files", "word"),
    [
        (tiny("pump", "dev"), "pump"),
        ({**FAN, **tiny("pump", "dev")}, "pump"),
        ({**FAN, "fan": b""}, "twice"),
        (tiny("fan", "train"), "test"),
        (tiny("fan", "eval"), "train"),
        ({"fan/train/a.txt": b"", "fan/test/b.txt": b""}, "no WAV"),
        ({"fan/": b""}, "none"),
        ({}, "none"),
    ],
)
def test_another_machine_or_split_than_the_name_says_is_refused(files, word, tmp_path):
    refused(lambda: looked(tmp_path, zipped(files)), "dev_fan.zip", word, error=DatasetError)


def test_the_years_folders_are_understood(tmp_path):
    split_tests = {
        "fan/train/a.wav": b"",
        "fan/source_test/a.wav": b"",
        "fan/target_test/b.wav": b"",
    }
    assert looked(tmp_path, zipped(split_tests)).clips == 3  # 2021
    supplement = {"fan/train/a.wav": b"", "fan/supplemental/b.wav": b""}
    assert looked(tmp_path, zipped(supplement), split="train").clips == 2  # 2025
    assert looked(tmp_path, zipped({"fan/test/a.wav": b""}), split="eval").clips == 1


def test_what_a_packer_left_is_named_and_stays_out(tmp_path):
    left = ("__MACOSX/fan/._a.wav", "fan/train/.DS_Store", "fan/train/._a.wav", "readme.txt")
    listed = looked(tmp_path, zipped({**FAN, **dict.fromkeys(left, b"")}))
    assert len(listed.files) == len(FAN)
    assert listed.aside == left


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_a_line_however_it_is_packed(way, tmp_path):
    rng = random.Random(0)
    whole, failed = zipped(FAN, way), 0
    for number in range(30):
        content = bytearray(whole)
        content[rng.randrange(len(whole) // 2)] ^= 1 << rng.randrange(8)  # in the files' bytes
        (folder := tmp_path / str(number)).mkdir()
        try:
            unpacked(folder, bytes(content))
        except DatasetError:
            failed += 1
    assert failed > 5


# ---- what is there already -----------------------------------------------------------------------


def test_two_zips_of_a_machine_come_into_one_folder(tmp_path):
    train, test = tiny("fan", "train"), tiny("fan", "eval")
    unpacked(tmp_path, zipped(train), split="train")
    target = unpacked(tmp_path, zipped(test), split="eval")
    assert {f"fan/{name}": content for name, content in tree(target).items()} == {**train, **test}


def test_the_same_file_stays_and_another_is_never_written_over(tmp_path):
    first = next(iter(FAN)).removeprefix("fan/")
    mine = tmp_path / "raw/fan" / first
    mine.parent.mkdir(parents=True)
    mine.write_bytes(FAN[f"fan/{first}"])
    before = mine.stat().st_ino
    assert len(tree(unpacked(tmp_path, zipped(FAN)))) == len(FAN)
    assert mine.stat().st_ino == before
    for content in (b"mine", FAN[f"fan/{first}"][::-1]):  # another size, and the same
        mine.write_bytes(content)
        refused(lambda: unpacked(tmp_path, zipped(FAN)), first, "move it away", error=StorageError)
        assert mine.read_bytes() == content


def test_a_folder_that_is_a_link_to_another_disk_is_told_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "raw/fan/train").mkdir(parents=True)

    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", refuse)
    refused(lambda: unpacked(tmp_path, zipped(FAN)), "another disk", "link", error=StorageError)


@pytest.mark.parametrize("what", ["folder", "link", "file"])
def test_something_else_in_a_files_place_is_refused(what, tmp_path):
    place = tmp_path / "raw/fan" / "attributes_00.csv"
    place.parent.mkdir(parents=True)
    if what == "folder":
        place.mkdir()
    elif what == "link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "raw/fan/train").write_text("mine")
    refused(lambda: unpacked(tmp_path, zipped(FAN)), "there already", error=StorageError)
    assert not (tmp_path / "nowhere").exists()


def test_a_list_of_attributes_of_another_zip_stays_but_no_clip_does(tmp_path):
    target = tmp_path / "raw/fan"
    unpacked(tmp_path, zipped(FAN))
    listed = looked(tmp_path, zipped({**FAN, "fan/attributes_00.csv": b"other"}))
    assert missing(listed, target, {"attributes_00.csv"}) == ((), ("attributes_00.csv",))
    clip = next(iter(FAN))
    listed = looked(tmp_path, zipped({**FAN, clip: b"other"}))
    ours = {name.removeprefix("fan/") for name in FAN}
    refused(lambda: missing(listed, target, ours), "there already", error=StorageError)


def test_what_is_there_by_now_is_not_moved_over(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").write_text(name)
    refused(lambda: place_in(tmp_path / "new", tmp_path / "old"), "there already")
    assert (tmp_path / "old/a.wav").read_text() == "old"


def test_a_zip_in_a_zip_is_a_file_like_others(tmp_path):
    inner = io.BytesIO(zipped({"../evil": b""})).getvalue()
    target = unpacked(tmp_path, zipped({**FAN, "fan/more.zip": inner}))
    assert (target / "more.zip").read_bytes() == inner
