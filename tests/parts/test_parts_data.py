"""Systems as data and back."""

import dataclasses
import importlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nearfar as nf
from made_parts import PARTS, Mine, anything, one_line
from nearfar.errors import FormatError, SettingError
from nearfar.parts.change import with_setting
from nearfar.parts.data import TYPES, from_data, to_data


@pytest.mark.parametrize("part", PARTS, ids=lambda p: repr(p)[:40])
def test_round_trip_through_json(part):
    data = to_data(part)
    text = json.dumps(data, allow_nan=False)
    again = from_data(json.loads(text))
    assert again == part
    assert repr(again) == repr(part)
    assert hash(again) == hash(part)
    assert to_data(again) == data


def test_every_type_on_the_list_exists_and_is_a_frozen_dataclass():
    for name, module in TYPES.items():
        cls = getattr(importlib.import_module(module), name)
        assert cls.__module__.startswith(module)
        assert cls.__dataclass_params__.frozen


def test_every_part_that_is_public_is_on_the_list():
    classes = {n for n in nf.__all__ if dataclasses.is_dataclass(getattr(nf, n))}
    no_parts = {"Clip", "Detector", "Evaluation", "FineTuning", "Runtime", "Verdict"}
    assert classes - no_parts <= set(TYPES)


def test_data_are_plain():
    assert to_data(nf.KNN((1.0, -0.35), "euclidean")) == {
        "type": "KNN", "weights": [1.0, -0.35], "metric": "euclidean"
    }  # fmt: skip
    assert to_data((1, 2.5, "x", None, True, Path("a") / "b")) == [1, 2.5, "x", None, True, "a/b"]


def test_what_older_nearfars_lack_is_saved_only_where_it_is_used():
    assert "adaptation" not in to_data(nf.s4())
    adapted = to_data(replace(nf.s4(), adaptation=nf.UnitLength()))
    assert adapted["adaptation"] == {"type": "UnitLength"}
    del adapted["adaptation"]
    assert adapted == to_data(nf.s4())


@given(st.floats(0, 1, exclude_min=True), st.integers(0, 2**70))
@settings(max_examples=50, deadline=None)
def test_numbers_survive_exactly(rate, seed):
    if not 0 < rate < 1:
        return
    system = replace(nf.logmel(), false_alarm_rate=rate, seed=seed)
    assert from_data(json.loads(json.dumps(to_data(system)))) == system


@pytest.mark.parametrize(
    "value",
    [np.nan, np.inf, -np.inf, {1}, {"a": 1}, b"x", 1j, np.arange(3), object(), Mine, np.int64],
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(SettingError, match="cannot be saved") as caught:
        to_data(Mine(value))
    one_line(caught.value)


def test_third_party_parts_are_passed_in_never_imported():
    data = json.loads(json.dumps(to_data(Mine((1, Mine(2))))))
    assert from_data(data, types=(Mine,)) == Mine((1, Mine(2)))
    with pytest.raises(FormatError, match=r"part of type 'Mine'.*types=\(Mine,\)") as caught:
        from_data(data)
    one_line(caught.value)
    sys.modules.pop("this", None)
    for name in ("os.system", "this", "builtins.eval", "nearfar.KNN", "MemoryBank", "Runtime"):
        with pytest.raises(FormatError, match="not one of ours"):
            from_data({"type": name})
    assert "this" not in sys.modules


def test_a_part_with_the_name_of_ours_is_not_taken_for_it():
    """Saved by name alone it would come back as another class, and score differently."""

    @dataclass(frozen=True)
    class KNN(nf.KNN):
        pass

    with pytest.raises(SettingError, match="rename it"):
        to_data(replace(nf.logmel(), rule=KNN()))


def test_a_setting_called_type_is_refused():
    @dataclass(frozen=True)
    class Window:
        type: str = "hann"

    with pytest.raises(SettingError, match=r"Window\.type"):
        to_data(Window())


def test_things_that_are_no_types_are_not_called():
    for other in (Mine(), "Mine", len, None, object):
        with pytest.raises(FormatError):
            from_data({"type": "Mine"}, types=(other,))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "KNNN"}, r"part of type 'KNNN', which is not one of ours"),
        ({"type": None}, r"part of type None"),
        ({}, r"part of type None"),
        ({"type": ["KNN"]}, r"part of type \['KNN'\]"),
        ({"type": "a\nb"}, r"part of type 'a\\nb'"),
        ({"type": "KNN", "weihgts": [1.0]}, r"no setting 'weihgts'; did you mean 'weights'"),
        ({"type": "KNN", "weights": []}, r"KNN\.weights is \(\)"),
        ({"type": "KNN", "weights": 1.0}, r"KNN\.weights is 1\.0"),
        ({"type": "KNN", "weights": {"type": "KNN"}}, r"KNN\.weights is KNN"),
        ({"type": "Near", "needs": 5}, r"Near has no setting 'needs'"),
        ({"type": "System"}, r"System cannot be made of \[\]"),
        ({"type": "System", "frontend": "Near", "embedder": 3}, r"System\.frontend is 'Near'"),
        ({"type": "ZCA", "shrinkage": 10**400}, r"ZCA\.shrinkage"),
        ({"type": "KNN", "weights": [10**400]}, r"KNN\.weights"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit(data, words):
    with pytest.raises(FormatError, match=words) as caught:
        from_data(data)
    one_line(caught.value)


@dataclass(frozen=True)
class Fragile:
    """Fails in a way of its own."""

    how: str = ""

    def __post_init__(self):
        if self.how == "zero":
            1 / 0  # noqa: B018
        if self.how == "key":
            {}["x"]
        if self.how == "lines":
            raise ValueError("one\ntwo")


@pytest.mark.parametrize("how", ["zero", "key", "lines"])
def test_a_part_may_fail_as_it_likes(how):
    with pytest.raises(FormatError) as caught:
        from_data({"type": "Fragile", "how": how}, (Fragile,))
    assert "Fragile cannot be made of ['how']" in one_line(caught.value)
    with pytest.raises(SettingError) as caught:
        with_setting(Fragile(), f"how={how}")
    assert "Fragile.how cannot be" in one_line(caught.value)


@pytest.mark.parametrize("depth", [300, 900, 5000, 100_000])
def test_data_nested_deeply(depth):
    for data, wrap in (
        (1, lambda x: [x]),
        ({"type": "Raw"}, lambda x: {"type": "Mine", "value": x}),
    ):
        for _ in range(depth):
            data = wrap(data)
        try:
            from_data(data, (Mine,))
        except FormatError as error:
            one_line(error)


@given(anything)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_gives_a_value_or_a_format_error(data):
    try:
        from_data(data)
    except FormatError as error:
        one_line(error)


@given(st.sampled_from(PARTS), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_changed_value_gives_a_part_or_a_format_error(part, data):
    """Nearer to what a damaged or hand-edited file looks like."""
    plain = to_data(part)
    place = plain
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(anything)
        break
    try:
        again = from_data(plain)
    except FormatError as error:
        one_line(error)
    else:
        assert from_data(json.loads(json.dumps(plain))) == again or "NaN" in json.dumps(plain)


def test_a_log_mel_of_before_stays_what_it_was():
    """Data without the setting mean what was done then, and so they are written again."""
    before = {"type": "LogMel", "n_mels": 128, "n_fft": 1024, "hop": 512}
    assert from_data(before) == nf.LogMel(invariant=False) != nf.LogMel()
    assert to_data(from_data(before)) == before
    assert from_data(to_data(nf.LogMel())) == nf.LogMel()
