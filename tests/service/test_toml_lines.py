"""The line of every key in a TOML text, held against the standard library's own reading."""

import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from nearfar.errors import FormatError
from nearfar.service.toml_lines import TomlText

# ---- TOML texts that are written here, so that each line is known --------------------------------
BARE = st.text("abcXY09_-", min_size=1, max_size=5)
QUOTED = st.text('ab."\\]=#[ é\t', max_size=5).map(
    lambda t: '"' + t.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
)
LITERAL = st.text('ab."]=#[{', max_size=5).map(lambda t: f"'{t}'")
KEY = st.one_of(BARE, BARE, QUOTED, LITERAL)
SCALAR = st.sampled_from(
    ["1", "-0.5e3", "true", "1979-05-27 07:32:00", "07:32:00", "nan", '"a#b]\\"}"', "'c=[d'",
     '"""one\n[two]\n"three" = 3"""', "'''four\n# five'''", '"""six\\\n  seven"""', '""',
     '"""eight""""', "'''nine'''''", '""""ten"""', "''"]
)  # fmt: skip
FILL = st.sampled_from(["", " ", "\n", " # ] } = [x]\n", "\n\n  "])


@st.composite
def arrays(draw, inner):
    items = draw(st.lists(inner, max_size=3))
    fill = draw(FILL)
    return "[" + fill + ",".join(f"{draw(FILL)}{item}{draw(FILL)}" for item in items) + "]"


@st.composite
def inline(draw, inner):
    keys = draw(st.lists(BARE, max_size=3, unique=True))
    return "{ " + ", ".join(f"{key} = {draw(inner)}" for key in keys) + " }"


FLAT = st.sampled_from(["1", "'x'", '"y}"', "false"])
VALUE = st.recursive(
    SCALAR, lambda inner: st.one_of(arrays(inner), inline(st.one_of(FLAT, inline(FLAT)))),
    max_leaves=4,
)  # fmt: skip
LINES = st.one_of(
    st.just(""),
    st.sampled_from(["# a comment = 3", "  # [not.a.table]", "\t"]),
    st.lists(KEY, min_size=1, max_size=3).map(" . ".join).flatmap(
        lambda key: VALUE.map(lambda value: f"{key} = {value}  # [c]")
    ),
    st.lists(KEY, min_size=1, max_size=2).map(lambda k: f"[ {'.'.join(k)} ]"),
    st.lists(KEY, min_size=1, max_size=2).map(lambda k: f"[[{'.'.join(k)}]] # x"),
)  # fmt: skip


@st.composite
def texts(draw):
    """Statements, those left out that would not be TOML together with the ones before."""
    kept, text = [], ""
    for statement in draw(st.lists(LINES, max_size=9)):
        try:
            tomllib.loads(text + statement + "\n")
        except tomllib.TOMLDecodeError:
            continue
        kept.append(statement)
        text += statement + "\n"
    return kept


def leaves(data, place=()):
    """Every place in what was read."""
    inside = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in inside:
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*place, key))


@settings(max_examples=150)
@given(texts(), st.booleans())
def test_each_key_is_told_where_its_statement_stands(statements, windows):
    """What is new with a statement stands on its lines, and on none other."""
    text, first, known = "", 1, set()
    whole = "".join(f"{one}\n" for one in statements)
    found = TomlText(whole.replace("\n", "\r\n") if windows else whole, "p.toml")
    assert found.data == tomllib.loads(whole) or "nan" in whole
    for statement in statements:
        text += statement + "\n"
        last = text.count("\n")
        for place in leaves(tomllib.loads(text)):
            if place not in known:
                assert first <= found.line(*place) <= last, (place, text)
            known.add(place)
        first = last + 1


def test_lines_of_what_people_write():
    text = TomlText(
        'detector = "d"\n'  # 1
        "[history]\n"  # 2
        "keep = '90d'\n"  # 3
        'note = """\n[[source]]\nsettle = 1\n"""\n'  # 4–7
        "[[source]]\n"  # 8
        'folder = "a"\n'  # 9
        "\n"
        "[[source]]  # two\n"  # 11
        'pair = { near = "*_1",\tfar = "*_2" }\n'  # 12
        "list = [\n  1, # one\n  [2,\n 3],\n]\n"  # 13–17
        'a . "b.c" = 1\n'  # 18
        "[source.more]\n"  # 19
        "x = 1",  # 20
        "plant.toml",
    )
    lines = {
        ("detector",): 1, ("history",): 2, ("history", "keep"): 3, ("source", 0): 8,
        ("source", 0, "folder"): 9, ("source", 1): 11, ("source", 1, "pair", "far"): 12,
        ("source", 1, "list", 0): 14, ("source", 1, "list", 1, 1): 16,
        ("source", 1, "a", "b.c"): 18, ("source", 1, "more", "x"): 20,
        # What is not there is missing in the table around it.
        ("source", 0, "settle"): 8, ("gone",): 1, ("source", 1, "more", "y"): 19,
    }  # fmt: skip
    assert {place: text.line(*place) for place in lines} == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \n", 2), ("a = 1\n\nb 2", 3), ('a = "x', 1), ("a = 1\na = 2", 2),
        ("[t]\n[t]", 2), ("x = [1,\n2", 2), ('"', 1), ("a = 1 b = 2", 1), ("\x00", 1),
    ],
)  # fmt: skip
def test_what_is_no_toml_is_told_with_its_line(text, line):
    said = refused(lambda: TomlText(text, "plant.toml"), "not TOML", error=FormatError)
    assert said.startswith(f"plant.toml:{line}: ")


def test_what_is_too_deep_is_told():
    refused(lambda: TomlText("a = " + "[" * 100_000, "plant.toml"), "plant.toml")


@pytest.mark.parametrize("deep", [
    "a" + ".a" * 100_000 + " = 1", "[" + ".".join(["'a'"] * 5000) + "]",
    "x = {" + "a . " * 5000 + "b = 1}",
    "a = " + "[" * 480 + "]" * 480,
])  # fmt: skip
def test_what_takes_gigabytes_to_read_is_told_or_read_at_once(deep):
    """Keys within keys: the library remembers each with all that it is in."""
    try:
        TomlText(deep, "plant.toml")
    except FormatError as error:
        assert re.match(r"plant\.toml(:1)?: too deep", str(error))  # noqa: PT017


@pytest.mark.parametrize("text", ["a = 1\nb = " + "9" * 5000, "\nb = -" + "1_0" * 3000])
def test_a_number_without_end_is_told_with_its_line(text):
    said = refused(lambda: TomlText(text, "plant.toml"), "digits", error=FormatError)
    assert said.startswith("plant.toml:2: ")


def test_names_with_many_dots_are_read():
    name = "www." + "sub." * 50 + "plant"
    assert TomlText(f'url = "{name}" # {name}', "plant.toml").data == {"url": name}
