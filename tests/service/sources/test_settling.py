"""Which file is complete now: laws over all that writers may do to files."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.service.incoming import Stamp
from nearfar.service.sources.settling import Settling

SETTLE, PATIENCE = 2.0, 60.0
NAMES = ("a.wav", "b.wav", "c.wav")


class Disk:
    """Files, what their writers know of them, and a clock."""

    def __init__(self):
        self.files, self.now, self.changed, self.whole = {}, 0.0, {}, {}
        self.settling = Settling(SETTLE, PATIENCE, self.files.get, lambda p: self.whole[p])
        self.given, self.unfinished = [], []

    def write(self, path, whole=True):
        size = self.files[path].size if path in self.files else 0
        self.files[path] = Stamp(path, size + 100, round(self.now * 1e9))
        self.changed[path], self.whole[path] = self.now, whole

    def see(self, path, **how):
        if path in self.files:
            self.settling.see(self.files[path], self.now, **how)

    def step(self):
        for found in self.settling.step(self.now):
            (self.given if found.complete else self.unfinished).append((self.now, found.stamp))
            assert found.stamp == self.files[found.stamp.path]  # as it is, not as it was

    def wait(self, seconds):
        self.now += seconds
        self.step()

    @property
    def paths(self):
        return [stamp.path for _, stamp in self.given]


acts = st.tuples(
    st.sampled_from(("write", "write half", "close", "move", "list", "delete", "wait")),
    st.sampled_from(NAMES),
    st.floats(0.01, 5.0),
)


def played(script):
    disk, closed = Disk(), {}
    for act, path, seconds in script:
        if act.startswith("write"):
            disk.write(path, whole=act == "write")
            disk.see(path)
        elif act in ("close", "move"):
            disk.see(path, **{{"close": "closed", "move": "moved"}[act]: True})
            closed[path] = disk.files.get(path)
        elif act == "list":
            for name in NAMES:
                disk.see(name)
        elif act == "delete":
            disk.files.pop(path, None)
        else:
            disk.wait(seconds)
        before = len(disk.given)
        disk.step()
        for at, stamp in disk.given[before:]:
            # Never before it is complete: closed as it is, or long enough as it is.
            lain = at - disk.changed[stamp.path]
            assert closed.get(stamp.path) == stamp or lain >= SETTLE - 1e-9
    return disk


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(acts, max_size=40))
def test_no_file_is_given_twice_nor_before_it_is_complete(script):
    disk = played(script)
    stamps = [stamp for _, stamp in disk.given]
    assert len(stamps) == len(set(stamps))


@settings(max_examples=60)
@given(st.lists(acts, max_size=40))
@pytest.mark.slow
def test_every_file_is_given_in_the_end(script):
    disk = played(script)
    for name in NAMES:
        disk.see(name)
    for _ in range(4):  # what is not whole has all the patience there is
        disk.wait(PATIENCE)
    assert {path for path in disk.files} <= set(disk.paths)
    assert all(disk.files[p] in [s for _, s in disk.given] for p in disk.files)


@given(st.permutations(list(NAMES)), st.sampled_from(["closed", "moved", None]))
def test_the_order_is_that_of_arrival(names, how):
    disk = Disk()
    for path in names:
        disk.write(path)
    for path in names:
        disk.see(path, **({how: True} if how else {}))
    disk.wait(0 if how else SETTLE)
    assert disk.paths == list(names)


@given(st.permutations(list(NAMES)), st.floats(0.0, 1.9), st.sampled_from([None, *NAMES]))
def test_what_was_there_at_the_start_comes_before_what_comes_later(names, later, closed):
    disk = Disk()
    for path in names:
        disk.write(path)
    for path in names:
        disk.see(path, first=True)
    for path in ("new 1.wav", "new 2.wav"):
        disk.wait(later / 2)
        disk.write(path)
        disk.see(path, moved=True)
        if closed:  # one that was there: it keeps its place
            disk.see(closed, closed=True)
        disk.step()
    disk.now = SETTLE
    disk.step()
    assert disk.paths == [*names, "new 1.wav", "new 2.wav"]
    disk.write("new 3.wav")
    disk.see("new 3.wav", moved=True)
    disk.step()  # later on nothing is held
    assert disk.paths[-1] == "new 3.wav"


def test_a_file_that_grows_from_the_start_on_holds_others_no_longer_than_settle():
    disk = Disk()
    for path in NAMES:
        disk.write(path)
        disk.see(path, first=True)
    disk.wait(1.0)
    disk.write("a.wav")
    disk.write("new.wav")
    disk.see("new.wav", moved=True)
    disk.now = SETTLE
    disk.step()
    assert disk.paths == ["b.wav", "c.wav", "new.wav"]
    disk.wait(SETTLE)
    assert disk.paths[-1] == "a.wav"


def test_a_file_that_grows_is_not_given_while_it_grows_and_told_of_once():
    disk = Disk()
    for _ in range(200):
        disk.write("a.wav")
        disk.see("a.wav")
        disk.wait(1.0)
    assert not disk.given
    (at, _), *more = disk.unfinished
    assert at >= PATIENCE
    assert not more
    disk.wait(PATIENCE)
    assert disk.paths == ["a.wav"]  # it ended after all


def test_a_growing_file_of_which_no_event_tells_is_looked_after():
    disk = Disk()
    disk.write("a.wav")
    disk.see("a.wav")
    for _ in range(6):
        disk.wait(1.5)
        disk.write("a.wav")
    disk.step()
    assert not disk.given


def test_an_empty_file_is_told_of_once_and_never_given():
    disk = Disk()
    disk.files["a.wav"] = Stamp("a.wav", 0, 1)
    disk.whole["a.wav"] = False
    for _ in range(10):
        disk.see("a.wav", closed=True)
        disk.wait(PATIENCE / 3)
    assert not disk.given
    assert len(disk.unfinished) == 1
    assert disk.settling.untold == 0  # whoever waits for an end need not wait for it


def test_half_a_file_waits_for_the_rest_and_is_given_as_it_is_if_that_never_comes():
    disk = Disk()
    disk.write("a.wav", whole=False)
    disk.see("a.wav", closed=True)
    disk.wait(PATIENCE / 2)
    disk.write("b.wav", whole=False)
    disk.see("b.wav")
    disk.wait(1.0)
    assert not disk.given
    disk.write("a.wav")  # the rest
    disk.see("a.wav", closed=True)
    disk.step()
    assert disk.paths == ["a.wav"]
    disk.wait(PATIENCE)
    disk.wait(PATIENCE)
    assert disk.paths == ["a.wav", "b.wav"]
    assert not disk.unfinished


def test_a_file_that_lay_there_for_long_is_not_waited_for():
    disk = Disk()
    disk.write("a.wav", whole=False)
    disk.see("a.wav", age=PATIENCE)
    disk.wait(SETTLE)
    assert disk.paths == ["a.wav"]


def test_a_file_opened_again_after_it_was_given_must_settle():
    disk = Disk()
    for _ in range(5):  # a writer that closes after every second of sound
        disk.write("a.wav")
        disk.see("a.wav", closed=True)
        disk.step()
        disk.now += 1.0
    first = len(disk.given)
    disk.wait(SETTLE)
    assert first == 1
    assert len(disk.given) == 2


def test_known_files_are_not_given_and_changed_ones_are():
    disk = Disk()
    disk.write("a.wav")
    disk.settling.skip(disk.files["a.wav"])
    disk.see("a.wav", closed=True)
    disk.wait(SETTLE)
    assert not disk.given
    disk.write("a.wav")
    disk.see("a.wav", closed=True)
    disk.step()
    assert disk.paths == ["a.wav"]


def test_a_file_that_vanishes_is_counted_and_nothing_else():
    disk = Disk()
    disk.write("a.wav")
    disk.see("a.wav", closed=True)
    del disk.files["a.wav"]
    disk.step()
    assert disk.settling.vanished == 1
    assert not disk.given
    assert not disk.settling.untold


def test_what_is_known_stays_so_while_it_is_listed_and_is_forgotten_when_long_gone():
    disk = Disk()
    for path in ("a.wav", "b.wav"):
        disk.write(path)
        disk.settling.skip(disk.files[path])
    for _ in range(60):
        disk.see("a.wav")
        disk.settling.listed()
    assert disk.settling.knows(disk.files["a.wav"])
    assert not disk.settling.knows(disk.files["b.wav"])
