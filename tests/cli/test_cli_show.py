"""Tables for people, JSON for programs: neither gets in the other's way."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import nearfar as nf
from nearfar.cli import show
from nearfar.embedder.dif import CANDIDATES
from nearfar.scores.verdict import Scores, Verdict
from nearfar.study.features import Selection

CLIP = nf.Clip(Path("timed.wav"), machine="fan")


def verdict(name, score=1.0, warning=""):
    clip = nf.Clip(Path(f"{name}.wav"), machine="fan")
    return Verdict(clip, score, 0.5, 2.0, "a.wav", warning)


def test_equal_parts_are_counted():
    assert show._joined(["a", "b", "a"]) == "2 × a + b"


def test_a_selection_is_json_though_a_distance_is_not_defined(capsys):
    shifts = np.arange(len(CANDIDATES), dtype=float)
    shifts[3] = np.nan
    show.selection(Selection(CANDIDATES[:2], shifts), json=Path("-"))

    def refuse(word):
        raise AssertionError(word)

    said = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert said["names"] == list(CANDIDATES[:2])
    assert said["shift"][CANDIDATES[3]] is None
    assert list(said["shift"]) == list(CANDIDATES)


def test_the_smallest_shift_stands_first_and_none_last(capsys):
    shifts = np.arange(len(CANDIDATES), 0, -1, dtype=float)
    shifts[0] = np.nan
    show.selection(Selection(CANDIDATES[-1:], shifts), json=None)
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == CANDIDATES[-1]
    assert rows[len(CANDIDATES)] == CANDIDATES[0]


def test_what_was_not_judged_is_called_so_and_counted(capsys):
    silent = [Verdict.none(verdict(n).clip, 2.0, f"{n}.wav: far is silent") for n in "bcd"]
    show.verdicts(Scores([verdict("a"), *silent]), None)
    out, err = capsys.readouterr()
    assert out.count("not judged") == 3 + 1
    assert out.splitlines()[-1] == "0 of 1 clips anomalous, 3 not judged"
    assert "nan" not in out
    # The same about many is one line; files have them all.
    assert err == ("warning: b.wav: not judged, far is silent (and 2 more like it: c.wav, d.wav)\n")


def test_times_are_shown_where_any_clip_has_one(capsys):
    show.verdicts(Scores([verdict("a")]), None)
    assert "time" not in capsys.readouterr().out
    late = replace(verdict("b"), clip=replace(CLIP, time=datetime(2024, 11, 4, 6, 30, tzinfo=UTC)))
    show.verdicts(Scores([verdict("a"), late]), None)
    out = capsys.readouterr().out
    assert "time" in out
    assert "2024-11-04 06:30:00+00:00" in out


def test_a_pipe_gets_whole_names_and_warnings_apart(capsys):
    long = "section_00_target_test_normal_0000_" + "x" * 80
    show.verdicts(Scores([verdict(long), verdict("b", 3.0, "clipped")]), None)
    out, err = capsys.readouterr()
    assert f"{long}.wav" in out
    assert "ANOMALOUS" in out
    assert out.rstrip().endswith("1 of 2 clips anomalous")
    assert err == "warning: b.wav: clipped\n"


def test_a_percentile_has_one_unit_on_the_screen_and_in_files(capsys):
    shares = (0.0, 0.005, 0.5, 2 / 3, 1.0)
    scores = Scores(replace(verdict(f"c{i}"), percentile=p) for i, p in enumerate(shares))
    show.verdicts(scores, None)
    head, *rows = capsys.readouterr().out.splitlines()
    place = head.split().index("percentile")
    told = [row.split()[place] for row in rows[: len(shares)]]
    assert told == ["0.000", "0.005", "0.500", "0.667", "1.000"]  # three decimals of 0 to 1
    written = [row["percentile"] for row in scores.as_dict()["scores"]]
    assert [f"{value:.3f}" for value in written] == told
