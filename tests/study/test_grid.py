"""Candidates: all combinations of some values, the system as given first."""

from dataclasses import replace

import pytest

import nearfar as nf
from nearfar.errors import SettingError
from nearfar.study.grid import MOST, grid


def names(vary, system=None):
    return [variant.name for variant in grid(system or nf.s4(), vary)]


def test_values_are_literals_or_bare_words():
    """A shell takes quotes away."""
    quoted = grid(nf.s4(), ["whitening.shrinkage=[0.1, 'ledoit-wolf']", "self_scores=['loo']"])
    assert {v.system.whitening.shrinkage for v in quoted[1:]} == {0.1, "ledoit-wolf"}
    bare = grid(nf.s4(), ["self_scores=[loo]"])
    assert bare[1].system == replace(nf.s4(), self_scores="loo")


def test_the_system_as_given_is_first_whether_or_not_it_is_a_combination():
    assert names(["folds=[5,10]"]) == ["folds=10 (as given)", "folds=5"]
    assert names(["folds=[5,7]"]) == ["as given", "folds=5", "folds=7"]
    assert grid(nf.s4(), ["folds=[5,10]"])[0].system == nf.s4()


def test_the_last_axis_runs_fastest():
    assert names(["folds=[5,7]", "seed=[1,2]"])[1:] == [
        "folds=5, seed=1", "folds=5, seed=2", "folds=7, seed=1", "folds=7, seed=2"
    ]  # fmt: skip


def test_no_two_candidates_are_one_system():
    systems = [v.system for v in grid(nf.s4(), ["folds=[2,3,4]", "seed=[0,1]"])]
    assert len(systems) == len(set(systems)) == 1 + 6
    with pytest.raises(SettingError, match="are the same system"):
        grid(nf.s4(), ["folds=[5,5]"])


def test_as_many_as_allowed_and_no_more():
    values = list(range(1, MOST + 1))
    assert len(grid(nf.s4(), [f"seed={values}"])) == MOST + 1
    with pytest.raises(SettingError, match=f"at most {MOST}"):
        grid(nf.s4(), [f"seed={[*values, MOST + 1]}"])


@pytest.mark.parametrize(
    "vary",
    [
        [], ["folds"], ["folds=5"], ["folds=[]"], ["=[5]"], ["folds=[5"], ["folds=(5,7)"],
        ["folds=[1]"], ["nothing=[1]"], ["whitening.nothing=[1]"], ["folds=" + "[" * 5000],
        ["folds=[\\q]"],
    ],
)  # fmt: skip
def test_what_is_no_list_of_values_is_one_line(vary):
    with pytest.raises(SettingError) as caught:
        grid(nf.s4(), vary)
    assert "\n" not in str(caught.value)
