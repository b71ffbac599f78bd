"""Clips in a list, and clips cut from long recordings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_files import record, refused, row
from nearfar.clips import Clip, Clips
from nearfar.errors import AudioError, DatasetError, NearfarWarning, SettingError

TRAIN = ("train/section_00_source_train_normal_0000_a_1.wav",
         "train/section_00_target_train_normal_0000_a_2.wav")  # fmt: skip


# ---- CSV -----------------------------------------------------------------------------------------


def listed(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "hall" / "clips.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


FULL = (
    "path,far,start,stop,machine,section,domain,split,label,attributes,time\n"
    "rec/a.wav,rec/b.wav,60,70.5,Pumpe Süd,0,target,train,normal,speed 5,2026-06-15T08:30:00Z\n"
    "/abs/c.flac,,,,,,,,,,\n"
)


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_columns(tmp_path: Path, bom: str, end: str) -> None:
    path = listed(tmp_path, bom + FULL.replace("\n", end))
    first, second = clips = Clips.from_csv(path)
    assert first == Clip(
        path.parent / "rec/a.wav", path.parent / "rec/b.wav", start=60.0, stop=70.5,
        machine="Pumpe Süd", section="00", domain="target", split="train", label="normal",
        attributes="speed 5", time=datetime(2026, 6, 15, 8, 31, tzinfo=UTC),
    )  # fmt: skip
    assert second == Clip(Path("/abs/c.flac"), machine="hall")
    assert Clips.open(path) == clips
    assert Clips.open(path, "train") == clips  # a line that says no split belongs to any
    assert Clips.open(path, "test") == clips[1:]
    assert Clips.open(path, machines=["hall"], machine="x").machines == ("x",)


def test_other_ways_to_write_it(tmp_path: Path) -> None:
    text = ' near , far\n\n a_1.wav ,"b, 1.wav"\n,\nc.wav,d.wav'
    folder = tmp_path / "hall"
    assert Clips.from_csv(listed(tmp_path, text)) == Clips(
        [Clip(folder / "a_1.wav", folder / "b, 1.wav", machine="hall"),
         Clip(folder / "c.wav", folder / "d.wav", machine="hall")])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", [":1:", "'path' or 'near'"]),
        ("far,machine\na.wav,x\n", [":1:", "'path' or 'near'"]),
        ("path,near\na.wav,b.wav\n", [":1:", "either"]),
        ("path,machien\n", [":1:", "'machien'", "did you mean 'machine'"]),
        ("path|machine\na.wav|x\n", [":1:", "'path|machine'"]),
        ("path,near_channel\na.wav,1\n", [":2:", "go together"]),
        ("path,near_channel,far_channel\na.wav,0,2\n", [":2:", "counted from 1"]),
        ("path,near_channel,far_channel\na.wav,2,2\n", [":2:", "different"]),
        ("near,far,near_channel,far_channel\na.wav,b.wav,1,2\n", [":2:", "of its own"]),
        ("path,path\na,b\n", [":1:", "twice"]),
        ("path\n", ["no clips below the header"]),
        ("path,machine\na.wav\n", [":2:", "1 cells", "2"]),
        ("path\na.wav,b\n", [":2:", "2 cells"]),
        ("path,machine\n,x\n", [":2:", "no path"]),
        ("path,start\na.wav,0\nb.wav,soon\n", [":3:", "start 'soon'"]),
        ("path,start\na.wav,-1\n", [":2:", "start -1.0"]),
        ("path,start\na.wav,nan\n", [":2:", "start nan"]),
        ("path,start,stop\na.wav,5,4\n", [":2:", "stop 4.0"]),
        ("path,stop\na.wav,1e308\n", [":2:", "stop 1e+308"]),
        ("path,domain\na.wav,0\n", [":2:", "domain '0'", "source or target"]),
        ("path,label\n\na.wav,bad\n", [":3:", "label 'bad'"]),
        ("path,split\na.wav,dev\n", [":2:", "split 'dev'"]),
        ("path,time\na.wav,yesterday\n", [":2:", "time 'yesterday'"]),
        ("path,start,time\na.wav,1e8,9999-12-31\n", [":2:", "9999-12-31"]),
        ("path,start\na.wav,\nb.wav,\na.wav,0\n", [":4:", "line 2"]),
        ('path\n"a.wav\n', [":2:", "correct the line"]),
        ('path\n"a\nb.wav"\n', [":3:", "line break"]),
    ],
)
def test_bad_lists(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(lambda: Clips.from_csv(listed(tmp_path, text)), "clips.csv", *words)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_as_spreadsheets_write_them(tmp_path: Path, separator: str, encoding: str) -> None:
    lines = ("path,machine,start,stop", "rec/a.wav,Pumpe Süd,1.5,3", "rec/b.wav,,,")
    text = "\r\n".join(line.replace(",", separator) for line in lines) + "\r\n"
    clips = Clips.open(listed(tmp_path, text, encoding))
    assert [(c.path.name, c.machine, c.start, c.stop) for c in clips] == [
        ("a.wav", "Pumpe Süd", 1.5, 3.0), ("b.wav", "hall", 0.0, None)]  # fmt: skip


def test_decimal_commas_and_paths_of_windows(tmp_path: Path) -> None:
    clips = Clips.open(listed(tmp_path, "sep=;\npath;start;stop\nrec\\a.wav;1,5;2,75\n"))
    assert (clips[0].start, clips[0].stop) == (1.5, 2.75)
    assert clips[0].path == tmp_path / "hall/rec/a.wav"


def test_channels_stand_in_a_list(tmp_path: Path) -> None:
    text = "path,machine,near_channel,far_channel\na.wav,x,3,7\na.wav,y,4,8\nb.wav,z,,\n"
    path = listed(tmp_path, text)
    assert [c.channels for c in Clips.open(path)] == [(3, 7), (4, 8), None]
    assert [c.channels for c in Clips.open(path, channels=(1, 5))] == [(3, 7), (4, 8), (1, 5)]


def test_a_folder_in_a_list_says_a_label(tmp_path: Path) -> None:
    text = "path,label\nfan/abnormal/1.wav,\nfan/abnormal/2.wav,normal\nfan/3.wav,\n"
    assert [c.label for c in Clips.open(listed(tmp_path, text))] == ["anomaly", "normal", None]


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    refused(lambda: Clips.from_csv(listed(tmp_path, "path\nü.wav", "latin-1")), "UTF-8")
    refused(lambda: Clips.from_csv(tmp_path / "gone.csv"), "gone.csv", "cannot be read")
    refused(lambda: Clips.from_csv(tmp_path), "cannot be read")


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text('a0",\n\r'))
def test_no_text_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("path,label\n" + text, encoding="utf-8", newline="")
    message = "x.wav"
    try:
        assert len(Clips.from_csv(path)) > 0
    except DatasetError as error:
        message = str(error)
    assert "\n" not in message


# ---- long recordings -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:recordings at 8000 Hz", "ignore:.*no whole clip")
def test_a_long_recording_becomes_clips_with_times(tmp_path: Path) -> None:
    record(tmp_path / "hall/long.wav", 35.7, rate=8_000)
    begin = datetime(2026, 6, 15, 23, 59, 40)
    path = listed(tmp_path, f"path,time\nlong.wav,{begin.isoformat()}\n")
    clips = Clips.open(path, clip_seconds=10)
    assert clips == Clips.from_csv(path, clip_seconds=10)
    assert [c.file for c in clips] == ["long.wav@00:00:00-00:00:10", "long.wav@00:00:10-00:00:20",
                                       "long.wav@00:00:20-00:00:30"]  # fmt: skip
    assert [c.time for c in clips] == [begin + timedelta(seconds=s) for s in (0, 10, 20)]
    assert [c.read().shape for c in clips] == [(2, 160_000)] * 3  # the last 5.7 s are left out
    whole = Clips.open(path)[0]
    joined = Clips.open(tmp_path / "hall/long.wav", clip_seconds=11.9)
    assert [(c.start, c.stop, c.time) for c in joined] == [
        (pytest.approx(a), pytest.approx(a + 11.9), None) for a in (0, 11.9, 23.8)]  # fmt: skip
    assert len(Clips.open(tmp_path / "hall/long.wav", clip_seconds=5.1)) == 7  # 35.7 s: all of it
    assert whole.read().shape[1] == sum(c.read().shape[1] for c in joined)


def test_a_remainder_is_left_out_aloud(tmp_path: Path) -> None:
    record(tmp_path / "hall/long.wav", 5)
    with pytest.warns(NearfarWarning, match=r"long.wav: its last 1 s are no whole clip"):
        assert len(Clips.open(tmp_path / "hall", clip_seconds=2)) == 2


def test_a_csv_hides_no_label_that_a_name_tells(tmp_path: Path) -> None:
    name = "section_00_target_test_anomaly_0001_spd_3.wav"
    clip = Clips.open(listed(tmp_path, f"path\n{name}\n"))[0]
    assert (clip.label, clip.split, clip.domain) == ("anomaly", "test", "target")
    assert clip.attributes == "spd_3"
    told = Clips.open(listed(tmp_path, f"path,domain\n{name},source\n"))[0]
    assert told.domain == "source"  # what the table says counts


@pytest.mark.filterwarnings("ignore:.*no whole clip")
def test_a_part_is_cut_within_its_span(tmp_path: Path) -> None:
    record(tmp_path / "hall/long.wav", 10)
    path = listed(tmp_path, "path,start,stop,time\nlong.wav,2.5,7,2026-01-01\n")
    clips = Clips.from_csv(path, clip_seconds=2)
    assert [(c.start, c.stop) for c in clips] == [(2.5, 4.5), (4.5, 6.5)]
    assert [c.time for c in clips] == [datetime(2026, 1, 1, 0, 0, 2, 500_000),
                                       datetime(2026, 1, 1, 0, 0, 4, 500_000)]  # fmt: skip


@pytest.mark.parametrize("seconds", [1, 3, 3.1, 1_000])
def test_what_is_not_longer_stays_whole(tmp_path: Path, seconds: float) -> None:
    pump = tmp_path / "pump"
    record(pump / "x.wav", 3)
    clips = Clips.from_folder(pump, clip_seconds=seconds)
    assert len(clips) == (3 if seconds == 1 else 1)
    assert (clips == Clips.from_folder(pump)) == (seconds != 1)


@pytest.mark.filterwarnings("ignore:.*no whole clip")
def test_two_recorders_that_stop_apart(tmp_path: Path) -> None:
    record(tmp_path / "pump/x_near.wav", 4.0, 1)
    record(tmp_path / "pump/x_far.wav", 3.9, 1)
    clips = Clips.open(tmp_path / "pump", clip_seconds=1)
    assert [c.read().shape for c in clips] == [(2, 16_000)] * 3


def test_what_cannot_be_read_is_kept_so_that_reading_says_why(tmp_path: Path) -> None:
    record(tmp_path / "hall/good.wav", 3)
    record(tmp_path / "hall/cut.wav", 3)
    data = (tmp_path / "hall/cut.wav").read_bytes()
    (tmp_path / "hall/cut.wav").write_bytes(data[:50_000])
    path = listed(tmp_path, "path,start,stop\ngood.wav,,\ncut.wav,,\ngone.wav,,\n"
                            "good.wav,8,9\ngood.wav,1,9\n")  # fmt: skip
    clips = Clips.from_csv(path, clip_seconds=1)
    assert len(clips) == 3 + 1 + 1 + 1 + 1
    for clip, word in zip(clips[3:], ["truncated", "no such", "no samples", "ends"], strict=True):
        refused(clip.read, word, error=AudioError)


@pytest.mark.parametrize("seconds", [0, -1, 0.99, float("nan"), float("inf")])
def test_lengths_that_no_clip_can_have(tmp_path: Path, seconds: float) -> None:
    record(tmp_path / "pump/x.wav", 3)
    path = listed(tmp_path, "path\n../pump/x.wav\n")
    for call in (
        lambda: Clips.open(tmp_path / "pump", clip_seconds=seconds),
        lambda: Clips.from_folder(tmp_path / "pump", clip_seconds=seconds),
        lambda: Clips.from_csv(path, clip_seconds=seconds),
    ):
        refused(call, "clip_seconds", "at least 1 s", error=SettingError)


def test_dcase_clips_can_be_cut(tmp_path: Path) -> None:
    record(tmp_path / "fan" / TRAIN[0], 3)
    clips = Clips.open(tmp_path, "train", clip_seconds=1)
    assert len(clips) == 3
    assert {row(c) for c in clips} == {("00", "train", "source", "normal", "a_1")}


def test_a_list_without_the_wanted_split_is_told_by_its_column(tmp_path):
    (tmp_path / "a.csv").write_text("path,split\na.wav,train\n")
    with pytest.raises(DatasetError, match="no test clips in it; look at its column split"):
        Clips.open(tmp_path / "a.csv", split="test")
