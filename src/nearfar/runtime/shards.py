"""Jobs dealt out to runs of one command that know nothing of each other, and gathered again.

Each run is one shard of several: it does the jobs that fall to it, and what they gave is kept. A
last run takes all that was kept for what its own jobs would have given. So an array of a batch
system is a cluster, with nothing installed and no machine that knows another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from nearfar.errors import FormatError, SettingError, give
from nearfar.runtime import workers
from nearfar.runtime.executor import Codec, Executor, Job, Resources, Result
from nearfar.runtime.workers import Told

MOST_SHARDS = 100_000  # more tasks has no array of a batch system
_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """One of several runs that share the work, counted from 1.

    Raises:
        SettingError: a number out of range.

    >>> shard = Shard.of_text("3/16")
    >>> shard.number, shard.of, str(shard)
    (3, 16, '3/16')
    >>> Shard.of_text("17/16")
    Traceback (most recent call last):
    nearfar.errors.SettingError: shard is '17/16'; of 16 shards the first is 1/16, the last 16/16
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.of <= MOST_SHARDS:
            raise SettingError(
                f"shard is '{self}'; of shards there are 1 to {MOST_SHARDS:,}, as in 3/16"
            )
        if not 1 <= self.number <= self.of:
            raise SettingError(
                f"shard is '{self}'; of {self.of} shards the first is 1/{self.of}, the last "
                f"{self.of}/{self.of}"
            )

    @classmethod
    def of_text(cls, text: str) -> Shard:
        """The shard that a text as 3/16 names."""
        found = _SHARD.fullmatch(text)
        if found is None:
            raise SettingError(f"shard is {text!r:.60}; it is a number of how many, as in 3/16")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def mine(self) -> slice:
        """Which items fall to it: every `of`-th.

        Not a block of them: in a list the clips of a machine, or of one length, stand together, and
        so do those that are in a cache already. Every shard has some of each, and about as much to
        do as the others.

        >>> list("abcdefg")[Shard(2, 3).mine]
        ['b', 'e']
        """
        return slice(self.number - 1, None, self.of)


class Deferred(BaseException):
    """Ends a run that has done its share; no Exception, for it is no failure that one handles.

    >>> Deferred({b"a": b"1"}, []).pieces
    {b'a': b'1'}
    """

    def __init__(self, pieces: Mapping[bytes, bytes], told: Sequence[Told]) -> None:
        super().__init__("the rest is left to the other shards")
        self.pieces = pieces  # by the names of their items
        self.told = told  # warnings of the jobs


class OneShard(Executor):
    """Does a shard's jobs, and then ends the run: there is no result without the other shards.

    The jobs are done one after the other, each with all workers, so one for each shard is best.

    >>> class Texts:
    ...     def names(self, job): return [b"%d" % job]
    ...     def pieces(self, result): return [b"%d" % result]
    ...     def result(self, pieces): return int(pieces[0])
    >>> try:
    ...     list(OneShard(Shard(2, 2)).run(abs, [-1, -2, -3], codec=Texts()))
    ... except Deferred as end:
    ...     print(end.pieces)
    {b'-2': b'2'}
    """

    whole: ClassVar[bool] = True
    apart: ClassVar[bool] = False
    defers: ClassVar[bool] = True

    def __init__(self, shard: Shard, workers: int = 1) -> None:
        self.shard, self.workers = shard, workers

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        resources: Resources = Resources(),  # noqa: B008 - frozen
        codec: Codec[Result] | None = None,
    ) -> Generator[Result, None, None]:
        """As `Executor.run`; of jobs whose results are kept, the shard's own.

        Raises:
            Deferred: behind the last result, if there is a codec.
        """
        if codec is None:
            yield from workers.run(task, jobs, self.workers)
            return
        pieces: dict[bytes, bytes] = {}
        told: list[Told] = []
        for place, job in enumerate(jobs):
            if place % self.shard.of == self.shard.number - 1:
                result = _heeded(task, job, told)
                pieces.update(zip(codec.names(job), codec.pieces(result), strict=True))
                yield result
        raise Deferred(pieces, told)

    def deal(self, total: int, most: int) -> Iterator[slice]:
        """One job for each shard, whatever its size; see `Shard.mine`."""
        return (Shard(number, self.shard.of).mine for number in range(1, self.shard.of + 1))


class Gathered(Executor):
    """Gives what shards have kept; whose results were not kept is done here.

    >>> from nearfar.runtime.executor import Resources
    >>> list(Gathered({}).run(abs, [-1, 2]))
    [1, 2]
    """

    whole: ClassVar[bool] = True
    apart: ClassVar[bool] = False

    def __init__(
        self, pieces: Mapping[bytes, bytes], told: Sequence[Told] = (), workers: int = 1
    ) -> None:
        self._pieces, self._told, self.workers = pieces, list(told), workers

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        resources: Resources = Resources(),  # noqa: B008 - frozen
        codec: Codec[Result] | None = None,
    ) -> Generator[Result, None, None]:
        """As `Executor.run`; of jobs whose results are kept none is done.

        Raises:
            FormatError: an item that is in no part.
        """
        if codec is None:
            yield from workers.run(task, jobs, self.workers)
            return
        for job in jobs:
            result = codec.result([self._piece(name) for name in codec.names(job)])
            while self._told:  # once: an item's jobs are others than they were
                workers.tell(*self._told.pop(0))
            yield result

    def _piece(self, name: bytes) -> bytes:
        if name not in self._pieces:
            raise FormatError(
                "the parts lack a clip as it is heard here: if the detector there has another "
                "channel order, write to another place, or run the shards with order=…"
            )
        return self._pieces[name]


def _heeded(task: Callable[[Job], Result], job: Job, told: list[Told]) -> Result:
    """A job's result; its warnings are given, and noted."""
    with workers.job_warnings() as held:
        result = task(job)
    for said in held:
        told.append((str(said), said.about))
        give(said)
    return result
