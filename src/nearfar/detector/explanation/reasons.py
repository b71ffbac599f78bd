"""Reasons for a score that lie in the microphones or the recording, not in the machine."""

from __future__ import annotations

from nearfar.clips.clip import Clip
from nearfar.detector.section import Judge
from nearfar.embedding.jobs import Heard
from nearfar.health.kinds import KINDS
from nearfar.health.suspects import by_look

# Kinds that a clip can be of by itself, worst first: of a dead channel no other number is worth
# anything, and of a channel that is there twice no ratio is.
_WORST = ("near floor", "far floor", "twice")
_OTHERS = ("clipped", "zeros", "lag", "drift")


def sensor_reasons(clip: Clip, what: Heard, judge: Judge, distance: float) -> tuple[str, ...]:
    """All that is known to be wrong with a recording, most telling first.

    Args:
        clip: that was judged.
        what: was heard of it.
        judge: of its section, which knows what normal recordings are like.
        distance: from the nearest row of the member that says most.
    """
    found = {} if what.look is None else {s.kind: s for s in by_look([(clip, what.look)])}
    if what.identical:  # the same, in better words, is among the doubts
        found.pop("twice", None)
    told = {
        kind: f"{KINDS[kind].format(usual=suspect.usual)} ({suspect.value})"
        for kind, suspect in found.items()
    }
    salvaged = what.recorded.salvaged if what.recorded else ""
    return (
        *(told[kind] for kind in _WORST if kind in told),
        *judge.doubts(what, distance),
        *(told[kind] for kind in _OTHERS if kind in told),
        *([f"a damaged file, of which only what is there was heard ({salvaged})"] * bool(salvaged)),
    )
