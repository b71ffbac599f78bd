"""Zips of strangers: nothing leaves them, nothing blows up, and what is not touched is told."""

import io
import stat
import zipfile

import pytest

from conftest import refused
from nearfar.errors import FormatError
from nearfar.scores.files import KINDS, read_scores
from nearfar.scores.submission import archive
from nearfar.scores.submission.archive import ZipContents, in_zip, score_files
from nearfar.scores.submission.checking import MOST_IN_SYSTEM
from nearfar.scores.submission.label import MOST_SYSTEMS
from submissions import LABEL, ONE, SCORES, files_of, made, table, zipped


def one_entry(path, name, *, link=False, flag=0):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    if link:
        info.create_system = 3
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(info, "/etc/passwd" if link else "a")
    if flag:  # in both heads, as a zip with a password has it
        content = bytearray(path.read_bytes())
        for head, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(head) + place] |= flag
        path.write_bytes(content)
    return ZipContents.open(path)


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("/etc/passwd", {}, "absolute"),
        ("C:/a.csv", {}, "absolute"),
        ("../a.csv", {}, "leads out"),
        ("task2/../../a.csv", {}, "leads out"),
        ("task2\\a.csv", {}, "backslash"),
        ("..\\a.csv", {}, "leads out"),
        ("task2/a.csv", {"link": True}, "a link"),
        ("task2/a.csv", {"flag": 1}, "password"),
    ],
)
def test_what_is_not_touched_is_told(tmp_path, name, how, said):
    found = one_entry(tmp_path / "a.zip", name, **how)
    assert found.names == ()
    assert said in found.refused[name]
    assert ";" in found.refused[name]


def test_a_file_twice_and_what_systems_leave_behind(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("task2/a.csv", "1")
        for name in ("__MACOSX/task2/._a.csv", "task2/.DS_Store", "task2/._a.csv", "task2/b/"):
            out.writestr(name, "x")
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("task2/a.csv", "2")
    found = ZipContents.open(path)
    assert found.names == ("task2/a.csv",)
    assert "twice" in found.refused["task2/a.csv"]
    assert len(found.junk) == 3


def test_every_years_table_is_read_and_no_zip_keeps_anybody_busy():
    """2020 had up to 1665 clips a machine; a second goes for some ten megabytes of rows."""
    assert 1665 * len("normal_id_01_00000000.wav,-1.2345678901234567e-05\n") < archive.LARGEST
    assert MOST_SYSTEMS * MOST_IN_SYSTEM * archive.LARGEST < 300e6


def test_a_bomb_is_read_no_further_than_a_table_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 1000)
    path = zipped(tmp_path / "a.zip", {"a.csv": b"0" * 1000, "b.csv": b"0" * 1001})
    found = ZipContents.open(path)
    assert len(found.read("a.csv", 1000)) == 1000
    refused(lambda: found.read("b.csv", 1000), "more than 1,000 bytes", error=FormatError)
    # What the zip says of a size is what its maker wanted it to say.
    content = path.read_bytes().replace((1001).to_bytes(4, "little"), (5).to_bytes(4, "little"))
    path.write_bytes(content)
    refused(lambda: ZipContents.open(path).read("b.csv"), "b.csv", error=FormatError)


@pytest.mark.parametrize("content", [b"", b"PK", b"%PDF-1.7", b"PK\x05\x06" + bytes(18), None])
def test_what_is_no_zip_is_told(tmp_path, content):
    path = tmp_path / "a.zip"
    if content is not None:
        path.write_bytes(content)
    if content == b"PK\x05\x06" + bytes(18):  # an empty one
        assert ZipContents.open(path).names == ()
    else:
        refused(lambda: ZipContents.open(path), "a.zip", error=FormatError)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_zip_is_one_line_or_is_read(tmp_path, seed):
    import random

    draw = random.Random(seed)
    whole, said = made(1), []
    for n in range(12):
        content = bytearray(whole[: draw.randrange(len(whole))] if n % 2 else whole)
        for _ in range(draw.randrange(1, 30)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        path = tmp_path / f"{n}.zip"
        path.write_bytes(content)
        try:
            found = ZipContents.open(path)
            for name in found.names:
                found.read(name)
        except FormatError as error:
            said.append(str(error))
    assert said
    assert not any("\n" in line for line in said)


def test_too_many_files_are_no_package(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    path = zipped(tmp_path / "a.zip", {f"{n}": b"" for n in range(4)})
    refused(lambda: ZipContents.open(path), "4 files", error=FormatError)


def key(row):
    return row.machine, row.file, row.score, row.decision


@pytest.mark.parametrize("inner", ["2", "Kim_LUDO_task2_2", "task2/Kim_LUDO_task2_2"])
def test_scores_of_a_system_are_read_out_of_a_package_to_the_bit(tmp_path, inner):
    path = tmp_path / "p.zip"
    path.write_bytes(made(2))
    found = read_scores(path / inner)
    assert sorted(map(key, found.rows)) == sorted(map(key, table(0.2).rows))
    assert {row.where.split(":")[0].split("/")[-3] for row in found.rows} == {"task2"}
    refused(lambda: read_scores(path), "2 systems", "choose one, as in", error=FormatError)
    refused(lambda: read_scores(path / "3"), "no system '3'", error=FormatError)
    path.write_bytes(made(1))
    assert len(read_scores(path).rows) == len(table().rows)


def test_a_package_with_a_trap_gives_no_scores(tmp_path):
    path = tmp_path / "p.zip"
    zipped(path, {**files_of(made(1)), "../../x": b"a"})
    refused(lambda: read_scores(path), "leads out", error=FormatError)
    zipped(path, {"readme.txt": b""})
    refused(lambda: read_scores(path), "it has: none", error=FormatError)
    zipped(path, {ONE + SCORES: b"section_00_0000.wav,x\n"})
    refused(lambda: read_scores(path), f"{SCORES}:1", "'x'", error=FormatError)
    (tmp_path / "folder.zip").mkdir()
    assert in_zip(tmp_path / "folder.zip") is None
    assert in_zip(tmp_path / "a\0b.zip") is None


def test_what_a_package_holds_is_told_by_its_place(tmp_path):
    path = tmp_path / "p.zip"
    path.write_bytes(made(1))
    found = score_files(path, LABEL.system(1), KINDS)
    assert {p.relative_to(path).parent.as_posix() + "/" for p in found} == {ONE}
    assert found[path / ONE / SCORES] == files_of(path.read_bytes())[ONE + SCORES]
    assert zipfile.is_zipfile(io.BytesIO(made(1)))
