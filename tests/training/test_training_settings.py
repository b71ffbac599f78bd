"""Settings of a training: plain data whose values are possible."""

import json
import math
from dataclasses import fields, replace

import pytest

from nearfar.errors import SettingError
from nearfar.training.settings import MAGFACE_MOST, FineTuning, as_then, unusual

NUMBERS = [f.name for f in fields(FineTuning) if type(f.default) in (int, float)]
WORDS = [f.name for f in fields(FineTuning) if type(f.default) is str]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, True])
def test_no_number_is_negative_infinite_or_another_kind(name, value):
    with pytest.raises(SettingError, match=rf"training\.{name} is "):
        FineTuning(**{name: value})


@pytest.mark.parametrize("name", WORDS)
def test_words_are_those_of_a_list(name):
    with pytest.raises(SettingError, match=rf"training\.{name} is 'other'"):
        FineTuning(**{name: "other"})


@pytest.mark.parametrize("name", ["epochs", "batch_size", "accumulation", "lora", "seed"])
def test_counts_are_whole(name):
    with pytest.raises(SettingError, match=rf"training\.{name} is 2\.5"):
        FineTuning(**{name: 2.5})


def test_magfaces_largest_margin_is_a_right_angle():
    assert MAGFACE_MOST * 1.6 <= math.pi / 2 < (MAGFACE_MOST + 0.01) * 1.6
    FineTuning(loss="magface", margin=MAGFACE_MOST)
    with pytest.raises(SettingError, match="with magface it is 0 to"):
        FineTuning(loss="magface", margin=MAGFACE_MOST + 0.01)


def test_what_is_unusual_is_what_was_changed():
    changed = {"epochs": 5, "loss": "cosface", "balanced": True}
    assert unusual(FineTuning(**changed).to_data()) == changed
    assert unusual(FineTuning().to_data()) == {}
    assert unusual(FineTuning(precision="fp32").to_data()) == {}  # what "auto" comes to on a CPU
    assert unusual(FineTuning(precision="bf16").to_data()) == {"precision": "bf16"}


def test_what_an_older_training_had_no_setting_for_is_as_it_did_then():
    """It cut each clip by itself and kept the best epoch; what else is new changed nothing."""
    data = FineTuning(epochs=5).to_data()
    older = {name: data[name] for name in data if name not in ("lengths", "choose", "lora")}
    later = {"clusters": 16, "adaptive_scale": False, "gradient_decay": None}  # left out of data
    assert as_then(older) == {**data, **later, "lengths": "clip", "choose": "held-out"}
    assert as_then(data) == {**data, **later}
    assert unusual(older) == {"epochs": 5, "lengths": "clip", "choose": "held-out"}


def test_data_are_json_and_back():
    settings = FineTuning(epochs=5, seed=2**63 - 1, adaptation="dann")
    assert FineTuning(**json.loads(json.dumps(settings.to_data()))) == settings


def test_a_plain_step_draws_nothing():
    assert not FineTuning().draws
    for change in ({"drop_path": 0.1}, {"loss": "elasticface"}, {"adaptation": "mixstyle"}):
        assert replace(FineTuning(), **change).draws
