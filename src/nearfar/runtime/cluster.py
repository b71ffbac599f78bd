"""Jobs on a Ray cluster: the one here, one started for this run, or one elsewhere."""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

from nearfar.errors import NearfarError, SettingError, WeightsError, first_line, warn
from nearfar.parts.own import user_files
from nearfar.runtime.cluster_connection import connected
from nearfar.runtime.cluster_entrance import (
    ABSENT,
    OTHER,
    RAISED,
    Reply,
    Stamp,
    entrance,
    kernels,
    packed,
    stamp,
)
from nearfar.runtime.cluster_holders import Holders
from nearfar.runtime.executor import Codec, Executor, Job, Resources, Result
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.workers import AHEAD, GRACE, retold

TRIES = 3  # of a job again, where whoever did it is gone; what it raises is never tried again
ASKED = 30.0  # s for a process of the cluster to begin and to ask for jobs to be cancelled


class Cluster(Executor):
    """Jobs as Ray tasks, results in order; encoders on GPUs in processes that stay.

    >>> Cluster.whole
    True
    """

    whole: ClassVar[bool] = True

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        resources: Resources = Resources(),  # noqa: B008 - frozen
        codec: Codec[Result] | None = None,
    ) -> Generator[Result, None, None]:
        """As `Executor.run`."""
        threads = threads_here() if resources.encoder else 0
        files = user_files()
        contents = (packed(task, job, files, threads) for job in jobs)
        gpus = self._gpus(resources) if resources.encoder else 0
        with _faults_told(self._ray):
            if gpus:
                replies = Holders(self._ray, gpus, TRIES).run(stamp(), contents)
            else:
                replies = self._as_tasks(contents, max(1, threads))
            with closing(replies) as some:
                yield from map(_Reception(self._ray.util.get_node_ip_address()).received, some)

    def _gpus(self, resources: Resources) -> int:
        """GPUs of the cluster that encoders may have."""
        if resources.device.startswith("cuda:"):
            raise SettingError(
                f"device {resources.device!r}: which GPU a job gets is the cluster's to say; "
                "take --device cuda"
            )
        there = self._ray.cluster_resources().get("GPU", 0)
        return 0 if resources.device in ("cpu", "mps") else int(there)

    def _as_tasks(self, contents: Iterator[bytes], cores: int) -> Generator[Reply, None, None]:
        """Replies of jobs that each take some cores, in order."""
        ray = self._ray
        cores, slots = _slots([node["Resources"] for node in ray.nodes() if node["Alive"]], cores)
        enter = ray.remote(num_cpus=cores, max_retries=TRIES)(entrance())
        ours = stamp()

        def submit(one: bytes) -> tuple[bytes, Any]:
            return one, enter.remote(ours, one)

        flying = deque(map(submit, islice(contents, AHEAD * slots)))
        try:
            while flying:
                # No name is given to a reply: it would keep it until the next comes.
                yield self._taken(flying, submit)
                flying.extend(map(submit, islice(contents, 1)))
        finally:
            _end(ray, [reference for _, reference in flying])

    def _taken(
        self, flying: deque[tuple[bytes, Any]], submit: Callable[[bytes], tuple[bytes, Any]]
    ) -> Any:
        """The reply of the first job, which flies no more; done again where a node took it along.

        Ray does a lost task again, but now and then finds no way to its reply.
        """
        left = TRIES
        while True:
            try:
                reply = self._ray.get(flying[0][1])
                flying.popleft()
                return reply
            except self._ray.exceptions.ObjectLostError:
                if not left:
                    raise
                left -= 1
                flying[0] = submit(flying[0][0])


def cluster_of(runtime: Runtime) -> Executor:
    """The cluster that a runtime's engine names, connected once.

    Raises:
        NearfarError: Ray is not installed, or there is no cluster at the address.
    """
    return Cluster(connected(runtime.engine, runtime.workers))


def threads_here() -> int:
    """Threads that PyTorch takes here; 0 if there is none."""
    if importlib.util.find_spec("torch") is None:
        return 0
    try:
        import torch
    except (ImportError, OSError):  # damaged: whoever needs it says so
        return 0
    return int(torch.get_num_threads())


def _slots(nodes: list[dict[str, float]], cores: int) -> tuple[int, int]:
    """Cores that a job can have, and how many such jobs the nodes can do at once.

    >>> _slots([{"CPU": 4.0}, {"CPU": 8.0}], 3), _slots([{"CPU": 2.0}], 8), _slots([], 1)
    ((3, 3), (2, 1), (1, 1))
    """
    there = [int(node.get("CPU", 0)) for node in nodes]
    most = max([*there, 1])
    cores = min(cores, most)  # a job that no node has room for would wait for ever
    return cores, max(1, sum(one // cores for one in there))


def _end(ray: Any, flying: list[Any]) -> None:
    """Cancel what nobody asks for any more: told to tidy up, then ended."""
    if not flying or not ray.is_initialized():
        return
    _cancel(ray, flying)
    _, late = ray.wait(flying, num_returns=len(flying), timeout=GRACE)
    _cancel(ray, late, force=True)


def _cancel(ray: Any, flying: list[Any], *, force: bool = False) -> None:
    """Cancel jobs, by a process of the cluster that asks ours to.

    Ray has a job's task closed by a thread of its own. To cancel it from another one, just as its
    reply has come, ends the whole process ("Tried to complete task that was not pending"); what
    another process asks for, that same thread does.
    """
    if not flying:
        return
    asker = ray.remote(num_cpus=0, max_retries=0)(_asker())
    ray.wait([asker.remote(flying, force)], timeout=ASKED)


def _asker() -> Callable[[list[Any], bool], None]:
    """As `entrance`: a function that Ray sends whole."""

    def ask(flying: list[Any], force: bool) -> None:
        import ray

        for reference in flying:
            ray.cancel(reference, force=force)

    return ask


@contextmanager
def _faults_told(ray: Any) -> Iterator[None]:
    """What Ray says of jobs that it could not do, in a line."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise NearfarError(
            f"the Ray cluster gave a job up ({first_line(error)[:160]}): its process or node was "
            f"lost {TRIES + 1} times (out of memory?), or cannot begin; start again, and what is "
            "done is found in the cache"
        ) from None
    except ConnectionError as error:
        raise NearfarError(
            f"the Ray cluster is gone ({first_line(error)[:160]}); start again, and what is done "
            "is found in the cache"
        ) from None


@dataclass
class _Reception:
    """Takes what nodes send back: results, warnings, errors, and what they are like."""

    here: str
    seen: set[str] = field(default_factory=set)  # kinds of kernels that are not ours

    def received(self, reply: Reply) -> Any:
        """A job's result.

        Raises:
            NearfarError: a node with another nearfar, or without.
            Exception: what the job raised.
        """
        import ray

        kind, node, what = reply
        if kind in (ABSENT, OTHER):
            raise NearfarError(_other(node, what, stamp()))
        if kind == RAISED:
            raise self._named(node, ray.cloudpickle.loads(what))
        outcome, theirs = ray.cloudpickle.loads(what)
        if theirs != kernels() and theirs not in self.seen:
            self.seen.add(theirs)
            warn(
                f"node {node} multiplies by other kernels ({theirs}) than this machine "
                f"({kernels()}): the last bits may differ between kinds of processors"
            )
        return retold(outcome)

    def _named(self, node: str, error: Exception) -> Exception:
        """A fault of a node's own, with its name."""
        if isinstance(error, WeightsError) and node != self.here:
            return type(error)(f"node {node}: {error}")
        return error


def _other(node: str, what: Stamp | str, ours: Stamp) -> str:
    """The line on a node that is not like this one."""
    way = "install the same on every node"
    if isinstance(what, str):
        return f"node {node} cannot load nearfar {ours['nearfar']} ({first_line(what)}); {way}"
    name = next(name for name in ours if what.get(name) != ours[name])
    return f"node {node} has {name} {what.get(name)}, this machine {ours[name]}; {way}"
