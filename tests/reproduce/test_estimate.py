"""What a run would cost: products counted by torch, disk, times that scale with work."""

import math
from pathlib import Path

import pytest

import nearfar as nf
from nearfar.clips import Clips
from nearfar.embedder.eat.architecture import Architecture, flops
from nearfar.embedder.eat.weights import file_size
from nearfar.reproduce.steps.estimate import Cost, Speed, Timed, estimate, span
from nearfar.reproduce.steps.plan import Step
from nearfar.system.presets import LARGE
from nearfar.training.settings import FineTuning
from reproduced import study

SPEED = Speed("a device", {"fp32": 5e12, "bf16": 1e13})


def clips(count, split):
    return Clips(nf.Clip(Path(f"{split}{i}.wav"), machine="fan", split=split) for i in range(count))


def estimated(train=7000, test=1400, shape=LARGE, steps=None, workers=1, training=None, **more):
    data = {"train": clips(train, "train"), "test": clips(test, "test"), "seconds": 10.0, **more}
    asked = study(training=training, seeds=4, **data)
    steps = asked.steps() if steps is None else steps
    return estimate(steps, asked.data, shape, asked.training, SPEED, workers)


def test_products_are_those_that_torch_counts():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from nearfar.embedder.eat.model import Encoder

    shape = Architecture(64, 2, 4, 256)
    with torch.device("meta"):
        encoder = Encoder(shape).eval()
        for frames in (16, 160, 1024):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                encoder(torch.empty(1, frames, 128))
            assert flops(shape, frames) == pytest.approx(counter.get_total_flops(), rel=1e-9)


def test_disk_holds_every_trained_encoder():
    count = sum(s.kind == "train" for s in study(seeds=4).steps())
    assert count == 36
    assert estimated().disk >= 36 * 1.235e9
    assert estimated().cache == 3 * 7000 * 10 * 100 * 128 * 4  # near, mask, mask with w = 0
    assert file_size(LARGE) == pytest.approx(1.235e9, rel=0.001)
    assert estimated(steps=[s for s in study().steps() if s.kind != "train"]).disk == 0
    assert estimated().memory > 4 * 1.235e9


def times(**more):
    asked = study(seeds=4)
    found = estimated(**more)
    assert len(found.seconds) == len(asked.steps())
    assert all(math.isfinite(s) and s >= 0 for s in found.seconds)
    assert math.isfinite(found.memory)
    assert math.isfinite(found.disk)
    assert math.isfinite(found.cache)
    return dict(zip((s.name for s in asked.steps()), found.seconds, strict=True))


@pytest.mark.slow
def test_times_scale_with_work():
    base = times()
    twice = times(training=FineTuning(epochs=40))
    name = "train near, seed 1"
    saved = Cost(study().data, LARGE, FineTuning(), SPEED, 1).saving(FineTuning())
    assert twice[name] - saved == pytest.approx(2 * (base[name] - saved))
    assert times(train=14_000)[name] - saved == pytest.approx(2 * (base[name] - saved))
    assert times(seconds=20.0)[name] > 2 * base[name]
    assert base["train near, seed 0"] > base[name]  # the first one reads the clips
    assert times(workers=4)["stereo statistics"] == pytest.approx(base["stereo statistics"] / 4)


def test_a_training_waits_for_its_last_checkpoint_and_its_result():
    """In times of the encoder: weights and two moments, what is chosen or averaged, the result."""
    byte = Timed(byte=1.0)
    one = file_size(LARGE.projected())
    for settings, encoders in (
        (FineTuning(), 4),
        (FineTuning(choose="held-out"), 5),
        (FineTuning(choose="held-out", ema=0.9), 6),
        (FineTuning(lora=16), 1),
    ):
        data = study(train=clips(100, "train"), test=clips(10, "test"), training=settings).data
        cost = Cost(data, LARGE, settings, SPEED, 1, timed=byte)
        assert cost.saving(settings) == encoders * one


def test_what_is_cached_costs_nothing_twice():
    base = times()
    # But of low rank, whose checkpoint is small.
    trainings = [name for name in base if name.startswith("train") and "lora" not in name]
    plain = {base[n] for n in trainings if not n.endswith("seed 0")}
    assert max(plain) == pytest.approx(min(plain))
    first = {n.split(",")[0][6:]: base[n] for n in trainings if n.endswith("seed 0")}
    reading = {n for n, seconds in first.items() if seconds > 1.0001 * min(plain)}
    assert reading == {"near", "mask", "mask-w0"}  # one for each front end, as their log-mels
    assert base["score unit-length, seed 1"] < base["score s1, seed 1"] / 10
    assert base["score s2"] < base["score s1, seed 1"]
    assert base["score s3-dif"] < base["score s4"]


def test_each_step_s_system_is_built_once(monkeypatch):
    built, system = [], Step.system
    monkeypatch.setattr(Step, "system", lambda step, *a: built.append(step) or system(step, *a))
    asked = study(("2", "3"))
    steps = asked.steps()
    del built[:]  # what their keys are of
    cost = Cost(asked.data, LARGE, asked.training, SPEED, 1)
    for step in steps:
        cost.seconds(step)
    assert built == [step for step in steps if step.kind == "score"]


def test_a_data_set_of_one_clip_is_estimated():
    for more in ({}, {"seconds": 0.0}, {"shape": None}, {"seconds": 0.1}):
        times(train=1, test=1, **more)
    none = estimated(steps=[])
    assert none.seconds == ()
    assert [span(x) for x in (0, 1, 3000, 1e5, 1e7)] == [
        "0 s", "1 s", "50 min", "27.8 h", "115.7 days",
    ]  # fmt: skip
