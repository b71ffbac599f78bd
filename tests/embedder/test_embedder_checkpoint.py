"""Reading without running code and writing whole or not at all, for any encoder."""

import pytest

torch = pytest.importorskip("torch")

from beats_folders import content
from checkpoints import leaves_nothing, refused
from nearfar.embedder.beats.weights import LAYOUT
from nearfar.embedder.beats.weights import open_weights as opened
from nearfar.embedder.checkpoint import StandIn, load_checkpoint, state_of, write_weights
from nearfar.embedder.eat.weights import LAYOUT as EAT_LAYOUT
from nearfar.errors import WeightsError


def test_a_stand_in_keeps_what_it_is_given_and_runs_nothing():
    made = StandIn("any", "thing")
    made.__setstate__({"depth": 3})
    assert made.fields == {"depth": 3}
    made.__setstate__([1])
    assert made.fields == {"depth": 3}


def test_what_is_no_table_of_names_is_told(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    refused(lambda: load_checkpoint(tmp_path / "list.pt", "a cake"), "holds a list; need a cake")


def test_tensors_lie_under_model_or_alone(tmp_path):
    was = content()
    path = tmp_path / "x.pt"
    assert state_of(path, was, LAYOUT) is was["model"]
    assert state_of(path, was["model"], LAYOUT) is was["model"]
    refused(lambda: state_of(path, was, EAT_LAYOUT), path, "tensors of BEATs, not of an EAT")


def test_a_check_that_fails_leaves_nothing(tmp_path):
    def fail(folder):
        raise WeightsError(f"{folder.name} is no good")

    def write(check):
        write_weights(tmp_path / "x.pt", tmp_path / "out", {}, {"a": torch.ones(2)}, check)

    refused(lambda: write(fail), "is no good")
    leaves_nothing(tmp_path, [])
    refused(lambda: write(opened), "not a BEATs (its first tensor is 'a'")
    leaves_nothing(tmp_path, [])
