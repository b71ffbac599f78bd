"""Thousands of requests as no page would send them: no bug, no traceback, no file that is none."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import httpx
import pytest

import nearfar
from conftest import PATIENCE, TESTS, finish
from nearfar.page.guard import bodies, gate, wire
from page_fuzz import Fuzz, checked
from page_server import READERS, served
from watches import detector_in, write_new

SEED = 18


def known_of(base, folder, reader):
    """Values that there are, so that requests come further than to their first fault."""
    headers = {"Authorization": f"Bearer {reader}"} if reader else {}
    with httpx.Client(base_url=base, timeout=PATIENCE, headers=headers) as client:
        described = client.get("/api/openapi.json").json()
        reply = client.get("/api/machines/pump/clips")
        clips = reply.json()["clips"] if reply.status_code == 200 else []
    digests = [clip["digest"] for clip in clips] or ["0" * 64]
    known = {
        "machine": ["pump"], "section": ["00"], "digest": digests, "clip": digests,
        "id": [1, 2, 3], "alarm": [1, 2, 3], "number": [1, 2], "kind": ["desk", "phone"],
        "name": ["near", "far", "heard", "normal"], "limit": [1, 50, 500], "before": [1, 5],
        "points": [1, 100, 2000], "since": ["2026-01-01T00:00:00Z"], "closed": ["true"],
        "until": ["2099-01-01T00:00:00Z"], "explain": ["true"], "skip_bad": ["true"],
        "wav": (folder / "hall" / "1.wav").read_bytes(),
    }  # fmt: skip
    return described, known


def run(port, folder, count, reader=None, fine=0.05):
    known = known_of(f"http://127.0.0.1:{port}", folder, reader)
    seen = Fuzz(SEED, port, *known, reader=reader).run(count)
    # Else the requests would be so bad that nothing was asked.
    assert seen.get(200, 0) > count * fine, seen
    assert len(seen) > 5, seen
    print(seen)
    return seen


def test_a_few_where_there_is_no_detector_yet(monkeypatch, tmp_path, caplog, capfd):
    monkeypatch.setattr(gate, "CHANGES", 10**9)
    for module, name in ((bodies, "STALL"), (bodies, "LINGER"), (wire, "HEAD")):
        monkeypatch.setattr(module, name, 0.1)
    write_new(tmp_path / "hall", "1.wav", 1)
    with served(routes=False) as page:
        run(page.port, tmp_path, 200, fine=0.01)  # nearly all waits for a detector
        assert page.get("/healthz").status_code == 200
    assert "Traceback" not in capfd.readouterr().err + caplog.text
    assert "fault of the program" not in caplog.text


def allowed(folder):
    """Where the page has any business: its own folders, the package and Python."""
    python = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix]
    own = [folder, Path(nearfar.__file__).parent, TESTS]
    return tuple(str(Path(path).resolve()) for path in (*own, *python, "/dev", "/proc/self"))


def strangers(opened, folder):
    """What a process did that is not the page's business."""
    places, found = allowed(folder), []
    for event, told in opened:
        (what,) = ast.literal_eval(told)
        if isinstance(what, int):  # a file that is open already
            continue
        path = os.fsdecode(what) if isinstance(what, bytes | str) else str(what)
        # A bare name is one within a folder that was opened before, as `shutil.rmtree` removes.
        path = os.path.realpath(folder / path.removeprefix("file:").partition("?")[0])
        if event in ("subprocess.Popen", "os.system", "os.exec", "socket.connect"):
            found.append((event, told))
        elif not path.startswith(places):
            found.append((event, path))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "count", "reader"),
    [("watch", 5000, None), ("setup", 1000, None), ("reader", 1000, READERS)],
)
def test_thousands(tmp_path, stage, count, reader):
    """Of all paths that are described, where something is behind each.

    What may be opened is what the test made (the history and its sound, the watched folder, which
    is where normal recordings are heard from too, the detector, the folder of what is sent, the
    one for what is temporary), the package, Python's own files, /dev, and of /proc the process
    itself, which the system's libraries read.
    """
    for name in ("tmp", "cache"):
        (tmp_path / name).mkdir()
    at = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path / "tmp"),
          "NEARFAR_CACHE": str(tmp_path / "cache"),
          "MPLCONFIGDIR": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, TESTS / "page_fuzz_child.py", stage, detector_in(tmp_path), tmp_path,
         tmp_path / "opened.json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | at,
    )  # fmt: skip
    try:
        if stage == "setup":
            write_new(tmp_path / "hall", "1.wav", 1)
        port = int(child.stdout.readline())
        run(port, tmp_path, count, reader)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE).is_success
    finally:
        err = finish(child)[1]
    assert child.returncode == 0, err
    assert "Traceback" not in err
    assert "fault of the program" not in err
    opened = json.loads((tmp_path / "opened.json").read_text())
    assert [event for event, _ in opened].count("open") > 1  # it was looked at
    assert strangers(opened, tmp_path) == []


def test_what_no_answer_may_be_is_found():
    headers = ("Content-Security-Policy: x\r\nX-Content-Type-Options: x\r\nCache-Control: x\r\n"
               "Content-Type: application/json\r\n\r\n")  # fmt: skip
    good = f'HTTP/1.1 404 No\r\n{headers}{{"error": "x"}}'
    assert checked(good.encode(), b"") == 404
    for was, then in (("404", "500"), ("json", "html"), ("Cache-Control", "Kept"), ('"x"', '""'),
                      ("Cache", "Server: x\r\nCache"), ('"x"', '"Traceback"'), ("}", "}\n"),
                      ("{", "<"), ("HTTP/1.1", "ICY")):  # fmt: skip
        with pytest.raises((AssertionError, ValueError)):
            checked(good.replace(was, then).encode(), b"")


def test_a_file_that_is_none_of_the_pages_is_found(tmp_path):
    def told(event, what):
        return [event, str((what,))]

    fine = [told("open", str(tmp_path / "a")), told("open", 7), told("open", os.__file__)]
    assert strangers(fine, tmp_path) == []
    bad = [told("open", "/etc/passwd"), told("open", f"{tmp_path}/../x"), told("os.system", "id")]
    assert len(strangers(bad, tmp_path)) == 3
