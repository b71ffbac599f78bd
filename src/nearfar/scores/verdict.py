"""What a detector says about clips: a table with names. High score = anomalous, always."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nearfar.errors import NearfarError
from nearfar.files import write_text
from nearfar.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.clips import Clip


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
    score: float  # unit of the system's distance; high = anomalous
    percentile: float  # share of the normal clips' self-scores at or below this score, 0–1
    threshold: float  # same unit as `score`
    nearest: str  # the normal clip that sounds most like it
    warning: str = ""  # why this verdict deserves doubt; empty if nothing speaks against it
    p_value: float | None = None  # (1 + self-scores at or above this score)/(n + 1), 0–1

    @property
    def anomalous(self) -> bool:
        """Is the score above the threshold?"""
        # Never at it: percentiles make ties, and a rate allows no more alarms than it says.
        return self.score > self.threshold

    def as_dict(self) -> dict[str, str | float | bool | None]:
        """One flat row, in the order people read it."""
        return {
            "machine": self.clip.machine,
            "section": self.clip.section,
            "clip": self.clip.name,
            "score": self.score,
            "percentile": self.percentile,
            "anomalous": self.anomalous,
            "threshold": self.threshold,
            "nearest": self.nearest,
            "warning": self.warning,
            "p_value": self.p_value,
            # Behind the rest: programs may count columns. What `clip` shortens, this opens.
            "path": str(self.clip.path),
        }


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
        n = sum(v.anomalous for v in self)
        return f"<Scores: {counted(len(self), 'clip')}, {n} anomalous>"

    @property
    def values(self) -> NDArray[np.float64]:
        """The scores alone, (clips,)."""
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
                "to_pandas needs pandas; pip install pandas, or take csv()"
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

    def to_csv(self) -> str:
        """A CSV text with a header line; floats with full precision."""
        rows = [v.as_dict() for v in self]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else ["machine"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()
