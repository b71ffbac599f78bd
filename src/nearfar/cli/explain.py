"""The command explain: why a clip gets its verdict, in about six lines."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace as with_fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.detectors import open_detector
from nearfar.cli.lines import columns, ledger, wrapped
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    SPEED,
    BatchSize,
    Cache,
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
    TimePattern,
    Weights,
    channels_of,
    kept_at,
    on_disk,
    write_json,
)
from nearfar.cli.progress import Session
from nearfar.errors import DatasetError, in_shell, visible
from nearfar.files import begins, check_output
from nearfar.text import called, counted, figure

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.detector.explanation.explanation import Explanation

WORD = 7  # columns of the word that a line begins with


def explain(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    clip: Annotated[
        Path, typer.Argument(help="A recording; of a long one a part, as a.wav@00:01:00-00:01:10.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", rich_help_panel=OUTPUT, help="A page with pictures and sound, .html."
        ),
    ] = None,
    as_json: Json = None,
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
    normals: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=DATA,
            metavar="FOLDER",
            help="Where the normal recordings are, to be heard; else beside the clip.",
        ),
    ] = None,
    regions: Annotated[
        bool,
        typer.Option(
            "--regions/--no-regions",
            rich_help_panel=SPEED,
            help="Find out where in the sound an encoder's score comes from: 81 hearings.",
        ),
    ] = True,
    false_alarm_rate: Rate = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    weights: Weights = None,
    part: Parts = None,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Say why a clip gets its verdict: what moved, what it is held against, where to look.

    Reasons that lie in the microphones or the recording come first.
    """  # fmt: skip
    inputs = [detector, clip, normals, *(weights or ())]
    check_output(
        on_disk(as_json), endings=(".json",), inputs=inputs, ours=is_explanation, replace=replace
    )
    _check_page(output, inputs, replace)
    fitted = open_detector(detector, part, weights, false_alarm_rate, machine)
    asked = with_fields(
        _clip(clip, machine, pair, salvage, time_pattern), channels=channels_of(near, far)
    )
    # One clip needs one process.
    with Session(1, kept_at(cache, no_cache), device, batch_size) as session:
        told = fitted.explain(
            asked, session.runtime, machine=machine, section=section, normals=normals,
            regions=regions,
        )  # fmt: skip
    # First: a closed pipe must not cost the page.
    if output is not None:
        from nearfar.report.explained import write_explanation

        write_explanation(told, output)
        ledger.files.append(visible(str(output)))
    if not write_json(as_json, told.as_dict() if as_json is not None else None):
        for line in lines(told, page=output is not None):
            _say(line)


def _check_page(output: Path | None, inputs: list[Path | str | None], replace: bool) -> None:
    """Refuse a page that cannot be made, before anything is heard."""
    if output is None:
        return
    from nearfar.report.page import check_page

    check_page(output, "explained", inputs, replace=replace)


def _clip(
    path: Path, machine: str | None, pair: str | None, salvage: bool, time_pattern: str | None
) -> Clip:
    """The one clip that a path names, perhaps with a span behind it.

    Raises:
        DatasetError: none, or several.
    """
    from nearfar.clips import Clips
    from nearfar.detector.explanation.recordings import span_of

    start, stop = 0.0, None
    if not os.path.exists(path):  # a file may be called so
        name, start, stop = span_of(str(path))
        path = Path(name)
    found = Clips.open(path, machine=machine, pair=pair, salvage=salvage, time_pattern=time_pattern)
    if len(found) != 1:
        raise DatasetError(
            f"{path}: {counted(len(found), 'clip')}; explain takes one, name its file"
        )
    return found[0] if stop is None and not start else with_fields(found[0], start=start, stop=stop)


def _say(line: str) -> None:
    typer.echo(wrapped(line, columns(sys.stdout), indent=" " * WORD))


def lines(told: Explanation, *, page: bool = False) -> Iterator[str]:
    """What a person reads of an explanation, a line each.

    Args:
        told: any explanation.
        page: was a page of it written, too? Then nobody need be told that there could be one.
    """
    clip = told.verdict.clip
    # The file's own name: the folders are those that the person has typed.
    yield visible(f"{called(clip.machine, clip.section)}: {clip.file}")
    yield _line("said", _said(told))
    yield _line("why", told.why.removeprefix("not judged: "))
    # All of them: a microphone that is loose is often also quieter, and nobody wants to come twice.
    for reason in told.sensor[1:]:
        yield _line("also", reason)
    if not told.verdict.judged:
        return
    yield from _table("moved", _moved(told))
    yield from _table("like", _like(told))
    yield from _table("share", _shares(told))
    yield from _table("bands", _bands(told))
    if told.regions is not None and told.regions.where:
        took = f"{told.regions.fall.size + 1} hearings, {told.regions.took:.1f} s"
        yield _line("where", f"{told.regions.where} ({took})")
    elif told.unmarked:
        yield _line("where", told.unmarked)
    if more := [
        *_part(told),
        *([] if page else ["-o clip.html for pictures and sound"]),
        *(["--normals FOLDER to hear the nearest beside it"] if told.missing else []),
    ]:
        yield _line("more", "; ".join(more))


def _line(word: str, text: str) -> str:
    return f"{word:<{WORD}}{visible(in_shell(text))}"


def _table(word: str, rows: list[str]) -> Iterator[str]:
    for n, row in enumerate(rows):
        yield _line("" if n else word, row)  # the word stands at the first of its rows


def _said(told: Explanation) -> str:
    verdict = told.verdict
    if not verdict.judged:
        return "not judged"
    above = "above" if verdict.anomalous else "not above"
    return (
        f"{'ANOMALOUS' if verdict.anomalous else 'normal'}: score {_digits(verdict.score)} is "
        f"{above} the threshold {_digits(verdict.threshold)}, percentile {verdict.percentile:.3f}"
    )


def _part(told: Explanation) -> list[str]:
    """Of a recording that is too long, how a part of it is named."""
    # The reasons say how long a part is to be, in the words of commands that cut.
    found = re.search(r"clip_seconds=([\d.]+)", " ".join((*told.sensor, told.unmarked)))
    if found is None:
        return []
    part = with_fields(told.verdict.clip, start=0.0, stop=float(found[1]))
    # As it is typed: a name alone leads nowhere from another folder.
    return [f"a part of it: {part.path.parent / part.file}"]


def _digits(value: float) -> str:
    """Four that tell, and no power of ten before there must be one."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def _moved(told: Explanation) -> list[str]:
    """What says most: how far it moved, its share of d², and what it is in words."""
    from nearfar.detector.explanation.explanation import strongest

    # Those of one kind together: a spectral ripple alone tells nobody anything.
    found = strongest(told.themes)
    far = [f"{'−' if t.amount < 0 else '+'}{figure(abs(t.amount))} sd" for t in found]
    wide = max(map(len, far), default=0)
    return [
        f"{amount:>{wide}}  {100 * theme.contribution / told.squared:2.0f} %  {theme.sentence}"
        for amount, theme in zip(far, found, strict=True)
    ]


def _like(told: Explanation) -> list[str]:
    distances = [_digits(n.distance) for n in told.neighbours]
    wide = max(map(len, distances), default=0)
    return [
        # The folder is the machine's: the file's own name has all that tells them apart.
        f"{distance:<{wide}}  {n.name.rsplit('/', 1)[-1]}{' (enriched)' * n.made}"
        for distance, n in zip(distances, told.neighbours, strict=True)
    ]


def _shares(told: Explanation) -> list[str]:
    """Of an ensemble; of one system there is nothing to share."""
    if len(told.shares) < 2:
        return []
    return [f"{100 * s.share:2.0f} %  {s.name}" for s in told.shares]


def _bands(told: Explanation) -> list[str]:
    """Of a member with a bank for each band those that are farthest from what is usual."""
    return [
        f"{100 * band.share:2.0f} %  {band.where}: {_digits(band.distance)}, "
        f"of normal clips {_digits(band.usual)}"
        for band in told.loudest_bands()
    ]


def is_explanation(path: Path) -> bool:
    """Is a file plainly the JSON of an explanation?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"verdict": \{')
