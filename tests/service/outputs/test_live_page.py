"""docs/outputs-live.md shows what is really said, and names all that is said."""

import json
import re

from live_examples import PAGE, PUMP, WATCH, examples, filled
from nearfar.service.outputs.discovery import discovery_json
from nearfar.service.outputs.gauges import families

TEXT = PAGE.read_text("utf-8")


def test_examples_are_printed_by_the_program():
    assert filled(TEXT) == TEXT, "run `python -m live_examples` in tests/"


def test_examples_are_what_arrives():
    for name in ("line", "state", "clip", "alarm", "device", "stdin"):
        assert json.loads(" ".join(examples()[name].split("\n")))


def test_every_metric_is_in_the_table_and_no_other():
    documented = set(re.findall(r"^\| `(nearfar_\w+)[`{]", TEXT, re.MULTILINE))
    total = {"counter": "_total", "info": "_info"}
    known = {f.name + total.get(f.type, "") for f in families(WATCH, {})}
    assert documented == known


def test_every_sensor_of_home_assistant_is_in_the_table():
    told = json.loads(discovery_json("n", "s", "t", (PUMP.machine, PUMP.section)))
    documented = set(re.findall(r"^\| ([^|`]+) \| (?:sensor|binary sensor) \|", TEXT, re.MULTILINE))
    assert documented == {part["name"] for part in told["components"].values()}
