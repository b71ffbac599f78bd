"""The log of a watch: whatever happens, and whatever a machine is called, it is one line."""

import io
import json
import logging
import os
import threading
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.service.logs import WatchLog


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(form, *calls, stream=None, quiet=False):
    stream = stream or io.StringIO()
    with WatchLog(form, stream, quiet=quiet) as log:
        for call in calls:
            call(log)
    return stream.getvalue()


@given(
    st.text(), st.sampled_from(["info", "warning", "error"]),
    st.dictionaries(st.sampled_from(["machine", "rows", "at", "message_"]), st.one_of(
        st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(), st.datetimes()
    )), st.sampled_from(["text", "json"]),
)  # fmt: skip
def test_an_event_is_one_line_that_prints(message, level, facts, form):
    """Names of files hold line breaks, escapes, and bytes that are no text."""
    said = written(form, lambda log: log("alarm", message + "\udcff\x1b[31m\n%s", level, **facts))
    assert said.endswith("\n")
    assert said[:-1].isprintable()
    said.encode()
    if form == "json":
        row = json.loads(said)
        assert (row["event"], row["level"]) == ("alarm", level)
        assert set(facts) <= set(row)
        assert datetime.fromisoformat(row["time"]).tzinfo is not None


def test_the_way_out_is_said_as_it_is_typed():
    said = written("text", lambda log: log("unjudged", "3 channels; say near=… and far=…"))
    assert said.endswith("3 channels; say --near and --far\n")


def test_lines_are_said_once_and_libraries_come_along(capsys):
    """Also where somebody else has set up logging in the same program."""
    other = logging.StreamHandler(io.StringIO())
    logging.getLogger("paho").addHandler(other)
    try:
        said = written(
            "text", lambda log: log("a", "one"), lambda log: logging.getLogger("paho").info("no"),
            lambda log: logging.getLogger("paho").error("lost %s", "it", exc_info=OSError("x")),
        )  # fmt: skip
    finally:
        logging.getLogger("paho").removeHandler(other)
    first, second = said.splitlines()
    assert first.endswith(" one")
    assert second.endswith(" error: paho: lost it: OSError: x")
    assert capsys.readouterr() == ("", "")
    # Two watches in one process, one after the other, do not write for each other.
    assert written("text", lambda log: log("a", "b")).count("\n") == 1


def test_of_a_quiet_watch_what_is_amiss_remains():
    said = written("text", lambda log: log("a", "one"), lambda log: log("b", "two", "warning"),
                   quiet=True)  # fmt: skip
    assert said.count("\n") == 1
    assert said.endswith(" warning: two\n")


def test_colours_are_for_terminals_that_want_them_and_never_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    tell = lambda log: log("a", "two", "error")  # noqa: E731
    assert "\x1b[31merror:\x1b[0m two" in written("text", tell, stream=Terminal())
    assert "\x1b" not in written("text", tell)
    monkeypatch.setenv("NO_COLOR", "1")
    assert written("text", tell, stream=Terminal()).endswith(" error: two\n")


def test_in_the_journal_a_line_has_a_priority_and_no_time(tmp_path, monkeypatch):
    """systemd names the stream that is its own; another is a file as any."""
    with (tmp_path / "journal").open("w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        with WatchLog("text", stream) as log:
            for level in ("info", "warning", "error"):
                log("a", "b", level)
        assert (tmp_path / "journal").read_text() == "<6>b\n<4>b\n<3>b\n"
    with (tmp_path / "file").open("w") as stream, WatchLog("text", stream) as log:
        log("a", "b")
    assert not (tmp_path / "file").read_text().startswith("<")


@pytest.mark.parametrize("broken", ["closed", "full"])
def test_a_log_that_cannot_be_written_ends_nothing(broken):
    stream = io.StringIO()
    with WatchLog("text", stream) as log:
        if broken == "closed":
            stream.close()
        else:
            stream.write = lambda text: (_ for _ in ()).throw(OSError(28, "No space left"))
        log("a", "b")


def test_threads_do_not_mix_their_lines():
    stream = io.StringIO()
    with WatchLog("json", stream) as log:
        threads = [
            threading.Thread(target=lambda n=n: [log("a", f"{n}" * 50) for _ in range(50)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(rows) == 200
    assert all(len(set(row["message"])) == 1 for row in rows)
