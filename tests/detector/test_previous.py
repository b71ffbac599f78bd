"""The detector before a fit is kept whole beside the new one, whatever happens meanwhile."""

import json
import os
import shutil
import sys
import tempfile
from errno import ENOSPC
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY, refused
from nearfar.detector.detector import Detector
from nearfar.detector.folder.formats import FORMAT
from nearfar.detector.folder.index import INDEX, kept_as
from nearfar.detector.folder.previous import check_place, previous_of, sweep
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import StorageError
from processes import no_space, output, python, tree

PLAIN = nf.System(nf.Near(), nf.LogMel(n_mels=3))


def detector(number=0, system=PLAIN):
    """Detectors of one machine, each with another bank; the scores tell which it is."""
    rows = np.eye(3, system.embedder.dim, dtype=np.float32) + np.float32(number)
    scores = np.array([0.1, 0.2, 0.3]) + number
    member = Member(rows, np.arange(3), np.zeros(3, np.int8), None, scores)
    clips = tuple(TrainingClip(f"{i}.wav", "0" * 64) for i in range(3))
    return Detector(system, {("fan", "00"): Section((member,), clips, None, 10.0)})


def number_of(folder):
    """Which detector a folder holds; None where there is none."""
    if not folder.exists():
        return None
    section = nf.load(folder).sections["fan", "00"]
    return round(float(section.members[0].self_scores[0] - 0.1))


@pytest.fixture
def det(tmp_path):
    return detector(0).save(tmp_path / "det")


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# ---- what is kept --------------------------------------------------------------------------------


def test_each_replaces_the_one_before(det, tmp_path):
    first = tree(det)
    detector(1).save(det, previous=True)
    kept = previous_of(det)
    assert kept == tmp_path / "det.previous"
    assert tree(kept) == first  # to the byte
    assert (number_of(det), number_of(kept)) == (1, 0)
    detector(2).save(det, previous=True)
    assert (number_of(det), number_of(kept)) == (2, 1)
    assert names(tmp_path) == ["det", "det.previous"]


def test_what_is_no_fit_leaves_the_one_before_alone(det, tmp_path, run):
    detector(1).save(det, previous=True)
    before = tree(previous_of(det))
    detector(2).save(det)
    assert run("threshold", det, "--false-alarm-rate", 0.5)[0] == 0
    assert tree(previous_of(det)) == before
    assert names(tmp_path) == ["det", "det.previous"]


def test_it_is_said_what_was_kept(tmp_path):
    det = tmp_path / "det"
    assert detector(0).save_over(det) is None
    assert detector(1).save_over(det, previous=False) is None
    assert not previous_of(det).exists()
    assert detector(2).save_over(det) == previous_of(det)
    assert (number_of(det), number_of(previous_of(det))) == (2, 1)


def test_a_first_save_keeps_nothing(tmp_path):
    detector().save(tmp_path / "a" / "new", previous=True)
    assert names(tmp_path / "a") == ["new"]


@pytest.mark.parametrize("links", [True, False])
def test_its_weights_are_kept_with_it_and_large_files_once(tmp_path, monkeypatch, links):
    system = nf.System(nf.Near(), nf.EAT(weights=str(TINY)))
    det = detector(0, system).save(tmp_path / "det", weights="copy")
    first = tree(det)
    if not links:
        monkeypatch.setattr(os, "link", no_space)
    detector(1).save(det, previous=True)
    kept = previous_of(det)
    assert tree(kept) == first
    assert not list(det.glob("weights-*"))  # the new one needs none
    detector(2).save(det, previous=True)
    assert tree(kept) != first
    # In the other direction: weights of one that stays are one file twice.
    again = detector(0, system).save(det, weights="copy")
    detector(1, system).save(again, weights="copy", previous=True)
    for path in kept.glob("weights-*/*"):
        there = det / path.relative_to(kept)
        assert path.samefile(there) == links
    # Whoever edits or damages one in place changes that one.
    assert all(path.stat().st_nlink == 1 for path in (kept / INDEX, *kept.glob("bank-*")))


def test_damage_in_place_takes_one_of_the_two(det):
    """A bank of both, for they were fitted on the same clips: a disk's error is not shared."""
    detector(0).save(det, previous=True)
    (bank,) = det.glob("bank-*")
    assert (previous_of(det) / bank.name).is_file()
    with bank.open("r+b") as file:
        file.truncate(10)
    refused(lambda: nf.load(det), bank.name)
    assert number_of(previous_of(det)) == 0


def test_one_that_is_damaged_is_not_kept_and_the_one_before_stays(det, tmp_path):
    detector(1).save(det, previous=True)
    kept = previous_of(det)
    for damage in (
        lambda: (det / INDEX).write_text("{"),
        lambda: next(det.glob("bank-*")).write_bytes(b"short"),
        lambda: next(det.glob("bank-*")).unlink(),
    ):
        damage()
        assert kept_as(det) is None
        assert detector(1).save_over(det) is None
        assert (number_of(det), number_of(kept)) == (1, 0)


def test_one_of_a_newer_nearfar_is_kept_as_it_is(det):
    data = json.loads((det / INDEX).read_text()) | {"format": FORMAT + 1, "sha256": "?"}
    (det / INDEX).write_text(json.dumps(data))
    newer = tree(det)
    assert detector(1).save_over(det) == previous_of(det)
    assert tree(previous_of(det)) == newer


def test_two_names_of_the_folder_have_places_of_their_own(tmp_path, monkeypatch):
    det = detector(0).save(tmp_path / "a" / "det")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(det)
    detector(1).save(tmp_path / "b" / "link", previous=True)
    assert (number_of(det), number_of(tmp_path / "b" / "link.previous")) == (1, 0)
    monkeypatch.chdir(det)
    detector(2).save(".", previous=True)
    assert number_of(tmp_path / "a" / "det.previous") == 1


# ---- what is refused -----------------------------------------------------------------------------


def a_file(place):
    place.write_text("mine")


def a_link(place):
    (place.parent / "elsewhere").mkdir()
    place.symlink_to(place.parent / "elsewhere")


def a_folder_of_mine(place):
    place.mkdir()
    (place / "notes.txt").write_text("mine")


def a_detector_with_something_of_mine(place):
    detector(7).save(place)
    (place / "encoder.safetensors").write_text("mine")


def banks_alone(place):
    detector(7).save(place)
    (place / INDEX).unlink()


@pytest.mark.parametrize(
    "lay",
    [a_file, a_link, a_folder_of_mine, a_detector_with_something_of_mine, banks_alone],
)
def test_what_is_foreign_is_never_written_over(det, tmp_path, lay):
    lay(previous_of(det))
    before = tree(tmp_path)
    refused(
        lambda: detector(1).save(det, previous=True),
        previous_of(det), "is not the detector before", "move it", error=StorageError,
    )  # fmt: skip
    assert tree(tmp_path) == before
    assert names(tmp_path)[:2] == ["det", "det.previous"]


def test_weights_that_are_read_there_are_an_input(det, tmp_path):
    detector(1).save(det, previous=True)
    shutil.copytree(TINY, weights := previous_of(det) / f"weights-{'0' * 16}")
    wanted = detector(2, nf.System(nf.Near(), nf.EAT(weights=str(weights))))
    before = tree(tmp_path)
    refused(lambda: wanted.save(det, previous=True), weights, "is an input", "copy it elsewhere")
    assert tree(tmp_path) == before
    check_place(previous_of(det), [None, "a/hub-id", tmp_path])


# ---- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("error", [OSError(ENOSPC, "full"), KeyboardInterrupt()], ids=str)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (os, "fsync"),
        (Path, "rename"),
        (Path, "replace"),
        (tempfile, "mkstemp"),
        (tempfile, "mkdtemp"),
    ],
    ids=["fsync", "rename", "replace", "mkstemp", "mkdtemp"],
)
def test_a_failure_at_any_step_changes_nothing(tmp_path, monkeypatch, owner, name, error, kept):
    """Full disk or Ctrl-C at every call of a kind: both detectors stay what they were."""
    det = detector(0).save(tmp_path / "det")
    if kept:
        detector(1).save(det, previous=True)
    before, real = tree(tmp_path), getattr(owner, name)
    for turn in count():  # until there is no such call any more
        calls = []

        def maybe(*arguments, turn=turn, calls=calls, **given):
            calls.append(arguments)
            if len(calls) == turn + 1:
                raise error
            return real(*arguments, **given)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, maybe)
            try:
                detector(2).save(det, previous=True)
                break
            except (StorageError, KeyboardInterrupt):
                pass
        assert tree(tmp_path) == before
        assert names(tmp_path) == ["det", "det.previous"][: 1 + kept]
    assert turn
    assert (number_of(det), number_of(previous_of(det))) == (2, int(kept))
    assert names(tmp_path) == ["det", "det.previous"]


def test_ctrl_c_after_the_new_index_keeps_the_old_detector(det, monkeypatch):
    real = Path.replace

    def replaced(self, target):
        real(self, target)
        if Path(target) == det / INDEX:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replaced)
        with pytest.raises(KeyboardInterrupt):
            detector(1).save(det, previous=True)
    assert (number_of(det), number_of(previous_of(det))) == (1, 0)


# In a process of its own, for it forks; each child is killed one step later than the one before.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from test_previous import detector, names, number_of, previous_of, tree

STEPS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "open",
         "tempfile.mkdtemp", "tempfile.mkstemp", "shutil.rmtree", "shutil.copyfile"}
work, had = Path(sys.argv[1]), int(sys.argv[2])
turn, armed = 0, False

def hook(event, arguments):
    global turn
    if armed and event in STEPS and str(work) in str(arguments):
        if turn == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        turn -= 1

sys.addaudithook(hook)
os.fsync = lambda _: None  # the power stays on, and disks are slow
seen = set()
for step in range(500):
    home = work / str(step)
    det = home / "det"
    for number in range(had):
        detector(number).save(det, previous=True)
    child = os.fork()
    if not child:
        turn, armed = step, True
        detector(had).save(det, previous=True)
        armed = False
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    kept = previous_of(det)
    left = number_of(det), number_of(kept)
    seen.add(left)
    new = left[0] == had
    assert left[0] in (had - 1, had), (step, left)
    # Of the one that was replaced nothing is lost, of the one before it perhaps.
    assert left[1] == had - 1 if new else left[1] in (had - 1, had - 2, None), (step, left)
    assert new or ended != 0
    detector(9).save(det, previous=True)
    assert number_of(kept) == left[0]
    assert names(home) == ["det", "det.previous"], (step, names(home))
    assert len(names(det)) == len(names(kept)) == 3  # index, bank, card
    shutil.rmtree(home)
    if not ended:
        break
else:
    raise SystemExit("it never ended")
print(step, sorted(seen, key=str))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("had", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_killed_at_any_step_both_are_whole(tmp_path, had):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = output(python(KILLED, tmp_path, had, env=environment))
    steps = int(said.split()[0])
    assert steps > 15
    assert f"({had}, {had - 1})" in said


def test_what_a_killed_fit_left_beside_it_is_swept(det, tmp_path):
    left = [tmp_path / f".det.previous.{word}.nearfar" for word in ("abcd1234", "x_y_z_01")]
    others = [
        tmp_path / name
        for name in (
            ".det.previous.abcd1234",
            ".det2.previous.abcd1234.nearfar",
            "det.previous.nearfar",
        )
    ]
    for folder in (*left, *others):
        (folder / "new").mkdir(parents=True)
    sweep(det)  # without the lock its writer may be at work
    assert all(folder.exists() for folder in left)
    detector(1).save(det)
    assert [folder.exists() for folder in (*left, *others)] == [False] * 2 + [True] * 3


def test_half_a_copy_of_weights_is_swept_by_the_next_save(det):
    (det / ".weights-abc123").mkdir()
    detector(1).save(det)
    assert len(names(det)) == 3  # index, bank, card
