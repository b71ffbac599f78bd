"""Jobs that are done to the end have the groups that one process would have made of all clips."""

import numpy as np
import pytest

import nearfar as nf
from conftest import write
from nearfar.embedding import division
from nearfar.embedding.chain import Chain
from nearfar.embedding.rows import embed
from nearfar.embedding.shares import do_share
from nearfar.errors import AudioError
from nearfar.runtime.executor import Executor, Resources
from nearfar.runtime.runtime import Runtime
from two_step import TwoStep, overlapping


class ToTheEnd(Executor):
    """Does each job here, to the end."""

    whole = True

    def __init__(self):
        self.sizes = []

    def run(self, task, jobs, resources=Resources(), codec=None):  # noqa: B008 - frozen
        for job in jobs:
            self.sizes += [len(job.clips)] * (task is do_share)  # a look at clips is no share
            yield task(job)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return overlapping(tmp_path_factory.mktemp("shares") / "press.wav", 70)


@pytest.mark.parametrize("device", ["cpu", "auto"])
@pytest.mark.parametrize("batch", [None, 3, 10, 66])
def test_clips_are_encoded_with_those_that_they_are_encoded_with_here(
    many, batch, device, monkeypatch
):
    monkeypatch.setattr(division, "_accelerated", lambda device: False)
    chains, executor = (Chain(nf.Near(), TwoStep(4)),), ToTheEnd()
    here = Runtime(device=device, batch_size=batch)
    there = Runtime(device=device, batch_size=batch, executor=executor)
    rows = [[h.rows[0] for h in embed(many, chains, runtime)[0]] for runtime in (here, there)]
    assert np.array_equal(*rows)
    assert sum(executor.sizes) == len(many)
    assert len(executor.sizes) > 1


def test_after_a_bad_clip_no_further_job_is_begun(many, tmp_path):
    silent = nf.Clip(write(tmp_path / "silent.wav", np.zeros((1, 16_000))))
    executor = ToTheEnd()
    with pytest.raises(AudioError, match=r"silent\.wav"):
        embed([silent, *many], (Chain(nf.Near(), nf.LogMel()),), Runtime(executor=executor))
    assert len(executor.sizes) == 1
