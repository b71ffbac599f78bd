"""Tables for people, JSON for programs: neither gets in the other's way."""

import json
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.cli import show
from nearfar.embedder.dif import CANDIDATES
from nearfar.study.features import Selection


def test_equal_parts_are_counted():
    assert show._joined(["a", "b", "a"]) == "2 × a + b"


def test_a_selection_is_json_though_a_distance_is_not_defined(capsys):
    shifts = np.arange(len(CANDIDATES), dtype=float)
    shifts[3] = np.nan
    show.selection(Selection(CANDIDATES[:2], shifts), json=Path("-"))

    def refuse(word):
        raise AssertionError(word)

    said = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert said["names"] == list(CANDIDATES[:2])
    assert said["shift"][CANDIDATES[3]] is None
    assert list(said["shift"]) == list(CANDIDATES)


def test_the_smallest_shift_stands_first_and_none_last(capsys):
    shifts = np.arange(len(CANDIDATES), 0, -1, dtype=float)
    shifts[0] = np.nan
    show.selection(Selection(CANDIDATES[-1:], shifts), json=None)
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == CANDIDATES[-1]
    assert rows[len(CANDIDATES)] == CANDIDATES[0]


def test_a_narrow_terminal_lists_systems_without_breaking_a_word(monkeypatch, capsys):
    monkeypatch.setattr(show, "width_of", lambda _: 80)
    show.presets()
    told = capsys.readouterr().out
    for word in (
        "303,888,385",
        "preprocess: 4 × CoherenceMask",
        "ensemble: percentile 0.60 + 0.40",
    ):
        assert word in told


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (nf.KNN((1.0, -0.35)), "k = 2"),
        (nf.LocalDensity(), "LocalDensity"),
        (nf.PerBand(nf.VarMin()), "VarMin PerBand"),
        (nf.PerDomain(nf.PerBand()), "k = 1 PerBand PerDomain"),
    ],
)
def test_a_rule_is_called_what_it_does(rule, name):
    assert show._rule_name(rule) == name
