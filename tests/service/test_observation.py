"""What is told of a clip: its place, as it can be typed."""

from dataclasses import replace

import pytest

from nearfar.service.incoming import now
from nearfar.service.observation import Observation

SEEN = Observation("hall", "b/in/x.wav", "", "pump", "00", None, now(), 1.0, "9f", "judged")


@pytest.mark.parametrize("span", ["", "@00:01:00-00:01:10"])
def test_a_file_below_the_working_folder_is_named_from_it(tmp_path, monkeypatch, span):
    seen = replace(SEEN, path=str(tmp_path / "a" / "b" / "in" / "x.wav"), name=f"b/in/x.wav{span}")
    assert seen.place == f"{tmp_path}/a/b/in/x.wav{span}"
    monkeypatch.chdir(tmp_path)
    assert seen.place == f"a/b/in/x.wav{span}"
    (tmp_path / "a2").mkdir()
    monkeypatch.chdir(tmp_path / "a2")
    assert seen.place == f"{tmp_path}/a/b/in/x.wav{span}"


def test_a_stream_has_its_name():
    assert SEEN.place == "b/in/x.wav"
    # A name that says nothing of the file is no span of it.
    assert replace(SEEN, path="/data/y.wav").place == "/data/y.wav"


def test_where_the_working_folder_is_gone_the_whole_path_is_named(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert replace(SEEN, path="/data/x.wav").place == "/data/x.wav"
