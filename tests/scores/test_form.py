"""What a meta file asks for: ours is that of real packages, a year's template is taken as it is."""

import copy

import pytest

from conftest import refused
from nearfar.errors import FormatError
from nearfar.scores.submission.form import (
    FORM,
    Blank,
    authors_lapses,
    blank_text,
    corresponding,
    filled,
    form_of,
    lapses_of,
    missing,
)
from nearfar.scores.submission.plainyaml import read_yaml
from submissions import SAID, meta

# The keys of a real package of 2026 (Kim_LUDO) below system.description, in its order.
PUBLISHED = [
    "input_sampling_rate", "data_augmentation", "front_end", "acoustic_features", "embeddings",
    "machine_learning_method", "aggregation_method", "domain_adaptation_method",
    "domain_generalization_method", "ensemble_method_subsystem_count", "decision_making",
    "attribute_usage", "external_data_usage", "development_data_usage",
]  # fmt: skip


def test_the_keys_are_those_of_published_packages():
    assert list(FORM) == ["submission", "system", "results"]
    assert list(FORM["system"]) == ["description", "complexity", "external_datasets", "source_code"]
    assert list(FORM["system"]["description"]) == PUBLISHED
    assert list(FORM["system"]["complexity"]) == ["total_parameters", "MACS"]
    assert [*FORM["results"]["development_dataset"]["*"]] == ["auc_source", "auc_target", "pauc"]


def test_an_empty_file_has_every_key_and_lacks_what_nobody_else_can_say():
    text = blank_text()
    for key in (*PUBLISHED, "label", "lastname", "total_parameters", "auc_source"):
        assert f"{key}:" in text
    data = read_yaml(text.encode(), "blank")
    assert not list(lapses_of(data, FORM))
    lacking = [lapse.path for lapse in missing(data, FORM)]
    assert lacking == [
        "submission/name", "submission/abbreviation",
        *(f"submission/authors[1]/{key}" for key in ("lastname", "firstname", "email")),
        "submission/authors[1]/affiliation/institution",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "takes", "refuses"),
    [
        ("text", ["x"], ["", " ", 3, True, ["x"]]),
        ("short", ["x" * 10], ["x" * 11, "", 3]),
        ("words", ["x", 3, 2.5, ["a", "b"]], ["", True, [1], {}]),
        ("count", [0, 90_000_000], [-1, 2.5, "3", True]),
        ("percent", [0, 61.79, 100], [-1, 101, "61", True, float("nan")]),
        ("yes or no", [True, False], [1, "yes"]),
        ("anything", [1, "x", []], []),
    ],
)
def test_kinds(kind, takes, refuses):
    blank = Blank(kind)
    assert blank.takes(None)
    assert not Blank(kind, must=True).takes(None)
    assert all(map(blank.takes, takes))
    assert not any(map(blank.takes, refuses))
    assert blank.wanted.startswith(("a ", "true"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["system"].update(sourcecode="x"), "did you mean 'source_code'?"),
        (lambda d: d.update(extra=1), "extra: unknown key"),
        (lambda d: d["submission"].update(authors="Kim"), "submission/authors: is 'Kim'"),
        (lambda d: d["submission"].update(name=True), "submission/name: is True"),
        (lambda d: d["submission"].update(authors=[3]), "authors[1]: is 3; need the keys"),
        (lambda d: d["system"].update(complexity=[1]), "complexity: is a list"),
        (lambda d: d["results"]["development_dataset"]["fan"].update(pauc=161), "0 to 100"),
    ],
)
def test_each_lapse_says_where_what_and_the_way_out(change, said):
    data = copy.deepcopy(meta(1))
    change(data)
    (lapse,) = lapses_of(data, FORM)
    assert said in lapse.line
    assert "; " in lapse.line
    assert "\n" not in lapse.line


@pytest.mark.parametrize("said", [None, [], {"submission": 3}, "x", {"submission": None}])
def test_nothing_is_enough_for_none(said):
    assert len(list(missing(said, FORM))) == 6
    assert not list(authors_lapses(said if isinstance(said, dict) else {}))


def test_exactly_one_author_corresponds():
    data = copy.deepcopy(SAID)
    assert not list(authors_lapses(data))
    assert corresponding(data) == "Kim"
    second = copy.deepcopy(data["submission"]["authors"][0])
    data["submission"]["authors"].append(second)
    assert "2 of 2 are" in next(authors_lapses(data)).line
    for author in data["submission"]["authors"]:
        del author["corresponding"]
    assert "0 of 2 are" in next(authors_lapses(data)).line
    assert corresponding(data) == ""


def test_what_a_template_leaves_empty_is_asked_as_always():
    template = {**FORM, "results": {"development_dataset": {}, "more": {}}, "system": None}
    form = form_of(template, "t.yaml")
    assert form["results"]["development_dataset"] == FORM["results"]["development_dataset"]
    assert form["system"] == FORM["system"]
    assert isinstance(form["results"]["more"], Blank)


def test_a_bare_word_that_yaml_takes_for_another_thing_belongs_in_quotes():
    for bare in (2026, True, 1.5):
        (lapse,) = lapses_of({"submission": {"name": bare}}, FORM)
        assert lapse.line.endswith("need a text, in quotes")


def test_a_years_template_is_the_form_its_new_keys_are_asked_for_and_its_order_is_kept():
    template = {
        "system": {"description": {"far_channel": "e.g. a mask", "front_end": "x"}},
        "submission": {"name": "Example", "label": "X", "authors": [{"lastname": "Doe"}]},
        "results": {"development_dataset": {"ToyCar": {"auc_source": 1.0, "f1": 2.0}}},
    }
    form = form_of(template, "t.yaml")
    assert list(form) == ["system", "submission", "results"]
    data = {"submission": {"name": "Mine", "authors": [{"lastname": "Kim"}]}}
    asked = [lapse.path for lapse in missing(data, form)]
    assert asked == ["system/description/far_channel"]
    assert not list(missing({**data, "system": {"description": {"far_channel": None}}}, form))
    wrong = {"system": {"complexity": {}}, "results": {"development_dataset": {"fan": {"f1": 3}}}}
    assert [lapse.path for lapse in lapses_of(wrong, form)] == ["system/complexity"]
    done = filled(data, form)
    assert list(done["system"]["description"]) == ["far_channel", "front_end"]
    assert done["submission"]["name"] == "Mine"  # no value of the template's is ours
    for other in (None, [], "x", {"a": 1}):
        refused(lambda other=other: form_of(other, "t.yaml"), "no template", error=FormatError)
