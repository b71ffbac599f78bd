"""The command line called as people call it."""

import subprocess
import sys


def failed(result, *words):
    """One line on standard error, after one for each of several faults; code 2, no traceback."""
    code, out, err = result
    assert code == 2, (code, out, err)
    lines = [x for x in err.splitlines() if not x.startswith(("warning:", "fault:"))]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    for word in words:
        assert str(word) in lines[0], lines[0]
    return lines[0]


def nearfar(*arguments, **options):
    command = [sys.executable, "-m", "nearfar", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
