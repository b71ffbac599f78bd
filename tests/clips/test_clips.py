"""Clips: every real name is understood, nothing is skipped, fitting opens no test folder."""

from __future__ import annotations

import gzip
import itertools
import os
import pickle
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import SHARED
from nearfar.clips import Clip, Clips, Name, parse_name, proxy_classes
from nearfar.errors import AudioError, DatasetError, NearfarError, NearfarWarning, SettingError
from nearfar.sound import audio

NAMES = SHARED / "gold" / "dcase2026" / "file_names.txt.gz"
DEV = ("ToyCar", "ToyCarEmu", "bearingEmu", "fan", "gearboxEmu", "sliderEmu", "valveEmu")
ADDITIONAL = ("BlowerDustCollector", "Sander", "SewingMachine", "ToothBrush", "ToyDrone")
NORMAL = "section_00_source_train_normal_{:04d}_a.wav"


def lay(root: Path, *names: str) -> Path:
    """Empty files: what a clip is does not depend on its sound."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def record(path: Path, seconds: float, channels: int = 2, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.5, 0.5, (round(seconds * rate), channels)), rate)
    return path


def refused(
    call: Callable[[], object], *words: str, error: type[NearfarError] = DatasetError
) -> None:
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


# ---- names ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All real names of 2026 as empty files in the official layout."""
    if not NAMES.is_file():
        pytest.skip(f"no {NAMES}")
    root = tmp_path_factory.mktemp("dcase2026t2")
    for machine in (*DEV, *ADDITIONAL):
        part = "dev_data" if machine in DEV else "eval_data"
        for split in ("train", "test"):
            (root / part / "raw" / machine / split).mkdir(parents=True)
    with gzip.open(NAMES, "rt") as file:
        for line in file:
            machine, rest = line.strip().split("/", 1)
            part = "dev_data" if machine in DEV else "eval_data"
            os.close(os.open(root / part / "raw" / machine / rest, os.O_CREAT | os.O_WRONLY))
    return root


def test_all_real_names_of_2026(data_set: Path) -> None:
    clips = Clips.from_dcase(data_set)
    expected: Counter[tuple[str, ...]] = Counter()
    for machine in (*DEV, *ADDITIONAL):
        expected[machine, "train", "source", "normal"] = 990
        expected[machine, "train", "target", "normal"] = 10
    for key in itertools.product(DEV, ["test"], ["source", "target"], ["normal", "anomaly"]):
        expected[key] = 50
    for machine in ADDITIONAL:
        expected[machine, "test", "None", "None"] = 200
    counted = Counter((c.machine, str(c.split), str(c.domain), str(c.label)) for c in clips)
    assert counted == expected
    assert len(clips) == len({(c.machine, c.split, c.file) for c in clips}) == 14_400
    assert set(clips.by_section()) == {(m, "00") for m in (*DEV, *ADDITIONAL)}
    for split in ("train", "test"):
        assert Clips.from_dcase(data_set, split) == clips.select(split=split)
        assert Clips.open(data_set, split) == clips.select(split=split)


def test_the_real_names_give_42_43_and_35_classes(data_set: Path) -> None:
    """The counts of evaluation.md §3.4, per machine where it names them."""
    clips = Clips.from_dcase(data_set)
    dev = Clips(c for c in clips if c.machine in DEV)
    additional = Clips(c for c in clips if c.machine in ADDITIONAL)

    def count(clips: Clips, **how: str) -> Counter[str]:
        return Counter(machine for machine, *_ in set(proxy_classes(clips, **how).values()))  # type: ignore[arg-type]

    assert count(dev) == {"ToyCar": 2, "ToyCarEmu": 22, "bearingEmu": 2, "fan": 3,
                          "gearboxEmu": 9, "sliderEmu": 2, "valveEmu": 2}  # fmt: skip
    assert count(dev).total() == 42
    assert count(dev.select(split="train")) == count(dev)  # test names are not looked at
    assert count(dev, rule="report").total() == 43
    assert count(dev, rule="report")["gearboxEmu"] == 10
    assert count(additional) == {"BlowerDustCollector": 6, "Sander": 15, "SewingMachine": 2,
                                 "ToothBrush": 2, "ToyDrone": 10}  # fmt: skip
    assert count(additional, rule="report").total() == 35  # nameless clips add nothing
    assert count(clips).total() == 77
    assert len(proxy_classes(clips)) == 12_000


IRREGULAR = {
    # 2026: keys that repeat, a key that is a machine's word, both spellings of "none"
    "section_00_source_train_normal_0000_car_B1_spd_2_mic_2_mic_1.wav":
        Name("00", "0000", "source", "train", "normal", "car_B1_spd_2_mic_2_mic_1"),
    "section_00_target_test_normal_0012_pro_y.wav":
        Name("00", "0012", "target", "test", "normal", "pro_y"),
    "section_00_target_test_anomaly_0193_noAttribute.wav":
        Name("00", "0193", "target", "test", "anomaly"),
    "section_00_source_train_normal_0000_.wav": Name("00", "0000", "source", "train", "normal"),
    "section_00_0199.wav": Name("00", "0199"),
    # 2025: underscores inside keys
    "section_00_source_test_normal_0007_mic_imp34dt05_mic_pos_A_grind_100_bkg_A.wav":
        Name("00", "0007", "source", "test", "normal",
             "mic_imp34dt05_mic_pos_A_grind_100_bkg_A"),
    # 2024: no "test", keys glued to values, decimals, a dangling underscore, hyphens
    "section_00_source_normal_0035_weight15_BckgF.wav":
        Name("00", "0035", "source", None, "normal", "weight15_BckgF"),
    "section_00_source_train_normal_0100_spd1000_BckgA.wav":
        Name("00", "0100", "source", "train", "normal", "spd1000_BckgA"),
    "section_00_target_test_anomaly_0001_v1pat_04_v2pat_05.wav":
        Name("00", "0001", "target", "test", "anomaly", "v1pat_04_v2pat_05"),
    "section_00_source_train_normal_0001_volt_0.5.wav":
        Name("00", "0001", "source", "train", "normal", "volt_0.5"),
    "section_00_source_train_normal_0002_ac_0.03_.wav":
        Name("00", "0002", "source", "train", "normal", "ac_0.03"),
    "section_00_source_train_normal_0003_f-n_D.wav":
        Name("00", "0003", "source", "train", "normal", "f-n_D"),
    "section_00_source_train_normal_0003_panel_bs-c.wav":
        Name("00", "0003", "source", "train", "normal", "panel_bs-c"),
    "section_00_source_train_normal_0003_n-lv_L1.wav":
        Name("00", "0003", "source", "train", "normal", "n-lv_L1"),
    # 2023 and 2022
    "section_00_source_train_normal_0000_speed_1000.wav":
        Name("00", "0000", "source", "train", "normal", "speed_1000"),
    "section_02_target_test_anomaly_0049_vel_21.wav":
        Name("02", "0049", "target", "test", "anomaly", "vel_21"),
    "section_03_0000.wav": Name("03", "0000"),
    # 2021: with and without a tail, evaluation names that keep the domain
    "section_00_source_train_normal_0000_strength_1_ambient.wav":
        Name("00", "0000", "source", "train", "normal", "strength_1_ambient"),
    "section_01_target_train_normal_0002.wav": Name("01", "0002", "target", "train", "normal"),
    "section_03_source_test_0000.wav": Name("03", "0000", "source", "test"),
    "section_05_target_test_0113.wav": Name("05", "0113", "target", "test"),
    # 2020
    "normal_id_01_00000000.wav": Name("01", "00000000", label="normal"),
    "anomaly_id_06_00000123.wav": Name("06", "00000123", label="anomaly"),
    "id_05_00000456.wav": Name("05", "00000456"),
    # a tail may end like a file
    "section_00_source_train_normal_0000_a.flac.wav":
        Name("00", "0000", "source", "train", "normal", "a.flac"),
    # other letter cases, FLAC, folders in front, no suffix as in the ground truth files
    "section_00_0199.FLAC": Name("00", "0199"),
    "fan/test/section_00_source_test_normal_0000_n_1.Wav":
        Name("00", "0000", "source", "test", "normal", "n_1"),
    "section_00_source_test_anomaly_0012_ac_0.5":
        Name("00", "0012", "source", "test", "anomaly", "ac_0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", IRREGULAR)
def test_irregular_real_names(name: str) -> None:
    assert parse_name(name) == IRREGULAR[name]


@pytest.mark.parametrize(
    "name",
    ["", ".wav", "recording.wav", "section_00.wav", "section_0_0000.wav", "section_00_.wav",
     "section_00_source_train_normal_.wav", "section_00_0000.mp3", "xsection_00_0000.wav",
     "id_00.wav", "abnormal_id_00_00000000.wav", "section_00_source_train_abnormal_0000.wav",
     "section_00_0000.wav.part", "section_٠٠_0000.wav"],
)  # fmt: skip
def test_other_names_are_not_guessed_at(name: str) -> None:
    assert parse_name(name) is None


tails = st.text(st.characters(exclude_characters="/\\", exclude_categories=["Cs"]), max_size=30)


@given(
    section=st.from_regex(r"[0-9]{2}", fullmatch=True),
    domain=st.sampled_from(["source", "target", None]),
    split=st.sampled_from(["train", "test", None]),
    label=st.sampled_from(["normal", "anomaly", None]),
    number=st.from_regex(r"[0-9]{4,8}", fullmatch=True),
    attributes=tails.filter(lambda t: not t.endswith("_") and t.casefold() != "noattribute"),
    suffix=st.sampled_from([".wav", ".WAV", ".flac", ".Flac"]),
)
@example("00", "source", "train", "normal", "0000", "a line\nand another", ".wav")
def test_names_of_our_making_come_back(
    section: str, domain: str | None, split: str | None, label: str | None, number: str,
    attributes: str, suffix: str,
) -> None:  # fmt: skip
    given = [x for x in (domain, split, label) if x]
    stem = "_".join(["section", section, *given, number, *([attributes] if attributes else [])])
    assert parse_name(stem + suffix) == Name(section, number, domain, split, label, attributes)


@given(st.text() | st.from_regex(r"(section|id)_[0-9]{2}_.*"))
def test_no_name_is_too_strange(name: str) -> None:
    found = parse_name(name)
    assert found is None or found.section.isascii()


# ---- one clip ------------------------------------------------------------------------------------


def test_file_and_name() -> None:
    clip = Clip(Path("/data/fan/test/section_00_0000.wav"), machine="fan")
    assert clip.file == "section_00_0000.wav"
    assert clip.name == "fan/test/section_00_0000.wav"
    assert Clip(Path("/x.wav")).name == Clip(Path("x.wav")).name == "x.wav"
    part = Clip(Path("pump/hour.wav"), start=620, stop=630)
    assert part.file == "hour.wav@00:10:20-00:10:30"
    assert part.name == "pump/hour.wav@00:10:20-00:10:30"


@pytest.mark.parametrize(
    ("start", "stop", "span"),
    [
        (0, 10, "@00:00:00-00:00:10"),
        (0, 2.5, "@00:00:00-00:00:02.5"),
        (1.25, None, "@00:00:01.25-"),
        (3599.9999999, 360_000, "@01:00:00-100:00:00"),
        (1 / 3, 2 / 3, "@00:00:00.333333-00:00:00.666667"),
    ],
)
def test_spans(start: float, stop: float | None, span: str) -> None:
    assert Clip(Path("a.wav"), start=start, stop=stop).file == "a.wav" + span


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("domain", "Source", "source or target"),
        ("split", "dev", "train or test"),
        ("label", "abnormal", "normal or anomaly"),
        ("label", "", "normal or anomaly"),
        ("start", -1.0, "start -1.0"),
        ("start", float("nan"), "start nan"),
        ("start", float("inf"), "start inf"),
        ("stop", 0.0, "stop 0.0"),
        ("stop", float("inf"), "stop inf"),
    ],
)
def test_values_that_a_clip_cannot_have(field: str, value: object, word: str) -> None:
    refused(lambda: Clip(Path("a.wav"), **{field: value}), "a.wav", word)  # type: ignore[arg-type]


def test_read(tmp_path: Path) -> None:
    both = record(tmp_path / "x.wav", 3)
    whole = audio.read(both)
    np.testing.assert_array_equal(Clip(both).read(), whole)
    np.testing.assert_array_equal(Clip(both).read("far-near"), whole[::-1])
    np.testing.assert_array_equal(Clip(both, start=1, stop=2.5).read(), whole[:, 16_000:40_000])
    near, far = record(tmp_path / "n.wav", 3, 1), record(tmp_path / "f.wav", 3, 1)
    assert Clip(near, far, start=2).read().shape == (2, 16_000)
    refused(Clip(tmp_path / "gone.wav").read, "gone.wav", error=AudioError)


# ---- many clips ----------------------------------------------------------------------------------

SOME = Clips(
    Clip(Path(f"{i}.wav"), machine=m, section=s, domain=d, split=p, label=lb)
    for i, (m, s, d, p, lb) in enumerate(
        [
            ("pump", "01", "source", "train", "normal"),
            ("fan", "00", "target", "test", "anomaly"),
            ("pump", "00", None, None, None),
            ("fan", "00", "source", "train", "normal"),
        ]
    )
)


def test_clips_are_a_sequence_that_cannot_change() -> None:
    assert len(SOME) == 4
    assert SOME[1] in SOME
    assert SOME[-1].path == Path("3.wav")
    assert isinstance(SOME[1:3], Clips)
    assert SOME[:2] + SOME[2:] == SOME
    assert hash(SOME[:2] + SOME[2:]) == hash(SOME)
    assert SOME[::-1] != SOME
    assert list(SOME) != SOME
    assert "4 clips" in repr(SOME)
    assert "fan, pump" in repr(SOME)
    assert "none" in repr(Clips())
    with pytest.raises(TypeError):
        SOME[0] = SOME[1]  # type: ignore[index]
    with pytest.raises(TypeError):
        SOME + (SOME[0],)  # type: ignore[operator]  # noqa: RUF005


def test_clips_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(SOME)) == SOME


def test_groups_and_selections() -> None:
    assert SOME.machines == ("fan", "pump")
    groups = SOME.by_section()
    assert list(groups) == [("fan", "00"), ("pump", "00"), ("pump", "01")]
    assert groups["fan", "00"] == Clips([SOME[1], SOME[3]])
    assert SOME.select() == SOME
    assert SOME.select(machine="fan", label="normal") == SOME[3:]
    assert SOME.select(split="train") == Clips([SOME[0], SOME[3]])
    assert SOME.select(domain="target") == SOME[1:2]
    assert not SOME.select(machine="valve")


# ---- DCASE folders -------------------------------------------------------------------------------

TRAIN = ("train/section_00_source_train_normal_0000_a_1.wav",
         "train/section_00_target_train_normal_0000_a_2.wav")  # fmt: skip
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


def row(clip: Clip) -> tuple[str | None, ...]:
    return clip.section, clip.split, clip.domain, clip.label, clip.attributes


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
    refused(lambda: Clips.open(tmp_path / "dev_data/raw/fan" / test, "train"), "test folder")


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
        (["fan/train/section_00_0.mp3"], ["section_00_0.mp3", "WAV and FLAC"]),
        (["fan/train/.hidden.wav"], ["train", "no WAV or FLAC"]),
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
    refused(lambda: Clips.open(tmp_path, machine="x"), "fan, pump", "only one")
    refused(lambda: Clips.from_folder(tmp_path, machine="x"), "only one")
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
        (["near/1.wav", "near/2.wav", "far/1.wav"], ["near/2.wav", "far microphone"]),
        (["near/1.wav", "far/1.wav", "far/2.wav"], ["far/2.wav", "near microphone"]),
        (["near/1.wav"], ["near/1.wav", "far microphone"]),
        (["1_near.wav", "1_far.wav", "2_near.wav"], ["2_near.wav", "far microphone"]),
        (["1_far.wav"], ["1_far.wav", "near microphone"]),
        ([], ["no clips", ".flac", "train"]),
        (["readme.txt"], ["no clips"]),
        (["1.wav", "2.mp3"], ["2.mp3", "convert"]),
        (["1.wav", "pump/2.wav"], ["pump", "sub-folder"]),
        (["pump/1.wav", "hall/fan/2.wav"], ["fan", "sub-folder"]),
        (["pump/normal/1.wav", "pump/abnormal/1.wav"], ["abnormal", "no name of a machine"]),
    ],
)
def test_bad_plain_folders(tmp_path: Path, names: list[str], words: list[str]) -> None:
    lay(tmp_path / "data", *names)
    (tmp_path / "data").mkdir(exist_ok=True)
    refused(lambda: Clips.open(tmp_path / "data"), *(w.replace("/", os.sep) for w in words))


def test_a_dcase_folder_is_no_plain_folder(tmp_path: Path) -> None:
    lay(tmp_path / "fan", *TRAIN, *TEST)
    refused(lambda: Clips.from_folder(tmp_path / "fan"), "test", "no name of a machine")


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
    refused(lambda: Clips.open(pump / "3_near.wav"), "3_near.wav", "far microphone")
    assert Clips.open(pump / "1.wav", machine="P").machines == ("P",)
    lay(tmp_path / "fan", *TEST)
    assert Clips.open(tmp_path / "fan" / TEST[0]) == Clips.open(tmp_path / "fan")[:1]


# ---- CSV -----------------------------------------------------------------------------------------


def listed(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "hall" / "clips.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


FULL = (
    "path,far,start,stop,machine,section,domain,split,label,attributes,time\n"
    "rec/a.wav,rec/b.wav,60,70.5,Pumpe Süd,0,target,train,normal,speed 5,2026-06-15T08:30:00Z\n"
    "/abs/c.flac,,,,,,,,,,\n"
)


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_columns(tmp_path: Path, bom: str, end: str) -> None:
    path = listed(tmp_path, bom + FULL.replace("\n", end))
    first, second = clips = Clips.from_csv(path)
    assert first == Clip(
        path.parent / "rec/a.wav", path.parent / "rec/b.wav", start=60.0, stop=70.5,
        machine="Pumpe Süd", section="00", domain="target", split="train", label="normal",
        attributes="speed 5", time=datetime(2026, 6, 15, 8, 31, tzinfo=UTC),
    )  # fmt: skip
    assert second == Clip(Path("/abs/c.flac"), machine="hall")
    assert Clips.open(path) == clips
    assert Clips.open(path, "train") == clips  # a line that says no split belongs to any
    assert Clips.open(path, "test") == clips[1:]
    assert Clips.open(path, machines=["hall"], machine="x").machines == ("x",)


def test_other_ways_to_write_it(tmp_path: Path) -> None:
    text = ' near , far\n\n a_1.wav ,"b, 1.wav"\n,\nc.wav,d.wav'
    folder = tmp_path / "hall"
    assert Clips.from_csv(listed(tmp_path, text)) == Clips(
        [Clip(folder / "a_1.wav", folder / "b, 1.wav", machine="hall"),
         Clip(folder / "c.wav", folder / "d.wav", machine="hall")])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", [":1:", "'path' or 'near'"]),
        ("far,machine\na.wav,x\n", [":1:", "'path' or 'near'"]),
        ("path,near\na.wav,b.wav\n", [":1:", "either"]),
        ("path,machien\n", [":1:", "'machien'", "did you mean 'machine'"]),
        ("path;machine\na.wav;x\n", [":1:", "'path;machine'"]),
        ("path,path\na,b\n", [":1:", "twice"]),
        ("path\n", ["no clips below the header"]),
        ("path,machine\na.wav\n", [":2:", "1 cells", "2"]),
        ("path\na.wav,b\n", [":2:", "2 cells"]),
        ("path,machine\n,x\n", [":2:", "no path"]),
        ("path,start\na.wav,0\nb.wav,soon\n", [":3:", "start 'soon'"]),
        ("path,start\na.wav,-1\n", [":2:", "start -1.0"]),
        ("path,start\na.wav,nan\n", [":2:", "start nan"]),
        ("path,start,stop\na.wav,5,4\n", [":2:", "stop 4.0"]),
        ("path,stop\na.wav,1e308\n", [":2:", "stop 1e+308"]),
        ("path,domain\na.wav,0\n", [":2:", "domain '0'", "source or target"]),
        ("path,label\n\na.wav,bad\n", [":3:", "label 'bad'"]),
        ("path,split\na.wav,dev\n", [":2:", "split 'dev'"]),
        ("path,time\na.wav,yesterday\n", [":2:", "time 'yesterday'"]),
        ("path,start,time\na.wav,1e8,9999-12-31\n", [":2:", "9999-12-31"]),
        ("path,start\na.wav,\nb.wav,\na.wav,0\n", [":4:", "line 2"]),
        ('path\n"a.wav\n', [":2:", "correct the line"]),
        ('path\n"a\nb.wav"\n', [":3:", "line break"]),
    ],
)
def test_bad_lists(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(lambda: Clips.from_csv(listed(tmp_path, text)), "clips.csv", *words)


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    refused(lambda: Clips.from_csv(listed(tmp_path, "path\nü.wav", "latin-1")), "UTF-8")
    refused(lambda: Clips.from_csv(tmp_path / "gone.csv"), "gone.csv", "cannot be read")
    refused(lambda: Clips.from_csv(tmp_path), "cannot be read")


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text('a0",\n\r'))
def test_no_text_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("path,label\n" + text, encoding="utf-8", newline="")
    message = "x.wav"
    try:
        assert len(Clips.from_csv(path)) > 0
    except DatasetError as error:
        message = str(error)
    assert "\n" not in message


# ---- long recordings -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:recordings at 8000 Hz", "ignore:.*no whole clip")
def test_a_long_recording_becomes_clips_with_times(tmp_path: Path) -> None:
    record(tmp_path / "hall/long.wav", 35.7, rate=8_000)
    begin = datetime(2026, 6, 15, 23, 59, 40)
    path = listed(tmp_path, f"path,time\nlong.wav,{begin.isoformat()}\n")
    clips = Clips.open(path, clip_seconds=10)
    assert clips == Clips.from_csv(path, clip_seconds=10)
    assert [c.file for c in clips] == ["long.wav@00:00:00-00:00:10", "long.wav@00:00:10-00:00:20",
                                       "long.wav@00:00:20-00:00:30"]  # fmt: skip
    assert [c.time for c in clips] == [begin + timedelta(seconds=s) for s in (0, 10, 20)]
    assert [c.read().shape for c in clips] == [(2, 160_000)] * 3  # the last 5.7 s are left out
    whole = Clips.open(path)[0]
    joined = Clips.open(tmp_path / "hall/long.wav", clip_seconds=11.9)
    assert [(c.start, c.stop, c.time) for c in joined] == [
        (pytest.approx(a), pytest.approx(a + 11.9), None) for a in (0, 11.9, 23.8)]  # fmt: skip
    assert len(Clips.open(tmp_path / "hall/long.wav", clip_seconds=5.1)) == 7  # 35.7 s: all of it
    assert whole.read().shape[1] == sum(c.read().shape[1] for c in joined)


def test_a_remainder_is_left_out_aloud(tmp_path: Path) -> None:
    record(tmp_path / "hall/long.wav", 5)
    with pytest.warns(NearfarWarning, match=r"long.wav: its last 1 s are no whole clip"):
        assert len(Clips.open(tmp_path / "hall", clip_seconds=2)) == 2


def test_a_csv_hides_no_label_that_a_name_tells(tmp_path: Path) -> None:
    name = "section_00_target_test_anomaly_0001_spd_3.wav"
    clip = Clips.open(listed(tmp_path, f"path\n{name}\n"))[0]
    assert (clip.label, clip.split, clip.domain) == ("anomaly", "test", "target")
    assert clip.attributes == "spd_3"
    told = Clips.open(listed(tmp_path, f"path,domain\n{name},source\n"))[0]
    assert told.domain == "source"  # what the table says counts


@pytest.mark.filterwarnings("ignore:.*no whole clip")
def test_a_part_is_cut_within_its_span(tmp_path: Path) -> None:
    record(tmp_path / "hall/long.wav", 10)
    path = listed(tmp_path, "path,start,stop,time\nlong.wav,2.5,7,2026-01-01\n")
    clips = Clips.from_csv(path, clip_seconds=2)
    assert [(c.start, c.stop) for c in clips] == [(2.5, 4.5), (4.5, 6.5)]
    assert [c.time for c in clips] == [datetime(2026, 1, 1, 0, 0, 2, 500_000),
                                       datetime(2026, 1, 1, 0, 0, 4, 500_000)]  # fmt: skip


@pytest.mark.parametrize("seconds", [1, 3, 3.1, 1_000])
def test_what_is_not_longer_stays_whole(tmp_path: Path, seconds: float) -> None:
    pump = tmp_path / "pump"
    record(pump / "x.wav", 3)
    clips = Clips.from_folder(pump, clip_seconds=seconds)
    assert len(clips) == (3 if seconds == 1 else 1)
    assert (clips == Clips.from_folder(pump)) == (seconds != 1)


@pytest.mark.filterwarnings("ignore:.*no whole clip")
def test_two_recorders_that_stop_apart(tmp_path: Path) -> None:
    record(tmp_path / "pump/x_near.wav", 4.0, 1)
    record(tmp_path / "pump/x_far.wav", 3.9, 1)
    clips = Clips.open(tmp_path / "pump", clip_seconds=1)
    assert [c.read().shape for c in clips] == [(2, 16_000)] * 3


def test_what_cannot_be_read_is_kept_so_that_reading_says_why(tmp_path: Path) -> None:
    record(tmp_path / "hall/good.wav", 3)
    record(tmp_path / "hall/cut.wav", 3)
    data = (tmp_path / "hall/cut.wav").read_bytes()
    (tmp_path / "hall/cut.wav").write_bytes(data[:50_000])
    path = listed(tmp_path, "path,start,stop\ngood.wav,,\ncut.wav,,\ngone.wav,,\n"
                            "good.wav,8,9\ngood.wav,1,9\n")  # fmt: skip
    clips = Clips.from_csv(path, clip_seconds=1)
    assert len(clips) == 3 + 1 + 1 + 1 + 1
    for clip, word in zip(clips[3:], ["truncated", "no such", "no samples", "ends"], strict=True):
        refused(clip.read, word, error=AudioError)


@pytest.mark.parametrize("seconds", [0, -1, 0.99, float("nan"), float("inf")])
def test_lengths_that_no_clip_can_have(tmp_path: Path, seconds: float) -> None:
    record(tmp_path / "pump/x.wav", 3)
    path = listed(tmp_path, "path\n../pump/x.wav\n")
    for call in (
        lambda: Clips.open(tmp_path / "pump", clip_seconds=seconds),
        lambda: Clips.from_folder(tmp_path / "pump", clip_seconds=seconds),
        lambda: Clips.from_csv(path, clip_seconds=seconds),
    ):
        refused(call, "clip_seconds", "at least 1 s", error=SettingError)


def test_dcase_clips_can_be_cut(tmp_path: Path) -> None:
    record(tmp_path / "fan" / TRAIN[0], 3)
    clips = Clips.open(tmp_path, "train", clip_seconds=1)
    assert len(clips) == 3
    assert {row(c) for c in clips} == {("00", "train", "source", "normal", "a_1")}


# ---- proxy classes -------------------------------------------------------------------------------


def classed(*rows: tuple[str, str | None, str]) -> Clips:
    return Clips(Clip(Path(f"{i}.wav"), machine=m, domain=d, attributes=a)
                 for i, (m, d, a) in enumerate(rows))  # fmt: skip


def test_classes_by_attributes_or_by_domain() -> None:
    clips = classed(("A", "source", "x"), ("A", "target", "X"), ("A", "source", "y"),
                    ("B", "source", ""), ("B", "target", ""), ("B", None, ""),
                    ("AA", None, ""))  # fmt: skip
    assert list(proxy_classes(clips).values()) == [
        ("A", "00", "x"), ("A", "00", "x"), ("A", "00", "y"),
        ("B", "00", "source"), ("B", "00", "target"), ("B", "00", "source"),
        ("AA", "00", "source")]  # fmt: skip
    assert len(set(proxy_classes(clips, rule="report").values())) == 6


def test_anomalies_and_test_clips_have_no_class() -> None:
    clips = Clips(
        Clip(Path(f"{split}{label}.wav"), machine="A", split=split, label=label, attributes="x")
        for split in ("train", "test", None)
        for label in ("normal", "anomaly", None)
    )
    kept = {(c.split, c.label) for c in proxy_classes(clips)}
    assert kept == {("train", "normal"), ("train", None), (None, "normal"), (None, None)}
    left_out = set(clips) - set(proxy_classes(clips, rule="report"))
    assert {(c.split, c.label) for c in left_out} == {("test", None)}


def test_an_unknown_rule() -> None:
    refused(lambda: proxy_classes(SOME, rule="all"), "'all'", "train", error=SettingError)  # type: ignore[arg-type]
