"""Each clip has a file of its own, by a name that any disk and any table can hold."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from nearfar.clips import Clip
from nearfar.clips.export.places import COLUMNS, places, row, split_of, told_columns
from nearfar.errors import DatasetError

names = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=30)
clips = st.builds(
    Clip,
    names.filter(lambda n: n not in (".", "..")),
    machine=names,
    section=st.sampled_from(["00", "01"]),
    label=st.sampled_from([None, "normal", "anomaly"]),
    split=st.sampled_from([None, "train", "test"]),
)


@settings(max_examples=40)
@given(st.lists(clips, max_size=12), st.booleans())
def test_no_two_are_the_same_and_all_are_plain(found, anew):
    made = list(places(found, [anew] * len(found)))
    assert len({str(place).casefold() for place in made}) == len(found)
    for clip, place in zip(found, made, strict=True):
        assert place.parts[0] == split_of(clip)
        assert len(place.parts) == 3
        for part in place.parts:
            assert re.fullmatch(r"[\w.()+=, -]+", part)
            assert part.strip(" ") == part
            assert part not in (".", "..")
        assert place.suffix == ".wav" or not anew


def test_a_machine_called_as_a_label_gives_its_clips_none():
    (place,) = places([Clip("1.wav", machine="broken")], [False])
    assert "broken" not in str(place)


def test_clips_that_say_no_split_go_where_they_belong():
    assert [split_of(Clip("a.wav", label=label)) for label in (None, "normal", "anomaly")] == [
        "train", "train", "test",
    ]  # fmt: skip
    assert split_of(Clip("a.wav", split="test", label="normal")) == "test"


def test_what_nobody_knows_is_empty_and_odd_names_are_refused():
    clip = Clip("a.wav", machine="fan")
    (place,) = places([clip], [False])
    found = row(clip, place, None)
    assert found["file_name"] == "fan/a.wav"
    assert [found[name] for name in ("domain", "label", "split", "time", "near_channel")] == [
        ""
    ] * 5
    assert told_columns([found], usual_order=True) == COLUMNS
    assert told_columns([found], usual_order=False)[-2:] == ("near_channel", "far_channel")
    assert "time" in told_columns([{**found, "time": "2026-06-15"}], usual_order=True)
    for machine in (" fan", "a\tb"):
        refused(lambda m=machine: row(Clip("a.wav", machine=m), place, None), "no table can hold",
                error=DatasetError)  # fmt: skip
