"""A training whose recordings and cache are named by URLs is the training of the files."""

import csv

import fsspec
import pytest

import nearfar as nf
from conftest import TINY
from finetune_sounds import system, write_classes
from nearfar.training import FineTuning

pytest.importorskip("torch")

from nearfar.training.run import finetune

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = FineTuning(epochs=1, batch_size=8, held_out=0.2)


@pytest.mark.slow
def test_it_is_equal_to_the_bit_and_its_log_mels_stay_here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    clips = nf.Clips.open(write_classes(tmp_path / "data", source=5, target=2), split="train")
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "machine", "domain", "split"])
        writer.writerows([f"local://{c.path}", c.machine, c.domain, c.split] for c in clips)
    url = "memory://cache-of-a-training"
    there = nf.Clips.open(tmp_path / "list.csv", split="train")
    assert [str(c.path) for c in there] == [f"local://{c.path}" for c in clips]
    written = []
    for name, heard, cache in (("files", clips, tmp_path / "cache"), ("urls", there, url)):
        out = tmp_path / f"{name}.safetensors"
        finetune(system(TINY), heard, SHORT, nf.Runtime(device="cpu", cache=cache), out=out)
        written.append(out.read_bytes())
    own = {p.name for p in (tmp_path / "own" / "nearfar").rglob("*") if p.is_file()}
    beside = {p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()}
    assert len(own & beside) >= len(clips)  # log-mels are called by what they hold
    assert not fsspec.filesystem("memory").exists("/cache-of-a-training")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("memory")]
    assert written[0] == written[1]
