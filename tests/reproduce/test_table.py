"""A table as people and programs read it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from nearfar.reproduce.tables.table import DASH, Table, per_cent, points

CELLS = st.text(alphabet="ab |\n\\–7", max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5))
def test_markdown_has_every_cell_in_its_place(rows):
    text = Table("t", "A table", ["", "one", "two"], rows).markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 2
    assert len({len(line) for line in lines}) == 1  # columns of one width
    for line, row in zip(lines[2:], rows, strict=True):
        cells = re.split(r"(?<!\\)\|", line)
        if not any(cell.rstrip().endswith("\\") for cell in row):
            found = [cell.strip().replace("\\|", "|") for cell in cells[1:-1]]
            assert found == [" ".join(cell.split()) for cell in row]


def test_cells_are_read_off_their_row_in_the_order_of_the_columns():
    columns = [("name", lambda row: row["n"]), ("twice", lambda row: str(2 * row["v"]))]
    rows = ({"n": name, "v": v} for name, v in (("a", 1), ("b", 2)))  # gone through once
    table = Table.of("t", "A table", columns, rows, ["a note"], {"v": [1, 2]})
    assert (table.columns, table.rows) == (["name", "twice"], [["a", "2"], ["b", "4"]])
    assert table.to_data() == {"name": "t", "title": "A table", "v": [1, 2], "notes": ["a note"]}
    assert table.markdown(3).startswith("### A table\n")
    assert table.markdown().endswith("\n\na note\n")


@given(st.floats(-1, 1))
def test_points_are_per_cent_with_a_sign_that_means_something(share):
    text = points(share)
    value = float(text.replace("−", "-"))
    assert abs(value - 100 * share) <= 0.005 + 1e-9
    assert text[0] in "+−" if value else text == "0.00"
    assert abs(float(per_cent(share)) - 100 * share) <= 0.005 + 1e-9


def test_nothing_is_a_dash():
    assert (per_cent(None), points(None)) == (DASH, DASH)
