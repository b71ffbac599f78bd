"""The card's front matter is YAML that says what the hub asks for, whatever things are called."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.clips.export.datasetcard import (
    MARK,
    card,
    is_export,
    kind_of,
    licence_id,
    load_alike,
)
from nearfar.clips.export.places import COLUMNS

ROW = {name: "" for name in COLUMNS} | {"file_name": "fan/a.wav", "machine": "fan"}


def front(text):
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("\n---\n")[0])


@settings(max_examples=25)  # YAML takes its time
@given(st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_any_name_and_licence_are_data_and_no_markup(name, machine):
    text = card(name, {"train": [{**ROW, "machine": machine}]}, COLUMNS, name)
    found = front(text)
    assert isinstance(found["pretty_name"], str)
    assert found["configs"][0]["data_files"] == [{"split": "train", "path": "train/**"}]
    assert text.split("\n---\n", 1)[1].startswith(MARK)


def test_licences():
    for said in ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0", "CC_BY-NC-SA 4.0"):
        assert front(card("a", {"train": [ROW]}, COLUMNS, said))["license"] == "cc-by-nc-sa-4.0"
    ours = front(card("a", {"train": [ROW]}, COLUMNS, "Plant use only"))
    assert (ours["license"], ours["license_name"]) == ("other", "Plant use only")
    assert licence_id("") == "unknown"
    assert "not stated" in card("a", {"train": [ROW]}, COLUMNS, "")


@pytest.mark.parametrize(
    ("clips", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K")]
)
def test_sizes(clips, size):
    assert front(card("a", {"train": [ROW] * clips}, COLUMNS, ""))["size_categories"] == [size]


def test_columns_of_two_kinds_are_seen():
    empty, told = [ROW], [{**ROW, "label": "normal"}]
    assert load_alike({"train": told, "test": told}, COLUMNS)
    assert load_alike({"train": empty}, COLUMNS)
    assert not load_alike({"train": told, "test": empty}, COLUMNS)
    assert [kind_of(cells) for cells in (["1"], ["1.5"], ["x"], [""])] == [
        "whole", "number", "text", "number",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "kind"),
    [(["1e5", "inf"], "number"), (["+1", "-2"], "whole"), (["NA", "null"], "number"),
     (["None", "x"], "text"), (["True", "false"], "truth"), (["True", ""], "text"),
     (["1_000"], "text"), (["0x1f"], "text"), ([], "whole")],
)  # fmt: skip
def test_kinds_are_those_that_the_tables_reader_would_see(cells, kind):
    assert kind_of(cells) == kind


def test_an_export_is_known_by_its_card_and_by_nothing_else_in_it(tmp_path):
    assert not is_export(tmp_path)
    (tmp_path / "README.md").write_text(card("a", {"train": [ROW]}, COLUMNS, ""))
    assert is_export(tmp_path)
    (tmp_path / "mine.txt").touch()
    assert not is_export(tmp_path)
    assert not is_export(tmp_path / "none")


def test_an_export_with_anything_else_in_it_or_by_a_link_is_none(tmp_path):
    folder = tmp_path / "hf"
    (folder / "train/fan").mkdir(parents=True)
    (folder / "README.md").write_text(MARK)
    (folder / "train/fan/a.wav").write_bytes(b"")
    assert not is_export(folder)  # its table is gone
    (folder / "train/metadata.csv").write_text("file_name\nfan/a.wav\n")
    assert is_export(folder)
    (tmp_path / "link").symlink_to(folder)
    assert not is_export(tmp_path / "link")  # it would go, and what it leads to would stay
    (folder / "train/notes.txt").write_text("mine")
    assert not is_export(folder)
