"""docs/errors.md says what is said: its messages are provoked anew, its codes are the program's."""

import re

import pytest
from tools.messages import messages

from conftest import TESTS
from nearfar.cli.program import EXIT_CODES

PAGE = (TESTS.parent / "docs" / "errors.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def said():
    return messages()


def test_the_messages_on_the_page_are_those_of_now(said):
    shown = PAGE.split("<!-- messages -->")[1].split("<!-- end of messages -->")[0]
    # New words? python -m tools.messages --write docs/errors.md
    assert shown.strip() == said


def test_every_refusal_is_one_short_line_without_a_place_of_this_machine(said):
    cases = re.findall(r"^\$ (.*)\n((?:.+\n)*?)\[(\d+)\]$", said, re.MULTILINE)
    assert len(cases) >= 40
    for command, told, code in cases:
        errors = [line for line in told.splitlines() if line.startswith("error: ")]
        assert len(errors) == (code == "2"), command
        kinds = ("error: ", "warning: ", "fault: ")
        assert all(line.startswith(kinds) for line in told.splitlines())
        assert all(len(line) <= 500 for line in told.splitlines())
        assert "/tmp" not in told
        assert "Traceback" not in told


def test_the_page_and_the_help_have_the_same_codes():
    on_page = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert on_page == re.findall(r"(?:^Exit codes: |; )(\d+) ", EXIT_CODES)
