"""A moving average of weights, held against its sum; trained with, judged, written and resumed."""

from dataclasses import replace

import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import QUICK, system, write_classes
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.record import Training

torch = pytest.importorskip("torch")

from nearfar.training.log import EpochLine, StepLine
from nearfar.training.loop.average import Average
from nearfar.training.run import finetune
from trainings import a_loop, tensors

CPU = nf.Runtime(device="cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = write_classes(tmp_path_factory.mktemp("classes"), source=6, target=5)
    return nf.Clips.open(folder, split="train")


def test_it_is_the_sum_that_the_definition_says():
    generator = torch.Generator().manual_seed(0)
    layer, decay = torch.nn.Linear(3, 2).double(), 0.6
    average, wanted = Average(layer, decay), layer.weight.detach().clone()
    for step in range(9):
        with torch.no_grad():
            layer.weight.copy_(torch.randn(2, 3, generator=generator, dtype=torch.float64))
        average.follow(layer, step)
        kept = min(decay, (1 + step) / (10 + step))
        wanted = kept * wanted + (1 - kept) * layer.weight.detach()
    torch.testing.assert_close(average.tensors["weight"], wanted, rtol=1e-12, atol=1e-14)


def test_it_stands_in_for_the_weights_and_gives_them_back():
    layer = torch.nn.Linear(3, 2)
    layer.bias.requires_grad_(False)  # not trained
    average = Average(layer, 0.5)
    with torch.no_grad():
        layer.weight.add_(1)
    now, mean = layer.weight.detach().clone(), average.tensors["weight"].clone()
    with average.instead(layer):
        assert torch.equal(layer.weight, mean)
    assert torch.equal(layer.weight, now)
    assert torch.equal(average.tensors["weight"], mean)
    assert list(average.tensors) == ["weight"]


@pytest.mark.parametrize("stopped", ["in an epoch", "behind the best"])
@pytest.mark.parametrize("choose", ["last", "held-out"])
@pytest.mark.slow
def test_what_is_written_is_the_average_and_a_stopped_training_ends_with_it(
    clips, tmp_path, choose, stopped
):
    settings = replace(QUICK, epochs=3, ema=0.8, choose=choose)
    whole, out = tmp_path / "whole.safetensors", tmp_path / "s1.safetensors"
    finetune(system(TINY), clips, settings, CPU, out=whole)

    best = Training.of(open_weights(whole)).provenance["best"]["epoch"]

    class Stop(Exception):
        pass

    def watch(entry):
        if stopped == "in an epoch" and isinstance(entry, StepLine) and entry.step == 4:
            raise Stop
        # The checkpoint has the best weights as the average of those it goes on with.
        if stopped != "in an epoch" and isinstance(entry, EpochLine) and entry.epoch == best:
            raise Stop

    with pytest.raises(Stop):
        finetune(system(TINY), clips, settings, CPU, out=out, watch=watch, checkpoint_minutes=0)
    finetune(system(TINY), clips, settings, CPU, out=out, resume=True)
    assert out.read_bytes() == whole.read_bytes()


def test_the_steps_are_those_of_a_training_without_it(clips, tmp_path):
    plain, averaged = (a_loop(clips, replace(QUICK, epochs=1), tmp_path) for _ in range(2))
    averaged.state.average = Average(averaged.state.learner, 0.9)
    for one in (plain, averaged):
        one.epoch()
    for a, b in zip(
        plain.state.learner.parameters(), averaged.state.learner.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    one, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    settings = replace(QUICK, epochs=1)
    finetune(system(TINY), clips, settings, CPU, out=one)
    finetune(system(TINY), clips, replace(settings, ema=0.99), CPU, out=other)
    name = "model.blocks.0.mlp.fc1.weight"
    begun, last, mean = (tensors(f)[name] for f in (TINY / "model.safetensors", one, other))
    assert 0 < abs(mean - begun).max() < abs(last - begun).max()
