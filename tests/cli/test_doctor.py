"""The command doctor: a table of 80 columns, JSON, and an exit code."""

import json
import os
import subprocess
import sys

import pytest

from conftest import TESTS
from nearfar.cli.doctor import WIDTH, is_doctor, lines
from nearfar.doctor import examination
from nearfar.doctor.sign import Sign

LINE = "pip install '/a/very/long/folder/of/some/body/who/likes/long/names/indeed/nearfar[eat]'"


@pytest.fixture
def seen(monkeypatch):
    """The signs that the command is shown."""
    found = [
        Sign("versions", "numpy", "ok", "2.4.6"),
        Sign("extras", "eat", "missing", "no torch; for encoders", LINE),
        Sign("weights", "a/place/with/a/long/name", "note", "word " * 40),
    ]
    monkeypatch.setattr(examination, "examine", lambda places: iter(found))
    return found


def test_the_table_is_80_columns_wide_and_a_line_to_be_typed_is_whole(seen):
    made = list(lines(seen))
    assert all(len(line) <= WIDTH for line in made if LINE not in line)
    assert f"{' ' * 19}{LINE}" in made
    assert [line for line in made if line and not line.startswith(" ")] == [
        "versions", "extras", "weights",
    ]  # fmt: skip


def test_what_is_missing_is_no_fault_and_what_is_broken_is(run, seen, tmp_path):
    code, out, _ = run("doctor")
    assert (code, out.splitlines()[-1]) == (0, "all that is installed works")
    seen.append(Sign("works", "FLAC", "broken", "OSError: no \x1b[31mlibrary"))
    code, out, _ = run("doctor", "--json", tmp_path / "a.json")
    assert (code, "broken: FLAC" in out, "\x1b" in out) == (1, True, False)
    assert is_doctor(tmp_path / "a.json")
    code, out, _ = run("doctor", "--json", "-")
    found = json.loads(out)
    assert (code, found["works"], found["signs"][-1]["state"]) == (1, False, "broken")
    assert run("doctor", "--json", tmp_path / "a.txt")[0] == 2


def test_what_was_seen_is_said_at_once_and_what_libraries_print_is_no_part_of_it(
    seen, run, monkeypatch, capsys
):
    def ending(places):
        yield seen[0]
        print("hello from a library")
        yield seen[1]
        if places:  # as a library may end the process: nobody could say a word any more
            raise KeyboardInterrupt

    monkeypatch.setattr(examination, "examine", ending)
    _, out, err = run("doctor", "place")
    assert ("numpy" in out, "no torch" in out, "hello" in out) == (True, True, False)
    _, out, err = run("doctor", "--json", "-")
    assert (len(json.loads(out)["signs"]), err) == (2, "hello from a library\n")


@pytest.mark.slow
def test_without_numpy_it_still_says_what_is_broken(tmp_path):
    """The real thing, in a process of its own, which has neither NumPy nor h5py that work."""
    for name, text in (
        ("numpy", "raise ImportError('no BLAS')"),
        ("h5py", "raise OSError('gone')"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    path = os.pathsep.join([str(tmp_path), str(TESTS.parent / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "nearfar", "doctor", "--json", "-"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    broken = {s["name"] for s in json.loads(done.stdout)["signs"] if s["state"] == "broken"}
    assert {"numpy", "convert", "fit and score"} <= broken
    assert "rich" not in broken


@pytest.mark.slow
def test_here_it_says_that_all_works(run):
    code, out, err = run("doctor")
    assert (code, err) == (0, ""), out


def test_the_help_loads_nothing_of_it():
    code = (
        "import sys, contextlib, io\n"
        "sys.argv = ['nearfar', 'doctor', '--help']\n"
        "import nearfar.cli.main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    nearfar.cli.main.main()\n"
        "print({m for m in sys.modules if m.split('.')[0] in ('numpy', 'torch', 'scipy')\n"
        "       or m.startswith('nearfar.doctor')})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
