"""The one interface where work is split: jobs go in, results come out in the jobs' order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Resources:
    """What a job is to be given where it is done.

    >>> Resources().encoder
    False
    """

    encoder: bool = False  # it runs an encoder: an accelerator of its own, or cores side by side
    device: str = "auto"  # of that encoder, as `Runtime.device`


class Codec(Protocol[Result]):
    """How results become bytes that outlive a process, and results again; nothing is pickled.

    A result may have pieces, one for each item of its job, so that it can be put together from
    those of other jobs: the same items need not lie in the same jobs again.

    >>> class Text(Codec[list[str]]):
    ...     def names(self, job):
    ...         return [item.encode() for item in job]
    ...     def pieces(self, result):
    ...         return [item.encode() for item in result]
    ...     def result(self, pieces):
    ...         return [piece.decode() for piece in pieces]
    >>> Text().result(Text().pieces(["the same"]))
    ['the same']
    """

    def names(self, job: Any) -> Sequence[bytes]:
        """Of a job's items, in their order: what makes them that, and nothing of their job."""

    def pieces(self, result: Result) -> Sequence[bytes]:
        """A result, a piece for each item of its job."""

    def result(self, pieces: Sequence[bytes]) -> Result:
        """What `pieces` was given, to the bit."""


class Executor(ABC):
    """Does jobs, here or elsewhere: worker processes, a cluster, shards.

    Whatever it is, results come in the jobs' order and are equal to the bit, a job is asked for
    when its turn comes, warnings of a job are given where results are taken, and what a job raises
    is raised there.

    >>> class Here(Executor):
    ...     whole = False
    ...     def run(self, task, jobs, resources=Resources(), codec=None):
    ...         yield from map(task, jobs)
    >>> list(Here().run(abs, [-1, 2]))
    [1, 2]
    """

    # Is each job done to the end, an encoder's part too? Else encoders run in this process.
    whole: ClassVar[bool]
    # Is it done in a process of its own, that has neither this one's bar nor its workers?
    apart: ClassVar[bool] = True
    # Does it put jobs off to other runs, so that this one ends without a result of its own?
    defers: ClassVar[bool] = False

    @abstractmethod
    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        resources: Resources = Resources(),
        codec: Codec[Result] | None = None,
    ) -> Generator[Result, None, None]:
        """Results of all jobs, in their order.

        Args:
            task: a function of a module, so that another process finds it.
            jobs: its arguments.
            resources: what each job needs.
            codec: of results that are kept; without one the jobs are never put off to another run.

        Raises:
            NearfarError: what a job raises, or whoever did it is gone.
        """

    def size(self, total: int, most: int) -> int:
        """How many of `total` items a job has, where it may have so many at most."""
        return most

    def deal(self, total: int, most: int) -> Iterator[slice]:
        """Which of `total` items lie in each job, where it may have `most` of them at most."""
        size = self.size(total, most)
        return (slice(first, first + size) for first in range(0, total, size))
