"""Processes of a cluster that each hold a GPU, and an encoder on it, from job to job."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from typing import Any

from nearfar.runtime.cluster_entrance import Reply, Stamp, entrance
from nearfar.runtime.workers import AHEAD


class Holders:
    """One Ray actor for each GPU; the next job goes to whichever is idle first.

    Where a node is lost Ray starts its actors elsewhere, as soon as there is room. Their jobs go to
    others meanwhile: there may be no room as long as the others work.

    >>> Holders(None, gpus=4, tries=3).gpus
    4
    """

    def __init__(self, ray: Any, gpus: int, tries: int) -> None:
        self.ray, self.gpus, self.tries = ray, gpus, tries
        self._idle: list[Any] = []
        self._asked: dict[Any, Any] = {}  # reference → actor that is asked whether it is there
        self._busy: dict[Any, tuple[Any, int]] = {}  # reference → actor and the job's turn
        self._open: dict[int, bytes] = {}  # turn → job that is not done
        self._again: deque[int] = deque()  # turns of jobs whose process was lost
        self._lost: Counter[int] = Counter()  # how often each was
        self._done: dict[int, Reply] = {}

    def run(self, ours: Stamp, contents: Iterator[bytes]) -> Generator[Reply, None, None]:
        """Replies in the jobs' order.

        Args:
            ours: what every node must be like.
            contents: jobs, packed.

        Raises:
            ray.exceptions.RayActorError: a job's process was lost again and again.
        """
        actors = self._begun()
        todo = enumerate(contents)
        turn = 0
        try:
            while True:
                self._deal(ours, todo, turn)
                if turn in self._done:
                    # No name is given to a reply: it would keep it until the next comes.
                    yield self._done.pop(turn)
                    turn += 1
                elif self._open:
                    self._wait()
                elif not self._idle:
                    self._wait()  # for the first process, which may need a minute
                else:
                    return
        finally:
            if self.ray.is_initialized():
                for actor in actors:
                    self.ray.kill(actor)

    def _begun(self) -> list[Any]:
        ray, enter = self.ray, entrance()

        class Holder:
            """By value, as `entrance`; the process that it has is what holds."""

            @ray.method(max_task_retries=-1)  # type: ignore[untyped-decorator]
            def is_there(self) -> bool:
                return True

            def do(self, ours: Stamp, content: bytes) -> Reply:
                return enter(ours, content)

        # Of cores it is counted none: plain jobs would wait for them as long as it stays.
        made = ray.remote(num_gpus=1, num_cpus=0, max_restarts=-1)(Holder)
        actors = [made.remote() for _ in range(self.gpus)]
        self._asked = {actor.is_there.remote(): actor for actor in actors}
        return actors

    def _deal(self, ours: Stamp, todo: Iterator[tuple[int, bytes]], turn: int) -> None:
        """Give jobs to those who are idle, never more ahead of what is taken than is allowed."""
        while self._idle:
            if self._again:
                n = self._again.popleft()
            elif len(self._open) + len(self._done) < AHEAD * self.gpus:
                n, content = next(todo, (turn, b""))
                if not content:
                    return
                self._open[n] = content
            else:
                return
            actor = self._idle.pop()
            self._busy[actor.do.remote(ours, self._open[n])] = (actor, n)

    def _wait(self) -> None:
        """Until somebody is there, or done, or gone."""
        (reference, *_), _ = self.ray.wait([*self._busy, *self._asked], num_returns=1)
        if reference in self._asked:
            self.ray.get(reference)
            self._idle.append(self._asked.pop(reference))
            return
        actor, turn = self._busy.pop(reference)
        try:
            self._done[turn] = self.ray.get(reference)
        except self.ray.exceptions.RayActorError:
            self._lost[turn] += 1
            if self._lost[turn] > self.tries:
                raise
            self._again.append(turn)
            self._asked[actor.is_there.remote()] = actor
        else:
            del self._open[turn]
            self._idle.append(actor)
