"""Packages as a team hands them in, whole and with one thing wrong."""

import io
import zipfile

from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.submission.label import Label
from nearfar.scores.submission.package import SubmittedSystem, package

LABEL = Label.of("Kim_LUDO")
ONE, TWO = (f"task2/Kim_LUDO_task2_{n}/" for n in (1, 2))
SCORES = "anomaly_score_drill_section_00_test.csv"
DECISIONS = "decision_result_drill_section_00_test.csv"
META = "Kim_LUDO_task2_1.meta.yaml"
PDF = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n"
MACHINES = ("drill", "lathe")
COUNT = 200

SAID = {
    "submission": {
        "name": "Two microphones",
        "abbreviation": "nearfar",
        "authors": [
            {"lastname": "Kim", "firstname": "A", "email": "a@b.c", "corresponding": True,
             "affiliation": {"institution": "LUDO Lab"}},
        ],
    },
}  # fmt: skip


def meta(number):
    """What a filled file says."""
    row = {"auc_source": 84.16, "auc_target": 77.84, "pauc": 61.79}
    return {
        "submission": {"label": LABEL.system(number), **SAID["submission"]},
        "system": {"description": {"front_end": None}, "complexity": {"total_parameters": 0}},
        "results": {"development_dataset": {"fan": row}},
    }


def table(shift=0.0):
    """Scores of an evaluation set, all different."""
    return ScoreTable(
        tuple(
            ScoredFile(machine, "00", f"section_00_{n:04d}.wav", n / 7 + shift, decision=n > 180)
            for machine in MACHINES
            for n in range(COUNT)
        )
    )


def expected():
    """What its test folder asks for."""
    return {(m, "00"): frozenset(f"section_00_{n:04d}.wav" for n in range(COUNT)) for m in MACHINES}


def made(systems=2, report=PDF):
    """A package of ours."""
    found = [SubmittedSystem(table(0.1 * n), meta(n)) for n in range(1, systems + 1)]
    return package(LABEL, found, report)


def files_of(content):
    """Name → bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def zipped(path, files):
    """A zip of anyone."""
    with zipfile.ZipFile(path, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def changed(path, name, change):
    """A package of ours with one file changed; `change` gives None to leave it out."""
    files = files_of(made())
    new = change(files.pop(name, b""))
    if new is not None:
        files[name] = new
    return zipped(path, files)
