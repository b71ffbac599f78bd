"""Which clips may be learned from, which class each belongs to, which of them lie together."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip, parse_name
from nearfar.clips.collection import Clips
from nearfar.clips.pairs import SIDES
from nearfar.clips.words import date_of, is_day, names_machine
from nearfar.errors import DatasetError, SettingError

_DAY, _NIGHT = 86_400.0, 21_600.0  # s; a longer gap is a night, when nobody records
# Years, months and weeks: days that no folder tells apart.
_SPAN = re.compile(r"(?:20\d\d(?:[-_.]\d\d)?|(?:19|20)\d\d[-_]?W\d\d|week[-_ ]?\d+)", re.IGNORECASE)


def check_training(clips: Clips | Sequence[Clip], doing: str = "fit") -> None:
    """Refuse what nothing may be fitted or trained on: no clips, test clips, anomalies (law 4).

    Args:
        clips: to fit or train on.
        doing: which of the two, for messages.

    Raises:
        DatasetError: says which clip.
    """
    # A folder given for clips is the commonest mistake, and a text is a sequence, too.
    if isinstance(clips, str | Path) or not isinstance(clips, Sequence):
        given = repr(clips) if isinstance(clips, str | Path) else type(clips).__name__
        raise DatasetError(
            f"{doing} takes clips, not {given}; give Clips.open(folder, split='train')"
        )
    if not len(clips):
        raise DatasetError(f"no clips to {doing} on; give a folder with WAV or FLAC recordings")
    for clip in clips:
        if not isinstance(clip, Clip):
            raise DatasetError(f"{doing} takes clips, not {clip!r}; give Clips.open(folder)")
        # The machine is the key by which a detector finds its section, and part of file names.
        if not clip.machine or not clip.machine.isprintable():
            raise DatasetError(
                f"{clip.name}: a machine called {clip.machine!r}; name it in letters"
            )
        if clip.label == "anomaly":
            raise DatasetError(
                f"{clip.name}: labelled anomalous; {doing} on normal clips only, those of the "
                "train split"
            )
        if clip.split == "test":
            raise DatasetError(f"{clip.name}: a test clip; {doing} on the train split only")


def faults(clips: Sequence[Clip]) -> list[str]:
    """What listing found wrong, a line for each clip that cannot be used, in their order."""
    return [clip.fault for clip in clips if clip.fault]


def refuse_faults(clips: Sequence[Clip]) -> None:
    """Stop where clips have faults and nobody said that those may be left out.

    Raises:
        DatasetError: one line; the first fault whole, the names of a few more, how many there are.
    """
    bad = [clip for clip in clips if clip.fault]
    if not bad:
        return
    others = ", ".join(clip.path.name for clip in bad[1:4])
    more = f" and {len(bad) - 4} more" if len(bad) > 4 else ""
    rest = f" (and likewise {others}{more})" if others else ""
    # A message has at most 500 characters: of long names the count is left.
    text = f"{len(bad)} of {len(clips)} files cannot be used: {bad[0].fault}{rest}"
    if len(text) > 500:
        text = f"{len(bad)} of {len(clips)} files cannot be used: {bad[0].fault}"[:500]
    error = DatasetError(text)
    error.faults = tuple(str(DatasetError(clip.fault)) for clip in bad if len(bad) > 1)
    raise error


def proxy_classes(
    clips: Clips, *, rule: Literal["train", "report"] = "train"
) -> dict[Clip, tuple[str, str, str]]:
    """The class of each clip for metric learning: (machine, section, attributes).

    A section without attributes has its two domains as classes (an unknown domain is source).

    Args:
        clips: any; which of them get a class is up to the rule.
        rule: "train": normal training clips, case-folded: 42 classes on the 2026 development data.
            "report": the names of test clips as well, case-sensitive. Only that gives the report's
            43, of which the last is `pro_y`, a misspelt `pro_Y` that no training clip has.

    Raises:
        SettingError: an unknown rule.
    """
    if rule == "train":
        used = [c for c in clips if c.split != "test" and c.label != "anomaly"]
    elif rule == "report":  # evaluation clips are nameless: nothing to learn from
        used = [c for c in clips if c.split != "test" or c.label is not None]
    else:
        raise SettingError(f"rule {rule!r}; it is 'train' or 'report'")
    # One kind of class for a whole section, attributes where any clip of it has some (§2.2).
    told = {(c.machine, c.section) for c in used if c.attributes}
    classes: dict[Clip, tuple[str, str, str]] = {}
    for c in used:
        own = c.attributes if (c.machine, c.section) in told else c.domain or "source"
        classes[c] = (c.machine, c.section, own.casefold() if rule == "train" else own)
    return classes


def session_of(clip: Clip) -> str | None:
    """What a clip was recorded in one go with: its day, or the long recording it is a part of.

    Returns:
        The day on which its recording began, by the clip's time or a folder named like a date; a
        folder of a session (`day03`); else the file of a part; None for a file of its own, and for
        one with a name of the DCASE form.

    >>> session_of(Clip(Path("zoom/2024-11-04/ZOOM0001.WAV")))
    '2024-11-04'
    >>> session_of(Clip(Path("hour.wav"), start=10.0, stop=20.0)), session_of(Clip(Path("a.wav")))
    ('hour.wav', None)
    """
    whole = clip.start == 0 and clip.stop is None
    if parse_name(clip.path.name) is not None:  # its data set's folds are published ones
        return None if whole else str(clip.path)
    if clip.time is not None:
        # A recording over midnight is one: its parts are of the evening that it began on.
        return _began(clip.time, clip.start).date().isoformat()
    # When clips carry no time the folder's name is all that is left of the day.
    return _day_of(clip.path.parent) or (None if whole else str(clip.path))


def sessions_of(clips: Sequence[Clip]) -> list[str | None]:
    """`session_of` each clip, and what only the others tell.

    One without a time, in a folder such as `day03` whose other clips are all of one day, is of that
    day. Days above the machine's own folder (`2024-11-04/pump7`) are days where there are several:
    one alone may be that of a copy.
    """
    found = [session_of(clip) for clip in clips]
    days: dict[Path, set[str]] = {}
    for clip, name in zip(clips, found, strict=True):
        if clip.time is not None and name is not None and _day_of(clip.path.parent):
            days.setdefault(clip.path.parent, set()).add(name)
    above: dict[int, str] = {}
    for i, clip in enumerate(clips):
        own = days.get(clip.path.parent, set())
        if clip.time is None and len(own) == 1:
            found[i] = next(iter(own))
        elif (
            found[i] in (None, str(clip.path))
            and parse_name(clip.path.name) is None
            and (day := _day_of(clip.path.parent, machines=1))
        ):
            above[i] = day
    if len(set(above.values())) > 1:
        for i, day in above.items():
            found[i] = day
    return found


def session_sizes(clips: Sequence[Clip]) -> list[int]:
    """How many clips each session has, most first, a file of its own being one.

    Nothing where all are files of their own: their sessions are not known.

    >>> session_sizes([Clip(Path(f"day03/{i}.wav")) for i in range(4)] + [Clip(Path("stray.wav"))])
    [4, 1]
    """
    sessions = sessions_of(clips)
    sizes = Counter(name for name in sessions if name is not None)
    # One stray file beside 80 clips of 4 recordings must not take the word of these away.
    return sorted(sizes.values(), reverse=True) + [1] * sessions.count(None) if sizes else []


def clips_a_day(clips: Sequence[Clip], seconds: float) -> float:
    """How many clips a day has, as they were recorded.

    Args:
        clips: (n,).
        seconds: how long one of them is.

    Returns:
        Of recordings by day and by night, a day at least without a gap of six hours, by the time
        between them; else clips by days of the calendar. nan where a clip says no time, and where
        they follow one another: then an hour has as many as it has room for.

    >>> from datetime import datetime
    >>> hourly = [Clip(Path("a"), time=datetime(2026, 3, d, h)) for d in (1, 2) for h in range(24)]
    >>> clips_a_day(hourly, 10.0), clips_a_day(hourly[:8], 10.0), clips_a_day(hourly, 3600.0)
    (24.0, 8.0, nan)
    """
    zoned = {clip.time is not None and clip.time.tzinfo is not None for clip in clips}
    times = [clip.time for clip in clips if clip.time is not None]
    if len(times) < len(clips) or len(zoned) != 1:
        return math.nan
    times.sort()
    apart = [(b - a).total_seconds() for a, b in pairwise(times)]
    short = [gap for gap in apart if gap < _NIGHT]
    if not apart or (short and sum(short) <= 1.5 * seconds * len(short)):
        return math.nan
    if len(short) == len(apart) and sum(apart) >= _DAY - sum(apart) / len(apart):
        return _DAY * len(apart) / sum(apart)
    return len(times) / len({time.date() for time in times})


def _began(time: datetime, start: float) -> datetime:
    try:
        return time - timedelta(seconds=start)
    except OverflowError:  # a clock of the year 1
        return time


def _day_of(folder: Path, machines: int = 0) -> str | None:
    """The day, or the session, that a folder and those above it are named by.

    It goes up to the first name that is a machine's, or past as many as are given.
    """
    return _day_in(Path(os.path.abspath(folder)).parts[1:], machines)  # `.` has a name, too


@lru_cache(maxsize=4096)  # a folder has many clips
def _day_in(parts: tuple[str, ...], machines: int) -> str | None:
    named: list[str] = []
    for i in range(len(parts) - 1, -1, -1):
        name, above = parts[i], parts[max(i - 2, 0) : i]
        if (day := date_of(name)) is not None:  # an hour below it is a part of it
            return day
        if is_day(name, above):
            named.insert(0, name)
        elif name.casefold() not in SIDES and names_machine(name, above):
            machines -= 1
            if machines < 0:
                break
    whole = "-".join(named)
    if _SPAN.fullmatch(whole) or all(_SPAN.fullmatch(name) for name in named):
        return None  # of how many days they are nobody knows
    return date_of(whole) or "/".join(named)  # 2024/11/04, or week 1/day03


def recording_blocks(clips: Sequence[Clip], folds: int) -> NDArray[np.int64]:
    """Which clips must share a fold: neighbouring parts of one session sound alike.

    Args:
        clips: (n,).
        folds: how many folds there will be.

    Returns:
        (n,) block numbers. A file that is one clip, of no known day, is a block. A session
        (`sessions_of`) is one block; one of more than half of the clips makes as many blocks of
        consecutive parts as there are folds, each recording in one of them if it can.
    """
    blocks: NDArray[np.int64] = np.empty(len(clips), dtype=np.int64)
    members: dict[str, list[int]] = {}
    singles: list[int] = []
    for i, name in enumerate(sessions_of(clips)):
        (singles if name is None else members.setdefault(name, [])).append(i)
    blocks[singles] = np.arange(len(singles))
    used = len(singles)
    for session in sorted(members):
        parts = members[session]
        # Neighbours in two folds judge each other: self-scores and thresholds too low. A lone
        # session must be cut all the same: without it too little is left to be held against.
        cut = 2 * len(parts) > len(clips)
        pieces = _pieces(clips, parts, folds) if cut else dict.fromkeys(parts, (0, 0))
        number = {piece: used + k for k, piece in enumerate(sorted(set(pieces.values())))}
        blocks[parts] = [number[pieces[i]] for i in parts]
        used += len(number)
    return blocks


def _pieces(clips: Sequence[Clip], parts: Sequence[int], folds: int) -> dict[int, tuple[int, int]]:
    """The piece of a session that each of its parts is in, by place; pieces follow each other."""
    recordings: dict[Path, list[int]] = {}
    # Files without a time are in the order of their names, as recorders number them.
    for i in sorted(parts, key=lambda i: (_moment(clips[i]), str(clips[i].path), clips[i].start)):
        recordings.setdefault(clips[i].path, []).append(i)
    count = min(folds, len(parts))  # a recording of three parts has no four pieces
    pieces: dict[int, tuple[int, int]] = {}
    before = 0
    for number, mine in enumerate(recordings.values(), 1):
        if 2 * len(mine) > len(clips):  # cut itself, as above
            pieces |= {i: (number, turn * count // len(mine)) for turn, i in enumerate(mine)}
        else:
            pieces |= dict.fromkeys(mine, (0, before * count // len(parts)))
        before += len(mine)
    return pieces


def _moment(clip: Clip) -> tuple[bool, float]:
    """To sort by; times of several zones are one order, those without a zone are taken for UTC."""
    if clip.time is None:
        return (False, 0.0)
    zone = clip.time.tzinfo or UTC
    return (
        True,
        (clip.time.replace(tzinfo=zone) - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds(),
    )
