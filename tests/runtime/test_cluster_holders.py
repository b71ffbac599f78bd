"""Processes that hold a GPU: a job goes to whoever is idle, in whatever order they come."""

import time

import pytest

from clusters import two_nodes
from conftest import PATIENCE
from nearfar.runtime.executor import Resources
from nearfar.runtime.executors import executor_of
from nearfar.runtime.runtime import Runtime

pytestmark = pytest.mark.slow


def who(job):
    import os

    time.sleep(0.6 if job == 0 else 0.02)
    return job, os.getpid()


def test_each_gpu_has_one_process_that_stays_and_none_afterwards(tmp_path):
    import ray

    with two_nodes(gpus=1):
        executor = executor_of(Runtime(engine="ray"))
        for _ in range(2):  # what the first run held is free for the second
            found = list(executor.run(who, range(20), Resources(encoder=True)))
            assert [job for job, _ in found] == list(range(20))
            assert len({process for _, process in found}) <= 2
        # With a device that is the CPU nobody holds a GPU.
        assert len(list(executor.run(who, range(4), Resources(encoder=True, device="cpu")))) == 4
        latest = time.monotonic() + PATIENCE
        while ray.available_resources().get("GPU") != 2 and time.monotonic() < latest:
            time.sleep(0.05)
        assert ray.available_resources()["GPU"] == 2
