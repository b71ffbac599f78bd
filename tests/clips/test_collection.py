"""Many clips: a sequence that cannot change, in groups and selections."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nearfar.clips import Clip, Clips

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


def test_clips_are_a_sequence_that_cannot_change() -> None:
    assert len(SOME) == 4
    assert SOME[1] in SOME
    assert SOME[-1].path == Path("3.wav")
    assert isinstance(SOME[1:3], Clips)
    assert SOME[:2] + SOME[2:] == SOME
    assert hash(SOME[:2] + SOME[2:]) == hash(SOME)
    assert SOME[::-1] != SOME
    assert list(SOME) != SOME
    assert "4 clips" in repr(SOME)
    assert "fan, pump" in repr(SOME)
    assert "none" in repr(Clips())
    with pytest.raises(TypeError):
        SOME[0] = SOME[1]  # type: ignore[index]
    with pytest.raises(TypeError):
        SOME + (SOME[0],)  # type: ignore[operator]  # noqa: RUF005


def test_clips_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(SOME)) == SOME


def test_groups_and_selections() -> None:
    assert SOME.machines == ("fan", "pump")
    groups = SOME.by_section()
    assert list(groups) == [("fan", "00"), ("pump", "00"), ("pump", "01")]
    assert groups["fan", "00"] == Clips([SOME[1], SOME[3]])
    assert SOME.select() == SOME
    assert SOME.select(machine="fan", label="normal") == SOME[3:]
    assert SOME.select(split="train") == Clips([SOME[0], SOME[3]])
    assert SOME.select(domain="target") == SOME[1:2]
    assert not SOME.select(machine="valve")
