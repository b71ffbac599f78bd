"""Ray clusters for tests: one of this process, and some of two nodes on loopback."""

import os
import sys
from contextlib import contextmanager

import pytest

from nearfar.runtime.cluster_connection import settle

settle()  # before anybody imports Ray


@contextmanager
def started_here(workers=2):
    """An executor on a cluster that is started for this process, whoever else has one here."""
    ray = pytest.importorskip("ray")
    from nearfar.runtime.executors import executor_of
    from nearfar.runtime.runtime import Runtime

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # jobs are of modules of tests
        try:
            yield executor_of(Runtime(engine="ray", workers=workers))
        finally:
            ray.shutdown()


@contextmanager
def two_nodes(gpus=0):
    """(a cluster of two nodes on loopback, its second node); this process knows its address."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    quiet = {"include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        head = {"num_cpus": 1, "num_gpus": gpus, **quiet}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        try:
            second = nodes.add_node(num_cpus=1, num_gpus=gpus)
            patch.setenv("RAY_ADDRESS", nodes.address)
            yield nodes, second
        finally:
            ray.shutdown()
            nodes.shutdown()
