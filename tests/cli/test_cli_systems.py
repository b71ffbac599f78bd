"""The commands systems and features."""

import json

import pytest

import nearfar as nf
from nearfar.system.named import published
from nearfar.system.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_printed_as_python_that_makes_it(run, name):
    code, told, _ = run("systems", name)
    names = {n: getattr(nf, n) for n in nf.__all__}
    assert code == 0
    assert eval(told, names) == PRESETS[name](name, published(name))


def test_settings_show_in_what_is_printed(run):
    _, told, _ = run("systems", "s4", "--set", "whitening.shrinkage=0.25")
    assert "shrinkage=0.25" in told


def test_the_list_has_a_row_for_every_preset(run):
    code, told, _ = run("systems")
    assert code == 0
    assert [line.split()[0] for line in told.splitlines()[1 : 1 + len(PRESETS)]] == list(PRESETS)


def test_the_vector_is_120_of_151(run, dcase):
    clip = sorted((dcase / "fan" / "test").glob("*.wav"))[0]
    few = json.loads(run("features", clip, "--json", "-")[1])["features"]
    every = json.loads(run("features", clip, "--json", "-", "--all")[1])["features"]
    assert (len(few), len(every)) == (120, 151)
    assert few.items() <= every.items()


def test_features_are_those_of_a_system(run, dcase):
    clip = sorted((dcase / "fan" / "test").glob("*.wav"))[0]
    more = json.loads(run("features", clip, "--json", "-", "-s", "s5-dif")[1])["features"]
    own = json.loads(run("features", clip, "--json", "-", "-s", "s4")[1])["features"]
    assert (len(more), len(own)) == (296, 120)
    assert own.items() <= more.items()
    assert own == json.loads(run("features", clip, "--json", "-")[1])["features"]
    _, told, _ = run("features", clip, "-s", "s5-dif")
    assert "slow_beat_0_229" in told
    assert "0.6–2.62 Hz" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep", 3), "go with --select"),
        (("--tau", 0.1), "go with --select"),
        (("--select", "--keep", 3, "--tau", 0.1), "not both"),
        ((), "is a folder"),
        (("-s", "s3-eat"), "s3-eat has no named features"),
        (("-s", "s5-dif", "--all"), "neither --all nor --select"),
        (("-s", "s5-dif", "--select"), "neither --all nor --select"),
    ],
)
def test_features_refuses(run, dcase, arguments, said):
    code, out, err = run("features", dcase, *arguments)
    assert (code, out, err.count("\n"), said in err) == (2, "", 1, True)
