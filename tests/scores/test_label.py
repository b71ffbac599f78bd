"""Labels: what is allowed, and of each rule that is broken which one it is."""

import pytest

from conftest import refused
from nearfar.errors import SettingError
from nearfar.scores.submission.label import Label, folded, folder_parts, is_last_name


@pytest.mark.parametrize("text", ["Kim_LUDO", "Garcia-Lopez_UPC", "OBrien_A", "Li_ABCDEFGHIJ"])
def test_a_label_names_folders_and_the_report(text):
    label = Label.of(text)
    assert str(label) == text
    for number in (1, 4):
        assert folder_parts(label.system(number)) == (text, number)
    assert label.report == f"{text}_task2_1.technical_report.pdf"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Kim", "Last_INST"), ("", "Last_INST"), ("Kim_", "Last_INST"), ("_LUDO", "Last_INST"),
        ("Kim_LUDO_X", "as in KimLUDO_X"), ("Müller_TUM", "as in Muller_TUM"),
        ("Kim LUDO", "as in Kim_LUDO"), ("Kim_LU DO", "Last_INST"), ("../Kim_LUDO", "Last_INST"),
        ("Kim/x_LUDO", "Last_INST"), ("Kim_ABCDEFGHIJK", "has 11 characters"),
        ("Kim_LUDO_task2_1", "give Kim_LUDO"), ("Kim\n_LUDO", "Last_INST"), ("-_-", "Last_INST"),
        ("Kim_LUDO" * 500, "Last_INST"), ("金_東大", "Last_INST"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_told_with_the_rule(text, said):
    refused(lambda: Label.of(text), said, error=SettingError)


@pytest.mark.parametrize(
    ("last", "name", "same"),
    [
        ("Garcia-Lopez", "García López", True), ("GARCIALOPEZ", "garcía-lópez", True),
        ("ONeill", "O'Neill", True), ("Muller", "Müller", True), ("Mueller", "Müller", True),
        ("Soerensen", "Sørensen", True), ("Sorensen", "Sørensen", True),
        ("Strauss", "Strauß", True),
        ("Walesa", "Wałęsa", True), ("Kim", "Kimura", False), ("Other", "Name", False),
        ("Kim", "김", None),
    ],
)  # fmt: skip
def test_a_last_name_is_known_however_it_is_written(last, name, same):
    assert is_last_name(last, name) is same


def test_folders_that_are_no_systems():
    for name in ("task2", "Kim_LUDO", "Kim_LUDO_task2_", "Kim_LUDO_task2_1234", "_task1_1"):
        assert folder_parts(name) is None
    assert folded("Garcia López") == folded("Garcia-Lopez")
