"""What is behind a page of a watch: at each moment what the watch has then."""

from dataclasses import replace

import pytest

from nearfar.page.backend import BesideWatch
from nearfar.service.equipment import reequip
from nearfar.service.plant import HistorySettings, PageSettings
from watches import (
    GivenSource,
    Running,
    detector_in,
    incoming,
    plant_of,
    watched,
    write_new,
)


@pytest.mark.slow
def test_it_is_what_the_watch_has_also_after_a_change(tmp_path):
    first = write_new(tmp_path, "a.wav", 1)
    page = PageSettings("127.0.0.1:0", normals=(tmp_path,))
    plant = plant_of(detector_in(tmp_path), page=page)
    with Running(plant, GivenSource([incoming(first)], ends=False)) as running:
        behind = BesideWatch(running.watch)
        assert behind.watches
        assert behind.store is running.have.store
        assert list(behind.holds) == [("pump", "00")]
        assert behind.plant.page.normals == (tmp_path,)
        running.until(lambda: behind.now.clips == 1)
        assert behind.now.machines["pump", "00"].last.path == str(first)
        running.until(lambda: not behind.busy)
        # Its normals are elsewhere now; all else of a page needs a new start.
        moved = replace(plant, page=replace(page, normals=()))
        now = lambda: running.watch.now  # noqa: E731
        running.watch.change(lambda old: reequip(moved, old, now))
        running.until(lambda: behind.plant.page.normals == ())
        other = replace(plant, page=PageSettings("127.0.0.1:1"))
        running.watch.change(lambda old: reequip(other, old, now))
        running.until(lambda: any("served otherwise" in line for line in running.log.of("reload")))
        assert behind.plant.page.address == "127.0.0.1:0"


@pytest.mark.slow
def test_a_machine_that_was_not_heard_since_the_start_is_as_the_history_has_it(tmp_path):
    first = write_new(tmp_path, "a.wav", 1)
    kept = HistorySettings(str(tmp_path / "plant.db"))
    plant = plant_of(detector_in(tmp_path), history=kept)
    _, heard, _ = watched(plant, GivenSource([incoming(first)]))
    with Running(plant, GivenSource(ends=False)) as running:
        assert running.watch.now.machines["pump", "00"].last is None
        machine = BesideWatch(running.watch).now.machines["pump", "00"]
        assert machine.last == machine.judged == heard.observations[0]
        assert (machine.running, machine.clips) == (True, 0)
