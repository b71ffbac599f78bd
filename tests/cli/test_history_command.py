"""nearfar history: what was heard, on a terminal, as CSV and as JSON."""

import csv
import json
import os
import subprocess
import sys

import pytest

import nearfar.service
from made_history import seen
from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore

ODD = "m\n\x1b[31m\udcff"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """150 clips of 20 machines, and of another whose name no terminal shall see."""
    path = tmp_path_factory.mktemp("history") / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    for i in range(150):
        store.keep(Change(seen(i)))
    odd = seen(
        150, machine=ODD, section="03", name=f"{ODD}.wav", status="unjudged", score=None,
        anomalous=None, faults=("dead", "clipped"), warning="near is silent; salvage=True",
    )  # fmt: skip
    store.keep(Change(odd))
    store.close()
    return path


def test_a_pipe_has_every_clip_in_order_of_time(run, place):
    code, out, err = run("history", place)
    assert (code, err) == (0, "")
    head, *rows, last = out.splitlines()
    assert head.split() == ["time", "machine", "clip", "score", "p-value", "verdict", "why"]
    assert len(rows) == 151
    assert rows == sorted(rows)
    anomalous = sum(seen(i).anomalous is True for i in range(150))
    assert sum("ANOMALOUS" in row for row in rows) == anomalous
    assert last == f"151 clips: {anomalous} of 135 anomalous, 15 idle, 1 not judged"
    assert "m\\n\\x1b[31m\\udcff 03" in rows[-1]
    # In rows the advice is Python's, here it is typed.
    assert rows[-1].endswith("not judged  dead; clipped; near is silent; --salvage")
    assert "\x1b" not in out


def test_csv_and_json_have_all_fields(run, place, tmp_path):
    code, out, _ = run("history", place, "--csv", tmp_path / "h.csv", "--json", tmp_path / "h.json")
    assert code == 0
    assert "wrote" in out
    with (tmp_path / "h.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    said = json.loads((tmp_path / "h.json").read_text("utf-8"))
    assert (said["schema"], said["history"], len(said["clips"])) == (1, str(place), 151)
    # JSON escapes bytes that are no text in its own way, and has them back.
    assert said["clips"][:150] == json.loads(json.dumps([seen(i).as_dict() for i in range(150)]))
    assert said["clips"][150]["faults"] == ["dead", "clipped"]
    assert rows[150]["faults"] == "dead; clipped"
    for row, clip in zip(rows[:150], said["clips"], strict=False):
        assert list(row) == list(clip)
        assert row["score"] == ("" if clip["score"] is None else repr(clip["score"]))


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--limit", 3], [147, 148, 149]),
        (["--machine", "machine03", "--limit", 2], [123, 143]),
        (["--machine", "machine03", "--section", "00", "--until", "2026-11-01T08:00:30"], [3, 23]),
        (["--since", "2026-11-01 08:02:28"], [148, 149]),
        (["--since", "2026-11-01T09:02:28+01:00"], [148, 149]),
        (["--since", "2026-11-01", "--until", "2026-11-01", "--limit", 1], [149]),
        (["--since", "0001-01-01", "--until", "9999-12-31", "--limit", 1], [149]),
        (["--since", "2026-11-02"], []),
    ],
)
def test_what_is_asked_for(run, place, options, numbers):
    if "--limit" in options or "--since" in options:
        options = [*options, "--section", "00"] * ("--section" not in options) or options
    code, out, err = run("history", place, *options, "--json", "-")
    assert (code, err) == (0, "")
    assert [clip["name"] for clip in json.loads(out)["clips"]] == [seen(i).name for i in numbers]


@pytest.mark.parametrize("options", [["--until", "9999-12-31"], ["--limit", "9" * 30]])
def test_the_end_of_all_days_and_of_all_numbers_is_all_of_it(run, place, options):
    code, out, err = run("history", place, *options, "--json", "-")
    assert (code, err, len(json.loads(out)["clips"])) == (0, "", 151)


def test_nothing_is_said_plainly(run, place, tmp_path):
    empty = tmp_path / "new.db"
    HistoryStore.open(str(empty)).close()
    assert run("history", empty)[:2] == (0, f"{empty}: nothing was heard yet\n")
    code, out, _ = run("history", empty, "--json", "-")
    assert (code, json.loads(out)["clips"]) == (0, [])
    assert run("history", empty, "--csv", "-")[1].startswith("source,name,path,machine,")
    code, out, _ = run("history", place, "--since", "2027-01-01")
    assert (code, out) == (0, f"{place}: nothing was heard of what was asked for\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--machine", "fna"], ["'fna'", "machine00"]),
        (["--machine", "machine00", "--section", "07"], ["machine00 07"]),
        (["--since", "1.11.2026"], ["--since 1.11.2026", "2026-11-01"]),
        (["--until", "soon"], ["--until soon"]),
        (["--csv", "-", "--json", "-"], ["standard output takes one"]),
        (["--limit", "0"], ["--limit"]),
    ],
)
def test_mistakes_are_one_line(run, place, options, words):
    code, out, err = run("history", place, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in err


def test_no_history_is_made_and_none_written_over(run, place, tmp_path):
    code, _, err = run("history", tmp_path / "gone.db")
    assert code == 2
    assert "no such history" in err
    assert list(tmp_path.iterdir()) == []
    before = place.read_bytes()
    assert run("history", place, "--json", place)[0] == 2
    mine = tmp_path / "mine.csv"
    mine.write_text("a,b\n")
    code, _, err = run("history", place, "--csv", mine)
    assert (code, mine.read_text()) == (2, "a,b\n")
    for _ in range(2):  # its own it makes anew
        assert run("history", place, "--csv", tmp_path / "h.csv")[0] == 0
    assert place.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 132])
def test_a_screen_shows_the_last_and_says_so(place, width):
    """In colours; neither a verdict nor a time is ever cut."""
    import pty

    ours, theirs = pty.openpty()
    code = "import sys; from nearfar.cli.main import main; main()"
    env = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "history", str(place)], stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        told += piece
    os.close(ours)
    assert process.wait() == 0
    text = told.decode()
    assert "the last 100 of 151 clips" in text
    assert "\x1b[1;31mANOMALOUS" in text
    assert text.count("\x1b[1;31mANOMALOUS") == sum(
        seen(i).anomalous is True for i in range(51, 150)
    )
    assert "2026-11-01 08:02:29" in text
    if width == 80:  # no room for reasons: they stand below, each once
        assert "1 clip: dead; clipped; near is silent" in text
    if width == 132:
        assert seen(51).name.rpartition("/")[2] in text
    assert "00000050_recording" not in text


def test_a_missing_extra_is_one_line(run, place, monkeypatch):
    # Afterwards the room has the modules again that others have taken from it.
    monkeypatch.setattr(nearfar.service, "history", nearfar.service.history)
    for name in [m for m in sys.modules if m.startswith("nearfar.service.history")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    code, _, err = run("history", place)
    assert (code, err.count("\n")) == (2, 1)
    assert "nearfar[plant]" in err
