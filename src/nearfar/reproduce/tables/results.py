"""What a run leaves for people and programs: results.md and results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from nearfar.clips import proxy_classes
from nearfar.embedder.eat.weights import Weights
from nearfar.files import write_text
from nearfar.reproduce.bad import told as told_of_bad
from nearfar.reproduce.entries import entries_of
from nearfar.reproduce.reported import load
from nearfar.reproduce.steps.plan import Request
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.reproduce.steps.stereo import Statistics
from nearfar.reproduce.tables.numbers import CONFIDENCE, DRAWS, SEED, Figures, figures
from nearfar.reproduce.tables.stereo_tables import tables as stereo_tables
from nearfar.reproduce.tables.table import Table
from nearfar.reproduce.tables.tables import Tables
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoreTable
from nearfar.training.settings import unusual


def write(
    schedule: Schedule,
    weights: Weights | None,
    versions: Mapping[str, str],
    frozen: Weights | None = None,
) -> tuple[str, dict[str, Any]]:
    """Evaluate all scores, make the tables, write both files, and return what stands in them.

    Raises:
        FormatError, DatasetError: score files that were changed.
    """
    path, made = schedule.folder.path, _tables(schedule)
    head = _head(schedule, (weights, frozen), versions)
    data = {**head, "tables": [table.to_data() for table in made], "steps": _steps(schedule)}
    text = "\n".join([_preface(schedule.study, head), *(table.markdown() for table in made)])
    write_text(path / "results.md", text)
    write_text(path / "results.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return text, data


def _tables(schedule: Schedule) -> list[Table]:
    study = schedule.study
    reported = load() if study.data.official else None
    classes = len(set(proxy_classes(study.data.train).values()))
    maker = Tables(_figures(schedule), reported, study.seeds, study.training, classes)
    made = [table for name in study.tables for table in maker.make(name)]
    for step in schedule.steps:
        if step.kind == "stereo":
            statistics = Statistics.from_data(schedule.records[step.key].facts)
            made += stereo_tables(statistics, reported is not None)
    return made


def _figures(schedule: Schedule) -> Figures | None:
    """Of every entry, in the order of its seeds; None where nothing is scored."""
    data = schedule.study.data
    scores: dict[str, list[ScoreTable]] = {e.name: [] for e in entries_of(schedule.study.tables)}
    for step in schedule.steps:
        if step.entry is not None:
            scores[step.entry.name].append(read_scores(schedule.folder.scores(step)))
    return figures(scores, data.truth, data.rule) if scores else None


def _head(
    schedule: Schedule, encoders: Sequence[Weights | None], now: Mapping[str, str]
) -> dict[str, Any]:
    """What the numbers are of."""
    study, report = schedule.study, load()
    data, records = study.data, [schedule.records[step.key] for step in schedule.steps]
    # Steps of one run may be of several versions; a run without steps is of what prints it.
    versions = [dict(record.versions) for record in records] or [dict(now)]
    return {
        "made_by": "nearfar reproduce",
        "data": {
            "label": data.label, "machines": list(data.machines),
            "training_clips": len(data.train), "test_clips": len(data.test),
            "sha256": data.sha256, "channel_order": data.order,
            "left_out": list(data.left_out_clips), "not_judged": list(data.not_judged.values()),
        },
        "report": {"title": report.title, "authors": list(report.authors)}
        if data.official else None,
        "weights": encoders[0] and _of(encoders[0]),
        "frozen_weights": encoders[1] and _of(encoders[1]),
        "seeds": list(study.seeds),
        "training": study.training.to_data(),
        "precision": study.precision,
        "bootstrap": {"draws": DRAWS, "seed": SEED, "confidence": CONFIDENCE},
        "versions": [v for n, v in enumerate(versions) if v not in versions[:n]],
        "finished": max((r.finished for r in records), key=datetime.fromisoformat, default=""),
    }  # fmt: skip


def _of(weights: Weights) -> dict[str, str]:
    return {"name": weights.architecture.name, "sha256": weights.sha256}


def _steps(schedule: Schedule) -> list[dict[str, Any]]:
    """As the JSON lists them; the stereo statistics stand in their tables."""
    steps = []
    for step in schedule.steps:
        record = schedule.records[step.key]
        told = {"name": step.name, "key": step.key, "seconds": record.seconds,
                "finished": record.finished,
                "files": {name: sha256 for name, (_, sha256) in record.files.items()},
                "warnings": list(record.warnings)}  # fmt: skip
        if record.facts and step.kind != "stereo":
            told["facts"] = dict(record.facts)
        steps.append(told)
    return steps


def _preface(study: Request, head: Mapping[str, Any]) -> str:
    """What a reader must know before the numbers."""
    data = head["data"]
    changed = [f"`{name}={value}`" for name, value in unusual(head["training"]).items()]
    places = {"": head["weights"], "; System 3's: ": head["frozen_weights"]}
    encoder = "".join(
        f"{whose}{it['name']}, sha256 {it['sha256'][:12]}, {study.precision}"
        for whose, it in places.items()
        if it
    ).removeprefix("; ")
    versions = "; ".join(
        ", ".join(v if k == "machine" else f"{k} {v}" for k, v in one.items())
        for one in head["versions"]
    )
    told = ", ".join(filter(None, ("Printed by `nearfar reproduce`", head["finished"][:10])))
    report = head["report"]
    lines = [
        "# The report's tables, reproduced",
        f"**{study.data.label}**, {study.data.told}, sha256 {data['sha256'][:12]}. Encoder: "
        f"{encoder or 'none'}. Seeds: {', '.join(map(str, head['seeds']))}. Training: "
        f"{', '.join(changed) or 'all settings as they come'}.",
        "The report's numbers stand beside ours: "
        f"{', '.join(report['authors'])}, “{report['title']}”." if report
        else "The report's numbers are for other recordings, so they are left out here.",
        f"{told}; {versions}. Everything behind these tables, with hashes: results.json.",
    ]  # fmt: skip
    if bad := told_of_bad(study.data):
        lines.insert(2, bad)  # beside whose numbers these are
    return "\n\n".join(lines) + "\n"
