"""Which log-mels of a run are shared, what they take on disk, and when they go."""

from pathlib import Path

import pytest

import nearfar as nf
from nearfar.clips import Clips
from nearfar.embedding.kept import Claims, folder_of
from nearfar.reproduce.steps.shared import Shared, chains_of
from reproduced import stub, study


def clips(count, split):
    return Clips(nf.Clip(Path(f"{split}{i}.wav"), machine="fan", split=split) for i in range(count))


def of(tables, seeds=4):
    steps = study(tables, seeds=seeds).steps()
    return steps, Shared.of(steps)


def test_near_and_both_masks_are_shared_and_a_lone_encoder_is_not():
    steps, shared = of(("text",))
    fronts = {repr(chain.frontend) for chain in shared.chains.values()}
    assert len(shared.chains) == 2  # the mask, and the mask with w = 0
    assert all("CoherenceMask" in front for front in fronts)
    by_name = {step.name: step for step in steps}
    wanting = [n for n, step in by_name.items() if shared.among(step)]
    assert len(wanting) == 4 * 11  # System 1 and ten variants of it, for four seeds
    assert not shared.among(by_name["score s3"])  # EAT alone at full length: one encoder
    assert not shared.among(by_name["score s3-dif"])
    assert not shared.among(by_name["train mask, seed 0"])
    _, of_3 = of(("3",), seeds=1)
    assert len(of_3.chains) == 1  # frozen and fine-tuned, both near; with the mask one encoder
    assert not of(("1",))[1].chains


def test_bytes_are_of_what_lies_there_at_one_time():
    data = stub(train=clips(700, "train"), test=clips(140, "test"), seconds=10.0)
    steps, shared = of(("3", "text"))
    crops = next(iter(shared.chains.values())).embedder
    frames = sum((last - first) / 160 for first, last in crops.places(160_000))
    one = 840 * frames * 128 * 4
    assert 3.5e6 < one / 840 < 4.5e6  # ten crops of 60 to 100 %
    order = [{repr(p[0]) for p in shared.among(s)} for s in steps]
    first = {f: min(i for i, some in enumerate(order) if f in some) for f in set().union(*order)}
    last = {f: max(i for i, some in enumerate(order) if f in some) for f in first}
    most = max(sum(first[f] <= i <= last[f] for f in first) for i in range(len(steps)))
    assert shared.bytes(steps, data) == pytest.approx(most * one)
    assert shared.bytes([], data) == 0


def test_what_no_step_wants_any_more_goes(tmp_path):
    steps, shared = of(("3", "text"), seeds=2)
    folders = {p: folder_of(tmp_path, chain) for p, chain in shared.chains.items()}
    for folder in folders.values():
        folder.mkdir(parents=True)
    with Claims() as claims:
        for n in range(len(steps) + 1):
            shared.tidy(tmp_path, steps[n:], claims)
            wanted = {p for step in steps[n:] for p in shared.among(step)}
            assert {p for p, folder in folders.items() if folder.exists()} == wanted
    assert not any(folder.exists() for folder in folders.values())


def test_of_two_runs_with_one_cache_neither_removes_what_the_other_still_wants(tmp_path):
    steps, shared = of(("3",), seeds=1)
    (folder,) = (folder_of(tmp_path, chain) for chain in shared.chains.values())
    folder.mkdir(parents=True)
    with Claims() as one, Claims() as other:
        shared.tidy(tmp_path, steps, one)
        shared.tidy(tmp_path, steps, other)
        shared.tidy(tmp_path, [], one)
        assert folder.is_dir()
        shared.tidy(tmp_path, [], other)
        assert not folder.exists()


def test_chains_are_those_of_a_systems_members():
    steps = {step.name: step for step in study(("2",), seeds=4).steps()}
    assert len(chains_of(steps["score s2"])) == 4
    assert len(chains_of(steps["score s3"])) == 2
    assert chains_of(steps["train mask, seed 1"]) == ()
