"""What is known of finished steps: done while its files are as they were, one process at a time."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import nearfar as nf
from nearfar.errors import FormatError, StorageError
from nearfar.reproduce.steps import records
from nearfar.reproduce.steps.records import Folder
from reproduced import refused, study

# ---- records -------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path):
    """A folder with one training done."""
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    step = next(s for s in study().steps() if s.kind == "train")
    folder.weights(step).write_bytes(b"weights")
    folder.write(step, 1.5, [folder.weights(step)], ["careful"], {"loss": 0.5}, {"nearfar": "1"})
    return folder, step


def test_a_step_is_done_while_its_files_are_as_they_were(finished):
    folder, step = finished
    record = folder.done(step)
    assert (record.name, record.key, record.seconds) == (step.name, step.key, 1.5)
    assert record.warnings == ["careful"]
    assert folder.done(replace(step, key="0" * 64)) is None
    assert folder.done(replace(step, key=step.key[:12] + "0" * 52)) is None  # an equal slug
    path = folder.weights(step)
    for content in (b"weight", b"weightz", b"", b"weights "):
        path.write_bytes(content)
        assert folder.done(step) is None
    path.write_bytes(b"weights")
    assert folder.done(step) == record
    path.unlink()
    assert folder.done(step) is None
    path.mkdir()
    assert folder.done(step) is None


def test_a_large_file_is_known_by_its_size(finished, monkeypatch):
    folder, step = finished
    monkeypatch.setattr(records, "LARGE", 3)
    folder.weights(step).write_bytes(b"weightz")
    assert folder.done(step) is not None
    folder.weights(step).write_bytes(b"weight")
    assert folder.done(step) is None


@pytest.mark.parametrize(
    "damage",
    [
        "", "{", "null", "[]", "3", '"x"', "\x00\xff", "[" * 100_000, "half", {"files": []},
        {"files": {"a": 3}}, {"files": {"a": [1]}}, {"files": None}, {"seconds": "long"},
        {"versions": [1]}, {"facts": None}, {"warnings": "x"}, {"finished": None},
    ],
    ids=lambda d: str(d)[:20],
)  # fmt: skip
def test_a_damaged_record_is_no_record(finished, damage):
    folder, step = finished
    path = folder.path / "steps" / f"{step.slug}.json"
    whole = json.loads(path.read_text())
    if damage == "half":
        path.write_text(path.read_text()[:100])
    elif isinstance(damage, dict):
        path.write_text(json.dumps({**whole, **damage}))
    else:
        path.write_bytes(damage.encode("latin-1"))
    assert folder.done(step) is None
    folder.clear(step)
    assert not path.exists()
    # Hours of training: finetune sees by itself whether they are of this training. Files that
    # a record names, and that are not what it says, go.
    whole_record = isinstance(damage, dict) and set(damage) == {"files"} and damage["files"]
    assert folder.weights(step).exists() == (not whole_record)


def test_a_disk_that_does_not_answer_is_no_damage(finished, monkeypatch):
    folder, step = finished

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    for owner, name, asked in (
        (Path, "read_text", folder.done),
        (records, "file_sha256", folder.clear),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            with pytest.raises(StorageError, match="look at the disk"):
                asked(step)
    assert folder.weights(step).exists()
    assert folder.done(step) is not None


def test_a_disk_without_locks_is_worked_on_with_a_warning(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    with pytest.warns(nf.NearfarWarning, match="no locks"), folder.locked():
        pass


def test_a_field_of_tomorrow_costs_no_training(finished):
    folder, step = finished
    path = folder.path / "steps" / f"{step.slug}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "joules": 3}))
    assert folder.done(step).seconds == 1.5


def test_clearing_keeps_a_training_that_was_stopped(finished):
    folder, step = finished
    (folder.path / "steps" / f"{step.slug}.json").unlink()
    folder.clear(step)
    assert folder.weights(step).exists()  # finished, and killed before the record was written


def test_folders(tmp_path):
    def both(path, resume, kind, *words):
        for act in (Folder(path).check, Folder(path).begin):
            refused(lambda a=act: a(resume), str(path), *words, kind=kind)

    file = tmp_path / "file"
    file.touch()
    both(file, False, StorageError)
    both(file / "below", False, StorageError)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.doc").touch()
    both(foreign, True, StorageError)
    assert [p.name for p in foreign.iterdir()] == ["thesis.doc"]
    (tmp_path / "empty" / ".DS_Store").parent.mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    Folder(tmp_path / "empty").check(False)
    run = tmp_path / "deep" / "run"
    Folder(run).check(False)
    assert not run.parent.exists()  # checking writes nothing
    Folder(run).begin(False)
    both(run, False, StorageError, "--resume")
    Folder(run).check(True)
    Folder(run).begin(True)
    for text, word in (
        ('{"nearfar reproduce": 99}', "upgrade"), ("{", "damaged"), ("[]", "damaged"),
        ('{"nearfar reproduce": "x"}', "damaged"), ("", "damaged"), ("3", "damaged"),
    ):  # fmt: skip
        (run / "run.json").write_text(text)
        for resume in (False, True):
            both(run, resume, FormatError, word)


HOLDER = """
import sys
from pathlib import Path
from nearfar.reproduce.steps.records import Folder
with Folder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_the_lock_dies_with_it(finished):
    folder, _ = finished
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder.path], **pipes) as held:
        try:
            assert held.stdout.readline() == b"held\n"
            with pytest.raises(StorageError, match="another process"), folder.locked():
                pass
        finally:
            held.kill()
    with folder.locked():
        pass
    with folder.locked():
        pass


# ---- what a second pair of eyes found ------------------------------------------------------------


def done_training(folder, step, content=b"weights"):
    path = folder.weights(step)
    path.write_bytes(content)
    return folder.write(step, 1.0, [path], (), {}, {})


def test_a_score_made_from_other_weights_is_not_done(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    steps = {step.name: step for step in study(seeds=1).steps()}
    training, score = steps["train mask, seed 0"], steps["score s1, seed 0"]
    done_training(folder, training)
    for made_from, known in ((folder.trained(training), True), ("0" * 64, False)):
        folder.write(score, 1.0, [], (), {"weights": [made_from]}, {})
        assert (folder.done(score) is not None) == known
    folder.write(score, 1.0, [], (), {"weights": [folder.trained(training)]}, {})
    folder.clear(training)
    assert folder.done(score) is None  # its training is to be done again
    done_training(folder, training, b"other bits")
    assert folder.done(score) is None
    done_training(folder, training)
    assert folder.done(score) is not None


def test_half_written_files_go_when_the_next_process_begins(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    (step, *_) = (s for s in study().steps() if s.kind == "train")
    parts = [
        folder.path / "weights" / f".{folder.weights(step).stem}.checkpoin.abc",
        folder.path / "steps" / f".{step.slug}.xyz",
        folder.path / ".results.json.123",
    ]
    mine = [folder.path / ".gitignore", folder.path / "weights" / ".keep"]
    for path in (*parts, *mine):
        path.write_bytes(b"half")
    with folder.locked():
        assert not any(path.exists() for path in parts)
        assert all(path.exists() for path in mine)
