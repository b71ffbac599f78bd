"""Whatever a file is called, it lies in the folder or is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from nearfar.errors import DatasetError
from nearfar.page.sent.sent_names import DEEPEST, LONGEST_PART, LeftOut, place_for


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.wav", "a.wav"),
        ("normal/2024-11-04/near/a.FLAC", "normal/2024-11-04/near/a.FLAC"),
        ("normal/08:30:00.wav", "normal/08_30_00.wav"),
        ("Lu\u0308fter/a.wav", "Lüfter/a.wav"),
        ("ポンプ/一.wav", "ポンプ/一.wav"),
        ("train/section_00_source_train_normal_0000_x.wav",
         "section_00_source_train_normal_0000_x.wav"),
        ("fan/train/a.wav", "fan/train/a.wav"),
        ("con/NUL.wav", "_con/_NUL.wav"),
        ("Monday /a.wav", "Monday/a.wav"),
    ],
)  # fmt: skip
def test_harmless_names_keep_their_folders(name, place):
    assert place_for(name).as_posix() == place


@pytest.mark.parametrize(
    "name",
    ["../x.wav", "a/../../x.wav", "/etc/x.wav", "C:\\x.wav", "C:/x.wav", "a\\..\\x.wav",
     "a/x\0.wav", "a\nb.wav", "", "a//b.wav", "./x.wav", ".../x.wav", " /x.wav",
     f"{'x' * 300}.wav", f"{'ü' * 150}.wav", "a/" * (DEEPEST + 1) + "x.wav",
     f"{'x' * 150}/" * 6 + "x.wav"],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_fit_nowhere_are_refused(name):
    assert len(refused(lambda: place_for(name), error=DatasetError)) < 500


@pytest.mark.parametrize(
    "name", [".DS_Store", "a/._b.wav", ".git/a.wav", "__MACOSX/a.wav", "a.txt", "list.csv", "a",
             "song.mp3", "a.wav.zip"],
)  # fmt: skip
def test_what_is_no_recording_is_left_out(name):
    refused(lambda: place_for(name), name.split("/")[-1].split(".")[-1], error=LeftOut)


PART = st.sampled_from(
    ["..", ".", "", "/", "\\", "C:", "a", "\0", "con", " ", "...", "ü", ":", "~"]
)
NAMES = st.lists(PART | st.text(max_size=8), max_size=6).map(lambda parts: "/".join(parts) + ".wav")


@given(NAMES | st.text(max_size=40))
@settings(max_examples=60)
def test_no_name_leads_out_of_the_folder(name):
    root = Path("/srv/pump.normals")
    try:
        place = place_for(name)
    except DatasetError:
        return
    assert root in (root / place).parents
    assert not {"..", "."} & set(place.parts)
    assert "\\" not in str(place)
    assert all(len(part.encode()) <= LONGEST_PART + 1 for part in place.parts)
    assert place_for(place.as_posix()) == place or place.parts[0] == "train"
