"""A stream's samples become clips: none lost, none twice, and no clock drifts."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import first_quick, refused
from nearfar.errors import SettingError
from nearfar.service.sources.feed import Cutter, Feed, check_stream

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 30))
def test_every_sample_is_in_one_piece_and_pieces_have_one_length(lengths, samples):
    cutter, pieces = Cutter(samples, rate=100), []
    stream = np.arange(sum(lengths), dtype=np.float32)[None]
    for block in np.split(stream, np.cumsum(lengths)[:-1], axis=1) if lengths else []:
        pieces += cutter.feed(block, NOON)
    assert all(piece.sound.shape == (1, samples) for piece in pieces)
    rest = cutter.rest()
    sounds = [piece.sound for piece in (*pieces, *([rest] if rest else []))]
    heard = np.concatenate(sounds, axis=1) if sounds else stream
    np.testing.assert_array_equal(heard, stream)


@pytest.mark.parametrize("ppm", first_quick([200, -200, 0]))
def test_a_recorder_of_another_pace_never_drifts_away(ppm):
    """Three days; each block is said to arrive when this computer's clock says so."""
    rate, seconds, days = 100, 10, 3
    pace = rate * (1 + ppm / 1e6)  # samples a second of this computer
    cutter, began, sent = Cutter(rate * seconds, rate), [], 0
    for _ in range(days * 86_400 // 17):  # blocks that end nowhere near a clip's end
        sent += 17 * rate
        arrived = NOON + timedelta(seconds=sent / pace)
        began += [p.began for p in cutter.feed(np.zeros((2, 17 * rate), np.float32), arrived)]
    true = [NOON + timedelta(seconds=n * rate * seconds / pace) for n in range(len(began))]
    worst = max(abs((a - b).total_seconds()) for a, b in zip(began, true, strict=True))
    # A clip and a block at 200 ppm are 5.4 ms; counted from the first sample it would be 52 s.
    assert worst <= (seconds + 17) * 200e-6 + 1e-5


def test_a_clock_set_back_changes_times_and_not_the_order():
    given_ = []
    feed = Feed("mic", rate=1000, seconds=1.0, put=given_.append)
    for n, arrived in enumerate((NOON, NOON - timedelta(hours=1), NOON)):
        feed.take(np.full((2, 1000), n, np.float32), arrived)
    assert [g.audio[0, 0] for g in given_] == [0, 1, 2]
    assert given_[1].clip.time == NOON - timedelta(hours=1, seconds=1)


@pytest.mark.parametrize(("rest", "is_given"), [(5.0, True), (4.9, False), (0.1, False)])
def test_half_a_clip_is_given_and_less_is_told_of(rest, is_given):
    given_ = []
    feed = Feed("mic", rate=1000, seconds=10.0, machine="fan", section="01", put=given_.append)
    feed.take(np.zeros((2, round(rest * 1000)), np.float32), NOON)
    left = feed.rest()
    assert (left == "") == is_given == bool(given_)
    assert feed.rest() == ""
    if is_given:
        (one,) = given_
        assert one.audio.shape == (2, 5000)
        assert (one.clip.machine, one.clip.section) == ("fan", "01")
        assert one.clip.time == NOON - timedelta(seconds=5)
        assert str(one.clip.path) == "mic/2026-06-15T11:59:55.000000"
    else:
        assert f"{rest:g} s" in left


def test_samples_that_are_no_numbers_are_told_of_when_they_begin():
    given_ = []
    feed = Feed("mic", rate=1000, seconds=1.0, put=given_.append)
    for bad in (0, 3, 2, 0, 1):
        block = np.zeros((2, 1000), np.float32)
        block[0, :bad] = np.nan
        feed.take(block, NOON)
    told = [g for g in given_ if not hasattr(g, "audio")]
    assert [notice.kind for notice in told] == ["format", "format"]
    assert "3 of 2000 samples" in told[0].text


def test_impossible_streams_are_refused_in_one_line():
    for rate, seconds in ((0, 10), (16_000.5, 10), (16_000, 0.5), (16_000, float("nan"))):
        refused(lambda r=rate, s=seconds: check_stream(r, s), error=SettingError)


def test_sound_that_comes_faster_than_it_sounds_keeps_its_order():
    cutter, came = Cutter(samples=10, rate=10), datetime(2026, 6, 15, 12)
    began = [
        piece.began
        for n in range(6)
        for piece in cutter.feed(
            np.zeros((2, 35), np.float32), came + n * timedelta(milliseconds=5)
        )
    ]
    assert len(began) == 21
    assert began == sorted(set(began))


def test_a_clock_that_was_set_back_sets_times_back():
    cutter, came = Cutter(samples=10, rate=10), datetime(2026, 6, 15, 12)
    hour = timedelta(hours=1)
    block = np.zeros((2, 10), np.float32)
    [before], [after] = (list(cutter.feed(block, at)) for at in (came, came - hour))
    assert before.began - after.began == hour
