"""A package is the same bits whenever it is made, and the official tree."""

import io
import subprocess
import sys
import time
import zipfile

import pytest

from conftest import refused
from nearfar.errors import FormatError, StorageError
from nearfar.scores.submission.package import read_report, report_fault, write_package
from nearfar.scores.submission.plainyaml import read_yaml
from submissions import DECISIONS, LABEL, META, ONE, PDF, SCORES, TWO, files_of, made, table


def test_the_tree_is_the_official_one():
    files = files_of(made(2))
    assert sorted(files) == sorted(
        [
            "task2/Kim_LUDO_task2_1.technical_report.pdf",
            *(
                f"{place}{kind}_{machine}_section_00_test.csv"
                for place in (ONE, TWO)
                for kind in ("anomaly_score", "decision_result")
                for machine in ("drill", "lathe")
            ),
            ONE + META, TWO + META.replace("_1.", "_2."),
        ]
    )  # fmt: skip
    assert files["task2/" + LABEL.report] == PDF
    assert read_yaml(files[ONE + META], "m")["submission"]["label"] == LABEL.system(1)
    rows = [row for row in table(0.1).rows if row.machine == "drill"]
    assert files[ONE + SCORES] == "".join(f"{r.file},{r.score!r}\n" for r in rows).encode()
    assert files[ONE + DECISIONS] == "".join(f"{r.file},{int(r.decision)}\n" for r in rows).encode()
    assert "task2/" + LABEL.report not in files_of(made(1, report=None))


def test_the_same_systems_give_the_same_bits(monkeypatch):
    first = made(2)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert made(2) == first
    with zipfile.ZipFile(io.BytesIO(first)) as zipped:
        infos = zipped.infolist()
    assert {(i.date_time, i.create_system) for i in infos} == {((1980, 1, 1, 0, 0, 0), 3)}
    assert [i.filename for i in infos] == sorted(i.filename for i in infos)
    assert len({made(1), made(2)}) == 2


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_package(path, "no bytes")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    refused(lambda: write_package(tmp_path / "no" / "a.zip", b""), error=StorageError)


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_the_old_package_or_the_new(tmp_path):
    """At any moment: the child writes again and again, until it is killed."""
    path = tmp_path / "a.zip"
    old, new = made(1), made(2)
    code = (
        "import sys; from pathlib import Path\n"
        "from nearfar.scores.submission.package import write_package\n"
        "path, *contents = map(Path, sys.argv[1:])\n"
        "contents = [c.read_bytes() for c in contents]\n"
        "print('begun', flush=True)\n"
        "while True:\n"
        "    [write_package(path, c) for c in contents]\n"
    )
    for name, content in (("old", old), ("new", new)):
        (tmp_path / name).write_bytes(content)
    for n in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", code, path, tmp_path / "old", tmp_path / "new"],
            stdout=subprocess.PIPE,
        )
        with child:
            child.stdout.readline()
            time.sleep(0.01 * n)
            child.kill()
        assert not path.exists() or path.read_bytes() in (old, new)
    write_package(path, new)
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"a.zip", "old", "new"}  # the next writer sweeps what a killed one left


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no PDF"), (b"PK\x03\x04", "no PDF"), (b" %PDF-1.7\n%%EOF", "no PDF"),
        (b"%PDF-1.7\n" + b"x" * 5000, "ends early"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_told(tmp_path, content, said):
    path = tmp_path / "r.pdf"
    path.write_bytes(content)
    refused(lambda: read_report(path), said, "r.pdf", error=FormatError)
    path.write_bytes(PDF)
    assert read_report(path) == PDF
    assert report_fault(PDF) == ""
    refused(lambda: read_report(tmp_path / "no.pdf"), "cannot be read", error=FormatError)
    refused(lambda: read_report(tmp_path), "cannot be read", error=FormatError)
