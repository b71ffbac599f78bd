"""One clip and its name: every real name is understood, none is guessed at."""

from __future__ import annotations

import gzip
import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clip_files import record, refused
from conftest import SHARED
from nearfar.clips import Clip, Clips, Name, parse_name, proxy_classes
from nearfar.errors import AudioError
from nearfar.sound import audio

NAMES = SHARED / "gold" / "dcase2026" / "file_names.txt.gz"
DEV = ("ToyCar", "ToyCarEmu", "bearingEmu", "fan", "gearboxEmu", "sliderEmu", "valveEmu")
ADDITIONAL = ("BlowerDustCollector", "Sander", "SewingMachine", "ToothBrush", "ToyDrone")


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


@pytest.mark.slow
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
