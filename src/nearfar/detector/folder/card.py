"""The model card in a detector's folder: what it is, for whoever finds it, and how far to trust it.

The text of the folder's README.md (`nearfar.detector.folder.readme`). It holds no time and no place
on a disk, so that the same detector has the same card.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from inspect import getdoc
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.detector.folder.disk import LOG
from nearfar.detector.learning.drift import alarms_of, drift_of
from nearfar.detector.section import DOMAINS, SESSIONS, Judge, Section
from nearfar.detector.trained import MACHINE_HEARD
from nearfar.errors import printable, visible
from nearfar.sound.spectral import SAMPLE_RATE
from nearfar.text import called, counted, in_markdown, lasting, number
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.detector.folder.index import Content

SHOWN = 100  # machines in a table: of more a person reads none, and the index has them all
# By how a fingerprint begins: what the authors of the published weights say.
LICENCES = {"eat": "MIT", "beats": "MIT", "yamnet": "Apache-2.0"}
ODDS = ("expected", "up to")  # two columns of two tables
_WEIGHTS = re.compile(rf"\b({'|'.join(LICENCES)})-\d+\|([0-9a-f]{{32,}})\|")
_PLACE = re.compile(r"""\bweights=('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""")
DCASE = "Recordings of DCASE Challenge Task 2 are CC BY-NC-SA 4.0"
Judges = Callable[[tuple[str, str]], Judge]


def described(content: Content, judge: Judges) -> str:
    """The card of a detector, as Markdown.

    Args:
        content: all of it.
        judge: (machine, section) → what judges its clips.
    """
    parts = (
        _opening(content), _machines(content), _learnt(content, judge),
        _alarms(content, judge), _system(content),
        _recordings(content), _encoders(content), _use(content), _provenance(),
    )  # fmt: skip
    return "\n".join(line for part in parts if part for line in (*part, ""))


def _text(value: object) -> str:
    return in_markdown(visible(str(value)))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = [[_text(cell) for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *cells)]


def _opening(content: Content) -> list[str]:
    machines = list(dict.fromkeys(machine for machine, _ in content.sections))
    more = f" and {len(machines) - 6} more" * (len(machines) > 6)
    clips = sum(len(section.clips) for section in content.sections.values())
    return [
        f"# Detector of {', '.join(map(_text, machines[:6]))}{more}",
        "",
        f"Hears when {'this machine starts' if len(machines) == 1 else 'these machines start'} to "
        f"sound wrong. Of nearfar {__version__}; it knows {counted(clips, 'clip')} taken as "
        "normal, and no anomaly.",
    ]


def _machines(content: Content) -> list[str]:
    rows = [
        (
            machine, name, len(section.clips), *_by_domain(section), lasting(section.seconds),
            _levels(section.levels), _sessions(section),
        )
        for machine, name, section in _shown(content)
    ]  # fmt: skip
    head = (
        "machine", "section", "normal clips", "of source", "of target", "length of a clip",
        "near over far", "days or recordings",
    )  # fmt: skip
    more = len(content.sections) - len(rows)
    tail = ["", f"And {counted(more, 'section')} more, in `detector.json`."] if more else []
    return ["## Machines and clips", "", *_table(head, rows), *tail]


def _shown(content: Content) -> Iterator[tuple[str, str, Section]]:
    for (machine, name), _ in zip(content.sections, range(SHOWN), strict=False):
        yield machine, name, content.sections[machine, name]


def _by_domain(section: Section) -> tuple[int, ...]:
    return tuple(int(section.of_domain(domain).sum()) for domain in DOMAINS)


def _sessions(section: Section) -> str:
    count = section.members[0].facts.get(SESSIONS)
    return "not known" if count is None else f"{count:.0f}"


def _levels(levels: tuple[float, float] | None) -> str:
    if levels is None or not np.isfinite(levels).all():
        return "one channel"
    return f"{levels[0]:+.1f} to {levels[1]:+.1f} dB"


def _learnt(content: Content, judge: Judges) -> list[str]:
    """What has come and gone since the fit; nothing of a detector that is as fitted.

    No word of the log: it goes on when all is forgotten again, and then the card is the fit's.
    """
    rows, said = [], []
    for machine, name, section in _shown(content):
        alarms = alarms_of(judge((machine, name)))
        drift = drift_of(content.system, section, alarms, content.false_alarm_rate)
        if drift is not None:
            above = f"{alarms.above} of {alarms.clips}" if alarms else "–"
            rows.append((machine, name, drift.clips, drift.learnt, drift.forgotten, above))
            said.append((called(machine, name), _text(drift.told)))
    if not rows:
        return []
    head = ("machine", "section", "fitted on", "learnt", "forgotten", "learnt ones above")
    return [
        "## Learnt since the fit",
        "",
        "Clips that somebody confirmed as normal; nothing else was fitted again. How many of them "
        "are above the threshold is counted with each held out.",
        "",
        *_table(head, rows),
        "",
        *_together(said),
        "",
        f"`nearfar learn FOLDER --log` shows when and which (`{LOG}` in this folder); "
        "`nearfar learn FOLDER --forget NAME` takes a clip out again.",
    ]


def _alarms(content: Content, judge: Judges) -> list[str]:
    """What each threshold promises, from held-out clips, and what speaks against the promise."""
    drawn, apart, said = [], [], []
    for machine, name, section in _shown(content):
        mine = judge((machine, name))
        rates = mine.alarm_rates()
        for domain in (None, *(rates if content.threshold_by_domain else ())):
            if one := mine.threshold(domain):
                odds = _percent(one.expected), _percent(one.confident)
                value = number(one.value, 4)
                drawn.append((machine, name, domain or "all", value, one.clips, *odds))
                said.append((called(machine, name), section.told(one)))
        for domain, rate in rates.items():
            odds = _percent(rate.expected), _percent(rate.confident)
            apart.append((machine, name, domain, f"{rate.above} of {rate.clips}", *odds))
        doubts = filter(None, (section.caveat, section.held_out))
        said += [(called(machine, name), text) for text in doubts]
    columns = ("machine", "section", "clips of", "threshold", "held-out clips", *ODDS)
    lines = ["## Thresholds and false alarms", "", _promise(content), "", *_table(columns, drawn)]
    if apart:
        lines += ["", "By domain, held against the threshold that judges it:", ""]
        lines += _table(("machine", "section", "domain", "held-out above", *ODDS), apart)
    return [*lines, "", *_together(said), "", _counted_on(content)]


def _promise(content: Content) -> str:
    return (
        "A clip is anomalous above the threshold. Asked for: at most "
        f"{_percent(content.false_alarm_rate)} of normal clips. Each normal clip was scored by a "
        "bank that was made without it; expected is the most that follows for a new one, up to is "
        "not exceeded with 95 % confidence."
    )


def _counted_on(content: Content) -> str:
    judged = all(section.judges.all() for section in content.sections.values())
    tail = "" if judged else " Clips that an encoder was trained on draw no threshold."
    return f"No false alarm was counted on recordings of a later day.{tail}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _together(said: Iterable[tuple[str, str]]) -> list[str]:
    """One line for all machines of which the same is to be said."""
    lines: dict[str, list[str]] = {}
    for who, text in said:
        lines.setdefault(text, []).append(who)
    return [f"* {_text(', '.join(dict.fromkeys(who)))}: {text}" for text, who in lines.items()]


def _system(content: Content) -> list[str]:
    lines = ["## What was fitted", ""]
    members = content.system.members
    for weight, member in zip(content.system.weights, members, strict=True):
        if len(members) > 1:
            lines += [f"A member of weight {weight:g}:", ""]
        parts = (
            ("is heard through", member.frontend), ("becomes a row by", member.embedder),
            ("domains moved by", member.adaptation), ("rows whitened by", member.whitening),
            *(("bank enriched by", part) for part in member.enrichment),
            ("scored by", member.rule), ("made comparable by", member.calibration),
        )  # fmt: skip
        rows = [(step, type(part).__name__, _first_line(part)) 
                for step, part in parts if part is not None]  # fmt: skip
        lines += [*_table(("step", "part", "what it does"), rows), ""]
    rows_in_banks = sum(len(m.embeddings) for s in content.sections.values() for m in s.members)
    # Of one line, whatever a part of somebody's calls itself: nothing in it can end the block.
    return [*lines, f"The banks hold {counted(rows_in_banks, 'row')}. As Python:", "",
            "````python", visible(_repr(content.system)), "````"]  # fmt: skip


def _repr(system: object) -> str:
    # Where weights lie is a place on somebody's disk, and no part of what was fitted.
    return _PLACE.sub("weights='…'", repr(system))


def _first_line(part: Any) -> str:
    return next(iter((getdoc(type(part)) or "").splitlines()), "")


def _recordings(content: Content) -> list[str]:
    needs = content.system.needs
    order = content.order if isinstance(content.order, str) else (
        "near is channel {}, far is channel {}".format(*content.order)
    )  # fmt: skip
    stated = visible(content.data_license) or (
        "not stated; nearfar fit --license says it. " + DCASE
    )
    return [
        "## Recordings",
        "",
        *_table(("what", "value"), [
            ("sample rate", f"{SAMPLE_RATE:,} Hz; files of other rates are resampled"),
            ("channels it needs", needs),
            ("channel order of the files", order),
            ("licence of the data", stated),
        ]),
    ]  # fmt: skip


def _encoders(content: Content) -> list[str]:
    rows: list[tuple[object, ...]] = []
    for origin in dict.fromkeys(content.origins):
        # One may hear through several: each is named by its weights, which were looked at once.
        found = _WEIGHTS.findall(origin.fingerprint)
        rows += [(kind, digest[:32], f"{LICENCES[kind]} as published") for kind, digest in found]
        if not found:
            whose = "not known" if origin.place else "no weights"
            rows.append((printable(origin.fingerprint)[:60], whose, "–"))
    head = ("embedder", "its weights' fingerprint", "licence")
    tail = ["", "Weights that were trained further also follow the licence of what they heard."]
    told = tail if any(o.place for o in content.origins) else []
    return ["## Embedders", "", *_table(head, dict.fromkeys(rows)), *told, *_heard(content)]


def _heard(content: Content) -> list[str]:
    """Of a trained encoder the machines that it knows, and those that it does not."""
    sides: dict[float, dict[str, None]] = {1.0: {}, 0.0: {}}
    for (machine, _), section in content.sections.items():
        for member in section.members:
            sides.get(member.facts.get(MACHINE_HEARD, -1.0), {})[machine] = None
    words = {1.0: "An encoder was trained on", 0.0: "An encoder was not trained on"}
    return [
        line
        for heard, machines in sides.items() if machines
        for line in ("", f"{words[heard]}: {', '.join(map(_text, machines))}.")
    ]  # fmt: skip


def _use(content: Content) -> list[str]:
    two = content.system.needs == 2
    return [
        "## Use and limits",
        "",
        "* For new recordings of the machines above, made as the normal ones were: the same "
        f"microphone{'s' * two} in the same place{'s' * two}, gain and length of a clip.",
        "* A score ranks clips of one machine. It is no probability, names no fault, and scores of "
        "two machines do not compare.",
        "* A condition that the normal clips do not have (speed, load, product, another "
        "machine's noise) sounds anomalous to it.",
        "* No safety function may rest on it alone.",
        "",
        "```",
        "nearfar score FOLDER new_recordings/",
        "```",
        "",
        "or, in Python, `nearfar.load(\"FOLDER\").score(nearfar.Clips.open(\"new_recordings\"))`.",
    ]  # fmt: skip


def _provenance() -> list[str]:
    return [
        "## Provenance",
        "",
        f"Written by nearfar {__version__}, NumPy {np.__version__}, Python "
        f"{platform.python_version()}; `detector.json` names every clip with the hash of its "
        "sound. It holds no date, so that the same detector is the same bytes.",
    ]
