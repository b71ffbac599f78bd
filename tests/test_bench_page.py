"""docs/benchmarks.md: a run writes its own columns and leaves the others'."""

from bench.page import parsed, printed, processor

from conftest import TESTS

ROOT = TESTS.parent
INTRO = "Printed by a test."


def of(maker, name, fast, slow, *, more=""):
    """What a run prints."""
    return f"""- {maker}: {name}, 2 cores.

## Speed

Clips of 10 s.

| what | size | ms | times |
|---|---|--:|--:|
| fast | 1,024 | {fast} | 1 |
| slow | 120 | {slow} | 2.5 |
{more}
A row takes {slow} µs.
"""


def rows_of(page):
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]


def test_numbers_of_two_makers_stand_side_by_side():
    page = parsed(of("AMD", "EPYC", 1.5, 3)) | parsed(of("Intel", "Xeon", 7, 9))
    text = printed(page, INTRO)
    assert "- AMD: EPYC, 2 cores.\n- Intel: Xeon, 2 cores." in text
    assert rows_of(text) == [
        ["what", "size", "ms, AMD", "ms, Intel", "times, AMD", "times, Intel"],
        ["---|---|--:|--:|--:|--:"],
        ["fast", "1,024", "1.5", "7", "1", "1"],
        ["slow", "120", "3", "9", "2.5", "2.5"],
    ]
    # What holds for both is said once, what does not of whom it holds for.
    assert text.count("Clips of 10 s.") == 1
    assert "\nAMD: A row takes 3 µs.\n\nIntel: A row takes 9 µs.\n" in text


def test_a_page_taken_apart_and_printed_is_the_same_page():
    page = parsed(of("AMD", "EPYC", 1.5, 3)) | parsed(
        of("Intel", "Xeon", 7, 9, more="| x | 1 | 2 | 3 |\n")
    )
    page["Intel"]["GPU"] = ("Not run.", *page["Intel"]["Speed"])
    text = printed(page, INTRO)
    assert parsed(text) == page
    assert printed(parsed(text), INTRO) == text


def test_a_new_run_changes_its_own_columns_and_nothing_else():
    before = printed(parsed(of("AMD", "EPYC", 1.5, 3)) | parsed(of("Intel", "Xeon", 7, 9)), INTRO)
    page = parsed(before)
    page["AMD"] = parsed(of("AMD", "EPYC 2", 4, 5))["AMD"]
    after = printed(page, INTRO)
    assert parsed(after)["Intel"] == parsed(before)["Intel"]
    assert rows_of(after)[2] == ["fast", "1,024", "4", "7", "1", "1"]
    assert "EPYC 2" in after


def test_a_row_that_only_one_has_is_a_dash_for_the_other():
    page = parsed(of("AMD", "EPYC", 1, 2, more="| new | 1 | 5 | 6 |\n"))
    page |= parsed(of("Intel", "Xeon", 7, 9))
    assert rows_of(printed(page, INTRO))[-1] == ["new", "1", "5", "–", "6", "–"]


def test_the_page_that_is_there_can_be_taken_apart():
    page = parsed((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"))
    assert "Intel" in page
    assert parsed(printed(page, INTRO)) == page


def test_a_processor_has_a_maker_and_a_name():
    maker, name = processor()
    assert maker in ("AMD", "Intel", "ARM")
    assert name
