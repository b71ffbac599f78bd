"""Files that belong together, files that are none of ours: each is named, none left out."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path

import pytest

from clip_files import lay, refused
from nearfar.clips import Clips, faults, refuse_faults
from nearfar.clips.pairs import FOREIGN
from nearfar.errors import AudioError, NearfarWarning, SettingError
from nearfar.sound.audio import SUFFIXES


def names(clips: Clips) -> list[tuple[str, str | None]]:
    return [(c.path.name, c.far and c.far.name) for c in clips]


@pytest.mark.parametrize("ends", [("_Tr1", "_Tr2"), ("_ch1", "_CH2"), ("_near", "_Far")])
def test_recorders_pairs(tmp_path: Path, ends: tuple[str, str]) -> None:
    near, far = (f"ZOOM0001{end}.WAV" for end in ends)
    lay(tmp_path / "pump", near, far)
    clips = Clips.open(tmp_path / "pump")
    assert names(clips) == [(near, far)]
    assert Clips.open(tmp_path / "pump" / far) == clips


@pytest.mark.parametrize("halves", [("ch1", "ch2"), ("Near", "far"), ("Tr1", "Tr2")])
def test_halves_in_folders(tmp_path: Path, halves: tuple[str, str]) -> None:
    lay(tmp_path / "pump", *(f"{half}/1.wav" for half in halves))
    clip = Clips.open(tmp_path / "pump")[0]
    assert (clip.path.parent.name, clip.far and clip.far.parent.name) == halves
    assert clip.machine == "pump"


@pytest.mark.parametrize(
    ("near", "far"),
    [
        ("1_NEAR.wav", "1_Far.WAV"),
        ("1_near.wav", "1_far.flac"),
        ("1_Tr1.WAV", "1_Tr2.wav"),
        ("near/1.wav", "far/1.WAV"),
        ("ch1/1.flac", "ch2/1.wav"),
    ],
)
def test_endings_need_not_agree(tmp_path: Path, near: str, far: str) -> None:
    lay(tmp_path / "pump", near, far)
    clips = Clips.open(tmp_path / "pump")
    assert names(clips) == [(Path(near).name, Path(far).name)]
    assert faults(clips) == []


def test_endings_that_leave_open_which_belong_together(tmp_path: Path) -> None:
    """Nothing is lost where two files of one side are alike but for their endings."""
    lay(tmp_path / "pump", "1_near.wav", "1_near.flac", "1_far.aif")
    assert len(faults(Clips.open(tmp_path / "pump"))) == 3
    lay(tmp_path / "pump", "1_far.flac")  # what agrees to the letter goes first
    clips = Clips.open(tmp_path / "pump")
    pairs = [pair for pair in names(clips) if pair[1]]
    assert ("1_near.flac", "1_far.flac") in pairs
    assert {name for pair in names(clips) for name in pair if name} == {
        "1_near.wav", "1_near.flac", "1_far.aif", "1_far.flac",
    }  # fmt: skip


def test_a_number_behind_a_dot_is_no_ending(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "rec.2_n.wav", "rec.3_f.wav")
    clips = Clips.open(tmp_path / "pump", pair="NEAR=*_n.wav,FAR=*_f.wav")
    assert len(faults(clips)) == 2


def test_a_pattern_pairs(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "a_1.wav", "a_2.WAV", "b_1.wav", "b_2.wav", "c_3.wav")
    with pytest.warns(NearfarWarning, match=r"c_3\.wav"):
        clips = Clips.open(tmp_path / "pump", pair="NEAR=*_2.wav, far=*_1.wav")
    assert names(clips) == [("a_2.WAV", "a_1.wav"), ("b_2.wav", "b_1.wav")]


@pytest.mark.parametrize("pattern", ["", "NEAR=*_1.wav", "*_1.wav,*_2.wav", "NEAR=1.wav,FAR=2.wav",
                                     "NEAR=*_*1,FAR=*_2", "NEAR=*,FAR=*", "NEAR=a/*,FAR=b/*",
                                     "NEAR=*1,NEAR=*2"])  # fmt: skip
def test_bad_patterns(tmp_path: Path, pattern: str) -> None:
    lay(tmp_path, "a_1.wav", "a_2.wav")
    refused(lambda: Clips.open(tmp_path, pair=pattern), "pair", error=SettingError)


@pytest.mark.parametrize(
    ("files", "faulty"),
    [
        (["near/1.wav", "near/2.wav", "far/1.wav"], ["2.wav"]),
        (["near/1.wav", "far/1.wav", "far/2.wav"], ["2.wav"]),
        (["1_near.wav", "1_far.wav", "2_near.wav"], ["2_near.wav"]),
        (["1_far.wav"], ["1_far.wav"]),
        (["1_Tr1.wav", "1_Tr2.wav", "2_Tr1.wav"], ["2_Tr1.wav"]),
        (["1_Tr2.wav"], ["1_Tr2.wav"]),
        (["1_Tr1.wav", "1_Tr2.wav", "1_Tr3.wav"], ["1_Tr1.wav", "1_Tr2.wav", "1_Tr3.wav"]),
        (["1_Tr1.wav"], []),
        (["1.wav", "2.mp3", "3.ogg"], ["2.mp3", "3.ogg"]),
    ],
)
def test_what_is_wrong_with_one_file_is_told_when_it_is_read(
    tmp_path: Path, files: list[str], faulty: list[str]
) -> None:
    lay(tmp_path / "pump", *files)
    clips = Clips.open(tmp_path / "pump", split="train", clip_seconds=2)
    bad = [c for c in clips if c.fault]
    assert [c.path.name for c in bad] == faulty
    for clip in bad:
        refused(clip.read, clip.path.name, "--skip-bad", error=AudioError)
    assert faults(clips) == [c.fault for c in bad]


@pytest.mark.parametrize("suffix", sorted(FOREIGN))
def test_no_sound_file_is_left_out(tmp_path: Path, suffix: str) -> None:
    lay(tmp_path / "pump", "1.wav", f"it's 2{suffix.upper()}")
    clip = Clips.open(tmp_path / "pump")[1]
    assert "ffmpeg -i" in clip.fault


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_endings_in_any_case(tmp_path: Path, suffix: str) -> None:
    lay(tmp_path / "pump", f"1{suffix}", f"2{suffix.upper()}")
    assert faults(Clips.open(tmp_path / "pump")) == []
    assert len(Clips.open(tmp_path / "pump")) == 2


def test_all_faults_are_refused_in_one_line(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav", *(f"{k}.mp3" for k in "abcdef"))
    clips = Clips.open(tmp_path / "pump")
    refused(lambda: refuse_faults(clips), "6 of 7", "a.mp3", "d.mp3", "and 2 more", "--skip-bad")
    refuse_faults(clips[:1])


def test_a_pattern_that_fits_nothing_is_the_mistake_that_is_told(tmp_path: Path) -> None:
    lay(tmp_path / "pump", *(f"m{i:02d}_{side}.wav" for i in range(14) for side in "LR"))
    with pytest.warns(NearfarWarning) as said:
        refused(
            lambda: Clips.open(tmp_path / "pump", pair="NEAR=*_1.wav,FAR=*_2.wav"),
            "--pair NEAR=*_1.wav,FAR=*_2.wav", "none of 28 files", "m00_L.wav",
        )  # fmt: skip
    assert ["28 files" in str(w.message) for w in said] == [True]  # not a line a file


def test_the_line_that_converts_works_from_where_one_stands(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "a b.m4a")
    clips = Clips.open(tmp_path / "pump")
    told = shlex.split(clips[0].fault.partition("convert it, ")[2].partition(";")[0])
    assert told == ["ffmpeg", "-i", *(str(tmp_path / "pump" / f"a b.{e}") for e in ("m4a", "wav"))]


def test_what_pair_leaves_out_is_one_line_with_its_count(tmp_path):
    (tmp_path / "rec").mkdir()
    for n in range(20):
        for track in (3, 4, 5):
            (tmp_path / "rec" / f"t {n}_{track}.wav").touch()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        clips = Clips.open(tmp_path / "rec", pair="NEAR=*_3.wav,FAR=*_4.wav")
    assert len(clips) == 20
    told = [str(w.message) for w in said]
    assert "t 0_5.wav: neither near nor far by" in told[0]
    assert "(and 19 more like it" in told[0]
    assert all(sum(f"t {n}_5.wav" in line for line in told) == 1 for n in range(20))
    assert len(told) <= 1 + 20 * len(str(tmp_path / "rec/t 19_5.wav, ")) // 400 + 1
