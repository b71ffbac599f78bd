"""What is kept of clips is what they looked like, and how they were held out."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from nearfar.clips.clip import Clip
from nearfar.detector.traces import NUMBERS, Traces, traces_of, workings_of
from nearfar.embedding.jobs import Heard
from nearfar.health.suspects import by_look
from nearfar.sound.look import Look


def pair(name, time=None, stop=None, near="9f", **look):
    clip = Clip(Path(name), machine="fan", time=time, stop=stop)
    seen = Look(10.0, (-30.0, -34.0), 4.0, 0.3, 0.2, 48_000, (0.0, 0.0), (0.01, 0.0), **look)
    return clip, Heard((), 10.0, "ab", near, lr_corr=0.3, level=4.0, look=seen)


def test_looks_come_back_as_they_were():
    pairs = [pair(f"{i}.wav") for i in range(3)]
    assert traces_of(pairs).looks() == [what.look for _, what in pairs]
    mono = (Clip(Path("m.wav")), Heard((), 2.0, look=Look(2.0, (-20.0,), sample_rate=8000)))
    (back,) = traces_of([mono]).looks()
    assert (back.levels, back.sample_rate, back.seconds) == ((-20.0,), 8000, 2.0)
    assert by_look([(clip, look) for (clip, _), look in zip(pairs, [back] * 3, strict=True)]) == []


def test_clips_of_one_day_or_recording_have_one_session_and_no_path_is_kept():
    day = [
        pair(f"a/{i}.wav", datetime(2026, 3, d, i, tzinfo=UTC)) for d, i in ((1, 2), (1, 5), (2, 3))
    ]
    parts = [pair("hour.wav", stop=10.0), pair("hour.wav", stop=20.0)]
    traces = traces_of([*day, *parts])
    a, b, c, d, e = traces.session
    assert a == b != c
    assert d == e
    assert len({a, c, d}) == 3
    assert all(len(name) == 32 for name in traces.session)
    assert sorted(traces.sessions().values()) == [1, 2, 2]
    assert traces.days() == 2
    # Typed from another folder the same file is the same recording.
    (full,) = traces_of([pair(Path("hour.wav").absolute(), stop=5.0)]).session
    assert full == d


def test_files_of_their_own_have_none():
    traces = traces_of([pair("a.wav"), pair("b.wav")])
    assert traces.session == ("", "")
    assert not traces.sessions()


def test_some_and_others():
    traces = Traces(("a", "b", "c"), ("", "s", ""), np.arange(39.0).reshape(3, len(NUMBERS)))
    left, right = traces.where(np.array([1, 0, 0], bool)), traces.where(np.array([0, 1, 1], bool))
    both = left.beside(right)
    assert (both.near, both.session) == (traces.near, traces.session)
    assert np.array_equal(both.numbers, traces.numbers)


def test_pools_come_back_whole_from_a_bank_and_what_it_has_not():
    rng = np.random.default_rng(0)
    pools = [{0: rng.standard_normal((3, 2)).astype(np.float32), 4: np.ones((2, 2), np.float32)}]
    real = np.zeros((5, 2), np.float32)
    made = np.stack([pools[0][0][0], pools[0][4][0], pools[0][0][1]])  # dealt in turn
    rows, names = np.concatenate([real, made]), np.array([0, 1, 2, 3, 4, 0, 4, 0])
    kept = workings_of(np.arange(5), [3], pools, rows, names)
    assert len(kept.spare) == 2
    (back,) = kept.pools(rows[5:], names[5:])
    for origin, drawn in pools[0].items():
        assert np.array_equal(back[origin], drawn)


@pytest.mark.parametrize("order", [(1, 0), (0, 0)])
def test_rows_in_an_order_of_somebodys_own_are_not_guessed_at(order):
    pool = np.array([[1.0], [2.0]], np.float32)
    rows = np.concatenate([np.zeros((1, 1), np.float32), pool[list(order)]])
    assert workings_of(np.zeros(1, int), [2], [{0: pool}], rows, np.zeros(3, int)) is None
