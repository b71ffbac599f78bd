"""Keys of steps: what changes a result changes its key, and nothing else does."""

import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest

from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask
from nearfar.reproduce.entries import (
    ENTRIES,
    FROZEN_S3,
    PAIRS,
    TABLES,
    UNTRAINED,
    encoders,
    tables_of,
)
from nearfar.reproduce.steps import plan
from nearfar.reproduce.steps.plan import seeds_of
from nearfar.training.settings import FineTuning
from reproduced import study


def keys(*args, **more):
    return {step.name: step.key for step in study(*args, **more).steps()}


def changed(**more):
    """Names of the steps whose keys a change changes."""
    before, after = keys(), keys(**more)
    assert before.keys() == after.keys()
    return {name for name, key in before.items() if after[name] != key}


def learnt(name):
    entry = ENTRIES.get(name.removeprefix("score ").split(",")[0])
    return name.startswith("train") or bool(entry and entry.encoder not in UNTRAINED)


def encoder(name):
    """Of a step that scores."""
    return ENTRIES[name[6:].split(",")[0]].encoder if name.startswith("score") else ""


OTHER = {
    "lengths": "clip", "choose": "held-out",
    "precision": "bf16", "balanced": True, "checkpointing": True, "accumulation": 2, "epochs": 7,
    "batch_size": 64, "gradient_decay": 0.5,
}  # fmt: skip


COMPARED = {
    "loss": "cosface", "adaptation": "dann", "lora": 3, "seed": 9,
    "clusters": 4, "adaptive_scale": True,  # of a loss that is none of the report's
}  # fmt: skip


@pytest.mark.parametrize("setting", [f.name for f in fields(FineTuning) if f.name not in COMPARED])
def test_every_setting_of_a_training_is_in_its_key(setting):
    value = OTHER[setting] if setting in OTHER else 0.5 * getattr(FineTuning(), setting) or 0.25
    found = changed(training=replace(FineTuning(), **{setting: value}))
    for name in keys():
        assert (name in found) == learnt(name), name


@pytest.mark.parametrize("setting", COMPARED)
def test_what_the_encoders_are_compared_for_cannot_be_set_for_all(setting):
    with pytest.raises(SettingError, match=f"training.{setting} "):
        changed(training=replace(FineTuning(), **{setting: COMPARED[setting]}))


def test_a_setting_that_one_loss_cannot_have_troubles_no_other_table():
    wide = FineTuning(margin=1.2)  # MagFace goes up to 0.98
    assert set(encoders(wide, ["mask", "near"])) == {"mask", "near"}
    distinct = {repr(replace(e, name="")) for e in encoders(FineTuning()).values()}
    assert len(distinct) == len(encoders(FineTuning()))


def test_what_a_change_of_data_or_weights_changes():
    everything = set(keys())
    scores = {name for name in everything if name.startswith("score")}
    assert changed(sha256="other") == scores
    assert changed(train_sha256="other") == (everything - scores) | {n for n in scores if learnt(n)}
    assert changed(order="far-near") == everything
    published = {n for n in scores if encoder(n) in UNTRAINED[1:]}
    assert changed(weights="other") == published | {n for n in everything if learnt(n)}


def test_an_encoder_of_its_own_changes_system_3_and_nothing_else():
    own = changed(frozen="other")
    assert own == {n for n in keys() if encoder(n) == FROZEN_S3}
    assert {"score s3", "score s3-eat", "score s3-lw-loo"} <= own
    assert not changed(frozen="published")  # the same bytes by another name
    assert changed(frozen="other", weights="another") == own | changed(weights="another")


def test_the_precision_of_what_is_scored():
    heard = {n for n in keys() if n.startswith("score") and ENTRIES[n[6:].split(",")[0]].encoder}
    assert changed(precision="bf16") == heard


@pytest.mark.slow
def test_what_changes_nothing():
    assert not changed(path=Path("other"), simulated="SIMULATED", official=True, seconds=3.0)
    assert all(keys()[name] == key for t in TABLES for name, key in keys((t,)).items())


def test_a_front_end_is_in_the_key(monkeypatch):
    masked = {**encoders(FineTuning())}
    masked["near"] = replace(masked["near"], frontend=CoherenceMask(floor=0.3))
    before = keys()
    monkeypatch.setattr(plan, "encoders", lambda base, names: masked)
    after = keys()
    assert {n for n in before if before[n] != after[n]} == {
        f"{what} near, seed {s}" for what in ("train", "score") for s in (0, 1)
    }


def test_one_more_seed_keeps_all_but_the_ensemble_of_seeds():
    before, after = keys(seeds=3), keys(seeds=4)
    assert {n for n in before if after[n] != before[n]} == {"score s2"}
    assert {n for n in after if n not in before} == {n for n in after if n.endswith("seed 3")}


@pytest.mark.parametrize("tables", [*[(t,) for t in TABLES], TABLES, ("3", "2")])
def test_steps_are_those_that_the_pairs_need_each_after_its_needs(tables):
    steps = study(tables, seeds=3).steps()
    wanted = {n for t in tables for p in PAIRS[t] for n in (p.first, p.second)}
    assert {s.entry.name for s in steps if s.entry} == wanted
    of = {ENTRIES[n].encoder for n in wanted} - set(UNTRAINED)
    assert {s.encoder.name for s in steps if s.encoder} == of
    assert sum(s.kind == "train" for s in steps) == 3 * len(of)
    assert [s.name for s in steps if s.kind == "stereo"] == ["stereo statistics"] * (
        "text" in tables
    )
    done = set()
    for step in steps:
        assert {need.key for need in step.needs} <= done
        done.add(step.key)
    assert len(done) == len({s.name for s in steps}) == len(steps)
    numbers = Counter(s.entry.name for s in steps if s.entry)
    for name, count in numbers.items():
        assert count == (3 if ENTRIES[name].seeds == "each" else 1)


def test_slugs_are_names_for_files():
    slugs = [step.slug for step in study(seeds=100).steps()]
    assert len({s.casefold() for s in slugs}) == len(slugs)
    assert all(re.fullmatch(r"[a-z0-9-]{1,60}", slug) for slug in slugs)


def test_steps_refuse_what_they_are_not():
    train, score = (next(s for s in study().steps() if s.kind == k) for k in ("train", "score"))
    assert train.settings.seed == train.seed
    with pytest.raises(SettingError):
        train.system("a", [])
    with pytest.raises(SettingError):
        score.settings  # noqa: B018
    for count in (0, -1, 101):
        with pytest.raises(SettingError, match="the report has 4"):
            seeds_of(count)
    with pytest.raises(SettingError, match="text"):
        tables_of("tex")
