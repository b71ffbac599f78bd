"""Proxy classes: by attributes or by domain, of normal training clips alone."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_files import refused
from nearfar.clips import Clip, Clips, proxy_classes
from nearfar.clips.training import clips_a_day, recording_blocks, session_of, sessions_of
from nearfar.errors import SettingError

SOME = Clips(
    Clip(Path(f"{i}.wav"), machine=m, section=s, domain=d, split=p, label=lb)
    for i, (m, s, d, p, lb) in enumerate(
        [
            ("pump", "01", "source", "train", "normal"),
            ("fan", "00", "target", "test", "anomaly"),
            ("pump", "00", None, None, None),
            ("fan", "00", "source", "train", "normal"),
        ]
    )
)


def classed(*rows: tuple[str, str | None, str]) -> Clips:
    return Clips(Clip(Path(f"{i}.wav"), machine=m, domain=d, attributes=a)
                 for i, (m, d, a) in enumerate(rows))  # fmt: skip


def test_classes_by_attributes_or_by_domain() -> None:
    clips = classed(("A", "source", "x"), ("A", "target", "X"), ("A", "source", "y"),
                    ("B", "source", ""), ("B", "target", ""), ("B", None, ""),
                    ("AA", None, ""))  # fmt: skip
    assert list(proxy_classes(clips).values()) == [
        ("A", "00", "x"), ("A", "00", "x"), ("A", "00", "y"),
        ("B", "00", "source"), ("B", "00", "target"), ("B", "00", "source"),
        ("AA", "00", "source")]  # fmt: skip
    assert len(set(proxy_classes(clips, rule="report").values())) == 6


def test_anomalies_and_test_clips_have_no_class() -> None:
    clips = Clips(
        Clip(Path(f"{split}{label}.wav"), machine="A", split=split, label=label, attributes="x")
        for split in ("train", "test", None)
        for label in ("normal", "anomaly", None)
    )
    kept = {(c.split, c.label) for c in proxy_classes(clips)}
    assert kept == {("train", "normal"), ("train", None), (None, "normal"), (None, None)}
    left_out = set(clips) - set(proxy_classes(clips, rule="report"))
    assert {(c.split, c.label) for c in left_out} == {("test", None)}


def test_an_unknown_rule() -> None:
    refused(lambda: proxy_classes(SOME, rule="all"), "'all'", "train", error=SettingError)  # type: ignore[arg-type]


def test_what_was_recorded_in_one_go_shares_a_block():
    hours = [Clip(Path(f"{i}.wav"), start=s, stop=s + 10.0) for i in range(4) for s in range(20)]
    assert [len(set(recording_blocks(hours[i::4], 10))) for i in range(4)] == [4] * 4
    days = [Clip(Path(f"z/2024-11-{d:02d}/{i}.WAV")) for d in (4, 5, 6) for i in range(5)]
    assert recording_blocks(days, 10).reshape(3, 5).tolist() == [[0] * 5, [1] * 5, [2] * 5]
    timed = [
        Clip(Path(f"{h}.wav"), time=datetime(2024, 11, 4 + h // 24, h % 24)) for h in range(72)
    ]
    assert len(set(recording_blocks(timed, 10))) == 3


def test_a_day_alone_is_cut_into_neighbours_and_data_sets_are_not():
    day = [Clip(Path(f"20241104/{i:02d}.wav")) for i in range(30)]
    blocks = recording_blocks(day, 10)
    assert len(set(blocks)) == 10
    assert np.count_nonzero(np.diff(blocks)) == 9
    dcase = [Clip(Path(f"2024-11-04/section_00_source_train_normal_{i:04d}.wav")) for i in range(9)]
    assert len(set(recording_blocks(dcase, 10))) == 9
    assert session_of(Clip(Path("2024-13-45/a.wav"))) is None


def grouped(clips, folds=10):
    """Which clips share a block, as sets of their places: numbers are no matter."""
    blocks = recording_blocks(clips, folds)
    assert set(blocks) == set(range(len(set(blocks))))
    return {frozenset(np.flatnonzero(blocks == block).tolist()) for block in blocks}


@pytest.mark.parametrize(
    ("folder", "day"),
    [
        ("2024-11-04/ZOOM0001", "2024-11-04"), ("2024-11-04/near", "2024-11-04"),
        ("20241104_0830", "2024-11-04"), ("04.11.2024", "2024-11-04"), ("241104", "2024-11-04"),
        ("2024/11/04", "2024-11-04"), ("2024-11-04/08-30", "2024-11-04"), ("day03", "day03"),
        ("2024-11-04/normal", "2024-11-04"), ("week 1/day03", "week 1/day03"),
        ("pump7", None), ("2024-11-04/pump7", None), ("normal", None), ("ZOOM0001", None),
        ("2024", None), ("2024-11", None), ("2024/11", None), ("2024-W45", None), ("week 2", None),
    ],
)  # fmt: skip
def test_a_folder_says_its_day_as_it_says_its_machine(folder, day):
    assert session_of(Clip(Path("hall", folder, "a.wav"))) == day


def test_a_recording_over_midnight_is_of_one_day():
    began = datetime(2024, 11, 4, 23, 50)
    night = [
        Clip(Path("n.wav"), start=60.0 * i, stop=60.0 * i + 60, time=began + timedelta(minutes=i))
        for i in range(20)
    ]
    morning = [Clip(Path("m.wav"), time=datetime(2024, 11, 5, 9, i)) for i in range(20)]
    assert grouped([*night, *morning]) == {frozenset(range(20)), frozenset(range(20, 40))}
    assert session_of(Clip(Path("a.wav"), start=9.0, time=datetime.min)) == "0001-01-01"


def test_a_clip_without_a_time_is_of_its_folders_day():
    timed = [Clip(Path(f"p/day03/{i}.wav"), time=datetime(2024, 11, 4, 9, i)) for i in range(3)]
    untimed = [Clip(Path("p/day03/test.wav")), Clip(Path("p/day04/test.wav"))]
    assert sessions_of([*untimed, *timed]) == ["2024-11-04", "day04"] + ["2024-11-04"] * 3
    # A folder that is no day holds whatever was put there.
    plain = [Clip(Path("p/a.wav"), time=datetime(2024, 11, 4)), Clip(Path("p/b.wav"))]
    assert sessions_of(plain) == ["2024-11-04", None]


def test_days_above_a_machine_count_where_there_are_several():
    days = [Clip(Path(f"2024-11-{d:02d}/pump7/{i}.wav")) for d in (4, 5) for i in range(3)]
    assert sessions_of(days) == ["2024-11-04"] * 3 + ["2024-11-05"] * 3
    assert sessions_of(days[:3]) == [None] * 3  # as likely the day of a copy


def test_a_day_alone_is_cut_between_its_recordings():
    """Parts of one recording in two folds would judge each other."""
    hours = [Clip(Path(f"2024-11-04/{h}.wav"), start=float(i), stop=i + 1.0)
             for h in range(4) for i in range(20)]  # fmt: skip
    assert grouped(hours) == {frozenset(range(20 * h, 20 * h + 20)) for h in range(4)}
    # One that is most of all clips has to be cut itself; the rest is not.
    long = [Clip(Path("2024-11-04/long.wav"), start=float(i), stop=i + 1.0) for i in range(50)]
    blocks = recording_blocks([*hours[:20], *long], 10)
    assert (len(set(blocks[:20])), len(set(blocks[20:]))) == (1, 10)


def test_times_of_several_zones_are_in_one_order():
    east = timezone(timedelta(hours=5))
    began = datetime(2024, 11, 4, 8, tzinfo=UTC)
    clips = [
        Clip(Path(f"{'ba'[i % 2]}{i:02d}.wav"), time=(began + timedelta(minutes=i)).astimezone(
            (UTC, east)[i % 2])) for i in range(40)
    ]  # fmt: skip
    blocks = recording_blocks(clips, 10)
    assert np.count_nonzero(np.diff(blocks)) == 9  # neighbours in time, whoever wrote it down
    naive = [Clip(Path("z.wav"), time=datetime(2024, 11, 4, 8)), Clip(Path("y.wav"))]
    assert len(recording_blocks([*clips, *naive], 10)) == 42


recordings = st.tuples(st.integers(0, 3), st.integers(1, 12))  # day, parts


@settings(max_examples=60, deadline=None)
@given(st.lists(recordings, min_size=1, max_size=8), st.integers(2, 10), st.randoms())
def test_no_session_and_no_recording_is_parted_unless_it_is_most_of_all(drawn, folds, random):
    clips = [
        Clip(Path(f"2024-11-{day + 1:02d}/{r}.wav"), start=float(i), stop=i + 1.0)
        for r, (day, count) in enumerate(drawn)
        for i in range(count)
    ]
    blocks = recording_blocks(clips, folds)
    for together in (session_of, lambda clip: clip.path):
        for name in {together(clip) for clip in clips}:
            mine = [i for i, clip in enumerate(clips) if together(clip) == name]
            if 2 * len(mine) <= len(clips):
                assert len(set(blocks[mine])) == 1
    assert len(set(blocks)) >= min(2, len(clips))  # else there is nothing to be held against
    order = random.sample(range(len(clips)), len(clips))
    shuffled = grouped([clips[i] for i in order], folds)
    assert {frozenset(order[i] for i in block) for block in shuffled} == grouped(clips, folds)


def test_the_same_name_elsewhere_is_of_another_day(tmp_path, monkeypatch):
    """A relative path means another folder after a change of the working directory."""
    for day in ("2024-11-04", "2024-11-05"):
        (tmp_path / day).mkdir()
        monkeypatch.chdir(tmp_path / day)
        assert session_of(Clip(Path("a.wav"))) == day


MORNING = datetime(2026, 3, 2, 7)


@pytest.mark.parametrize(
    ("hours", "seconds", "a_day"),
    [
        ([d * 24 + n / 3 for d in range(3) for n in range(36)], 6, 36),  # by day, every 20 min
        ([n / 3 for n in range(36)], 6, 36),  # of one day nobody knows its night
        ([n / 2 for n in range(24 * 4)], 6, 48),  # day and night
        ([n * 2 + k / 60 for n in range(24) for k in range(3)], 6, 36),  # three every two hours
        ([d * 24 for d in range(9)], 6, 1),
        ([n / 600 for n in range(50)], 6, math.nan),  # one after the other
        ([d * 24 + n / 600 for d in range(5) for n in range(50)], 6, math.nan),
        ([0] * 9, 6, math.nan), ([0], 6, math.nan),
    ],
)  # fmt: skip
def test_clips_a_day_are_counted_as_they_were_recorded(hours, seconds, a_day):
    clips = [Clip(Path(f"{h}.wav"), time=MORNING + timedelta(hours=h)) for h in hours]
    random.Random(0).shuffle(clips)
    assert clips_a_day(clips, seconds) == pytest.approx(a_day, rel=0.05, nan_ok=True)
    zoned = replace(clips[0], time=MORNING.replace(tzinfo=UTC))
    for odd in (zoned, replace(clips[0], time=None)):
        assert math.isnan(clips_a_day([*clips, odd], seconds))
