"""Score files are read back to the bit; what would not be is not written."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.scores.files import read_scores, write_scores
from nearfar.scores.join import ScoredFile, ScoreTable
from reproduced import refused

finite = st.floats(allow_nan=False, allow_infinity=False)


letters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff")


stems = st.text(letters, min_size=1, max_size=20).map(str.strip).filter(bool)


def key(row):
    return row.machine, row.section, row.file


@settings(max_examples=150, deadline=None)
@given(rows=st.dictionaries(stems, st.tuples(finite, st.booleans()), min_size=1, max_size=6),
       decided=st.booleans())  # fmt: skip
def test_scores_are_read_back_to_the_bit(tmp_path_factory, rows, decided):
    folder = tmp_path_factory.mktemp("scores")
    table = ScoreTable(
        tuple(
            ScoredFile("fan_b, c", f"{n % 2:02d}", f"{name}#{n}.wav", score, d if decided else None)
            for n, (name, (score, d)) in enumerate(rows.items())
        )
    )
    paths = write_scores(folder, table)
    assert sorted(folder.iterdir()) == sorted(paths)
    back = [replace(r, where="") for r in read_scores(folder).rows]
    assert sorted(back, key=key) == sorted(table.rows, key=key)
    for ours, theirs in zip(sorted(table.rows, key=key), sorted(back, key=key), strict=True):
        assert math.copysign(1, ours.score) == math.copysign(1, theirs.score)


@pytest.mark.parametrize("score", [5e-324, -1.7e308, 1e308, 0.1 + 0.2, -0.0, np.float64(0.1), 3])
def test_any_number_is_written_in_full(tmp_path, score):
    write_scores(tmp_path, ScoreTable((ScoredFile("fan", "00", 'a "b", c.wav', score),)))
    (row,) = read_scores(tmp_path).rows
    assert row.score == float(score)
    assert row.file == 'a "b", c.wav'


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": "a/b"}, {"machine": "a\\b"}, {"machine": ""}, {"machine": ".."  "/x"},
        {"machine": "a\nb"}, {"machine": "a\0b"}, {"machine": "\udcff"}, {"section": "a_b"},
        {"section": "x_section_01"}, {"section": ""}, {"section": "a/b"}, {"file": ""},
        {"file": " a.wav"}, {"file": "a.wav "}, {"file": "a\nb.wav"}, {"file": "a\rb.wav"},
        {"file": "\ufeffa.wav"}, {"file": "\udcff.wav"}, {"score": float("nan")},
        {"score": float("-inf")},
    ],
    ids=repr,
)  # fmt: skip
def test_what_would_not_be_read_back_is_not_written(tmp_path, changes):
    row = replace(ScoredFile("fan", "00", "a.wav", 0.5), **changes)
    refused(lambda: write_scores(tmp_path / "x", ScoreTable((row,))))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "machine", ["fan", "fan_section_01", "fan_test", "DCASE2026T2fan", "Müller 3"]
)
def test_machines_keep_their_names(tmp_path, machine):
    write_scores(tmp_path, ScoreTable((ScoredFile(machine, "00", "a.wav", 0.5, True),)))
    (row,) = read_scores(tmp_path).rows
    assert (row.machine, row.section, row.decision) == (machine, "00", True)
