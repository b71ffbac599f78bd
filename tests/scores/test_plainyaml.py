"""YAML of strangers: plain data, or one line with the place."""

import datetime

import pytest

from conftest import refused
from nearfar.errors import FormatError
from nearfar.scores.submission.plainyaml import LARGEST, dump_yaml, read_yaml

BOMB = b"a: &a [x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c]\n" % (n, n, n - 1, n - 1, n - 1, n - 1) for n in range(98, 110)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: 2\na: 3", "m.yaml:3: 'a' is there twice, first in line 1"),
        (b"a:\n- b: 1\n  b: 2", "m.yaml:3"),
        (b"a: &x 1\nb: *x", "m.yaml:1: an anchor"),
        (BOMB, "m.yaml:1: an anchor"),
        (b"a: !!python/object/apply:os.system [ls]", "python/object/apply"),
        (b"a: !!python/name:os.system", "is not taken"),
        (b"a: !mine 3", "'!mine' is not taken"),
        (b"a: !!set {b}", "is not taken"),
        (b"x\na: \xff", "m.yaml:2: not UTF-8"),
        ("a: ä".encode("utf-16"), "not UTF-8"),
        (b"[" * 5000, "more than 12 levels"),
        (b"a: {" * 5000, "more than 12 levels"),
        (b"a: 2026-13-45", "in quotes"),
        (b"a: " + b"9" * 6000, "in quotes"),
        (b"a: [", "not YAML"),
        (b"a: 1\n\tb: 2", "m.yaml:2: not YAML"),
        (b"---\na: 1\n---\nb: 2", "m.yaml:3: not YAML"),
        (b"a: \x00", "not YAML"),
        (b"? [a]\n: 1", "a key that is no text"),
        (b"#" * (LARGEST + 1), "no meta file"),
        (b"%YAML 9.0\n---\na: 1", "not YAML"),
    ],
)
def test_what_is_no_plain_data_is_told_with_its_place(content, said):
    refused(lambda: read_yaml(content, "m.yaml"), said, error=FormatError)


def test_plain_data_are_read_as_they_stand():
    text = "\ufeffa: !!null\nb: [1, 2.5, yes, 'x: y']\nc: {d: ~}\ne: 2026-06-15\n"
    assert read_yaml(text.encode(), "m") == {
        "a": None, "b": [1, 2.5, True, "x: y"], "c": {"d": None},
        "e": datetime.date(2026, 6, 15),
    }  # fmt: skip
    assert read_yaml(b"", "m") is None


def test_what_is_written_is_read_back():
    data = {
        "a": None, "b": ["", None, "null", "!!null", "yes", "1e5", "ä 東", "- x", "# y", "a: b"],
        "c": [{"name": None, "url": "https://x.y/?a=b#c"}], "d": 61.79, "e": 89_972_736,
        "long": "word " * 80, "lines": "a\nb",
    }  # fmt: skip
    text = dump_yaml(data)
    assert read_yaml(text.encode(), "m") == data
    assert text.startswith("a: !!null\n")
    assert "name: !!null" in text
