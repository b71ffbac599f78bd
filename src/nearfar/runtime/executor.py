"""The one interface where work is split: jobs go in, results come out in the jobs' order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

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
    """How a result becomes bytes that outlive a process, and a result again; nothing is pickled.

    >>> class Text(Codec[str]):
    ...     def to_bytes(self, result):
    ...         return result.encode()
    ...     def from_bytes(self, content):
    ...         return content.decode()
    >>> Text().from_bytes(Text().to_bytes("the same"))
    'the same'
    """

    def to_bytes(self, result: Result) -> bytes:
        """The result, whole."""

    def from_bytes(self, content: bytes) -> Result:
        """What `to_bytes` was given, to the bit."""


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
