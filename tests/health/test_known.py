"""What published sets have: facts of the baseline's lists, and when a folder is taken for one."""

from pathlib import Path

import pytest

from nearfar.health.known import SETS, YEARS, recognised, sets_of, year_in


@pytest.mark.parametrize("year", [2023, 2024, 2025, 2026])
def test_a_section_of_recent_years_has_1000_training_and_200_test_clips(year):
    for one in sets_of(year):
        assert (one.expected("train"), one.expected("test")) == (1000, 200)
        assert one.sections == ("00",)


def test_machines_of_2026_are_those_of_its_lists():
    dev, evaluation = sets_of(2026)
    assert (len(dev.machines), len(evaluation.machines)) == (7, 5)
    assert not set(dev.machines) & set(evaluation.machines)
    assert {"ToyCar", "ToyCarEmu", "fan"} <= set(dev.machines)


def test_what_is_not_known_is_not_expected():
    for one in sets_of(2021):
        assert (one.expected("train"), one.expected("test")) == (None, None)
    assert sets_of(1999) == []
    assert min(YEARS) == 2021
    assert len({(one.year, one.part) for one in SETS}) == len(SETS)


def test_the_layout_names_its_year():
    assert year_in(Path("/d/dcase2025t2/dev_data/raw/fan")) == 2025
    assert year_in(Path("/d/DCASE2024T2")) == 2024
    assert year_in(Path("/d/dcase2026/raw")) == 2026
    assert year_in(Path("/d/dcase/raw")) is None


def test_what_was_fetched_is_known_by_its_receipts(tmp_path):
    for place in (tmp_path, tmp_path / "dev_data/raw", tmp_path / "dev_data/raw/fan"):
        place.mkdir(parents=True, exist_ok=True)
        assert year_in(place) is None
    (tmp_path / "downloaded.json").write_text('{"schema": 1, "data_set": "dcase2025", "files": []}')
    for place in (tmp_path, tmp_path / "dev_data/raw", tmp_path / "dev_data/raw/fan"):
        assert year_in(place) == 2025
    for damaged in ("", "[]", "{}", "[" * 100_000, '{"data_set": 7}'):
        (tmp_path / "downloaded.json").write_text(damaged)
        assert year_in(tmp_path) is None


def of(machines, train, test=200, section="00"):
    return {(m, section): {"train": train, "test": test} for m in machines}


def test_names_alone_are_no_published_set():
    assert recognised(of(["fan", "ToyCarEmu"], 24, 24)) == []
    assert recognised(of(["pump7"], 1000)) == []
    assert recognised({}) == []


def test_names_and_counts_are():
    found = recognised(of(["fan", "ToyCarEmu"], 990))
    assert [one.name for one in found] == ["the development set of 2026"]
    # The newest of those that know the most machines.
    assert recognised(of(["fan", "ToyTrain"], 1000))[0].year == 2025
    assert recognised(of(["fan"], 1000, section="01"))[0].year == 2022
    assert recognised(of(["Sander"], 0))[0].part == "evaluation"  # test clips alone
