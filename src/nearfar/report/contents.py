"""Everything that a report says, as data: nothing is drawn here, and nothing has HTML in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.collection import Clips
from nearfar.embedding.jobs import Heard
from nearfar.errors import DatasetError, warn
from nearfar.report.anchors import are_published
from nearfar.report.atlas import Atlas, atlas
from nearfar.report.compared import AlarmsOfBoth, Compared, Other, hold_beside
from nearfar.report.condition import Health, examine
from nearfar.report.curves import Curve, Histogram, histogram, kinds, roc
from nearfar.report.evaluated import Evaluated, assess, by_clip, place_of
from nearfar.report.judged import Judged, Key
from nearfar.report.moments import Day, LongRecording, days, recordings
from nearfar.scores.alarms import AlarmRule, History, histories
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.scores.verdict import Verdict
from nearfar.study.data import rule_of
from nearfar.text import called

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName
    from nearfar.report.evaluated import Place

NORMAL = "normal, held out"  # what a histogram calls the clips that a detector was fitted on
TOP = 5  # clips of a machine that are listed, highest first


@dataclass(frozen=True, eq=False)
class Panel:
    """One machine and section, all that is drawn of it.

    >>> Panel(("fan", "00"), (), (), {}, None, None, {"": 1.0}, None, (), "").name
    'fan'
    """

    key: Key
    verdicts: tuple[Verdict, ...]  # judged, in the order asked
    known: tuple[LabelledFile | None, ...]  # of each, what is known
    shown: Mapping[str, NDArray[np.float64]]  # kind → (clips,) scores, normal ones held out first
    curve: Curve | None  # None without labels of both kinds
    histogram: Histogram | None  # None where no clip was judged
    thresholds: Mapping[str, float]  # domain, or "" for all → threshold
    atlas: Atlas | None
    promises: tuple[str, ...]  # what each threshold means, a line
    caveat: str  # what the promise does not cover, or ""
    history: History | None = None  # of those that say their time; None of fewer than two

    @property
    def name(self) -> str:
        """As people call it."""
        return called(*self.key)

    @property
    def raised(self) -> Verdict | None:
        """The recording that raised the first lasting alarm."""
        if self.history is None or not self.history.spells:
            return None
        return self.history.verdicts[self.history.spells[0].first]

    @property
    def alarms(self) -> int:
        """Anomalous ones."""
        return sum(v.anomalous for v in self.verdicts)


@dataclass(frozen=True, eq=False)
class Contents:
    """A whole report.

    Args:
        judged: what was scored.
        evaluated: the same held against labels, if there are any.
        panels: a machine and section each.
        top: panel's name → its highest-scoring clips, highest first.
        health: what the recordings are like.
        days, recordings: alarms in time.
        published: machines beside which published numbers may stand.
        compared: another result, if one was given and can be compared.
        incomparable: why one that was given cannot be.
        agreement: how often both call the same clips anomalous.
        rule: by which alarms last.

    >>> Contents(None, None, (), {}, None, (), (), frozenset()).compared is None
    True
    """

    judged: Judged
    evaluated: Evaluated
    panels: tuple[Panel, ...]
    top: Mapping[str, tuple[Verdict, ...]]
    health: Health
    days: tuple[Day, ...]
    recordings: tuple[LongRecording, ...]
    published: frozenset[str]
    compared: Compared | None = None
    incomparable: str = ""
    agreement: AlarmsOfBoth | None = None  # of the alarms of both
    rule: AlarmRule | None = None


def gather(
    judged: Judged,
    truth: Truth | None = None,
    other: Other | None = None,
    *,
    rule: RuleName | None = None,
    top: int = TOP,
    alarm: AlarmRule | None = None,
) -> Contents:
    """Work out what a report says.

    Args:
        judged: what was scored.
        truth: labels, for clips whose names tell none.
        other: another result on the same data.
        rule: the year's; None finds it in the data.
        top: how many clips of a machine are listed.
        alarm: when an alarm lasts; None: 3 of the last 5.

    Raises:
        FormatError, DatasetError: a truth that does not fit the clips.
    """
    clips = Clips(v.clip for v in judged.scores)
    evaluated = assess(judged.scores, truth, rule or rule_of(clips))
    labels = by_clip(evaluated.labels or truth)
    heard: dict[Key, list[Heard]] = {}
    for clip, what in judged.heard:
        heard.setdefault((clip.machine, clip.section), []).append(what)
    panels = tuple(
        _panel(judged, key, heard.get(key, []), labels, alarm or AlarmRule()) for key in judged.keys
    )
    compared, incomparable = _compared(other, judged, evaluated)
    return Contents(
        judged, evaluated, panels,
        {panel.name: tuple(highest(panel.verdicts, top)) for panel in panels},
        examine(judged), days(judged.scores), recordings(judged.scores),
        _published(judged, labels), compared, incomparable,
        other.agreement(judged.scores) if other else None, alarm or AlarmRule(),
    )  # fmt: skip


def highest(verdicts: Sequence[Verdict], count: int) -> list[Verdict]:
    """The verdicts of one machine and section to look at first.

    By how far they lie above their thresholds, which differ where there is one a domain; equal
    ones in the order asked.
    """
    return sorted(verdicts, key=lambda v: (v.anomalous, v.score - v.threshold), reverse=True)[
        :count
    ]


def _history(judged: Judged, key: Key, rule: AlarmRule) -> History | None:
    """What was said in the order of time; None where too few clips tell theirs."""
    mine = (v for v in judged.scores if (v.clip.machine, v.clip.section) == key and v.clip.time)
    found = next(iter(histories(mine, rule)), None)
    # Clocks with a zone and without one have no order.
    return found if found and found.timed and len(found.verdicts) > 1 else None


def _panel(
    judged: Judged,
    key: Key,
    heard: Sequence[Heard],
    labels: Mapping[Place, LabelledFile],
    alarm: AlarmRule,
) -> Panel:
    detector, verdicts = judged.detector, judged.of(key)
    scores = kinds(verdicts, labels)
    groups = {label: [s for kind, s in scores.items() if kind.startswith(label)]
              for label in ("normal", "anomaly")}  # fmt: skip
    both = all(groups.values())
    # Where each domain has its own the one of all judges nothing, but for clips that say neither.
    domains = tuple(detector.alarm_rates(*key)) if detector.threshold_by_domain else ()
    drawn = {domain or "": detector.threshold(*key, domain) for domain in domains or (None,)}
    section = detector.sections[key]
    shown = {NORMAL: detector.self_scores(*key), **scores}
    usual = max(float(shown[NORMAL].max()), *(one.value for one in drawn.values()))
    return Panel(
        key, tuple(verdicts), tuple(labels.get(place_of(v)) for v in verdicts), shown,
        roc(*(np.concatenate(group) for group in groups.values())) if both else None,
        histogram(shown, usual=usual) if verdicts else None,
        {domain: threshold.value for domain, threshold in drawn.items()},
        atlas(detector, key, heard) if heard else None,
        tuple(section.told(one) for one in drawn.values()), section.caveat,
        _history(judged, key, alarm),
    )  # fmt: skip


def _compared(
    other: Other | None, judged: Judged, evaluated: Evaluated
) -> tuple[Compared | None, str]:
    if other is None:
        return None, ""
    try:
        return hold_beside(other, judged.scores, evaluated), ""
    except DatasetError as error:
        # The page says it too; who runs this shall not have to open it to know.
        warn(f"not compared: {error}")
        return None, str(error)


def _published(judged: Judged, labels: Mapping[Place, LabelledFile]) -> frozenset[str]:
    # A truth given beside anonymous clips is of an evaluation set: published numbers are not.
    clips = [v.clip for v in judged.scores if v.judged]
    whole = Counter(v.clip.machine for v in judged.scores)
    found = are_published(clips, judged.channels, judged.simulated)
    return frozenset(m for m in found if whole[m] == sum(c.machine == m for c in clips))
