"""Clips of one file whose channels lie apart in time, as the machine's other clips' do not.

To measure a lag costs more than all other looks together. So it is done for those clips alone whose
channels have lost the coherence that the others have, or whose lag at a glance is not that of the
others, and for a few of these to compare with. What hums and does nothing else has no lag that its
clips share: of it nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nearfar.clips import Clip
from nearfar.errors import NearfarError
from nearfar.health.copies import Sound, by_copy
from nearfar.health.suspects import FEWEST, LAG, Suspect, comparable, unexplained
from nearfar.sound.audio import ChannelOrder
from nearfar.sound.lag import held, lag_of

LOST = 6.0  # MAD below the median coherence, from which a lag is measured
LEAST = 0.7  # of the median; above it, channels that lie apart by a window would still agree
MEASURED = 30  # clips of a domain that are measured at most, those that lost most
OTHERS = 9  # clips that they are compared with
# ms from their median, up to which the others' lags are one. In a hall now the machine's own way is
# the strongest, now a reflection's.
STEADY = 10.0
HELD = 0.6  # of the correlation's peak; of clips apart 0.46 was the most that the usual lag kept
AGREE = 0.8  # more than that share of the others must be so


def by_shift(sounds: Sequence[Sound], order: ChannelOrder = "near-far") -> list[Suspect]:
    """Suspects among clips of one machine and section by the lag of far behind near.

    Args:
        sounds: in any order; those of two files have their lags in their looks, and are left out.
        order: which channel is near.
    """
    stereo = [s for s in sounds if s.clip.far is None and np.isfinite(s.look.coherence)]
    clips = [sound.clip for sound in stereo]
    gamma = np.array([sound.look.coherence for sound in stereo])
    flagged = np.zeros(len(stereo), dtype=np.bool_)
    lags: dict[int, tuple[float, float]] = {}  # place → its own, the others'
    for group in comparable(clips):
        usual = float(np.median(gamma[group]))
        off = usual - gamma[group]
        lost = (off > LOST * np.median(np.abs(off))) & (gamma[group] < LEAST * usual)
        apart = _apart([stereo[i].look.late for i in group])
        lost |= apart > LAG
        if not lost.any() or np.count_nonzero(~lost) < FEWEST:
            continue
        # Those that are most like the others in both.
        others = group[np.lexsort((np.abs(off), np.nan_to_num(apart)))]
        others = others[~np.isin(others, group[lost])][:OTHERS]
        known = [lag for i in others if np.isfinite(lag := _lag(clips[i], order))]
        middle = float(np.median(known)) if known else 0.0
        # Where they have none in common, there is none to be far from.
        if len(known) < FEWEST or np.mean(np.abs(np.array(known) - middle) <= STEADY) <= AGREE:
            continue
        for i in group[lost][np.argsort(gamma[group[lost]], kind="stable")][:MEASURED]:
            lags[int(i)] = (_lag(clips[i], order), middle)
            # No lag found is none too long.
            flagged[i] = abs(lags[int(i)][0] - middle) > LAG and not _held(clips[i], order, middle)
    return [
        Suspect(clips[i], "shifted", f"{lags[i][0]:+.0f} ms", f"{lags[i][1]:+.1f} ms")
        for i in np.flatnonzero(unexplained(clips, flagged)).tolist()
    ]


def _apart(lates: Sequence[float | None]) -> NDArray[np.float64]:
    """ms of each from the median; nan, which is far from nothing, where most do not agree."""
    lags = np.array(lates, dtype=np.float64)  # nan for None
    known = lags[np.isfinite(lags)]
    if len(known) < FEWEST:
        return np.full(len(lags), np.nan)
    off = np.abs(lags - np.median(known))
    agree = np.count_nonzero(off <= STEADY) > len(lags) / 2
    return off if agree else np.full(len(lags), np.nan)


def by_rereading(sounds: Sequence[Sound], order: ChannelOrder = "near-far") -> list[Suspect]:
    """All that a second look at a few clips of one machine and section finds: `by_look` goes on.

    Args:
        sounds: in any order.
        order: which channel is near.
    """
    return [*by_copy(sounds, order), *by_shift(sounds, order)]


def _lag(clip: Clip, order: ChannelOrder) -> float:
    """ms; nan where no common sound is found, or the clip is gone since it was heard."""
    try:
        audio = clip.read(order)
    except NearfarError:
        return float("nan")
    return lag_of(audio).ms if len(audio) == 2 else float("nan")


def _held(clip: Clip, order: ChannelOrder, usual: float) -> bool:
    """Whether the usual lag is in it as well, as beside an echo that is louder for once."""
    try:
        return held(clip.read(order), usual, STEADY) > HELD
    except NearfarError:
        return True
