"""From a name on the command line to a system: presets, own files, settings, weights."""

import pytest

import nearfar as nf
from nearfar.errors import SettingError
from nearfar.system.named import published, system_of, types_of
from nearfar.system.presets import PRESETS, PUBLISHED

OWN = """
import nearfar as nf

ready = nf.System(nf.Near(), nf.LogMel(n_mels=20))
number = 7


def made(*weights):
    return nf.System(nf.Near(), nf.EAT(weights[0]))


def broken():
    return {}["gone"]


def refused():
    raise nf.NearfarError("not today")


class Part:
    pass
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return lambda name: f"{path}:{name}"


@pytest.mark.parametrize("name", [n for n, p in PRESETS.items() if not p.encoders])
def test_a_name_is_the_preset(name):
    assert system_of(name, None) == PRESETS[name](name, [])


def test_weights_go_to_the_preset():
    assert system_of("s1", None, ["here"]) == nf.s1("here")
    assert system_of("s2", None, list("abcd")) == nf.s2(*"abcd")


def test_settings_are_taken_in_their_order_and_the_rate_last():
    system = system_of("s4", ["folds=5", "folds=7", "false_alarm_rate=0.5"], rate=0.02)
    assert (system.folds, system.false_alarm_rate) == (7, 0.02)
    assert system_of("s4", ["false_alarm_rate=0.5"]).false_alarm_rate == 0.5


def test_a_persons_own_system_and_function(own):
    assert system_of(own("ready"), None).embedder == nf.LogMel(n_mels=20)
    assert system_of(own("made"), None, ["there"]).embedder == nf.EAT("there")
    (part,) = types_of([own("Part")])
    assert part.__name__ == "Part"
    assert types_of(None) == ()


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("s9", [], "no system 's9'"),
        ("s3-dfi", [], "did you mean"),
        ("s4", ["x"], "needs no weights"),
        ("ready", ["x"], "is a system already"),
        ("number", [], "need a System or an Ensemble"),
        ("made", [], "it takes no arguments"),
        ("broken", [], "KeyError"),
        ("refused", [], "not today"),
        ("nobody", [], "nobody"),
    ],
)
def test_what_is_no_system_is_one_line(own, name, weights, said):
    there = name in OWN or name == "nobody"
    with pytest.raises(nf.NearfarError, match=said) as caught:
        system_of(own(name) if there else name, None, weights)
    assert "\n" not in str(caught.value)


def test_a_bad_rate_is_refused_like_a_setting():
    with pytest.raises(SettingError):
        system_of("s4", None, rate=1.5)


def test_published_weights_are_shown_and_not_looked_for():
    assert {name: published(name) for name in PRESETS} == {
        name: [PUBLISHED] * preset.encoders for name, preset in PRESETS.items()
    }
    assert published("file.py:name") == []
