"""A DCASE folder judged by its names: each fault that is put in is named, and nothing else."""

import os

import numpy as np
import pytest

from conftest import machine_sound, refused, write
from nearfar.errors import DatasetError
from nearfar.health.inventory import inventory
from nearfar.health.known import sets_of


def name(number, domain="source", split="train", label="normal", tail="noAttribute"):
    return f"section_00_{domain}_{split}_{label}_{number:04d}_{tail}.wav"


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for one in names:
        (folder / one).touch()  # no sound is read


def machine(root, called="fan", source=20, target=5, test=4):
    put(root / called / "train", *(name(i) for i in range(source)),
        *(name(i, "target") for i in range(target)))  # fmt: skip
    put(root / called / "test", *(
        name(i, d, "test", b) for d in ("source", "target") for b in ("normal", "anomaly")
        for i in range(test)
    ))  # fmt: skip
    return root / called


def found(root, year=None):
    """Kind → is it wrong, what it is about."""
    return {f.kind: (f.wrong, f.files) for f in inventory([root], year).findings}


def says(root, kind, year=None):
    lines = [f.says for f in inventory([root], year).findings if f.kind == kind]
    assert all("\n" not in line and len(line) <= 500 for line in lines)
    return lines


def test_a_whole_set_of_ones_own_has_no_findings(tmp_path):
    machine(tmp_path)
    machine(tmp_path, "pump")
    result = inventory([tmp_path])
    assert (result.findings, result.known_as) == ((), "")


def test_what_is_no_dcase_set_has_none(tmp_path):
    put(tmp_path / "pump7", "a.wav", "free name.wav")
    assert inventory([tmp_path, tmp_path / "pump7/a.wav"]).findings == ()
    line = refused(lambda: inventory([tmp_path], 2026), "give no year", error=DatasetError)
    assert str(tmp_path) in line
    refused(lambda: inventory([tmp_path], 1999), "1999", "2026", error=DatasetError)


def test_names(tmp_path):
    fan = machine(tmp_path)
    put(fan / "train", "free\nname\U0001f600.wav", name(3, split="test"), name(90, label="anomaly"))
    put(fan / "test", "b.WAV")
    put(fan, "left.wav")
    put(fan / "train/broken", "c.wav")
    put(fan / "test/broken", "free names are fine in class folders.wav")
    seen = found(tmp_path)
    assert seen["name"] == (True, ("b.WAV", "free\nname\U0001f600.wav"))  # test/ lies first
    assert len(says(tmp_path, "name")) == 1  # one line, whatever files are called
    assert seen["stray"] == (False, ("left.wav",))
    assert seen["split"] == (True, (name(3, split="test"),))
    assert seen["label"] == (True, (name(90, label="anomaly"), "c.wav"))


def test_numbers_that_are_missing_are_a_fault_of_published_sets_alone(tmp_path):
    fan = machine(tmp_path / "dcase2026t2")
    (fan / "train" / name(7)).unlink()
    put(fan / "train", name(9, tail="spd_2"))  # a number twice
    numbers = [f for f in inventory([tmp_path]).findings if f.kind == "number"]
    assert {(f.wrong, f.files) for f in numbers} == {(False, ("0007",)), (False, ("0009",))}
    known = inventory([tmp_path / "dcase2026t2"])
    assert all(f.wrong for f in known.findings if f.kind == "number")


def test_test_clips_may_be_numbered_through_all_groups(tmp_path):
    fan = machine(tmp_path, test=0)
    groups = [(d, b) for d in ("source", "target") for b in ("normal", "anomaly")]
    order = np.random.default_rng(0).permutation(40)
    put(fan / "test", *(name(n, *g[:1], "test", g[1]) for n, g in zip(order, groups * 10,
                                                                     strict=True)))  # fmt: skip
    assert "number" not in found(tmp_path)


def test_folders_that_lack_something(tmp_path):
    put(machine(tmp_path, "a") / "train")
    put(tmp_path / "b" / "train", name(0))
    put(tmp_path / "c" / "test", name(0, split="test"))
    put(tmp_path / "d" / "train")
    kinds = {(f.machine, f.kind, f.wrong) for f in inventory([tmp_path]).findings}
    assert {("b", "no test", False), ("c", "no train", True), ("d", "empty", True)} <= kinds
    assert not [k for k in kinds if k[0] == "a"]


def test_folders_beside_those_of_machines(tmp_path):
    fan = machine(tmp_path / "raw")
    put(tmp_path / "raw/valve")
    put(tmp_path / "raw/pump", "a.wav")
    put(tmp_path / "raw/supplemental")
    put(tmp_path / "raw/notes", "a.txt")
    told = {(f.machine, f.kind, f.wrong) for f in inventory([tmp_path]).findings}
    assert told == {("valve", "empty", True), ("pump", "stray", False)}
    assert inventory([fan]).findings == ()  # what lies beside DATA itself is not looked at


def test_names_that_others_begin_with_are_a_note(tmp_path):
    machine(tmp_path, "ToyCar")
    machine(tmp_path, "ToyCarEmu")
    assert found(tmp_path) == {"prefix": (False, ("ToyCar", "ToyCarEmu"))}


def test_spellings_that_differ_in_case_are_a_note(tmp_path):
    fan = machine(tmp_path)
    put(fan / "train", name(20, tail="pro_Y"))
    put(fan / "test", name(4, split="test", tail="pro_y"))
    assert found(tmp_path)["spelling"] == (False, ("pro_Y = pro_y",))


LIST = "file_name,d1p,d1v\n"


def listed(fan, rows):
    (fan / "attributes_00.csv").write_text(rows, encoding="utf-8")


def test_a_list_of_attributes_that_fits_is_silent(tmp_path):
    fan = machine(tmp_path)
    files = [f"fan/{p.parent.name}/{p.name},spd,2" for p in sorted(fan.rglob("*.wav"))]
    for text in ("file_name\n", LIST, "\ufeff" + LIST + "\n".join(files)):
        listed(fan, text)
        assert found(tmp_path) == {}
    # Rows of test clips that come later lack nothing.
    for file in (fan / "test").iterdir():
        file.unlink()
    (fan / "test").rmdir()
    assert found(tmp_path) == {"no test": (False, ())}


def test_lists_that_do_not_fit(tmp_path):
    fan = machine(tmp_path, source=2, target=1, test=0)
    put(fan / "train", name(2, tail="spd_3"))
    (fan / "test").rmdir()
    rows = [name(0), name(2, tail="spd_3"), name(8)]
    listed(fan, LIST + "".join(f"fan/train/{row},spd,4\n" for row in rows))
    about = [f.files for f in inventory([tmp_path]).findings if f.kind == "attributes"]
    assert about == [(name(8),), (name(1), name(0, "target")), (name(2, tail="spd_3"),)]


@pytest.mark.parametrize("text", ["", "name,value\n", 'file_name\n"open', "<html>"])
def test_a_list_that_is_none(tmp_path, text):
    fan = machine(tmp_path)
    listed(fan, text)
    assert found(tmp_path)["attributes"][0]
    assert len(says(tmp_path, "attributes")) == 1


def whole_2026(root):
    machine(root, "fan", source=990, target=10, test=50)
    machine(root, "valveEmu", source=0, target=0, test=50)
    put(root / "valveEmu/train", name(0))


def test_a_published_set_is_known_by_names_and_counts(tmp_path):
    whole_2026(tmp_path)
    result = inventory([tmp_path])
    assert result.known_as == "the development set of 2026"
    # One machine that is whole tells which set it is; another may have next to nothing.
    assert {(f.machine, f.kind) for f in result.findings if f.wrong} == {("valveEmu", "count")}
    (tmp_path / "fan/train" / name(417)).unlink()
    (tmp_path / "valveEmu/test" / name(49, "target", "test", "anomaly")).unlink()
    wrong = {(f.machine, f.kind) for f in inventory([tmp_path]).findings if f.wrong}
    assert wrong == {("fan", "count"), ("fan", "number"), ("valveEmu", "count")}
    assert "fan: 989 of 990 clips of train, source" in says(tmp_path, "count")[0]
    assert "0417" in says(tmp_path, "number")[0]
    assert any("ToyCarEmu" in line for line in says(tmp_path, "machine"))  # a note: not here


def test_a_published_set_may_lie_among_machines_of_ones_own(tmp_path):
    machine(tmp_path, "fan", source=990, target=10, test=50)
    pump = machine(tmp_path, "pump7")
    (pump / "train" / name(7)).unlink()
    result = inventory([tmp_path])
    assert result.known_as == "the development set of 2026"
    assert [f.kind for f in result.findings if f.machine == "pump7"] == ["number", "machine"]
    assert not [f for f in result.findings if f.wrong]


def test_a_year_that_is_told_is_believed(tmp_path):
    machine(tmp_path)
    machine(tmp_path, "toycar")
    assert found(tmp_path) == {}
    assert "10 of 990" not in str(says(tmp_path, "count", 2026))
    assert any("20 of 990" in line for line in says(tmp_path, "count", 2026))
    assert any("did you mean 'ToyCar'" in line for line in says(tmp_path, "machine", 2026))


def test_evaluation_clips_without_labels_are_counted_as_a_whole(tmp_path):
    put(tmp_path / "Sander/test", *(f"section_00_{i:04d}.wav" for i in range(200)))
    put(tmp_path / "Sander/train", *(name(i) for i in range(990)),
        *(name(i, "target") for i in range(10)))  # fmt: skip
    result = inventory([tmp_path])
    assert result.known_as == "the evaluation set of 2026"
    assert not [f for f in result.findings if f.wrong]
    (tmp_path / "Sander/test/section_00_0199.wav").unlink()
    assert "199 of 200 clips of test" in says(tmp_path, "count")[0]


@pytest.mark.slow
def test_a_year_of_three_sections(tmp_path):
    dev = sets_of(2022)[0]
    for section in dev.sections:
        put(tmp_path / "fan/train", *(name(i).replace("_00_", f"_{section}_", 1)
                                      for i in range(990 - (section == "02"))),
            *(name(i, "target").replace("_00_", f"_{section}_", 1) for i in range(10)))  # fmt: skip
    lines = says(tmp_path, "count")
    assert len(lines) == 1
    assert "989 of 990 clips of section 02, train, source" in lines[0]


def test_links_that_never_end_are_refused(tmp_path):
    (tmp_path / "fan").mkdir()
    (tmp_path / "fan" / "again").symlink_to(tmp_path, target_is_directory=True)
    refused(lambda: inventory([tmp_path]), "symbolic link", error=DatasetError)


def test_labelled_copies_stand_for_the_evaluation_clips(tmp_path):
    fan = machine(tmp_path, test=0)
    put(fan / "test", "section_00_0000.wav")
    put(fan / "test_rename", name(0, "target", "test", "anomaly"))
    assert found(tmp_path) == {}


def test_no_sound_is_read(tmp_path, monkeypatch):
    from nearfar.sound import source

    write(machine(tmp_path) / "train" / name(20), machine_sound(np.random.default_rng(0)))
    monkeypatch.setattr(source, "open_source", None)
    assert found(tmp_path) == {}


def test_rows_of_one_clip_that_say_different_things_are_named(tmp_path):
    fan = machine(tmp_path)
    rows = [file.name for file in sorted(fan.glob("*/*.wav"))]
    again = f"any/path/{rows[0]}"
    text = "\n".join(["file_name,d1p,d1v", *rows, rows[1], f"{again},spd,9"])
    (fan / "attributes_00.csv").write_text(text)
    assert found(tmp_path) == {"attributes": (True, (rows[0],))}
    assert "in attributes_00.csv twice" in says(tmp_path, "attributes")[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_list_that_is_a_pipe_is_not_waited_for(tmp_path):
    fan = machine(tmp_path)
    os.mkfifo(fan / "attributes_00.csv")
    assert "a pipe or device" in says(tmp_path, "attributes")[0]


def test_a_section_of_which_there_is_nothing_is_missing_from_a_known_set(tmp_path):
    machine(tmp_path)  # of 2022 every machine has three
    (tmp_path / "fan/train/section_01_source_train_normal_0000_x.wav").touch()
    lines = says(tmp_path, "count", 2022)
    for line in ("0 of 990 clips of section 02, train, source", "0 of 200 clips of section 02"):
        assert any(line in one for one in lines)


def test_a_folder_that_is_not_there_is_said_before_the_others_are_looked_at(tmp_path):
    refused(lambda: inventory([tmp_path, tmp_path / "gone"]), "gone: no such file or folder")
