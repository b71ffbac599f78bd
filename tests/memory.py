"""How far a program's memory grows: measured in a process of its own, and there in the parent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")
PROGRAM = """
import re
from pathlib import Path

def megabytes(field):
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{{field}}:\\s+(\\d+) kB", text)[1]) / 1024

{before}
start = megabytes("VmRSS")
{code}
print(megabytes("VmHWM") - start)
"""


def growth(before: str, code: str, **names: object) -> float:
    """Megabytes by which some code's peak lies above what its process held when `before` was done.

    Args:
        before: what is imported and made first.
        code: what is measured.
        names: values (with a repr that can be run) that both may use.
    """
    if not STATUS.exists():
        pytest.skip("only Linux tells a process's peak")
    values = "\n".join(f"{name} = {value!r}" for name, value in names.items())
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=f"{values}\n{before}", code=code)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])
