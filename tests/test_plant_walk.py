"""docs/plant.md, walked: fit, watch, an alarm in three places, acknowledged, drift, learnt.

Real parts throughout: the command line in processes of its own, mosquitto, a scrape of /metrics.
What the page shows as printed is held against what was printed, up to its figures.
"""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

from conftest import PATIENCE, TESTS, free_port, stop
from mosquitto_server import Mosquitto, listening, until

PAGE = (TESTS.parent / "docs" / "plant.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BROKER, METRICS = "127.0.0.1:1883", "127.0.0.1:9600"  # of the page


def commands():
    """Those that are typed, in their order; blocks of `sh` are for another day."""
    typed = "".join(block for kind, block in BLOCK.findall(PAGE) if not kind)
    return typed.replace("\\\n", "").splitlines()


def shown():
    """What the page says was printed, in pieces between its ellipses."""
    blocks = [block for kind, block in BLOCK.findall(PAGE) if kind == "text"]
    return [piece for block in blocks for piece in map(figureless, block.split("…")) if piece]


def figureless(text):
    """Words alone: figures hang on the processor and times on the day."""
    text = re.sub(r"[█░]+", "bar", text)
    return " ".join(re.sub(r"\d[\d,.]*(?<!\.)", "#", text).split())


class Plant:
    """The folder in which it is typed, the watch, and what everybody has been told."""

    def __init__(self, folder, broker, listener):
        self.folder, self.broker, self.listener = folder, broker, listener
        self.port, self.process, self.said, self.copied = free_port(), None, [], 0
        place = folder / "bin"
        place.mkdir()
        for name, words in (("nearfar", "-m nearfar"), ("python", "")):
            (place / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (place / name).chmod(0o755)
        (folder / "docs").symlink_to(TESTS.parent / "docs")
        self.environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}

    def type(self, line):
        line = line.replace(BROKER, self.broker.url[7:]).replace(METRICS, f"127.0.0.1:{self.port}")
        if line.startswith("nearfar watch") and "--explain-alarm" not in line:
            self.watch(line)
            return ""
        # A person waits for the next clip; the watch is as well quick as slow.
        line = line.replace("recorder.py", "recorder.py --every 0")
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        self.said.append(done.stdout + done.stderr)
        if "recorder.py" in line:  # all that was copied has been heard before one goes on
            clips = len([*(self.folder / "arriving").rglob("*.wav")])
            until(lambda: self.metric("nearfar_heard_clips_total") == clips, self.process)
        return done.stdout

    def watch(self, line):
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                shlex.split(line), cwd=self.folder, env=self.environment, stdout=out, stderr=err
            )
        until(lambda: self.metric("nearfar_ready") == 1, self.process)
        until(lambda: "online" in self.listener.of("nearfar/status"), self.process)

    def scraped(self):
        address = f"http://127.0.0.1:{self.port}/metrics"
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                return answer.read().decode()
        except OSError:  # it begins
            return ""

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.scraped(), re.MULTILINE)
        return found and float(found[1])

    def state(self, kind):
        """The one state that a kind of alarm is in, by the metrics."""
        [word] = re.findall(
            rf'^nearfar_alarm{{kind="{kind}",.*nearfar_alarm="(\w+)".*}} 1\.0$', self.scraped(),
            re.MULTILINE,
        )  # fmt: skip
        return word

    def becomes(self, kind, word):
        until(lambda: self.state(kind) == word, self.process)

    def told(self):
        """Events of the broker, in their order: (alarm, verb)."""
        events = map(json.loads, self.listener.of("/alarm"))
        return [(event["alarm"], event["verb"]) for event in events]

    @property
    def terminal(self):
        return (self.folder / "out").read_text(encoding="utf-8")

    @property
    def log(self):
        return (self.folder / "err").read_text(encoding="utf-8")

    def everything(self):
        parts = [*self.said, self.terminal, self.log, self.scraped(), *self.listener.of("/alarm")]
        return figureless("\n".join(parts))


@contextmanager
def plant(folder):
    with Mosquitto(folder / "broker") as broker, listening(broker.port) as listener:
        here = Plant(folder, broker, listener)
        try:
            yield here
        finally:
            if here.process is not None:
                stop([here.process])


@pytest.mark.slow
def test_beside_the_machine_day_and_night(tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    lines = iter(commands())

    def walk(words):
        """Type what the page says, up to a line with these words: what that printed."""
        for line in lines:
            said = here.type(line)
            if words in line:
                return said
        raise AssertionError(f"the page has no {words!r} there")

    with plant(tmp_path) as here:
        first = walk("--explain-alarm")
        second = walk("--explain-alarm")
        month = [float(re.search(r"about ([\d,.]+) false", said)[1].replace(",", ""))
                 for said in (first, second)]  # fmt: skip
        assert month[0] > 1000
        assert month[1] < 10
        walk("--mqtt")
        walk("arriving/monday")
        assert here.state("machine") == here.state("drift") == here.state("sensor") == "none"
        assert here.told() == []

        walk("arriving/tuesday")  # the alarm: in the terminal, the metrics, at the broker
        assert here.terminal.count("alarm 1 raised: pump: sounds wrong: 3 of the last 5") == 1
        here.becomes("machine", "active")
        until(lambda: here.told() == [(1, "raised")], here.process)
        walk("--ack 1")
        here.becomes("machine", "acknowledged")
        until(lambda: here.told() == [(1, "raised"), (1, "acknowledged")], here.process)
        # Of a sentence of the page; whoever types it gets what is shown later all the same.
        here.type("nearfar alarms plant.db --shelve 1 --for 3d")
        here.becomes("machine", "shelved")
        walk("arriving/repaired")
        assert walk("nearfar alarms") == "no alarm needs anybody\n"
        assert here.state("machine") == "none"

        walk("--cover 2")  # normal has moved, and the machine is well
        assert here.state("drift") == "active"
        assert here.state("machine") == "none"
        assert "2 active: pump, drift" in walk("nearfar alarms")
        walk("--ack 2")
        here.becomes("drift", "acknowledged")
        walk("nearfar learn")
        until(lambda: "replaced on disk" in here.log, here.process)
        here.becomes("drift", "none")
        walk("arriving/wednesday")
        assert here.state("drift") == here.state("machine") == "none"
        walk("arriving/thursday")
        assert "3 active: pump, machine" in walk("nearfar alarms")
        until(lambda: len(here.told()) == 8, here.process)
        assert here.told()[2:] == [
            (1, "shelved"), (1, "cleared"), (2, "raised"), (2, "acknowledged"), (2, "cleared"),
            (3, "raised"),
        ]  # fmt: skip
        printed = here.everything()
        here.process.send_signal(signal.SIGTERM)
        assert here.process.wait(PATIENCE) == 0
        until(lambda: here.listener.of("nearfar/status")[-1] == "offline")
        for line in lines:
            here.type(line)
    with (tmp_path / "heard.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == len([*(tmp_path / "arriving").rglob("*.wav")])
    assert {row["detector"] for row in rows if "/monday/" in row["name"]} != {
        row["detector"] for row in rows if "/wednesday/" in row["name"]
    }
    for piece in shown():
        assert piece in printed, piece
