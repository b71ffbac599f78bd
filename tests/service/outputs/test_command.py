"""A command on alarm: what it is given, what becomes of one that fails, hangs or is not there."""

import json
import logging
import os
import shlex
import sys
import threading

import pytest

from bulletins import NAMES, event, told
from conftest import PATIENCE, refused
from mosquitto_server import until
from nearfar.errors import SettingError
from nearfar.service.outputs.broker import PASSWORD
from nearfar.service.outputs.command import CommandOutput

SOON = (0.01, 0.01)


def script(folder, text):
    """A program of Python, as a command."""
    path = folder / "say it.py"  # a blank, as people have it
    path.write_text(text)
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"


def output(command, **options):
    made = CommandOutput(command, **{"waits": SOON, "patience": PATIENCE, **options})
    made.start()
    return made


WRITES = "import sys, os\nopen({at!r}, 'ab').write(sys.stdin.buffer.read())\n"


@pytest.fixture
def noted(tmp_path):
    """A command that writes down what it is given, and what it has written."""
    at = tmp_path / "noted"

    def lines():
        return [json.loads(line) for line in at.read_text().splitlines()] if at.exists() else []

    return script(tmp_path, WRITES.format(at=str(at))), lines


@pytest.mark.parametrize("command", ["", " ", "a 'b", "a\0b"])
def test_what_is_no_command_is_refused_in_a_line(command):
    refused(lambda: CommandOutput(command), "command", error=SettingError)


def test_a_command_that_is_not_there_is_refused_at_the_start(tmp_path):
    (tmp_path / "notes.txt").write_text("no program")
    for command in ("no-such-program-at-all", shlex.quote(str(tmp_path / "notes.txt"))):
        refused(CommandOutput(command).start, "no such program", error=SettingError)


def test_nothing_is_run_by_a_shell(tmp_path):
    at = tmp_path / "made by a shell"
    said = output(f"echo hello > {shlex.quote(str(at))} ; $(touch x) && true | cat")
    said.tell(told(1, events=[event(1, machine="$(reboot)")]))
    said.close(PATIENCE)
    assert said.said == 1
    assert not at.exists()


@pytest.mark.slow
def test_it_is_given_each_event_that_people_are_to_know_in_order(noted):
    command, lines = noted
    said = output(command)
    said.tell(told(1, events=[event(1), event(2, "acknowledged"), event(3, "shelved")]))
    said.tell(told(2, events=[event(4, silent=True), event(5, "unshelved")]))
    said.tell(told(3, events=[]))
    said.tell(told(4, events=[event(6, "cleared")], clip=False))
    said.close(PATIENCE)
    assert [(line["event"]["id"], line["event"]["verb"]) for line in lines()] == [
        (1, "raised"), (5, "unshelved"), (6, "cleared"),
    ]  # fmt: skip
    assert lines()[0]["observation"]["score"] == 2.0
    assert lines()[2]["observation"] is None
    assert lines()[0]["machine"]["clips"] == 1
    assert said.said == 6
    assert said.health.up
    assert not said.health.queued


@pytest.mark.slow
def test_its_environment_has_the_event_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv(PASSWORD, "hunter2hunter2")
    at = tmp_path / "noted"
    said = output(script(tmp_path, "import os, json\n"
        f"open({str(at)!r}, 'a').write(json.dumps(dict(os.environ)) + '\\n')\n"))  # fmt: skip
    for number, name in enumerate(NAMES, 1):
        said.tell(told(1, name, events=[event(number, machine=name)]))
    said.close(PATIENCE)
    seen = [json.loads(line) for line in at.read_text().splitlines()]
    assert len(seen) == len(NAMES)
    assert said.health.lost == 0
    assert all(PASSWORD not in one for one in seen)
    assert (seen[0]["NEARFAR_MACHINE"], seen[0]["NEARFAR_VERB"]) == ("pump", "raised")
    assert (seen[0]["NEARFAR_EVENT"], seen[0]["NEARFAR_ALARM"]) == ("1", "3")
    assert "hunter2" not in at.read_text()


@pytest.mark.slow
def test_one_that_fails_is_tried_again_and_then_given_up(tmp_path, caplog):
    at = tmp_path / "tries"
    said = output(script(tmp_path, f"import sys\nopen({str(at)!r}, 'a').write('x')\n"
        "print('no way'); sys.exit(3)\n"))  # fmt: skip
    said.tell(told(1, events=[event(1), event(2)]))
    until(lambda: said.health.lost == 2)
    assert at.read_text() == "x" * 6  # three times each
    health = said.health
    assert not health.up
    assert "exit code 3; it said: no way" in health.trouble
    lines = [record.getMessage() for record in caplog.records if "alarm" in record.getMessage()]
    assert len(lines) == 8
    assert all(line.startswith("alarm 3 raised: ") for line in lines)
    assert lines[3] == lines[7] == "alarm 3 raised: given up after 3 tries"
    assert said.said == 2  # given up, and counted: not told for ever
    said.close(PATIENCE)


@pytest.mark.slow
def test_one_that_works_at_the_second_try_is_no_loss(tmp_path):
    at = tmp_path / "tries"
    said = output(script(tmp_path, f"import os, sys\nfirst = not os.path.exists({str(at)!r})\n"
        f"open({str(at)!r}, 'a').write('x')\nsys.exit(first)\n"))  # fmt: skip
    said.tell(told(1, events=[event(1)]))
    said.close(PATIENCE)
    assert at.read_text() == "xx"
    assert said.health.lost == 0
    assert said.said == 1
    assert said.health.up


HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])
open({at!r}, "w").write(str(child.pid) + "\\n")
time.sleep(1e6)
"""


def runs(pid):
    """Is a process there, and no zombie?"""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked for in /proc")
def test_one_that_hangs_is_killed_with_its_children(tmp_path):
    at = tmp_path / "pid"
    command = script(tmp_path, HANGS.format(at=str(at)))
    said = output(command, patience=PATIENCE)
    said.tell(told(1, events=[event(1)]))
    until(lambda: at.exists() and at.read_text().endswith("\n"))
    child = int(at.read_text())
    assert runs(child)
    said.close(patience=0)
    until(lambda: not runs(child))
    assert "killed" in said.health.trouble
    assert (said.said, said.health.queued) == (0, 1)  # told again at the next start


@pytest.mark.slow
def test_one_that_takes_too_long_is_given_up(tmp_path):
    said = output(script(tmp_path, "import time\ntime.sleep(1e6)\n"), patience=0.05)
    said.tell(told(1, events=[event(1)]))
    until(lambda: said.health.lost == 1)
    assert "not ended after 0.05 s" in said.health.trouble
    said.close(PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("text", [
    "import os\nos.close(0)\n",  # reads nothing
    "import sys\nsys.stdout.write('y' * 10_000_000)\n",  # prints without end
    "import subprocess\nsubprocess.Popen(['sleep', '5'])\n",  # leaves a child with its pipes
])  # fmt: skip
def test_what_a_command_does_with_its_pipes_is_its_business(tmp_path, text):
    said = output(script(tmp_path, text))
    long = event(1, told="x" * 300_000)  # more than a pipe holds
    said.tell(told(1, events=[long] if "close" in text else [event(1)]))
    until(lambda: said.said == 1)
    assert said.health.lost == 0 or "Argument list too long" in said.health.trouble
    said.close(PATIENCE)


@pytest.mark.slow
def test_what_it_prints_is_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="nearfar.service.watch")
    said = output(script(tmp_path, "import sys\nprint('sent')\nprint('b\\x1b', file=sys.stderr)\n"))
    said.tell(told(1, events=[event(1)]))
    said.close(PATIENCE)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "sent\\nb\\x1b" in line
    assert line.isprintable()
    assert "nearfar command" not in {thread.name for thread in threading.enumerate()}
