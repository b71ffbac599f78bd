"""Troubles: a line when one begins, a line when it is over."""

from nearfar.service.troubles import Troubles, fault_line


def test_a_trouble_is_told_once_however_its_words_change():
    said = []
    troubles = Troubles(lambda event, message, level="info", **facts: said.append((event, facts)))
    for now in ("full (1 row)", "full (2 rows)", "", "", "full again"):
        troubles.look({"history": now, "mqtt": ""})
    assert said == [
        ("trouble", {"of": "history"}), ("works again", {"of": "history"}),
        ("trouble", {"of": "history"}),
    ]  # fmt: skip


def test_a_fault_is_one_line():
    assert "\n" not in fault_line(ValueError("no\nsuch\naxis"))
