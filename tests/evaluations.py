"""Results as files: what evaluate --json writes, and score files, of made-up scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.metrics.official import evaluate
from nearfar.scores.files import write_scores
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth
from nearfar.study.assessment import Result


def noisy(table: ScoreTable, sd: float, seed: int = 0) -> ScoreTable:
    """The same system with noise on its scores."""
    rng = np.random.default_rng(seed)
    return ScoreTable(tuple(replace(r, score=r.score + sd * rng.normal()) for r in table.rows))


def as_json(path: Path, table: ScoreTable, truth: Truth, **changed: Any) -> Path:
    """What evaluate --json writes of them, and further keys."""
    result = Result(evaluate(table, truth, draws=50), scores=table, truth=truth)
    path.write_text(json.dumps({**result.as_dict(), **changed}), encoding="utf-8")
    return path


def as_files(folder: Path, table: ScoreTable) -> Path:
    """Score files in the official form."""
    write_scores(folder, table)
    return folder


def truth_file(path: Path, truth: Truth) -> Path:
    """truth.csv."""
    rows = [f"{r.machine},{r.section},{r.file},{r.domain or ''},{r.label}" for r in truth.rows]
    path.write_text("\n".join(["machine,section,file,domain,label", *rows]) + "\n")
    return path
