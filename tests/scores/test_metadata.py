"""Meta files: what the team says goes first, everything wrong is named at once."""

import copy

import pytest

from conftest import refused
from nearfar.errors import FormatError
from nearfar.scores.submission.form import FORM, form_of
from nearfar.scores.submission.metadata import (
    SYSTEMS,
    TeamFile,
    complete,
    meta_text,
    read_form,
    read_meta,
)
from nearfar.scores.submission.plainyaml import dump_yaml, read_yaml
from nearfar.text import alike
from submissions import LABEL, SAID

KNOWN = {"system": {"description": {"front_end": "a mask"}, "complexity": {"total_parameters": 7}}}


def told(own=None, **changes):
    return TeamFile("meta.yaml", copy.deepcopy(SAID) | changes, own or {})


def test_what_is_said_goes_before_what_is_known_and_null_says_that_it_does_not_apply():
    said = told(
        {2: {"submission": {"abbreviation": "two"}, "system": {"source_code": "x"}}},
        system={"description": {"front_end": None, "embeddings": "ours"}},
    )
    (one, two), _ = complete(said, LABEL, [KNOWN, KNOWN])
    assert one["submission"]["label"] == "Kim_LUDO_task2_1"
    assert one["system"]["description"]["front_end"] is None
    assert one["system"]["description"]["embeddings"] == "ours"
    assert one["system"]["complexity"] == {"total_parameters": 7, "MACS": None}
    assert one["system"]["external_datasets"] == [{"name": None, "url": None}]
    assert (one["system"]["source_code"], two["system"]["source_code"]) == (None, "x")
    assert two["submission"]["abbreviation"] == "two"
    assert two["submission"]["authors"] == one["submission"]["authors"]
    assert list(one["system"]["description"]) == list(FORM["system"]["description"])
    assert read_yaml(meta_text(one).encode(), "m") == one


def test_a_heading_with_nothing_under_it_takes_nothing_away():
    said = told({2: {"submission": None, "system": {"complexity": None}}}, system=None)
    one, two = complete(said, LABEL, [KNOWN, KNOWN])[0]
    assert one["system"]["description"]["front_end"] == "a mask"
    assert two["system"] == one["system"]
    assert two["submission"]["authors"] == one["submission"]["authors"]


def test_all_that_is_wrong_is_named_in_one_go():
    said = told({2: {"system": {"sorce_code": "x"}}, 4: {}}, extra=1)
    said.shared["submission"]["authors"][0].pop("email")
    said.shared["submission"]["abbreviation"] = "much too long"
    said.shared["submission"]["label"] = "Li_X_task2_1"
    with pytest.raises(FormatError) as caught:
        complete(said, LABEL, [KNOWN, KNOWN])
    faults = "\n".join(caught.value.faults)
    for word in (
        "systems/4: 2 detectors given", "extra: unknown key", "authors[1]/email: missing",
        "abbreviation: is 'much too long'; need a text of at most 10", "submission/label: is 'Li_X",
        "systems/2/system/sorce_code: unknown key; did you mean 'source_code'?",
    ):  # fmt: skip
        assert word in faults
    assert faults.count("extra") == 1  # of all systems, said once
    assert all(fault.startswith("meta.yaml: ") for fault in caught.value.faults)
    count = len(caught.value.faults)
    assert str(caught.value) == f"meta.yaml has {count} things to mend; mend all, a line each"
    refused(lambda: complete(told(extra=1), LABEL, [KNOWN]), "meta.yaml: extra", error=FormatError)


def test_doubts_are_said_and_stop_nobody():
    _, doubts = complete(told(), LABEL, [KNOWN, KNOWN])
    assert len(doubts) == 1
    assert "one abbreviation" in doubts[0]
    said = told()
    said.shared["submission"]["authors"][0]["lastname"] = "김"
    _, doubts = complete(said, LABEL, [KNOWN])
    assert len(doubts) == 1
    assert "in Latin letters?" in doubts[0]


def test_a_label_that_is_not_the_corresponding_authors_is_refused():
    said = told()
    author = said.shared["submission"]["authors"][0]
    author["lastname"] = "Lee"
    both = "the corresponding author is 'Lee', the label begins with 'Kim'"
    refused(lambda: complete(said, LABEL, [KNOWN]), "meta.yaml: ", both, error=FormatError)
    author["lastname"] = "Kím"  # accents have no place in a label
    assert complete(said, LABEL, [KNOWN])[1] == []


def test_what_a_template_has_not_is_not_written():
    form = form_of({"submission": {"label": "x", "name": "y", "authors": [{"lastname": "z"}]}}, "t")
    author = {"lastname": "Kim"}
    said = TeamFile("m", {"submission": {"name": "A", "authors": [author]}}, {})
    (one,), _ = complete(said, LABEL, [KNOWN], form)
    assert one == {"submission": {"label": "Kim_LUDO_task2_1", "name": "A", "authors": [author]}}
    author["corresponding"] = True  # which this year does not ask for
    refused(lambda: complete(said, LABEL, [KNOWN], form), "corresponding", error=FormatError)


def test_files_are_read_with_care(tmp_path):
    path = tmp_path / "meta.yaml"
    path.write_text(dump_yaml({**SAID, SYSTEMS: {2: {"system": None}, 1: None}}))
    found = read_meta(path)
    assert found.shared == SAID
    assert found.own == {1: {}, 2: {"system": None}}
    for text, said in (
        ("", "--new-meta"), ("- 1", "--new-meta"), ("systems: [1]", "a mapping from"),
        ("systems: {one: {}}", "a mapping from"), ("systems: {2: x}", "a mapping from"),
        ("systems: {0: {}}", "a mapping from"), ("systems: {true: {}}", "a mapping from"),
    ):  # fmt: skip
        path.write_text(text)
        refused(lambda: read_meta(path), said, error=FormatError)
    refused(lambda: read_meta(tmp_path / "gone"), "cannot be read", error=FormatError)
    refused(lambda: read_meta(tmp_path), "cannot be read", error=FormatError)
    path.write_text("submission: {name: x}")
    assert list(read_form(path)) == ["submission"]


def test_faults_of_one_file_are_each_printed():
    said = told({2: {"submission": {"name": 3}}, 3: {"submission": {"name": 3}}})
    with pytest.raises(FormatError) as caught:
        complete(said, LABEL, [KNOWN] * 3)
    assert alike(caught.value.faults) == list(caught.value.faults)
    assert len(caught.value.faults) == 2
