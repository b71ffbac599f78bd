"""A step and a pass of the product, tried on real clips: what is tried, and what is left alone."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import nearfar as nf
from conftest import TINY, write
from finetune_sounds import write_classes
from nearfar.clips import Clips
from nearfar.embedder.crops import Crops
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat.weights import open_weights
from nearfar.reproduce.steps import timing
from nearfar.reproduce.steps.estimate import (
    BYTE,
    ClipTime,
    Cost,
    Speed,
    Timed,
    chain_key,
    training_key,
)
from nearfar.reproduce.steps.shared import Shared, chains_of
from nearfar.sound import audio
from nearfar.training import FineTuning
from nearfar.training.loop.loop import Loop
from reproduced import stub, study

NEVER = float("inf")
SETTINGS = FineTuning(batch_size=8, epochs=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    clips = Clips.open(write_classes(tmp_path_factory.mktemp("two")), split="train")
    return stub(train=clips, test=clips[:8], seconds=1.5)


def steps(kind, tables=("3",), training=SETTINGS):
    return [s for s in study(tables, seeds=2, training=training).steps() if s.kind == kind]


def test_trainings_are_timed_by_the_loop_itself_once_for_all_of_a_kind(data, monkeypatch):
    seen = []
    epoch = Loop.epoch
    monkeypatch.setattr(Loop, "epoch", lambda self: seen.append(self.settings) or epoch(self))
    few = [
        s for s in steps("train", ("3", "text")) if s.encoder.name in ("near", "cosface", "lora")
    ]
    weights = open_weights(TINY)
    found = timing.time_trainings(few, data, weights, "cpu", lambda step: 0.01)
    # Losses and seeds cost the same; a training of low rank does not. Two epochs: one warms up.
    assert len(found) == 2
    assert len(seen) == 4
    assert {s.lora for s in seen} == {0, 16}
    assert all(0 < each < 60 for each in found.values())
    assert found.keys() == {training_key(s.settings) for s in few}


def test_what_would_take_too_long_is_left_to_arithmetic(data):
    nothing = timing.time_trainings(steps("train"), data, open_weights(TINY), "cpu", lambda s: 9.0)
    assert nothing == {}
    assert timing.time_passes(steps("score"), data, str(TINY), "cpu", lambda chain: NEVER) == {}
    assert (
        timing.time_trainings(steps("train"), stub(), open_weights(TINY), "cpu", lambda s: 1) == {}
    )
    assert timing.time_passes(steps("score"), stub(), str(TINY), "cpu", lambda chain: 0.0) == {}
    assert timing.time_fronts(steps("train"), stub()) == {}


def test_passes_are_timed_once_for_what_costs_the_same(data, tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "CLIPS", 3)
    asked = steps("score")
    found = timing.time_passes(asked, data, str(TINY), "cpu", lambda chain: 0.0)
    assert len(found) == 2  # near and mask, in ten crops; weights and pooling do not matter
    assert found.keys() == {chain_key(c) for step in asked for c in chains_of(step)}
    fronts = timing.time_fronts(steps("train"), data)
    assert set(fronts) == {nf.Near(), nf.CoherenceMask()}


READ, HEARD = 1.0, 100.0  # s on a clock that only work moves: a file, a clip of an embedder


@pytest.fixture
def work(monkeypatch):
    """Such a clock in place of the machine's."""
    spent = [0.0]

    def counted(place, name, cost):
        real = getattr(place, name)

        def done(*given, **named):
            spent[0] += cost(given)
            return real(*given, **named)

        monkeypatch.setattr(place, name, done)

    counted(audio, "read_recorded", lambda given: READ)
    counted(Crops, "encode", lambda given: HEARD * len(given[1]))
    counted(DIF, "__call__", lambda given: HEARD * len(given[1]))
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: spent[0]))


def test_a_row_that_is_known_costs_what_it_takes_to_find_it(data, work, monkeypatch):
    """Of two steps a note names the sound; of one step it is read once more, and not embedded."""
    monkeypatch.setattr(timing, "CLIPS", 3)
    few = [s for s in steps("score", ("2",)) if s.name in ("score s4", "score s1, seed 0")]
    found = timing.time_passes(few, data, str(TINY), "cpu", lambda chain: 0.0)
    one_step, two_step = (
        found[chain_key(chain)]
        for name in ("score s4", "score s1, seed 0")
        for step in few if step.name == name
        for chain in chains_of(step)
    )  # fmt: skip
    assert one_step == ClipTime(prepare=READ + HEARD, encode=0.0, known=READ)
    assert two_step == ClipTime(prepare=READ, encode=HEARD, known=0.0)


def test_test_clips_that_cannot_be_judged_are_not_listened_to(data, tmp_path):
    path = write(tmp_path / "silent.wav", np.zeros((2, 24_000)))
    silent = replace(data.test[0], path=path)
    odd = replace(data, test=Clips([silent]), not_judged={silent: "silent"})
    few = [s for s in steps("score", ("2",)) if s.name == "score s4"]
    with pytest.raises(nf.NearfarError, match="silent"):
        timing.time_passes(few, replace(odd, not_judged={}), "", "cpu", lambda chain: 0.0)
    assert len(timing.time_passes(few, odd, "", "cpu", lambda chain: 0.0)) == 1


def test_a_training_is_timed_as_it_is_done(data, monkeypatch):
    """With its average of the weights, and products in its head as exact as they will be."""
    seen = []

    def epoch(self):
        exact = not torch.backends.cuda.matmul.allow_tf32
        seen.append((exact, self.state.average is not None and self.state.average.decay))

    monkeypatch.setattr(Loop, "epoch", epoch)
    for settings in (SETTINGS, replace(SETTINGS, precision="bf16", ema=0.9)):
        some = steps("train", training=settings)[:1]
        timing.time_trainings(some, data, open_weights(TINY), "cpu", lambda step: 0.01)
    assert seen == [(True, False)] * 2 + [(False, 0.9)] * 2


def test_writing_is_tried_where_the_run_will_be_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "WRITTEN", 1000)
    written = []
    real = timing.atomic_file

    def watched(path):
        written.append(path)
        return real(path)

    monkeypatch.setattr(timing, "atomic_file", watched)
    ticks = iter([0.0, 5.0])
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert timing.time_writing(tmp_path / "run" / "deep", 1e9) == 5.0 / 1000
    assert [path.is_relative_to(tmp_path) for path in written] == [True]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(timing, "standing", lambda out: tmp_path / "file")  # nothing can be written
    assert timing.time_writing(tmp_path / "run", 1e9) == BYTE


def test_measured_times_are_what_is_told(data):
    """Arithmetic only: numbers made up, each of which must appear in its step."""
    all_steps = study(("3",), seeds=2, training=SETTINGS).steps()
    trainings = {training_key(s.settings): 0.5 for s in all_steps if s.kind == "train"}
    passes = {
        chain_key(c): ClipTime(prepare=1.0, encode=10.0, known=0.1)
        for step in all_steps
        for c in chains_of(step)
    }
    fronts = {nf.Near(): 0.25, nf.CoherenceMask(): 0.75}
    shared = Shared.of(all_steps).chains
    speed = Speed("cpu", {"fp32": 1e9})

    def told(**more):
        cost = Cost(data, open_weights(TINY).architecture, SETTINGS, speed, 1, **more)
        return {step.name: cost.seconds(step) for step in all_steps}

    timed = Timed(trainings, passes, fronts, byte=0.0)
    found, clips = told(shared=shared, timed=timed), len(data.train)
    assert found["train near, seed 0"] == pytest.approx(clips * (0.25 + 3 * 0.5))
    assert found["train near, seed 1"] == pytest.approx(clips * 3 * 0.5)
    assert found["train mask, seed 0"] == pytest.approx(clips * (0.75 + 3 * 0.5))
    heard = clips + len(data.test)
    bank = found["score frozen"] - heard * 11.0
    assert 0 <= bank < 1
    # The front end is shared: the next encoder finds the log-mels of the first.
    assert found["score near, seed 0"] == pytest.approx(heard * 10.0 + bank)
    alone = told(timed=timed)
    assert alone["score near, seed 0"] == pytest.approx(heard * 11.0 + bank)


@pytest.mark.slow
def test_the_estimate_beside_what_then_happens(tmp_path, capsys):
    """Shown, not asserted: a clock on a busy machine proves nothing."""
    from nearfar.reproduce import run
    from nearfar.reproduce.steps.schedule import Schedule
    from nearfar.runtime.runtime import Runtime
    from nearfar.sim.dataset import simulate

    simulate(tmp_path / "data", "mini")
    kept = []
    begin = Schedule.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Schedule, "__init__", lambda self, *a: kept.append(self) or begin(self, *a))
        run.reproduce(
            tmp_path / "data", str(TINY), tmp_path / "run", tables=("3",), seeds=1,
            training=FineTuning(epochs=2), runtime=Runtime(device="cpu"),
        )  # fmt: skip
    plan = kept[0]
    began = time.perf_counter()
    with capsys.disabled():
        print()
        for step, seconds in zip(plan.left, plan.estimate.seconds, strict=True):
            took = plan.records[step.key].seconds
            print(f"  {step.name:<22} estimated {seconds:6.1f} s, took {took:6.1f} s")
        told, took = (
            sum(plan.estimate.seconds), sum(plan.records[s.key].seconds for s in plan.left)
        )  # fmt: skip
        print(f"  {'all':<22} estimated {told:6.1f} s, took {took:6.1f} s, {told / took - 1:+.0%}")
    assert time.perf_counter() > began
    assert told > 0
