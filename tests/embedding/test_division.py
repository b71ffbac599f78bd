"""How clips are cut into jobs and results into groups: by clips, bytes and device."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from nearfar.embedder.behind import FarSubtracted
from nearfar.embedder.pooling import Pooled
from nearfar.embedding.chain import Chain
from nearfar.embedding.division import (
    BATCH,
    ENCODED,
    FEW,
    TOGETHER,
    Division,
    Jobs,
    divide,
    waiting_bytes,
)
from nearfar.embedding.jobs import Heard, JobResult, Prepared
from nearfar.errors import AudioError
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.workers import AHEAD
from two_step import TwoStep

ONE_STEP = Chain(nf.Near(), nf.LogMel())
TWO_STEPS = Chain(nf.Near(), TwoStep())


# ---- who reads, and how many clips at a time


@pytest.mark.parametrize("device", ["cpu", "cuda", "auto"])
@pytest.mark.parametrize("workers", [1, 3])
def test_one_step_is_divided_alike_on_every_device(device, workers):
    """Its rows are made where the clip is read: no device has a part in it."""
    runtime = Runtime(workers, device=device, batch_size=500)
    assert divide((ONE_STEP,), runtime) == Division(workers, BATCH, BATCH)


def test_an_encoder_on_the_cpu_gets_no_processes_beside_it():
    division = divide((ONE_STEP, TWO_STEPS), Runtime(8, device="cpu"))
    assert (division.workers, division.weight) == (1, None)
    assert division.clips == division.group == FEW


@pytest.mark.parametrize("wrap", [Pooled, nf.Crops, FarSubtracted], ids=lambda wrap: wrap.__name__)
def test_around_an_encoder_of_one_step_it_matters_where_the_work_is_done(wrap):
    chain = Chain(nf.Near(), wrap(nf.YAMNet("no folder")))
    assert chain.two_step
    # Crops are encoded in the second step; the others are done with a clip in the first.
    assert chain.encodes == (wrap is nf.Crops)
    division = divide((chain,), Runtime(device="cpu", workers=3))
    assert division.workers == (1 if chain.encodes else 3)


@pytest.mark.parametrize("wrap", [Pooled, FarSubtracted], ids=lambda wrap: wrap.__name__)
def test_around_one_of_two_steps_the_second_is_still_to_come(wrap):
    chain = Chain(nf.Near(), wrap(nf.EAT("no folder")))
    assert chain.encodes
    assert divide((chain,), Runtime(device="cpu", workers=3)).workers == 1


@pytest.mark.parametrize("size", [1, FEW, 7, 100])
def test_on_the_cpu_a_batch_as_large_as_was_asked_for_can_be_made(size):
    assert divide((TWO_STEPS,), Runtime(device="cpu", batch_size=size)).group == max(FEW, size)


def test_an_accelerator_is_fed_by_processes():
    assert divide((TWO_STEPS,), Runtime(3, device="cuda")) == Division(3, 1, ENCODED, TOGETHER)
    large = divide((TWO_STEPS,), Runtime(3, device="cuda:1", batch_size=200))
    assert large == Division(3, 1, 200, TOGETHER)


def test_auto_is_an_accelerator_where_there_is_one(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for here in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda here=here: here)
        assert (divide((TWO_STEPS,), Runtime(3)).workers == 3) == here


# ---- groups


@given(clips=st.integers(1, 200), weight=st.integers(0, 10**9))
def test_a_group_without_a_bound_in_bytes_is_full_by_clips_alone(clips, weight):
    assert Division(1, 4, 16).full(clips, weight) == (clips == 16)


def test_a_group_is_full_by_whichever_comes_first():
    division = Division(2, 1, 64, 1000)
    assert division.full(64, 0)
    assert division.full(1, 1000)
    assert division.full(2, 5000)  # one clip alone may be too heavy, and goes alone
    assert not division.full(63, 999)


# ---- jobs


@given(
    count=st.integers(0, 70),
    division=st.builds(
        Division,
        workers=st.integers(1, 4),
        clips=st.integers(1, 20),
        group=st.just(64),
        weight=st.none() | st.integers(1, 1000),
    ),
    heavy=st.lists(st.integers(0, 500), max_size=8),
)
def test_every_clip_is_in_one_job_in_order_whatever_they_weigh(count, division, heavy):
    jobs = Jobs(range(count), list, division)
    seen, cut = [], []
    for job in jobs:
        seen += job
        cut.append(len(job))
        if heavy:
            jobs.heaviest = max(jobs.heaviest, heavy.pop())
    assert seen == list(range(count))
    assert all(1 <= size <= max(BATCH, division.clips) for size in cut)


@given(workers=st.integers(1, 8), heaviest=st.integers(1, TOGETHER))
def test_all_jobs_in_flight_keep_to_the_weight_unless_one_clip_alone_does_not(workers, heaviest):
    jobs = Jobs(range(1000), list, Division(workers, 1, ENCODED, TOGETHER))
    cuts = iter(jobs)
    assert len(next(cuts)) == 1  # nobody knows yet what a clip weighs
    jobs.heaviest = heaviest
    size = len(next(cuts))
    flying = AHEAD * workers
    assert size == 1 or flying * size * heaviest <= TOGETHER
    # No smaller than it must be: a job of one clip more would be too heavy, or longer than a batch.
    assert size == BATCH or flying * (size + 1) * heaviest > TOGETHER


def test_a_job_is_cut_when_it_is_asked_for():
    jobs = Jobs(range(10), list, Division(1, 2, 64, 100))
    cuts = iter(jobs)
    assert next(cuts) == [0, 1]
    jobs.heaviest = 10
    assert next(cuts) == [2, 3, 4, 5, 6]


# ---- what waits


@dataclass
class Tensor:
    """As torch's: it says how many bytes it has."""

    nbytes: int = field(default=7)


def waiting(*features):
    rows = tuple(Prepared(some, b"") for some in features)
    return waiting_bytes(JobResult(Heard((), 1.0), rows))


def test_arrays_are_weighed_wherever_they_lie():
    mel = np.zeros((10, 128), np.float32)
    assert waiting(mel) == mel.nbytes == 5120
    assert waiting(Tensor()) == 7
    assert waiting([mel, mel], (mel, [mel, Tensor()])) == 4 * mel.nbytes + 7
    assert waiting([]) == 0


def test_what_is_no_array_weighs_something():
    assert waiting("a text") > 0
    assert waiting(b"bytes") > 0
    assert waiting({"a": 1}) > 0


def test_rows_that_are_done_and_clips_that_failed_wait_for_nothing():
    done = JobResult(Heard((), 1.0), (np.zeros(1000, np.float32),))
    assert waiting_bytes(done) == 0
    assert waiting_bytes(AudioError("too short")) == 0
