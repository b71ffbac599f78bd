"""A package as bytes: the same systems give the same zip, to the bit."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfar.errors import FormatError
from nearfar.files import atomic_file
from nearfar.scores.files import score_texts
from nearfar.scores.join import ScoreTable
from nearfar.scores.submission.archive import LARGEST_REPORT
from nearfar.scores.submission.label import TASK, Label
from nearfar.scores.submission.metadata import Meta, meta_text
from nearfar.scores.truth import place

PDF = b"%PDF-"
# The zip's own begin of time: the day of packing would make another zip of the same files.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE = 3, 0o100644 << 16  # a file that all may read, on whatever system it was made


@dataclass(frozen=True)
class SubmittedSystem:
    """What is submitted of one system.

    >>> from nearfar.scores.join import ScoredFile
    >>> table = ScoreTable((ScoredFile("fan", "00", "a.wav", 0.7, decision=True),))
    >>> sorted(SubmittedSystem(table, {"results": None}).files("Kim_LUDO_task2_1"))[0]
    'Kim_LUDO_task2_1.meta.yaml'
    """

    table: ScoreTable
    meta: Meta

    def files(self, name: str) -> dict[str, bytes]:
        """Name → content of what lies in its folder, which is called `name`."""
        texts = {**score_texts(self.table), f"{name}.meta.yaml": meta_text(self.meta)}
        return {file: text.encode() for file, text in texts.items()}


def package(label: Label, systems: Sequence[SubmittedSystem], report: bytes | None) -> bytes:
    """The zip of a submission.

    Args:
        label: of the team.
        systems: 1, 2, … in this order.
        report: the technical report, a PDF; None leaves it out.

    Raises:
        DatasetError: names that no official file can have.
    """
    files: dict[str, bytes] = {}
    for number, system in enumerate(systems, 1):
        name = label.system(number)
        files |= {f"{TASK}/{name}/{file}": c for file, c in system.files(name).items()}
    if report is not None:
        files[f"{TASK}/{label.report}"] = report
    # In memory: it is less than a megabyte, but for the report.
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for name in sorted(files):  # one order, whatever order they were made in
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
            info.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(info, files[name])
    return out.getvalue()


def write_package(path: Path, content: bytes) -> None:
    """Write a package, whole or not at all.

    Raises:
        StorageError: it cannot be written; what was there still is.
    """
    with atomic_file(path) as file:
        file.write(content)


def read_report(path: Path) -> bytes:
    """Read a technical report.

    Raises:
        FormatError: it cannot be read, is no PDF, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_REPORT + 1)
    except OSError as error:
        raise FormatError(f"{place(path)}: cannot be read ({error.strerror})") from None
    if why := report_fault(content):
        raise FormatError(f"{place(path)}: {why}")
    return content


def report_fault(content: bytes) -> str:
    """Why this is no technical report, and what to do; "" if it may be one."""
    if not content.startswith(PDF):
        return "no PDF, which begins with %PDF-; give the report as PDF"
    if len(content) > LARGEST_REPORT:
        return f"more than {LARGEST_REPORT:,} bytes; make its pictures smaller"
    if b"%%EOF" not in content[-2048:]:  # programs write a little behind it
        return "a PDF that ends early, without %%EOF; save or copy it again"
    return ""
