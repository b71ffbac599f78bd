"""docs/sources.md names all that sources and the log of a watch tell, and nothing else."""

import re
from pathlib import Path

import nearfar.service
from conftest import TESTS
from nearfar.service.incoming import NOTICES
from nearfar.service.plant import FORMS

TEXT = (TESTS.parent / "docs" / "sources.md").read_text("utf-8")
KINDS, EVENTS = TEXT.partition("## What a source may tell")[2].split("## The log")


def named(table):
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall("`([^`]+)`", row)}


def test_every_kind_of_notice_is_in_the_table_and_no_other():
    assert named(KINDS) == set(NOTICES)


def test_every_form_of_raw_sound_is_named():
    for form in FORMS:
        assert f"`{form}`" in TEXT or (form.endswith("be") and "same with `be`" in TEXT)


def test_every_event_of_the_log_is_in_the_table():
    """As far as they are written in one word in the code; others are kinds and verbs."""
    written = set()
    for module in Path(nearfar.service.__file__).parent.rglob("*.py"):
        text = module.read_text("utf-8")
        written |= set(re.findall(r"""self\._log\(\s*"([a-z ]+)",""", text))
        written |= set(
            re.findall(r"""log\.(?:warning|info)\(.*extra=\{"event": "([a-z]+)"\}""", text)
        )
    assert written >= {"start", "reload", "command"}
    assert written <= named(EVENTS) | set(NOTICES)
