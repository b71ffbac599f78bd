"""The command history: what was heard. Flags to calls, nothing else."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    STDOUT,
    AudioFolder,
    Csv,
    Json,
    Replace,
    check_stdout,
    on_disk,
    sound_at,
)
from nearfar.errors import DatasetError, SettingError, in_shell, needs, printable, visible, warn
from nearfar.files import as_bytes, atomic_file, begins, check_output
from nearfar.text import called, counted, named, number, plain

if TYPE_CHECKING:
    from nearfar.service.history.questions import Wanted
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.observation import Observation
    from nearfar.service.plant import HistorySettings

SHOWN = 100  # rows on a screen; a file and a pipe have all
HEAD = ("time", "machine", "clip", "score", "p-value", "verdict", "why")
REASONS = 8  # below a table that has no room for them
RIGHT = ("score", "p-value")
CHUNK = 1000  # rows that are written at once: a year of them does not fit into memory


def history(
    place: Annotated[
        str, typer.Argument(help="A history: a file, as plant.db, or postgresql://user@host/name.")
    ],
    machine: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=DATA, help="Machine; all if not given."),
    ] = None,
    section: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=DATA, help="Section; all if not given."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=DATA,
            help="Clips of this time and later, as 2026-11-01 or 2026-11-01T08:30.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=DATA,
            help="Clips before this time; of a day alone, up to its end.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, rich_help_panel=DATA, help="The newest N of them."),
    ] = None,
    csv: Csv = None,
    as_json: Json = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="Write clips that people labelled on the page as a DCASE data set.",
        ),
    ] = None,
    audio_folder: AudioFolder = None,
    replace: Replace = False,
) -> None:
    """Show what a watch has heard: a row a clip, in order of time.

    The time is the clip's own where its name or header has one, else that of its arrival.
    """  # fmt: skip
    with needs("plant", "nearfar history needs SQLAlchemy"):
        from nearfar.service.history.database import file_of
        from nearfar.service.history.questions import Wanted
        from nearfar.service.history.store import HistoryStore
        from nearfar.service.plant import HistorySettings

    if audio_folder is not None and labelled is None:
        raise SettingError("--audio-folder says more of --labelled; give that too, or leave it out")
    settings = HistorySettings(place, audio_folder=sound_at(audio_folder))
    wanted = Wanted(machine, section, moment_of("--since", since), moment_of("--until", until))
    check_stdout(csv, as_json)
    inputs = [file_of(place)]
    for path, ending in ((csv, ".csv"), (as_json, ".json")):
        check_output(on_disk(path), endings=(ending,), inputs=inputs, ours=is_history_table,
                     replace=replace)  # fmt: skip
    store = HistoryStore.open(place, make=False)  # who looks makes nothing
    try:
        _check_machine(store, wanted)
        _write(csv, _csv(_clips(store, wanted, limit)))
        _write(as_json, _json(store.place, _clips(store, wanted, limit)))
        if labelled is not None:
            _write_labelled(store, settings, labelled, wanted)
        elif not ledger.taken:
            _tell(store, wanted, limit)
    finally:
        store.close()


def moment_of(option: str, text: str | None) -> datetime | None:
    """A time as --since and --until say it; a day alone ends at its end.

    Raises:
        SettingError: no time.

    >>> moment_of("--since", "2026-11-01").isoformat(), moment_of("--until", "2026-11-01").day
    ('2026-11-01T00:00:00', 2)
    """
    if text is None:
        return None
    try:  # a day first: to `datetime` it is midnight, to whoever asks the whole of it
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        found = datetime(day.year, day.month, day.day)
        if option != "--until":
            return found
        return datetime.max if day == date.max else found + timedelta(days=1)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise SettingError(
            f"{option} {text}: is no time; say it as 2026-11-01 or 2026-11-01T08:30"
        ) from None


def is_history_table(path: Path) -> bool:
    """Is a file plainly rows of a history that we wrote, as CSV or as JSON?"""
    return begins(path, r'source,name,path,machine,|\{\s*"schema": \d+,\s*"history": ')


def _check_machine(store: HistoryStore, wanted: Wanted) -> None:
    """Refuse a machine that was never heard: its silence would look like its health.

    Raises:
        DatasetError: no such machine or section.
    """
    known = store.machines()
    asked = (wanted.machine, wanted.section)
    if not known or any(
        asked[0] in (None, key[0]) and asked[1] in (None, key[1]) for key in known
    ):  # fmt: skip
        return
    what = " ".join(name for name in asked if name is not None)
    there = named([called(*key) for key in known])
    raise DatasetError(f"{store.place}: nothing was heard of {what!r}; it has {there}")


def _clips(store: HistoryStore, wanted: Wanted, limit: int | None) -> Iterator[Observation]:
    return store.observations(
        wanted.machine,
        wanted.section,
        wanted.since,
        wanted.until,
        limit=None if limit is None else min(limit, sys.maxsize),  # databases count no further
    )


def _csv(clips: Iterable[Observation]) -> Iterator[str]:
    from dataclasses import fields

    from nearfar.scores.verdict import as_csv
    from nearfar.service.observation import Observation

    # Of no clips, too, a table has its columns.
    columns = [field.name for field in fields(Observation)]
    yield as_csv([], columns)
    for some in _chunks(clips):
        rows = [plain(clip.as_dict()) | {"faults": "; ".join(clip.faults)} for clip in some]
        yield as_csv(rows, columns).partition("\n")[2]


def _json(place: str, clips: Iterable[Observation]) -> Iterator[str]:
    from nearfar.service.observation import SCHEMA

    # By hand, a row a line: the whole of it would not fit into memory, nor into an editor's line.
    yield f'{{\n "schema": {SCHEMA},\n "history": {json.dumps(place)},\n "clips": ['
    between = "\n  "
    for some in _chunks(clips):
        rows = [json.dumps(plain(clip.as_dict()), ensure_ascii=False) for clip in some]
        yield between + ",\n  ".join(rows)
        between = ",\n  "
    yield "\n ]\n}\n"


def _chunks(clips: Iterable[Observation]) -> Iterator[Sequence[Observation]]:
    rest = iter(clips)
    while some := list(islice(rest, CHUNK)):
        yield some


def _write(path: Path | None, pieces: Iterable[str]) -> None:
    """Write a table piece by piece, to a file whole or not at all."""
    if path is None:
        return
    if path == STDOUT:
        ledger.taken = True
        for piece in pieces:
            typer.echo(as_bytes(piece).decode(), nl=False)
        return
    with atomic_file(path) as file:
        for piece in pieces:
            file.write(as_bytes(piece))
    ledger.files.append(visible(str(path)))


def _write_labelled(
    store: HistoryStore, settings: HistorySettings, folder: Path, wanted: Wanted
) -> None:  # fmt: skip
    """Clips called a fault, or normal and not learnt, for `nearfar evaluate`."""
    from nearfar.clips.export.dcase import check_new_folder, export_dcase
    from nearfar.service.labelled import labelled_clips

    sounds = settings.labelled_folder
    if sounds is None:
        raise SettingError(
            f"{store.place}: their sound lies where the watch runs; say its audio_folder with "
            "--audio-folder, or get /api/labelled.zip of its page"
        )
    check_new_folder(folder, [sounds])
    found = labelled_clips(store, sounds, wanted.machine, wanted.section)
    for line in found.told:
        warn(line)
    made = export_dcase(found.clips, folder)
    say(f"{counted(made.clips, 'clip')}: {made.anomalies:,} anomalies, {made.normals:,} normal")
    ledger.files.append(visible(str(folder)))


def _tell(store: HistoryStore, wanted: Wanted, limit: int | None) -> None:
    """What a person reads."""
    counts = store.counts(wanted).values()
    total = {name: sum(of[name] for of in counts) for name in ("judged", "idle", "unjudged")}
    clips = sum(total.values())
    if not clips:
        within = wanted.since or wanted.until or wanted.machine or wanted.section
        say(f"{store.place}: nothing was heard" + (" of what was asked for" if within else " yet"))
        return
    screen = sys.stdout.isatty()
    shown = min(clips, limit or (SHOWN if screen else clips))
    _show(store, wanted, shown if shown < clips else None, screen)
    anomalous = sum(of["anomalous"] for of in counts)
    rest = "".join(
        f", {total[name]:,} {word}"
        for name, word in (("idle", "idle"), ("unjudged", "not judged"))
        if total[name]
    )
    last = f"the last {shown:,} of " if shown < clips else ""
    say(f"{last}{counted(clips, 'clip')}: {anomalous:,} of {total['judged']:,} anomalous{rest}")


def _show(store: HistoryStore, wanted: Wanted, limit: int | None, screen: bool) -> None:
    def rows() -> Iterator[Sequence[str]]:
        return (_row(clip) for clip in _clips(store, wanted, limit))

    if screen:
        _draw(list(rows()))
        return
    from nearfar.cli.listing import written

    try:
        written(HEAD, rows, RIGHT)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _draw(rows: Sequence[Sequence[str]]) -> None:
    """The same in a table as wide as the screen, with a colour for what matters."""
    from rich.text import Text

    from nearfar.cli.show import console, table_of

    out = console()
    bare = sum(_widths(rows)) > out.width
    if bare:  # a name that is broken can be neither read nor copied
        rows = [(*row[:2], row[2].rpartition("/")[2], *row[3:]) for row in rows]
    # An empty column would take the room that names need, and so would reasons.
    aside = sum(_widths(rows)) > out.width
    width = len(HEAD) if any(row[-1] for row in rows) and not aside else len(HEAD) - 1
    styles = {"ANOMALOUS": "bold red", "not judged": "yellow"}
    table = table_of(*HEAD[:width], right=RIGHT)
    place = HEAD.index("verdict")
    for row in rows:
        cells: list[str | Text] = [*row[:width]]
        cells[place] = Text(row[place], style=styles.get(row[place], ""))
        table.add_row(*cells)
    # Reasons are broken first: words are read in two lines as in one. Then names; a verdict never.
    room = out.width - sum(w for n, w in enumerate(_widths(rows)[:width]) if n != 2) - 2
    table.columns[2].min_width = max(min(max(len(row[2]) for row in rows), room), 1)
    for n in (0, place):
        table.columns[n].no_wrap = True
    out.print(table)
    reasons = Counter(row[-1] for row in rows if row[-1] and aside)
    for why, count in reasons.most_common(REASONS):
        say(f"{counted(count, 'clip')}: {why}")
    if len(reasons) > REASONS:
        say(f"and {counted(len(reasons) - REASONS, 'reason')} more; --csv FILE has all")
    if bare:
        say("no room for folders; --csv FILE has all")


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Of the columns, and the space behind them; the last is broken between words."""
    *widths, why = [max(map(len, column)) + 2 for column in zip(HEAD, *rows, strict=True)]
    return [*widths, min(why, 24) if any(row[-1] for row in rows) else 0]


def _row(clip: Observation) -> Sequence[str]:
    # By the clock of its recorder, as it wrote it; only an arrival has a zone to be told.
    time = clip.arrived if clip.time is None else clip.time
    return (
        time.isoformat(" ", "seconds"),
        visible(called(clip.machine, clip.section)),
        visible(clip.name),
        "–" if clip.score is None else number(clip.score, 4),
        "–" if clip.p_value is None else f"{clip.p_value:.3f}",
        verdict_of(clip),
        printable(why_of(clip)),
    )


def why_of(clip: Observation) -> str:
    """What is the matter with a clip, each thing once; "" if nothing is.

    >>> from types import SimpleNamespace as Seen
    >>> why_of(Seen(faults=("near dead",), warning="cannot be heard: near dead"))
    'near dead'
    """
    said = in_shell(clip.warning).removeprefix("cannot be heard: ")
    return "; ".join(
        [*(fault for fault in clip.faults if fault not in said), *([said] * bool(said))]
    )


def verdict_of(clip: Observation) -> str:
    """What a clip was found to be, in a word or two.

    >>> from nearfar.service.incoming import now
    >>> from nearfar.service.observation import Observation
    >>> verdict_of(Observation("hall", "a.wav", "a.wav", "fan", "00", None, now(), 10.0, "9f86",
    ...                        status="idle"))
    'idle'
    """
    if clip.status != "judged":
        return "idle" if clip.status == "idle" else "not judged"
    return "ANOMALOUS" if clip.anomalous else "normal"
