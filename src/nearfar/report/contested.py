"""The page of a comparison: which systems differ, in words, pictures and all figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nearfar.metrics.contest import Estimated
from nearfar.report.page import signed, write_page
from nearfar.report.pictures import overview, short
from nearfar.report.plots import COLOURS, MUTED, either, figure, styled, svg
from nearfar.report.tables import Cell, Grid
from nearfar.study.standings import UNITS, Standings, over_seeds

MOST = 40  # pairs in a picture; a table has all of them
TWICE = 2.0  # standard errors; a difference as large is set in bold


def write_contest(path: Path, found: Standings, command: str) -> Path:
    """Write the page; see `nearfar.report.page.write_page`.

    Args:
        path: of the file, .html.
        found: the comparison.
        command: by which it was made.
    """
    contest = found.contest
    values = {
        "symbol": contest.rule.symbol,
        "simulated": found.simulated,
        "said": [(found.pair(d), d.distinguishable, found.words(d)) for d in contest.duels],
        "systems": _systems(found),
        "numbers": overview(
            [(found.called(s.name), s.score, s.interval) for s in contest.standings], {}, {}
        ),
        "pairs": _pairs(found),
        "differences": _differences(found),
        "machines": _machines(found),
        "units": UNITS,
        "notes": found.notes,
        "rule": contest.rule.name,
        "percent": f"{100 * contest.confidence:g}",
        "draws": f"{contest.draws:,}",
        "seed": contest.seed,
        "command": command,
        "files": [
            (name, ", ".join(map(str, paths))) for name, paths in (found.files or {}).items()
        ],
    }
    names = [found.called(s.name) for s in contest.standings]
    title = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} compared"
    return write_page(path, "contest", title, values)


def _systems(found: Standings) -> Grid:
    several = any(s.spread is not None for s in found.contest.standings)
    rows = []
    for s in found.contest.standings:
        seeds = (_right(str(len(s.runs))), _right(over_seeds(s))) if several else ()
        rows.append((
            Cell(found.called(s.name), note=s.doubt),
            Cell(f"{100 * s.score:.2f}", right=True, strong=True), _right(_bounds(s.interval)),
            *seeds,
        ))  # fmt: skip
    percent = f"{100 * found.contest.confidence:g} %"
    head = ("system", found.contest.rule.symbol, f"{percent} interval, over clips")
    return Grid(
        "systems", head + (("runs", "over seeds, mean ± sd") if several else ()), tuple(rows)
    )


def _pairs(found: Standings) -> Grid | None:
    """A row a pair; None where there is one system only."""
    rows = []
    for duel in found.contest.duels:
        one = duel.comparison
        interval = None if one.interval is None else tuple(100 * x for x in one.interval)
        told = "–" if interval is None else f"{signed(interval[0], '+', 2)} to "
        told += "" if interval is None else signed(interval[1], "+", 2)
        p = [_right("–" if p is None else f"{p:.3g}")
             for p in ((one.p, duel.adjusted) if found.contest.holm else (one.p,))]  # fmt: skip
        verdict = {True: "distinguishable", False: "not distinguishable", None: "nobody can tell"}
        rows.append((
            Cell(found.pair(duel), note=one.doubt),
            Cell(signed(100 * one.difference, "+", 2), right=True, strong=True), _right(told), *p,
            Cell(verdict[duel.distinguishable]),
        ))  # fmt: skip
    head: tuple[str, ...] = ("pair", f"Δ{found.contest.rule.symbol}, points",
            f"{100 * found.contest.confidence:g} % interval", "p")  # fmt: skip
    head += ("p by Holm",) * found.contest.holm
    return Grid("differences", (*head, "in words"), tuple(rows)) if rows else None


def _machines(found: Standings) -> Grid:
    rows = []
    for machine in found.contest.standings[0].machines:
        for who, estimates, difference in found.rows():
            cells = (_cell(one, difference) for one in estimates[machine].values())
            rows.append((Cell(machine), Cell(who), *cells))
    return Grid("figures of each machine", ("machine", "system", *found.titles), tuple(rows))


def _cell(one: Estimated, difference: bool) -> Cell:
    text = signed(100 * one.value, "+", 2) if difference else f"{100 * one.value:.2f}"
    if one.error is None:
        return _right(text)
    # By eye only: of many figures some are as far off by chance, which the note says.
    strong = difference and abs(one.value) > TWICE * one.error
    return Cell(f"{text} ±{100 * one.error:.1f}", right=True, strong=strong)


def _differences(found: Standings) -> Any:
    """Each difference with its interval, and the line of none; None without pairs."""
    if not found.contest.duels:
        return None
    return either(*(_drawn(found, width) for width in (8.2, 3.9)))


def _drawn(found: Standings, width: float) -> Any:
    duels = found.contest.duels[:MOST]
    picture = figure(width, 0.9 + 0.34 * len(duels))
    names = [" − ".join(short(found.called(n)) for n in (d.first, d.second)) for d in duels]
    # On a phone two names leave no room for what they are about: one below the other.
    names = [name if width > 5 else name.replace(" − ", "\n− ") for name in names]
    with styled():
        axes = picture.subplots()
        for y, duel in enumerate(duels):
            told = duel.distinguishable
            colour = COLOURS["accent"] if told else MUTED
            if (interval := duel.comparison.interval) is not None:
                axes.plot([100 * x for x in interval], [y, y], color=colour, lw=2.2)
            # Filled or not: colour alone is not seen by everybody.
            face = colour if told else "none"
            axes.plot(100 * duel.comparison.difference, y, "o", mec=colour, mfc=face, ms=7, mew=1.6)
        axes.axvline(0, color=MUTED, lw=1, ls=(0, (2, 3)))
        axes.set_yticks(range(len(duels)), names, parse_math=False)
        axes.set_ylim(len(duels) - 0.5, -0.5)
        axes.set_xlabel(f"Δ{found.contest.rule.symbol}, points")
        axes.grid(visible=False, axis="y")
        picture.tight_layout(pad=0.4)
    said = [f"{found.pair(d)} {100 * d.comparison.difference:+.2f} points" for d in duels]
    return svg(picture, f"Differences: {'; '.join(said)}")


def _bounds(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:.2f}–{100 * interval[1]:.2f}"


def _right(text: str) -> Cell:
    return Cell(text, right=True)
