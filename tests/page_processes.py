"""Commands with a page in processes of their own, asked as a browser would ask them."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from conftest import PATIENCE, stop


class PageProcess:
    """`nearfar …` whose standard error is a file to be read while it runs."""

    def __init__(self, cwd, *arguments):
        self.log = cwd / f"stderr-{arguments[0]}"
        with self.log.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nearfar", *map(str, arguments)], cwd=cwd,
                stdout=subprocess.PIPE, stderr=err, text=True,
            )  # fmt: skip

    def until(self, holds):
        """Wait until something holds."""
        latest = time.monotonic() + PATIENCE
        while not (found := holds()):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < latest, self.said
            time.sleep(0.05)
        return found

    @property
    def said(self):
        return self.log.read_text()

    def until_said(self, words, count=1):
        self.until(lambda: self.said.count(words) >= count)

    @property
    def url(self):
        """Where its page is; waits until it says so."""
        return self.until(lambda: re.search(r"(http://\S+?)/(?= |$)", self.said, re.M))[1]

    def get(self, path):
        """(status, what is answered)."""
        return answered(self.url + path)

    def end(self, number=signal.SIGTERM):
        """Tell it to end: its exit code."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        assert "Traceback" not in self.said, self.said
        return self.process.returncode


def answered(url, body=None, method=None, kind="application/json"):
    """(status, what is answered): JSON where it is some."""
    asked = urllib.request.Request(url, body, {"Content-Type": kind} if body else {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:
            status, text = reply.status, reply.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode()


@contextmanager
def paged(cwd, *arguments):
    """A command with a page; killed at the end if it still runs."""
    running = PageProcess(cwd, *arguments)
    try:
        yield running
    finally:
        stop([running.process])
