"""What a running watch shows: for a terminal, for a pipe, and for programs."""

import io
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import refused
from nearfar.cli import ticker as tickers
from nearfar.cli.ticker import AboveStatus, JsonLines, Ticker, status_line
from nearfar.errors import StorageError
from nearfar.service.news import (
    AlarmEvent,
    Bulletin,
    MachineNow,
    OutputHealth,
    StandingAlarm,
    WatchNow,
)
from nearfar.service.observation import Observation

AT = datetime(2026, 11, 29, 12, 0, 5)
SEEN = Observation(
    "hall", "pump/1.wav", "pump/1.wav", "pump", "00", AT, AT.replace(tzinfo=UTC), 10.0, "9f",
    "judged", score=1.0, percentile=0.5, p_value=0.5, threshold=2.0, anomalous=False,
)  # fmt: skip
ABOVE = replace(SEEN, percentile=1.0, p_value=0.01, anomalous=True)
IDLE = replace(SEEN, status="idle", near_level=-71.4, percentile=None, p_value=None)
SILENT = replace(SEEN, status="unjudged", faults=("dead",), warning="the near channel is dead")
ALARM = StandingAlarm(3, "machine", "sound", "pump", "00", since=AT, told="")
EVENT = AlarmEvent(7, 3, "machine", "sound", "pump", "00", "raised", AT, "pump: 3 of the last 5")


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True

    def fileno(self):
        raise OSError("none")


def shown(*bulletins, stream=None):
    stream = stream or io.StringIO()
    ticker = Ticker([("pump", "00")], stream)
    for bulletin in bulletins:
        ticker.tell(bulletin)
    ticker.close()
    return stream.getvalue()


def of(seen, *events, alarms=()):
    return Bulletin(MachineNow("pump", "00", 1, alarms=alarms), seen, events)


def test_a_clip_is_a_line_with_what_it_is_in_words():
    lines = shown(*map(of, (SEEN, ABOVE, IDLE, SILENT))).splitlines()
    assert lines == [
        "11-29 12:00:05  pump  █████░░░░░  50 %  p 0.5     normal",
        "11-29 12:00:05  pump  ██████████ 100 %  p 0.01    above threshold",
        "11-29 12:00:05  pump  idle, near microphone -71 dBFS",
        "11-29 12:00:05  pump  NOT HEARD 1.wav: the near channel is dead",
    ]


def test_the_way_out_is_said_as_it_is_typed():
    seen = replace(SILENT, warning="3 channels; say which with near=… far=…")
    assert shown(of(seen)).endswith("1.wav: dead; 3 channels; say which with --near --far\n")


def test_an_alarm_stands_in_each_line_until_it_is_over():
    for alarm, word in ((ALARM, True), (replace(ALARM, acknowledged=AT), True),
                        (replace(ALARM, cleared=AT), False),
                        (replace(ALARM, shelved_until=AT), False),
                        (replace(ALARM, kind="sensor"), False)):  # fmt: skip
        assert ("ALARM, normal" in shown(of(SEEN, alarms=(alarm,)))) is word


def test_events_are_lines_and_silent_ones_are_not():
    said = shown(of(SEEN, EVENT, replace(EVENT, silent=True)))
    assert said.count("\n") == 2
    assert said.endswith("alarm 3 raised: pump: 3 of the last 5\n")
    assert shown(of(None)) == ""
    deed = replace(EVENT, verb="acknowledged", told="pump: sound: acknowledged: ordered")
    assert shown(of(None, deed)).endswith("alarm 3: pump: sound: acknowledged: ordered\n")


def test_colours_are_for_terminals_and_never_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    all_of_them = [of(s, alarms=a) for s in (SEEN, ABOVE, IDLE, SILENT) for a in ((), (ALARM,))]
    plain = shown(*all_of_them)
    coloured = shown(*all_of_them, of(None, EVENT), stream=Screen())
    assert "\x1b" not in plain
    assert coloured.count("\x1b[31m") >= 2
    for word in ("ALARM", "above threshold", "idle", "NOT HEARD"):
        assert word in plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(*all_of_them, stream=Screen())


def test_eighty_columns_are_enough_and_names_do_not_repaint(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    long = replace(SILENT, machine="\x1b[31mpump\n" * 20, warning="because " * 40)
    stream = Screen()
    ticker = Ticker([(long.machine, "00")], stream)
    for seen in (long, replace(ABOVE, machine=long.machine), replace(IDLE, machine=long.machine)):
        ticker.tell(of(seen, replace(EVENT, told=long.warning)))
    lines = stream.getvalue().split("\n")
    assert all(len(line) <= 80 and line.isprintable() for line in lines)


def test_an_old_console_gets_other_blocks():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    Ticker([("pump", "00")], stream).tell(of(SEEN))
    assert b"#####....." in stream.buffer.getvalue()


def test_nobody_who_reads_ends_the_watch_once():
    stream, gone = io.StringIO(), []

    def write(text):
        raise BrokenPipeError(32, "Broken pipe")

    stream.write = write
    ticker = Ticker([], stream, gone=lambda: gone.append(1))
    ticker.tell(of(SEEN))
    ticker.tell(of(SEEN))
    assert (gone, ticker.health.up, ticker.health.trouble) == ([1], False, "Broken pipe")


@pytest.mark.slow
def test_a_status_line_is_cleared_before_anything_else_is_said(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(tickers, "SILENCE", 0.0)
    stream = Screen()
    ticker = Ticker([("pump", "00")], stream)
    ticker.watching(lambda: WatchNow(AT, ready=True, clips=2))
    ticker.start()
    while "waiting for" not in stream.getvalue():
        ticker._closed.wait(0.05)
    AboveStatus(ticker, stream).write("a line of the log\n")
    ticker.close()
    said = stream.getvalue()
    assert said.count("\r\x1b[K") >= 1
    assert "\r\x1b[Ka line of the log\n" in said


def test_lines_of_the_log_are_broken_and_dated_like_those_of_clips():
    stream = Screen()
    AboveStatus(Ticker((), stream), stream).write(f"2026-11-29 12:00:05 warning: {'word ' * 20}.\n")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("11-29 12:00:05  warning: word word")
    assert max(len(first), len(second)) <= 80
    assert second == f"  {'word ' * (second.count('word'))}."


def test_a_fault_is_named_once():
    dead = replace(SILENT, faults=("near dead",), warning="cannot be heard: near dead")
    assert shown(of(dead)).endswith("NOT HEARD 1.wav: near dead\n")
    mono = replace(SILENT, faults=("wrong channels",), warning="leave it out with skip_bad=True")
    told = "NOT HEARD 1.wav: wrong channels; leave it out with --skip-bad\n"
    assert shown(of(mono)).endswith(told)


def test_the_status_line_says_what_is_amiss():
    now = WatchNow(
        AT, ready=True, clips=1, queued=7, awaited=1,
        machines={("pump", "00"): MachineNow("pump", "00", 1,
        alarms=(ALARM, replace(ALARM, acknowledged=AT)))}, history="disk\nfull",
        sources={"hall": "the folder is gone", "yard": ""},
        outputs=(OutputHealth("mqtt", up=False, queued=9), OutputHealth("terminal", up=True)),
    )  # fmt: skip
    assert status_line(now, 120.0) == (
        "waiting for 2 min; 1 clip, 1 alarm; 7 to be heard; 1 file not complete yet; "
        "hall: the folder is gone; "
        r"history: disk\nfull; mqtt is down, 9 waiting"
    )
    assert status_line(replace(now, ready=False), 1.0).startswith("starting; ")


def test_the_status_line_says_that_an_alarm_stands_on_the_shelf():
    pump = MachineNow("pump", "00", 1, alarms=(replace(ALARM, shelved_until=AT),))
    now = WatchNow(AT, ready=True, clips=1, machines={("pump", "00"): pump})
    assert status_line(now, 9.0) == "waiting for 9 s; 1 clip, 0 alarms, 1 shelved"


# ---- JSON ----------------------------------------------------------------------------------------


def test_json_lines_go_behind_what_a_file_has(tmp_path):
    path = tmp_path / "clips.jsonl"
    for told in (of(SEEN, EVENT), of(replace(SEEN, name="b\udcff\n.wav")), of(None)):
        lines = JsonLines(path)
        lines.start()
        lines.tell(told)
        lines.close()
        lines.tell(told)  # after its end: nothing
    rows = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert [row["observation"]["status"] for row in rows] == ["judged", "judged"]
    assert rows[0]["events"][0]["id"] == 7


def test_json_tells_up_to_where_it_has_said_all(tmp_path):
    lines = JsonLines(tmp_path / "a.jsonl")
    lines.start()
    lines.tell(of(SEEN, EVENT))
    assert (lines.said, lines.health) == (7, OutputHealth("json", up=True))
    full = io.StringIO()
    full.write = lambda text: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    lines.close()
    lines._stream = full
    lines.tell(of(SEEN, replace(EVENT, id=8)))
    assert lines.said == 7
    assert lines.health == OutputHealth("json", up=False, lost=1, trouble="No space left on device")


def test_a_place_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    lines = JsonLines(Path(tmp_path))
    refused(lines.start, "cannot be written", error=StorageError)


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    refused(JsonLines(tmp_path / "pipe.jsonl").start, "cannot be written", error=StorageError)


def test_times_are_of_the_recording_where_it_says_one():
    later = AT.replace(tzinfo=UTC) + timedelta(days=2)
    assert shown(of(replace(SEEN, arrived=later))).startswith("11-29 12:00:05")
    local = later.astimezone()
    assert shown(of(replace(SEEN, time=None, arrived=later))).startswith(f"{local:%m-%d %H:%M:%S}")
