"""What recordings and weights `nearfar reproduce` takes, and what makes another set of them."""

import csv
import gzip
import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import SHARED, TINY, first_quick, machine_sound, write
from nearfar.clips import Clips
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import AudioError, DatasetError, WeightsError
from nearfar.reproduce import data as of_data
from nearfar.reproduce.data import check_weights, hashed, look
from nearfar.reproduce.reported import load
from nearfar.system.presets import LARGE
from reproduced import refused, stub

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_test_clip_without_label(development):
    with added(development / "fan" / "test" / "section_00_0000.wav"):
        for any_data in (False, True):
            refused(lambda a=any_data: look(development, any_data=a), "section_00_0000", "no label")


@pytest.mark.parametrize("place", first_quick(["itself", "a folder above", "a CSV"]))
@pytest.mark.slow
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
