"""The page of the README, walked: from no detector to an alarm that is heard, answered and learnt.

What is typed is the README's, in its order, in an empty folder; what is clicked is clicked in
Chromium. Then docs/page.md's way from labelled clips to an evaluation.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from browser import DESK, LONGEST, browser, drawn, until
from conftest import PATIENCE, TESTS, free_port
from page_processes import paged

ROOT = TESTS.parent
PAGE = "127.0.0.1:8080"  # of the README
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMISED = 300  # s from an empty folder to an alarm that is answered
PLAYS = "document.querySelector('.clip-play').dataset.shows === 'pause'"
SECOND = "Number(document.querySelector('.clip-run input').value)"
HEARD = "document.querySelector('.clip-choices [aria-pressed=true] kbd').textContent"


def typed(path, title):
    """The commands under a title, in their order, without what `#` says to people."""
    text = (ROOT / path).read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]
    lines = "".join(BLOCK.findall(section)).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines]


class Newcomer:
    """Somebody in an empty folder with two terminals and a browser."""

    def __init__(self, folder):
        self.folder, self.address = folder, f"127.0.0.1:{free_port()}"
        place = folder / "bin"
        place.mkdir()
        (place / "nearfar").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nearfar "$@"\n')
        (place / "nearfar").chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}

    def type(self, line):
        """What a command prints."""
        done = subprocess.run(
            ["bash", "-c", line.replace(PAGE, self.address)], cwd=self.folder,
            env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def begin(self, line):
        """A command that goes on."""
        return paged(self.folder, *shlex.split(line.replace(PAGE, self.address))[1:])

    @contextmanager
    def looks(self):
        """The page in the browser; the console and the network must have had nothing."""
        context = browser().new_context(viewport={"width": DESK[0], "height": DESK[1]})
        said = []
        try:
            tab = context.new_page()
            tab.set_default_timeout(LONGEST)
            tab.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
            tab.on("pageerror", lambda error: said.append(str(error)))
            # A page that is left or loaded anew lets go of what it asked for.
            tab.on("requestfailed", lambda asked: asked.failure == "net::ERR_ABORTED"
                   or said.append(f"wanted {asked.url}"))  # fmt: skip
            tab.goto(f"http://{self.address}/")
            yield tab
        except BaseException:
            print(tab.inner_text("body"))  # what a person would have read
            raise
        finally:
            context.close()
        assert said == []


def first_run(tab):
    tab.click(".setup-offered button:has-text('normal')")
    tab.fill(".setup-form [name=who]", "Kim")
    assert tab.input_value(".setup-form [name=machine]") == "pump"
    tab.click("text=Fit the detector")
    tab.wait_for_selector("text=It listens now")
    tab.click("text=To the machines")
    tab.wait_for_selector(".tile")


def listened(tab):
    """Why, to see and to hear: all is drawn, and three sounds are switched while it plays."""
    tab.wait_for_selector(".clip-image")
    until(tab, "document.querySelector('.clip-image').naturalWidth > 0")
    until(tab, "!document.querySelector('.clip-choice.loading')")
    assert drawn(tab) == []
    assert re.search(r"rose|fell", tab.inner_text(".clip-part-why"))
    assert tab.locator(".moves li").count() > 3
    assert "pump/normal/" in tab.inner_text("text=/pump.normal.*wav/ >> nth=0")
    tab.click(".clip-loop")  # or it may end on a busy machine
    tab.click(".clip-play")
    until(tab, f"{PLAYS} && {SECOND} > 0")
    for key in ("2", "3", "1"):
        tab.keyboard.press(key)
        until(tab, f"{PLAYS} && {HEARD} === '{key}'")
    tab.click(".clip-play")
    until(tab, f"!({PLAYS})")


def acknowledged(tab):
    tab.click(".alarm-row >> text=Acknowledge")
    tab.fill("dialog textarea", "bearing ordered")
    assert tab.input_value("dialog [name=who]") == "Kim"  # it was asked once
    tab.click("dialog .primary")
    tab.wait_for_selector(".alarm-row:has-text('acknowledged'):has-text('bearing ordered')")


def answered(tab, word, begins):
    """Say it of the clip that is shown: how it came out, which begins so."""
    tab.click(f".clip-answers button:has-text('{word}')")
    tab.click("dialog .primary")
    tab.wait_for_selector(f".clip-result:has-text('{begins}')")
    return tab.inner_text(".clip-result")


def taken_back(tab):
    tab.click(".clip-answers >> text=Undo")
    tab.click("dialog .primary")
    tab.wait_for_selector(".clip-result:has-text('Taken back')")


def files(folder):
    """All of a detector but the list of what was ever learnt and forgotten."""
    found = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name != "learnt.jsonl"}


@pytest.mark.slow
def test_the_page_as_the_readme_leads_to_it(tmp_path):
    here, commands = Newcomer(tmp_path), typed("README.md", "The page: look, listen, answer")
    install, simulate, make, watch, healthy, worn, score = commands
    assert "'.[page]'" in install  # of the folder that was cloned; here it is installed
    began = time.monotonic()
    here.type(simulate)
    here.type(make)
    with here.begin(watch) as running:
        running.until_said("open http://")
        with here.looks() as tab:
            first_run(tab)
            detector = files(tmp_path / "pump.detector")
            here.type(healthy)
            tab.wait_for_selector(".tile.normal")
            assert tab.locator(".alarm-row").count() == 0
            here.type(worn)
            running.until_said("warning: alarm 1")
            known = time.monotonic()
            tab.wait_for_selector(".alarm-row")
            print(f"the page had the alarm {time.monotonic() - known:.1f} s after the log")
            assert running.said.count("warning: alarm") == 1
            tab.click(".alarm-row >> text=Open the clip")
            listened(tab)
            acknowledged(tab)
            answer = answered(tab, "This was normal", "The detector knows")
            assert "120 → 121 clips" in answer
            before, after = re.search(r"Threshold (\S+) → ([\d.]*\d)", answer).groups()
            print(f"learnt: threshold {before} → {after}")
            assert float(before) < float(after)
            tab.reload()
            tab.wait_for_selector(".clip-labels:has-text('Kim'):has-text('learnt')")
            tab.wait_for_selector(".alarm-row:has-text('bearing ordered')")
            assert files(tmp_path / "pump.detector") != detector
            taken_back(tab)
            assert files(tmp_path / "pump.detector") == detector
            answered(tab, "This was a fault", "Kept as a fault")
        took = time.monotonic() - began
        print(f"from nothing to there {took:.0f} s")
        assert took < PROMISED
        assert '"anomalous": true' in here.type(score)
        labelled(here)
        assert running.end() == 0


def labelled(here):
    """docs/page.md goes on from there."""
    clips = here.type(f"curl -s 'http://{PAGE}/api/machines/pump/clips?anomalous=false&limit=1'")
    digest = re.search(r'"digest": "(\w+)"', clips)[1]
    said = "-H 'Content-Type: application/json' -d '{\"learn\": false}'"
    here.type(f"curl -sf {said} http://{PAGE}/api/machines/pump/clips/{digest}/normal")
    lines = typed("docs/page.md", "Labelled clips, and what they are good for")
    printed = [here.type(line) for line in lines if line.startswith("nearfar")]
    assert "2 clips: 1 anomalies, 1 normal" in printed[0]
    assert "100.00" in printed[1]
