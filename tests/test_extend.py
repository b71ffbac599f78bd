"""docs/extend.md holds what it shows: its blocks are run, and its parts keep the contract."""

import re

import pytest

import nearfar as nf
from conftest import TESTS
from nearfar.parts.own import user_module
from nearfar.testing import check_system

PAGE = (TESTS.parent / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PARTS = ("Envelope", "Difference", "Median")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """All blocks in one file, the imports first; running it runs the checks on the page."""
    first = [b for b in BLOCKS if b.startswith("from dataclasses")]
    assert len(first) == 1
    file = tmp_path_factory.mktemp("own") / "mine.py"
    file.write_text("\n\n".join([*first, *(b for b in BLOCKS if b not in first)]))
    return user_module(file)


def test_the_blocks_run_and_call_every_check(mine):
    for name in ("check_embedder", "check_frontend", "check_rule", "check_system"):
        assert f"{name}(" in BLOCKS[-1]
    assert isinstance(mine.system, nf.System)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_fifteen_lines(name):
    (block,) = (b for b in BLOCKS if f"class {name}:" in b)
    assert len([line for line in block.splitlines() if line.strip()]) <= 15


def test_a_detector_of_them_is_fitted_kept_and_used(mine, dcase, tmp_path):
    clips = nf.Clips.open(dcase, split="train", machines=["fan"])
    detector = nf.fit(mine.system, clips)
    detector.save(tmp_path / "own")
    again = nf.load(tmp_path / "own", types=[getattr(mine, name) for name in PARTS])
    assert again.score(clips) == detector.score(clips)


def test_as_parts_of_an_ensemble_they_pass_too(mine):
    check_system(nf.Ensemble((mine.system, nf.logmel())))


def test_the_command_line_takes_the_file(mine, dcase, tmp_path, run):
    fan = dcase / "fan" / "train"
    out = tmp_path / "own.detector"
    code, _, err = run("fit", fan, "-s", f"{mine.__file__}:system", "-o", out, "--workers", 1)
    assert code == 0, err
    parts = [word for name in PARTS for word in ("--part", f"{mine.__file__}:{name}")]
    clip = next(fan.glob("*.wav"))
    code, told, err = run("score", out, clip, *parts, "--workers", 1)
    assert code == 0, err
    assert clip.name in told
    code, _, err = run("score", out, clip)  # and without them it is told what to say
    assert (code, err.count("\n")) == (2, 1)
    assert "--part file.py:" in err
