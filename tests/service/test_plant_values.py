"""Values of plant.toml and of the command line: one reader for both."""

import math
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import refused
from nearfar.service import plant_values as values

GOOD = [
    (values.gate, "off", -199.0), (values.gate, -55, -55.0), (values.share, 0.1, 0.1),
    (values.broker, "mqtt://broker", "mqtt://broker"),
    (values.broker, "mqtts://[::1]:8883/", "mqtts://[::1]:8883/"),
    (values.address, "localhost:80", "localhost:80"), (values.command, "a 'b c'", "a 'b c'"),
    (values.pair_of, "NEAR=*_1.wav,FAR=*_2.wav", "NEAR=*_1.wav,FAR=*_2.wav"),
    (values.time_pattern, "%Y%m%d", "%Y%m%d"),
]  # fmt: skip
BAD = {
    values.rule: ["", "3", "5/3", "0/1", "1/1001", 3, None, "a/b"],
    values.gate: [1, 0, "on", True, math.nan, -1000, None],
    values.p_value: [0, 1, "0.2"], values.pause: [0, -1, "never"],
    values.mqtt_version: [4, "3", True, 3.1],
    values.share: [0, 1, 2, math.nan, "x", True],
    values.broker: ["", "broker", "http://b", "mqtt://", "mqtt://u@b", "mqtt://u:p@b", "mqtt://b:x",
                    "mqtt://b/topic", 5, "mqtt://[b"],
    values.address: ["", "9600", ":9600", "host", "host:", "host:x", "host:99999", "host:0",
                     "a/b:1", "http://a:1", 9600],
    values.command: ["", "  ", "'a", [], [1], 5, "''"],
    values.pair_of: ["", "x", 5], values.time_pattern: ["%Q", "", 5],
}  # fmt: skip


@pytest.mark.parametrize(("reader", "given", "read"), GOOD)
def test_a_value_is_read(reader, given, read):
    assert reader(given) == read


@pytest.mark.parametrize(("reader", "wrong"), [(r, w) for r, found in BAD.items() for w in found])
def test_what_is_none_is_told_in_a_line_and_no_secret_is(reader, wrong):
    said = refused(lambda: reader(wrong))
    assert "u:p" not in said


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1))
def test_words_of_a_command_stay_words(words):
    assert shlex.split(values.command(words)) == words


@pytest.mark.parametrize("text", ["90", 90, 90.0, "0.5", "90s", "59 min", "0d"])
def test_a_history_is_not_emptied_by_a_unit_that_was_left_out(text):
    refused(lambda: values.retention(text), '"90d"')


def test_what_is_kept_for_an_hour_or_longer_may_be_said():
    assert [values.retention(text) for text in ("1h", "90 d", "60 min")] == [3600, 7_776_000, 3600]
