"""What a detector has learnt and forgotten, and when: a log beside its index.

The index of a detector whose clips were all forgotten again is that of its fit, to the byte, so the
log is a file of its own. It is written before the index. A writer that is killed between the two
leaves lines of what never took place: each line says in which state it leaves the detector, and
lines behind the last one that has the index's state do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from nearfar.detector.learning.growth import Grown

if TYPE_CHECKING:
    from nearfar.detector.section import Section

Key = tuple[str, str]  # machine, section
Digests = tuple[list[str], list[str], list[str]]  # of the fit's clips, of those learnt, forgotten
Verb = Literal["learnt", "forgot", "unreadable"]


@dataclass(frozen=True)
class Lesson:
    """Clips of one machine and section that were learnt, or forgotten, at one time.

    >>> Lesson("2026-11-29T19:00:00+00:00", "learnt", "fan", "00", (("a.wav", "9f"),)).names
    ('a.wav',)
    """

    time: str  # ISO 8601, UTC
    verb: Verb
    machine: str = ""
    section: str = "00"
    clips: tuple[tuple[str, str], ...] = ()  # name and sha256 of each
    known: tuple[int, int] = (0, 0)  # clips before and after
    threshold: tuple[float, float] = (0.0, 0.0)  # before and after
    state: str = ""  # in which it left the detector
    nearfar: str = ""  # version
    line: str = ""  # of the file, where it cannot be read

    @property
    def names(self) -> tuple[str, ...]:
        """What the clips are called."""
        return tuple(name for name, _ in self.clips)


def state_of(
    sections: Iterable[tuple[str, str, Sequence[str], Sequence[str], Sequence[str]]],
) -> str:
    """A detector's state, whatever its thresholds are.

    Args:
        sections: machine, section, and digests of the fit's clips, of clips learnt and of clips
            forgotten.

    >>> state_of([("fan", "00", ["9f"], [], [])]) == state_of([("fan", "00", ["9f"], ["86"], [])])
    False
    """
    rows = sorted(
        [m, s, sorted(fit), sorted(new), sorted(gone)] for m, s, fit, new, gone in sections
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def state_in(sections: Mapping[tuple[str, str], Section]) -> str:
    """That of sections in memory."""
    return state_of((*key, *found) for key, found in _all_digests(sections))


def _all_digests(sections: Mapping[tuple[str, str], Section]) -> Iterator[tuple[Key, Digests]]:
    return ((key, _digests(section)) for key, section in sections.items())


def _digests(section: Section) -> Digests:
    if isinstance(section, Grown) and section.fitted is not None and section.learnt is not None:
        fit, new = section.fitted.clips, section.learnt.clips
        return [c.digest for c in fit], [c.digest for c in new], list(section.forgotten)
    return [clip.digest for clip in section.clips], [], []


def settled(lessons: Sequence[Lesson], state: str, *, fitted: bool) -> tuple[Lesson, ...]:
    """Those that took place: up to the last that leaves the state that there is.

    Of a log that has lost that line all stay that may have taken place: what is left of it is the
    only word on them.

    Args:
        lessons: of the log.
        state: of the detector.
        fitted: is it as its fit left it?

    >>> a, b = (Lesson("", "learnt", state=state) for state in "xy")
    >>> [len(settled((a, b), state, fitted=True)) for state in "yxz"]
    [2, 1, 0]
    >>> len(settled((a, b), "z", fitted=False))
    2
    """
    ends = [i for i, one in enumerate(lessons) if one.state == state]
    if not ends:
        # Of a writer that was killed at the first lesson nothing took place.
        ends = [i for i, one in enumerate(lessons) if not fitted or one.verb == "unreadable"]
    return tuple(lessons[: ends[-1] + 1]) if ends else ()


def fits(lessons: Sequence[Lesson], sections: Mapping[tuple[str, str], Section]) -> bool:
    """Does a log tell all that its detector has learnt and forgotten since its fit?

    >>> fits((Lesson("", "learnt", "fan", "00", (("a.wav", "9f"),)),), {})
    False
    """
    said: dict[tuple[str, str], set[str]] = {}
    for one in lessons:  # each turn undoes the one before: in, out, in
        said.setdefault((one.machine, one.section), set()).symmetric_difference_update(
            digest for _, digest in one.clips
        )
    is_so = {key: {*new, *gone} for key, (_, new, gone) in _all_digests(sections)}
    return all(said.get(key, set()) == is_so.get(key, set()) for key in {*said, *is_so})


def as_lines(lessons: Sequence[Lesson]) -> str:
    """The log's text, a line of JSON each."""
    return "".join(f"{_line(one)}\n" for one in lessons)


def _line(one: Lesson) -> str:
    if one.verb == "unreadable":  # kept as it is: who mends it may still want it
        return one.line
    said = {k: v for k, v in asdict(one).items() if k != "line"}
    return json.dumps(said, ensure_ascii=False)


def from_lines(text: str) -> tuple[Lesson, ...]:
    """Back from the log's text; a line that is none of ours is kept as such.

    >>> [one.verb for one in from_lines('{"time": "now", "verb": "learnt"}' + chr(10) + "hm")]
    ['learnt', 'unreadable']
    """
    return tuple(_lesson(line) for line in text.split("\n") if line.strip())


def _lesson(line: str) -> Lesson:
    known = {field.name for field in fields(Lesson)}
    try:
        data: dict[str, Any] = json.loads(line)
        said = {k: v for k, v in data.items() if k in known}
        if said["verb"] not in ("learnt", "forgot") or not isinstance(said["time"], str):
            raise ValueError(line)
        said["clips"] = tuple((str(name), str(digest)) for name, digest in said.get("clips", ()))
        texts = [said.get(name, "") for name in ("machine", "section", "state", "nearfar")]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(line)
        for name, kind in (("known", int), ("threshold", float)):
            before, after = said.get(name, (0, 0))
            said[name] = (kind(before), kind(after))
        return Lesson(**said)
    except (
        ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError,
    ):  # fmt: skip
        return Lesson("", "unreadable", line=line)
