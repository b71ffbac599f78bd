"""What is said is JSON that every reader takes, one line, and documented."""

import json
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bulletins import NAMES, event, seen, standing, told
from conftest import TESTS
from nearfar.service.incoming import now
from nearfar.service.news import MachineNow
from nearfar.service.observation import Observation
from nearfar.service.outputs import said

PAGE = TESTS.parent / "docs" / "outputs.md"


def strict(line):
    """Read as the strictest readers do: no NaN, no half of a pair, one line of ASCII."""
    assert line.isascii()
    assert line.isprintable()
    value = json.loads(line, parse_constant=pytest.fail)
    json.dumps(value, ensure_ascii=False).encode()  # fails on half of a pair
    return value


@settings(max_examples=40)
@given(some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | some.text(
        some.characters(codec=None, exclude_categories=())
    ),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
))  # fmt: skip
def test_any_value_is_one_strict_line(value):
    strict(said.one_line_json(value))


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_told_in_every_document(name):
    bulletin = told(2, name, [event(7, machine=name)])
    for line in (
        said.bulletin_json(bulletin),
        said.told_json(bulletin.events[0], bulletin),
        said.state_json(bulletin.machine),
        said.clip_json(bulletin.observation, 7),
        said.event_json(bulletin.events[0]),
    ):
        assert strict(line)["schema"] == 1


def test_what_is_no_number_is_null():
    row = seen(score=float("nan"), near_level=float("-inf"), seconds=float("nan"))
    assert {strict(said.clip_json(row, None))[k] for k in ("score", "near_level", "seconds")} == {
        None
    }


def test_a_clip_has_all_that_an_observation_has():
    row = strict(said.clip_json(seen(), 12))
    assert {f.name for f in fields(Observation)} | {"schema", "row"} == set(row)
    assert row["row"] == 12
    assert row["score"] == 2.0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "active"),
        ({"acknowledged": now()}, "acknowledged"),
        ({"cleared": now()}, "cleared"),
        ({"shelved_until": now()}, "shelved"),
        ({"cleared": now(), "acknowledged": now()}, "none"),
    ],
)
def test_the_alarm_that_needs_a_person_most_speaks_for_a_kind(changes, word):
    one = standing(**changes)
    assert said.alarm_word([one], "machine") == word
    assert said.alarm_word([one], "sensor") == "none"
    order = ["active", "acknowledged", "cleared", "shelved", "none"]
    for other in order:
        if other != "none":
            both = [one, _with_word(other)]
            assert said.alarm_word(both, "machine") == min(word, other, key=order.index)


def _with_word(word):
    times = {"acknowledged": "acknowledged", "cleared": "cleared", "shelved": "shelved_until"}
    return standing(4, **({times[word]: now()} if word in times else {}))


def test_the_state_is_of_the_last_clip_and_numbers_of_the_last_judged_one():
    idle = seen(9, status="idle", score=None, near_level=-70.0)
    state = said.machine_said(MachineNow("pump", "00", clips=9, last=idle, judged=seen(3)))
    assert (state["state"], state["score"], state["near_level"]) == ("idle", 4.0, -70.0)
    assert state["judged"] < state["heard"]


@pytest.mark.parametrize(
    ("clip", "alarms", "word"),
    [
        (seen(1), (), "normal"),
        (seen(2), (), "anomalous"),
        (seen(2), (standing(),), "alarm"),
        (seen(2), (standing(kind="sensor"), standing(kind="drift")), "anomalous"),
        (seen(1), (standing(shelved_until=now()),), "normal"),
        (replace(seen(), status="unjudged"), (), "unjudged"),
        (None, (), "unknown"),
    ],
)
def test_a_machine_in_a_word(clip, alarms, word):
    assert said.machine_word(MachineNow("pump", "00", 1, last=clip, alarms=alarms)) == word


def keys_of(value, within=""):
    for key, inner in value.items():
        yield within + key
        for one in inner[:1] if isinstance(inner, list) else [inner]:
            if isinstance(one, dict):
                yield from keys_of(one, f"{within}{key}{'[]' * isinstance(inner, list)}.")


def test_every_key_is_documented():
    text = PAGE.read_text("utf-8").partition("### watch")[2]
    known = set(re.findall(r"^\| `([\w.\[\]]+)` \|", text, re.MULTILINE))
    bulletin = told(2, events=[event(7)], alarms=(standing(),))
    line = json.loads(said.bulletin_json(bulletin))
    assert set(keys_of(line)) <= known
    assert known <= set(keys_of(line))
