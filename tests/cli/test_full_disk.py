"""A disk that fills while a command writes: one line, exit code 2, and nothing left of it."""

import pytest

from evaluations import as_json, noisy
from made_scores import made
from nearfar.scores.submission.plainyaml import dump_yaml
from record_server import small_files
from submissions import PDF, SAID
from submissions import made as packed

TABLE, TRUTH = made(41, machines=2, each=12, ties=False)
MOST = 60  # bytes: less than any of the files


@pytest.fixture
def world(tmp_path, dcase, evaluation_set, both_folder):
    """What each command below is given, by name."""
    for name, sd in (("a", 0), ("b", 0.5)):
        as_json(tmp_path / f"{name}.json", noisy(TABLE, sd), TRUTH)
    (tmp_path / "report.pdf").write_bytes(PDF)
    (tmp_path / "p.zip").write_bytes(packed())
    row = {"auc_source": 84.16, "auc_target": 77.84, "pauc": 61.79}
    results = {"results": {"development_dataset": {"fan": row, "pump": row}}}
    (tmp_path / "meta.yaml").write_text(dump_yaml(SAID | results))
    return {
        "HERE": tmp_path, "DEV": dcase, "EVAL": evaluation_set / "eval_data/raw",
        "DETECTOR": both_folder,
    }  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "submit EVAL DETECTOR --label Kim_LUDO --meta HERE/meta.yaml --pdf HERE/report.pdf "
        "-o HERE/out.zip --no-cache --workers 1",
        "submit --new-meta HERE/out.yaml",
        "submit --check HERE/p.zip --json HERE/out.json",
        "compare HERE/a.json HERE/b.json --draws 50 --json HERE/out.json",
        pytest.param(
            "compare HERE/a.json HERE/b.json --draws 50 -o HERE/out.html", marks=pytest.mark.slow
        ),
        "export-data DEV -o HERE/out",
        "score DETECTOR EVAL --official HERE/out --no-cache --workers 1",
    ],
)  # fmt: skip
def test_a_disk_that_fills_is_one_line_and_nothing_is_left(run, world, command):
    words = command.split()
    for name, place in world.items():
        words = [str(place) + w.removeprefix(name) if w.startswith(name) else w for w in words]
    before = sorted(world["HERE"].rglob("*"))
    with small_files(MOST):
        code, _, err = run(*words)
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert (code, len(lines)) == (2, 1), err
    assert "cannot be written" in lines[0]
    assert "free some space" in lines[0]
    assert sorted(world["HERE"].rglob("*")) == before
