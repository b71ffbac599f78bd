"""What a run leaves for people and programs: results.md and results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nearfar.clips import proxy_classes
from nearfar.finetune.settings import FineTuning
from nearfar.reproduce.entries import entries_of
from nearfar.reproduce.figures import CONFIDENCE, DRAWS, SEED, Figures, figures
from nearfar.reproduce.reported import load
from nearfar.reproduce.stereo import Statistics
from nearfar.reproduce.stereo_tables import tables as stereo_tables
from nearfar.reproduce.tables import Tables
from nearfar.scorefiles import ScoreTable, read_scores
from nearfar.store import write_text

if TYPE_CHECKING:
    from nearfar.eat.weights import Weights
    from nearfar.reproduce.plan import Step, Study
    from nearfar.reproduce.records import Folder, Record
    from nearfar.reproduce.table import Table

NAMES = ("results.md", "results.json")


def write(
    study: Study,
    weights: Weights | None,
    folder: Folder,
    records: Mapping[str, Record],
    versions: Mapping[str, str],
) -> tuple[str, dict[str, Any]]:
    """Evaluate all scores, make the tables, write both files.

    Args:
        study: what was asked for.
        weights: the published encoder.
        folder: with the scores.
        records: of all steps, by key.
        versions: of what makes the tables.

    Returns:
        What stands in the files: Markdown, and the data of the JSON.

    Raises:
        FormatError, DatasetError: score files that were changed.
        StorageError: no room for the results.
    """
    steps = study.steps()
    made = _tables(study, folder, steps, records)
    head = _head(study, weights, steps, records, versions)
    data = {**head, "tables": [table.to_data() for table in made],
            "steps": [_step(step, records[step.key]) for step in steps]}  # fmt: skip
    text = "\n".join([_preface(study, head), *(table.markdown() for table in made)])
    write_text(folder.path / NAMES[0], text)
    write_text(folder.path / NAMES[1], json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return text, data


def _tables(
    study: Study, folder: Folder, steps: Sequence[Step], records: Mapping[str, Record]
) -> list[Table]:
    reported = load() if study.data.official else None
    classes = len(set(proxy_classes(study.data.train).values()))
    found = _figures(study, folder, steps)
    maker = Tables(found, reported, study.seeds, study.training, classes)
    made = [table for name in study.tables for table in maker.make(name)]
    for step in steps:
        if step.kind == "stereo":
            statistics = Statistics.from_data(records[step.key].facts)
            made += stereo_tables(statistics, reported is not None)
    return made


def _figures(study: Study, folder: Folder, steps: Sequence[Step]) -> Figures | None:
    """Of every entry, in the order of its seeds; None where nothing is scored."""
    scores: dict[str, list[ScoreTable]] = {e.name: [] for e in entries_of(study.tables)}
    for step in steps:
        if step.entry is not None:
            scores[step.entry.name].append(read_scores(folder.scores(step)))
    return figures(scores, study.data.truth, study.data.rule) if scores else None


def _head(
    study: Study,
    weights: Weights | None,
    steps: Sequence[Step],
    records: Mapping[str, Record],
    now: Mapping[str, str],
) -> dict[str, Any]:
    """What the numbers are of."""
    data, report = study.data, load()
    versions = [dict(records[s.key].versions) for s in steps] or [dict(now)]
    return {
        "made_by": "nearfar reproduce",
        "data": {
            "label": data.label,
            "machines": list(data.machines),
            "training_clips": len(data.train),
            "test_clips": len(data.test),
            "sha256": data.sha256,
            "channel_order": data.order,
        },
        "report": {"title": report.title, "authors": list(report.authors)}
        if data.official else None,
        "weights": None if weights is None
        else {"name": weights.architecture.name, "sha256": weights.sha256},
        "seeds": list(study.seeds),
        "training": study.training.to_data(),
        "precision": study.precision,
        "bootstrap": {"draws": DRAWS, "seed": SEED, "confidence": CONFIDENCE},
        "versions": [v for n, v in enumerate(versions) if v not in versions[:n]],
        "finished": max((records[s.key].finished for s in steps), key=_moment, default=""),
    }  # fmt: skip


def _step(step: Step, record: Record) -> dict[str, Any]:
    """A step as the JSON lists it; the stereo statistics stand in their tables."""
    told = {} if step.kind == "stereo" else dict(record.facts)
    return {
        "name": step.name,
        "key": step.key,
        "seconds": record.seconds,
        "finished": record.finished,
        "files": {name: sha256 for name, (_, sha256) in record.files.items()},
        "warnings": list(record.warnings),
        **({"facts": told} if told else {}),
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _preface(study: Study, head: Mapping[str, Any]) -> str:
    """What a reader must know before the numbers."""
    data, weights, default = head["data"], head["weights"], FineTuning()
    changed = [
        f"`{f.name}={getattr(study.training, f.name)}`"
        for f in fields(FineTuning)
        if getattr(study.training, f.name) != getattr(default, f.name)
    ]
    encoder = "none"
    if weights is not None:
        encoder = f"{weights['name']}, sha256 {weights['sha256'][:12]}, {study.precision}"
    versions = "; ".join(
        ", ".join(v if k == "machine" else f"{k} {v}" for k, v in one.items())
        for one in head["versions"]
    )
    told = ", ".join(filter(None, ("Printed by `nearfar reproduce`", head["finished"][:10])))
    report = head["report"]
    lines = [
        "# The report's tables, reproduced",
        f"**{study.data.label}**, {study.data.told}, sha256 {data['sha256'][:12]}. Encoder: "
        f"{encoder}. Seeds: {', '.join(map(str, head['seeds']))}. Training: "
        f"{', '.join(changed) or 'all settings as they come'}.",
        "The report's numbers stand beside ours: "
        f"{', '.join(report['authors'])}, “{report['title']}”." if report
        else "The report's numbers are for other recordings, so they are left out here.",
        f"{told}; {versions}. Everything behind these tables, with hashes: results.json.",
    ]  # fmt: skip
    return "\n\n".join(lines) + "\n"
