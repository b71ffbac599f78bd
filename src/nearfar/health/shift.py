"""Clips of one file whose channels lie apart in time, as the machine's other clips' do not.

To measure a lag costs more than all other looks together. So it is done for those clips alone whose
channels have lost the coherence that the others have, and for a few of these to compare with. What
hums and does nothing else keeps its coherence, and its lag has no meaning: of it nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nearfar.clips import Clip
from nearfar.errors import NearfarError
from nearfar.health.copies import Sound, by_copy
from nearfar.health.suspects import FEWEST, LAG, Suspect, comparable, unexplained
from nearfar.sound.audio import ChannelOrder
from nearfar.sound.lag import lag_of

LOST = 6.0  # MAD below the median coherence, from which a lag is measured
LEAST = 0.7  # of the median; above it, channels that lie apart by a window would still agree
MEASURED = 10  # clips of a domain that are measured at most, those that lost most
OTHERS = 5  # clips that they are compared with
STEADY = 2.0  # ms, up to which the others' lags are one


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
        if not lost.any():
            continue
        others = group[np.argsort(np.abs(off), kind="stable")][:OTHERS]
        known = [lag for i in others if np.isfinite(lag := _lag(clips[i], order))]
        middle = float(np.median(known)) if known else 0.0
        # Where they have none in common, there is none to be far from.
        if len(known) < min(OTHERS, FEWEST) or np.ptp(known) > STEADY:
            continue
        for i in group[lost][np.argsort(gamma[group[lost]], kind="stable")][:MEASURED]:
            lags[int(i)] = (_lag(clips[i], order), middle)
            flagged[i] = abs(lags[int(i)][0] - middle) > LAG  # no lag found is none too long
    return [
        Suspect(clips[i], "shifted", f"{lags[i][0]:+.0f} ms", f"{lags[i][1]:+.1f} ms")
        for i in np.flatnonzero(unexplained(clips, flagged)).tolist()
    ]


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
