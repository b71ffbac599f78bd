"""Log-mels on disk: read once, whole or not there, mended, told, cleared."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import finish, machine_sound, write
from finetune_sounds import EAR, contents, heard_features, write_lengths
from nearfar.clips import Clips
from nearfar.errors import NearfarWarning, StorageError
from nearfar.frontend import Near
from nearfar.runtime import arrays
from nearfar.runtime.arrays import clear_stores, stored_bytes
from nearfar.runtime.runtime import Runtime
from nearfar.sound import audio
from nearfar.sound.audio import digest_of
from nearfar.training import FineTuning
from nearfar.training.examples import mels as melstore
from nearfar.training.examples import prepare
from nearfar.training.examples.examples import examples
from nearfar.training.examples.mels import MelStore, check_room

SETTINGS = FineTuning(held_out=0.2, batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_lengths(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
def clips(folder):
    return Clips.open(folder, split="train")


@pytest.fixture
def made(clips, tmp_path):
    return examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))


@pytest.fixture
def reads(monkeypatch):
    """Sounds that were read, counted."""
    count = []
    real = audio.read_recorded
    monkeypatch.setattr(audio, "read_recorded", lambda *a, **k: count.append(a[0]) or real(*a, **k))
    return count


def test_a_second_run_reads_nothing(clips, made, tmp_path, reads):
    again = examples(clips, Near(), EAR, replace(SETTINGS, seed=5), Runtime(cache=tmp_path))
    assert reads == []
    assert contents(again) == contents(made)


def test_only_what_changed_is_read_again(folder, tmp_path, reads):
    root = tmp_path / "sounds"
    shutil.copytree(folder, root)
    runtime = Runtime(cache=tmp_path)
    before = examples(Clips.open(root, "train"), Near(), EAR, SETTINGS, runtime)
    clip = before.clips[0]
    times = os.stat(clip.path)
    write(clip.path, machine_sound(np.random.default_rng(9), before.samples[0] / 16_000))
    os.utime(clip.path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copying tool may do
    assert os.stat(clip.path).st_size == times.st_size
    del reads[:]
    after = examples(Clips.open(root, "train"), Near(), EAR, SETTINGS, runtime)
    assert [Path(p) for p in reads] == [clip.path]
    assert before.near_digests[0] not in after.near_digests
    assert set(before.near_digests[1:]) < set(after.near_digests)
    i = after.near_digests.index(digest_of(clip.read()[:1]))
    np.testing.assert_array_equal(after.whole(i), heard_features(clip.read()[0]))


def test_moved_files_are_read_but_not_stored_again(folder, made, tmp_path):
    size = stored_bytes(tmp_path)
    root = tmp_path / "elsewhere"
    shutil.copytree(folder, root)
    again = examples(Clips.open(root, "train"), Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    assert contents(again) == contents(made)
    assert stored_bytes(tmp_path) - size < 20_000  # notes, no numbers


def test_another_front_end_or_channel_order_finds_nothing(clips, made, tmp_path, reads):
    runtime = Runtime(cache=tmp_path)
    other = examples(clips, nf.CoherenceMask(floor=0.3), EAR, SETTINGS, runtime)
    assert len(reads) == 19
    examples(clips, Near(), EAR, SETTINGS, runtime, "far-near")
    assert len(reads) == 38
    assert not np.array_equal(other.whole(0), made.whole(0))


def test_log_mels_are_views_that_nobody_can_write_to(made):
    mel = made.whole(0)
    assert np.shares_memory(mel, made.mels[made.digests[0]])
    assert not mel.flags.owndata
    assert mel.dtype == np.float32
    assert mel.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        mel[0] = 0


KILLED = """
import os, signal, sys
from pathlib import Path
from nearfar.clips import Clips
from nearfar.embedder.eat import EAT
from nearfar.training import FineTuning
from nearfar.training.examples import mels as melstore, prepare
from nearfar.training.examples.examples import examples
from nearfar.frontend import Near
from nearfar.runtime.runtime import Runtime

prepare.JOB = 8
where, count = sys.argv[3], [0]

def deadly(real):
    def call(*a, **k):
        count[0] += 1
        if count[0] == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*a, **k)
    return call

if where == "numbers":
    melstore.MelStore.add = deadly(melstore.MelStore.add)
elif where == "note":
    melstore.MelStore.note = deadly(melstore.MelStore.note)
elif where == "name":  # all is written, and has not got its name yet
    Path.replace = deadly(Path.replace)
clips = Clips.open(sys.argv[1], split="train")
examples(clips, Near(), EAT("-"), FineTuning(), Runtime(cache=Path(sys.argv[2])))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    ("where", "time", "done"),
    [("numbers", 8, 7), ("note", 3, 2), ("name", 4, 1), ("name", 5, 2)],  # two a sound
)
def test_killed_in_mid_write_it_is_neither_corrupt_nor_stale(
    folder, clips, made, tmp_path, reads, where, time, done
):
    cache = tmp_path / "killed"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(cache), where, str(time)], check=False
    )
    assert child.returncode == -signal.SIGKILL
    left = [p for p in (cache / "mels").rglob("*") if p.is_file()]
    assert len([p for p in left if p.suffix == ".note"]) == done
    assert any(p.name[0] == "." for p in left) == (where == "name")  # something half-written
    again = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=cache))
    assert len(reads) == 19 - done
    assert contents(again) == contents(made)


def test_what_a_killed_writer_left_goes_when_it_is_old(tmp_path):
    folder = MelStore.open(tmp_path, "k").folder
    for name in (".old.npy.x", ".young.npy.x"):
        (folder / name).write_bytes(b"1234")
    os.utime(folder / ".old.npy.x", (0, 0))
    MelStore.open(tmp_path, "other")
    assert {p.name for p in folder.iterdir()} == {".young.npy.x"}  # its writer may be at work


DAMAGE = {  # what a file becomes
    "a byte": lambda content: content[:-30] + bytes([content[-30] ^ 1]) + content[-29:],
    "in its head": lambda content: content[:9] + b"\x01" + content[10:],
    "half": lambda content: content[: len(content) // 2],
    "a byte short": lambda content: content[:-1],
    "long": lambda content: content + b"\0",
    "empty": lambda _: b"",
    "no array": lambda _: b"[1, 2]",
}


@pytest.mark.parametrize("kind", [".npy", ".note"])
@pytest.mark.parametrize("damage", [*DAMAGE, "missing"])
def test_damage_on_the_disk_is_noticed_and_mended(clips, made, tmp_path, reads, kind, damage):
    path = sorted((tmp_path / "mels").rglob(f"*{kind}"))[0]
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[damage](whole))
    again = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    assert len(reads) == 1
    assert path.read_bytes() == whole
    # `made` looks at the file that was damaged, so what it should be is computed anew.
    assert contents(again) == contents(examples(clips, Near(), EAR, SETTINGS, Runtime()))


def test_two_processes_at_once_do_no_harm(folder, clips, made, tmp_path):
    cache = tmp_path / "shared"
    started = [
        subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(cache), "none", "0"])
        for _ in range(2)
    ]
    for process in started:
        finish(process)
    assert [process.returncode for process in started] == [0, 0]
    again = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=cache))
    assert contents(again) == contents(made)


def test_too_large_is_refused_and_large_is_said_first(tmp_path, monkeypatch, clips, reads):
    with pytest.raises(StorageError, match=r"take .* GB, .* GB are free; free some space") as error:
        check_room(tmp_path, 10**18)
    assert "\n" not in str(error.value)
    usage = shutil.disk_usage(tmp_path)._replace(free=10**13)
    monkeypatch.setattr(melstore.shutil, "disk_usage", lambda _: usage)
    with pytest.warns(NearfarWarning, match=r"log-mels, 4\.3 GB"):
        check_room(tmp_path, 7_000 * 1200 * 512)
    check_room(tmp_path, 1_000_000)
    asked = []
    monkeypatch.setattr(prepare, "check_room", lambda folder, size: asked.append((size, *reads)))
    made = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    # What was announced, before anything was read, is what it then takes.
    assert asked == [(sum(made.whole(i).nbytes for i in range(len(made))),)]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(28, "No space left on device")

    store = MelStore.open(tmp_path, "k")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left") as error:
        store.add("a", np.zeros((16, 128), np.float32))
    assert "\n" not in str(error.value)
    assert not list(store.folder.iterdir())
    assert "a" not in store


def test_closing_lets_go_of_a_temporary_store_and_keeps_another(tmp_path):
    for cache in (None, tmp_path):
        store = MelStore.open(cache, "k")
        store.add("a", np.ones((16, 128), np.float32))
        assert "a" in store
        store.close()
        assert store.folder.exists() == ("a" in store) == (cache is not None)


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_temporary_stores_of_killed_processes_go_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (mine := tmp_path / "nearfar-mels-of-somebody").mkdir()  # not locked by us, ever
    code = (
        "import tempfile; from nearfar.training.examples.mels import MelStore\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "store = MelStore.open(None, 'a'); print(store.folder, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    theirs = Path(process.stdout.readline().strip())
    own = MelStore.open(None, "a")
    assert theirs.is_dir()  # its process lives
    process.kill()
    finish(process)
    another = MelStore.open(None, "a")
    assert not theirs.exists()
    assert sorted(tmp_path.iterdir()) == sorted((mine, own.folder, another.folder))
    own.close()
    another.close()
    assert list(tmp_path.iterdir()) == [mine]


def test_few_files_are_open_at_a_time(clips, made, tmp_path, monkeypatch):
    """Each is a descriptor of the process: thousands of clips would be more than it may have."""
    monkeypatch.setattr(arrays, "OPEN", 3)
    other = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    assert contents(other) == contents(made)
    assert len(other.mels._maps) <= 3


def test_a_file_is_what_numpy_says_it_is(made):
    for digest in made.digests:
        np.testing.assert_array_equal(
            np.load(made.mels.folder / f"{digest}.npy"), made.mels[digest]
        )


def test_what_an_earlier_format_left_is_told_shown_and_cleared(tmp_path, run, monkeypatch, made):
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path))
    now = stored_bytes(tmp_path)
    for name in ("0123456789abcdef-0123456789abcdef.f32", "0123456789abcdef-0123456789abcdef.json"):
        (tmp_path / "mels" / name).write_bytes(bytes(5_000_000))
    with pytest.warns(
        NearfarWarning, match=r"0\.01 GB of log-mels .* nearfar cache --clear"
    ) as told:
        MelStore.open(tmp_path, "k")
    assert len(told) == 1
    assert "log-mels for training and scoring, 1" in run("cache")[1]
    assert stored_bytes(tmp_path) == now + 10_000_000
    assert run("cache", "--clear")[0] == 0
    assert stored_bytes(tmp_path) == 0
    MelStore.open(tmp_path, "k")  # says nothing more: warnings are errors here


def test_clearing_removes_everything(clips, made, tmp_path):
    size = stored_bytes(tmp_path)
    assert size > sum(made.whole(i).nbytes for i in range(len(made)))
    other = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    assert clear_stores(tmp_path) == size
    assert stored_bytes(tmp_path) == 0
    assert stored_bytes(tmp_path / "nothing") == clear_stores(tmp_path / "nothing") == 0
    with pytest.raises(StorageError, match="start again with resume=True") as error:
        other.whole(0)  # one line for a training that was reading
    assert "\n" not in str(error.value)
