"""Scores find their labels by name: neither the order of rows nor how a name is written matters."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.clips import Clip
from nearfar.errors import DatasetError, NearfarWarning
from nearfar.scores.join import ScoredFile, ScoreTable, join
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.scores.verdict import Verdict

LABELS = tuple(
    LabelledFile(machine, section, f"clip_{n}.wav", domain, label, alias=f"other_{n}.flac")
    for machine, section in (("pump", "00"), ("fan", "01"), ("fan", "00"))
    for n, (domain, label) in enumerate(
        [("source", "normal"), ("target", "anomaly"), ("source", "anomaly")]
    )
)
SAID = tuple(
    ScoredFile(row.machine, row.section, row.file, score=float(n), decision=n % 2 == 0)
    for n, row in enumerate(LABELS)
)


def facts(joined):
    return [
        (s.name, s.files, s.scores.tolist(), s.anomalous.tolist(), s.target.tolist(),
         s.decisions.tolist())
        for s in joined
    ]  # fmt: skip


@given(st.permutations(SAID), st.permutations(LABELS))
def test_the_order_of_rows_leaves_no_trace(said, labels):
    assert facts(join(said, Truth(tuple(labels)))) == facts(join(SAID, Truth(LABELS)))


def test_every_value_stands_beside_its_own_label():
    sections = join(SAID, Truth(LABELS))
    assert [s.name for s in sections] == ["fan, section 00", "fan, section 01", "pump, section 00"]
    assert [s.scores.tolist() for s in sections] == [[6, 7, 8], [3, 4, 5], [0, 1, 2]]
    for section in sections:
        assert section.anomalous.tolist() == [False, True, True]
        assert section.target.tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["clip_1", "clip_1.WAV", "clip_1.flac", "other_1", "other_1.wav"])
@pytest.mark.parametrize("section", ["0", "00"])
def test_any_way_to_write_a_clips_name(name, section):
    said = [replace(s, file=name, section=section) if s == SAID[7] else s for s in SAID]
    assert facts(join(said, Truth(LABELS))) == facts(join(SAID, Truth(LABELS)))


def without(row, **changes):
    return tuple(replace(s, **changes) if s is row else s for s in SAID)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((*SAID, replace(SAID[4], file="other_1.flac")), ["other_1.flac", "has a score already"]),
        (SAID[:-1], ["no score for 'clip_2.wav' of fan, section 00", "1 of 3"]),
        ((*SAID, replace(SAID[0], file="clip_9.wav")), ["clip_9.wav", "did you mean 'clip_"]),
        (
            (*SAID, replace(SAID[0], machine="valve")),
            ["no machine 'valve'", "fan 00, fan 01, pump"],
        ),
        (without(SAID[2], score=math.nan), ["clip_2.wav", "finite"]),
        (without(SAID[2], score=-math.inf), ["clip_2.wav", "finite"]),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(said, words):
    with pytest.raises(DatasetError) as caught:
        join(said, Truth(LABELS))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_domains_are_for_all_clips_or_for_none():
    none = Truth(tuple(replace(row, domain=None) for row in LABELS))
    assert {s.target for s in join(SAID, none)} == {None}
    some = Truth((replace(LABELS[0], domain=None), *LABELS[1:]))
    with pytest.raises(DatasetError, match="has no domain, other clips have one"):
        join(SAID, some)


def test_a_label_twice_is_no_truth():
    for row in (LABELS[0], replace(LABELS[0], file="new.wav", alias=LABELS[0].file)):
        with pytest.raises(DatasetError, match="labelled twice"):
            join(SAID, Truth((*LABELS, row)))
    with pytest.raises(DatasetError, match="no labelled clips"):
        join(SAID, Truth(()))


def test_decisions_for_some_clips_are_said_and_count_for_whole_sections_only():
    with pytest.warns(NearfarWarning, match="1 of 9 clips have no decision"):
        sections = join(without(SAID[0], decision=None), Truth(LABELS))
    assert [s.decisions is None for s in sections] == [False, False, True]


def test_verdicts_keep_their_scores_and_decide_only_by_a_threshold():
    clip = Clip(Path("hall/a.wav"), machine="fan", section="3")
    above, below, none = (
        Verdict(clip, 1.5, 0.9, threshold, "b.wav") for threshold in (1.0, 1.5, math.nan)
    )
    rows = ScoreTable.from_verdicts([above, below, none]).rows
    assert [row.decision for row in rows] == [True, False, None]
    assert {(row.machine, row.section, row.file) for row in rows} == {("fan", "03", "a.wav")}
    assert np.array([row.score for row in rows]).tolist() == [1.5] * 3
