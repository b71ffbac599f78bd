"""Settings that can never be meant are refused in one line, with what would be right."""

import pytest

from nearfar.errors import SettingError
from nearfar.service.alarms.wishes import AlarmSettings


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"clear": 0.0}, "lower threshold 0; it is a p-value"),
        ({"clear": float("nan")}, "lower threshold nan"),
        ({"clear": 1.5}, "lower threshold 1.5"),
        ({"gate": 3.0}, "gate 3; it is dBFS"),
        ({"gate": float("-inf")}, "gate -inf"),
        ({"every": 0.0}, "time between clips 0; it is seconds"),
        ({"every": float("inf")}, "time between clips inf"),
        ({"drift_run": 3.0}, "clips between false warnings of drift 3; it is a number"),
    ],
)
def test_a_setting_that_can_never_be_meant(wrong, says):
    with pytest.raises(SettingError) as told:
        AlarmSettings(**wrong)
    assert str(told.value).startswith(says)


@pytest.mark.parametrize(("rate", "clear"), [(0.01, 0.02), (0.1, 0.2), (0.25, 0.5), (0.9, 0.5)])
def test_the_lower_threshold_follows_from_the_rate(rate, clear):
    assert AlarmSettings().clear_for(rate) == clear
    assert AlarmSettings(clear=0.3).clear_for(rate) == 0.3
