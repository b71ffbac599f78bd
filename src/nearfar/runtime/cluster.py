"""Jobs on a Ray cluster: the one here, one started for this run, or one elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import Any, ClassVar

from nearfar.errors import needs
from nearfar.runtime.executor import Codec, Executor, Job, Resources, Result
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.workers import AHEAD


class Cluster(Executor):
    """Jobs as Ray tasks, results in order.

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
        remote = self._ray.remote(task)
        todo = iter(jobs)
        ahead = AHEAD * int(self._ray.cluster_resources().get("CPU", 1))
        flying = deque(remote.remote(job) for job in islice(todo, ahead))
        while flying:
            yield self._ray.get(flying.popleft())
            flying.extend(remote.remote(job) for job in islice(todo, 1))


def cluster_of(runtime: Runtime) -> Executor:
    """The cluster that a runtime's engine names, connected once.

    Raises:
        NearfarError: Ray is not installed, or there is no cluster at the address.
    """
    with needs("fleet", f"--engine {runtime.engine} needs Ray"):
        import ray
    if not ray.is_initialized():
        address = None if runtime.engine == "ray" else runtime.engine
        cpus = runtime.workers if address is None else None
        ray.init(address, num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    return Cluster(ray)
