"""The parts of `nearfar reproduce`: what data and weights it takes, keys, records, figures, cells.

The full command is in test_reproduce.py. Here each part meets bad input, and its numbers are
computed again by other means.
"""

import csv
import gzip
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

import nearfar as nf
from conftest import SHARED, TINY, machine_sound, write
from nearfar.clips import Clips
from nearfar.embedder.eat.architecture import Architecture, flops
from nearfar.embedder.eat.weights import file_size, open_weights
from nearfar.errors import (
    AudioError,
    DatasetError,
    FormatError,
    SettingError,
    StorageError,
    WeightsError,
)
from nearfar.frontend import CoherenceMask
from nearfar.metrics import official as metrics
from nearfar.metrics.comparison import compare
from nearfar.metrics.evaluation import RULES
from nearfar.metrics.official import Drawn
from nearfar.reproduce import data as of_data
from nearfar.reproduce.data import Data, check_weights, hashed, look
from nearfar.reproduce.entries import ENTRIES, PAIRS, TABLES, Difference, encoders, tables_of
from nearfar.reproduce.reported import SYSTEMS, load
from nearfar.reproduce.steps import plan, records
from nearfar.reproduce.steps.estimate import Speed, estimate, span
from nearfar.reproduce.steps.plan import Request, seeds_of
from nearfar.reproduce.steps.records import Folder
from nearfar.reproduce.tables import configurations as table_1
from nearfar.reproduce.tables.configurations import configurations
from nearfar.reproduce.tables.numbers import Figures, Number, _over_seeds, figures
from nearfar.reproduce.tables.table import DASH, Table, per_cent, points
from nearfar.reproduce.tables.tables import TABLE_2, Tables
from nearfar.scores.files import read_scores, write_scores
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.system.presets import LARGE, PRESETS, Preset
from nearfar.training.settings import FineTuning

REPORT = load()
OFFICIAL = REPORT.data.machines


# ---- the recordings ------------------------------------------------------------------------------


def official_names():
    """Machine/split/file of the development set: the real names where they are at hand."""
    gold = SHARED / "gold" / "dcase2026" / "file_names.txt.gz"
    if gold.is_file():
        with gzip.open(gold, "rt") as file:
            names = [line.strip() for line in file]
        return [name for name in names if name.split("/")[0] in OFFICIAL]
    kinds = [("train", "source", "normal", 990), ("train", "target", "normal", 10)]
    kinds += [("test", d, k, 50) for d in ("source", "target") for k in ("normal", "anomaly")]
    return [
        f"{machine}/{split}/section_00_{domain}_{split}_{label}_{i:04d}_noAttribute.wav"
        for machine in OFFICIAL for split, domain, label, count in kinds for i in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    """The development set's names with nothing in them: `look` reads names only."""
    root = tmp_path_factory.mktemp("development") / "dev_data"
    for machine in OFFICIAL:
        for split in ("train", "test"):
            (root / machine / split).mkdir(parents=True)
    for name in official_names():
        (root / name).touch()
    return root


@contextmanager
def renamed(old, new):
    old.rename(new)
    try:
        yield
    finally:
        new.rename(old)


@contextmanager
def added(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield
    finally:
        path.unlink()


def refused(call, *words, kind=DatasetError):
    """It raises one line with these words."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message or ": " in message  # what, which value, way out
    for word in words:
        assert word in message, message


def test_the_official_set_is_known_by_its_names(development):
    extra = development / "ToyDrone" / "train" / "section_00_source_train_normal_0000_x.wav"
    with added(extra):  # of the additional training set: no test clips, so no part of anything
        data = look(development)
    extra.parent.rmdir()
    extra.parent.parent.rmdir()
    assert data.official
    assert not data.simulated
    assert data.machines == tuple(sorted(OFFICIAL))
    assert (len(data.train), len(data.test)) == (7000, 1400)
    assert data.train.machines == data.machines
    assert len(data.truth.rows) == 1400
    assert {c.label for c in data.test} == {"normal", "anomaly"}


def test_it_can_be_taken_as_other_data(development):
    assert not look(development, any_data=True).official


def test_a_missing_machine(development):
    with renamed(development / "fan", development / ".fan"):
        refused(lambda: look(development), "has no fan;", "--any-data")
    with renamed(development / "fan" / "train", development / "fan" / ".train"):
        refused(lambda: look(development), "has no fan;")
        refused(lambda: look(development, any_data=True), "no training clips of fan, section 00")


def test_another_years_machine_and_an_extra_one(development):
    with renamed(development / "bearingEmu", development / "bearing"):
        refused(lambda: look(development), "has no bearingEmu, but bearing;", "2026")
    (development / "gearbox").symlink_to(development / "fan")
    try:
        refused(lambda: look(development), "has gearbox too;", "alone", "--any-data")
    finally:
        (development / "gearbox").unlink()


def test_other_numbers_of_clips(development):
    first = min((development / "fan" / "train").glob("*source*"))
    with renamed(first, first.with_name("." + first.name)):
        refused(lambda: look(development), "fan: 989 clips of train, source, normal", "990")
    for name, told in (
        ("test/section_00_target_test_anomaly_9999_x.wav", "51 clips of test, target, anomaly"),
        ("train/section_00_train_normal_9999_x.wav", "1 clips of train, no domain, normal"),
        ("train/section_00_source_train_anomaly_9999_x.wav", "1 clips of train, source, anomaly"),
    ):
        with added(development / "valveEmu" / name):
            refused(lambda: look(development), "valveEmu: " + told, "--any-data")


def test_a_test_clip_without_label(development):
    with added(development / "fan" / "test" / "section_00_0000.wav"):
        for any_data in (False, True):
            refused(lambda a=any_data: look(development, any_data=a), "section_00_0000", "no label")


@pytest.mark.parametrize("place", ["itself", "a folder above", "a CSV"])
def test_simulated_data_never_pass_for_the_official_set(development, tmp_path, place):
    """The simulated sets have the official machines and counts: only the manifest tells."""
    path = {"itself": development, "a folder above": development.parent}.get(place)
    if path is None:
        path = tmp_path / "list.csv"
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "machine", "split", "domain", "label", "attributes"])
            for clip in Clips.open(development):
                label = clip.label or "normal"
                rows.writerow(
                    [clip.path, clip.machine, clip.split, clip.domain, label, clip.attributes]
                )
        assert look(path).official
    manifest = development / "manifest.json"
    manifest.write_text(json.dumps({"label": "SIMULATED full, version 1, seed 0"}))
    try:
        data = look(path)
    finally:
        manifest.unlink()
    assert data.simulated == "SIMULATED full, version 1, seed 0"
    assert not data.official


def test_other_data_only_when_asked_for(dcase):
    refused(lambda: look(dcase), "has no ToyCar,", "but pump", "--any-data")
    data = look(dcase, any_data=True)
    assert not data.official
    assert data.machines == ("fan", "pump")
    refused(lambda: look(dcase / "nowhere", any_data=True), "nowhere")


def csv_of(path, clips, /, **changes):
    """A list of clips; `changes` are columns for the first one."""
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(
            file, ["path", "far", "start", "stop", "machine", "split", "domain", "label"]
        )
        rows.writeheader()
        for n, clip in enumerate(clips):
            row = {
                "path": clip.path, "far": clip.far, "machine": clip.machine, "split": clip.split,
                "domain": clip.domain, "label": clip.label,
            }  # fmt: skip
            rows.writerow({**row, **(changes if n == 0 else {})})
    return path


def test_anomalies_are_not_trained_on(dcase, tmp_path):
    clips = [replace(c, label=c.label or "normal") for c in Clips.open(dcase)]
    clips.sort(key=lambda c: c.split != "train")
    path = csv_of(tmp_path / "list.csv", clips, label="anomaly")
    refused(lambda: look(path, any_data=True), "labelled anomalous")


def test_one_proxy_class_is_nothing_to_train_on(dcase, tmp_path):
    clips = [
        replace(c, label=c.label or "normal", domain="source", attributes="")
        for c in Clips.open(dcase) if c.machine == "fan"
    ]  # fmt: skip
    path = csv_of(tmp_path / "list.csv", clips)
    with pytest.raises(DatasetError):
        look(path, any_data=True)


def small(root, any_data=True):
    return hashed(look(root, any_data=any_data))


@pytest.fixture
def copy(dcase, tmp_path):
    root = tmp_path / "elsewhere" / "set"
    shutil.copytree(dcase, root)
    return root


def test_hashes_are_of_content_and_names_not_of_places(dcase, copy, tmp_path):
    here, there = small(dcase), small(copy)
    assert (here.sha256, here.train_sha256) == (there.sha256, there.train_sha256)
    assert here.sha256 != here.train_sha256
    assert here.seconds == pytest.approx(1.5)
    clips = [replace(c, label=c.label or "normal") for c in Clips.open(dcase)]
    forth = csv_of(tmp_path / "a.csv", clips)
    back = csv_of(tmp_path / "b.csv", clips[::-1])
    assert small(forth).sha256 == small(back).sha256
    assert small(forth).train_sha256 == small(back).train_sha256


def test_one_byte_one_name_one_label_is_another_set(dcase, copy, tmp_path):
    before = small(copy)
    test = min((copy / "fan" / "test").iterdir())
    content = bytearray(test.read_bytes())
    content[-1] ^= 1
    test.write_bytes(content)
    changed = small(copy)
    assert changed.train_sha256 == before.train_sha256  # a test clip is no part of a training
    assert changed.sha256 != before.sha256
    train = min((copy / "fan" / "train").iterdir())
    train.rename(train.with_name(train.name.replace("_0000_", "_0099_")))
    assert small(copy).train_sha256 != before.train_sha256
    clips = [replace(c, label=c.label or "normal") for c in Clips.open(dcase)]
    clips.sort(key=lambda c: (c.split != "test", c.label != "normal"))
    plain = small(csv_of(tmp_path / "a.csv", clips))
    turned = small(csv_of(tmp_path / "b.csv", clips, label="anomaly"))
    assert plain.train_sha256 == turned.train_sha256
    assert plain.sha256 != turned.sha256


def test_what_cannot_be_heard_is_named(copy):
    clip = min((copy / "fan" / "test").iterdir())
    whole = clip.read_bytes()
    sound = machine_sound(np.random.default_rng(0))

    def bad(*words):
        refused(lambda: small(copy), clip.name, *words, kind=AudioError)

    write(clip, sound[:1])
    bad("one channel", "2026")
    write(clip, np.concatenate([sound, sound]))
    bad("4 channels")
    clip.write_bytes(whole[: len(whole) // 2])
    bad()
    clip.write_bytes(b"no sound")
    bad()
    clip.write_bytes(b"")
    bad()
    clip.unlink()
    clip.symlink_to(clip.with_name("gone.wav"))
    bad()


def test_near_and_far_files(dcase, tmp_path):
    clips, rng = [], np.random.default_rng(0)
    for c in Clips.open(dcase):
        sound, name = machine_sound(rng), f"{c.machine}_{c.path.name}"
        near, far = (tmp_path / side / name for side in ("near", "far"))
        write(near, sound[:1])
        write(far, sound[1:])
        clips.append(replace(c, path=near, far=far, label=c.label or "normal"))
    path = csv_of(tmp_path / "list.csv", clips)
    before = small(path)
    assert before.seconds == pytest.approx(1.5)
    swapped = csv_of(tmp_path / "swapped.csv", clips, path=clips[0].far, far=clips[0].path)
    assert small(swapped).sha256 != before.sha256
    write(clips[3].far, machine_sound(rng)[1:])
    assert small(path).sha256 != before.sha256
    write(clips[3].far, machine_sound(rng))
    refused(lambda: small(path), "1 and 2 channels", kind=AudioError)


def test_a_recording_of_many_clips_is_read_once(tmp_path, monkeypatch):
    whole = machine_sound(np.random.default_rng(0), seconds=20)
    path = write(tmp_path / "whole.wav", whole)
    clips = Clips(
        nf.Clip(path, start=float(s), stop=None if s == 19 else s + 1.0, machine="fan")
        for s in range(20)
    )
    read, sha256 = [], of_data.file_sha256
    monkeypatch.setattr(of_data, "file_sha256", lambda p: read.append(p) or sha256(p))
    data = hashed(replace(stub(), train=clips, test=clips[:1]))
    assert read == [path]
    assert data.seconds == pytest.approx(1.0)
    assert data.train_sha256 != data.sha256


# ---- the weights ---------------------------------------------------------------------------------


def test_only_published_weights(tmp_path):
    pytest.importorskip("torch")
    from trained_file import make_trained

    trained = str(make_trained(tmp_path / "a.safetensors"))
    for official in (False, True):
        refused(
            lambda o=official: check_weights(trained, o), "a.safetensors", "published",
            kind=WeightsError,
        )  # fmt: skip
    refused(lambda: check_weights(str(TINY), True), "EAT-large", "--any-data", kind=WeightsError)
    assert check_weights(str(TINY), False).architecture.dim < LARGE.dim
    refused(lambda: check_weights(str(tmp_path / "b"), False), "no such", kind=WeightsError)


@pytest.mark.parametrize(
    ("shape", "fine"),
    [
        (LARGE, True),
        (replace(LARGE, classes=527), True),  # fine-tuned on AudioSet by its authors
        (replace(LARGE, depth=12), False),
        (replace(LARGE, heads=8), False),
        (Architecture(768, 12, 12, 3072), False),
    ],
)
def test_the_reports_encoder_is_eat_large(monkeypatch, shape, fine):
    weights = replace(open_weights(TINY), architecture=shape)
    monkeypatch.setattr(of_data, "open_weights", lambda reference: weights)
    if fine:
        assert check_weights("x", True) is weights
    else:
        refused(lambda: check_weights("x", True), "EAT-large", kind=WeightsError)
    assert check_weights("x", False) is weights


def test_a_trained_file_without_its_record_is_no_published_one(monkeypatch):
    weights = replace(open_weights(TINY), architecture=LARGE.projected())
    monkeypatch.setattr(of_data, "open_weights", lambda reference: weights)
    refused(lambda: check_weights("x", False), "published", kind=WeightsError)


# ---- the plan ------------------------------------------------------------------------------------


def stub(**changes):
    data = Data(
        Path("data"), Clips(), Clips(), Truth(()), None, "near-far", "", False, "train", "all", 10.0
    )
    return replace(data, **changes)


def study(tables=TABLES, seeds=2, training=None, weights="published", precision="fp32", **data):
    training = training or FineTuning()
    return Request(tuple(tables), seeds_of(seeds), training, stub(**data), weights, precision)


def keys(*args, **more):
    return {step.name: step.key for step in study(*args, **more).steps()}


def changed(**more):
    """Names of the steps whose keys a change changes."""
    before, after = keys(), keys(**more)
    assert before.keys() == after.keys()
    return {name for name, key in before.items() if after[name] != key}


def learnt(name):
    entry = ENTRIES.get(name.removeprefix("score ").split(",")[0])
    return name.startswith("train") or bool(entry and entry.encoder not in ("", "published"))


OTHER = {
    "precision": "bf16", "balanced": True, "checkpointing": True, "accumulation": 2, "epochs": 7,
    "batch_size": 64,
}  # fmt: skip
COMPARED = {"loss": "cosface", "adaptation": "dann", "lora": 3, "seed": 9}


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
    published = {n for n in scores if ENTRIES[n[6:].split(",")[0]].encoder == "published"}
    assert changed(weights="other") == published | {n for n in everything if learnt(n)}


def test_the_precision_of_what_is_scored():
    heard = {n for n in keys() if n.startswith("score") and ENTRIES[n[6:].split(",")[0]].encoder}
    assert changed(precision="bf16") == heard


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
    of = {ENTRIES[n].encoder for n in wanted} - {"", "published"}
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


# ---- records -------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path):
    """A folder with one training done."""
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    step = next(s for s in study().steps() if s.kind == "train")
    folder.weights(step).write_bytes(b"weights")
    folder.write(step, 1.5, [folder.weights(step)], ["careful"], {"loss": 0.5}, {"nearfar": "1"})
    return folder, step


def test_a_step_is_done_while_its_files_are_as_they_were(finished):
    folder, step = finished
    record = folder.done(step)
    assert (record.name, record.key, record.seconds) == (step.name, step.key, 1.5)
    assert record.warnings == ["careful"]
    assert folder.done(replace(step, key="0" * 64)) is None
    assert folder.done(replace(step, key=step.key[:12] + "0" * 52)) is None  # an equal slug
    path = folder.weights(step)
    for content in (b"weight", b"weightz", b"", b"weights "):
        path.write_bytes(content)
        assert folder.done(step) is None
    path.write_bytes(b"weights")
    assert folder.done(step) == record
    path.unlink()
    assert folder.done(step) is None
    path.mkdir()
    assert folder.done(step) is None


def test_a_large_file_is_known_by_its_size(finished, monkeypatch):
    folder, step = finished
    monkeypatch.setattr(records, "LARGE", 3)
    folder.weights(step).write_bytes(b"weightz")
    assert folder.done(step) is not None
    folder.weights(step).write_bytes(b"weight")
    assert folder.done(step) is None


@pytest.mark.parametrize(
    "damage",
    [
        "", "{", "null", "[]", "3", '"x"', "\x00\xff", "[" * 100_000, "half", {"files": []},
        {"files": {"a": 3}}, {"files": {"a": [1]}}, {"files": None}, {"seconds": "long"},
        {"versions": [1]}, {"facts": None}, {"warnings": "x"}, {"finished": None},
    ],
    ids=lambda d: str(d)[:20],
)  # fmt: skip
def test_a_damaged_record_is_no_record(finished, damage):
    folder, step = finished
    path = folder.path / "steps" / f"{step.slug}.json"
    whole = json.loads(path.read_text())
    if damage == "half":
        path.write_text(path.read_text()[:100])
    elif isinstance(damage, dict):
        path.write_text(json.dumps({**whole, **damage}))
    else:
        path.write_bytes(damage.encode("latin-1"))
    assert folder.done(step) is None
    folder.clear(step)
    assert not path.exists()
    # Hours of training: finetune sees by itself whether they are of this training. Files that
    # a record names, and that are not what it says, go.
    whole_record = isinstance(damage, dict) and set(damage) == {"files"} and damage["files"]
    assert folder.weights(step).exists() == (not whole_record)


def test_a_disk_that_does_not_answer_is_no_damage(finished, monkeypatch):
    folder, step = finished

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    for owner, name, asked in (
        (Path, "read_text", folder.done),
        (records, "file_sha256", folder.clear),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            with pytest.raises(StorageError, match="look at the disk"):
                asked(step)
    assert folder.weights(step).exists()
    assert folder.done(step) is not None


def test_a_disk_without_locks_is_worked_on_with_a_warning(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    with pytest.warns(nf.NearfarWarning, match="no locks"), folder.locked():
        pass


def test_a_field_of_tomorrow_costs_no_training(finished):
    folder, step = finished
    path = folder.path / "steps" / f"{step.slug}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "joules": 3}))
    assert folder.done(step).seconds == 1.5


def test_clearing_keeps_a_training_that_was_stopped(finished):
    folder, step = finished
    (folder.path / "steps" / f"{step.slug}.json").unlink()
    folder.clear(step)
    assert folder.weights(step).exists()  # finished, and killed before the record was written


def test_folders(tmp_path):
    def both(path, resume, kind, *words):
        for act in (Folder(path).check, Folder(path).begin):
            refused(lambda a=act: a(resume), str(path), *words, kind=kind)

    file = tmp_path / "file"
    file.touch()
    both(file, False, StorageError)
    both(file / "below", False, StorageError)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.doc").touch()
    both(foreign, True, StorageError)
    assert [p.name for p in foreign.iterdir()] == ["thesis.doc"]
    (tmp_path / "empty" / ".DS_Store").parent.mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    Folder(tmp_path / "empty").check(False)
    run = tmp_path / "deep" / "run"
    Folder(run).check(False)
    assert not run.parent.exists()  # checking writes nothing
    Folder(run).begin(False)
    both(run, False, StorageError, "--resume")
    Folder(run).check(True)
    Folder(run).begin(True)
    for text, word in (
        ('{"nearfar reproduce": 99}', "upgrade"), ("{", "damaged"), ("[]", "damaged"),
        ('{"nearfar reproduce": "x"}', "damaged"), ("", "damaged"), ("3", "damaged"),
    ):  # fmt: skip
        (run / "run.json").write_text(text)
        for resume in (False, True):
            both(run, resume, FormatError, word)


HOLDER = """
import sys
from pathlib import Path
from nearfar.reproduce.steps.records import Folder
with Folder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_the_lock_dies_with_it(finished):
    folder, _ = finished
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder.path], **pipes) as held:
        try:
            assert held.stdout.readline() == b"held\n"
            with pytest.raises(StorageError, match="another process"), folder.locked():
                pass
        finally:
            held.kill()
    with folder.locked():
        pass
    with folder.locked():
        pass


# ---- figures -------------------------------------------------------------------------------------

KINDS = [(d, k) for d in ("source", "target") for k in ("normal", "anomaly")]


def labels(machines=("fan", "pump"), sections=("00", "01"), each=7):
    return Truth(
        tuple(
            LabelledFile(m, s, f"{d}_{k}_{i:02d}.wav", d, k)
            for m in machines for s in sections for d, k in KINDS for i in range(each)
        )
    )  # fmt: skip


def drawn_scores(truth, rng, shift=0.5):
    return ScoreTable(
        tuple(
            ScoredFile(r.machine, r.section, r.file, rng.standard_normal() + shift * bad)
            for r in truth.rows
            for bad in [r.label == "anomaly"]
        )
    )


def by_hand(table, truth):
    """Machine → its sections' AUC(s), AUC(t), pAUC, by scikit-learn."""
    found = {}
    score = {(r.machine, r.section, r.file): r.score for r in table.rows}
    for machine, section in dict.fromkeys((r.machine, r.section) for r in truth.rows):
        rows = [r for r in truth.rows if (r.machine, r.section) == (machine, section)]
        bad = np.array([r.label == "anomaly" for r in rows])
        target = np.array([r.domain == "target" for r in rows])
        scores = np.array([score[machine, section, r.file] for r in rows])
        source, other = (bad | ~target), (bad | target)
        found.setdefault(machine, []).append([
            roc_auc_score(bad[source], scores[source]), roc_auc_score(bad[other], scores[other]),
            roc_auc_score(bad, scores, max_fpr=0.1),
        ])  # fmt: skip
    return found


@pytest.fixture(scope="module")
def several():
    """Two entries of three seeds, one without, one equal to another."""
    truth, rng = labels(), np.random.default_rng(5)
    scores = {name: [drawn_scores(truth, rng, 0.8) for _ in range(n)]
              for name, n in (("a", 3), ("b", 3), ("c", 1))}  # fmt: skip
    monotone = [ScoreTable(tuple(replace(r, score=2 * r.score + 7) for r in t.rows))
                for t in scores["a"]]  # fmt: skip
    scores["twin"] = monotone
    return truth, scores, figures(scores, truth, None, draws=300)


def pair(first, second):
    return Difference("", first, second)


def test_numbers_are_those_of_scikit_learn(several):
    truth, scores, found = several
    assert found.titles == ("AUC(s)", "AUC(t)", "pAUC")
    assert found.symbol == "Ω"
    for name, tables in scores.items():
        hands = [by_hand(table, truth) for table in tables]
        omegas = [hmean(np.concatenate([np.array(v) for v in h.values()]).ravel()) for h in hands]
        number = found.omega(name)
        assert number.seeds == pytest.approx(omegas)
        assert number.value == pytest.approx(np.mean(omegas))
        assert number.interval[0] < number.value < number.interval[1]
        for seed, hand in enumerate(hands):
            assert found.omega(name, seed).seeds == pytest.approx([omegas[seed]])
            for machine, values in found.machines(name, seed).items():
                assert values == pytest.approx(np.mean(hand[machine], axis=0))
    one, other = by_hand(scores["a"][0], truth), by_hand(scores["b"][0], truth)
    number = found.machine("a", "pump", 2, "b")
    assert number.value == pytest.approx(
        np.mean(one["pump"], axis=0)[2] - np.mean(other["pump"], axis=0)[2]
    )
    assert number.interval[0] <= number.value <= number.interval[1]


def test_one_seed_is_the_plain_bootstrap_to_the_bit(several):
    truth, scores, found = several
    for name in ("a", "c"):
        plain = metrics.evaluate(scores[name][0], truth, draws=300)
        assert (found.omega(name, 0).value, found.omega(name, 0).interval) == (
            plain.score, plain.interval,
        )  # fmt: skip
    alone = figures({"a": [scores["a"][0]], "c": scores["c"]}, truth, None, draws=300)
    number = alone.difference(pair("a", "c"))
    plain = compare(scores["a"][0], scores["c"][0], truth, draws=300)
    assert (number.value, number.interval) == (plain.difference, plain.interval)


def test_seeds_are_compared_one_by_one(several):
    _, _, found = several
    a, b, c = (found.omega(n).seeds for n in "abc")
    both = found.difference(pair("a", "b"))
    assert both.seeds == pytest.approx(np.subtract(a, b))
    assert both.value == pytest.approx(np.mean(a) - np.mean(b))
    back = found.difference(pair("b", "a"))
    assert back.interval == pytest.approx([-both.interval[1], -both.interval[0]])
    assert found.difference(pair("a", "c")).seeds == pytest.approx(np.array(a) - c[0])
    assert found.difference(pair("c", "a")).seeds == pytest.approx(c[0] - np.array(a))


def test_equal_systems_differ_by_nothing_in_every_draw(several):
    _, _, found = several
    for other in ("a", "twin"):  # a monotone map of scores changes no figure
        number = found.difference(pair("a", other))
        assert number == Number(0.0, (0.0, 0.0), (0.0, 0.0, 0.0))
        assert not number.distinguishable


def test_another_number_of_seeds_is_no_pair(several):
    truth, scores, _ = several
    odd = figures({"a": scores["a"], "b": scores["b"][:2]}, truth, None, draws=5)
    with pytest.raises(DatasetError, match="3 and 2 seeds"):
        odd.difference(Difference("a over b", "a", "b"))


@pytest.mark.parametrize("count", [2, 3, 4, 10])
def test_the_spread_of_a_mean_over_seeds_is_s_squared_over_n(count):
    """Without noise of the clips the draws' variance is the textbook's of a mean."""
    seeds = np.random.default_rng(count).standard_normal(count)
    draws = _over_seeds(np.repeat(seeds[:, None], 200_000, axis=1))
    assert draws.var() == pytest.approx(seeds.var(ddof=1) / count, rel=0.03)
    assert draws.mean() == pytest.approx(seeds.mean(), abs=0.01)


def test_both_kinds_of_noise_add_up():
    """Clips move all seeds alike, seeds differ: the variances are added."""
    rng = np.random.default_rng(0)
    seeds, clips = rng.standard_normal(4), rng.standard_normal(100_000)
    draws = _over_seeds(seeds[:, None] + 0.7 * clips)
    assert draws.var() == pytest.approx(seeds.var(ddof=1) / 4 + 0.49, rel=0.03)


def test_distinguishable_is_an_interval_without_zero():
    for interval, yes in (
        ((-1.0, 1.0), False), ((0.0, 0.0), False), ((0.0, 1.0), False), ((-1.0, 0.0), False),
        ((0.1, 1.0), True), ((-1.0, -0.1), True),
    ):  # fmt: skip
        assert Number(0.0, interval, (0.0,)).distinguishable == yes
    assert Number(0.5, (0.4, 0.6), (0.5,)).holds(0.6)
    assert not Number(0.5, (0.4, 0.6), (0.5,)).holds(0.61)


# ---- tables --------------------------------------------------------------------------------------

SEEDS = (0, 1, 2, 3)


def made(values, rule="omega", machines=OFFICIAL, seeds=SEEDS, noise=0.0):
    """Figures whose entries have given numbers: name → (machines, figures), 0–1."""
    places, rows = {}, []
    for name, value in values.items():
        count = len(seeds) if ENTRIES[name].seeds == "each" else 1
        places[name] = list(range(len(rows), len(rows) + count))
        rows += [value] * count
    points_ = np.array(rows, dtype=float)
    rng = np.random.default_rng(0)
    drawn = points_[:, None] + noise * rng.standard_normal((len(rows), 40, *points_.shape[1:]))
    return Figures(places, Drawn(RULES[rule], tuple(machines), points_, drawn))


def of_report(system):
    cells = REPORT.table2.machines
    return [[cells[m][f][system] / 100 for f in ("AUC(s)", "AUC(t)", "pAUC")] for m in OFFICIAL]


def like_report(noise=0.0):
    """Table 2's own numbers; every other entry has one of its own everywhere."""
    flat = {name: np.full((7, 3), 0.5 + 0.01 * n) for n, name in enumerate(ENTRIES)}
    flat["frozen"], flat["near"] = np.full((7, 3), 0.5627), np.full((7, 3), 0.6207)
    return made({**flat, **{n: of_report(s) for n, s in TABLE_2.items()}}, noise=noise)


def all_tables(found, reported, seeds=SEEDS):
    maker = Tables(found, reported, seeds, FineTuning(), 42)
    return {t.name: t for name in TABLES for t in maker.make(name)}


def cells(table):
    """Rows of the Markdown as dictionaries by place; escaped bars are no borders."""
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    head, rule, *body = rows
    assert all(re.fullmatch(r"-+:?", c) for c in rule)
    assert {len(row) for row in rows} == {len(head)} == {len(table.columns)}
    return head, body


def number(text):
    return float(text.replace("−", "-").replace("≤ ", ""))


def test_the_reports_own_numbers_differ_from_the_report_by_nothing():
    found = all_tables(like_report(), REPORT)
    head, body = cells(found["table2"])
    assert head[2:14:3] == list(SYSTEMS)
    assert len(body) == 7 * 3 + 2
    for row in body[:-2]:
        for n in range(4):
            own, theirs, minus = row[2 + 3 * n : 5 + 3 * n]
            assert own == theirs == f"{REPORT.table2.machines[row[0]][row[1]][SYSTEMS[n]]:.2f}"
            assert minus == "0.00"
    omegas = body[-2]
    assert omegas[:2] == ["all", "Ω"]
    for n, system in enumerate(SYSTEMS):
        assert omegas[3 + 3 * n] == f"{REPORT.table2.omega[system]:.2f}"
        assert abs(number(omegas[4 + 3 * n])) <= 0.01
    _, single = cells(found["table2-text"])
    assert [abs(number(row[-2])) <= 0.05 for row in single] == [True] * 4
    _, ablation = cells(found["table3"])
    assert [row[-3] for row in ablation] == ["56.27", "62.07", "64.41"]
    assert [abs(number(row[-2])) <= 0.011 for row in ablation] == [True] * 3


def test_above_the_report_is_plus():
    better = like_report()
    better.drawn.figures[better.places["s4"]] += 0.05
    _, body = cells(all_tables(better, REPORT)["table2"])
    assert {row[13] for row in body[:-2]} == {"+5.00"}
    assert {row[4] for row in body[:-2]} == {"0.00"}
    head, body = cells(all_tables(better, REPORT)["2-differences"])
    rows = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert rows["System 1 over System 4"]["report"] == "+2.26"  # 64.41 − 62.15
    assert rows["System 3 over System 4"]["report"] == "+0.19"
    assert number(rows["System 1 over System 4"]["Δ"]) < 0
    assert rows["System 4 over the floor"]["report"] == DASH


def test_ours_minus_the_reports_everywhere():
    """In cells, in points; in the JSON, shares: 0–1."""
    shown = 0
    for table in all_tables(like_report(noise=0.02), REPORT).values():
        head, body = cells(table)
        data = table.to_data().get("comparisons") or table.to_data().get("rows")
        if data is None:
            continue
        for row, told in zip(body, data, strict=True):
            row = dict(zip(head, row, strict=True))
            value = told["difference"] if "difference" in told else told["value"]
            own = row.get("points") or row["Ω, %"]
            assert number(own) == pytest.approx(100 * value, abs=0.0051)
            assert abs(value) < 1
            if told.get("report") is None:
                assert row["Δ"] == DASH
                no_gain = "no" if told["interval"][0] > 0 else "yes"
                assert row["report within"] == (no_gain if "relation" in told else DASH)
                assert row["report"] in (DASH, "no gain")
                assert "ours_minus_report" not in told or told["ours_minus_report"] is None
                continue
            shown += 1
            assert row["report within"] == ("yes" if told["report_within"] else "no")
            assert 0 < abs(told["report"]) < 1
            assert told["ours_minus_report"] == pytest.approx(value - told["report"])
            assert number(row["report"]) == pytest.approx(100 * told["report"], abs=1e-9)
            assert number(row["Δ"]) == pytest.approx(
                100 * value - number(row["report"]), abs=0.0051
            )
            low, high = told["interval"]
            inside = low <= told["report"] and (
                told["report"] <= high or told.get("relation") == "at most"
            )
            assert row["report within"] == ("yes" if inside else "no")
    assert shown >= 20


def test_claims_without_an_equals_sign():
    head, body = cells(all_tables(like_report(), REPORT)["text-differences"])
    rows = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert rows["DANN over none"]["report"] == "≤ +0.2"
    assert rows["MixStyle over none"]["report"] == "no gain"
    assert rows["MixStyle over none"]["Δ"] == DASH
    # Ours: dann is far below System 1, so it is at most 0.2 points above it.
    assert number(rows["DANN over none"]["points"]) < 0
    assert rows["DANN over none"]["report within"] == "yes"


def test_tables_without_the_report_do_not_speak_of_it():
    found = all_tables(like_report(noise=0.02), None)
    assert "table2-text" not in found
    for table in found.values():
        cells(table)
        for text in (table.markdown(), json.dumps(table.to_data())):
            assert not re.search("report|Δ(?!Ω)|Morita", text), table.name


def test_json_says_what_the_cells_say():
    table = all_tables(like_report(noise=0.02), REPORT)["table2"]
    data = json.loads(json.dumps(table.to_data(), allow_nan=False))
    head, body = cells(table)
    places = {**{n: 2 + 3 * i for i, n in enumerate(TABLE_2)}, "logmel": 14}
    for row in body[:-2]:
        for name, place in places.items():
            value = data["figures"][name][row[0]][row[1]]
            assert number(row[place]) == pytest.approx(100 * value, abs=0.0051)
            if name != "logmel":
                theirs = data["report_figures"][name][row[0]][row[1]]
                assert number(row[place + 1]) == pytest.approx(100 * theirs)
                minus = data["figures_minus_report"][name][row[0]][row[1]]
                assert minus == pytest.approx(value - theirs)
    for name, place in places.items():
        told = data["omega"][name]
        assert number(body[-2][place]) == pytest.approx(100 * told["value"], abs=0.0051)
        low, high = body[-1][place].split(" to ")
        assert [number(low), number(high)] == pytest.approx(
            [100 * v for v in told["interval"]], abs=0.0051
        )
    assert head[14] == "floor (log-mel)"


@pytest.mark.parametrize("rule", ["2020", "2021"])
def test_data_of_other_rules_have_tables_too(rule):
    """Without domains there is no Ω: found out before the last hour of a run, not in it."""
    shape = (2, len(RULES[rule].figures))
    values = {name: np.full(shape, 0.5 + 0.01 * n) for n, name in enumerate(ENTRIES)}
    found = all_tables(made(values, rule, ("fan", "pump"), (0,)), None, (0,))
    _, body = cells(found["table2"])
    titles = {"2020": ["AUC", "pAUC"], "2021": ["AUC(s)", "AUC(t)", "pAUC(s)", "pAUC(t)"]}[rule]
    assert [row[1] for row in body] == [*titles, *titles, "score", "95 % interval"]


def test_one_seed_reads_well():
    values = {name: np.full((7, 3), 0.6) for name in ENTRIES}
    found = all_tables(made(values, seeds=(0,)), None, (0,))
    text = "\n".join(t.markdown() for t in found.values())
    assert "1 seeds" not in text
    assert not re.search(r"nan|inf\b|[−+]0\.00\b", text)
    assert {row[4] for row in cells(found["text-differences"])[1]} == {"no"}


def test_cells():
    assert per_cent(0.64412) == "64.41"
    assert per_cent(None) == points(None) == DASH
    assert [points(x) for x in (0.0, -0.0, -1e-6, 1e-6, 4.9e-5, -4.9e-5)] == ["0.00"] * 6
    assert [points(x) for x in (0.1, -0.1, 5.1e-5, -5.1e-5)] == [
        "+10.00",
        "−10.00",
        "+0.01",
        "−0.01",
    ]
    assert [points(x, 1) for x in (4e-4, -4e-4, -6e-4, 0.01)] == ["0.0", "0.0", "−0.1", "+1.0"]
    odd = Table("x", "X", ["", "a|b"], [["one\ntwo | three", "4"]])
    assert cells(odd) == (["", "a\\|b"], [["one two \\| three", "4"]])


# ---- Table 1 -------------------------------------------------------------------------------------


def columns(reported=None, seeds=4, training=None):
    _, body = cells(configurations(training or FineTuning(), reported, seeds))
    return {row[0]: dict(zip(SYSTEMS, row[1:], strict=True)) for row in body}


def test_table_1_says_what_the_report_says():
    ours = columns()
    assert list(ours) == [row.step for row in REPORT.table1]
    for system in ("S1", "S2"):
        assert ours["Preprocess"][system] == "coherence mask"
        assert ours["Feature"][system] == "EAT, fine-tuned, 10 crops"
        assert ours["Training"][system] == "ArcFace"
        assert ours["Augmentation"][system] == "temporal crops"
        assert ours["Scoring"][system] == "cosine, k = 1"
    for system in ("S3", "S4"):
        assert "mask" not in ours["Preprocess"][system]
        assert ours["Training"][system] == "none, 0 parameters"
        assert ours["Augmentation"][system] == "residual augmentation + pseudo-target"
    assert ours["Feature"]["S3"] == "DIF, 120 + EAT, frozen"
    assert ours["Feature"]["S4"] == "DIF, 120"
    assert ours["Scoring"]["S3"] == "weighted euclidean, k = 3 (1, −0.35, −0.05)"
    assert ours["Scoring"]["S4"] == "euclidean, k = 1"
    assert ours["Ensemble"] == {
        "S1": "single", "S2": "ZScore, mean of 4 seeds", "S3": "Percentile, 0.60 to 0.40",
        "S4": "single",
    }  # fmt: skip


def test_table_1_stands_above_the_reports():
    _, body = cells(configurations(FineTuning(), REPORT, 4))
    assert [row[0] for row in body[::2]] == [row.step for row in REPORT.table1]
    for row, theirs in zip(body[1::2], REPORT.table1, strict=True):
        assert row == ["– report", *theirs.systems.values()]


def test_table_1_would_show_another_preset(monkeypatch):
    def other(weights):
        system = nf.s3(weights)
        rule = nf.KNN(weights=(1.0, 0.5), metric="cosine")
        eat = replace(system.members[1], rule=rule, frontend=CoherenceMask())
        return replace(system, members=(system.members[0], eat), weights=(0.5, 0.5))

    before = columns()
    presets = {**PRESETS, "s3": Preset(other, encoders=1)}
    monkeypatch.setattr(table_1, "PRESETS", presets)
    after = columns()
    assert "weighted cosine, k = 2 (1, 0.5)" in after["Scoring"]["S3"]
    assert "coherence mask" in after["Preprocess"]["S3"]
    assert after["Ensemble"]["S3"] == "Percentile, 0.50 to 0.50"
    assert all(after[step]["S4"] == before[step]["S4"] for step in before)
    assert columns(training=FineTuning(loss="magface"))["Training"]["S1"] == "MagFace"
    assert columns(seeds=1)["Ensemble"]["S2"] == "ZScore, one seed"


# ---- the estimate --------------------------------------------------------------------------------

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


def test_times_scale_with_work():
    base = times()
    twice = times(training=FineTuning(epochs=40))
    name = "train near, seed 1"
    assert twice[name] == pytest.approx(2 * base[name])
    assert times(train=14_000)[name] == pytest.approx(2 * base[name])
    assert times(seconds=20.0)[name] > 2 * base[name]
    assert base["train near, seed 0"] > base[name]  # the first one reads the clips
    assert times(workers=4)["stereo statistics"] == pytest.approx(base["stereo statistics"] / 4)


def test_what_is_cached_costs_nothing_twice():
    base = times()
    trainings = [name for name in base if name.startswith("train")]
    plain = {base[n] for n in trainings if not n.endswith("seed 0")}
    assert max(plain) == pytest.approx(min(plain))
    first = {n.split(",")[0][6:]: base[n] for n in trainings if n.endswith("seed 0")}
    reading = {n for n, seconds in first.items() if seconds > 1.0001 * min(plain)}
    assert reading == {"near", "mask", "mask-w0"}  # one for each front end, as their log-mels
    assert base["score unit-length, seed 1"] < base["score s1, seed 1"] / 10
    assert base["score s2"] < base["score s1, seed 1"]
    assert base["score s3-dif"] < base["score s4"]


def test_a_data_set_of_one_clip_is_estimated():
    for more in ({}, {"seconds": 0.0}, {"shape": None}, {"seconds": 0.1}):
        times(train=1, test=1, **more)
    none = estimated(steps=[])
    assert none.seconds == ()
    assert [span(x) for x in (0, 1, 3000, 1e5, 1e7)] == [
        "0 s", "1 s", "50 min", "27.8 h", "115.7 days",
    ]  # fmt: skip


# ---- score files ---------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
letters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff")
stems = st.text(letters, min_size=1, max_size=20).map(str.strip).filter(bool)


def key(row):
    return row.machine, row.section, row.file


@settings(max_examples=150, deadline=None)
@given(rows=st.dictionaries(stems, st.tuples(finite, st.booleans()), min_size=1, max_size=6),
       decided=st.booleans())  # fmt: skip
def test_scores_are_read_back_to_the_bit(tmp_path_factory, rows, decided):
    folder = tmp_path_factory.mktemp("scores")
    table = ScoreTable(
        tuple(
            ScoredFile("fan_b, c", f"{n % 2:02d}", f"{name}#{n}.wav", score, d if decided else None)
            for n, (name, (score, d)) in enumerate(rows.items())
        )
    )
    paths = write_scores(folder, table)
    assert sorted(folder.iterdir()) == sorted(paths)
    back = [replace(r, where="") for r in read_scores(folder).rows]
    assert sorted(back, key=key) == sorted(table.rows, key=key)
    for ours, theirs in zip(sorted(table.rows, key=key), sorted(back, key=key), strict=True):
        assert math.copysign(1, ours.score) == math.copysign(1, theirs.score)


@pytest.mark.parametrize("score", [5e-324, -1.7e308, 1e308, 0.1 + 0.2, -0.0, np.float64(0.1), 3])
def test_any_number_is_written_in_full(tmp_path, score):
    write_scores(tmp_path, ScoreTable((ScoredFile("fan", "00", 'a "b", c.wav', score),)))
    (row,) = read_scores(tmp_path).rows
    assert row.score == float(score)
    assert row.file == 'a "b", c.wav'


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": "a/b"}, {"machine": "a\\b"}, {"machine": ""}, {"machine": ".."  "/x"},
        {"machine": "a\nb"}, {"machine": "a\0b"}, {"machine": "\udcff"}, {"section": "a_b"},
        {"section": "x_section_01"}, {"section": ""}, {"section": "a/b"}, {"file": ""},
        {"file": " a.wav"}, {"file": "a.wav "}, {"file": "a\nb.wav"}, {"file": "a\rb.wav"},
        {"file": "\ufeffa.wav"}, {"file": "\udcff.wav"}, {"score": float("nan")},
        {"score": float("-inf")},
    ],
    ids=repr,
)  # fmt: skip
def test_what_would_not_be_read_back_is_not_written(tmp_path, changes):
    row = replace(ScoredFile("fan", "00", "a.wav", 0.5), **changes)
    refused(lambda: write_scores(tmp_path / "x", ScoreTable((row,))))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "machine", ["fan", "fan_section_01", "fan_test", "DCASE2026T2fan", "Müller 3"]
)
def test_machines_keep_their_names(tmp_path, machine):
    write_scores(tmp_path, ScoreTable((ScoredFile(machine, "00", "a.wav", 0.5, True),)))
    (row,) = read_scores(tmp_path).rows
    assert (row.machine, row.section, row.decision) == (machine, "00", True)


# ---- what a second pair of eyes found --------------------------------------------------------


def done_training(folder, step, content=b"weights"):
    path = folder.weights(step)
    path.write_bytes(content)
    return folder.write(step, 1.0, [path], (), {}, {})


def test_a_score_made_from_other_weights_is_not_done(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    steps = {step.name: step for step in study(seeds=1).steps()}
    training, score = steps["train mask, seed 0"], steps["score s1, seed 0"]
    done_training(folder, training)
    for made_from, known in ((folder.trained(training), True), ("0" * 64, False)):
        folder.write(score, 1.0, [], (), {"weights": [made_from]}, {})
        assert (folder.done(score) is not None) == known
    folder.write(score, 1.0, [], (), {"weights": [folder.trained(training)]}, {})
    folder.clear(training)
    assert folder.done(score) is None  # its training is to be done again
    done_training(folder, training, b"other bits")
    assert folder.done(score) is None
    done_training(folder, training)
    assert folder.done(score) is not None


def test_half_written_files_go_when_the_next_process_begins(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.begin(resume=False)
    (step, *_) = (s for s in study().steps() if s.kind == "train")
    parts = [
        folder.path / "weights" / f".{folder.weights(step).stem}.checkpoin.abc",
        folder.path / "steps" / f".{step.slug}.xyz",
        folder.path / ".results.json.123",
    ]
    mine = [folder.path / ".gitignore", folder.path / "weights" / ".keep"]
    for path in (*parts, *mine):
        path.write_bytes(b"half")
    with folder.locked():
        assert not any(path.exists() for path in parts)
        assert all(path.exists() for path in mine)


def test_weights_that_changed_in_place_are_not_scored(tmp_path):
    from nearfar.reproduce.steps.work import Work

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
