"""What a shell offers: the words that a command takes, and no file names."""

import os
import subprocess
import sys

import pytest

from conftest import first_quick
from nearfar.cli import offers
from nearfar.sim.machines import MACHINES, OTHERS
from nearfar.study.claims import CLAIMS
from nearfar.system.presets import PRESETS


@pytest.mark.parametrize(
    ("offer", "known"),
    [(offers.systems, PRESETS), (offers.claims, CLAIMS), (offers.machines, [*MACHINES, *OTHERS])],
)
def test_every_word_is_offered_and_no_other(offer, known):
    assert offer("") == list(known)
    first = next(iter(known))
    assert first in offer(first[:2])
    assert all(word.startswith(first[:2]) for word in offer(first[:2]))
    assert offer("no such word") == []


def test_every_size_is_told_in_the_help(run):
    _, out, _ = run("simulate", "--help")
    for size in offers.sizes(""):
        assert f"{size}: " in out


@pytest.mark.parametrize(
    "asking",
    first_quick([
        ("fit --system s3-", "s3-dif"), ("ablate data fu", "fusion"),
        ("simulate --preset mi", "mini"), ("simulate --describe valve", "valveEmu"),
    ]),
)  # fmt: skip
def test_a_shell_is_answered(asking):
    line, word = asking
    asked = {
        **os.environ, "_NEARFAR_COMPLETE": "complete_bash", "COMP_WORDS": f"nearfar {line}",
        "COMP_CWORD": str(len(line.split())),
    }  # fmt: skip
    code = "import sys; sys.argv = ['nearfar']; from nearfar.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True)
    assert word in done.stdout.split(), done.stderr
