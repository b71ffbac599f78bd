"""The command report: everything about a detector and some recordings on one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.detectors import open_detector
from nearfar.cli.lines import ledger
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    SYSTEM,
    BatchSize,
    ByDomain,
    Cache,
    ClipSeconds,
    Device,
    Far,
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
    Year,
    channels_of,
    kept_at,
)
from nearfar.cli.progress import Session
from nearfar.errors import visible
from nearfar.text import counted


def report(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    data: Annotated[
        list[Path], typer.Argument(help="DCASE folders, recordings, folders of them, or CSVs.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", rich_help_panel=OUTPUT, help="The page, an .html.")
    ],
    compare: Annotated[
        Path | None,
        typer.Option(
            help="Another result on the same data: what evaluate --json or score --json wrote.",
            rich_help_panel=DATA,
            metavar="FILE",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="Labels, for clips whose names tell none.", rich_help_panel=DATA),
    ] = None,
    normals: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the normal recordings, to listen to the nearest; else they are looked "
            "for beside the clips.",
            rich_help_panel=DATA,
            metavar="FOLDER",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            min=1, rich_help_panel=OUTPUT, metavar="N", help="Clips of a machine that are listed."
        ),
    ] = 5,
    explain: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=OUTPUT,
            metavar="N",
            help="Of these, how many are explained, with sounds.",
        ),
    ] = 2,
    alarm: Annotated[
        str,
        typer.Option(
            metavar="K/N",
            rich_help_panel=SYSTEM,
            help="A lasting alarm: at least k of the last n recordings above the threshold.",
        ),
    ] = "3/5",
    rule: Annotated[
        Year | None,
        typer.Option(help="The year's rule; found in the data if not given.", rich_help_panel=DATA),
    ] = None,
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
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
    """Write one page about recordings: scores, alarms, reasons; with labels AUC and Ω too.

    The page is one file with its pictures and sounds, and asks nothing of any network.
    """
    from nearfar.cli.listing import doubts
    from nearfar.report.cards import explained
    from nearfar.report.compared import read_other
    from nearfar.report.contents import gather
    from nearfar.report.judged import judge
    from nearfar.report.page import check_page
    from nearfar.report.report import About, write_report
    from nearfar.scores.alarms import AlarmRule
    from nearfar.scores.truth import read_truth
    from nearfar.study.data import Given

    # Before anything is heard, as all that follows up to the session.
    lasting = AlarmRule.read(alarm)
    inputs = [detector, *data, compare, truth, normals, *(weights or ())]
    check_page(output, "report", inputs, replace=replace)
    other = read_other(compare) if compare else None
    labels = read_truth(truth) if truth else None
    fitted = open_detector(detector, part, weights, false_alarm_rate, machine)
    if threshold_by_domain is not None:
        fitted = fitted.with_threshold_by_domain(
            threshold_by_domain, machines=None if machine is None else (machine,)
        )
    given = Given(
        tuple(data),
        {"machine": machine, "pair": pair, "salvage": salvage, "time_pattern": time_pattern,
         "clip_seconds": clip_seconds, "channels": channels_of(near, far)},
    )  # fmt: skip
    year: Any = None if rule is None else rule.value
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as run:
        judged = judge(
            fitted, given, run.runtime, machine=machine, section=section, skip_bad=skip_bad
        )
        contents = gather(judged, labels, other, rule=year, top=max(top, explain), alarm=lasting)
        cards = explained(contents, run.runtime, each=explain, normals=normals)
        about = About(shlex.join(["nearfar", *sys.argv[1:]]), detector, str(given))
        write_report(output, contents, cards, about)
    ledger.files.append(visible(str(output)))
    doubts(judged.scores.judged)
    typer.echo(visible(_line(contents)))


def _line(contents: Any) -> str:
    """What the page says first, in one line."""
    evaluation = contents.evaluated.evaluation
    said: str = contents.judged.scores.summary
    if evaluation is not None:
        said = f"{evaluation.headline}; {said}"
    alarms = [panel.history for panel in contents.panels if panel.history and panel.history.spells]
    if len(alarms) == 1 and len(contents.panels) == 1:
        return f"{said}; first lasting alarm {alarms[0].when(alarms[0].spells[0].first)}"
    if alarms:
        machines = counted(len(contents.panels), "machine")
        return f"{said}; {len(alarms)} of {machines} have lasting alarms"
    return said
