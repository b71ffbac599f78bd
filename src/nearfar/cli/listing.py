"""What `score` prints: a row a clip into a pipe, the rows worth a look onto a screen.

A drawn table costs half a millisecond a row and keeps them all, so only short ones are drawn.
Lines are written as they are made, and cost a fortieth of that.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from nearfar.cli.progress import show_warning
from nearfar.cli.show import console, table_of
from nearfar.errors import printable, visible, warn
from nearfar.text import alike, counted, number

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.scores.verdict import Scores, Verdict

Row = Sequence[str]

LONG = 200  # rows; of more a screen shows the last, which are no better than others
WORST = 20  # rows that are shown of a longer table, and machines of its summary
COUNTS = ("clips", "anomalous", "not judged", "highest percentile")
RIGHT = ("score", "percentile")  # columns whose digits stand below one another
SPARE = ("nearest", "time", "percentile")  # what a narrow screen can do without, in this order
ALARM = "ANOMALOUS"  # in capitals: a colour is lost in a pipe, and on some people


def verdicts(scores: Scores) -> None:
    """Print the verdicts of a run: all of them into a pipe or a file, onto a screen the worst.

    Args:
        scores: of the run, in the order asked.
    """
    head = _head(scores)
    if not sys.stdout.isatty():
        try:
            written(head, lambda: (_row(v, head) for v in scores), RIGHT)
            sys.stdout.flush()
        except BrokenPipeError:
            # Who reads has seen enough, as `head` has. Warnings and the exit code still say all.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        if len(scores) > LONG:
            _count(scores)
        _draw(head, scores if len(scores) <= LONG else worst(scores))
        if len(scores) > LONG:
            console().print(
                f"the {WORST} worst of {counted(len(scores), 'clip')}; for all of them, in the "
                "order asked: --csv FILE, --json FILE, or a pipe, as in | less -S"
            )
    doubts(scores)
    console().print(scores.summary, markup=False)  # files are named at the command's end


def doubts(scores: Iterable[Verdict]) -> None:
    """Say on standard error what speaks against verdicts: programs may read the table."""
    said = {f"{(name := printable(v.clip.name))}: {_doubt(v)}": name for v in scores if v.warning}
    for line in alike(said, said):
        show_warning(printable(line))


def warn_of_training(clips: Sequence[Clip]) -> None:
    """Say that a data set's training clips are judged too, where its test clips are.

    They are not left out: as many rows as clips were promised.
    """
    train = sum(clip.split == "train" for clip in clips)
    test = next((clip for clip in clips if clip.split == "test"), None)
    if train and test is not None:
        warn(
            f"{train} of {len(clips)} clips are training clips of a data set, which say nothing "
            f"of new ones; to judge its test clips alone give their folders, as "
            f"{test.path.parent}"
        )


def worst(scores: Iterable[Verdict], count: int = WORST) -> list[Verdict]:
    """The verdicts to look at first.

    Args:
        scores: of any machines.
        count: how many.

    Returns:
        Alarms before the others, each by percentile, which means the same for every machine, then
        by how far the score lies above its threshold; equal ones in the order asked. What was not
        judged is not among them: warnings name it.
    """
    judged = (v for v in scores if v.judged)
    return sorted(
        judged, key=lambda v: (v.anomalous, v.percentile, v.score - v.threshold), reverse=True
    )[:count]


def written(head: Row, rows: Callable[[], Iterable[Row]], right: Sequence[str]) -> None:
    """Write rows to standard output as lines, columns below one another.

    Args:
        head: names of the columns.
        rows: makes the rows. It is asked twice, for their widths and for themselves, so that
            none need be kept.
        right: columns that are flush right.
    """
    widths = [_width(name) for name in head]
    for row in rows():
        # No comprehension: this and the next loop are all that a long table costs.
        for i, cell in enumerate(row):
            if (wide := _width(cell)) > widths[i]:
                widths[i] = wide
    columns = [(wide, name in right) for wide, name in zip(widths, head, strict=True)]
    for row in _after(head, rows()):
        sys.stdout.write(_line(row, columns))


def _after(head: Row, rows: Iterable[Row]) -> Iterator[Row]:
    yield head
    yield from rows


def _line(row: Row, columns: Sequence[tuple[int, bool]]) -> str:
    cells = [
        # By what it takes on a screen: a Chinese character stands for two.
        " " * (wide - _width(cell)) + cell if right else cell + " " * (wide - _width(cell))
        for cell, (wide, right) in zip(row, columns, strict=True)
    ]
    return "  ".join(cells).rstrip() + "\n"


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _head(scores: Scores) -> Row:
    # A column of dashes would tell nobody anything: most recordings do not say when they began.
    timed = ("time",) * any(v.clip.time for v in scores)
    return ("machine", "clip", *timed, "score", "percentile", "anomalous", "nearest")


def _row(verdict: Verdict, head: Row) -> Row:
    """The cells of a verdict, escaped where they do not print."""
    time = verdict.clip.time
    timed = ("–" if time is None else time.isoformat(" "),) * ("time" in head)
    return (
        visible(verdict.clip.machine),
        visible(verdict.clip.name),
        *timed,
        number(verdict.score, 4),
        _percentile(verdict.percentile),
        _called(verdict),
        visible(verdict.nearest),
    )


def _percentile(share: float) -> str:
    # 0–1, as everywhere; of n self-scores three decimals tell all, up to n = 1,000.
    return f"{share:.3f}" if share == share else "–"


def _called(verdict: Verdict) -> str:
    if not verdict.judged:
        return "not judged"
    return ALARM if verdict.anomalous else "no"


def _doubt(verdict: Verdict) -> str:
    return verdict.warning if verdict.judged else f"not judged, {verdict.warning}"


def _draw(head: Row, scores: Iterable[Verdict]) -> None:
    """The same rows in a table that is as wide as the screen, with colours."""
    styles = {ALARM: "bold red", "not judged": "yellow"}
    out = console()
    head, rows, without = _fitting(head, [_row(v, head) for v in scores], out.width)
    place = head.index("anomalous")
    table = table_of(*head, right=RIGHT)
    for row in rows:
        called = Text(row[place], style=styles.get(row[place], ""))
        table.add_row(*row[:place], called, *row[place + 1 :])
    out.print(table)
    if without:
        out.print(f"no room for {', '.join(without)}; --csv FILE has all")


def _fitting(head: Row, rows: Sequence[Row], width: int) -> tuple[Row, Sequence[Row], list[str]]:
    """The table in no more than a width if that can be, and what it was left without.

    A name that is broken can be neither read nor copied, so folders and whole columns go first.
    """
    without: list[str] = []
    for name in ("clip", "nearest", *SPARE):
        if name not in head or _needs(head, rows) <= width:
            continue
        place = head.index(name)
        if name in SPARE:
            head, *rows = [[*row[:place], *row[place + 1 :]] for row in (head, *rows)]
            without = [*without, name]
        # The folder is the one that was typed, unless it tells one clip from another.
        elif bare := _without_folders(head, rows, place):
            rows = bare
            without = ["folders"]
    return head, rows, without


def _needs(head: Row, rows: Sequence[Row]) -> int:
    widest = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    return sum(widest) + 2 * (len(head) - 1)


def _without_folders(head: Row, rows: Sequence[Row], place: int) -> list[Row]:
    """Rows with file names alone in a column; none where two would then be called alike."""
    machine = head.index("machine")
    files = {(row[machine], row[place]): row[place].rpartition("/")[2] for row in rows}
    if len({(key[0], file) for key, file in files.items()}) < len(files):
        return []
    return [[*r[:place], files[r[machine], r[place]], *r[place + 1 :]] for r in rows]


def _count(scores: Scores) -> None:
    """What a long run found, a row a machine and section: those with most alarms."""
    clips: Counter[tuple[str, str]] = Counter()
    alarms: Counter[tuple[str, str]] = Counter()
    silent: Counter[tuple[str, str]] = Counter()
    highest: dict[tuple[str, str], float] = {}
    for v in scores:
        key = v.clip.machine, v.clip.section
        clips[key] += 1
        alarms[key] += v.anomalous
        silent[key] += not v.judged
        if v.judged:
            highest[key] = max(v.percentile, highest.get(key, 0.0))
    table = table_of("machine", "section", *COUNTS, right=COUNTS)
    # What was not heard comes before what was found normal: nobody shall miss it below the cut.
    order = sorted(clips, key=lambda key: (alarms[key], silent[key]), reverse=True)
    for key in order[:WORST]:
        numbers = (f"{n[key]:,}" for n in (clips, alarms, silent))
        table.add_row(*key, *numbers, _percentile(highest.get(key, float("nan"))))
    console().print(table)
    if rest := order[WORST:]:
        found = sum(alarms[key] for key in rest)
        console().print(f"and {counted(len(rest), 'machine')} more with {counted(found, 'alarm')}")
