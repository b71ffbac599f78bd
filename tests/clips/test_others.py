"""Sound that no name gives away is named, and what is no sound is not."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from clip_files import lay, record
from nearfar.clips import Clips
from nearfar.clips.others import BARE, FILMS


def said(folder: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clips = Clips.open(folder)
    assert all(clip.path.suffix == ".wav" for clip in clips)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("suffix", sorted(FILMS | BARE))
def test_films_and_bare_samples_are_named_as_left_out(tmp_path: Path, suffix: str) -> None:
    lay(tmp_path / "pump", "1.wav", f"2{suffix.upper()}")
    (line,) = said(tmp_path / "pump")
    assert line.startswith(f"left out: {tmp_path / 'pump' / '2'}{suffix.upper()}: ")
    assert "WAV" in line


@pytest.mark.parametrize("name", ["2.wav~", "2.wav.tmp", "2.wav.part", "2.WAV.bak", "2.bak", "2",
                                  "2.bwav", "2.dat", "2.wav.1"])  # fmt: skip
def test_copies_are_named_if_they_are_sound(tmp_path: Path, name: str) -> None:
    sound = record(tmp_path / "pump" / "1.wav", 1.0)
    other = sound.with_name(name)
    other.write_bytes(sound.read_bytes())
    (line,) = said(tmp_path / "pump")
    assert line == (f"left out: {other}: WAV by its content, but not by its name; "
                    "rename it to use it")  # fmt: skip
    other.write_bytes(b"[section]\n")
    assert said(tmp_path / "pump") == []


def test_packed_sound_is_named_by_its_name(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav", "2.wav.gz", "notes.gz", "notes.txt.zip")
    (line,) = said(tmp_path / "pump")
    assert "2.wav.gz: packed" in line


def test_what_lies_beside_recordings_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path / "pump", "1.wav", "attributes.csv", "notes.txt", "photo.jpg", ".hidden.mp4")
    monkeypatch.setattr("nearfar.sound.audio.kind_of", lambda path: pytest.fail(str(path)))
    assert said(tmp_path / "pump") == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav")
    os.mkfifo(tmp_path / "pump" / "pipe")
    assert said(tmp_path / "pump") == []


@pytest.mark.parametrize("place", ["pump/deep/2.mp4", "pump/near/2.mp4", "pump/train/2.mp4"])
def test_everywhere_that_clips_are_looked_for(tmp_path: Path, place: str) -> None:
    sound = {"near": ["near/1.wav", "far/1.wav"],
             "train": ["train/section_00_source_train_normal_0000_noAttribute.wav"],
             "deep": ["1.wav"]}  # fmt: skip
    lay(tmp_path / "pump", *sound[Path(place).parent.name])
    lay(tmp_path, place)
    (line,) = said(tmp_path / "pump")
    assert "2.mp4: films are not read" in line


def test_many_are_a_few_lines_with_every_name(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav", *(f"{i}.mp4" for i in range(30)))
    lines = said(tmp_path / "pump")
    assert "29 more like it" in lines[0]
    assert len(lines) < 15
    assert all(f"{os.sep}{i}.mp4" in " ".join(lines) for i in range(30))


def test_a_name_with_a_colon_is_whole(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav", "Rec: 1.mp4", "Rec: 2.mp4")
    (line,) = said(tmp_path / "pump")
    assert line.endswith(f"(and 1 more like it: {tmp_path / 'pump' / 'Rec: 2.mp4'})")
