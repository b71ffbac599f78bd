"""The progress bar: how much, how fast, how long; none without a terminal."""

import os
import subprocess
import sys

import pytest

BAR = """
import rich.console
now = 0.0
rich.console.monotonic = lambda: now  # a clock of its own: a busy machine changes no speed
from nearfar.cli.progress import progress_bar
bar, report = progress_bar()
with bar:
    for step, wait in ((20, 0.125), (10, 0.5)):  # quick and to the end, then again and slow
        for done in (step, 2 * step, 3 * step):
            report("listening", done, 60)
            bar.refresh()
            now += wait
"""


def test_no_bar_without_a_terminal():
    done = subprocess.run([sys.executable, "-c", BAR], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_the_bar_shows_how_much_how_fast_and_how_long():
    import pty

    ours, theirs = pty.openpty()
    surroundings = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", BAR], stderr=theirs, stdout=subprocess.PIPE, env=surroundings
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        assert process.stdout.read() == b""
    os.close(ours)
    text = seen.decode()
    assert "listening" in text
    assert "30/60" in text
    speeds = [float(part.split()[-1]) for part in text.split(" clips/s")[:-1]]
    assert set(speeds) == {160, 20}  # 20 in 0.125 s, 10 in 0.5 s
    assert speeds[-1] == 20  # what was before is over
    assert "0:00:02" in text
    assert text.rstrip().endswith("\x1b[2K")  # transient: the line is erased at the end


def test_megabytes_keep_their_unit_however_slowly_they_come():
    from types import SimpleNamespace

    from nearfar.cli.progress import _Speed

    for speed, told in ((0.3, "0.3 MB/s"), (42.0, "42 MB/s")):
        task = SimpleNamespace(finished_speed=None, speed=speed, description="fetching")
        assert _Speed().render(task).plain == told
