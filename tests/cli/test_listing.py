"""Verdicts as `score` prints them: all of them into a pipe, the worst onto a screen."""

import io
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

import nearfar as nf
from nearfar.cli import listing
from nearfar.cli.program import voice
from nearfar.scores.verdict import Scores, Verdict

CLIP = nf.Clip(Path("timed.wav"), machine="fan")


def verdict(name, score=1.0, warning="", percentile=0.5, machine="fan"):
    clip = nf.Clip(Path(f"{name}.wav"), machine=machine)
    return Verdict(clip, score, percentile, 2.0, "a.wav", warning)


class Screen(io.StringIO):
    """A stream that somebody watches."""

    def isatty(self):
        return True


def on_screen(monkeypatch, scores, columns=None):
    """The lines that a person gets."""
    for name, value in {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", screen := Screen())
        if columns is not None:  # whatever the terminal is called
            narrow = Console(file=screen, width=columns, height=50, color_system=None)
            patched.setattr(listing, "console", lambda: narrow)
        listing.verdicts(Scores(scores))
    return screen.getvalue().splitlines()


def test_what_was_not_judged_is_called_so_and_counted(capsys):
    silent = [Verdict.none(verdict(n).clip, 2.0, f"{n}.wav: far is silent") for n in "bcd"]
    listing.verdicts(Scores([verdict("a"), *silent]))
    out, err = capsys.readouterr()
    assert out.count("not judged") == 3 + 1
    assert out.splitlines()[-1] == "0 of 1 clips anomalous, 3 not judged"
    assert "nan" not in out
    # The same about many is one line; files have them all.
    assert err == ("warning: b.wav: not judged, far is silent (and 2 more like it: c.wav, d.wav)\n")


def test_times_are_shown_where_any_clip_has_one(capsys):
    listing.verdicts(Scores([verdict("a")]))
    assert "time" not in capsys.readouterr().out
    late = replace(verdict("b"), clip=replace(CLIP, time=datetime(2024, 11, 4, 6, 30, tzinfo=UTC)))
    listing.verdicts(Scores([verdict("a"), late]))
    out = capsys.readouterr().out
    assert "time" in out
    assert "2024-11-04 06:30:00+00:00" in out


def test_a_pipe_gets_whole_names_and_warnings_apart(capsys):
    long = "section_00_target_test_normal_0000_" + "x" * 80
    listing.verdicts(Scores([verdict(long), verdict("b", 3.0, "clipped")]))
    out, err = capsys.readouterr()
    assert f"{long}.wav" in out
    assert "ANOMALOUS" in out
    assert out.rstrip().endswith("1 of 2 clips anomalous")
    assert err == "warning: b.wav: clipped\n"


def test_a_percentile_has_one_unit_on_the_screen_and_in_files(capsys):
    shares = (0.0, 0.005, 0.5, 2 / 3, 1.0)
    scores = Scores(replace(verdict(f"c{i}"), percentile=p) for i, p in enumerate(shares))
    listing.verdicts(scores)
    head, *rows = capsys.readouterr().out.splitlines()
    place = head.split().index("percentile")
    told = [row.split()[place] for row in rows[: len(shares)]]
    assert told == ["0.000", "0.005", "0.500", "0.667", "1.000"]  # three decimals of 0 to 1
    written = [row["percentile"] for row in scores.as_dict()["scores"]]
    assert [f"{value:.3f}" for value in written] == told


def test_a_pipe_gets_every_row_however_many_there_are(capsys):
    scores = Scores(verdict(f"{i:04d}", score=i / 500) for i in range(3 * listing.LONG))
    listing.verdicts(scores)
    head, *rows, summary = capsys.readouterr().out.splitlines()
    assert [row.split()[1] for row in rows] == [v.clip.name for v in scores]
    assert sum("ANOMALOUS" in row for row in rows) == sum(v.anomalous for v in scores)
    assert summary == scores.summary
    # Numbers end where their column's name ends, words begin where it begins.
    for row in rows:
        assert row.index("0", len("fan      0000.wav")) < (end := head.index("score") + 5)
        assert row[end] == " "
        assert row[head.index("nearest") :] == "a.wav"


def test_columns_stand_below_one_another_whatever_a_name_is_written_in(capsys):
    # 风扇 takes four places on a screen; a letter of Latin takes one.
    scores = Scores([verdict("x", machine="风扇"), verdict("x", machine="café")])
    listing.verdicts(scores)
    _, chinese, french, _ = capsys.readouterr().out.splitlines()
    assert chinese.index("x.wav") + 2 == french.index("x.wav")


def test_a_pipe_gets_no_character_that_does_not_print(capsys):
    odd = verdict("a\x1b[31m\n\u202eb", machine="m\x07")
    listing.verdicts(Scores([replace(odd, nearest="\x1b[2J.wav")]))
    out = capsys.readouterr().out
    assert out.count("\n") == 3
    assert out.replace("\n", "").isprintable()
    assert r"\x1b[31m" in out
    assert r"\x1b[2J" in out


def test_a_screen_gets_a_short_run_whole(monkeypatch):
    lines = on_screen(monkeypatch, (verdict(f"{i:04d}") for i in range(listing.LONG)))
    assert len(lines) == listing.LONG + 2
    assert not any("--csv" in line for line in lines)


def dated(n, folder="pump7/today"):
    """A clip of a machine, as a recorder calls it."""
    time = datetime(2026, 11, 26, 7, n)
    clip = nf.Clip(Path(f"{folder}/{time:%Y%m%d_%H%M%S}.wav"), machine="pump7", time=time)
    return Verdict(clip, 10.0 + n, 0.5, 12.0, f"pump7/normal/20261123_0700{n:02d}.wav")


@pytest.mark.parametrize("columns", [80, 100, 120, 140, 200])
def test_no_name_is_broken_on_a_narrow_screen(monkeypatch, columns):
    scores = [dated(n) for n in range(12)]
    head, *lines = on_screen(monkeypatch, scores, columns)
    assert max(map(len, lines)) <= columns
    for line, verdict in zip(lines, scores, strict=False):
        assert verdict.clip.path.name in line.split() or verdict.clip.name in line.split()
        assert f"{verdict.score:.4f}" in line
    # What is not there is named, with the way to it.
    told = [line for line in lines if "no room for" in line]
    gone = {"nearest", "time"} - set(head.split())
    assert bool(told) == (bool(gone) or scores[0].clip.name not in lines[0])
    assert all(name in told[0] for name in gone)
    assert ("nearest" in head) == (columns > 100)


def test_folders_stay_where_they_tell_clips_apart(monkeypatch):
    scores = [dated(n, folder) for n in range(3) for folder in ("a", "b")]
    lines = on_screen(monkeypatch, scores, 80)
    assert sum("a/20261126_07" in line for line in lines) == 3
    assert not any("no room for folders" in line for line in lines)


def test_training_clips_among_test_clips_are_counted_and_the_way_out_is_named(recwarn):
    train = [nf.Clip(Path(f"dev/fan/train/{n}.wav"), split="train") for n in range(3)]
    test = [nf.Clip(Path("dev/fan/test/1.wav"), split="test")]
    for alone in (train, test, [CLIP], []):
        listing.warn_of_training(alone)
    assert not recwarn
    listing.warn_of_training([*train, *test, CLIP])
    (said,) = recwarn
    assert "3 of 5 clips are training clips" in str(said.message)
    assert str(said.message).endswith("dev/fan/test")


def test_a_screen_gets_the_worst_of_a_long_run_a_summary_and_the_way_to_all(monkeypatch):
    scores = [verdict(f"{i:04d}", i / 500, percentile=i / 1000) for i in range(listing.LONG + 1)]
    silent = Verdict.none(verdict("dead").clip, 2.0, "dead.wav: far is silent")
    alarm = verdict("pump", 3.0, percentile=0.9, machine="pump")
    lines = on_screen(monkeypatch, [*scores, silent, alarm])
    assert len(lines) < listing.WORST + 10
    assert lines[1].split() == ["pump", "00", "1", "1", "0", "0.900"]
    assert lines[2].split() == ["fan", "00", str(len(scores) + 1), "0", "1", "0.200"]
    shown = [line.split()[1] for line in lines if ".wav" in line]
    last = range(listing.LONG, listing.LONG + 1 - listing.WORST, -1)
    assert shown == ["pump.wav", *(f"{i:04d}.wav" for i in last)]
    told = " ".join(lines[-3:])  # where a line ends is the screen's affair
    assert f"{listing.WORST} worst of {len(scores) + 2} clips" in told
    assert "--csv FILE" in told
    assert lines[-1] == "1 of 202 clips anomalous, 1 not judged"


def test_of_many_machines_those_with_alarms_come_first_and_the_rest_is_counted(monkeypatch):
    quiet = [verdict(f"{i:04d}", machine=f"m{i:03d}") for i in range(listing.LONG)]
    loud = [verdict("loud", 3.0, machine=name) for name in ("z1", "z2")]
    lines = on_screen(monkeypatch, [*quiet, *loud])
    assert [line.split()[0] for line in lines[1:4]] == ["z1", "z2", "m000"]
    assert f"and {listing.LONG + 2 - listing.WORST} machines more with 0 alarms" in lines


def test_the_worst_are_alarms_then_percentiles_then_excess_in_the_order_asked():
    a, b = verdict("a", 2.5, percentile=1.0), verdict("b", 9.0, percentile=1.0)
    near = replace(verdict("c", 1.9, percentile=1.0), threshold=5.0)
    tied = replace(a, clip=CLIP)
    none = Verdict.none(CLIP, 2.0, "silent")
    assert listing.worst([none, near, a, tied, b]) == [b, a, tied, near]
    assert listing.worst([near, b, a], 1) == [b]


def test_rows_are_made_as_they_are_written():
    made = []

    def rows():
        for i in range(5):
            made.append(i)
            yield (str(i),)

    class Slow(io.StringIO):
        def write(self, text):
            asked.append((text, len(made)))
            return super().write(text)

    asked = []
    before, sys.stdout = sys.stdout, Slow()
    try:
        listing.written(("n",), rows, right=())
    finally:
        sys.stdout = before
    # Five to be measured; then each is written before the next is made.
    assert asked == [("n\n", 5), *((f"{i}\n", 6 + i) for i in range(5))]


def test_quiet_has_no_warning_of_clips_that_were_not_judged(monkeypatch, capsys):
    scores = Scores([Verdict.none(nf.Clip(Path("a.wav"), machine="fan"), 0.5, "it is mono")])
    for quiet in (False, True):
        monkeypatch.setattr(voice, "quiet", quiet)
        listing.verdicts(scores)
        out, err = capsys.readouterr()
        assert "not judged" in out
        assert bool(err) is not quiet


LONG_RUN = """
from pathlib import Path
import nearfar as nf
from nearfar.cli.listing import verdicts
from nearfar.scores.verdict import Scores, Verdict
clip = nf.Clip(Path("a.wav"), machine="fan")
verdicts(Scores([Verdict(clip, 1.0, 0.5, 2.0, "b.wav", "clipped")] * 20_000))
print("said to nobody")
raise SystemExit(3)
"""


def test_who_reads_only_the_first_rows_gets_no_error_and_the_exit_code():
    run = subprocess.Popen(
        [sys.executable, "-c", LONG_RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout.readline().startswith("machine")
    run.stdout.close()  # as head does
    assert run.stderr.read() == "warning: a.wav: clipped\n"
    run.stderr.close()
    assert run.wait() == 3
