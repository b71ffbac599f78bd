"""An explanation is of the clip as it was heard, is made once, and does not fill the memory."""

from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from clip_pages import ClipPage
from conftest import write
from nearfar.clips.clip import Clip
from nearfar.page.sounds import clip_explained
from nearfar.page.sounds.clip_explained import ExplainedClip, ExplainedClips, shapes
from nearfar.report import explained as report
from nearfar.service.history.questions import HistoryRow
from watches import sound, write_new

SUBJECT = ("pump", "00", "9f86", "", False)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with ClipPage(tmp_path_factory.mktemp("page"), normals=False) as made:
        yield made


@pytest.fixture(scope="module")
def seen(page):
    return page.hear(write_new(page.hall, "1.wav", 1, anomaly=True))


def explain(page, row, **changed):
    row = HistoryRow(row.id, row.at, replace(row.observation, **changed))
    return ExplainedClips(page.desk.room.new).explain(page.desk, row, regions=False)


def heard_as(page):
    return Clip(page.hall / "1.wav", machine="pump")


def test_without_normal_recordings_it_says_what_is_missing(page, seen):
    found = explain(page, page.row(seen))
    assert list(found.heard) == ["near", "far"]
    assert "no recording of pump/train" in found.said["missing"]


def test_the_sound_of_a_learnt_clip_is_what_the_history_keeps(page, seen, monkeypatch):
    """A detector knows it by the name it had in the hall, where it is no more."""
    hold = page.desk.hold(seen.key)
    (near, *_) = hold.detector.explain(heard_as(page)).neighbours
    digest = next(c.digest for c in hold.detector.sections[seen.key].clips if c.name == near.name)
    write(page.plant.history.labelled_folder / f"{digest}.wav", sound(50))
    found = explain(page, page.row(seen))
    assert list(found.heard) == ["near", "far", "normal"]
    assert found.said["missing"] == ""
    np.testing.assert_allclose(found.heard["normal"][1], sound(50)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("status", "warning", "why"),
    [("idle", "", "not judged: the machine was not running"),
     ("unjudged", "cannot be heard: far dead", "not judged: cannot be heard: far dead")],
)  # fmt: skip
def test_what_was_not_judged_is_not_judged_now(page, seen, status, warning, why):
    found = explain(page, page.row(seen), status=status, warning=warning)
    assert found.said["why"] == why
    assert found.said["verdict"]["judged"] is False
    assert found.said["verdict"]["score"] is None
    assert found.said["moves"] == found.said["neighbours"] == []
    assert {"near", "far"} <= set(found.heard), "it can be heard all the same"


def test_of_a_long_clip_the_first_minute(page, monkeypatch):
    monkeypatch.setattr(report, "LONGEST", 1)
    path = page.hall / "long.wav"
    found = explain(page, page.row(page.hear(write(path, sound(9, seconds=3)))))
    assert found.said["cut"] == 1
    assert found.seconds == 1
    assert all(s.base is None for _, s in found.heard.values()), "no view of the whole"
    assert {one["seconds"] for one in shapes(found)} == {1}


def many(tmp_path, sizes):
    kept = ExplainedClips(lambda: tmp_path)
    for n, size in enumerate(sizes):
        folder = tmp_path / str(n)
        folder.mkdir()
        sounds = {"near": ("near", np.zeros(size // 4, np.float32))}
        kept._clips[*SUBJECT[:2], str(n), "", False] = ExplainedClip({}, sounds, None, folder)
    return kept


def test_no_more_than_so_many_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_explained, "MOST", 2)
    kept = many(tmp_path, [4, 4, 4])
    assert kept.known(("pump", "00", "0", "", False)) is not None  # asked for: now the newest
    (gone,) = kept._too_many()
    assert gone.folder.name == "1"


def test_nor_more_than_so_many_bytes_but_one_always(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_explained, "BYTES", 100)
    kept = many(tmp_path, [40, 40, 4000])
    assert [one.folder.name for one in kept._too_many()] == ["0", "1"]


def test_files_of_what_is_forgotten_are_gone(page, seen, monkeypatch):
    monkeypatch.setattr(clip_explained, "MOST", 1)
    kept = ExplainedClips(page.desk.room.new)
    row = page.row(seen)
    one = kept.explain(page.desk, row, regions=False)
    path = one.sound("near")
    assert path.exists()
    assert one.sound("heard") is None
    kept.explain(page.desk, row, regions=True)
    assert not path.exists()
    assert (
        kept.known(clip_explained.subject_of(row, page.desk.hold(seen.key), regions=False)) is None
    )


def test_where_nothing_draws_there_are_no_pictures(page, seen, monkeypatch):
    monkeypatch.setattr(clip_explained, "draws", lambda: False)
    found = explain(page, page.row(seen))
    assert shapes(found) == []
    assert found.picture("desk") is None
    assert found.sound("near").exists()


def test_the_library_says_the_same(page, seen):
    told = nf.load(page.plant.machines[0].detector.folder).explain(heard_as(page))
    found = explain(page, page.row(seen)).said
    assert found["why"] == told.why
    assert [n["name"] for n in found["neighbours"]] == [n.name for n in told.neighbours]
