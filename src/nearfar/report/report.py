"""The report as one page: what `contents` holds, in words, tables and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nearfar.detector.folder.siblings import digest_of
from nearfar.errors import in_shell, once_left_out
from nearfar.files import DETECTOR, as_bytes
from nearfar.metrics.evaluation import RULES
from nearfar.report import pictures, timeline
from nearfar.report.anchors import load
from nearfar.report.cards import BYTES, SECONDS, Card
from nearfar.report.contents import Contents, Panel
from nearfar.report.moments import on_wall, zone_of
from nearfar.report.page import write_page
from nearfar.report.tables import (
    MANY,
    alarms_table,
    comparison_table,
    condition_table,
    days_table,
    figures_table,
    published_table,
    recordings_tables,
    spread_table,
    top_table,
)
from nearfar.scores.verdict import Verdict
from nearfar.text import called, counted

Places = Mapping[tuple[str, str], str]  # machine and clip → where the page explains it
MANY_POINTS = 8  # times fewer points than a page of time alone has, for pictures beside them
DRAWN = 24  # machines; each takes half a second and 300 kB


@dataclass(frozen=True)
class About:
    """How a report came to be, as far as its contents do not say.

    >>> About("nearfar report pump7 today").detector is None
    True
    """

    command: str
    detector: Path | None = None  # its folder
    data: str = ""  # where the clips lie
    facts: Mapping[str, str] = field(default_factory=dict)  # more, name → value


def write_report(path: Path, contents: Contents, cards: Sequence[Card], about: About) -> Path:
    """Write the page, whole or not at all.

    Raises:
        NearfarError: matplotlib or jinja2 is not installed.
        StorageError: the file cannot be written.
    """
    name = about.detector.name if about.detector else "detector"
    return write_page(
        path, "report", f"{name}: {about.data or 'report'}", values(contents, cards, about)
    )


def values(contents: Contents, cards: Sequence[Card], about: About) -> dict[str, Any]:
    """What the template names."""
    judged, evaluated = contents.judged, contents.evaluated
    places = {(card.machine, str(card.verdict.clip.name)): f"clip-{n}"
              for n, card in enumerate(cards, 1)}  # fmt: skip
    panels = drawn_panels(contents)
    return {
        "detector": about.detector.name if about.detector else "",
        "data": about.data,
        "simulated": judged.simulated,
        "facts": headline(contents),
        "notes": notes(contents),
        "overview": _overview(contents),
        "machines": figures_table(contents) if evaluated.labelled else alarms_table(contents),
        "bare": alarms_table(contents) if evaluated.bare else None,
        "labelled": evaluated.labelled,
        "why": evaluated.why,
        "published": published_table(contents),
        "source": load(),
        "compared": contents.compared,
        "incomparable": contents.incomparable,
        "comparison": comparison_table(contents),
        "agreement": contents.agreement,
        "panels": [_panel(panel, contents, places, len(panels)) for panel in panels],
        "alarms": lasting_alarms(contents, places),
        "rule": contents.rule.told if contents.rule else "",
        "all_panels": len(contents.panels),
        "days": days_table(contents),
        "recordings": recordings_tables(contents),
        "shell": in_shell,  # who reads a page has typed a command
        "more_recordings": len(contents.recordings) - MANY,
        "cards": [(f"clip-{n}", card) for n, card in enumerate(cards, 1)],
        "seconds": SECONDS,
        "megabytes": BYTES / 1e6,
        "health": contents.health,
        "condition": condition_table(contents),
        "provenance": provenance(contents, about),
    }


def drawn_panels(contents: Contents) -> list[Panel]:
    """The machines that are drawn, in their order; of very many those with most alarms."""
    order = sorted(contents.panels, key=lambda panel: panel.alarms, reverse=True)
    chosen = {panel.key for panel in order[:DRAWN]}
    return [panel for panel in contents.panels if panel.key in chosen]


def headline(contents: Contents) -> list[tuple[str, str, str]]:
    """The few numbers that say most: name, number, what belongs to it."""
    judged, evaluation = contents.judged, contents.evaluated.evaluation
    scores = judged.scores
    silent = len(scores) - len(scores.judged)
    found: list[tuple[str, str, str]] = []
    if evaluation is not None:
        rule = RULES[evaluation.rule]
        bounds = f"{100 * evaluation.confidence:g} % interval {evaluation.bounds}"
        found.append((f"{rule.symbol} of {counted(len(contents.evaluated.machines), 'machine')}",
                      f"{100 * evaluation.score:.2f} %",
                      bounds if evaluation.interval else evaluation.doubt))  # fmt: skip
    alarms = sum(v.anomalous for v in scores)
    found.append(("anomalous by the threshold", f"{alarms:,} of {len(scores.judged):,}",
                  f"{silent:,} not judged" if silent else "every clip was judged"))  # fmt: skip
    rate = judged.detector.false_alarm_rate
    how = "for each domain" if judged.detector.threshold_by_domain else "one threshold a machine"
    found.append(("false alarms asked for", f"{100 * rate:g} %", f"of normal clips; {how}"))
    zone = zone_of(v.clip.time for v in scores if v.clip.time)
    times = sorted(on_wall(v.clip.time, zone) for v in scores if v.clip.time)
    if times:
        first, last = times[0], times[-1]
        day = "" if first.date() == last.date() else f"{last:%Y-%m-%d} "
        found.append(("recorded", f"{first:%Y-%m-%d}", f"{first:%H:%M} to {day}{last:%H:%M}"))
    return found


def lasting_alarms(contents: Contents, places: Places) -> list[dict[str, Any]]:
    """Of each machine whose recordings say their times: since when an alarm lasted, if one did."""
    found = []
    for panel in contents.panels:
        if (history := panel.history) is None:
            continue
        told: dict[str, Any] = {"machine": panel.name, "first": ""}
        if history.spells and panel.raised:
            first = history.spells[0]
            alarms, judged = history.before(first)
            told |= {
                "first": history.when(first.first),
                "since": history.when(first.since),
                "before": f"{alarms:,} of {counted(judged, 'recording')}",
                "standing": history.lasting[-1],
                "link": places.get((panel.name, panel.raised.clip.name), ""),
            }
        found.append(told)
    return sorted(found, key=lambda one: not one["first"])


def notes(contents: Contents) -> list[str]:
    """What a reader must know before the numbers."""
    judged, evaluation = contents.judged, contents.evaluated.evaluation
    found = []
    if judged.unknown:
        found.append(f"Left out, unknown to the detector: {', '.join(judged.unknown)}.")
    if evaluation is not None and evaluation.interval and evaluation.doubt:
        found.append(
            f"The interval of {RULES[evaluation.rule].symbol} deserves doubt: {evaluation.doubt}."
        )
    if bare := contents.evaluated.bare:
        found.append(f"Without labels, so in no figure but their alarms: {', '.join(bare)}.")
    silent = len(judged.scores) - len(judged.scores.judged)
    if silent:
        found.append(f"{counted(silent, 'clip')} not judged; the recordings' section says why.")
    if doubted := [v for v in judged.scores.judged if v.warning]:
        verdicts = counted(len(judged.scores.judged), "verdict")
        first = in_shell(once_left_out(doubted[0].warning))
        found.append(
            f"{len(doubted):,} of {verdicts} come with a doubt, "
            f"told under Recordings. The first, {doubted[0].clip.name}: {first}"
        )
    return found


def provenance(contents: Contents, about: About) -> list[tuple[str, str]]:
    """What would be needed to make the same page again: name and value, in order."""
    judged = contents.judged
    detector = judged.detector
    found = [("command", about.command)] if about.command else []
    if about.detector is not None:
        found.append(("detector", str(about.detector)))
        found.append((f"sha256 of {DETECTOR}", digest_of(about.detector)))
    rows = "".join(f"{v.clip.machine},{v.clip.section},{v.clip.key},{v.score!r}\n"
                   for v in sorted(judged.scores, key=_sorted))  # fmt: skip
    found += [
        ("data", about.data or "–"),
        ("clips", f"{len(judged.scores):,}, of them {len(judged.scores.judged):,} judged"),
        ("sha256 of the scores", hashlib.sha256(as_bytes(rows)).hexdigest()),
        ("normal clips", ", ".join(f"{called(*key)} {len(section.clips):,}"
                                   for key, section in detector.sections.items())),
        ("system", repr(detector.system)),
        ("embedders", "; ".join(o.fingerprint for o in detector.origins) or "–"),
        ("false-alarm rate", f"{detector.false_alarm_rate:g}, "
         + ("a threshold for each domain" if detector.threshold_by_domain else "one threshold")),
    ]  # fmt: skip
    if contents.evaluated.why:
        found.append(("figures", f"No AUC and no Ω: {in_shell(contents.evaluated.why)}"))
    if (evaluation := contents.evaluated.evaluation) is not None:
        found.append(("bootstrap", f"seed 0, {evaluation.draws:,} draws, rule {evaluation.rule}"))
    return [*found, *about.facts.items()]


def _sorted(v: Verdict) -> tuple[str, str, str]:
    return v.clip.machine, v.clip.section, v.clip.key


def _overview(contents: Contents) -> Any:
    """The picture of all machines; None where there is no number to draw."""
    evaluation = contents.evaluated.evaluation
    if evaluation is None:
        return None
    rows = [(m.machine, m.total, m.interval) for m in contents.evaluated.machines]
    rows.append((RULES[evaluation.rule].symbol, evaluation.score, evaluation.interval))
    shown = contents.published
    published = {m: [a.machines[m] / 100 for a in load().systems] for m in shown}
    if len(shown) == len(load().machines):
        published[rows[-1][0]] = [a.omega / 100 for a in load().systems]
    other = contents.compared
    beside = {
        **{m: v for m, v in (other.other.machines if other else {}).items()},
        **({rows[-1][0]: other.other.score} if other else {}),
    }
    return pictures.overview(rows, published, beside)


def _panel(panel: Panel, contents: Contents, places: Places, among: int) -> dict[str, Any]:
    most = max(timeline.FEWEST, timeline.MOST // max(among, MANY_POINTS))
    timed = panel.history
    return {
        "panel": panel,
        "roc": pictures.roc(panel),
        "scores": pictures.scores(panel),
        "chart": pictures.chart(panel),
        "over_time": timeline.over_time(timed, most) if timed else None,
        "each_point": timeline.each_point(timed, most) if timed else 1,
        "spread": spread_table(panel),
        "top": top_table(panel, contents.top[panel.name], places),
    }
