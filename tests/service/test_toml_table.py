"""A table taken key by key: nothing in it goes unread, and each value is what it must be."""

import pytest

from conftest import refused
from nearfar.service import toml_table as tables
from nearfar.service.toml_lines import TomlText
from nearfar.service.toml_table import TomlTable


def table(text):
    read, faults = TomlText(text, "p.toml"), []
    return TomlTable(read, (), read.data, faults, "ask somebody"), faults


def test_what_nobody_takes_is_told():
    top, faults = table("a = 1\nb = 2\n[c]\nd = 3\n[c.e]\nf = 4\n")
    assert top.take("a", tables.whole_number(0), None) == 1
    inner = top.table("c")
    inner.table("e").done()
    inner.done()
    top.done()
    assert [str(fault).partition(";")[0] for fault in faults] == [
        "p.toml:6: [c.e] has no key 'f'", "p.toml:4: [c] has no key 'd'",
        "p.toml:2: there is no key 'b'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "key", ["password", "PASSWORD", "mqtt_password", "user", "username", "token"]
)
def test_a_secret_is_refused_and_not_shown(key):
    top, faults = table(f'{key} = "hunter2"')
    top.done()
    assert str(faults[0]) == f"p.toml:1: {key} does not belong into a file; ask somebody"


def test_arrays_of_tables_are_named_as_they_are_written():
    top, faults = table("[[m]]\n[m.n]\nx = 1\n[[m]]\ny = 2\n")
    names = []
    for one in top.tables("m"):
        names.append((one.name, one.table("n").name))
        one.done()
    assert names == [("[[m]]", "[m.n]")] * 2
    assert str(faults[0]).startswith("p.toml:5: [[m]] has no key 'y'")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (tables.text_of, ["x"], [1, "", " ", "a\nb", True, []]),
        (tables.texts, [["a", "b"], "a", []], [1, [1], [""]]),
        (tables.truth, [True, False], [0, 1, "true"]),
        (tables.one_of(("a", "b")), ["a"], ["c", 1, ["a"]]),
        (tables.whole_number(1, 3), [1, 3], [0, 4, 1.0, True, "1"]),
        (tables.number_within(0, 1), [0, 0.5, 1], [2, "0", True, float("nan")]),
    ],
)
def test_a_value_is_of_its_kind(kind, good, bad):
    for value in good:
        assert kind(value) in (value, (value,), tuple(value) if isinstance(value, list) else value)
    for value in bad:
        refused(lambda value=value: kind(value), "it is")


def test_a_file_of_another_program_is_told_at_once_in_one_line():
    top, faults = table("".join(f"key{n} = 1\n" for n in range(20_000)))
    top.take("detector", tables.text_of, None)
    top.done()
    assert len(faults) == 1
    assert "20,000 keys that it does not take; the first is 'key0'" in str(faults[0])


@pytest.mark.parametrize("value", [1 << 20_000, -(1 << 20_000), [1 << 20_000]], ids=range(3))
def test_a_number_that_nobody_can_spell_is_told(value):
    """Python refuses to spell whole numbers of more than 4,300 digits."""
    refused(lambda: tables.text_of(value), "it is a text")
    refused(lambda: tables.whole_number(1, 3)(value), "it is a whole number")


def test_tables_in_tables_without_end_are_told():
    value = []
    for _ in range(100_000):
        value = [value]
    refused(lambda: tables.text_of(value), "it is a text")
