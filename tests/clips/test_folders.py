"""Folders of all DCASE years and plain ones: nothing is skipped, fitting opens no test folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from clip_files import lay, refused, row
from nearfar.clips import Clip, Clips
from nearfar.errors import AudioError, SettingError

NORMAL = "section_00_source_train_normal_{:04d}_a.wav"
TRAIN = ("train/section_00_source_train_normal_0000_a_1.wav",
         "train/section_00_target_train_normal_0000_a_2.wav")  # fmt: skip


# ---- DCASE folders -------------------------------------------------------------------------------


TEST = ("test/section_00_source_test_anomaly_0000_a_1.wav",
        "test/section_00_target_test_normal_0000_a_2.wav")  # fmt: skip


ROOTS = ("", "dev_data/raw", "raw", "data/dcase2026t2/dev_data/raw", "eval_data")


@pytest.mark.parametrize("where", ROOTS)
def test_machines_are_found_wherever_the_root_is(tmp_path: Path, where: str) -> None:
    for machine in ("fan", "ToyCar"):
        lay(tmp_path / where / machine, *TRAIN, *TEST, "attributes_00.csv")
    clips = Clips.open(tmp_path)
    assert clips == Clips.from_dcase(tmp_path)
    assert [c.name for c in clips] == [f"{m}/{n}" for m in ("ToyCar", "fan") for n in TRAIN + TEST]
    assert [c.machine for c in clips] == ["ToyCar"] * 4 + ["fan"] * 4
    assert clips[0] == Clip(tmp_path / where / "ToyCar" / TRAIN[0], machine="ToyCar",
                            domain="source", split="train", label="normal",
                            attributes="a_1")  # fmt: skip


def test_one_machine_folder_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path / "fan", *TRAIN)
    assert Clips.open(tmp_path / "fan").machines == ("fan",)
    monkeypatch.chdir(tmp_path / "fan")
    assert Clips.open(".").machines == ("fan",)
    monkeypatch.chdir("train")
    assert Clips.open("..").machines == ("fan",)
    assert Clips.open(".").machines == ("fan",)


YEARS = {
    "2020": {
        "train/normal_id_01_00000000.wav": ("01", "train", None, "normal", ""),
        "train/id_02_00000000.wav": ("02", "train", None, "normal", ""),  # by its folder
        "test/anomaly_id_01_00000000.wav": ("01", "test", None, "anomaly", ""),
        "test/id_05_00000456.wav": ("05", "test", None, None, ""),
        "test/normal_id_01_00000000.wav": ("01", "test", None, "normal", ""),  # as in train
    },
    "2021": {
        "train/section_00_source_train_normal_0000_s_1.wav":
            ("00", "train", "source", "normal", "s_1"),
        "source_test/section_00_source_test_normal_0000_s_1.wav":
            ("00", "test", "source", "normal", "s_1"),
        "source_test/section_03_source_test_0000.wav": ("03", "test", "source", None, ""),
        "target_test/section_03_target_test_0000.wav": ("03", "test", "target", None, ""),
    },
    "2022": {
        "train/section_05_target_train_normal_0009_vel_21.wav":
            ("05", "train", "target", "normal", "vel_21"),
        "test/section_05_0000.wav": ("05", "test", None, None, ""),
    },
    "2024": {"test/section_00_source_normal_0035_weight15_BckgF.wav":
             ("00", "test", "source", "normal", "weight15_BckgF")},
    "2025": {
        "train/section_00_source_train_normal_0000_noAttribute.WAV":
            ("00", "train", "source", "normal", ""),
        "train/section_00_source_train_normal_0001_noAttribute.flac":
            ("00", "train", "source", "normal", ""),
    },
}  # fmt: skip


@pytest.mark.parametrize("year", YEARS)
def test_layouts_of_all_years(tmp_path: Path, year: str) -> None:
    some_folder = next(iter(YEARS[year])).split("/")[0]
    lay(tmp_path / "pump", *YEARS[year], "supplemental/section_00_0000_clean.wav",
        f"{some_folder}/._section_00_0000.wav", f"{some_folder}/Thumbs.db", ".cache/x.wav",
        "attributes_00.csv")  # fmt: skip
    clips = Clips.from_dcase(tmp_path)
    assert {f"{c.path.parent.name}/{c.path.name}": row(c) for c in clips} == YEARS[year]


def test_labelled_copies_replace_the_nameless_clips(tmp_path: Path) -> None:
    lay(tmp_path / "fan", "test/section_00_0000.wav",
        "test_rename/section_00_source_test_anomaly_0003_a.wav")  # fmt: skip
    assert [row(c) for c in Clips.from_dcase(tmp_path)] == [
        ("00", "test", "source", "anomaly", "a")
    ]


def test_names_without_a_tail_take_it_from_the_list(tmp_path: Path) -> None:
    fan = lay(tmp_path / "fan", "train/section_00_source_train_normal_0000.wav",
              "train/section_00_source_train_normal_0001.wav",
              "train/section_01_source_train_normal_0000_n_7.wav",
              "train/section_01_source_train_normal_0001_noAttribute.wav",
              "train/section_02_source_train_normal_0000_noAttribute.wav",
              "test/section_00_0000.wav")  # fmt: skip
    (fan / "attributes_00.csv").write_bytes(
        "\ufefffile_name,d1p,d1v,d2p,d2v\r\n"
        "fan/train/section_00_source_train_normal_0000.wav,vel,5,mic,é\r\n"
        "fan\\train\\section_00_source_train_normal_0001.wav,noAttribute,,,\r\n".encode()
    )
    (fan / "attributes_01.csv").write_text("file_name,d1p,d1v\n"
        "section_01_source_train_normal_0001_noAttribute.wav,n,8\n")  # fmt: skip
    (fan / "attributes_02.csv").write_text("file_name\n")
    assert [c.attributes for c in Clips.from_dcase(tmp_path, "train")] == [
        "vel_5_mic_é", "", "n_7", "", ""]  # fmt: skip
    assert [c.attributes for c in Clips.from_dcase(tmp_path, "test")] == [""]


@pytest.mark.parametrize(
    "names", [("ToyCar", "ToyCarEmu", "ToyCar2"), ("3DPrinter", "Förderband Süd", "泵 №1", "a_b")]
)
def test_any_machine_name_works(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        lay(tmp_path / name, *TRAIN)
    clips = Clips.open(tmp_path, "train")
    assert set(clips.machines) == set(names)
    for name in names:
        assert len(clips.select(machine=name)) == 2
        assert Clips.from_dcase(tmp_path, machines=[name]) == clips.select(machine=name)
        assert Clips.open(tmp_path, machines=[name]) == clips.select(machine=name)
        assert Clips.open(tmp_path / name) == clips.select(machine=name)


def test_order_is_by_name_not_by_disk(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).permutation(30)
    lay(tmp_path / "fan", *(f"train/{NORMAL.format(i)}" for i in numbers))
    files = [c.file for c in Clips.from_dcase(tmp_path)]
    assert files == sorted(files)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every folder that is listed and file that is opened through Python."""
    seen: list[str] = []

    def spy(module: object, name: str) -> None:
        real = getattr(module, name)

        def call(path: object = ".", *args: object, **more: object) -> object:
            seen.append(os.fspath(path))  # type: ignore[call-overload]
            return real(path, *args, **more)

        monkeypatch.setattr(module, name, call)

    for name in ("scandir", "listdir", "open"):
        spy(os, name)
    spy(Path, "open")
    return seen


@pytest.mark.parametrize("test", ["test", "Test", "source_test", "target_test", "test_rename"])
def test_law_4_fitting_opens_no_test_folder(tmp_path: Path, opened: list[str], test: str) -> None:
    for machine in ("fan", "pump"):
        lay(tmp_path / "dev_data/raw" / machine, *TRAIN, f"{test}/garbage.wav")
    opened.clear()
    for call in (Clips.from_dcase, Clips.open):
        assert len(call(tmp_path, "train")) == 4
        assert len(call(tmp_path / "dev_data/raw/fan", split="train")) == 2
    assert any(path.endswith("train") for path in opened)
    assert not any(test in Path(path).relative_to(tmp_path).parts for path in opened)
    refused(lambda: Clips.from_dcase(tmp_path, "test"), "garbage.wav")  # it would have been seen
    refused(
        lambda: Clips.open(tmp_path / "dev_data/raw/fan" / test, "train"),
        "test folder",
        "or learnt",
    )


def test_other_machines_are_not_opened(tmp_path: Path, opened: list[str]) -> None:
    lay(tmp_path / "fan", *TRAIN)
    lay(tmp_path / "pump", "train/garbage.wav")
    opened.clear()
    assert Clips.open(tmp_path, machines=["fan"]).machines == ("fan",)
    assert Clips.open(tmp_path, machines="fan").machines == ("fan",)
    assert not any("pump/train" in Path(path).as_posix() for path in opened)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["fan/train/garbage.wav"], ["garbage.wav", "section_00_source_train_normal_0000"]),
        (["fan/train/section_00_source_test_anomaly_0000_a.wav"], ["test clip", "train folder"]),
        (["fan/test/section_00_source_train_normal_0000_a.wav"], ["train clip", "test folder"]),
        (["fan/train/.hidden.wav"], ["train", "no sound files"]),
        (["2023/fan/train/" + NORMAL.format(0), "2024/fan/train/" + NORMAL.format(1)],
         ["fan, section 00", "2023", "2024"]),
        (["fan/test/section_00_source_test_normal_0000_a.wav",
          "fan/source_test/section_00_source_test_normal_0000_a.wav"], ["source_test", "remove"]),
        (["fan/readme.txt"], ["no DCASE clips", "train", "test_rename"]),
    ],
)  # fmt: skip
def test_bad_data_sets(tmp_path: Path, names: list[str], words: list[str]) -> None:
    lay(tmp_path, *names)
    refused(lambda: Clips.from_dcase(tmp_path), *words)


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    lay(tmp_path / "fan", *TRAIN)
    refused(lambda: Clips.from_dcase(tmp_path, "test"), "no test clips", "target_test")
    refused(lambda: Clips.from_dcase(tmp_path, "dev"), "'dev'", error=SettingError)
    refused(lambda: Clips.open(tmp_path, "dev"), "'dev'", error=SettingError)


def test_an_unknown_machine(tmp_path: Path) -> None:
    lay(tmp_path / "ToyCar", *TRAIN)
    for call in (Clips.from_dcase, Clips.open):
        refused(lambda call=call: call(tmp_path, machines=["Toycar"]), "did you mean 'ToyCar'")


def test_sections_of_development_and_evaluation_data_come_together(tmp_path: Path) -> None:
    lay(tmp_path, "dev_data/raw/fan/train/section_00_source_train_normal_0000_a.wav",
        "eval_data/raw/fan/train/section_03_source_train_normal_0000_a.wav")  # fmt: skip
    assert list(Clips.open(tmp_path).by_section()) == [("fan", "00"), ("fan", "03")]


def test_folders_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "fan", *TRAIN)
    real = os.scandir

    def scandir(path: str | Path) -> object:
        if Path(path).name == "train":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused(lambda: Clips.open(tmp_path), str(tmp_path / "fan/train"), "Permission denied")
    refused(lambda: Clips.from_folder(tmp_path / "fan/train"), "Permission denied")


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system makes no symbolic links")


def test_symbolic_links(tmp_path: Path) -> None:
    lay(tmp_path / "store/fan", *TRAIN)
    (tmp_path / "data").mkdir()
    link(tmp_path / "data/fan", tmp_path / "store/fan")
    assert len(Clips.open(tmp_path / "data", "train")) == 2
    link(tmp_path / "data/fan/train/section_00_source_train_normal_0007_a.wav", Path("gone.wav"))
    assert len(Clips.open(tmp_path / "data", "train")) == 3  # not skipped: reading it will fail
    link(tmp_path / "data/more", tmp_path / "data")
    refused(lambda: Clips.open(tmp_path / "data"), "more", "symbolic link")
    (tmp_path / "data/more").unlink()
    link(tmp_path / "data/self", tmp_path / "data/self")
    refused(lambda: Clips.open(tmp_path / "data"), "self", "cannot be read")


# ---- plain folders -------------------------------------------------------------------------------


def test_one_folder_is_one_machine(tmp_path: Path) -> None:
    pump = lay(tmp_path / "pump 3", "b.wav", "a.FLAC", "notes.txt", ".c.wav", "supplemental/d.wav")
    clips = Clips.from_folder(pump)
    assert clips == Clips([Clip(pump / "a.FLAC", machine="pump 3"),
                           Clip(pump / "b.wav", machine="pump 3")])  # fmt: skip
    for split in (None, "train", "test"):
        assert Clips.open(pump, split) == clips
    assert Clips.from_folder(pump, machine="P").machines == ("P",)
    assert Clips.open(pump, machine="P").machines == ("P",)
    assert {c.label for c in Clips.from_folder(pump, label="normal")} == {"normal"}
    refused(lambda: Clips.from_folder(pump, label="good"), "'good'")


def test_sub_folders_are_machines(tmp_path: Path) -> None:
    lay(tmp_path, "pump/1.wav", "fan/1.wav", "fan/2.wav", "empty/readme.txt")
    clips = Clips.open(tmp_path)
    assert {k[0]: len(v) for k, v in clips.by_section().items()} == {"fan": 2, "pump": 1}
    assert Clips.open(tmp_path, machines=["pump"]) == clips.select(machine="pump")
    refused(lambda: Clips.open(tmp_path, machines=["valve"]), "valve", "fan, pump")
    # A name given is that of all recordings, at any depth.
    for clips in (Clips.open(tmp_path, machine="x"), Clips.from_folder(tmp_path, machine="x")):
        assert [c.machine for c in clips] == ["x"] * 3
    assert Clips.open(tmp_path, machines=["pump"], machine="x").machines == ("x",)


def test_dcase_names_are_understood_in_plain_folders(tmp_path: Path) -> None:
    names = ("section_01_source_test_anomaly_0000_far.wav", "section_00_0001.wav", "free.wav")
    lay(tmp_path / "fan", *names)
    lay(tmp_path / "pump/test", *names)
    by_name = {c.file: row(c) for c in Clips.open(tmp_path / "fan")}
    assert by_name == {
        names[0]: ("01", "test", "source", "anomaly", "far"),
        names[1]: ("00", None, None, None, ""),
        names[2]: ("00", None, None, None, ""),
    }
    clips = Clips.open(tmp_path / "pump/test")
    assert clips.machines == ("pump",)
    assert {c.split for c in clips} == {"test"}


@pytest.mark.parametrize(
    "names",
    [
        ("near/1.wav", "near/2.wav", "far/1.wav", "far/2.wav"),
        ("Near/1.wav", "Near/2.wav", "FAR/1.wav", "FAR/2.wav"),
        ("1_near.wav", "2_near.wav", "1_far.wav", "2_far.wav"),
        ("1_Near.wav", "2_NEAR.wav", "1_far.wav", "2_Far.wav"),
    ],
)
@pytest.mark.parametrize("machine", ["pump", "hall/pump"])
def test_two_mono_files_are_one_clip(tmp_path: Path, names: tuple[str, ...], machine: str) -> None:
    pump = lay(tmp_path / machine, *names)
    expected = Clips(Clip(pump / near, pump / far, machine="pump")
                     for near, far in zip(names[:2], names[2:], strict=True))  # fmt: skip
    assert Clips.open(tmp_path / machine.split("/")[0]) == expected


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ["no clips", ".flac", "train"]),
        (["readme.txt"], ["no clips"]),
        (["1.wav", "pump/2.wav"], ["pump", "--machine NAME"]),
        (["pump/1.wav", "hall/fan/2.wav"], ["fan", "--machine NAME"]),
    ],
)
def test_bad_plain_folders(tmp_path: Path, names: list[str], words: list[str]) -> None:
    lay(tmp_path / "data", *names)
    (tmp_path / "data").mkdir(exist_ok=True)
    refused(lambda: Clips.open(tmp_path / "data"), *(w.replace("/", os.sep) for w in words))


def test_a_dcase_folder_is_no_plain_folder(tmp_path: Path) -> None:
    lay(tmp_path / "fan", *TRAIN, *TEST)
    refused(lambda: Clips.from_folder(tmp_path / "fan"), "test", "a split, no machine")


def test_what_open_does_not_know(tmp_path: Path) -> None:
    lay(tmp_path, "notes.txt")
    refused(lambda: Clips.open(tmp_path / "gone"), "gone", "no such file or folder")
    refused(lambda: Clips.open(tmp_path / "notes.txt"), "notes.txt", "CSV")
    refused(lambda: Clips.from_dcase(tmp_path / "gone"), "gone", "cannot be read")
    refused(lambda: Clips.from_folder(tmp_path / "notes.txt"), "notes.txt", "cannot be read")


def test_a_single_recording(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav", "2_near.wav", "2_far.wav", "3_near.wav", "other.mp3")
    pump = tmp_path / "pump"
    assert Clips.open(pump / "1.wav") == Clips([Clip(pump / "1.wav", machine="pump")])
    pair = Clips([Clip(pump / "2_near.wav", pump / "2_far.wav", machine="pump")])
    assert Clips.open(pump / "2_near.wav") == Clips.open(pump / "2_far.wav") == pair
    half = Clips.open(pump / "3_near.wav")[0]
    refused(half.read, "3_near.wav", "far microphone", error=AudioError)
    assert Clips.open(pump / "1.wav", machine="P").machines == ("P",)
    lay(tmp_path / "fan", *TEST)
    assert Clips.open(tmp_path / "fan" / TEST[0]) == Clips.open(tmp_path / "fan")[:1]
