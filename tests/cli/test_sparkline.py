"""A line of blocks a machine: never wider than the screen, alarms above the rest and in colour."""

import io
import itertools
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

import nearfar as nf
from nearfar.cli.sparkline import BLOCKS, DIGITS, GAP, bars, legend, table
from nearfar.scores.alarms import AlarmRule, histories
from nearfar.scores.verdict import Verdict

RULE = AlarmRule(3, 5)
LONG = "a machine with a name of many words that nobody reads to its end"
WIDE = "ポンプ三号機の西側にある大きな機械の名前"  # two cells a character


def verdicts(scores, machine="pump", time=True, percentile=0.5):
    """Of scores against a threshold of 1; None: not judged."""
    for n, score in enumerate(scores):
        clip = nf.Clip(
            Path(f"{machine}/{n:05d} of the recordings.wav"), machine=machine,
            time=datetime(2026, 3, 2) + timedelta(hours=n) if time else None,
        )  # fmt: skip
        yield (
            Verdict.none(clip, 1.0, "far is silent")
            if score is None
            else Verdict(clip, score, percentile, 1.0, "")
        )


def history(scores, **said):
    (found,) = histories(verdicts(scores, **said), RULE)
    return found


def kinds(found, room):
    return [kind for _, kind in bars(found, room)]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_screen(width):
    scores = [0.5, None, 2.0] * 400
    many = [
        *verdicts(scores), *verdicts(scores[:7], LONG), *verdicts(scores, WIDE, time=False),
        *verdicts([0.5] * 30, "calm"),
    ]  # fmt: skip
    lines = table(histories(many, RULE), width)
    assert len(lines) == 1 + 4
    assert all(cell_len(line.plain) <= width for line in lines)
    # Columns begin below their heads, however wide a character is.
    column = cell_len(lines[0].plain.partition("first lasting")[0])
    for line in lines[1:]:
        told = [sum(cell_len(c) for c in line.plain[:n]) for n in range(len(line.plain))]
        assert line.plain[told.index(column) - 1] == " "
        assert line.plain[told.index(column)] != " "


def test_a_wider_screen_shows_more_recordings():
    found = history([0.5] * 500)
    shown = [sum(c in BLOCKS for c in table([found], width)[1].plain) for width in (80, 100, 140)]
    assert shown == sorted(set(shown))


def test_each_recording_has_a_block_where_there_is_room():
    found = history([0.5] * 20)
    assert len(bars(found, 30)) == 20
    assert len(bars(found, 7)) == 7


def test_what_is_above_the_threshold_stands_above_what_is_not():
    found = history([0.99, 1.01, 0.2, 50.0, 1.2, 0.3])
    heights = [BLOCKS.index(block) for block, _ in bars(found, 80)]
    for verdict, height in zip(found.verdicts, heights, strict=True):
        assert (height > 3) == verdict.anomalous
    assert heights[3] == max(heights)


def test_of_several_recordings_the_highest_is_shown():
    scores = [0.1] * 100
    scores[37] = 9.0
    assert sum(block == BLOCKS[-1] for block, _ in bars(history(scores), 10)) == 1


def test_colours_tell_alarms_that_last_from_single_ones():
    found = history([0.1, 2, 0.1, 0.1, 0.1, 0.1, 2, 2, 2, 0.1, 0.1, 0.1])
    assert kinds(found, 80) == [
        "lasting" if stands else "above" if verdict.anomalous else ""
        for verdict, stands in zip(found.verdicts, found.lasting, strict=True)
    ]
    assert set(kinds(found, 80)) == {"", "above", "lasting"}


def test_what_was_not_judged_is_a_gap_and_counted():
    found = history([0.1, None, None, 0.1])
    assert [block for block, _ in bars(found, 80)][1:3] == [GAP, GAP]
    head, line = (row.plain for row in table([found], 80))
    assert head.endswith("not judged")
    assert line.split()[-1] == "2"
    assert "not judged" not in table([history([0.1])], 80)[0].plain


def test_a_score_may_have_any_sign():
    """A z-score's threshold may be 0 or below, where no logarithm is."""
    for threshold, scores in itertools.product((-2.0, 0.0, 3.0), ([-9, 1, 7], [5, 6, 7])):
        found = [
            Verdict(nf.Clip(Path(f"{n}.wav"), machine="a"), score, 0.5, threshold, "")
            for n, score in enumerate(scores)
        ]
        (one,) = histories(found, RULE)
        assert [BLOCKS.index(b) > 3 for b, _ in bars(one, 9)] == [s > threshold for s in scores]


def test_where_a_screen_knows_no_blocks_there_are_digits(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert {block for block, _ in bars(history([0.1, 2.0, None]), 80)} <= {*DIGITS, "?"}
    assert legend().isascii()
