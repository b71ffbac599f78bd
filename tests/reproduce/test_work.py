"""A step is done with the weights that its key says, or not at all."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

import nearfar as nf
from conftest import TINY
from nearfar.embedding.kept import Claims, folder_of
from nearfar.errors import StorageError
from nearfar.reproduce.steps.estimate import span
from nearfar.reproduce.steps.records import Folder, Record
from nearfar.reproduce.steps.shared import Shared
from nearfar.reproduce.steps.work import Work
from nearfar.runtime.runtime import Runtime
from nearfar.scores.files import read_scores
from nearfar.study.features import choose_features
from reproduced import stub, study


def test_weights_that_changed_in_place_are_not_scored(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    (step, *_) = (s for s in study().steps() if s.kind == "train")
    path = folder.weights(step)
    shutil.copyfile(TINY / "model.safetensors", path)
    shutil.copyfile(TINY / "config.json", path.parent / "config.json")
    folder.write(step, 1.0, [path], (), {}, {})

    class Held:  # a schedule, as far as it is asked
        pass

    work = Work.__new__(Work)
    work.schedule = Held()
    work.schedule.folder = folder
    assert work._checked(step) == folder.trained(step)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="changed since it was trained"):
        work._checked(step)


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


@pytest.mark.filterwarnings("ignore::nearfar.NearfarWarning")
def test_features_chosen_on_the_data_are_those_of_the_command(dcase, tmp_path):
    """And the scores are System 4's with them."""
    train, test = (nf.Clips.open(dcase, split=split) for split in ("train", "test"))
    (step,) = (s for s in study(["readings"]).steps() if s.entry.selects)
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    data = stub(train=train, test=test)
    told = SimpleNamespace(data=data)
    plan = SimpleNamespace(folder=folder, study=told, estimate=None, keeps=False)
    work = Work.__new__(Work)
    work.schedule, work.runtime = plan, Runtime(cache=tmp_path / "cache")
    work.weights = work.frozen = ""
    _, facts = work._score(step)
    names = choose_features(dcase, work.runtime).names
    assert facts["features"] == list(names)
    system = replace(nf.s4(), embedder=nf.DIF(names))
    verdicts = nf.fit(system, train).score(test)
    wanted = {(v.clip.machine, v.clip.key): v.score for v in verdicts}
    rows = read_scores(folder.scores(step)).rows
    found = {(row.machine, row.file): row.score for row in rows}
    assert found == pytest.approx(wanted, rel=1e-9)
