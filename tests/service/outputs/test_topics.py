"""No two machines share a topic or an identifier, whatever they are called."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bulletins import NAMES
from conftest import refused
from nearfar.errors import SettingError
from nearfar.service.outputs.topics import identifier, level, prefix

ODD = some.text(some.characters(codec=None, exclude_categories=()), max_size=8)


@given(ODD, ODD)
def test_a_level_is_one_level_that_brokers_take_and_nobody_elses(one, other):
    made = level(one)
    assert made
    assert not set("+#/") & set(made)
    assert made.isprintable()
    made.encode()  # UTF-8
    assert (made == level(other)) == (one == other)


def test_long_names_stay_short_and_apart():
    made = {level("x" * n) for n in range(190, 400)}
    assert len(made) == 210
    assert max(map(len, made)) <= 200


@given(ODD, ODD, ODD, ODD)
def test_identifiers_have_signs_that_home_assistant_takes(a, b, c, d):
    one, other = identifier("nearfar", a, b), identifier("nearfar", c, d)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,80}", one)
    assert (one == other) == ((a, b) == (c, d))


def test_the_same_machine_of_two_plants_is_two_devices():
    assert identifier("a", "pump", "00") != identifier("b", "pump", "00")


@pytest.mark.parametrize("topic", ["", "a/#", "+/a", "$SYS", "/a", "a/", "a\n", "x" * 300])
def test_a_topic_that_brokers_refuse_is_refused_first(topic):
    refused(lambda: prefix(topic), "topic", "take plant/nearfar", error=SettingError)


def test_names_of_the_tests_differ():
    assert len({level(name) for name in NAMES}) == len(NAMES)
