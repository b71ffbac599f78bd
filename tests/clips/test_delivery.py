"""A data set onto the disk: the official layout, nothing twice, nothing written over, no half."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import refused
from nearfar.clips import Clips
from nearfar.clips.download import delivery, download, fetching, published
from nearfar.clips.download.receipts import NOTICE, RECEIPTS
from nearfar.clips.download.workplace import WORK
from nearfar.errors import DatasetError, NetworkError, SettingError, StorageError
from record_server import RecordServer, key_of, records, serve, small_files, tiny, zipped

PLACES = {"dev": "dev_data/raw", "train": "eval_data/raw", "eval": "eval_data/raw"}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "wait", lambda seconds: None)
    with RecordServer(records()) as running:
        yield running


def expected(*wanted):
    """Path → bytes of the recordings, by (split, machine)."""
    return {
        f"{PLACES[split]}/{name}": content
        for split, machine in wanted
        for name, content in tiny(machine, split).items()
    }


ALL = [("dev", "fan"), ("dev", "pump")] + [
    (s, m) for s in ("train", "eval") for m in ("drill", "lathe")
]


def tree(folder, *besides):
    """Path → bytes of everything in a folder but the notes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (RECEIPTS, NOTICE, *besides)
    }


def test_a_whole_data_set_comes_into_the_official_layout(server, tmp_path):
    said, moves = [], []
    found = download(
        "dcase2026", tmp_path / "new/d", server=server.url, tell=said.append,
        progress=lambda *move: moves.append(move),
    )  # fmt: skip
    folder = tmp_path / "new/d"
    assert tree(folder) == expected(*ALL)
    assert sorted(os.listdir(folder)) == [NOTICE, "dev_data", RECEIPTS, "eval_data"]
    assert [(a.split, a.machine, a.clips) for a in found.arrivals] == [
        (split, machine, 4 if split == "dev" else 2) for split, machine in ALL
    ]
    assert all(a.folder == folder / PLACES[a.split] / a.machine for a in found.arrivals)
    assert found.clips == 16
    assert len([line for line in said if "CC BY-NC-SA" in line]) == 1  # once, whatever comes
    assert "free" in said[0]  # the first line says what there is room for
    assert {what for what, *_ in moves} == {"fetching", "unpacking"}


def test_what_came_is_a_data_set_that_clips_understand(dcase, tmp_path):
    for split in ("dev_data", "eval_data"):
        shutil.copytree(dcase, tmp_path / "root" / split / "raw")
    with serve(tmp_path / "root") as url:
        download("dcase2026", tmp_path / "d", server=url)
    for split in ("dev_data", "eval_data"):
        theirs, ours = Clips.open(dcase), Clips.open(tmp_path / "d" / split / "raw")
        assert [c.file for c in ours] == [c.file for c in theirs]
        assert [c.machine for c in ours] == [c.machine for c in theirs]


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    download("dcase2026", tmp_path, server=server.url)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    server.requests.clear()
    said = []
    found = download("dcase2026", tmp_path, server=server.url, tell=said.append)
    assert [path for path, _ in server.requests if "/files/" in path] == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert said == []  # the licence was said when it came
    assert all(a.fetched == 0 and "there already" in a.line for a in found.arrivals)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"split": "dev"}, ALL[:2]),
        ({"split": ["eval", "train"]}, ALL[2:]),
        ({"machines": ["fan", "lathe"]}, [ALL[0], ("train", "lathe"), ("eval", "lathe")]),
        ({"split": "eval", "machines": ["drill"]}, [("eval", "drill")]),
        ({"split": "eval", "record": 20437238}, ALL[4:]),
    ],
)
def test_only_what_is_asked_for_comes(asked, wanted, server, tmp_path):
    download("dcase2026", tmp_path, server=server.url, **asked)
    assert tree(tmp_path) == expected(*wanted)


def test_files_that_were_removed_come_back_and_only_they(server, tmp_path):
    download("dcase2026", tmp_path, split="dev", server=server.url)
    folder = tmp_path / "dev_data/raw/fan"
    shutil.rmtree(folder / "test")
    kept = (folder / "attributes_00.csv").stat().st_ino
    said = []
    download("dcase2026", tmp_path, split="dev", server=server.url, tell=said.append)
    assert tree(tmp_path) == expected(*ALL[:2])
    assert (folder / "attributes_00.csv").stat().st_ino == kept
    assert "2 of 5 files are gone" in " ".join(said)
    assert len(server.asked("dev_pump.zip")) == 1


def test_a_clip_that_was_changed_stays_and_is_told(server, tmp_path):
    download("dcase2026", tmp_path, split="dev", server=server.url)
    clip = next((tmp_path / "dev_data/raw/fan/train").iterdir())
    clip.write_bytes(b"mine")
    refused(
        lambda: download("dcase2026", tmp_path, split="dev", server=server.url), clip.name,
        "move it away", error=StorageError,
    )  # fmt: skip
    assert clip.read_bytes() == b"mine"


def test_another_edition_of_the_server_is_told_and_comes_when_there_is_room(server, tmp_path):
    take = dict(split="dev", machines=["fan"], server=server.url)
    download("dcase2026", tmp_path, **take)
    server.made["dev"]["dev_fan.zip"] = zipped(tiny("fan", "dev", clips=3))
    refused(lambda: download("dcase2026", tmp_path, **take), "MD5", "move the folder away")
    assert tree(tmp_path) == expected(("dev", "fan"))
    shutil.rmtree(tmp_path / "dev_data/raw/fan")
    assert download("dcase2026", tmp_path, **take).clips == 6


def test_a_replaced_file_is_taken_for_the_first_and_that_is_said(tmp_path, monkeypatch):
    first, second = (zipped(tiny("ToyCar", "dev", clips=n)) for n in (1, 2))
    made = {
        "dev": {"dev_ToyCar.zip": first, key_of("ToyCar", "dev"): second},
        "train": {},
        "eval": {},
    }
    said = []
    take = dict(split="dev", tell=said.append)
    with RecordServer(made) as server:
        take["server"] = server.url
        refused(lambda: download("dcase2026", tmp_path, **take), "dev_ToyCar_r2.zip", "MD5")
        assert server.asked("dev_ToyCar_r2.zip") == []  # its MD5 is known before it is fetched
        known = ("dev_ToyCar_r2.zip", hashlib.md5(second).hexdigest())
        monkeypatch.setitem(published.REPLACED, ("dcase2026", "dev", "ToyCar"), known)
        download("dcase2026", tmp_path, **take)
        assert tree(tmp_path) == expected(("dev", "ToyCar"))
        assert server.asked("dev_ToyCar.zip") == []
    assert any("dev_ToyCar_r2.zip: takes the place of dev_ToyCar.zip" in line for line in said)


def test_what_else_a_record_has_is_named(server, tmp_path):
    server.extra["dev"] = [{"key": "LICENSE.pdf"}]
    said = []
    download("dcase2026", tmp_path, server=server.url, tell=said.append)
    assert any("LICENSE.pdf" in line for line in said)


def test_zips_that_are_kept_or_brought_by_hand_are_taken(server, tmp_path):
    take = dict(split="dev", server=server.url, keep_zips=True)
    download("dcase2026", tmp_path / "a", **take)
    zips = {p.name: p.read_bytes() for p in (tmp_path / "a/zips").iterdir()}
    assert zips == server.made["dev"]
    shutil.copytree(tmp_path / "a/zips", tmp_path / "b/zips")
    (tmp_path / "b/zips/dev_pump.zip").write_bytes(b"another")
    server.requests.clear()
    found = download("dcase2026", tmp_path / "b", **take)
    assert ["zip was there" in a.line for a in found.arrivals] == [True, False]
    assert (server.asked("dev_fan.zip"), len(server.asked("dev_pump.zip"))) == ([], 1)
    assert (tmp_path / "b/zips/dev_pump.zip").read_bytes() == b"another"  # somebody's
    assert tree(tmp_path / "b", *zips) == expected(*ALL[:2])


# ---- what stops it -------------------------------------------------------------------------------


def test_what_cannot_be_asked_for_is_refused_before_anything_is_made(server, tmp_path):
    folder = tmp_path / "d"
    take = dict(server=server.url)
    refused(lambda: download("dcase2062", folder, **take), "did you mean", error=SettingError)
    refused(lambda: download("dcase2026", folder, split="test", **take), "eval", error=SettingError)
    refused(lambda: download("dcase2026", folder, server="zenodo"), "address", error=SettingError)
    refused(lambda: download("dcase2026", folder, machines=[], **take), "no machine")
    assert server.requests == []
    refused(
        lambda: download("dcase2026", folder, machines="fam", **take), "did you mean 'fan'",
        error=DatasetError,
    )  # fmt: skip
    refused(lambda: download("dcase2026", folder, split="dev", record=9, **take), "404")
    assert not folder.exists()


def test_a_folder_of_another_data_set_is_refused_before_anything_is_asked(server, tmp_path):
    download("dcase2026", tmp_path, split="dev", server=server.url)
    server.requests.clear()
    refused(lambda: download("dcase2025", tmp_path, server=server.url), "dcase2026", "own")
    assert server.requests == []


def test_too_little_space_is_told_before_the_first_byte(server, tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "_free", lambda folder: 3000)
    refused(lambda: download("dcase2026", tmp_path, server=server.url), "too little space", "3 kB",
            error=StorageError)  # fmt: skip
    assert [path for path, _ in server.requests if "/files/" in path] == []


def test_zips_that_were_brought_are_not_counted_among_what_is_to_be_fetched(
    server, tmp_path, monkeypatch
):
    (tmp_path / "zips").mkdir()
    for key, content in server.made["dev"].items():
        (tmp_path / "zips" / key).write_bytes(content)
    room = 1.3 * sum(map(len, server.made["dev"].values()))
    monkeypatch.setattr(delivery, "_free", lambda folder: room)
    monkeypatch.setattr(delivery, "BLOCK", 0)
    said = []
    download("dcase2026", tmp_path, split="dev", server=server.url, tell=said.append)
    assert "2 files, 0 bytes to fetch" in said[0]


def test_a_machines_folder_may_be_a_link(server, tmp_path):
    (tmp_path / "d/dev_data/raw").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "d/dev_data/raw/fan").symlink_to(tmp_path / "other")
    download("dcase2026", tmp_path / "d", split="dev", machines="fan", server=server.url)
    # Unpacked where the link leads, so that no clip is moved from a disk to another.
    assert len(tree(tmp_path / "other")) == len(tiny("fan", "dev"))
    assert sorted(p.name[0] for p in (tmp_path / "other").iterdir()) == ["a", "t", "t"]


def test_what_unpacks_to_more_than_there_is_room_for_stays_packed_until_there_is(
    server, tmp_path, monkeypatch
):
    server.made["dev"] = {
        "dev_fan.zip": zipped({**tiny("fan", "dev"), "fan/z.wav": bytes(900_000)})
    }
    take = dict(split="dev", server=server.url)
    with monkeypatch.context() as few:
        few.setattr(delivery, "_free", lambda folder: 500_000)
        refused(lambda: download("dcase2026", tmp_path, **take), "to unpack", error=StorageError)
    assert not (tmp_path / "dev_data/raw/fan").exists()
    download("dcase2026", tmp_path, **take)
    assert server.asked("dev_fan.zip") == [""]  # it was there
    assert (tmp_path / "dev_data/raw/fan/z.wav").stat().st_size == 900_000


def test_a_disk_that_fills_while_it_unpacks_leaves_the_zip_and_nothing_else(server, tmp_path):
    server.made["dev"] = {"dev_fan.zip": zipped({**tiny("fan", "dev"), "fan/z.wav": bytes(90_000)})}
    take = dict(split="dev", server=server.url)
    with small_files(50_000):
        refused(
            lambda: download("dcase2026", tmp_path, **take), "z.wav", "free some space",
            error=StorageError,
        )  # fmt: skip
    assert sorted(os.listdir(tmp_path / "dev_data/raw")) == []
    download("dcase2026", tmp_path, **take)
    assert server.asked("dev_fan.zip") == [""]
    assert (tmp_path / "dev_data/raw/fan/z.wav").stat().st_size == 90_000


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"../../evil.wav": b""}, "evil"),
        (tiny("pump", "dev"), "pump"),
        (None, "zip"),
    ],
)
def test_of_a_wrong_zip_nothing_is_left_and_what_came_before_stays(files, word, server, tmp_path):
    server.made["dev"]["dev_pump.zip"] = (
        b"no zip at all, but a page" if files is None else zipped(files)
    )
    if files == tiny("pump", "dev"):
        server.made["dev"]["dev_pump.zip"] = zipped(tiny("fan", "dev"))
        word = "fan"
    refused(lambda: download("dcase2026", tmp_path, split="dev", server=server.url), "dev_pump.zip",
            word, error=DatasetError)  # fmt: skip
    assert tree(tmp_path) == expected(("dev", "fan"))
    assert not (tmp_path / WORK).exists()
    assert "evil.wav" not in " ".join(map(str, tmp_path.parent.rglob("*")))


def test_what_a_killed_program_had_unpacked_aside_is_made_anew(server, tmp_path):
    aside = tmp_path / "dev_data/raw/.dev_fan.zip.unpacking"
    (aside / "train").mkdir(parents=True)
    (aside / "train" / "half.wav").write_text("ha")
    download("dcase2026", tmp_path, split="dev", server=server.url)
    assert tree(tmp_path) == expected(*ALL[:2])


def test_a_server_that_goes_away_leaves_a_part_to_go_on_with(server, tmp_path):
    server.plan["dev_pump.zip"] = "stuck"
    take = dict(split="dev", server=server.url)
    refused(lambda: download("dcase2026", tmp_path, **take), "dev_pump.zip", error=NetworkError)
    assert tree(tmp_path / "dev_data") == {
        name.removeprefix("dev_data/"): c for name, c in expected(("dev", "fan")).items()
    }
    server.plan.clear()
    download("dcase2026", tmp_path, **take)
    assert tree(tmp_path) == expected(*ALL[:2])
    assert server.asked("dev_pump.zip")[-1].startswith("bytes=")


KILLER = """
import os, sys
from nearfar.clips.download import download
url, folder, first, step = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")
def child(place, last):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event in STEPS and place in str(arguments[0]):
            seen += 1
            if seen == last:
                os._exit(9)
    sys.addaudithook(hook)
    download("dcase2026", place, split=["train", "eval"], machines=["drill"], server=url)
    os._exit(0)
last, ends = first, []
while True:
    place = os.path.join(folder, str(last))
    if not (number := os.fork()):
        child(place, last)
    _, status = os.waitpid(number, 0)
    ends.append(os.waitstatus_to_exitcode(status))
    download("dcase2026", place, split=["train", "eval"], machines=["drill"], server=url)
    if ends[-1] != 9:
        break
    last += step
print(*ends)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("first", "step"), [(23, 37), pytest.param(1, 1, marks=pytest.mark.slow)], ids=["few", "each"]
)
def test_killed_at_any_step_on_the_disk_it_goes_on_and_is_whole(first, step, server, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, server.url, tmp_path, str(first), str(step)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    ends = done.stdout.split()
    assert set(ends[:-1]) == {"9"}
    assert ends[-1] == "0"
    assert len(ends) > 60 / step
    for place in tmp_path.iterdir():
        assert tree(place) == expected(("train", "drill"), ("eval", "drill")), place.name
        assert sorted(os.listdir(place)) == [NOTICE, RECEIPTS, "eval_data"]
        noted = json.loads((place / RECEIPTS).read_text())
        assert sorted(noted["files"]) == ["eval_data_drill_test.zip", "eval_data_drill_train.zip"]
