"""A cluster of two nodes on loopback that loses one: the same bytes, and no traceback."""

import os
import time
import warnings

import numpy as np
import pytest

import nearfar as nf
from clusters import two_nodes
from conftest import PATIENCE
from nearfar.runtime.executor import Resources
from nearfar.runtime.executors import executor_of

pytestmark = pytest.mark.slow


def content(folder):
    """Every file of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def slowly(job):
    """Says where it is done, and takes a moment."""
    import ray

    folder, number, seconds = job
    node = ray.get_runtime_context().get_node_id()
    (folder / f"{node}-{number}-{os.getpid()}").touch()
    time.sleep(seconds)
    return np.full(50_000, number, np.float32)  # so many stay on the node until they are taken


def nodes_of(folder):
    return {path.name.partition("-")[0] for path in folder.iterdir()}


def troubled(capfd):
    """Was a traceback shown? A remark of Ray's own on the node (`(raylet) …`) may come or not."""
    return any("Traceback" in written for written in capfd.readouterr())


def lose(nodes, second, folder):
    """The second node, once it has work."""
    latest = time.monotonic() + PATIENCE
    while second.node_id not in nodes_of(folder):
        assert time.monotonic() < latest
        time.sleep(0.02)
    nodes.remove_node(second, allow_graceful=False)


def test_jobs_of_a_node_that_is_lost_are_done_by_the_other(tmp_path, capfd):
    """With GPUs, that are only said to be there, processes that stay are lost with it."""
    with two_nodes(gpus=1) as (nodes, second):
        runtime = nf.Runtime(engine="ray", workers=2)
        jobs = [(tmp_path, n, 0.4) for n in range(14)]
        results = executor_of(runtime).run(slowly, jobs, Resources(encoder=True))
        assert next(results)[0] == 0
        lose(nodes, second, tmp_path)
        assert [result[0] for result in results] == list(range(1, 14))
    assert not troubled(capfd)


def test_a_fit_that_loses_a_node_has_the_same_bytes(dcase, tmp_path, capfd):
    import threading

    clips = nf.Clips.open(dcase, split="train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)
        nf.fit(nf.s4(), clips).save(tmp_path / "here")
        with two_nodes() as (nodes, second):
            begun = threading.Event()

            def progress(what, done, of):
                if what == "listening" and done and not begun.is_set():
                    begun.set()
                    nodes.remove_node(second, allow_graceful=False)

            runtime = nf.Runtime(engine="ray", progress=progress)
            nf.fit(nf.s4(), clips, runtime=runtime).save(tmp_path / "there")
            assert begun.is_set()
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert not troubled(capfd)
