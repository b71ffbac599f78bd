"""A fit onto the folder of a detector: what that was told stays told; is it the same machine?

A machine is fitted again every month, by the same line or by one that lacks half of its options.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearfar.clips.clip import Clip
from nearfar.detector.detector import Detector, load
from nearfar.detector.folder.index import Heading
from nearfar.detector.folder.staging import MOST
from nearfar.detector.origin import check
from nearfar.detector.section import Section
from nearfar.embedding.jobs import Heard
from nearfar.errors import FormatError, NearfarError
from nearfar.scoring.bank import TARGET
from nearfar.sound.audio import ChannelOrder

SAMPLE = 40  # of the new normal clips: more would tell no more of whether it is the same machine
STRANGE = 0.9  # share above the old threshold; another day of the same machine seldom has that
FEWEST = 8  # clips of a sample that can say so


@dataclass(frozen=True)
class Told:
    """What a fit or a detector is told that no recordings tell; None is left open.

    >>> now, same = Told(order="near-far").or_as(Told(0.01, "far-near", False), usual_rate=0.1)
    >>> now, same
    (Told(false_alarm_rate=0.01, order='near-far', by_domain=False), ('false-alarm rate 0.01',))
    """

    false_alarm_rate: float | None = None
    order: ChannelOrder | None = None
    by_domain: bool | None = None

    def or_as(self, there: Told | None, usual_rate: float) -> tuple[Told, tuple[str, ...]]:
        """What is told now, and where it is open what a detector was told.

        Args:
            there: of the detector; None if there is none.
            usual_rate: that the system has by itself.

        Returns:
            Both as one; and in words what of the detector's is not as a fit has it unasked.
        """
        if there is None:
            return self, ()
        words = []
        if self.false_alarm_rate is None and there.false_alarm_rate != usual_rate:
            words.append(f"false-alarm rate {there.false_alarm_rate:g}")
        if self.order is None and there.order != "near-far":
            words.append(_order_words(there.order))
        if self.by_domain is None and there.by_domain:
            words.append("thresholds by domain")
        both = Told(
            there.false_alarm_rate if self.false_alarm_rate is None else self.false_alarm_rate,
            there.order if self.order is None else self.order,
            there.by_domain if self.by_domain is None else self.by_domain,
        )
        return both, tuple(words)


def _order_words(order: ChannelOrder | None) -> str:
    if order is None or isinstance(order, str):
        return f"channel order {order}"
    return f"near channel {order[0]}, far channel {order[1]}"


def told_there(there: Heading | None, machines: Collection[str]) -> Told | None:
    """What a detector was told; None if it is of other machines.

    Args:
        there: what its index says; None of none, or of one that only --replace may write over.
        machines: that will be fitted.
    """
    if there is None or {machine for machine, _ in there.counts} != set(machines):
        return None
    return Told(there.false_alarm_rate, there.order, there.by_domain)


def strangers(folder: Path, new: Detector) -> dict[str, tuple[int, int]]:
    """Machines whose new normal clips nearly all are anomalous to the detector of a folder.

    The rows that the new one was fitted on are judged, so nothing is heard again. A detector with
    other front ends, embedders or weights has no such rows: nothing is said of it.

    Args:
        folder: of the detector that will be replaced.
        new: fitted on normal clips of the same machines.

    Returns:
        machine → (anomalous clips, clips judged).
    """
    try:
        old = load(folder, late=True, most=MOST)
    except NearfarError:  # one with parts or weights that are not here is not compared
        return {}
    if old.chains != new.chains or old.order != new.order:
        return {}
    try:
        check(new.system, old.origins)
    except NearfarError:  # rows of another embedder
        return {}
    found: dict[str, list[bool]] = {}
    for key in new.sections:
        if key in old.sections:
            try:
                verdicts = old.judge(_rows(new, key, new.sections[key]))
            except FormatError:  # of one that is damaged nobody knows what it would say
                return {}
            found.setdefault(key[0], []).extend(v.anomalous for v in verdicts)
    return {
        machine: (sum(alarms), len(alarms))
        for machine, alarms in found.items()
        if len(alarms) >= FEWEST and sum(alarms) >= STRANGE * len(alarms)
    }


def _rows(new: Detector, key: tuple[str, str], section: Section) -> Sequence[tuple[Clip, Heard]]:
    """Some normal clips of a section as they were heard, evenly over all of them."""
    number = len(section.clips)
    places = np.unique(np.linspace(0, number - 1, min(SAMPLE, number)).round().astype(int))
    # Of members with the same chain each has the same real rows.
    first = {m.chain: i for i, m in reversed(list(enumerate(new.system.members)))}
    members = [section.members[first[chain]] for chain in new.chains]
    return [
        (
            Clip(
                Path(section.clips[i].name), machine=key[0], section=key[1],
                domain="target" if members[0].domain[i] == TARGET else "source",
            ),
            Heard(tuple(m.embeddings[i] for m in members), section.seconds),
        )
        for i in places.tolist()
    ]  # fmt: skip
