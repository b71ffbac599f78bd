"""Other settings while a watch runs: a mistake in them ends nothing, and nothing is lost."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import write
from nearfar.errors import FormatError, SettingError, several
from nearfar.service.equipment import reequip
from nearfar.service.outputs.command import CommandOutput
from nearfar.service.outputs.teller import Teller
from nearfar.service.plant import HistorySettings
from nearfar.service.posts import Posts
from watches import GivenSource, Running, detector_in, incoming, plant_of, sound, write_new

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_in(tmp_path_factory.mktemp("watched"))


@pytest.fixture
def plant(detector, tmp_path):
    return plant_of(detector, history=HistorySettings(str(tmp_path / "plant.db")))


@pytest.fixture
def new(tmp_path):
    return [write_new(tmp_path / "new", f"{i}.wav", i, anomaly=True) for i in range(5)]


class Broker(Teller):
    """An output whose other side may be away."""

    name, wants_clips = "mqtt", True

    def __init__(self, *, away=False):
        super().__init__(most=100)
        self.away, self.told = away, []

    def _work(self):
        parcel = None if self.away else self._box.take()
        if parcel is None:
            return self._rest()
        self.told.append(parcel.event or parcel.bulletin.observation.name)
        return self._box.done(parcel)


def change(running, how):
    """Have the equipment changed, and wait until it is, or is refused."""
    before = len(running.log.of("reload"))
    running.watch.change(how)
    running.until(lambda: len(running.log.of("reload")) > before)
    return running.log.of("reload")[before:]


def test_a_broker_that_moved_is_told_what_it_missed(plant, new):
    source = GivenSource([], ends=False)
    away, here = Broker(away=True), Broker()
    with Running(plant, source) as running:
        change(running, lambda old: replace(old, own={1: away}))
        for path in new:
            source.put(incoming(path))
        running.until(lambda: running.listener.events)
        running.until(lambda: away.health.queued == 6)
        away.close(0.0)  # without waiting for it
        change(running, lambda old: replace(old, own={2: here}))
        running.until(lambda: len(here.told) == 6)
    raised = [said for said in here.told if not isinstance(said, str)]
    assert raised == running.listener.events
    assert [said[-5:] for said in here.told if isinstance(said, str)] == [p.name for p in new]
    assert here.said == raised[-1].id


def test_an_output_that_cannot_be_is_refused_and_the_old_ones_go_on(plant, new):
    source, told = GivenSource([], ends=False), Broker()
    with Running(plant, source) as running:
        change(running, lambda old: replace(old, own={1: told}))
        bad = CommandOutput("/no/such/program")
        [line] = change(running, lambda old: replace(old, own={2: bad}))
        assert "the old one goes on" in line
        assert "no such program" in line
        source.put(incoming(new[0]))
        running.until(lambda: told.told)


def test_one_that_cannot_begin_changes_nothing(plant, new):
    class Taken(Broker):
        name = "metrics"

        def start(self):
            raise SettingError("address 127.0.0.1:9600: in use; take another port")

    source, told = GivenSource([], ends=False), Broker()
    with Running(plant, source) as running:
        change(running, lambda old: replace(old, own={2: told}))
        [line] = change(running, lambda old: replace(old, own={1: Taken()}))
        assert "the old one goes on: address 127.0.0.1:9600: in use" in line
        source.put(incoming(new[0]))
        running.until(lambda: told.told)


def test_all_mistakes_of_a_file_are_told(plant):
    def bad(_):
        raise several([FormatError(f"plant.toml:{n}: wrong") for n in (3, 7)], "2 mistakes")

    with Running(plant, GivenSource([], ends=False)) as running:
        running.watch.change(bad)
        running.until(lambda: len(running.log.of("reload")) == 3)
        first, *faults = running.log.of("reload")
    assert "the old one goes on: 2 mistakes" in first
    assert faults == ["fault: plant.toml:3: wrong", "fault: plant.toml:7: wrong"]


def test_a_source_that_cannot_begin_changes_nothing(plant, new):
    class Missing(GivenSource):
        def start(self, put):
            raise SettingError("/data/yard: cannot be watched; name a folder that is there")

    source = GivenSource([], ends=False)
    with Running(plant, source) as running:
        both = {"hall": source, "yard": Missing(name="yard")}
        [line] = change(running, lambda old: replace(old, sources=both))
        assert "the old one goes on: /data/yard" in line
        assert running.watch.now.sources == {"hall": ""}
        source.put(incoming(new[0]))
        running.until(lambda: running.listener.observations)


def test_what_waits_of_a_source_that_was_taken_out_ends_nothing(plant, new):
    class Slow(GivenSource):
        def close(self):  # it says something more while it is closed
            self.items[0](incoming(new[1]))

    yard = Slow(name="yard", ends=False)
    source = GivenSource([], ends=False)
    with Running(plant, source) as running:
        change(running, lambda old: replace(old, sources={"hall": source, "yard": yard}))
        yard.items = [yard.put]
        change(running, lambda old: replace(old, sources={"hall": source}))
        # And what lay in the queue already.
        running.watch._intake.put(replace(incoming(new[2]), source="yard"))
        source.put(incoming(new[0]))
        running.until(lambda: running.listener.observations)
    assert [o.name[-5:] for o in running.listener.observations] == ["0.wav"]
    assert len(running.log.of("left")) == 1


def test_a_machine_that_is_taken_out_while_its_hour_is_heard_ends_nothing(plant, tmp_path):
    long = write(tmp_path / "long.wav", np.concatenate([sound(i) for i in range(4)], axis=1))
    running = Running(plant, GivenSource([incoming(long)], ends=False))
    told = running.listener.tell

    def tell(bulletin):
        told(bulletin)
        if len(running.listener.observations) == 2:
            running.watch.change(lambda old: replace(old, posts=Posts(old.plant, [])))
            running.watch._next = 0.0  # the next look comes at once

    running.listener.tell = tell
    with running:
        running.until(lambda: running.log.of("reload"))
    assert len(running.listener.observations) == 2
    assert not running.log.of("fault")


def test_a_machine_of_which_nothing_changed_is_shown_as_before(plant, new):
    source = GivenSource([incoming(p) for p in new], ends=False)
    with Running(plant, source) as running:
        running.until(lambda: len(running.listener.observations) == 5)
        before = running.watch.now.machines
        other = replace(plant, machines=(replace(plant.machines[0], alarm={"gate": -70.0}),))
        for wanted in (plant, other):
            change(running, lambda old, to=wanted: replace(
                reequip(to, old, lambda: running.watch.now), sources=old.sources))  # fmt: skip
            assert running.watch.now.machines == before
            assert running.listener.bulletins[-1].machine == before["pump", "00"]


def test_another_history_is_refused_without_its_password(plant):
    secret = replace(plant, history=HistorySettings("postgresql://kim:geheim@127.0.0.1/plant"))
    with Running(plant, GivenSource([], ends=False)) as running:
        [line] = change(running, lambda old: reequip(secret, old, lambda: running.watch.now))
    assert "postgresql://kim:***@127.0.0.1/plant" in line
    assert "geheim" not in line
