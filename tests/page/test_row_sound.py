"""The sound of a row is found by its digest: kept, or where it was heard; and nowhere else."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import refused, write
from nearfar.clips.clip import Clip
from nearfar.page.refusal import Refusal
from nearfar.page.sounds.row_sound import can_be_heard, find_recording, is_digest, kept_file, row_of
from nearfar.service.history.questions import HistoryRow
from nearfar.service.incoming import now
from nearfar.service.observation import Observation
from nearfar.service.plant import HistorySettings, SourceSettings
from nearfar.sound.audio import digest_of
from watches import sound

PUMP = ("pump", "00")


@pytest.fixture
def hall(tmp_path):
    (tmp_path / "hall").mkdir()
    return tmp_path / "hall"


def desk_of(tmp_path, order="near-far", **source):
    place = SourceSettings("hall", "folder", str(tmp_path / "hall"), **source)
    plant = SimpleNamespace(sources=(place,), history=HistorySettings(str(tmp_path / "plant.db")))
    hold = SimpleNamespace(detector=SimpleNamespace(order=order))
    rows = {}
    store = SimpleNamespace(row=lambda *key: rows.get(key), rows=rows)
    backend = SimpleNamespace(watches=True, plant=plant, holds={PUMP: hold})
    return SimpleNamespace(backend=backend, store=store)


def row(file, audio, span="", **more):
    name = "/".join(file.parts[-2:]) + span
    seen = Observation(
        source="hall", name=name, path=str(file), machine="pump", section="00", time=None,
        arrived=now(), seconds=1.5, digest=digest_of(audio), status="judged",
    )  # fmt: skip
    return HistoryRow(1, 0, replace(seen, **more))


def gone(desk, what):
    with pytest.raises(Refusal, match="its sound is not kept") as refused:
        find_recording(desk, what)
    assert refused.value.status == 410


def test_where_it_was_heard_as_long_as_it_has_this_sound(tmp_path, hall):
    path = write(hall / "1.wav", sound(1))
    desk, what = desk_of(tmp_path), row(path, Clip(path).read())
    found = find_recording(desk, what)
    assert (found.kept, found.clip.path) == (False, path)
    assert digest_of(found.clip.read("far-near")) == what.observation.digest, "whatever is usual"
    assert can_be_heard(desk, what)
    write(path, sound(2))
    gone(desk, what)
    path.unlink()
    gone(desk, what)
    assert not can_be_heard(desk, what)


def test_a_part_of_a_file_and_far_before_near(tmp_path, hall):
    path = write(hall / "1.wav", np.concatenate([sound(1), sound(2)], axis=1))
    part = Clip(path, start=1.5, stop=3.0).read("far-near")
    desk = desk_of(tmp_path, order="far-near")
    found = find_recording(desk, row(path, part, span="@00:00:01.5-00:00:03"))
    assert (found.clip.start, found.clip.stop, found.clip.channels) == (1.5, 3.0, (2, 1))
    np.testing.assert_array_equal(found.clip.read(), part)


@pytest.mark.parametrize("names", [("1_near.wav", "1_far.wav"), ("near/1.wav", "far/1.wav")])
def test_near_and_far_in_two_files(tmp_path, hall, names):
    near, far = (write(hall / name, one[None]) for name, one in zip(names, sound(1), strict=True))
    both = Clip(near, far).read()
    found = find_recording(desk_of(tmp_path), row(near, both))
    assert (found.clip.path, found.clip.far) == (near, far)
    np.testing.assert_array_equal(found.clip.read(), both)


def test_no_file_outside_of_the_folders_that_are_watched(tmp_path, hall):
    outside = write(tmp_path / "secret" / "1.wav", sound(1))
    audio = Clip(outside).read()
    desk = desk_of(tmp_path)
    gone(desk, row(outside, audio))
    gone(desk, row(hall / ".." / "secret" / "1.wav", audio))
    (hall / "link.wav").symlink_to(outside)
    (hall / "folder").symlink_to(outside.parent)
    gone(desk, row(hall / "link.wav", audio))
    gone(desk, row(hall / "folder" / "1.wav", audio))
    os.mkfifo(hall / "pipe.wav")
    gone(desk, row(hall / "pipe.wav", audio))
    desk.backend.plant.sources = (SourceSettings("hall", "pcm", "-"),)
    gone(desk, row(outside, audio, path=""))


def test_a_partner_outside_is_not_read(tmp_path, hall):
    near, far = sound(1)
    path = write(hall / "1_near.wav", near[None])
    other = write(tmp_path / "secret" / "1.wav", far[None])
    audio = Clip(path, other).read()
    (hall / "1_far.wav").symlink_to(other)
    gone(desk_of(tmp_path), row(path, audio))


def test_kept_sound_goes_before_the_file(tmp_path, hall):
    path = write(hall / "1.wav", sound(1))
    what = row(path, Clip(path).read())
    kept = write(tmp_path / "plant.db-audio" / f"{what.observation.digest}.wav", sound(1))
    found = find_recording(desk_of(tmp_path), what)
    assert (found.kept, found.clip.path) == (True, kept)
    labelled = write(tmp_path / "plant.db-labelled" / f"{what.observation.digest}.flac", sound(1))
    assert find_recording(desk_of(tmp_path), what).clip.path == labelled


def test_kept_sound_of_a_stream_is_near_first_whatever_the_detectors_order(tmp_path, hall):
    """It was rounded to 24 bits, so that its digest is another; a file as it came has its own."""
    audio = sound(1)
    desk, what = desk_of(tmp_path, order="far-near"), row(hall / "1.wav", audio, path="")
    name = f"{what.observation.digest}.flac"
    write(tmp_path / "plant.db-audio" / name, audio, subtype="PCM_24")
    found = find_recording(desk, what).clip
    np.testing.assert_allclose(found.read("far-near"), audio, atol=1e-6)
    copy = write(hall / "2.wav", sound(2))
    turned = row(copy, Clip(copy).read("far-near"))
    write(tmp_path / "plant.db-audio" / f"{turned.observation.digest}.wav", sound(2))
    assert find_recording(desk, turned).clip.channels == (2, 1)


def test_one_microphone(tmp_path, hall):
    path = write(hall / "1.wav", sound(1)[:1])
    found = find_recording(desk_of(tmp_path), row(path, Clip(path).read()))
    assert found.clip.read().shape[0] == 1


@pytest.mark.parametrize(
    "asked",
    ["", "..", "9f" * 31, "9F" * 32, "9f" * 33, "../" * 21 + "x", "9f" * 31 + "/x", "*" * 64],
)
def test_what_is_no_digest_is_asked_of_nobody(tmp_path, hall, asked):
    desk = desk_of(tmp_path)
    desk.store.row = None  # not called
    assert not is_digest(asked)
    assert kept_file(desk.backend.plant.history, asked) is None
    with pytest.raises(Refusal, match="no clip of this digest") as refused:
        row_of(desk, *PUMP, asked)
    assert refused.value.status == 404


def test_a_link_in_the_folder_of_kept_sound_leads_nowhere(tmp_path, hall):
    outside = write(tmp_path / "secret.wav", sound(1))
    what = row(hall / "1.wav", Clip(outside).read())
    folder = tmp_path / "plant.db-audio"
    folder.mkdir()
    (folder / f"{what.observation.digest}.wav").symlink_to(outside)
    gone(desk_of(tmp_path), what)


def test_a_page_without_a_watch_says_where_it_looked(tmp_path, hall):
    """The sound may be where a plant.toml says, which `nearfar serve` was not told of."""
    path = write(hall / "1.wav", sound(1))
    what = row(path, Clip(path).read())
    path.unlink()
    desk = desk_of(tmp_path)
    desk.backend.watches = False
    line = refused(lambda: find_recording(desk, what), error=Refusal)
    assert "its sound is not in plant.db-audio; where the watch keeps it elsewhere" in line
