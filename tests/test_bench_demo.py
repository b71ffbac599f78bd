"""docs/demo.md: what its tables are made of, and that a seed without an alarm is told."""

import numpy as np
import pytest
from bench.demo import CHOICES, CHOSEN, Course, Levels, levels, spread, text
from tools.wear import Outcome

from nearfar.sim.machines.pump import fault_db
from nearfar.sim.wear import FAULTY, FITTED, HEALTHY, course


def seed(number, severity):
    hours = None if severity is None else round(severity * FAULTY)
    found = Outcome(severity, hours, lasting=number, single=2, healthy=HEALTHY)
    heard = None if severity is None else Levels(-10.0, 1.0, 2510)
    ends = Levels(-32.0, -20.0, 2510), Levels(4.0, 15.0, 2510)
    return Course(number, (found,) * len(CHOICES), (*ends, heard), 7.0)


def test_a_seed_without_an_alarm_is_told_and_in_no_median():
    page = text([seed(0, 0.5), seed(1, None), seed(2, 0.75)])
    assert "Without an alarm: seeds 1." in page
    assert "2 of 3" in page
    assert f"| severity at the first lasting alarm, 0 to 1 | {spread([0.5, 0.75], '.2f')} |" in page
    assert "| 1 | none | – | – | 1 | 2 |" in page
    assert "1.00 (3 in all)" in page  # false lasting alarms: 0, 1 and 2


def test_where_no_seed_has_an_alarm_there_is_a_page_all_the_same():
    assert "0 of 1" in text([seed(0, None)])


def test_the_demos_choice_is_one_of_those_compared():
    assert CHOICES.count(CHOSEN) == 1


@pytest.mark.parametrize("hour", [FITTED + HEALTHY, -1])
def test_the_fault_is_measured_against_all_else_at_the_near_microphone(hour):
    """What noise there is makes it weaker than against the pump alone; a band may stand out."""
    item = course()[hour]
    found = levels(item, 0)
    assert found.broad < fault_db(item.moment.severity) + 1  # the room's colour is worth some dB
    assert found.band > found.broad
    louder = levels(item.__class__(item.key, item.file, item.moment.__class__(
        item.moment.severity, item.moment.louder_db + 10)), 0)  # fmt: skip
    assert louder.broad < found.broad
    assert np.isfinite(louder.band)
