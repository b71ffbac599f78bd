"""Machines that are fitted side by side are those that are fitted one by one."""

import warnings

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write
from nearfar.detector import fits, fitting
from nearfar.errors import DatasetError
from nearfar.runtime.executors import Processes

pytestmark = pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")

MACHINES = ("fan", "press", "pump")


@pytest.fixture
def clips(tmp_path):
    """Twelve clips of each of three machines, one of which stands out."""
    rng = np.random.default_rng(5)
    for name in MACHINES:
        for i in range(12):
            sound = machine_sound(rng)
            if (name, i) == ("fan", 3):
                sound = 0.3 * rng.standard_normal(sound.shape)
            domain = "target" if i > 8 else "source"
            write(tmp_path / name / f"train/section_00_{domain}_train_normal_{i:04d}.wav", sound)
    return nf.Clips.open(tmp_path)


def told(fit):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = fit()
    return made, [str(one.message) for one in said]


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Elsewhere(Processes):
    """Counts what is asked of it."""

    def run(self, task, jobs, *rest):
        self.__dict__.setdefault("tasks", []).append(task)
        return super().run(task, jobs, *rest)


@pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.slow)]  # processes take a second to start
)  # fmt: skip
def test_side_by_side_is_one_by_one(workers, clips, tmp_path, monkeypatch):
    alone, words = told(lambda: nf.fit(nf.s4(), clips).save(tmp_path / "alone"))
    monkeypatch.setattr(fitting, "SPLIT", 2)
    executor = Elsewhere(workers)
    runtime = nf.Runtime(executor=executor)
    beside, again = told(lambda: nf.fit(nf.s4(), clips, runtime).save(tmp_path / "beside"))
    assert bytes_of(beside) == bytes_of(alone)
    assert again == words
    assert any("fan" in line for line in words)  # what stands out comes home
    assert executor.tasks.count(fits.do_section) == 1


def test_what_a_machine_lacks_is_raised_where_it_is_asked_for(clips, monkeypatch):
    monkeypatch.setattr(fitting, "SPLIT", 2)
    few = nf.Clips(clip for i, clip in enumerate(clips) if clip.machine != "press" or i % 12 < 2)
    with pytest.raises(DatasetError, match="press"):
        nf.fit(nf.s4(), few)


def test_few_machines_stay_here(clips):
    executor = Elsewhere(1)
    nf.fit(nf.logmel(), clips, nf.Runtime(executor=executor))
    assert fits.do_section not in executor.tasks
