"""The picture of a training knows where a line lies, whatever is missing."""

import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import QUICK, system, write_classes
from nearfar.errors import FormatError, SettingError
from nearfar.files import is_picture

torch = pytest.importorskip("torch")

from nearfar.training import curves
from nearfar.training.log import lines
from nearfar.training.run import finetune

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """What six epochs wrote. Read only."""
    clips = nf.Clips.open(write_classes(tmp_path_factory.mktemp("classes")), split="train")
    out = tmp_path_factory.mktemp("trained") / "s1.safetensors"
    finetune(system(TINY), clips, QUICK, nf.Runtime(device="cpu"), out=out)
    return out.with_suffix(".jsonl")


@pytest.mark.slow
def test_curves(log, tmp_path):
    picture = tmp_path / "curves.png"
    (tmp_path / "again").mkdir()
    curves.draw(log, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    for kind in ("png", "svg", "pdf"):  # a later one may take its place unasked
        curves.draw(log, tmp_path / "again" / f"curves.{kind}")
        assert is_picture(tmp_path / "again" / f"curves.{kind}"), kind
    with pytest.raises(FormatError, match="no epoch"):
        curves.draw(tmp_path / "none.jsonl", picture)
    with pytest.raises(SettingError, match=r"call it curves\.png"):
        curves.draw(log, tmp_path / "curves.doc")
    assert [p.name for p in tmp_path.glob("*.*")] == ["curves.png"]


def test_curves_know_where_a_line_lies_whatever_is_missing(log):
    """Six epochs; the end of each is a whole number, with or without the lines before it."""
    found = lines(log)
    ends = [line for line in found if "rate" not in line]
    steps = [line for line in found if "rate" in line]
    assert [curves.when(line) for line in ends] == [1, 2, 3, 4, 5, 6]
    per_epoch = len(steps) // 6
    assert [curves.when(line) for line in steps[per_epoch - 1 :: per_epoch]] == [1, 2, 3, 4, 5, 6]


def test_curves_without_matplotlib(log, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SettingError, match=r"nearfar\[report\]"):
        curves.draw(log, tmp_path / "curves.png")
