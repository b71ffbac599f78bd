"""The commands ablate and evaluate: what goes together, said before any work."""

import json

import pytest

from conftest import first_quick

VARY = ("--vary", "whitening.shrinkage=[0.01,0.1]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("data", *VARY), "--vary goes with --choose lomo or --choose balance"),
        (("data", "--lomo"), "--choose lomo needs --vary"),
        (("data", "--choose", "balance"), "--choose balance needs --vary"),
        (("data", "--choose", "peek", *VARY), "'peek'"),
        (("data", "--choose", "balance", "--lomo", *VARY), "--lomo is --choose lomo"),
        (("data", "--choose", "balance", *VARY, "--detector", "."), "leave --detector out"),
        (("data", "--lomo", *VARY, "--scores", "."), "leave --scores out"),
        (("data", "--lomo", *VARY, "--detector", "."), "leave --detector out"),
        (("data", "--lomo", *VARY, "--skip-bad"), "leave --skip-bad out"),
        ((), "give DATA to evaluate a system on, or --scores"),
        (("data", "--scores", "."), "give DATA to evaluate a system on, or --scores"),
        (("data", "--detector", ".", "-s", "s4"), "exclude each other"),
        (("data", "--detector", ".", "--set", "rule.metric=cosine"), "exclude each other"),
        (("--scores", ".", "-s", "s4"), "exclude each other"),
        (("--scores", ".", "--truth", ".", "--machine", "fan"), "--machine is for DATA"),
        (("--scores", ".", "--truth", ".", "--clip-seconds", 3), "--clip-seconds is for DATA"),
        (("--scores", "."), "no labels; give --truth FILE"),
        (("data", "--json", "no such folder/a.json"), "cannot be written to"),
        (("data", "-s", "s9"), "no system 's9'; it has: logmel"),
        (("data", "--detector", "d", "--channel-order", "far-near"), "d has its own"),
        (("data", "--near", "3"), "--near and --far go together"),
    ],
)
def test_evaluate_refuses(run, arguments, said):
    code, out, err = run("evaluate", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("data", "member"), "did you mean 'members'"),
        (("data", "members"), "members"),  # of System 4 alone there are none to compare
        (("data", "percentile", "--json", "no such folder/a.json"), "cannot be written to"),
    ],
)
def test_ablate_refuses(run, arguments, said):
    code, out, err = run("ablate", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert "data:" not in err  # the data are not even looked for


@pytest.mark.parametrize(
    "command", [("evaluate", "data"), ("ablate", "data", "enrichment")], ids=lambda c: c[0]
)
def test_a_json_of_somebody_is_not_written_over(run, tmp_path, command):
    """Refused before the data are looked for; asked for, the data are the next thing."""
    mine = tmp_path / "mine.json"
    mine.write_text('{"phone": 1}')
    for options, said in (([], "--replace"), (["--replace"], "data: no such file or folder")):
        code, _, err = run(*command, "--json", mine, *options)
        assert (code, said in err) == (2, True), err
    mine.write_text('{"versions": {"nearfar": "0.1"}}')  # an earlier result
    assert "data: no such file" in run(*command, "--json", mine)[2]
    assert "call it a.json" in run(*command, "--json", tmp_path / "a.wav")[2]


PARTS = {  # commands that give the same whatever the data are cut into
    "evaluate": ("evaluate", "-s", "logmel", "--set", "embedder.n_mels=20", "--json", "-"),
    "lomo": ("evaluate", "-s", "logmel", "--lomo", "--vary", "rule.metric=[cosine,euclidean]",
             "--json", "-"),
    "ablate": ("ablate", "-s", "s4", "--json", "-"),
}  # fmt: skip


@pytest.mark.parametrize("name", first_quick(PARTS))
@pytest.mark.slow
def test_machines_in_several_folders_are_judged_as_in_one(run, dcase, name):
    command, *rest = PARTS[name]
    tail = ("enrichment",) * (command == "ablate")
    found = []
    for data in ((dcase,), (dcase / "fan", dcase / "pump")):
        code, out, err = run(command, *data, *tail, *rest)
        assert code == 0, err
        found.append(json.loads(out))
    assert found[0] == found[1]
