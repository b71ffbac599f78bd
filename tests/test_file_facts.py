"""What is asked about files before and after they are written: sum, age, and may they be."""

import os
import time

import pytest

from nearfar.errors import StorageError
from nearfar.files import check_output, file_age, sha256


@pytest.mark.parametrize(
    ("content", "digest"),
    [  # FIPS 180-2, appendix B, and the sum of nothing
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"a" * 10**6, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ],
    ids=["abc", "a million a", "empty"],
)
def test_the_sum_is_the_standards(tmp_path, content, digest):
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == digest


def test_what_cannot_be_read_is_for_the_caller_to_tell(tmp_path):
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(OSError, match=path.name):
            sha256(path)


def test_an_age_is_counted_from_the_last_change(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.utime(path, (0, time.time() - 5000))
    assert file_age(path) == pytest.approx(5000, abs=60)
    assert file_age(tmp_path / "gone") == 0.0


def test_places_are_checked_before_the_work(tmp_path):
    there = tmp_path / "there.csv"
    there.touch()
    for path in (None, tmp_path / "new.csv"):
        check_output(path, endings=(".csv",))
    check_output(there, endings=(".csv",), replace=True)
    assert not (tmp_path / "new.csv").exists()  # nothing is written to try it
    with pytest.raises(StorageError, match="is a folder; choose another place"):
        check_output(tmp_path, endings=(".csv",))
    with pytest.raises(StorageError, match=r"gone cannot be written to"):
        check_output(tmp_path / "gone" / "new.csv", endings=(".csv",))
