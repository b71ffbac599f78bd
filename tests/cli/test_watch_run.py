"""A run of a watch: what --once changes of the settings, and when there is anything to stop."""

from dataclasses import replace

from conftest import refused
from nearfar.cli.watch_run import ONCE_PATIENCE, WatchRun, at_once
from nearfar.service.plant import DetectorSettings, MachineSettings, PlantSettings, SourceSettings


def plant(tmp_path, *sources):
    pump = MachineSettings("pump", "00", DetectorSettings(tmp_path / "d"))
    return PlantSettings((pump,), sources)


def test_once_waits_no_longer_than_anybody_would_and_no_longer_than_was_said(tmp_path):
    long = SourceSettings("a", "folder", "/a", patience=600.0)
    short = SourceSettings("b", "folder", "/b", patience=1.0)
    found = at_once(plant(tmp_path, long, short)).sources
    assert found == (replace(long, patience=ONCE_PATIENCE), short)


def test_what_never_ends_is_not_heard_once(tmp_path):
    device = SourceSettings("mic", "device", "", machine="pump")
    refused(lambda: at_once(plant(tmp_path, device)), "a microphone never ends by itself")


def test_before_it_has_begun_there_is_nothing_to_stop_nor_to_read_anew(tmp_path):
    of_options = WatchRun(plant(tmp_path, SourceSettings("a", "folder", "/a")))
    assert not of_options._stop()
    assert of_options._reread() is None  # a closed terminal ends it then
    of_file = WatchRun(replace(of_options.plant, file=tmp_path / "gone.toml"))
    of_file._reread()()  # nothing is read while it is being read
