"""What a watch works with: opened once, shared where it is said alike, closed where it fails."""

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from conftest import PATIENCE
from listening import listening
from nearfar.errors import NearfarError, SettingError, StorageError
from nearfar.service import equipment
from nearfar.service.equipment import equip, opened, outputs_of, reequip, source_of
from nearfar.service.finite_source import FiniteSource
from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp
from nearfar.service.plant import HistorySettings, MqttSettings, SourceSettings
from nearfar.service.sources.folder import FolderSource
from nearfar.service.sources.pcm import PcmSource
from watches import GivenSource, detector_in, plant_of


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_in(tmp_path_factory.mktemp("equipped"))


@pytest.fixture
def plant(detector, tmp_path):
    return plant_of(detector, history=HistorySettings(str(tmp_path / "plant.db")))


@pytest.fixture
def have(plant):
    found = equip(plant, lambda: None, (), {"hall": GivenSource()})
    yield found
    found.store.close()


def test_what_is_said_alike_goes_on(have, plant):
    lined = replace(plant, mqtt=MqttSettings("mqtt://127.0.0.1:1"), on_alarm="true")
    first = reequip(lined, have, lambda: None)
    again = reequip(replace(lined, on_alarm="false"), first, lambda: None)
    assert again.store is have.store
    assert again.sources["hall"] is have.sources["hall"]
    assert again.posts.holds() == have.posts.holds()
    by_name = [{o.name: o for o in found.own.values()} for found in (first, again)]
    assert by_name[0]["mqtt"] is by_name[1]["mqtt"]
    assert first.own.keys() != again.own.keys()


def test_stations_go_on_where_they_were(have, plant):
    before = have.posts["pump", "00"].station.state
    after = reequip(plant, have, lambda: None).posts["pump", "00"]
    assert after.station.state == before


def test_files_that_are_not_complete_are_counted(have, plant, tmp_path):
    (tmp_path / "arriving").mkdir()
    (tmp_path / "arriving" / "a.wav").write_bytes(b"RIFF.")  # never whole
    source = FolderSource("arriving", tmp_path / "arriving", settle=0.01, knows=lambda _: False)
    whole = replace(have, sources={"arriving": source, "once": FiniteSource(source)})
    with listening(source):
        end = monotonic() + PATIENCE
        while whole.awaited != 2 and monotonic() < end:
            sleep(0.01)
        assert whole.awaited == 2


def test_sources_know_what_waits_for_the_history(plant, monkeypatch):
    asked = []
    monkeypatch.setattr(equipment, "source_of", lambda said, plant, knows: asked.append(knows))
    have = equip(plant, lambda: None)

    def down(change):
        raise StorageError("the disk is full")

    monkeypatch.setattr(have.store, "keep", down)
    stamp = Stamp("a.wav", 44, 1)
    have.keeper.keep(Change(None, (stamp,)))
    assert asked[0]((stamp,))
    have.store.close()


class Without:
    """Finds no module of a package, as where it is not installed."""

    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(("package", "said"), [
    ("watchdog", {}), ("paho", {"mqtt": MqttSettings("mqtt://127.0.0.1:1")}),
    ("prometheus_client", {"metrics": "127.0.0.1:0"}),
])  # fmt: skip
def test_a_missing_extra_is_one_line_and_leaves_no_history(plant, package, said, monkeypatch):
    for name in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(package), *sys.meta_path])
    with pytest.raises(NearfarError, match=r"pip install 'nearfar\[plant\]'"):
        equip(replace(plant, **said), lambda: None, (), {"hall": GivenSource()})
    assert not Path(plant.history.place).exists()


def test_another_history_needs_a_new_start(have, plant, tmp_path):
    other = replace(plant, history=HistorySettings(str(tmp_path / "other.db")))
    with pytest.raises(SettingError, match="start it again"):
        reequip(other, have, lambda: None)
    assert not (tmp_path / "other.db").exists()


def test_where_it_cannot_be_opened_nothing_is_left(plant):
    broken = replace(plant, metrics="nowhere:many")
    with pytest.raises(SettingError, match="nowhere:many"):
        equip(broken, lambda: None)
    # Its lock is free again.
    HistoryStore.open(plant.history.place, watching=True).close()


def test_a_history_that_is_none_is_left_alone(plant, tmp_path):
    (tmp_path / "plant.db").write_text("notes of mine\n" * 99)
    with pytest.raises(StorageError):
        equip(plant, lambda: None)
    assert (tmp_path / "plant.db").read_text().startswith("notes of mine")


def test_sources_are_made_as_they_are_said(plant, tmp_path):
    folder = SourceSettings("hall", "folder", str(tmp_path))
    assert isinstance(source_of(folder, plant, lambda _: False), FolderSource)
    line = SourceSettings("line", "pcm", "-", rate=48_000)
    os.mkfifo(tmp_path / "pipe")
    made = source_of(replace(line, place=str(tmp_path / "pipe")), plant, lambda _: False)
    assert isinstance(made, PcmSource)
    made.close()
    with pytest.raises(SettingError, match="rate"):
        source_of(replace(line, rate=None), plant, lambda _: False)


def test_a_pipe_is_opened_before_anybody_writes_into_it(tmp_path):
    os.mkfifo(tmp_path / "line")
    with opened(str(tmp_path / "line")) as stream:
        writer = threading.Thread(target=(tmp_path / "line").write_bytes, args=(b"abcd",))
        writer.start()
        assert stream.read(4) == b"abcd"
        writer.join()
    with pytest.raises(SettingError, match="mkfifo"):
        opened(str(tmp_path / "gone"))


def test_outputs_that_were_not_said_are_not_made(plant):
    assert outputs_of(plant, lambda: None, {}) == {}
