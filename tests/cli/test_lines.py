"""Lines on a terminal are broken between words and coloured; elsewhere they are as they were."""

import io

import pytest

from nearfar.cli import lines

LONG = "a.wav: one channel; give two mono files as a_near.wav and a_far.wav --skip-bad " * 3


def test_no_word_is_broken_and_none_is_lost():
    for width in range(40, 130, 7):
        text = lines.wrapped(LONG, width)
        assert text.split() == LONG.split()
        assert max(map(len, text.split("\n"))) <= width


def test_a_word_longer_than_the_line_stays_whole():
    name = "x" * 100 + "-y.wav"
    assert name in lines.wrapped(f"see {name} there", 40).split("\n")[1]


@pytest.mark.parametrize(("kind", "code"), [("error", "31"), ("warning", "33")])
def test_messages_have_colour_on_a_terminal_alone(monkeypatch, capsys, kind, code):
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines.tell(kind, LONG)
    plain = capsys.readouterr().err
    assert plain == f"{kind}: {LONG}\n"
    said = []
    monkeypatch.setattr(lines.typer, "echo", lambda text, err: said.append((text, err)))
    monkeypatch.setattr(lines, "columns", lambda _: 60)
    lines.tell(kind, LONG)
    monkeypatch.setenv("NO_COLOR", "1")
    lines.tell(kind, LONG)
    (coloured, err), (bare, _) = said
    assert err
    assert code in coloured.partition(":")[0]
    assert "\x1b" not in bare
    assert "\n" in bare


def test_a_file_is_no_terminal():
    assert lines.columns(io.StringIO()) is None
    assert lines.wrapped(LONG, None) == LONG


def test_a_terminal_without_a_size_has_eighty(monkeypatch):
    class Tty(io.StringIO):
        def isatty(self):
            return True

    assert lines.columns(Tty()) == 80  # it has no file number to ask about


def test_a_result_is_one_line_where_no_terminal_is(capsys):
    lines.say(LONG)
    assert capsys.readouterr().out == LONG + "\n"


def test_an_indented_line_is_indented_once_and_what_is_broken_off_deeper():
    assert lines.wrapped("  aaaa bbbb cccc dddd", 12) == "  aaaa bbbb\n    cccc\n    dddd"
