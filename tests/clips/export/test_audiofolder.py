"""An export is what the datasets library's rules ask for; nearfar reads the same clips of it."""

import csv
import os
import shutil
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import nearfar as nf
from conftest import machine_sound, refused, write
from nearfar.clips.export import audiofolder
from nearfar.clips.export.audiofolder import check_folder, export
from nearfar.errors import AudioError, DatasetError, StorageError
from processes import no_space, output, python, tree

SAID = ("machine", "section", "domain", "label", "attributes", "split", "time")


def said(clips):
    """What clips say and how they sound, whatever their files are called."""
    return sorted(
        (*(str(getattr(clip, name)) for name in SAID), clip.read().tobytes()) for clip in clips
    )


def tables(folder):
    found = {}
    for path in sorted(folder.glob("*/metadata.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.parent.name] = list(csv.DictReader(file))
    return found


def check_rules(folder):
    """Every sound of a split is in that split's table once, below it; all have the same columns."""
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    found = tables(folder)
    listed = [part for config in front["configs"] for part in config["data_files"]]
    assert [(part["split"], part["path"]) for part in listed] == [
        (split, f"{split}/**") for split in ("train", "test") if split in found
    ]
    for split, rows in found.items():
        assert list(rows[0]) == list(next(iter(found.values()))[0])
        assert next(iter(rows[0])) == "file_name"
        names = [row["file_name"] for row in rows]
        there = {p for p in (folder / split).rglob("*") if p.is_file() and p.suffix != ".csv"}
        assert sorted(folder / split / name for name in names) == sorted(there)
        assert not [name for name in names if name.startswith("/") or ".." in name.split("/")]
    return front


def test_a_dcase_set_comes_back_as_it_was(dcase, tmp_path):
    before = tree(dcase)
    clips = nf.Clips.open(dcase)
    made = export(clips, tmp_path / "hf")
    assert (made.clips, made.machines, made.rewritten) == (len(clips), ("fan", "pump"), 0)
    front = check_rules(tmp_path / "hf")
    assert [config["config_name"] for config in front["configs"]] == ["default"]
    assert said(nf.Clips.open(tmp_path / "hf")) == said(clips)
    for split in ("train", "test"):
        table = tmp_path / "hf" / split / "metadata.csv"
        wanted = said(clips.select(split=split))
        assert said(nf.Clips.open(table)) == said(nf.Clips.open(tmp_path / "hf", split=split))
        assert said(nf.Clips.open(table)) == said(nf.Clips.open(table.parent)) == wanted
    assert tree(dcase) == before


def test_a_fit_opens_no_test_table(dcase, tmp_path):
    export(nf.Clips.open(dcase), tmp_path / "hf")
    (tmp_path / "hf" / "test" / "metadata.csv").write_text("file_name,what is this\n")
    assert len(nf.Clips.open(tmp_path / "hf", split="train")) == 24
    refused(lambda: nf.Clips.open(tmp_path / "hf" / "test", split="train"), "test folder")


def test_links_are_the_same_files_and_copies_are_not(dcase, tmp_path):
    clips = nf.Clips.open(dcase / "fan", split="train")
    there = {clip.path.stat().st_ino for clip in clips}
    for link in (True, False):
        folder = tmp_path / str(link)
        export(clips, folder, link=link)
        for path in folder.rglob("*.wav"):
            assert (path.stat().st_ino in there) == link
        shutil.rmtree(folder)


def test_a_disk_without_links_gets_copies(dcase, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_space)
    export(nf.Clips.open(dcase / "fan", split="train")[:2], tmp_path / "hf", link=True)
    assert len(list(tmp_path.rglob("*.wav"))) == 2


@pytest.fixture
def mixed(tmp_path):
    """Equal names in several folders, labels by folder, a pair of mono files, parts of one file."""
    rng, root = np.random.default_rng(1), tmp_path / "data"
    for place in ("fan/id_00/normal", "fan/id_00/abnormal", "fan/id_02/normal"):
        write(root / place / "0001.wav", machine_sound(rng))
    for side, sound in zip(("near", "far"), machine_sound(rng), strict=True):
        write(root / "fan" / "id_00" / "normal" / f"20260615_083000_{side}.wav", sound)
    write(root / "fan" / "id_02" / "normal" / "long.flac", machine_sound(rng, 9), rate=44_100)
    return root


def test_pairs_parts_and_equal_names_come_back(mixed, tmp_path):
    with pytest.warns(nf.NearfarWarning, match="no whole clip"):
        clips = nf.Clips.open(mixed, clip_seconds=1.5)
    made = export(clips, tmp_path / "hf")
    assert (made.clips, made.rewritten) == (len(clips), 3)
    check_rules(tmp_path / "hf")
    assert said(nf.Clips.open(tmp_path / "hf")) == said(clips)
    pair = next((tmp_path / "hf").rglob("*20260615*"))
    assert soundfile.info(pair).subtype == "PCM_16"  # as it was recorded
    assert {row["label"] for row in tables(tmp_path / "hf")["test"]} == {"anomaly"}


def test_channel_orders_are_told_and_read(tmp_path):
    rng = np.random.default_rng(2)
    near, far = machine_sound(rng)
    write(tmp_path / "a" / "1.wav", np.stack([far, near]))
    write(tmp_path / "b" / "2.wav", np.stack([far, far, near]))
    write(tmp_path / "c" / "3.wav", near[None])
    for name, order in (("a", "far-near"), ("b", (3, 1))):
        clips = nf.Clips.open(tmp_path / name)
        export(clips, tmp_path / f"{name}.hf", order=order)
        (again,) = nf.Clips.open(tmp_path / f"{name}.hf")
        np.testing.assert_array_equal(again.read(), clips[0].read(order))
    export(nf.Clips.open(tmp_path / "c"), tmp_path / "c.hf", order="far-near")
    assert nf.Clips.open(tmp_path / "c.hf")[0].read().shape[0] == 1
    refused(lambda: export(nf.Clips.open(tmp_path / "b"), tmp_path / "x"), "3 channels", "--near",
            error=AudioError)  # fmt: skip
    refused(lambda: export(nf.Clips.open(tmp_path / "a"), tmp_path / "x", order=(1, 3)),
            "no channel 3", error=AudioError)  # fmt: skip


def test_a_list_comes_back_with_all_that_it_says(tmp_path):
    rng = np.random.default_rng(5)
    write(tmp_path / "in" / "a.wav", np.concatenate([machine_sound(rng, 4)] * 2))
    write(tmp_path / "in" / "b.wav", machine_sound(rng))
    (tmp_path / "list.csv").write_text(
        "path,start,stop,machine,section,domain,split,label,attributes,time,near_channel,far_channel\n"
        "in/a.wav,0.5,2,press 1,3,target,test,anomaly,spd_2,2026-06-15T08:30:00,4,1\n"
        "in/a.wav,2,3.5,press 1,3,source,train,normal,,2026-06-15T08:30:00,2,3\n"
        "in/b.wav,,,press 2,00,,,,x_1,,,\n"
    )
    clips = nf.Clips.open(tmp_path / "list.csv")
    assert export(clips, tmp_path / "hf").rewritten == 2
    check_rules(tmp_path / "hf")
    assert said(nf.Clips.open(tmp_path / "hf")) == said(clips)


def test_floats_and_times_keep_all_that_they_have(tmp_path):
    sound = machine_sound(np.random.default_rng(3))
    for side, samples in zip(("near", "far"), sound, strict=True):
        write(tmp_path / "d" / f"1_{side}.wav", samples, subtype="FLOAT")
    time = datetime.fromisoformat("2026-06-15T08:30:00+02:00")
    clips = nf.Clips(replace(c, time=time) for c in nf.Clips.open(tmp_path / "d"))
    export(clips, tmp_path / "hf")
    (again,) = nf.Clips.open(tmp_path / "hf")
    assert again.time == time
    np.testing.assert_array_equal(again.read(), sound)


def test_splits_that_a_reader_takes_for_different_columns_are_loaded_apart(dcase, tmp_path):
    """An evaluation set's test clips say no label: empty cells there, words in the other table."""
    shutil.copytree(dcase / "fan", tmp_path / "d" / "fan")
    for n, path in enumerate(sorted((tmp_path / "d" / "fan" / "test").iterdir())):
        path.rename(path.with_name(f"section_00_{n:04d}.wav"))
    export(nf.Clips.open(tmp_path / "d"), tmp_path / "hf")
    front = check_rules(tmp_path / "hf")
    assert [config["config_name"] for config in front["configs"]] == ["train", "test"]
    assert {row["label"] for row in tables(tmp_path / "hf")["test"]} == {""}


def test_places_that_are_taken_or_read_are_refused(dcase, tmp_path, detector_folder):
    clips = nf.Clips.open(dcase / "fan", split="train")[:2]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for folder in ("mine", "mine/notes.txt", "gone/hf"):
        for again in (False, True):
            refused(lambda f=folder, r=again: export(clips, tmp_path / f, replace=r), tmp_path,
                    error=StorageError)  # fmt: skip
    for inside in (dcase / "hf", dcase, dcase.parent):
        refused(lambda f=inside: check_folder(f, [dcase]), "which is read", error=StorageError)
    refused(lambda: check_folder(detector_folder / "hf", []), "detector", error=StorageError)
    export(clips, tmp_path / "hf")
    refused(lambda: export(clips, tmp_path / "hf"), "--replace", error=StorageError)
    export(clips[:1], tmp_path / "hf", replace=True)
    assert len(nf.Clips.open(tmp_path / "hf")) == 1
    (tmp_path / "hf" / "notes.txt").write_text("mine")
    refused(lambda: export(clips, tmp_path / "hf", replace=True), "no earlier export",
            error=StorageError)  # fmt: skip


def test_what_came_to_its_place_meanwhile_is_not_written_over(dcase, tmp_path, monkeypatch):
    clips = nf.Clips.open(dcase / "fan", split="train")[:1]
    real = audiofolder.card

    def slow(*given):  # another export is quicker
        with monkeypatch.context() as patched:
            patched.setattr(audiofolder, "card", real)
            export(clips, tmp_path / "hf")
        return real(*given)

    monkeypatch.setattr(audiofolder, "card", slow)
    refused(lambda: export(clips, tmp_path / "hf"), "is there already", error=StorageError)
    assert [path.name for path in tmp_path.iterdir()] == ["hf"]


def test_bad_clips_stop_it_or_are_left_out_by_name(dcase, tmp_path):
    good = nf.Clips.open(dcase / "fan", split="train")[:2]
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    bad = nf.Clips([nf.Clip(tmp_path / "bad.wav", machine="fan")])
    refused(lambda: export(good + bad, tmp_path / "hf"), "bad.wav", error=AudioError)
    assert not (tmp_path / "hf").exists()
    with pytest.warns(nf.NearfarWarning, match=r"left out.*bad\.wav"):
        assert export(good + bad, tmp_path / "hf", skip_bad=True).clips == 2
    refused(lambda: export(nf.Clips(), tmp_path / "x"), "no clips", error=DatasetError)
    late = replace(good[0], stop=99.0)  # its header alone does not tell
    with pytest.warns(nf.NearfarWarning, match="left out"):
        assert export([*good, late], tmp_path / "late", skip_bad=True).clips == 2
    check_rules(tmp_path / "late")
    odd = replace(good[0], machine="a\nb")
    refused(lambda: export([odd], tmp_path / "x"), "which no table can hold", error=DatasetError)


def test_what_a_damaged_file_still_has_is_written_anew(tmp_path):
    path = write(tmp_path / "d" / "1.wav", machine_sound(np.random.default_rng(4), 3))
    path.write_bytes(path.read_bytes()[:-20_000])
    clips = nf.Clips.open(tmp_path / "d", salvage=True)
    with pytest.warns(nf.NearfarWarning, match="salvaged") as told:
        made = export(clips, tmp_path / "hf")
    assert (made.rewritten, len(told)) == (1, 1)
    with pytest.warns(nf.NearfarWarning, match="salvaged"):
        wanted = clips[0].read()
    np.testing.assert_array_equal(nf.Clips.open(tmp_path / "hf")[0].read(), wanted)


def test_a_full_disk_leaves_nothing_and_an_earlier_export(dcase, tmp_path, monkeypatch):
    clips = nf.Clips.open(dcase / "fan", split="train")[:3]
    export(clips[:1], tmp_path / "hf")
    before = tree(tmp_path)
    for name in ("copyfile", "write_text"):
        owner = shutil if name == "copyfile" else audiofolder
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, no_space)
            refused(lambda: export(clips, tmp_path / "hf", replace=True), "free some space",
                    error=StorageError)  # fmt: skip
        assert tree(tmp_path) == before
    real = Path.rename

    def failing(self, target):
        if Path(target) == tmp_path / "hf" and ".old" not in self.name:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", failing)
        with pytest.raises(KeyboardInterrupt):
            export(clips, tmp_path / "hf", replace=True)
    assert tree(tmp_path) == before


KILLED = """
import os, signal, shutil, sys
from pathlib import Path
import nearfar as nf
from nearfar.clips.export.audiofolder import export

clips = nf.Clips.open(Path(sys.argv[1]) / "fan", split="train")[:3]
for turn in (1, 3):
    folder = Path(sys.argv[2]) / f"hf{turn}"
    child = os.fork()
    if not child:
        real, calls = shutil.copyfile, []
        def copyfile(*given):
            calls.append(given)
            if len(calls) == turn:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given)
        shutil.copyfile = copyfile
        export(clips, folder)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert not folder.exists()
    assert len(list(folder.parent.glob(f".hf{turn}.*"))) == 1
    export(clips, folder)
    assert len(nf.Clips.open(folder)) == 3
    assert not list(folder.parent.glob(f".hf{turn}.*"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_in_the_midst_nothing_half_has_the_name_and_the_next_run_sweeps(dcase, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output(python(KILLED, dcase, tmp_path, env=environment))
