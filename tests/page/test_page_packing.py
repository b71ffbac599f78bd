"""Labelled clips out of a page and out of a history: a data set that detectors are judged on."""

import io
import re
import shutil
import sqlite3
import zipfile
from contextlib import closing

import pytest

import nearfar as nf
from conftest import write_machine
from desks import AskedDesk, heard_by_a_watch
from nearfar.page.said import packing
from nearfar.page.said.packing import packed

pytestmark = pytest.mark.slow  # a fit, a watch, and answers for them all


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A page on which people have called two clips a fault, two normal, and had one learnt."""
    folder = tmp_path_factory.mktemp("told")
    desk = AskedDesk(heard_by_a_watch(folder, normal=3))
    for name in ("odd0.wav", "odd1.wav"):
        desk.ask("POST", f"{desk.clip(name)}/fault", {})
    for name in ("n0.wav", "n1.wav"):
        desk.ask("POST", f"{desk.clip(name)}/normal", {"learn": False})
    desk.ask("POST", f"{desk.clip('n2.wav')}/normal", {})
    yield desk
    desk.close()


@pytest.fixture
def own_temporary(tmp_path, monkeypatch):
    """A folder for temporary files that is empty before and after."""
    import tempfile

    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def area_under_curve(scores, clips):
    """By counting pairs, as its definition has it."""
    of = {"anomaly": [], "normal": []}
    for one, clip in zip(scores, clips, strict=True):
        of[clip.label].append(one.score)
    pairs = [(a > n) + 0.5 * (a == n) for a in of["anomaly"] for n in of["normal"]]
    return sum(pairs) / len(pairs)


def test_what_people_said_becomes_a_data_set_that_a_detector_is_judged_on(told, tmp_path, run):
    """With the machine's own train folder beside it, as a data set of the challenge has it."""
    place = told.behind.plant.history.place
    code, out, err = run("history", place, "--labelled", tmp_path / "set")
    assert code == 0
    assert "4 clips: 2 anomalies, 2 normal" in out
    assert "left out 1 clip: the detector learnt" in err
    # Written, not copied: the detector may be an earlier test's, made of recordings elsewhere.
    write_machine(tmp_path / "normals", "pump", seed=3, source=12, test=0)
    shutil.copytree(tmp_path / "normals/pump/train", tmp_path / "set/pump/train")
    detector = told.behind.plant.machines[0].detector.folder
    code, out, err = run("evaluate", tmp_path / "set", "--detector", detector, "--rule", "2020")
    assert code == 0, err
    assert "pump" in out, err
    clips = nf.Clips.open(tmp_path / "set", split="test")
    scores = nf.load(detector).score(clips)
    assert len(scores) == 4
    assert area_under_curve(scores, clips) == 1.0  # odd ones are far from normal


def test_no_clip_that_was_learnt_is_in_it(told, tmp_path, run):
    assert run("history", told.behind.plant.history.place, "--labelled", tmp_path / "set")[0] == 0
    clips = nf.Clips.open(tmp_path / "set", split="test")
    known = {c.digest for c in nf.load(told.behind.plant.machines[0].detector.folder)
             .sections["pump", "00"].clips}  # fmt: skip
    from nearfar.sound.audio import digest_of

    assert len(clips) == 4
    assert not known & {digest_of(clip.read()) for clip in clips}


def test_the_zip_has_the_same_and_leaves_no_file(told, own_temporary, tmp_path, run):
    reply = told.client.get("/api/labelled.zip")
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.content)) as found:
        inside = {name: found.read(name) for name in found.namelist()}
    readme = inside.pop("README.txt").decode()
    assert "left out 1 clip: the detector learnt" in readme
    run("history", told.behind.plant.history.place, "--labelled", tmp_path / "set")
    files = [path for path in (tmp_path / "set").rglob("*") if path.is_file()]
    assert inside == {
        str(path.relative_to(tmp_path / "set")): path.read_bytes() for path in files
    }  # fmt: skip


def test_it_is_bounded(told, own_temporary, monkeypatch):
    monkeypatch.setattr(packing, "MOST", 1000)
    line = told.ask("GET", "/api/labelled.zip", None, 413)["error"]
    assert "1,000" in line
    assert "--labelled FOLDER" in line


def test_a_full_disk_leaves_no_half(told, own_temporary, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    assert "No space left" in told.ask("GET", "/api/labelled.zip", None, 503)["error"]


def test_without_labels_there_is_none(told, own_temporary, monkeypatch):
    monkeypatch.setattr(told.store, "labels", lambda *_, **__: [])
    assert "first" in told.ask("GET", "/api/labelled.zip", None, 404)["error"]
    with pytest.raises(nf.NearfarError):
        packed(told)


def test_the_command_in_its_readme_evaluates_it(told, own_temporary, tmp_path, run):
    with zipfile.ZipFile(io.BytesIO(told.client.get("/api/labelled.zip").content)) as file:
        file.extractall(tmp_path / "set")
    readme = (tmp_path / "set" / "README.txt").read_text()
    (words,) = re.findall(r"nearfar (evaluate FOLDER --detector DETECTOR[^(.]*)", readme)
    detector = told.behind.plant.machines[0].detector.folder
    meant = {"FOLDER": tmp_path / "set", "DETECTOR": detector}
    code, _, err = run(*(meant.get(word, word) for word in words.split()))
    assert code == 0, err


def test_one_kind_of_label_alone_is_told(told, own_temporary, monkeypatch):
    labels = told.store.labels(label="fault")
    monkeypatch.setattr(told.store, "labels", lambda *_, **__: labels)
    with zipfile.ZipFile(packed(told)) as file:
        readme = file.read("README.txt").decode()
    packed(told).unlink()
    assert "pump needs clips called a fault, and others called normal" in readme
    for left in own_temporary.iterdir():
        left.unlink()


def test_sound_that_lies_elsewhere_is_found_where_it_is_said(told, tmp_path, run):
    """As a plant.toml says with audio_folder."""
    history = tmp_path / "plant.db"
    with closing(sqlite3.connect(told.behind.plant.history.place)) as connection:
        connection.execute("VACUUM INTO ?", [str(history)])
    (tmp_path / "sound").mkdir()
    shutil.copytree(told.behind.plant.history.labelled_folder, tmp_path / "sound-labelled")
    code, _, err = run("history", history, "--labelled", tmp_path / "none")
    assert "their sound is not kept any more" in err
    more = ("--audio-folder", tmp_path / "sound")
    code, out, err = run("history", history, "--labelled", tmp_path / "set", *more)
    assert (code, "4 clips: 2 anomalies, 2 normal" in out) == (0, True), err
    code, _, err = run("history", history, *more)
    assert (code, "--audio-folder says more of --labelled" in err) == (2, True)
    code, _, err = run("history", history, "--labelled", tmp_path / "x", more[0], tmp_path / "no")
    assert (code, "no: is no folder" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--machine", "fan"], "nothing was heard of 'fan'"),
     (["--section", "00"], ""), (["--machine", "pump"], "")],
)  # fmt: skip
def test_the_command_writes_those_that_are_asked_for(told, tmp_path, run, options, words):
    place = told.behind.plant.history.place
    code, _, err = run("history", place, "--labelled", tmp_path / "set", *options)
    assert (code, (tmp_path / "set").exists()) == ((2, False) if words else (0, True))
    assert words in err


def test_the_command_writes_over_nothing(told, tmp_path, run):
    code, _, err = run("history", told.behind.plant.history.place, "--labelled", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "is there already" in err
