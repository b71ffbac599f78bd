"""Troubles: a line when one begins, a line when it is over."""

from nearfar.service.incoming import now
from nearfar.service.news import AlarmEvent
from nearfar.service.troubles import Troubles, fault_line, tell_alarms


def test_a_trouble_is_told_once_however_its_words_change():
    said = []
    troubles = Troubles(lambda event, message, level="info", **facts: said.append((event, facts)))
    for found in ("full (1 row)", "full (2 rows)", "", "", "full again"):
        troubles.look({"history": found, "mqtt": ""})
    assert said == [
        ("trouble", {"of": "history"}), ("works again", {"of": "history"}),
        ("trouble", {"of": "history"}),
    ]  # fmt: skip


def test_a_fault_is_one_line():
    assert "\n" not in fault_line(ValueError("no\nsuch\naxis"))


def test_of_alarms_what_is_shelved_is_not_told():
    said = []
    kind = "machine", "sound", "pump", "00"
    tell_alarms(
        lambda event, message, level="info", **facts: said.append((event, message, level)),
        [
            AlarmEvent(1, 3, *kind, "raised", now(), "3 of 5"),
            AlarmEvent(2, 3, *kind, "raised", now(), "3 of 5", silent=True),
            AlarmEvent(3, 3, *kind, "cleared", now(), "normal again"),
        ],
    )
    assert said == [
        ("alarm raised", "alarm 3: 3 of 5", "warning"),
        ("alarm cleared", "alarm 3: normal again", "info"),
    ]
