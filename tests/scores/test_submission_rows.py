"""Rows as the official evaluator reads them (what it does with broken files: facts, §1.3)."""

import pytest

from nearfar.scores.submission.rows import read_rows

GOOD = b"".join(b"section_00_%04d.wav,%d.5\n" % (n, n) for n in range(200))
DECIDED = b"".join(b"section_00_%04d.wav,%d\n" % (n, n % 2) for n in range(200))


def said(content, *, decisions=False):
    """Lines about a file, wrong and doubtful ones."""
    found = read_rows("a.csv", content, decisions=decisions)
    for remark in found.remarks:
        assert "\n" not in remark.line
        assert remark.place == "a.csv"
    return (
        [r.text for r in found.remarks if r.wrong],
        [r.text for r in found.remarks if not r.wrong],
    )


def test_official_files_are_fine():
    assert said(GOOD) == said(DECIDED, decisions=True) == ([], [])
    assert said(GOOD.removesuffix(b"\n")) == ([], [])
    assert read_rows("a", GOOD, decisions=False).values["section_00_0007.wav"] == 7.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: b"\xef\xbb\xbf" + c, "byte order mark"),
        (lambda c: b"file,score\n" + c, "line 1: a header"),
        (lambda c: c + b"\n", "line 201 is blank"),
        (lambda c: c + b"  ", "line 201 is blank"),
        (lambda c: b"\n" + c, "line 1 is blank"),
        (lambda c: c.replace(b",7.5", b",nan"), "line 8: 'nan' is no finite number"),
        (lambda c: c.replace(b",7.5", b",-inf"), "line 8: '-inf' is no finite"),
        (lambda c: c.replace(b",7.5", b",1_0"), "line 8: '1_0' is no number"),
        (lambda c: c.replace(b",7.5", b","), "line 8: '' is no number"),
        (lambda c: c.replace(b",7.5", b""), "line 8: 1 columns"),
        (lambda c: c.replace(b",7.5", b",7,5"), "line 8: 3 columns"),
        (lambda c: c.replace(b"_0007", b"_0008"), "line 9: 'section_00_0008.wav' is there twice"),
        (lambda c: c.replace(b"section_00_0007", b"drill/x"), "line 8: no file name alone"),
        (lambda c: c.decode().encode("utf-16"), "not UTF-8"),
        (lambda _: b"", "empty"),
        (lambda _: b"\xef\xbb\xbf\n", "empty"),
    ],
)
def test_what_it_would_refuse_or_misread_is_wrong(change, words):
    wrong, _ = said(change(GOOD))
    assert any(words in line and "; " in line for line in wrong), wrong


@pytest.mark.parametrize("value", [b"2", b"-1", b"0.5", b"yes", b"nan"])
def test_a_decision_is_zero_or_one(value):
    (wrong,), _ = said(DECIDED.replace(b"_0007.wav,1", b"_0007.wav," + value), decisions=True)
    assert "line 8" in wrong
    assert said(DECIDED.replace(b"_0007.wav,1", b"_0007.wav,1.0"), decisions=True) == ([], [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.replace(b"\n", b"\r\n"), "CRLF"),
        (lambda c: c.replace(b".wav", b""), "no .wav"),
        (lambda c: b"".join(line.split(b",")[0] + b",1\n" for line in c.splitlines()), "all sc"),
        (lambda c: c.replace(b"0.5", b"1.5").replace(b"2.5", b"1.5").replace(b"3.5", b"1.5")
         .replace(b"4.5", b"1.5").replace(b"5.5", b"1.5").replace(b"6.5", b"1.5"), "ties"),
    ],
)  # fmt: skip
def test_what_may_be_meant_is_a_doubt(change, words):
    wrong, (doubt,) = said(change(GOOD))
    assert wrong == []
    assert words in doubt


def test_one_decision_for_all_is_a_doubt():
    _, (doubt,) = said(DECIDED.replace(b",1\n", b",0\n"), decisions=True)
    assert "all decisions are 0" in doubt


def test_what_is_left_of_rejected_lines_is_no_second_remark():
    (wrong,), doubts = said(DECIDED.replace(b",1\n", b",2\n"), decisions=True)
    assert "the decision '2' is neither" in wrong
    assert doubts == []


def test_many_lines_of_one_fault_are_one_remark():
    (wrong,), _ = said(GOOD.replace(b".5", b"x"))
    assert wrong.startswith("line 1 (and 199 more): '0x' is no number")
