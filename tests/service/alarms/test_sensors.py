"""Each fault has a word, a line with a way out, and clips that can tell of it."""

import pytest

from nearfar.service.alarms.sensors import (
    ALWAYS,
    CHANNELS,
    FAULTS,
    OF_CHANNEL,
    OF_NOTICE,
    OF_SOURCE,
    RUNNING,
    asked,
    names,
    told_of,
    word_of,
)
from nearfar.service.incoming import NOTICES


def test_each_word_belongs_to_one_place():
    assert sorted(FAULTS) == sorted(["unreadable", *ALWAYS, *RUNNING, *OF_SOURCE])
    assert set(OF_NOTICE) < set(NOTICES)
    assert set(OF_NOTICE.values()) <= set(FAULTS)


def test_the_issues_faults_are_all_there():
    words = {word_of(name) for name in names()}
    assert {"dead", "silent", "clipped", "identical", "swapped", "moved", "wrong rate",
            "wrong channels", "stream lost", "clips missing"} <= words  # fmt: skip
    assert len(names()) == len(FAULTS) + len(OF_CHANNEL)


@pytest.mark.parametrize("name", names())
def test_each_has_a_line(name):
    told = told_of(name, "the folder is gone")
    assert "{" not in told
    assert len(told) < 250
    assert "\n" not in told
    assert name.partition(" ")[0] not in CHANNELS or name.partition(" ")[0] in told


@pytest.mark.parametrize("name", names())
def test_a_clip_that_has_a_fault_tells_of_it(name):
    assert asked(name, (name,), "unjudged") is True


@pytest.mark.parametrize("word", RUNNING)
def test_a_machine_that_stands_says_nothing_of_what_needs_it_to_run(word):
    assert asked(word, (), "idle") is None
    assert asked(word, (), "judged") is False
    assert asked(word, (next(w for w in RUNNING if w != word),), "unjudged") is False


@pytest.mark.parametrize("word", ["near dead", "far silent"])
def test_what_comes_before_the_gate_is_told_by_a_machine_that_stands(word):
    assert asked(word, (), "idle") is False
    assert asked(word, ("unreadable",), "unjudged") is None
    assert asked(word, ("wrong channels",), "unjudged") is None
