"""What is kept of each normal clip, so that others can be learnt and none need be heard again.

A clip leaves its rows in the bank. Beside them: of which recording it is, how loud, how long, and
how it was held out.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.training import sessions_of
from nearfar.scoring.bank import Index, Rows
from nearfar.scoring.enrich import Pool
from nearfar.sound.look import Look

if TYPE_CHECKING:
    from nearfar.embedding.jobs import Heard

# The columns of `Traces.numbers`.
NUMBERS = (
    "seconds", "near_dbfs", "far_dbfs", "ratio_db", "lr_corr", "coherence", "sample_rate",
    "near_clipped", "far_clipped", "near_zeros", "far_zeros", "moment", "is_day",
)  # fmt: skip
AT = {name: place for place, name in enumerate(NUMBERS)}


@dataclass(frozen=True, eq=False)
class Traces:
    """Of normal clips of one machine and section, in their order.

    Args:
        near: sha256 of each near channel, hexadecimal: clips of one are held out together.
        session: 32 hexadecimal digits that are the same for clips of one day or recording, which
            are held out together too; "" of a file of its own.
        numbers: (n, 13), see `NUMBERS`; nan where a clip has none.

    >>> traces = Traces(("9f", "86"), ("", ""), np.arange(26.0).reshape(2, 13))
    >>> traces.column("seconds").tolist(), len(traces.where(np.array([True, False])))
    ([0.0, 13.0], 1)
    """

    near: tuple[str, ...]
    session: tuple[str, ...]
    numbers: Rows

    def __len__(self) -> int:
        return len(self.near)

    def __repr__(self) -> str:
        return f"<Traces: {len(self)}>"

    def column(self, name: str) -> Rows:
        """(n,) one of the numbers."""
        found: Rows = self.numbers[:, AT[name]]
        return found

    def where(self, keep: NDArray[np.bool_]) -> Traces:
        """Of some of the clips, (n,) which."""
        places = np.flatnonzero(keep)
        return Traces(
            tuple(self.near[i] for i in places),
            tuple(self.session[i] for i in places),
            self.numbers[places],
        )

    def beside(self, others: Traces) -> Traces:
        """These, and then others."""
        return Traces(
            self.near + others.near,
            self.session + others.session,
            np.concatenate([self.numbers, others.numbers]),
        )

    def looks(self) -> list[Look]:
        """Each clip's look again, but for the lag of two recorders."""
        return [_look(row) for row in self.numbers]

    def sessions(self) -> Counter[str]:
        """How many clips each day or recording has, a file of its own being one.

        Nothing where all are files of their own: their sessions are not known.
        """
        if not any(self.session):
            return Counter()
        return Counter(name or f"alone {i}" for i, name in enumerate(self.session))

    def days(self) -> int:
        """How many of the sessions are days."""
        is_day = self.column("is_day") == 1
        return len({name for name, day in zip(self.session, is_day, strict=True) if name and day})


def traces_of(group: Sequence[tuple[Clip, Heard]]) -> Traces:
    """What to keep of clips that were heard, in their order."""
    clips = [clip for clip, _ in group]
    names = sessions_of(clips)
    rows = [
        _numbers(clip, what, is_day=name is not None and name != str(clip.path))
        for (clip, what), name in zip(group, names, strict=True)
    ]
    return Traces(
        tuple(what.near for _, what in group),
        tuple(_session(clip, name) for clip, name in zip(clips, names, strict=True)),
        np.array(rows, dtype=np.float64).reshape(len(group), len(NUMBERS)),
    )


def _session(clip: Clip, name: str | None) -> str:
    """Its name as a hash: a path of somebody's disk is no matter of whoever has the detector."""
    if name is None:
        return ""
    whole = os.path.abspath(name) if name == str(clip.path) else name
    return hashlib.sha256(os.fsencode(whole)).hexdigest()[:32]


def _numbers(clip: Clip, what: Heard, *, is_day: bool) -> list[float]:
    seen = what.look
    # By hand there may be no look; then no clip is judged by it.
    levels = _two(seen.levels if seen else ())
    time = clip.time
    zoned = time.replace(tzinfo=time.tzinfo or UTC) if time is not None else None
    return [
        what.seconds, *levels, what.level, what.lr_corr,
        seen.coherence if seen else math.nan,
        float(seen.sample_rate) if seen else 0.0,
        *_two(seen.clipped if seen else ()),
        *_two(seen.zeros if seen else ()),
        # Without a time the place in its recording: within one it is as good an order.
        zoned.timestamp() if zoned is not None else clip.start,
        float(is_day),
    ]  # fmt: skip


def _two(values: Sequence[float]) -> tuple[float, float]:
    both = (*values, math.nan, math.nan)  # one channel has no second
    return both[0], both[1]


def _look(row: Rows) -> Look:
    said: Mapping[str, float] = dict(zip(NUMBERS, row.tolist(), strict=True))

    def pair(kind: str) -> tuple[float, ...]:
        both = (said[f"near_{kind}"], said[f"far_{kind}"])
        return tuple(value for value in both if not math.isnan(value))

    return Look(
        said["seconds"], pair("dbfs"), said["ratio_db"], said["lr_corr"], said["coherence"],
        int(said["sample_rate"]), pair("clipped"), pair("zeros"),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Workings:
    """How a member's clips were held out, and with what, so that it can be done once more.

    Args:
        folds: (n,) the fold of each clip.
        made: how many rows each enrichment made.
        spare: (m, dim) residual rows that some fold needs and the bank has not.
        spare_of: (m, 2) the enrichment that each is for, and the clip that it was made of.

    >>> Workings(np.array([0, 1, 0]), np.zeros(0, np.int64), np.zeros((0, 4), np.float32),
    ...          np.zeros((0, 2), np.int64))
    <Workings: 2 folds>
    """

    folds: Index
    made: Index
    spare: NDArray[np.float32]
    spare_of: Index

    def __repr__(self) -> str:
        return f"<Workings: {len(np.unique(self.folds))} folds>"

    def pools(self, rows: NDArray[np.float32], origin: Index) -> list[Pool]:
        """The residual rows of each clip, for each enrichment, as the fit had them.

        Args:
            rows, origin: of the bank's made rows.
        """
        pools: list[Pool] = []
        ends = np.cumsum(self.made)
        for i, (end, count) in enumerate(zip(ends, self.made, strict=True)):
            part = slice(end - count, end)
            spare = self.spare_of[:, 0] == i
            names = np.concatenate([origin[part], self.spare_of[spare, 1]])
            both = np.concatenate([rows[part], self.spare[spare]])
            pools.append({int(o): both[names == o] for o in np.unique(names)})
        return pools


def workings_of(
    folds: Index, made: Sequence[int], pools: Sequence[Pool], rows: NDArray[np.float32],
    names: Index,
) -> Workings | None:  # fmt: skip
    """What to keep of a fit.

    Args:
        folds: (n,) of its clips.
        made: how many rows each enrichment made.
        pools: the residual rows that it had.
        rows, names: of the bank and their origins: the n real rows, and those that were made.

    Returns:
        None for enrichments of a person's own that take rows in no order.
    """
    counts = np.array(made, dtype=np.int64)
    start, spare, of = len(folds), [], []
    for i, (count, pool) in enumerate(zip(counts, pools, strict=True)):
        part = slice(start, start + int(count))
        start += int(count)
        for origin, drawn in pool.items():
            used = rows[part][names[part] == origin]
            # Each clip's rows are taken from the first on: what is left are the last ones.
            if not np.array_equal(used, drawn[: len(used)]):
                return None
            spare.append(drawn[len(used) :])
            of += [(i, origin)] * (len(drawn) - len(used))
    rest = np.concatenate(spare) if spare else np.zeros((0, rows.shape[1]), np.float32)
    return Workings(folds, counts, rest, np.array(of, dtype=np.int64).reshape(-1, 2))
