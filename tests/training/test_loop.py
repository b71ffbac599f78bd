"""The loop's arithmetic: who is heard with whom, and what stops it."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.finetune_gpu import Kernels

import nearfar as nf
from finetune_sounds import EAR, write_lengths
from nearfar.clips import Clips
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import DatasetError, SettingError
from nearfar.frontend import Near
from nearfar.runtime.runtime import Runtime
from nearfar.training import FineTuning
from nearfar.training.examples.examples import examples
from nearfar.training.learner.learner import learner
from nearfar.training.loop.checkpoint import State
from nearfar.training.loop.loop import Loop
from nearfar.training.loop.optimizer import adamw
from nearfar.training.loop.team import Team

SETTINGS = FineTuning(epochs=2, batch_size=4, held_out=0.2)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Clips of three lengths."""
    folder = tmp_path_factory.mktemp("loop")
    clips = Clips.open(write_lengths(folder / "sounds"), split="train")
    return examples(clips, Near(), EAR, SETTINGS, Runtime(cache=folder))


def made(found, report=lambda entry: None, **changes):
    settings = replace(SETTINGS, **changes)
    pupil = learner(open_weights("tests/data/eat/tiny"), len(found.classes), settings)
    return Loop(State(pupil, adamw(pupil, settings)), found, settings, Team("cpu"), report)


@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_held_out_clips_are_judged_once_by_length_and_in_small_groups(found, accumulation):
    held = [int(i) for i in np.flatnonzero(found.held_out)]
    groups = made(found, accumulation=accumulation)._groups(held)
    assert sorted(i for group in groups for i in group) == held
    for group in groups:
        assert len(group) <= 4 // accumulation
        assert len({len(found.whole(i)) for i in group}) == 1


def test_a_clip_drawn_again_is_counted(found):
    loop = made(found)
    assert loop._counted([5, 7, 5]) == [(5, 0), (7, 0), (5, 1)]
    assert loop._counted([7]) == [(7, 1)]


def kernels(loop, epoch=1):
    """Launched by forward and backward, (kernels, lengths) of each step of an epoch."""
    counted = []
    for number, batch in enumerate(loop._batches(epoch - 1)):
        loop.state.optimizer.zero_grad(set_to_none=True)
        part = loop._part([(i, 0) for i in batch], epoch, loop._place(epoch, number))
        with Kernels() as count:
            loop._backward(part, 1.0)
        counted.append((count.count, len(part.mels)))
    return counted


def test_a_batch_of_three_lengths_launches_less_than_twice_what_one_length_does(found):
    """The tiny encoder has two blocks; with 24 what is done once a length weighs less."""
    loop = made(found, batch_size=8)
    whole = replace(found, hears=nf.EAT("-", frames=64))  # all clips padded or cut to one length
    one = kernels(made(whole, batch_size=8))
    assert {lengths for _, lengths in one} == {1}
    mixed = kernels(loop)
    assert max(lengths for _, lengths in mixed) > 1
    assert max(count for count, _ in mixed) <= 2 * one[0][0]


@pytest.mark.parametrize("lengths", ["batch", "clip"])
def test_a_crops_place_is_the_batchs_or_nobodys(found, lengths):
    loop = made(found, lengths=lengths)
    places = [loop._place(2, n) for n in range(loop._each)]
    if lengths == "clip":
        assert set(places) == {None}
    else:
        assert places == [loop._place(2, n) for n in range(loop._each)]
        assert sorted(int(p * loop._each) for p in places) == list(range(loop._each))


def test_an_epoch_reports_each_step_and_itself(found):
    said = []
    loop = made(found, said.append, batch_size=6)
    line = loop.epoch()
    steps = len(loop._batches(0))
    assert [entry.step for entry in said] == list(range(1, steps + 1))
    assert {entry.steps for entry in said} == {2 * steps}
    assert (line.epoch, line.step, loop.state.epoch, loop.state.step) == (1, steps, 1, steps)
    sizes = [len(batch) for batch in loop._batches(0)]
    assert len(set(sizes)) > 1  # a clip counts the same in a small batch
    mean = np.average([entry.loss for entry in said], weights=sizes)
    assert line.loss == pytest.approx(mean)
    assert loop.state.best.epoch == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stops_and_names_the_clips(found, value):
    loop = made(found)
    loop._refuse(1.0, "loss", 1, [0])
    with pytest.raises(SettingError, match=found.clips[3].name) as error:
        loop._refuse(value, "loss", 1, [3, 4])
    assert "no checkpoint was due" in str(error.value)
    loop.state.saved = 7
    statistics = torch.tensor([[0.0, 1.0], [0.0, value]])
    loop._seen.append(([1, 2], statistics))
    with pytest.raises(SettingError, match=found.clips[2].name) as error:
        loop._refuse(value, "gradient", 2, [3])
    assert found.clips[3].name not in str(error.value)
    assert "the checkpoint of step 7 is kept" in str(error.value)


def test_batch_norm_needs_two_of_every_process(found):
    alone = replace(found, held_out=np.arange(len(found)) > 0)
    with pytest.raises(DatasetError, match="1 clips to train on, need at least 2"):
        made(alone)
