"""What a detector says about clips: a table with names. High score = anomalous, always."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nearfar.clips.clip import Clip
from nearfar.errors import NearfarError, once_left_out, printable
from nearfar.files import begins, write_text
from nearfar.text import counted
from nearfar.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1  # of the rows below as JSON has them; raised when a program that reads them could err


@dataclass(frozen=True)
class Verdict:
    """What a detector says about one clip.

    >>> from pathlib import Path
    >>> from nearfar.clips import Clip
    >>> new = Clip(Path("pump/today.wav"), machine="pump")
    >>> verdict = Verdict(new, score=1.2, percentile=0.99, threshold=1.0, nearest="pump/17.wav")
    >>> verdict.anomalous, verdict.as_dict()["clip"]
    (True, 'pump/today.wav')
    """

    clip: Clip
    score: float  # unit of the system's distance; high = anomalous; nan: not judged
    percentile: float  # share of the normal clips' self-scores at or below this score, 0–1
    threshold: float  # same unit as `score`
    nearest: str  # the normal clip that sounds most like it
    warning: str = ""  # why this verdict deserves doubt, or why there is none; "" if nothing does
    p_value: float | None = None  # (1 + self-scores at or above this score)/(n + 1), 0–1

    @classmethod
    def none(cls, clip: Clip, threshold: float, reason: str) -> Verdict:
        """The row of a clip that could not be used: it was not judged, for this reason.

        >>> from pathlib import Path
        >>> from nearfar.clips import Clip
        >>> row = Verdict.none(Clip(Path("a.wav")), threshold=1.0, reason="a.wav: empty file")
        >>> row.judged, row.anomalous, row.as_dict()["score"], row.warning
        (False, False, None, 'empty file')
        """
        # Rows say whose they are: a reason that begins with the clip's name says it again.
        for name in (clip.name, str(clip.path)):
            reason = reason.removeprefix(f"{printable(name)}: ")
        return cls(clip, math.nan, math.nan, threshold, nearest="", warning=once_left_out(reason))

    @property
    def judged(self) -> bool:
        """Is there a score? Without one nobody knows whether the clip is anomalous."""
        # Both: a rule of somebody's own that gives nan is a fault to be told, no unheard clip.
        return not (math.isnan(self.score) and math.isnan(self.percentile))

    @property
    def anomalous(self) -> bool:
        """Is the score above the threshold?"""
        # Never at it: percentiles make ties, and a rate allows no more alarms than it says.
        return self.score > self.threshold

    def as_dict(self) -> dict[str, str | float | bool | None]:
        """One flat row, in the order people read it; None where nothing is known."""
        time = self.clip.time
        row: dict[str, str | float | bool | None] = {
            "machine": self.clip.machine,
            "section": self.clip.section,
            "clip": self.clip.name,
            "score": self.score,
            "percentile": self.percentile,
            # False would say that somebody listened.
            "anomalous": self.anomalous if self.judged else None,
            "threshold": self.threshold,
            "nearest": self.nearest,
            "warning": self.warning,
            # Behind what was there before it: programs may count columns.
            "time": None if time is None else time.isoformat(),
            "p_value": self.p_value,
            # Behind the rest: programs may count columns. What `clip` shortens, this opens.
            "path": str(self.clip.path),
        }
        # JSON has no nan, and in a CSV it is a number to some and a word to others.
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


# Of no clips, too, a table has its columns.
COLUMNS = tuple(Verdict.none(Clip(Path("none.wav")), math.nan, "").as_dict())


class _Lines(list[str]):
    """Lines that a csv writer wrote, each with a line feed alone behind it."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


class Scores(Sequence[Verdict]):
    """The verdicts of one run, in the order of the clips asked about.

    >>> from pathlib import Path
    >>> from nearfar.clips import Clip
    >>> said = Scores([Verdict(Clip(Path("a.wav")), 1.2, 0.99, 1.0, "b.wav")])
    >>> said, said.values.tolist()
    (<Scores: 1 clip, 1 anomalous>, [1.2])
    """

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        self._verdicts = tuple(verdicts)

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Scores: ...
    def __getitem__(self, index: int | slice) -> Verdict | Scores:
        if isinstance(index, slice):
            return Scores(self._verdicts[index])
        return self._verdicts[index]

    def __len__(self) -> int:
        return len(self._verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self._verdicts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scores) and self._verdicts == other._verdicts

    def __hash__(self) -> int:
        return hash(self._verdicts)

    def __repr__(self) -> str:
        n, silent = sum(v.anomalous for v in self), len(self) - len(self.judged)
        tail = f", {silent} not judged" if silent else ""
        return f"<Scores: {counted(len(self), 'clip')}, {n} anomalous{tail}>"

    @property
    def judged(self) -> Scores:
        """Those with a score, in the same order."""
        return Scores(v for v in self if v.judged)

    @property
    def summary(self) -> str:
        """How many of those judged are anomalous, and how many were not judged."""
        judged = self.judged
        line = f"{sum(v.anomalous for v in judged)} of {len(judged)} clips anomalous"
        # Nobody shall take a day of dead microphones for a quiet one.
        silent = len(self) - len(judged)
        return f"{line}, {silent} not judged" if silent else line

    @property
    def values(self) -> NDArray[np.float64]:
        """The scores alone, (clips,); nan for a clip that was not judged."""
        return np.array([v.score for v in self], dtype=np.float64)

    def to_pandas(self) -> Any:
        """A pandas DataFrame: one row a clip, the columns of `Verdict.as_dict`.

        Raises:
            NearfarError: pandas is not installed; nothing else here needs it.
        """
        try:
            pandas: Any = import_module("pandas")
        except ModuleNotFoundError:
            raise NearfarError(
                "to_pandas needs pandas; pip install pandas, or take csv(path)"
            ) from None
        return pandas.DataFrame([v.as_dict() for v in self])

    def csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `to_csv()` to a file, whole or not at all.

        Returns:
            The file.

        Raises:
            StorageError: it cannot be written.
        """
        write_text(Path(path), self.to_csv())
        return Path(path)

    def parquet(self, path: str | os.PathLike[str], *, detector: str = "") -> Path:
        """Write `to_parquet()` to a file, whole or not at all.

        Returns:
            The file.

        Raises:
            NearfarError: pyarrow is not installed.
            StorageError: it cannot be written.
        """
        from nearfar.scores.parquet import write_parquet

        write_parquet(Path(path), self.to_parquet(detector=detector))
        return Path(path)

    def to_parquet(self, *, detector: str = "", lasting: Sequence[bool] | None = None) -> bytes:
        """A Parquet file with the columns of `to_csv`, typed: numbers, truths, texts, a time.

        Args:
            detector: what judged, for the file's metadata.
            lasting: (clips,) does an alarm stand with each? None for no such column.

        Raises:
            NearfarError: pyarrow is not installed; nothing else here needs it.
        """
        from nearfar.scores.parquet import as_parquet

        rows = [v.as_dict() | {"time": v.clip.time} for v in self]  # as a time, not its text
        columns: dict[str, Sequence[Any]] = {n: [row[n] for row in rows] for n in COLUMNS}
        if lasting is not None:
            columns["lasting"] = lasting
        about = {"schema": str(SCHEMA), "version": __version__, "detector": detector}
        return as_parquet(columns, about)

    def to_csv(self) -> str:
        """A CSV text with a header line; floats with full precision, empty cells for nothing."""
        return as_csv([v.as_dict() for v in self], COLUMNS)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON: `schema`, the version of what follows, and a row a clip."""
        return {"schema": SCHEMA, "scores": [v.as_dict() for v in self]}


def as_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as a CSV text with a header line; each line ends in a line feed alone."""
    lines = _Lines()
    # What ends a line is quoted where it is in a name: both, for readers take either.
    writer = csv.DictWriter(lines, list(columns), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return "".join(lines)


def is_score_table(path: Path) -> bool:
    """Is a file plainly scores that we wrote, as CSV or as JSON, of any version?"""
    return begins(path, r'machine,section,clip,|\{\s*"schema": \d+,\s*"scores": \[')
