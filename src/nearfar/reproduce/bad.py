"""Clips that a run goes on without, where that is asked for, and how it stays honest.

Training clips may be left out by name. Test clips may not: the official evaluator takes a finite
score of every file and no file less. One that cannot be judged gets the median score of its
section's others from every system alike: no knowledge, whichever label it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nearfar.clips import Clip, Clips
from nearfar.clips.survey import faults_of, refuse, survey
from nearfar.errors import DatasetError, NearfarError, once_left_out
from nearfar.reproduce.data import ANY, Data, hashed, refuse_lacking, refuse_mono
from nearfar.runtime.runtime import Runtime
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import section_name
from nearfar.text import counted

MOST = 0.01  # share of a machine's clips that may be bad beside the report's numbers


def heard(data: Data, runtime: Runtime, skip_bad: bool = False) -> Data:
    """The same data with their hashes, every clip read; or, asked for, without what is bad.

    Raises:
        AudioError, DatasetError: clips that cannot be read or used, or one near channel in two
            classes, all in one; with `skip_bad` only where there are too many of them. Recordings
            that have one channel, of all.
    """
    refuse_mono(data.train)
    # Hashed later: a file that cannot be read is named here, with all that is bad otherwise.
    seen = survey([*data.train, *data.test], 2, data.order, runtime)
    count = len(data.train)
    bad = dict(faults_of(data.train, seen[:count]))
    silent = {i: one for i, one in enumerate(seen[count:]) if isinstance(one, NearfarError)}
    if not skip_bad:
        refuse({**bad, **{count + i: one for i, one in silent.items()}}, len(seen))
        return hashed(data, runtime.progress)
    _check_few(data, data.train, [data.train[i] for i in bad])
    _check_few(data, data.test, [data.test[i] for i in silent])
    left = Clips(clip for i, clip in enumerate(data.train) if i not in bad)
    refuse_lacking(data.path, left, data.test)
    return hashed(
        replace(
            data,
            train=left,
            left_out_clips=tuple(once_left_out(str(why)) for why in bad.values()),
            not_judged={data.test[i]: once_left_out(str(why)) for i, why in silent.items()},
        ),
        runtime.progress,
    )


def with_not_judged(scores: ScoreTable, clips: Sequence[Clip]) -> ScoreTable:
    """A system's scores, and for each clip that it could not judge the median of its section's."""
    rows = list(scores.rows)
    for clip in clips:
        section = section_name(clip.section)
        others = [r for r in scores.rows if (r.machine, r.section) == (clip.machine, section)]
        value = float(np.median([row.score for row in others]))
        alarms = sum(bool(row.decision) for row in others)
        decision = 2 * alarms > len(others)  # as its score: above the threshold if most others are
        rows.append(ScoredFile(clip.machine, section, clip.key, value, decision))
    return ScoreTable(tuple(rows))


def told(data: Data) -> str:
    """What the numbers are without, as the results page says it; empty if nothing."""
    lines = []
    if data.left_out_clips:
        lines.append(
            f"Left out of training, {counted(len(data.left_out_clips), 'clip')}: "
            f"{'; '.join(data.left_out_clips)}."
        )
    if data.not_judged:
        lines.append(
            f"Not judged, with the median score of its section's others in every system, "
            f"{counted(len(data.not_judged), 'test clip')}: {'; '.join(data.not_judged.values())}."
        )
    return f"**Not the whole set**, with --skip-bad. {' '.join(lines)}" if lines else ""


def _check_few(data: Data, clips: Clips, bad: Sequence[Clip]) -> None:
    """Refuse where so many are bad that the numbers would be those of other data."""
    all_of = Counter(map(_section, clips))
    purpose = "test" if clips is data.test else "train"
    for place, count in sorted(Counter(map(_section, bad)).items()):
        if data.official and count > MOST * all_of[place]:
            raise DatasetError(
                f"{place}: {count} of {all_of[place]} clips to {purpose} on cannot be used, beside "
                f"the report's numbers {MOST:.0%} may be; copy it again, or {ANY}"
            )
        if count == all_of[place]:
            raise DatasetError(
                f"{place}: none of its clips to {purpose} on can be used; record them again"
            )


def _section(clip: Clip) -> str:
    """What a detector, and a median of scores, are of."""
    return f"{clip.machine}, section {section_name(clip.section)}"
