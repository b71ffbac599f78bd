"""What a detector says about some recordings, with what it heard: where a report begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips
from nearfar.detector.detector import Detector
from nearfar.embedding.jobs import Heard
from nearfar.errors import warn
from nearfar.runtime.runtime import Runtime
from nearfar.scores.verdict import Scores, Verdict
from nearfar.study.data import Given, simulated_label
from nearfar.text import counted, named

Key = tuple[str, str]  # machine, section


@dataclass(frozen=True, eq=False)
class Judged:
    """The verdicts of one run, and what was heard for them.

    >>> Judged(None, Scores([]), ()).keys
    ()
    """

    detector: Detector
    scores: Scores  # in the order asked
    heard: tuple[tuple[Clip, Heard], ...]  # of those judged, in the same order
    unknown: tuple[str, ...] = ()  # machines of the data that the detector does not know
    simulated: str = ""  # what the data say of themselves; "" for recordings

    @property
    def keys(self) -> tuple[Key, ...]:
        """(machine, section) of every clip asked about, sorted."""
        return tuple(sorted({(v.clip.machine, v.clip.section) for v in self.scores}))

    @property
    def machines(self) -> tuple[str, ...]:
        """Their machines, sorted."""
        return tuple(dict.fromkeys(machine for machine, _ in self.keys))

    def of(self, key: Key) -> list[Verdict]:
        """The verdicts of one machine and section that there are, in the order asked."""
        return [v for v in self.scores if v.judged and (v.clip.machine, v.clip.section) == key]

    @property
    def channels(self) -> int:
        """That every clip has; 0 if none was heard."""
        looks = [what.look for _, what in self.heard]
        return min((len(look.levels) if look else 0 for look in looks), default=0)


def judge(
    detector: Detector,
    data: Given,
    runtime: Runtime,
    *,
    machine: str | None = None,
    section: str | None = None,
    skip_bad: bool = False,
) -> Judged:
    """Score recordings and keep what was heard.

    Args:
        detector: whose verdicts these are.
        data: of a data set with a test split the test clips; else all recordings there.
        runtime: how to compute.
        machine, section, skip_bad: as in `Detector.score`.

    Raises:
        AudioError: clips that cannot be used.
        DatasetError: no clips, or none of a machine that the detector knows.
    """
    clips, unknown = _known(detector, data.open("test"), machine)
    if unknown:
        warn(f"left out, unknown to the detector: {named(unknown)}")
    asked, hearing = detector.hear(
        clips, runtime, machine=machine, section=section, skip_bad=skip_bad
    )
    scores = detector.verdicts(asked, hearing)
    silent = [v.clip.name for v in scores if not v.judged]
    if silent:
        warn(f"{counted(len(silent), 'clip')} not judged: {named(silent)}")
    return Judged(detector, scores, hearing.heard, tuple(unknown), simulated_label(data))


def _known(
    detector: Detector, clips: Clips, machine: str | None
) -> tuple[Sequence[Clip], list[str]]:
    """The clips of machines that the detector knows, and which others there are, as `evaluate`."""
    unknown = sorted(set(clips.machines) - set(detector.machines))
    plain = all(clip.split is None for clip in clips)  # for the only machine, however called
    if machine is not None or not unknown or (plain and len(detector.machines) == 1):
        return clips, []
    known = Clips(c for c in clips if c.machine not in unknown)
    # If none is known the detector itself says so, of the first clip.
    return (known, unknown) if len(known) else (clips, [])
