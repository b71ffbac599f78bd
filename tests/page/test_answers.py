"""What people say of clips: learnt and forgotten to the byte, kept, refused whole."""

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import nearfar as nf
from conftest import write
from desks import PUMP, AskedDesk, heard_by_a_watch
from nearfar.detector.detector import Detector
from nearfar.errors import StorageError
from nearfar.service.history.changes import ClipLabel
from nearfar.service.incoming import now
from nearfar.service.plant import DetectorSettings
from new_clips import digests

pytestmark = pytest.mark.slow  # a fit and a watch for them all, and each hears


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """A plant whose watch has heard four clips. Read only."""
    return heard_by_a_watch(tmp_path_factory.mktemp("heard"))


@pytest.fixture
def desk(heard, tmp_path):
    """A desk over a copy of it."""
    made = AskedDesk(copied(heard, tmp_path))
    yield made
    made.close()


def copied(plant, folder):
    """The same plant in another folder, its recordings where they are."""
    shutil.copyfile(plant.history.place, folder / "plant.db")
    shutil.copytree(plant.machines[0].detector.folder, folder / "det")
    (machine,) = plant.machines
    machine = replace(machine, detector=DetectorSettings(Path(folder / "det")))
    history = replace(plant.history, place=str(folder / "plant.db"))
    return replace(plant, machines=(machine,), history=history)


def judged(plant, name):
    folder = plant.machines[0].detector.folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clip = nf.Clip(f"{plant.sources[0].place}/{name}", machine="pump")
        return nf.load(folder).score([clip])[0]


def test_what_was_normal_is_learnt_changes_the_verdict_and_is_taken_back_to_the_byte(desk):
    plant = desk.behind.plant
    folder, kept = plant.machines[0].detector.folder, plant.history.labelled_folder
    before, clip = digests(folder), desk.clip("odd0.wav")
    assert judged(plant, "odd0.wav").anomalous
    said = desk.ask("POST", f"{clip}/normal", {"who": "kim", "note": "new bearing"})
    learnt = said["learnt"]
    assert learnt["known"][1] == learnt["known"][0] + 1
    assert learnt["threshold"][0] != learnt["threshold"][1]
    assert any("odd0.wav" in line for line in learnt["told"])  # it stood out, and was learnt
    label = said["label"]
    assert (label["label"], label["learnt"], label["who"]) == ("normal", True, "kim")
    # Read anew from disk, as after a reload.
    assert not judged(plant, "odd0.wav").anomalous
    assert "this very recording" in judged(plant, "odd0.wav").warning
    assert desk.behind.holds["pump", "00"].turns == 1
    assert [p.name for p in kept.iterdir()] == [f"{desk.digest('odd0.wav')}.wav"]
    desk.ask("DELETE", f"{clip}/label", {"who": "lee"})
    assert digests(folder) == before
    assert list(kept.iterdir()) == []
    assert desk.store.label_of("pump", "00", desk.digest("odd0.wav")) is None
    (undone,) = desk.store.labels(undone=True)
    assert (undone.who, undone.undone_by) == ("kim", "lee")
    events = [(m.event, '"label": "normal"' in m.data) for m in desk.sent]
    assert events == [("label", True), ("label", False)]
    done = [(row.verb, row.who, row.outcome) for row in desk.store.audit()]
    assert done == [("take back", "lee", "done"), ("call normal", "kim", "done")]
    # In words, for who reads it a year later; the digest beside them.
    about = [row.about for row in desk.store.audit()]
    assert all("odd0.wav of 20" in line for line in about)
    assert all(line.endswith(f"; clip {desk.digest('odd0.wav')}") for line in about)
    assert ("to be learnt" in about[1], "to be learnt" in about[0]) == (True, False)


def test_the_detector_knows_it_by_the_name_that_people_know(desk):
    desk.ask("POST", f"{desk.clip('n0.wav')}/normal", {})
    names = nf.load(desk.behind.plant.machines[0].detector.folder).lessons[0].names
    assert [name.rpartition("/")[2] for name in names] == ["n0.wav"]


def test_a_fault_is_kept_as_it_was_heard_and_changes_no_detector(desk):
    plant = desk.behind.plant
    before = digests(plant.machines[0].detector.folder)
    said = desk.ask("POST", f"{desk.clip('odd1.wav')}/fault", {"note": "bearing", "who": "kim"})
    assert (said["label"]["label"], said["label"]["note"]) == ("fault", "bearing")
    (copy,) = plant.history.labelled_folder.iterdir()
    with open(f"{plant.sources[0].place}/odd1.wav", "rb") as file:
        assert copy.read_bytes() == file.read()
    assert digests(plant.machines[0].detector.folder) == before


def test_a_label_without_learning_leaves_the_detector(desk):
    before = digests(desk.behind.plant.machines[0].detector.folder)
    said = desk.ask("POST", f"{desk.clip('odd0.wav')}/normal", {"learn": False})
    assert (said["learnt"], said["label"]["learnt"]) == (None, False)
    assert digests(desk.behind.plant.machines[0].detector.folder) == before


@pytest.mark.parametrize("first", ["normal", "fault"])
def test_a_label_is_never_replaced_unasked(desk, first):
    clip = desk.clip("odd0.wav")
    desk.ask("POST", f"{clip}/{first}", {"who": "kim", "learn": False})
    for second in ("normal", "fault"):
        line = desk.ask("POST", f"{clip}/{second}", {}, 409)["error"]
        assert "by kim already; take that back first" in line
    assert len(desk.store.labels(undone=True)) == 1


def test_of_two_at_once_one_is_done_and_the_other_told(desk):
    clip = desk.clip("odd0.wav")

    def ask(who):
        return desk.client.post(f"{clip}/normal", json={"who": who}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, ("kim", "lee"))) == [200, 409]
    assert len(desk.store.labels()) == 1
    assert len(nf.load(desk.behind.plant.machines[0].detector.folder).lessons) == 1


@pytest.mark.parametrize("word", ["normal", "fault"])
def test_what_another_process_called_it_meanwhile_stands(desk, monkeypatch, word):
    """As a page of `nearfar serve` beside that of the watch, on the same history."""
    plant, clip = desk.behind.plant, desk.clip("odd0.wav")
    before = digests(plant.machines[0].detector.folder)
    first = ClipLabel(0, "pump", "00", desk.digest("odd0.wav"), "fault", now(), who="kim")
    desk.store.label(first)
    monkeypatch.setattr(desk.store, "label_of", lambda *_: None)  # it looked just before
    line = desk.ask("POST", f"{clip}/{word}", {"who": "lee"}, 409)["error"]
    assert "by another just now; look at it again" in line
    assert [label.who for label in desk.store.labels(undone=True)] == ["kim"]
    assert digests(plant.machines[0].detector.folder) == before


def without_label(desk, name):
    """A clip that is learnt and has no label: as where who learnt it was killed before that."""
    clip = desk.clip(name)
    desk.ask("POST", f"{clip}/normal", {})
    desk.store.unlabel("pump", "00", desk.digest(name), "", now())
    return clip


def test_what_is_learnt_without_a_label_is_shown_so_and_can_be_taken_back(desk):
    folder = desk.behind.plant.machines[0].detector.folder
    before = digests(folder)
    clip = without_label(desk, "odd0.wav")
    assert [desk.ask("GET", clip)[key] for key in ("label", "learnt")] == [None, True]
    learnt = {c["name"].rpartition("/")[2] for c in desk.ask("GET", f"{PUMP}/clips")["clips"]
              if c["learnt"]}  # fmt: skip
    assert learnt == {"odd0.wav"}
    line = desk.ask("POST", f"{clip}/fault", {}, 409)["error"]
    assert "has learnt it as normal; take that back first" in line
    label = desk.ask("DELETE", f"{clip}/label", {"who": "lee"})["label"]
    assert (label["label"], label["learnt"], label["undone_by"]) == ("normal", True, "lee")
    assert digests(folder) == before
    assert not desk.ask("GET", clip)["learnt"]
    assert list(desk.behind.plant.history.labelled_folder.iterdir()) == []
    assert "nothing to undo" in desk.ask("DELETE", f"{clip}/label", None, 409)["error"]
    assert [(row.verb, row.outcome) for row in desk.store.audit(3)][1:] == [
        ("take back", "done"), ("call a fault", f"refused: {line}"),
    ]  # fmt: skip


def test_to_call_it_normal_again_says_that_it_is_known_and_writes_the_label_down(desk):
    folder = desk.behind.plant.machines[0].detector.folder
    before = digests(folder)
    clip = without_label(desk, "n0.wav")
    learnt = digests(folder)
    said = desk.ask("POST", f"{clip}/normal", {"who": "kim"})
    assert digests(folder) == learnt
    assert said["learnt"]["known"][0] == said["learnt"]["known"][1]
    assert "n0.wav: was learnt before" in said["learnt"]["told"][0]
    assert (said["label"]["learnt"], said["label"]["who"]) == (True, "kim")
    desk.ask("DELETE", f"{clip}/label")
    assert digests(folder) == before


def test_what_the_detector_was_fitted_on_is_never_taken_back(desk):
    folder = desk.behind.plant.machines[0].detector.folder
    before, fitted = digests(folder), nf.load(folder).sections["pump", "00"].clips[0].digest
    line = desk.ask("DELETE", f"{PUMP}/clips/{fitted}/label", None, 409)["error"]
    assert "nothing to undo" in line
    assert digests(folder) == before


def test_what_cannot_be_written_down_is_not_learnt(desk, monkeypatch):
    plant, clip = desk.behind.plant, desk.clip("odd0.wav")
    before = digests(plant.machines[0].detector.folder)

    def full(label, **_):
        raise StorageError("plant.db: database or disk is full")

    monkeypatch.setattr(desk.store, "label", full)
    assert "is full" in desk.ask("POST", f"{clip}/normal", {}, 503)["error"]
    assert digests(plant.machines[0].detector.folder) == before
    assert list(plant.history.labelled_folder.iterdir()) == []
    assert desk.store.audit()[0].outcome.startswith("refused: plant.db")


def test_what_cannot_be_marked_as_undone_stays_learnt(desk, monkeypatch):
    plant, clip = desk.behind.plant, desk.clip("odd0.wav")
    desk.ask("POST", f"{clip}/normal", {})
    before = digests(plant.machines[0].detector.folder)

    def full(*_):
        raise StorageError("plant.db: database or disk is full")

    monkeypatch.setattr(desk.store, "unlabel", full)
    desk.ask("DELETE", f"{clip}/label", None, 503)
    assert digests(plant.machines[0].detector.folder) == before
    assert len(list(plant.history.labelled_folder.iterdir())) == 1


def test_a_detector_that_cannot_be_written_leaves_nothing_half_done(desk, monkeypatch):
    plant, clip = desk.behind.plant, desk.clip("odd0.wav")

    def full(self, folder):
        raise StorageError(f"{folder}: cannot be written (no space left)")

    monkeypatch.setattr(Detector, "save", full)
    assert "no space left" in desk.ask("POST", f"{clip}/normal", {}, 503)["error"]
    assert desk.store.labels(undone=True) == []
    assert list(plant.history.labelled_folder.iterdir()) == []


def test_a_detector_that_is_gone_is_one_line(desk):
    shutil.rmtree(desk.behind.plant.machines[0].detector.folder)
    line = desk.ask("POST", f"{desk.clip('odd0.wav')}/normal", {}, 409)["error"]
    assert "\n" not in line
    assert desk.store.labels(undone=True) == []


def test_what_was_forgotten_elsewhere_can_still_be_taken_back(desk):
    clip, digest = desk.clip("odd0.wav"), desk.digest("odd0.wav")
    desk.ask("POST", f"{clip}/normal", {})
    folder = desk.behind.plant.machines[0].detector.folder
    nf.load(folder).forget([digest]).save(folder)
    desk.ask("DELETE", f"{clip}/label")
    assert desk.store.labels() == []
    assert "nothing to undo" in desk.ask("DELETE", f"{clip}/label", None, 409)["error"]


def test_sound_that_is_gone_is_said(desk, heard, tmp_path):
    clip = desk.clip("odd0.wav")
    place = tmp_path / "hall"
    place.mkdir()
    plant = desk.behind.plant
    desk.behind.plant = replace(plant, sources=(replace(plant.sources[0], place=str(place)),))
    assert "its sound is not" in desk.ask("POST", f"{clip}/fault", {}, 410)["error"]


@pytest.mark.parametrize("digest", ["00" * 32, "9f86", "..%2f..%2fetc", "%00", "*"])
def test_a_digest_that_nobody_heard_is_none(desk, digest):
    for verb in ("normal", "fault"):
        desk.ask("POST", f"{PUMP}/clips/{digest}/{verb}", {}, 404)
    assert desk.client.delete(f"{PUMP}/clips/{digest}/label").status_code in (404, 409)


def test_a_history_in_memory_keeps_no_label(desk):
    clip, plant = desk.clip("odd0.wav"), desk.behind.plant
    desk.behind.plant = replace(plant, history=replace(plant.history, place=""))
    for verb in ("normal", "fault"):
        assert "keep the history in a file" in desk.ask("POST", f"{clip}/{verb}", {}, 409)["error"]


def test_sound_that_is_kept_of_a_stream_is_forgotten_by_what_the_detector_heard(desk):
    """Kept in 24 bits it need not be the very sound of the row, whose digest it is called by."""
    plant, clip, digest = desk.behind.plant, desk.clip("odd0.wav"), desk.digest("odd0.wav")
    folder = plant.machines[0].detector.folder
    before, kept = digests(folder), plant.history.sound_folder
    audio = nf.Clip(f"{plant.sources[0].place}/odd0.wav").read()
    write(kept / f"{digest}.flac", audio + 2.0**-20, subtype="PCM_24")
    desk.ask("POST", f"{clip}/normal", {})
    (lesson,) = nf.load(folder).lessons
    assert digest not in [heard for _, heard in lesson.clips]
    desk.ask("DELETE", f"{clip}/label")
    assert digests(folder) == before
