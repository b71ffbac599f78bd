"""`make demo` again, and on other data: no detector is in the way, none of a user's is replaced."""

import shutil
import subprocess

import pytest

from conftest import TESTS

SCRIPT = TESTS.parent / "tools" / "demo.sh"
FAKE = """#!/bin/sh
echo "$@" >> calls.txt
"""


@pytest.fixture
def demo(tmp_path):
    """Run the demo with a nearfar that only notes what it was called with."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    place = tmp_path / ".venv" / "bin"
    place.mkdir(parents=True)
    (place / "nearfar").write_text(FAKE)
    (place / "nearfar").chmod(0o755)

    def call(data):
        command = ["bash", SCRIPT, data, "demo"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        calls = (tmp_path / "calls.txt").read_text().splitlines()
        (tmp_path / "calls.txt").unlink()
        return next(line for line in calls if line.startswith("fit ")).split(), done.stdout

    return call


def test_each_data_has_a_folder_of_its_own(demo, tmp_path):
    outputs = set()
    for name in ("", "a/pump", "b/pump", "a b"):
        if name:
            (tmp_path / name).mkdir(parents=True)
        call, told = demo(name)
        outputs.add(call[call.index("-o") + 1])
        assert "$ nearfar fit " in told
    assert len(outputs) == 4


def test_only_what_the_demo_wrote_is_replaced(demo, tmp_path):
    (tmp_path / "demo" / "detector").mkdir(parents=True)  # somebody's
    assert "--replace" not in demo("")[0]
    assert "--replace" in demo("")[0]
