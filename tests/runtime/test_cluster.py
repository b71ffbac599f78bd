"""A cluster: equal to the bit, processes that die, drivers that are killed, nodes unlike ours."""

import os
import signal
import sys
import time
import warnings
from collections import Counter

import numpy as np
import pytest

import nearfar as nf
from clusters import started_here
from conftest import PATIENCE, TINY, finish, refused, write_machine
from nearfar.errors import SettingError, WeightsError
from nearfar.runtime import cluster
from nearfar.runtime.executor import Resources
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.workers import AHEAD
from processes import output, python

pytestmark = pytest.mark.slow

ENCODED = nf.System(frontend=nf.Near(), embedder=nf.EAT(str(TINY), precision="fp32"))
# A front end that notes each clip it hears, and for which run.
OWN = """
import os
from dataclasses import dataclass
from pathlib import Path
import time
import nearfar as nf

@dataclass(frozen=True)
class Noting:
    folder: str
    needs = 2
    channels = 1
    fingerprint = "noting"

    def __call__(self, audio):
        time.sleep(0.05)
        name = f"{os.environ['NOTED']}-{abs(float(audio.sum())):.6f}-{time.monotonic_ns()}"
        Path(self.folder, name).touch()
        return nf.Near()(audio)
"""
# A job has few clips, so that a run that is killed had some jobs done.
DRIVER = """
import sys, warnings
from dataclasses import replace
from pathlib import Path
import nearfar as nf
from nearfar.embedding import shares
from nearfar.parts.own import user_module
if __name__ == "__main__":
    warnings.simplefilter("ignore", nf.NearfarWarning)
    own, told, data, cache, out, engine, shares.BATCH = *sys.argv[1:-1], int(sys.argv[-1])
    system = replace(nf.logmel(), frontend=user_module(Path(own)).Noting(told))
    clips = nf.Clips.open(data, split="train")
    runtime = nf.Runtime(engine=engine, workers=2, cache=cache)
    nf.fit(system, clips, runtime=runtime, any_frontend=True).save(out)
"""
JOB, SOME = 2, 24  # clips of a job; clips that are heard when it is killed


@pytest.fixture(scope="module")
def here():
    with started_here() as executor:
        yield executor


@pytest.fixture(autouse=True)
def calm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)  # of sets as small as these
        yield


def content(folder):
    """Every file of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("system", [nf.s4(), ENCODED], ids=["s4", "eat"])
def test_detectors_and_scores_are_those_of_this_machine(here, system, dcase, tmp_path):
    clips, found = nf.Clips.open(dcase, split="train"), {}
    for name, runtime in {"here": Runtime(), "there": Runtime(executor=here)}.items():
        detector = nf.fit(system, clips, runtime=runtime)
        detector.save(tmp_path / name)
        scores = detector.score(nf.Clips.open(dcase, split="test"), runtime=runtime)
        found[name] = content(tmp_path / name), scores.to_csv()
    assert found["here"] == found["there"]


def once(job):
    """Its process is killed the first time."""
    folder, number = job
    if number == 3:
        try:
            (folder / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass
    return np.full(3, number)


@pytest.mark.parametrize("encoder", [False, True])
def test_what_a_killed_process_had_is_done_again(here, encoder, tmp_path):
    jobs = [(tmp_path, n) for n in range(8)]
    found = list(here.run(once, jobs, Resources(encoder=encoder, device="cpu")))
    assert np.array_equal(found, np.repeat(np.arange(8)[:, None], 3, axis=1))
    assert (tmp_path / "killed").exists()


def test_a_node_with_another_nearfar_is_refused_with_its_name(here, monkeypatch):
    ours = cluster.stamp() | {"nearfar": "0.0.9 (abc)"}
    monkeypatch.setattr(cluster, "stamp", lambda: ours)
    refused(
        lambda: list(here.run(abs, [1, 2])),
        "node ", "has nearfar 0.1.0 (", "this machine 0.0.9 (abc)", "the same on every node",
    )  # fmt: skip


def lacking(job):
    raise WeightsError("EAT_DIR: no such folder")


def test_weights_that_a_node_lacks_are_told_with_its_name(here, monkeypatch):
    with pytest.raises(WeightsError, match=r"^EAT_DIR: no such folder"):
        list(here.run(lacking, [1]))
    reception = cluster._Reception("192.0.2.1")
    assert str(reception._named("192.0.2.9", WeightsError("gone"))) == "node 192.0.2.9: gone"


def test_a_gpu_is_not_chosen_by_number(here):
    run = here.run(abs, [1], Resources(encoder=True, device="cuda:1"))
    refused(lambda: list(run), "cuda:1", "the cluster's to say", error=SettingError)


def test_other_kernels_are_told_once():
    import ray

    reception = cluster._Reception("192.0.2.1")
    reply = ("done", "192.0.2.9", ray.cloudpickle.dumps(((1, []), "x86_64 Other")))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", nf.NearfarWarning)
        assert [reception.received(reply) for _ in range(3)] == [1, 1, 1]
    (said,) = told
    assert "192.0.2.9 multiplies by other kernels" in str(said.message)


def test_a_driver_that_is_killed_and_started_again_hears_nothing_twice(tmp_path):
    """The cache has what was done; what its processes were about when it died is heard again."""
    (tmp_path / "own.py").write_text(OWN)
    (told := tmp_path / "told").mkdir()
    write_machine(tmp_path / "data", "fan", 1, source=56, test=0)

    def start(run, engine="ray"):
        told_it = {"PYTHONPATH": os.pathsep.join(sys.path), "RAY_ADDRESS": "local", "NOTED": run}
        places = tmp_path / "own.py", told, *(tmp_path / name for name in ("data", "cache", run))
        return python(DRIVER, *places, engine, JOB, env={**os.environ, **told_it})

    def heard(run):
        return Counter(path.name.split("-")[1] for path in told.glob(f"{run}-*"))

    first = start("first")
    latest = time.monotonic() + PATIENCE
    while len(heard("first")) < SOME and first.poll() is None:
        assert time.monotonic() < latest
        time.sleep(0.01)
    first.kill()
    finish(first)
    output(start("second"))
    output(start("third", "local"))
    clips = len(nf.Clips.open(tmp_path / "data", split="train"))
    assert not (tmp_path / "first").exists()
    assert len(heard("first") | heard("second")) == clips
    assert set(heard("second").values()) == {1}
    flew = AHEAD * 2 * JOB
    assert len(heard("first") & heard("second")) <= flew
    assert sum(heard("second").values()) <= clips - SOME + flew < clips
    assert not heard("third")  # all of it is found
    assert content(tmp_path / "second") == content(tmp_path / "third")
