"""What is said of a package."""

from nearfar.scores.submission.remarks import CheckedPackage, Remark, first_of


def test_wrong_things_come_first_and_the_sum_last():
    found = CheckedPackage(
        "p.zip", ("A_B_task2_1",), {"drill": 200, "lathe": 200},
        (Remark("a", "odd; look", wrong=False), Remark("", "bad; mend it")),
    )  # fmt: skip
    assert found.wrong
    assert found.text.split("\n") == [
        "wrong: bad; mend it",
        "look at: a: odd; look",
        "p.zip: 1 system, 2 machines, 400 test clips: 1 wrong, 1 to look at",
    ]
    data = found.as_dict()
    assert (data["wrong"], data["schema"], len(data["remarks"])) == (True, 1, 2)
    assert [r["kind"] for r in data["remarks"]] == ["doubt", "wrong"]


def test_a_doubt_alone_is_nothing_wrong():
    found = CheckedPackage("p.zip", (), {}, (Remark("a", "odd; look", wrong=False),))
    assert not found.wrong
    assert found.text.endswith("nothing wrong, 1 to look at")
    assert first_of([4, 5]) == "line 4 (and 1 more)"


def test_a_name_in_a_zip_paints_no_terminal():
    assert "\x1b" not in Remark("a\x1b[31m\n.csv", "x; y").line
