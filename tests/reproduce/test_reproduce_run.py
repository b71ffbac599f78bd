"""What a run refuses before its first hour, and what it leaves of its cache."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import TINY
from nearfar.clips import Clip, Clips
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import DatasetError, SettingError, WeightsError
from nearfar.reproduce import run as of_run
from nearfar.reproduce.data import Data
from nearfar.reproduce.steps.records import Folder
from nearfar.runtime.runtime import Runtime
from nearfar.scores.truth import Truth
from nearfar.training import FineTuning


def data(domains=("source", "target"), order="near-far"):
    train = Clips(
        Clip(Path(f"{i}.wav"), machine="fan", split="train", domain=domain)
        for i, domain in enumerate(domains)
    )
    return Data(Path("dev"), train, Clips(), Truth(()), None, order, "", False)


def test_weights_are_asked_for_where_a_table_needs_them():
    assert of_run._published(None, None, ["1"], official=True) == (None, None)
    for table in ("2", "3", "text", "readings"):
        with pytest.raises(SettingError, match="weights=… is missing"):
            of_run._published(None, None, ["1", table], official=True)


def test_system_3_may_have_an_encoder_of_its_own():
    tiny = open_weights(TINY)
    assert of_run._published(None, TINY, ["readings"], official=False) == (None, tiny)
    assert of_run._published(TINY, None, ["readings"], official=False) == (tiny, None)
    assert of_run._published(TINY, TINY, ["text"], official=False) == (tiny, tiny)
    assert of_run._published(TINY, "no such place", ["3"], official=False) == (tiny, None)
    with pytest.raises(SettingError, match="weights=… is missing"):  # of System 1
        of_run._published(None, TINY, ["2"], official=False)
    with pytest.raises(WeightsError, match="EAT-large"):
        of_run._published(None, TINY, ["readings"], official=True)


def test_both_encoders_are_of_one_size(monkeypatch):
    """Hours, memory and batches are told for one."""
    tiny = open_weights(TINY)
    there = {"one": tiny, "deep": replace(tiny, architecture=replace(tiny.architecture, depth=3))}
    monkeypatch.setattr(of_run, "check_weights", lambda at, official: there[at])
    for one, other in (("one", "deep"), ("deep", "one")):
        with pytest.raises(WeightsError, match=f"{other}: .* of one size"):
            of_run._published(one, other, ["text"], official=False)
    # Alone it may be of any.
    assert of_run._published("one", "deep", ["readings"], official=False) == (None, there["deep"])


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ((data(), [], FineTuning()), SettingError, r"tables \[\]; give some of 1, 2, 3, text"),
        ((data(), ["4"], FineTuning()), SettingError, "give some of 1, 2, 3, text"),
        ((data(order="left-right"), ["2"], FineTuning()), SettingError, "'left-right'"),
        ((data(), ["2"], FineTuning(seed=3)), SettingError, r"training\.seed"),
        ((data(["source"]), ["text"], FineTuning()), DatasetError, "DANN needs training clips"),
        ((data([None]), ["text"], FineTuning()), DatasetError, "DANN needs training clips"),
        ((data(["source"]), ["readings"], FineTuning()), DatasetError, "choosing features needs"),
    ],
)
def test_what_a_step_would_find_out_after_hours(asked, kind, said):
    with pytest.raises(kind, match=said):
        of_run._check_asked(*asked)


def test_one_domain_is_enough_for_tables_that_do_not_compare_them():
    of_run._check_asked(data(["source"]), ["1", "2", "3"], FineTuning())
    of_run._check_asked(data(), ["text"], FineTuning(epochs=1))


@pytest.mark.parametrize("size", [None, "", "1"])
def test_one_process_is_no_launcher(monkeypatch, size):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size is not None:
        monkeypatch.setenv("WORLD_SIZE", size)
    of_run._refuse_launcher()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingError, match="WORLD_SIZE is '2'"):
        of_run._refuse_launcher()


def test_a_cache_of_the_run_s_own_goes_when_all_is_done_and_stays_after_an_error(tmp_path):
    folder, given = Folder(tmp_path), tmp_path / "mine"
    with of_run._with_cache(Runtime(cache=given), folder) as runtime:
        given.mkdir()
        assert runtime.cache == given
    assert given.is_dir()
    own = folder.path / "cache"
    own.mkdir()
    with pytest.raises(ZeroDivisionError), of_run._with_cache(Runtime(), folder):
        raise ZeroDivisionError
    assert own.is_dir()  # for --resume
    with of_run._with_cache(Runtime(), folder) as runtime:
        assert runtime.cache == own
    assert not own.exists()
