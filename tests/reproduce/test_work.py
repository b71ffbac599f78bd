"""What is left is done once, in turn or side by side; what fails is named."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from conftest import TINY
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedding.kept import Claims, folder_of
from nearfar.errors import NearfarError, SettingError
from nearfar.reproduce.steps import schedule as of_schedule
from nearfar.reproduce.steps.estimate import Speed, Timed, span
from nearfar.reproduce.steps.maker import Maker
from nearfar.reproduce.steps.records import WEIGHTS, Folder, Record
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.reproduce.steps.shared import Shared
from nearfar.reproduce.steps.work import Work
from nearfar.runtime.runtime import Runtime
from reproduced import Backwards, study

ESTIMATED = 100.0  # s, each step of a plan below


def plan_of(root, count):
    """A schedule of trainings that are all left, as far as `Work.all` asks."""
    folder = Folder(root / "run")
    folder.begin(resume=False)
    steps = [step for step in study().steps() if step.kind == "train"][:count]
    speed = SimpleNamespace(device="cpu")
    estimate = SimpleNamespace(seconds=[ESTIMATED] * count, speed=speed)
    return SimpleNamespace(folder=folder, steps=steps, left=steps, records={}, estimate=estimate)


def works(plan, monkeypatch, seconds):
    """Do a plan whose steps take these seconds, by key; the steps that were done, what was said."""
    done, said = [], []

    def one(_, step):
        done.append(step)
        return Record(step.name, step.key, seconds[step.key], {})

    monkeypatch.setattr(Work, "_one", one)
    Work(plan, Runtime(), "", said.append).all()
    return done, said


def test_a_step_that_another_process_has_done_since_it_was_planned_is_not_done_again(
    tmp_path, monkeypatch
):
    plan = plan_of(tmp_path, 2)
    theirs, ours = plan.left
    path = plan.folder.weights(theirs)
    path.write_bytes(b"weights")
    record = plan.folder.write(theirs, 12.0, [path], (), {}, {})
    done, _ = works(plan, monkeypatch, {theirs.key: 1.0, ours.key: 1.0})
    assert done == [ours]
    assert list(plan.records) == [theirs.key, ours.key]
    assert plan.records[theirs.key] == record


@pytest.mark.parametrize("took", [1000.0, 70.0])
def test_a_training_that_goes_on_from_a_checkpoint_does_not_count_in_the_pace(
    took, tmp_path, monkeypatch
):
    """A whole step that took twice its estimate does: the rest is said to take twice as long."""
    plan = plan_of(tmp_path, 3)
    first, second, third = plan.left
    plan.folder.weights(first).with_suffix(".checkpoint.safetensors").touch()
    _, said = works(
        plan, monkeypatch, {first.key: took, second.key: 2 * ESTIMATED, third.key: ESTIMATED}
    )
    left = [line.rsplit("; left: some ", 1)[1] for line in said]
    assert left == [span(3 * ESTIMATED), span(2 * ESTIMATED), span(2 * ESTIMATED)]


def test_a_run_that_ends_leaves_the_log_mels_of_one_at_work(tmp_path, monkeypatch):
    plan, cache = plan_of(tmp_path, 2), tmp_path / "cache"
    steps = study(("3",), seeds=1).steps()
    plan.shared = Shared.of(steps)
    plan.steps = plan.left = [step for step in steps if plan.shared.among(step)]
    (folder,) = (folder_of(cache, chain) for chain in plan.shared.chains.values())
    folder.mkdir(parents=True)
    seen = []

    def one(_, step):
        with Claims() as another:
            plan.shared.tidy(cache, [], another)  # the last that another run does
        seen.append(folder.is_dir())
        return Record(step.name, step.key, 1.0, {})

    monkeypatch.setattr(Work, "_one", one)
    Work(plan, Runtime(cache=cache), "", lambda line: None).all()
    assert seen == [True, True]
    assert not list(folder.parent.iterdir())


# ---- side by side ----------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Table 3 for two seeds, and what does its steps: next to nothing, and in `failing` nothing."""
    asked, folder, done, failing = study(("3",)), Folder(tmp_path / "run"), [], set()
    folder.begin(resume=False)

    def made(maker, step):
        if step.name in failing:
            raise SettingError(f"no luck with {step.name}")
        done.append(step.name)
        trained = [maker.folder.trained(need) for need in step.needs]
        assert None not in trained
        if step.kind == "score":
            return [], {WEIGHTS: trained}
        path = maker.folder.weights(step)
        path.write_bytes(step.name.encode())
        return [path], {}

    monkeypatch.setattr(Maker, "made", made)
    monkeypatch.setattr(of_schedule, "measure", lambda *what: Speed("cpu", {"fp32": 1e12}))
    monkeypatch.setattr(of_schedule, "_timed", lambda *what: Timed())
    weights = open_weights(TINY)

    def schedule():
        return Schedule(asked, weights, folder, Runtime(executor=Backwards()))

    def go(plan, executor=None):
        said, executor = [], executor or Backwards()
        runtime = Runtime(cache=tmp_path / "cache", executor=executor)
        try:
            Work(plan, runtime, "", said.append).all()
        finally:
            go.runs = executor.runs
        return said

    return SimpleNamespace(schedule=schedule, go=go, done=done, failing=failing, folder=folder)


def test_trainings_are_one_level_and_what_is_scored_with_them_the_next(begun):
    plan = begun.schedule()
    said = begun.go(plan)
    first = [step for step in plan.steps if not step.needs]
    then = [step for step in plan.steps if step.needs]
    assert {step.kind for step in first} == {"train", "score"}
    assert begun.go.runs == [len(first), len(then)]
    assert begun.done == [s.name for s in (*first[::-1], *then[::-1])]
    # Told in the order of the plan, however they were done.
    places = [f"[{n}/{len(plan.steps)}] {s.name}; took " for n, s in enumerate([*first, *then], 1)]
    assert [line.startswith(place) for line, place in zip(said, places, strict=True)]
    log = [json.loads(line) for line in begun.folder.log.read_text().splitlines()]
    told = [(e["event"], e["step"]) for e in log if "step" in e]
    assert told == [(what, s.name) for s in (*first, *then) for what in ("start", "done")]
    assert not begun.schedule().left
    assert not list(begun.folder.path.glob(".shared-*"))


def test_the_first_that_failed_is_named_and_the_others_are_done(begun):
    begun.failing |= {"train near, seed 1", "train mask, seed 0"}
    plan = begun.schedule()
    with pytest.raises(SettingError, match=r"^train near, seed 1 failed: no luck .* resume=True$"):
        begun.go(plan)
    lost = [s.name for s in plan.steps if any(need.name in begun.failing for need in s.needs)]
    assert lost == ["score near, seed 1", "score s1, seed 0"]
    assert sorted(begun.done) == sorted(
        step.name for step in plan.steps if step.name not in begun.failing | {*lost}
    )
    left = [*begun.failing, *lost]
    begun.failing.clear()
    begun.done.clear()
    begun.go(begun.schedule())
    assert sorted(begun.done) == sorted(left)


def test_a_worker_that_is_lost_for_good_ends_the_run_with_a_way_on(begun):
    class Lost(Backwards):
        def run(self, task, jobs, resources=None, codec=None):
            results = super().run(task, jobs, resources)
            yield next(results)
            raise NearfarError("a worker was lost")

    with pytest.raises(
        NearfarError, match=r"a worker was lost; what is done is kept.* resume=True"
    ):
        begun.go(begun.schedule(), Lost())
    before = list(begun.done)
    begun.go(begun.schedule())  # whose records were not handed over are there all the same
    assert len({*begun.done}) == len(begun.done)
    assert {*before} < {*begun.done}


def test_the_time_is_said_to_be_of_one_step_after_the_other(begun):
    plan = begun.schedule()
    assert "one step after the other" in plan.told
    plan.estimate = replace(plan.estimate, checkpoint=9.7e9)
    assert plan.told.endswith("each further training at a time takes 9.7 GB")
