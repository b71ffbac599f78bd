"""One clip, and all that was found out about it: a row of the history."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

# judged: it has a score. idle: the machine was not running. unjudged: it could not be heard, or
# not be read; `warning` says why.
Status = Literal["judged", "idle", "unjudged"]
SCHEMA = 1  # of the rows as JSON has them; raised when a program that reads them could err


@dataclass(frozen=True)
class Observation:
    """What became of one clip, whatever happened to it.

    >>> from nearfar.service.incoming import now
    >>> seen = Observation(source="hall", name="fan/1.wav", path="fan/1.wav", machine="fan",
    ...                    section="00", time=None, arrived=now(), seconds=10.0, digest="9f86",
    ...                    status="idle", near_level=-71.0)
    >>> seen.as_dict()["status"], seen.anomalous
    ('idle', None)
    """

    source: str
    name: str  # for people, with its span: fan/long.wav@00:01:00-00:01:10
    path: str  # of the file; of a stream ""
    machine: str
    section: str
    time: datetime | None  # when the clip began, as its name or header says; None: nobody says
    arrived: datetime  # UTC
    seconds: float  # nan: could not be read
    # sha256, hexadecimal: of the sound at 16 kHz; of what has none (digital silence, what cannot
    # be read) of name, size and time of the file, for silence is always the same.
    digest: str
    status: Status
    score: float | None = None  # all of these None: not judged
    percentile: float | None = None  # 0–1
    p_value: float | None = None  # (1 + self-scores at or above)/(n + 1)
    threshold: float | None = None
    anomalous: bool | None = None
    nearest: str = ""  # normal clip
    near_level: float | None = None  # dBFS, rms without the mean; None: −inf or unknown
    far_level: float | None = None
    ratio: float | None = None  # near over far, dB
    coherence: float | None = None  # γ², 0–1
    faults: tuple[str, ...] = ()  # sensor health: what keeps us from hearing the machine
    warning: str = ""  # why this deserves doubt, or why it was not judged
    detector: str = ""  # identity of what judged: the first 12 digits of a sha256

    @property
    def key(self) -> tuple[str, str]:
        """The machine and section."""
        return self.machine, self.section

    @property
    def place(self) -> str:
        """The file as it can be typed where the watch runs, with the span of a part.

        Below the working folder it is relative to it; of a stream it is the name.
        """
        if not self.path:
            return self.name
        _, _, span = self.name.rpartition(os.path.basename(self.path))
        place = self.path
        # The folder may be gone; a disk of Windows may be another.
        with suppress(OSError, ValueError):
            below = os.path.relpath(place)
            place = place if below.split(os.sep)[0] == os.pardir else below
        return place + (span if span != self.name else "")

    def as_dict(self) -> dict[str, Any]:
        """One flat row for JSON, in the order people read it; times as ISO 8601."""
        row = {f.name: getattr(self, f.name) for f in fields(self)}
        row["time"] = None if self.time is None else self.time.isoformat()
        row["arrived"] = self.arrived.isoformat()
        row["seconds"] = None if self.seconds != self.seconds else self.seconds
        return row | {"faults": list(self.faults)}
