"""The command timeline: scores over time, and when alarms lasted. Flags to calls, nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.detectors import open_detector, with_domains
from nearfar.cli.lines import columns, ledger, say
from nearfar.cli.options import (
    OUTPUT,
    SYSTEM,
    BatchSize,
    ByDomain,
    Cache,
    ClipSeconds,
    Csv,
    Device,
    Far,
    Json,
    Machine,
    Near,
    NoCache,
    Pair,
    Parts,
    Rate,
    Replace,
    Salvage,
    SkipBad,
    TimePattern,
    Weights,
    Workers,
    channels_of,
    check_stdout,
    kept_at,
    on_disk,
    write_csv,
    write_json,
)
from nearfar.cli.parquet import Parquet, check_parquet, write_parquet
from nearfar.cli.progress import Session
from nearfar.errors import visible
from nearfar.files import begins, check_output
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.scores.alarms import AlarmRule, History

SCHEMA = 1  # of the JSON; raised when a program that reads it could err
WIDE = 80  # cells, where nobody tells how wide the screen is
TOLD = 10  # machines whose first alarm has a sentence; the table has all of them


def timeline(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    data: Annotated[list[Path], typer.Argument(help="Folders, files or CSVs of recordings.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML page of the scores over time.")
    ] = None,
    alarm: Annotated[
        str,
        typer.Option(
            metavar="K/N",
            rich_help_panel=SYSTEM,
            help="A lasting alarm: at least k of the last n recordings above the threshold.",
        ),
    ] = "3/5",
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
    csv: Csv = None,
    as_json: Json = None,
    parquet: Parquet = None,
    fail_on_alarm: Annotated[
        bool,
        typer.Option(
            "--fail-on-alarm",
            rich_help_panel=OUTPUT,
            help="Exit with 1 if an alarm stands with a machine's last recording; with 3 if none "
            "does but some of its last n were not judged.",
        ),
    ] = False,
    false_alarm_rate: Rate = None,
    threshold_by_domain: ByDomain = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    skip_bad: SkipBad = False,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Show scores over time: a line of blocks a machine, and when an alarm lasted.

    Recordings are in the order of time that their names or a list tell; where any of a machine
    tells none, in the order of names. What was not judged is a gap, and counted.
    """
    from nearfar.cli.listing import doubts, warn_of_training
    from nearfar.clips import Clips
    from nearfar.scores.alarms import AlarmRule, histories

    rule = AlarmRule.read(alarm)
    inputs = [detector, *data, *(weights or ())]
    _check_outputs(output, csv, as_json, inputs, replace)
    check_parquet(parquet, inputs, replace=replace)
    fitted = open_detector(detector, part, weights, false_alarm_rate, machine)
    clips = Clips.open(
        data, machine=machine, clip_seconds=clip_seconds, channels=channels_of(near, far),
        pair=pair, salvage=salvage, time_pattern=time_pattern,
    )  # fmt: skip
    warn_of_training(clips)
    fitted = with_domains(fitted, threshold_by_domain, machine, clips.machines)
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
        scores = fitted.score(
            clips, session.runtime, machine=machine, section=section, skip_bad=skip_bad
        )
    found = histories(scores, rule)
    # Files first: a closed pipe must not cost them.
    if output is not None:
        _write_page(output, found, rule, fitted, detector)
    taken = write_csv(csv, _csv(found) if csv is not None else "")
    taken |= write_json(as_json, _as_dict(found, rule) if as_json is not None else None)
    rows = [verdict for history in found for verdict in history.verdicts]
    stood = [stands for history in found for stands in history.lasting]
    write_parquet(parquet, rows, detector, lasting=stood)
    doubts(scores)
    if not taken:
        _tell(found, rule)
    # Only where it was asked for, as `score` does; an alarm that is over is no news to a script.
    if fail_on_alarm and any(history.standing for history in found):
        raise typer.Exit(1)
    if fail_on_alarm and any(history.unheard(rule) for history in found):
        raise typer.Exit(3)  # silence is no good news


def _check_outputs(
    output: Path | None,
    csv: Path | None,
    as_json: Path | None,
    inputs: Sequence[Path | str],
    replace: bool,
) -> None:
    """Refuse what cannot be written, before clips are heard."""
    from nearfar.scores.verdict import is_score_table

    check_stdout(csv, as_json)
    check_output(on_disk(csv), endings=(".csv",), inputs=inputs, ours=is_score_table,
                 replace=replace)  # fmt: skip
    check_output(on_disk(as_json), endings=(".json",), inputs=inputs, ours=is_timeline,
                 replace=replace)  # fmt: skip
    if output is not None:
        from nearfar.report.page import check_page

        check_page(output, "timeline", inputs, replace=replace)


def _write_page(
    output: Path,
    found: Sequence[History],
    rule: AlarmRule,
    fitted: Detector,
    detector: Path,
) -> None:
    from nearfar.report.timeline import write_timeline

    write_timeline(output, found, rule, fitted, str(detector))
    ledger.files.append(visible(str(output)))


def _tell(found: Sequence[History], rule: AlarmRule) -> None:
    """What a person reads."""
    from nearfar.cli.show import console
    from nearfar.cli.sparkline import legend, table

    out = console()
    for row in table(found, columns(sys.stdout) or WIDE):
        out.print(row)
    for line in (f"{legend()}. Lasting alarm: {rule.told}", *told(found)):
        say(visible(line))


def told(found: Sequence[History]) -> list[str]:
    """Of machines with a lasting alarm what came before it; which are in no order of time."""
    loud = [history for history in found if history.spells]
    lines = [_first(history) for history in loud[:TOLD]]
    if more := loud[TOLD:]:
        lines.append(f"and {counted(len(more), 'machine')} more with lasting alarms")
    if unordered := [history.name for history in found if not history.timed]:
        named = ", ".join(unordered[:TOLD]) + (" and more" if len(unordered) > TOLD else "")
        lines.append(
            f"{named}: not every recording says when it was made (see --time-pattern), so they "
            "are in the order of names"
        )
    return lines


def _first(history: History) -> str:
    spell = history.spells[0]
    alarms, judged = history.before(spell)
    line = f"{history.name}: first lasting alarm {history.when(spell.first)}"
    if spell.since < spell.first:
        line += f", of recordings since {history.when(spell.since)}"
    return f"{line}; before these {alarms} of {judged} recordings were above the threshold"


def _csv(found: Sequence[History]) -> str:
    """The columns of `score`, in the order of time, and whether an alarm stood."""
    from nearfar.scores.verdict import Scores, as_csv

    head = Scores(()).to_csv().strip().split(",")
    rows = [row for history in found for row in _rows(history)]
    return as_csv(rows, [*head, "lasting"])


def _rows(history: History) -> list[dict[str, Any]]:
    pairs = zip(history.verdicts, history.lasting, strict=True)
    return [{**verdict.as_dict(), "lasting": stands} for verdict, stands in pairs]


def _row(history: History, place: int) -> dict[str, Any]:
    row = history.verdicts[place].as_dict()
    return {name: row[name] for name in ("clip", "time", "score", "path")}


def _as_dict(found: Sequence[History], rule: AlarmRule) -> Mapping[str, Any]:
    """What a program reads."""
    machines = []
    for history in found:
        spells = []
        for spell in history.spells:
            alarms, judged = history.before(spell)
            places = {"since": spell.since, "first": spell.first, "last": spell.last,
                      "highest": spell.highest}  # fmt: skip
            spells.append({
                # Rows of `scores`, cut down to what tells one from another.
                **{name: _row(history, place) for name, place in places.items()},
                "recordings": spell.last - spell.first + 1,
                "above_before": alarms, "judged_before": judged,
            })  # fmt: skip
        machines.append({
            "machine": history.machine, "section": history.section, "timed": history.timed,
            "recordings": len(history.verdicts), "not_judged": history.silent,
            "above": history.above, "alarms": spells,
        })  # fmt: skip
    return {
        "schema": SCHEMA,
        "alarm": {"least": rule.least, "of": rule.of},
        "machines": machines,
        "scores": [row for history in found for row in _rows(history)],
    }


def is_timeline(path: Path) -> bool:
    """Is a file plainly the JSON of a timeline?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"alarm": ')
