"""What a timeline of `simulate --preset wear` came to, held against the truth.

    python -m tools.wear TIMELINE.json RECORDINGS          what to say of it
    python -m tools.wear --clip TIMELINE.json              the recording that raised the first alarm

TIMELINE.json is of `nearfar timeline … --json`, RECORDINGS the folder that `nearfar simulate`
wrote. The truth is read here alone: fit and score never see it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.sim.machines.pump import fault_db
from nearfar.text import counted


@dataclass(frozen=True)
class Outcome:
    """How a watched machine was found to wear out.

    >>> Outcome(severity=0.5, hours=36, lasting=0, single=1, healthy=48).hours
    36
    """

    severity: float | None  # at the recording that raised the first lasting alarm; None: none did
    hours: int | None  # from the first worn recording to that one, an hour apart
    lasting: int  # lasting alarms raised before the first worn recording: false ones
    single: int  # recordings above the threshold before it
    healthy: int  # recordings before it


def outcome(timeline: dict[str, Any], severities: dict[str, float]) -> Outcome:
    """Hold a timeline against the truth.

    Args:
        timeline: of one machine, as `nearfar timeline --json` writes it.
        severities: file name → how worn the machine was.
    """
    rows = timeline["scores"]
    worn = [severities[Path(row["path"]).name] for row in rows]
    begin = next((n for n, severity in enumerate(worn) if severity > 0), len(rows))
    # Raised: where an alarm stands that did not stand before.
    raised = [n for n, row in enumerate(rows)
              if row["lasting"] and not (n and rows[n - 1]["lasting"])]  # fmt: skip
    true = next((n for n in raised if n >= begin), None)
    return Outcome(
        severity=None if true is None else worn[true],
        hours=None if true is None else true - begin,
        lasting=sum(n < begin for n in raised),
        single=sum(bool(row["anomalous"]) for row in rows[:begin]),
        healthy=begin,
    )


def truth(recordings: Path) -> tuple[str, dict[str, float]]:
    """The label of a simulated set, and file name → severity."""
    label = json.loads((recordings / "manifest.json").read_text(encoding="utf-8"))["label"]
    lines = (recordings / "ground_truth.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return label, {Path(row["file"]).name: row["severity"] for row in rows}


def told(found: Outcome, label: str) -> str:
    """What to say of it."""
    before = (
        f"False alarms in the {found.healthy} healthy hours before the fault: {found.lasting} "
        f"lasting, {counted(found.single, 'single recording')}."
    )
    if found.severity is None or found.hours is None:
        return f"{label}: no lasting alarm while the bearing wore out. {before}"
    level = fault_db(found.severity)
    return (
        f"{label}: the alarm came {counted(found.hours, 'hour')} after the bearing began to wear, "
        f"at severity {found.severity:.2f} of 1: its blows {abs(level):.1f} dB "
        f"{'below' if level < 0 else 'over'} the pump itself. {before}"
    )


def _first(timeline: dict[str, Any]) -> str:
    alarms = [alarm for machine in timeline["machines"] for alarm in machine["alarms"]]
    return str(alarms[0]["first"]["path"]) if alarms else ""


def main() -> None:
    """Print what the arguments ask for."""
    file, other = sys.argv[1:3]
    if file == "--clip":
        print(_first(json.loads(Path(other).read_text(encoding="utf-8"))))
        return
    label, severities = truth(Path(other))
    timeline = json.loads(Path(file).read_text(encoding="utf-8"))
    print(told(outcome(timeline, severities), label))


if __name__ == "__main__":
    main()
