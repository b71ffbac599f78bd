"""Clips of one recording, day or near channel are held out together, learnt ones too."""

import numpy as np

from nearfar.detector.learning.together import NONE, held_with
from nearfar.detector.traces import AT, NUMBERS, Traces


def traces(sessions, nears=None, moments=None):
    numbers = np.zeros((len(sessions), len(NUMBERS)))
    numbers[:, AT["moment"]] = np.arange(len(sessions)) if moments is None else moments
    return Traces(tuple(nears or [""] * len(sessions)), tuple(sessions), numbers)


def held(folds, known, learnt, count=10, rows=None):
    keep = np.ones(len(folds), bool)
    rows = np.zeros((len(folds) + len(learnt), 1)) if rows is None else rows
    return held_with(np.array(folds), count, known, learnt, keep, rows)


def as_sets(groups):
    return sorted(tuple(sorted(group.tolist())) for group in groups)


def test_each_for_itself_where_nothing_ties_them():
    found = held([0, 1, 2], traces(["", "", ""]), traces(["", ""]))
    assert as_sets(found.alone) == [(0,), (1,)]
    assert (found.fold == NONE).all()


def test_a_session_of_the_fit_draws_its_new_clips_into_its_fold():
    found = held([0, 1, 1, 2], traces(["", "a", "a", ""]), traces(["a", "b", "b", ""]))
    assert found.fold.tolist() == [1, NONE, NONE, NONE]
    assert as_sets(found.alone) == [(1, 2), (3,)]


def test_one_near_channel_is_one_clip_to_who_hears_it_alone():
    found = held(
        [0, 1, 2],
        traces([""] * 3, ["x", "y", "z"]),
        traces(["s", "s", "", ""], ["", "y", "q", "q"]),
    )
    # By way of the second of its session the first goes along.
    assert found.fold.tolist() == [1, 1, NONE, NONE]
    assert as_sets(found.alone) == [(2, 3)]


def test_a_session_of_more_than_half_of_all_is_cut_in_the_order_of_time():
    learnt = traces(["s"] * 6, moments=[5, 3, 1, 0, 2, 4])
    found = held([0, 1], traces(["", ""]), learnt, count=3)
    assert as_sets(found.alone) == [(0, 5), (1, 4), (2, 3)]


def test_of_a_session_that_the_fit_cut_a_clip_goes_with_what_it_sounds_most_like():
    rows = np.array([[0.0], [5.0], [9.0], [1.0], [2.0], [3.0], [8.0]])
    known = traces(["s", "s", "s", "", "", ""])
    found = held([0, 1, 2, 0, 1, 2], known, traces(["s"]), rows=rows)
    assert found.fold.tolist() == [2]


def test_without_traces_of_the_fit_nothing_is_tied_to_it():
    found = held([0, 1], None, traces(["a"]))
    assert found.fold.tolist() == [NONE]
