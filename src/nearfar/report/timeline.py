"""The page of scores over time: a picture a machine, and the alarms that lasted."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.errors import DatasetError, visible
from nearfar.report.moments import on_wall
from nearfar.report.page import write_page
from nearfar.report.plots import (
    COLOURS,
    either,
    figure,
    score_axis,
    styled,
    svg,
    threshold_line,
    time_axis,
)
from nearfar.scores.alarms import AlarmRule, History, Spell
from nearfar.text import counted, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nearfar.detector.detector import Detector

MOST = 12_000  # points of a page; 300 bytes each keep it below some 4 MB
FEWEST = 150  # points of a machine, however many machines there are
ROWS = 200  # alarms of a machine's table; a thousand say that the threshold is wrong
# Inches of 96 px, so that letters are about as large as those of the page; and of a phone's.
_SIZE, _NARROW = (8.6, 3.3), (3.8, 3.4)
_HOVER = "hover:"  # a link that is none: the words beside a point, as matplotlib hands them on


@dataclass(frozen=True)
class Mark:
    """How one kind of recording is drawn: by shape and by colour, for either may not be seen.

    >>> MARKS["lasting"].marker
    'D'
    """

    label: str
    marker: str
    colour: str  # one of `COLOURS`
    size: float  # points²
    filled: bool = True


MARKS = {
    "none": Mark("below the threshold", "o", "accent", 14),
    "source": Mark("below the threshold, source", "o", "source", 14),
    "target": Mark("below the threshold, target", "s", "target", 14),
    "above": Mark("above the threshold", "^", "alarm", 36, filled=False),
    "lasting": Mark("above while an alarm stands", "D", "alarm", 26),
    "silent": Mark("not judged", "x", "muted", 26),
}


def write_timeline(
    path: Path,
    histories: Sequence[History],
    rule: AlarmRule,
    detector: Detector,
    name: str,
) -> Path:
    """Write the page; see `nearfar.report.page.write_page`.

    Args:
        path: of the file, .html.
        histories: at least one, as `nearfar.scores.alarms.histories` has them.
        rule: by which alarms last.
        detector: that gave the verdicts, for what its thresholds promise.
        name: what its folder is called.
    """
    # Those with alarms first: of many machines these are looked for.
    ordered = sorted(histories, key=lambda h: not h.spells)
    most = max(FEWEST, MOST // len(ordered))
    machines = [_machine(n, h, rule, detector, name, most) for n, h in enumerate(ordered)]
    loud = sum(bool(h.spells) for h in ordered)
    title = f"{ordered[0].name} over time" if len(ordered) == 1 else "Machines over time"
    return write_page(path, "timeline", visible(title), {
        "machines": machines, "rule": rule, "detector": visible(name), "loud": loud,
        "recordings": sum(len(h.verdicts) for h in ordered),
    })  # fmt: skip


def _machine(
    place: int, history: History, rule: AlarmRule, detector: Detector, name: str, most: int
) -> dict[str, Any]:
    """What the template says of one machine."""
    spells = history.spells
    first = spells[0] if spells else None
    alarms, judged = history.before(first) if first else (0, 0)
    return {
        "id": f"machine-{place}",
        "name": visible(history.name),
        "history": history,
        "judged": len(history.verdicts) - history.silent,
        "span": " to ".join(dict.fromkeys((_when(history, 0), _when(history, -1)))),
        "first": _when(history, first.first) if first else "",
        "since": _when(history, first.since) if first else "",
        "standing": history.standing,
        "before": f"{alarms:,} of {counted(judged, 'recording')}",
        "spells": [_spell(history, spell) for spell in spells[:ROWS]],
        "more": len(spells) - len(spells[:ROWS]),
        "promise": _promise(history, rule, detector),
        "explain": _explain(history, first, name) if first else "",
        "silent": _silent(history),
        "plot": over_time(history, most),
        "each": each_point(history, most),
    }


def _when(history: History, place: int) -> str:
    return visible(history.when(place % len(history.verdicts)))


def _spell(history: History, spell: Spell) -> dict[str, Any]:
    highest = history.verdicts[spell.highest]
    return {
        "from": _when(history, spell.first),
        # One that stands with the last recording may go on.
        "to": _when(history, spell.last),
        "open": spell.last == len(history.verdicts) - 1,
        "recordings": spell.last - spell.first + 1,
        "highest": number(highest.score),
        "times": number(highest.score / highest.threshold, 1) if highest.threshold > 0 else "",
        "clip": visible(highest.clip.name),
    }


def _promise(history: History, rule: AlarmRule, detector: Detector) -> str:
    """What the threshold promises, and what follows for alarms that last."""
    try:
        drawn = detector.threshold(history.machine, history.section)
    except DatasetError:  # verdicts of another detector than this
        return ""
    told = (
        f"Of new recordings of the healthy machine, made like the {drawn.clips} that it was fitted "
        f"on, at most about {100 * drawn.expected:.2g} % are above the threshold"
    )
    chance = rule.chance(drawn.expected)
    if rule.of == 1 or not 0 < chance < 1:
        return f"{told}."
    return (
        f"{told}; at that rate {rule.of} recordings in a row that have nothing to do with each "
        f"other raise an alarm by chance once in {_rounded(1 / chance)}."
    )


def _rounded(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}"


def _explain(history: History, spell: Spell, name: str) -> str:
    """The command that tells why, as a shell takes it."""
    clip = history.verdicts[spell.first].clip
    # With its span: of an hour that was cut, the rest is another clip.
    path = shlex.quote(str(clip.path.parent / clip.file))
    return visible(f"nearfar explain {shlex.quote(name)} {path} -o clip.html")


def _silent(history: History) -> list[tuple[str, str]]:
    """Why recordings were not judged: the first few, and how many there are."""
    found = [v for v in history.verdicts if not v.judged]
    return [(visible(v.clip.name), visible(v.warning)) for v in found[:ROWS]]


# ---- the picture ---------------------------------------------------------------------------------
def over_time(history: History, most: int = MOST) -> Any:
    """The picture of one machine: its recordings, its threshold, and alarms that lasted.

    Args:
        history: of at least one recording.
        most: points, at most; of each few the highest is drawn.
    """
    places = _thinned(history, most)
    wide, words = _picture(history, places, _SIZE)
    # Nobody rests a pointer on a phone, and no more points find room there.
    narrow, _ = _picture(history, _thinned(history, min(most, FEWEST)), _NARROW)
    return either(_hovering(wide, words), _hovering(narrow, [""] * len(places)))


def each_point(history: History, most: int = MOST) -> int:
    """Of how many recordings each point of `over_time` is the highest."""
    return math.ceil(len(history.verdicts) / most)


def _picture(
    history: History, places: Sequence[int], size: tuple[float, float]
) -> tuple[Any, list[str]]:
    """The picture, with places for the words of its points; and these words."""
    picture = figure(*size)
    slim = size == _NARROW
    with styled():
        axes = picture.subplots()
        words = _points(axes, history, places)
        _threshold(axes, history)
        _axes(axes, history, 5 if slim else 8)
        picture.legend(
            loc="outside upper left", ncols=1 if slim else 4, fontsize=9, handletextpad=0.3,
            columnspacing=1.2,
        )  # fmt: skip
        picture.set_layout_engine("constrained")
    label = (
        f"{history.name}: scores of {counted(len(history.verdicts), 'recording')}, "
        f"{history.above} above the threshold, {counted(len(history.spells), 'lasting alarm')}"
    )
    return svg(picture, visible(label)), words


def _thinned(history: History, most: int) -> list[int]:
    """Places of what is drawn: of each few the highest, and what was not judged."""
    count = len(history.verdicts)
    bins = min(count, most)
    chosen: list[int] = []
    for n in range(bins):
        few = range(n * count // bins, (n + 1) * count // bins)
        judged = [p for p in few if history.verdicts[p].judged]
        chosen += [max(judged, key=lambda p: history.verdicts[p].score)] if judged else few[:1]
    return chosen


def _points(axes: Axes, history: History, places: Sequence[int]) -> list[str]:
    """Draw recordings, and the spells behind them.

    Returns:
        The words of each point, in the order of their links.
    """
    for spell in history.spells:
        # From what raised it; half a recording wider, or one alone would have no width.
        begin, end = (_at(history, p) for p in (spell.since, spell.last))
        axes.axvspan(begin, end, color=COLOURS["alarm"], alpha=0.12, linewidth=0)
    groups: dict[str, list[int]] = {}
    for place in places:
        groups.setdefault(_kind(history, place), []).append(place)
    words: list[str] = []
    floor = min((v.score for v in history.verdicts if v.judged), default=0.0)
    for kind, style in MARKS.items():
        if not (group := groups.get(kind, [])):
            continue
        colour = COLOURS[style.colour]
        heights = [v.score if v.judged else floor for v in (history.verdicts[p] for p in group)]
        drawn = axes.scatter(
            [_at(history, p) for p in group], heights, s=style.size, marker=style.marker,
            color=colour if style.filled else "none", edgecolors=None if style.filled else colour,
            linewidths=1.2 if kind in ("above", "silent") else 0, label=style.label, zorder=3,
        )  # fmt: skip
        drawn.set_urls([f"{_HOVER}{len(words) + n}" for n in range(len(group))])
        words += [_words(history, p) for p in group]
    return words


def _kind(history: History, place: int) -> str:
    verdict = history.verdicts[place]
    if not verdict.judged:
        return "silent"
    if verdict.anomalous:
        return "lasting" if _within(history, place) else "above"
    return verdict.clip.domain or "none"


def _within(history: History, place: int) -> bool:
    return any(spell.since <= place <= spell.last for spell in history.spells)


def _words(history: History, place: int) -> str:
    """What a point says when a pointer rests on it."""
    verdict = history.verdicts[place]
    told = f"score {number(verdict.score)}" if verdict.judged else "not judged"
    lines = [history.when(place), verdict.clip.name, told, verdict.warning]
    return "; ".join(visible(line) for line in dict.fromkeys(filter(None, lines)))


def _at(history: History, place: int) -> Any:
    time = history.verdicts[place].clip.time
    if not history.timed or time is None:
        return place + 1
    # All on one clock, or what came later could stand before what it followed.
    return np.datetime64(on_wall(time, _zone(history)))


def _zone(history: History) -> tzinfo | None:
    first = history.verdicts[0].clip.time  # in their order
    return first.tzinfo if first else None


def _threshold(axes: Axes, history: History) -> None:
    """A line for each threshold that held: domains may have their own."""
    held: dict[float, set[str]] = {}
    for verdict in history.verdicts:
        held.setdefault(verdict.threshold, set()).add(verdict.clip.domain or "")
    for value, domains in held.items():
        of = "".join(f" {domain}" for domain in sorted(domains) if domain) * (len(held) > 1)
        threshold_line(axes, value, f"threshold{of} {number(value)}")


def _axes(axes: Axes, history: History, ticks: int) -> None:
    from matplotlib.ticker import MaxNLocator

    scores = [v.score for v in history.verdicts if v.judged]
    score_axis(axes.yaxis, scores, min(v.threshold for v in history.verdicts))
    axes.set_ylabel("score")
    axes.margins(x=0.01)
    if history.timed:
        time_axis(axes, ticks)
        if (zone := _zone(history)) is not None:
            axes.set_xlabel(f"time, {zone}")
    else:
        axes.set_xlabel("recordings in the order of their names")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True))


def _hovering(drawn: Any, words: Sequence[str]) -> Any:
    """The picture with the words of its points where matplotlib put links."""
    from markupsafe import Markup, escape

    def titled(found: re.Match[str]) -> str:
        said = words[int(found[1])]
        return f"<g><title>{escape(said)}</title>{found[2]}</g>" if said else found[2]

    return Markup(
        re.sub(rf'<a xlink:href="{_HOVER}(\d+)"[^>]*>(.*?)</a>', titled, drawn, flags=re.DOTALL)
    )
