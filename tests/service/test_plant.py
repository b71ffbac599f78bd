"""Settings of a watch: whose a clip is, and what does not fit together."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import refused
from nearfar.clips.clip import Clip
from nearfar.detector import keys
from nearfar.errors import DatasetError, SettingError
from nearfar.service.plant import (
    DetectorSettings,
    HistorySettings,
    MachineSettings,
    PlantSettings,
    SourceSettings,
    known_keys,
    machines_of,
    usual_seconds,
)
from plants import by_hand

ONE = DetectorSettings(Path("one"))
FOLDER = SourceSettings("hall", "folder", "/data/hall")
STREAM = SourceSettings("line", "pcm", "-", rate=48_000, clip_seconds=10.0)


def watched(*keys_, source=FOLDER):
    return PlantSettings(tuple(MachineSettings(*key, ONE) for key in keys_), (source,))


MANY = watched(("fan", "00"), ("fan", "01"), ("pump", "00"))


@pytest.mark.parametrize(
    ("plant", "clip", "source", "whose"),
    [
        (MANY, {"machine": "fan", "section": "01"}, {}, ("fan", "01")),
        (MANY, {"machine": "pump"}, {}, ("pump", "00")),
        (MANY, {"machine": "saw"}, {}, None),
        (MANY, {"machine": "pump", "section": "01"}, {}, None),
        (MANY, {"machine": "saw"}, {"machine": "pump"}, ("pump", "00")),
        (MANY, {"machine": "saw"}, {"machine": "fan", "section": "01"}, ("fan", "01")),
        (MANY, {"machine": "fan"}, {"section": "01"}, ("fan", "01")),
        (watched(("fan", "00")), {"machine": "rec"}, {}, ("fan", "00")),
        # A data set says whose its clips are, and is believed.
        (watched(("fan", "00")), {"machine": "pump", "split": "test"}, {}, None),
        (watched(("fan", "00"), ("fan", "01")), {"machine": "rec", "section": "01"}, {},
         ("fan", "01")),
        # One section is watched: recordings that say none are of it.
        (watched(("fan", "03")), {"machine": "rec"}, {}, ("fan", "03")),
        (watched(("fan", "03"), ("pump", "00")), {"machine": "rec"}, {"machine": "fan"},
         ("fan", "03")),
        # One that says another section is not taken for it.
        (watched(("fan", "00")), {"machine": "fan", "section": "02"}, {}, None),
    ],
)  # fmt: skip
def test_a_clip_is_of_the_machine_that_is_said_or_the_only_one(plant, clip, source, whose):
    assert plant.whose(Clip(Path("1.wav"), **clip), replace(FOLDER, **source)) == whose


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["00", "01"])), min_size=1,
             max_size=4, unique=True),
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["00", "01"]),
)  # fmt: skip
def test_what_score_would_judge_is_judged_as_the_same(known, machine, section):
    """A folder watched and a folder scored give one answer, where both know one."""
    clip = Clip(Path("1.wav"), machine=machine, section=section)
    try:
        scored = keys.assigned(known, keys.machines_of(known), clip, None, None)
    except DatasetError:
        return
    assert watched(*known).whose(clip, FOLDER) == (scored.machine, scored.section)


def test_what_does_not_fit_together_is_refused():
    pump = MachineSettings("pump", "00", ONE)
    refused(lambda: PlantSettings((), (FOLDER,)), "name a detector", error=SettingError)
    refused(lambda: PlantSettings((pump,), ()), "name a folder or a stream")
    refused(lambda: PlantSettings((pump, pump), (FOLDER,)), "two machines are called 'pump'")
    refused(lambda: PlantSettings((pump,), (FOLDER, FOLDER)), "two sources are called 'hall'")
    wrong = replace(FOLDER, machine="pmp")
    refused(
        lambda: PlantSettings((pump,), (wrong,)),
        "machine 'pmp' is not watched; did you mean 'pump'?",
    )
    wrong = replace(FOLDER, machine="pump", section="7")
    refused(lambda: PlantSettings((pump,), (wrong,)), "section '7' is not watched; watched are: 00")
    kept = HistorySettings("postgresql://db/plant", keep_audio="alarms")
    refused(lambda: PlantSettings((pump,), (FOLDER,), kept), "there is no folder for it")


def test_a_stream_must_be_somebodys():
    refused(lambda: watched(("fan", "00"), ("pump", "00"), source=STREAM), "one of: fan, pump")
    two = (("fan", "00"), ("fan", "01"))
    refused(lambda: watched(*two, source=STREAM), "nothing of its section", "00, 01")
    assert watched(*two, source=replace(STREAM, section="01")).sources[0].section == "01"
    assert watched(("fan", "00"), source=STREAM)


@pytest.mark.parametrize(
    ("place", "folder"),
    [("", None), ("a/b.db", "a/b.db-audio"), ("sqlite:///a/b.db", "a/b.db-audio"),
     ("postgresql://db/x", None)],
)  # fmt: skip
def test_audio_is_kept_beside_a_history_that_is_a_file(place, folder):
    found = HistorySettings(place).sound_folder
    assert found == (folder and Path(folder))
    assert HistorySettings(place, audio_folder=Path("z")).sound_folder == Path("z")


def test_a_detector_is_asked_by_its_index_alone(tmp_path):
    by_hand((("fan", "00"), ("fan", "01"), ("pump", "00"))).save(tmp_path / "d")
    for bank in (tmp_path / "d").glob("bank-*"):
        bank.unlink()
    where = DetectorSettings(tmp_path / "d")
    assert known_keys(where) == (("fan", "00"), ("fan", "01"), ("pump", "00"))
    assert [m.key for m in machines_of(where, {})] == list(known_keys(where))
    assert [m.key for m in machines_of(where, {}, "fan")] == [("fan", "00"), ("fan", "01")]
    assert [m.key for m in machines_of(where, {}, "", "00")] == [("fan", "00"), ("pump", "00")]
    refused(lambda: list(machines_of(where, {}, "fna")), "did you mean 'fan'?")
    refused(lambda: list(machines_of(where, {}, "fan", "02")), "fan has no section '02'")
    refused(lambda: list(machines_of(where, {}, "", "02")), "has no section '02'")


def test_streams_are_cut_as_long_as_normals_are(tmp_path):
    by_hand().save(tmp_path / "d")
    pump = MachineSettings("pump", "00", DetectorSettings(tmp_path / "d"))
    assert usual_seconds(pump) == 10.0


def test_machines_share_a_detector(tmp_path):
    assert MANY.detectors == {ONE: (("fan", "00"), ("fan", "01"), ("pump", "00"))}
