"""What is noted of a download, and the licence that lies with the recordings."""

from dataclasses import replace

import pytest

from conftest import refused
from nearfar.clips.download.published import FileList
from nearfar.clips.download.receipts import (
    NOTICE,
    RECEIPTS,
    Receipt,
    read_receipts,
    terms,
    write_notice,
    write_receipts,
)
from nearfar.errors import FormatError, SettingError

RECEIPT = Receipt("dev_fan.zip", "dev_data/raw/fan", "0" * 32, 9, {"train/ä.wav": 3, "a.csv": 1})


def listing(record=7, split="dev", **about):
    return FileList(record, split, f"https://zenodo.org/records/{record}", **about)


def test_receipts_are_read_as_they_were_written(tmp_path):
    assert read_receipts(tmp_path, "dcase2026") == {}
    write_receipts(tmp_path, "dcase2026", {RECEIPT.key: RECEIPT})
    assert read_receipts(tmp_path, "dcase2026") == {RECEIPT.key: RECEIPT}
    assert RECEIPT.clips == 1


def test_what_is_gone_or_has_another_size_is_named(tmp_path):
    assert RECEIPT.gone(tmp_path) == ["train/ä.wav", "a.csv"]
    (tmp_path / "train").mkdir()
    (tmp_path / "train/ä.wav").write_bytes(b"123")
    (tmp_path / "a.csv").write_bytes(b"more")
    assert RECEIPT.gone(tmp_path) == ["a.csv"]
    assert replace(RECEIPT, files={"train/\0.wav": 1}).gone(tmp_path) == ["train/\0.wav"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", '{"schema": 1, "data_set": "dcase2026"}', "\xff",
     '{"schema": 2, "data_set": "dcase2026", "files": {}}',
     '{"schema": 1, "data_set": "dcase2026", "files": {"a": {}}}',
     '{"schema": 1, "data_set": "dcase2026", "files": {"a": {"md5": "", "size": "x"}}}',
     '{"schema": 1, "data_set": "dcase2026", "files": {"a": {"folder": "", "md5": "",'
     ' "size": 1e999, "files": {}}}}',
     '{"schema": 1, "data_set": 7, "files": {}}', "[" * 50_000],
)  # fmt: skip
def test_a_list_that_is_none_of_ours_is_refused(text, tmp_path):
    (tmp_path / RECEIPTS).write_bytes(text.encode("latin-1"))
    refused(lambda: read_receipts(tmp_path, "dcase2026"), RECEIPTS, error=FormatError)


def test_two_data_sets_have_two_folders(tmp_path):
    write_receipts(tmp_path, "dcase2025", {})
    refused(
        lambda: read_receipts(tmp_path, "dcase2026"), "dcase2025", "dcase2026", error=SettingError
    )


# ---- whose they are ------------------------------------------------------------------------------


def test_the_terms_say_what_is_allowed_and_whom_to_cite():
    line = terms([listing(), listing(8, "eval")])
    assert "\n" not in line
    for word in ("CC BY-NC-SA 4.0", "no commercial use", "cite", "records/7", "records/8"):
        assert word in line


def test_a_record_with_another_licence_is_not_given_ours():
    line = terms([listing(), listing(8, licence="cc0-1.0")])
    assert "cc0-1.0" in line
    assert "CC BY-NC-SA" not in line


def test_the_notice_names_the_makers_and_grows_by_records(tmp_path):
    assert write_notice(tmp_path, [listing(title="One", makers=("Maker, A.", "Maker, B."))])
    assert write_notice(tmp_path, [listing(8, title="Two", licence="cc0-1.0")])
    text = (tmp_path / NOTICE).read_text("utf-8")
    assert text.count("Whose recordings") == text.count("by-nc-sa/4.0") == text.count("cc0") == 1
    assert text.index("Maker, A.; Maker, B.") < text.index("Two")
    write_notice(tmp_path, [listing(title="One", makers=("Maker, A.", "Maker, B."))])
    assert (tmp_path / NOTICE).read_text("utf-8") == text


def test_a_file_of_the_users_stays(tmp_path):
    (tmp_path / NOTICE).write_text("mine")
    assert not write_notice(tmp_path, [listing()])
    assert (tmp_path / NOTICE).read_text() == "mine"


def test_a_notice_that_somebody_added_to_in_another_encoding_stays(tmp_path):
    write_notice(tmp_path, [listing()])
    theirs = (tmp_path / NOTICE).read_bytes() + b"\n" * 9000 + "M\u00fcller".encode("latin-1")
    (tmp_path / NOTICE).write_bytes(theirs)
    assert not write_notice(tmp_path, [listing(8)])
    assert (tmp_path / NOTICE).read_bytes() == theirs
