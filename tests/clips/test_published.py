"""Which records there are, and what is believed of a record's own words."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from nearfar.clips.download.published import (
    LICENCE,
    RECORDS,
    REPLACED,
    SPLITS,
    chosen,
    ordered,
    read_listing,
    refuse_withdrawn,
)
from nearfar.errors import DatasetError, FormatError, SettingError

MD5 = "0123456789abcdef" * 2
BASE = "https://example.org/api/records/7"


def file(key, **changes):
    made = {"key": key, "size": 1000, "checksum": f"md5:{MD5}", "links": {"self": f"/f/{key}"}}
    return {**made, **changes}


def listing(*keys, split="dev", **about):
    files = [key if isinstance(key, dict) else file(key) for key in keys]
    return read_listing({"files": files, "metadata": about}, split, 7, "page", BASE)


def test_each_number_is_of_one_part_of_one_year():
    numbers = [number for of_year in RECORDS.values() for number in of_year]
    assert len(set(numbers)) == len(numbers) == 3 * 7
    assert RECORDS["dcase2026"] == (19336329, 20151556, 20437238)  # facts/anchors.md §1


# Names of all years, as the official scripts fetch them.
@pytest.mark.parametrize(
    ("key", "split", "machine"),
    [
        ("dev_valveEmu.zip", "dev", "valveEmu"),
        ("dev_data_ToyConveyor.zip", "dev", "ToyConveyor"),
        ("dev_ToyCar_r2.zip", "dev", "ToyCar"),
        ("eval_data_BlowerDustCollector_train.zip", "train", "BlowerDustCollector"),
        ("eval_data_3DPrinter_train_r2.zip", "train", "3DPrinter"),
        ("eval_data_train_pump.zip", "train", "pump"),
        ("eval_data_test_pump.zip", "eval", "pump"),
        ("eval_data_ToothBrush_test.zip", "eval", "ToothBrush"),
        ("eval_data_Sander.zip", "train", "Sander"),  # a script of 2026 has it so
    ],
)
def test_a_machine_is_read_off_the_name_of_its_file(key, split, machine):
    (archive,) = listing(key, split=split).archives
    assert (archive.machine, archive.split, archive.key) == (machine, split, key)
    assert archive.url == f"https://example.org/f/{key}"  # links may be relative


def test_files_of_other_splits_and_kinds_stay_where_they_are_and_are_named():
    found = listing("dev_fan.zip", "eval_data_fan_test.zip", "LICENSE.pdf", "../../dev_fan.zip")
    assert [a.key for a in found.archives] == ["dev_fan.zip"]
    assert found.others == ("eval_data_fan_test.zip", "LICENSE.pdf", "../../dev_fan.zip")


@pytest.mark.parametrize("order", [1, -1])
def test_a_later_edition_takes_the_place_of_the_first(order):
    keys = ["dev_fan.zip", "dev_fan_r2.zip", "dev_fan_r10.zip"][::order]
    found = listing(*keys)
    assert [a.key for a in found.archives] == ["dev_fan_r10.zip"]
    assert dict(found.earlier) == dict.fromkeys(
        keys[:2] if order == 1 else keys[1:], "dev_fan_r10.zip"
    )


def test_the_first_toycar_of_2026_is_never_taken():
    key, known = REPLACED["dcase2026", "dev", "ToyCar"]
    assert known == "353201db217e25377a7e7eccf9c1c8a7"  # facts/anchors.md §1

    def taken(*keys, machines=None, data_set="dcase2026"):
        found = chosen([listing(*keys)], machines)
        refuse_withdrawn(data_set, found)
        return [archive.key for archive in found]

    refused(lambda: taken("dev_ToyCar.zip", "dev_fan.zip"), "replaced", key)
    refused(lambda: taken(key), "MD5", known, error=DatasetError)
    assert taken(file(key, checksum=f"md5:{known}")) == [key]
    # The way out that the line names: the other machines alone.
    assert taken("dev_ToyCar.zip", "dev_fan.zip", machines=["fan"]) == ["dev_fan.zip"]
    assert taken("dev_ToyCar.zip", data_set="dcase2025")  # other years have no other


def test_two_files_of_one_edition_are_refused_for_nobody_knows_the_later():
    for keys in (("dev_fan.zip", "dev_data_fan.zip"), ("dev_fan.zip", "dev_fan.zip")):
        refused(lambda keys=keys: listing(*keys), *keys, "edition", error=DatasetError)


@pytest.mark.parametrize("said", [f"MD5:{MD5}", f"md5:{MD5.upper()}", MD5])
def test_a_checksum_is_understood_however_a_mirror_spells_it(said):
    (archive,) = listing(file("dev_fan.zip", checksum=said)).archives
    assert archive.md5 == MD5


@pytest.mark.parametrize(
    "data",
    [None, [], "<html>", 7, {}, {"files": None}, {"files": {"entries": []}}, {"message": "gone"}],
)
def test_what_is_no_record_is_refused(data):
    refused(
        lambda: read_listing(data, "dev", 7, "page", BASE), BASE, "no record",
        error=FormatError,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"size": None}, {"size": "1000"}, {"size": True}, {"size": -1}, {"size": 21},
        {"checksum": None}, {"checksum": "sha256:00"}, {"checksum": f"md5:{MD5}0"},
        {"links": None}, {"links": {}}, {"links": {"self": 7}}, {"links": {"self": "http://["}},
    ],
)  # fmt: skip
def test_a_file_that_could_not_be_checked_is_refused(changes):
    refused(lambda: listing(file("dev_fan.zip", **changes)), "dev_fan.zip", error=FormatError)


def test_a_record_without_machines_is_refused():
    refused(lambda: listing("paper.pdf"), "record 7", "dev", "--split", error=DatasetError)
    refused(lambda: listing("dev_fan.zip", split="eval"), "record 7", error=DatasetError)


WORDS = ["files", "metadata", "key", "size", "checksum", "links", "self", "creators", "license"]
ANY = st.recursive(
    st.none() | st.integers() | st.sampled_from(["dev_fan.zip", f"md5:{MD5}", "http://[", "x"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*WORDS, "id", "name"]), inner),
    max_leaves=12,
)


@settings(max_examples=40)
@given(ANY | st.lists(ANY).map(lambda files: {"files": files}))
def test_no_answer_of_a_server_is_a_bug_of_ours(data):
    with suppress(DatasetError, FormatError):
        read_listing(data, "dev", 7, "page", BASE)


def test_title_makers_and_licence_are_the_records_own_printable_words():
    found = listing(
        "dev_fan.zip", title="A\x1b[31m\nset", creators=[{"name": "One"}, 7, {"name": None}],
        license={"id": "CC-BY-4.0"},
    )  # fmt: skip
    assert (found.title, found.makers, found.licence) == ("A\\x1b[31m\\nset", ("One",), "cc-by-4.0")
    assert listing("dev_fan.zip").licence == LICENCE


# ---- what is asked for ---------------------------------------------------------------------------


def test_all_splits_or_those_that_are_named_in_the_order_of_the_records():
    name, numbers = ordered("DCASE2026", None, None)
    assert (name, [split for split, _ in numbers]) == ("dcase2026", list(SPLITS))
    _, numbers = ordered("dcase2026", ["eval", "dev", "eval"], None)
    assert numbers == [("dev", 19336329), ("eval", 20437238)]


def test_an_unknown_data_set_or_split_has_a_guess():
    refused(lambda: ordered("dcase2062", None, None), "did you mean 'dcase20", error=SettingError)
    refused(lambda: ordered("mimii", None, None), "mimii", "dcase2026", "record")
    refused(lambda: ordered("dcase2026", ["evl"], None), "did you mean 'eval'", error=SettingError)


def test_another_record_is_of_one_split():
    assert ordered("dcase2027", ["dev"], 99) == ("dcase2027", [("dev", 99)])
    for splits in (None, [], ["dev", "eval"]):
        refused(lambda splits=splits: ordered("dcase2026", splits, 99), "99", "one split")
    refused(lambda: ordered("mimii", ["dev"], 99), "mimii", error=SettingError)


def test_a_machine_that_no_record_has_is_told_with_a_guess():
    listings = [
        listing("dev_fan.zip", "dev_valve.zip"),
        listing("eval_data_saw_test.zip", split="eval"),
    ]
    assert [a.machine for a in chosen(listings, None)] == ["fan", "valve", "saw"]
    assert [a.machine for a in chosen(listings, ["saw", "fan"])] == ["fan", "saw"]
    refused(
        lambda: chosen(listings, ["fna"]), "did you mean 'fan'", "dev, eval", error=DatasetError
    )
