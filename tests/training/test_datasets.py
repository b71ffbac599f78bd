"""Several data sets as one: what is one machine and what are two, and which are left out."""

import warnings
from pathlib import Path

import pytest

from conftest import refused
from nearfar.clips import Clip, Clips, proxy_classes
from nearfar.errors import DatasetError, NearfarWarning, in_shell
from nearfar.training.datasets import check_excluded, chosen, set_names, together


def clips(place, *machines, **fields):
    return Clips(Clip(Path(f"{place}/{m}/{i}.wav"), machine=m, **fields) for m in machines
                 for i in range(2))  # fmt: skip


def classes(found):
    return {(c[0], c[2]) for c in proxy_classes(found).values()}


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["/a/dev"], ["dev"]),
        (["/a/dev/raw", "/a/eval/raw"], ["dev/raw", "eval/raw"]),
        (["/a/x/raw", "/b/x/raw", "/b/y"], ["a/x/raw", "b/x/raw", "b/y"]),
        (["/a/dev", "/a/dev"], ["dev", "dev"]),
    ],
)
def test_a_set_is_called_by_as_much_of_its_path_as_tells_it(places, names):
    found = set_names(places)
    if names[-1] == "b/y":  # all are as long
        names = ["a/x/raw", "b/x/raw", "/b/y"]
    assert [name.lstrip("/") for name in found] == [name.lstrip("/") for name in names]


# ---- one machine or two --------------------------------------------------------------------------


def test_machines_of_several_sets_come_together_and_a_clip_once():
    dev, more = clips("dev", "fan", "pump"), clips("eval", "valve")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = together({"dev": dev, "eval": more, "again": dev[:1]})
    assert found == dev + more
    assert found.machines == ("fan", "pump", "valve")


def test_of_one_name_in_two_sets_they_are_one_machine_and_that_is_said():
    dev = clips("dev", "fan", domain="source") + clips("dev", "pump", attributes="v_1")
    more = clips("eval", "fan", domain="source") + clips("eval", "pump", attributes="v_2")
    with pytest.warns(NearfarWarning) as caught:
        found = together({"dev": dev, "eval": more})
    line = str(caught[0].message)
    assert len(caught) == 1
    assert "\n" not in line
    for words in ("fan, pump: in 2 data sets, dev, eval; taken", "one machine each"):
        assert words in line
    assert "say --apart if they are not" in in_shell(line)
    assert found == dev + more
    # Other attributes are other classes, as within one set.
    assert classes(found) == {("fan", "source"), ("pump", "v_1"), ("pump", "v_2")}


def test_apart_they_are_classes_of_their_own_and_others_stay():
    dev = clips("dev", "fan", domain="source") + clips("dev", "pump", attributes="V_1")
    more = (
        clips("eval", "fan", attributes="V_1", domain="target")
        + clips("eval", "valve", domain="source")
        + clips("eval", "pump", attributes="V_1")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = together({"dev": dev, "eval": more}, apart=True)
    assert [c.path for c in found] == [c.path for c in dev + more]
    assert classes(found) == {
        ("fan", "source in dev"),
        # Beside clips with attributes the other set's would have had none for a class.
        ("fan", "v_1 in eval"),
        ("valve", "source"),
        ("pump", "v_1 in dev"),
        ("pump", "v_1 in eval"),
    }
    assert {c.domain for c in found if c.path.parts[0] == "dev"} == {"source", None}


@pytest.mark.parametrize("apart", [False, True])
def test_another_section_of_a_machine_is_no_clash(apart):
    """As in 2021 and 2022, whose additional sets had sections 03 to 05 of the same machines."""
    dev, more = clips("dev", "fan", section="00"), clips("eval", "fan", section="03")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert together({"dev": dev, "eval": more}, apart) == dev + more


def test_a_clip_of_both_sets_makes_no_clash():
    dev = clips("dev", "fan")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for apart in (False, True):
            assert together({"dev": dev, "copy of the list": dev}, apart) == dev


def test_the_order_of_sets_changes_no_class():
    sets = {"dev": clips("dev", "fan"), "eval": clips("eval", "fan"), "x": clips("x", "pump")}
    back = dict(reversed(sets.items()))
    for apart in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one, other = together(sets, apart), together(back, apart)
        assert set(one) == set(other)
        assert classes(one) == classes(other)


def test_many_clashes_are_one_line_of_some_length():
    names = [f"machine number {i} of the hall" for i in range(40)]
    sets = {f"set {i}": clips(f"set {i}", *names) for i in range(6)}
    with pytest.warns(NearfarWarning) as caught:
        together(sets)
    assert len(str(caught[0].message)) <= 500
    assert "more: in 6 data sets, set 0, set 1" in str(caught[0].message)
    found = sets["set 0"]
    line = refused(
        lambda: check_excluded([f"x{i}" * 9 for i in range(50)], found.machines), "more' to exclude"
    )
    assert len(line) <= 500


# ---- left out ------------------------------------------------------------------------------------


def test_machines_are_left_out_of_all_sets():
    found = clips("dev", "fan", "pump") + clips("eval", "fan", "valve")
    assert chosen(found, ["fan"]).machines == ("pump", "valve")
    assert chosen({"dev": found[:4], "eval": found[4:]}, ["fan"]).machines == ("pump", "valve")
    assert chosen(found) is found


def test_who_is_left_out_clashes_with_nobody():
    sets = {"dev": clips("dev", "fan", "pump"), "eval": clips("eval", "fan")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chosen(sets, ["fan"]) == sets["dev"][2:]
    with pytest.warns(NearfarWarning, match="^fan: in 2 data sets"):
        chosen(sets, ["pump"])


def test_what_is_chosen_is_one_set_or_several():
    dev, more = clips("dev", "fan", "pump"), clips("eval", "fan", domain="source")
    found = chosen({"dev": dev, "eval": more}, ["pump"], apart=True)
    assert classes(found) == {("fan", "source in dev"), ("fan", "source in eval")}
    for one in (dev, {"dev": dev}):
        refused(lambda one=one: chosen(one, apart=True), "--apart tells data sets apart", "away")


def test_who_is_not_there_cannot_be_left_out():
    found = clips("dev", "fan", "pump")
    for names, words in (
        (["fun"], ("no machine 'fun' to exclude", "did you mean 'fan'", "there are fan, pump")),
        (["Fan", "x", "pump"], ("no machine 'Fan, x' to exclude", "fan, pump")),
        ([""], ("no machine '' to exclude", "fan, pump")),
        (["fan", "pump"], ("all of fan, pump are excluded",)),
    ):
        refused(lambda names=names: chosen(found, names), *words, error=DatasetError)
