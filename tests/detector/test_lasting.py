"""A detector on disk that is changed: alone, whole, and as it was when what follows fails."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.folder import disk
from nearfar.detector.folder.disk import alone
from nearfar.detector.learning import lasting
from nearfar.detector.learning.teaching import Care
from nearfar.errors import DatasetError, SettingError
from nearfar.runtime.runtime import Runtime
from new_clips import digests, new_clips
from plants import by_hand

KEY = ("fan", "00")
TOLD = {"machine": None, "section": None, "domain": None}


@pytest.fixture
def folder(tmp_path):
    return by_hand().save(tmp_path / "det")


def reader(folder):
    return partial(nf.load, folder)


def test_what_fails_after_it_takes_it_back_to_the_byte(folder):
    before = digests(folder)

    def stopped():
        change = lasting.changed(reader(folder), folder, lambda one: one.with_false_alarm_rate(0.4))
        with change as (was, now):
            assert (was.false_alarm_rate, now.false_alarm_rate) == (0.1, 0.4)
            assert nf.load(folder).false_alarm_rate == 0.4  # there already, for who follows
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert digests(folder) == before


def test_nobody_else_writes_meanwhile(folder, monkeypatch):
    monkeypatch.setattr(disk, "WAIT", 0.1)

    def other():
        with alone(folder):
            pass

    with lasting.changed(reader(folder), folder, lambda one: one), ThreadPoolExecutor(1) as pool:
        refused(pool.submit(other).result, "another nearfar")


def test_thresholds_are_drawn_and_what_is_no_rate_leaves_all(folder):
    before = digests(folder)
    refused(lambda: lasting.redraw(reader(folder), folder, 1.0), "1.0", error=SettingError)
    assert digests(folder) == before
    assert lasting.redraw(reader(folder), folder, 0.4).false_alarm_rate == 0.4
    assert nf.load(folder).false_alarm_rate == 0.4


def test_a_clip_that_nobody_knows_is_not_forgotten(folder):
    before = digests(folder)
    refused(lambda: lasting.forget(reader(folder), folder, ["z.wav"], None, None), "z.wav",
            error=DatasetError)  # fmt: skip
    assert digests(folder) == before


@pytest.mark.slow
def test_clips_are_learnt_and_forgotten_to_the_byte(detector_folder, tmp_path):
    folder = nf.load(detector_folder).save(tmp_path / "det")
    before, clips = digests(folder), new_clips(tmp_path / "new", source=2, target=0)
    care = Care(accept_suspects=True)
    was, now = lasting.teach(reader(folder), folder, clips, TOLD, care, Runtime())
    assert len(now.sections[KEY].clips) == len(was.sections[KEY].clips) + 2
    lesson = now.lessons[-1]
    assert isinstance(lasting.unjudged(was, now, lesson), list)
    lasting.forget(reader(folder), folder, [d for _, d in lesson.clips], *KEY)
    assert digests(folder) == before


@pytest.mark.slow
def test_another_detector_that_came_meanwhile_is_not_taught(detector_folder, tmp_path):
    folder = nf.load(detector_folder).save(tmp_path / "det")
    clips = new_clips(tmp_path / "new", source=1, target=0)

    def read(late=False):
        # Heard by one, and then there is another.
        found = nf.load(folder, late=late)
        return found if late else replace(found, order="far-near")

    before = digests(folder)
    refused(lambda: lasting.teach(read, folder, clips, TOLD, Care(), Runtime()),
            "was replaced while", error=SettingError)  # fmt: skip
    assert digests(folder) == before
