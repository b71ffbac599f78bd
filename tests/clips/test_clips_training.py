"""Proxy classes: by attributes or by domain, of normal training clips alone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from clip_files import refused
from nearfar.clips import Clip, Clips, proxy_classes
from nearfar.clips.training import recording_blocks, session_of
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
