"""The stream of events over a real connection: what was missed, what happens, and its end."""

import http.client
import json
import time

import pytest

from conftest import PATIENCE
from desks import AskedDesk
from made_history import alarm, event
from nearfar.page.hub import MOST, Message
from nearfar.page.routes import events_api
from nearfar.page.serving import PageOutput
from nearfar.service.history.changes import Change
from nearfar.service.plant import HistorySettings, PageSettings
from page_server import TOKEN, served, token_file
from plants import by_hand
from watches import plant_of


class StreamReader:
    """Somebody who listens."""

    def __init__(self, url, last=None):
        host = url.split("/")[2]
        self._there = http.client.HTTPConnection(host, timeout=PATIENCE)
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        self._there.request("GET", "/api/events", headers=headers)
        self.reply = self._there.getresponse()

    def next(self):
        """(event, id, data) of the next message; None at the end."""
        said = {}
        while True:
            line = self.reply.readline().decode()
            if not line:
                return None
            if line == "\n" and "event" in said:
                return said["event"], said.get("id"), json.loads(said["data"])
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                said[name] = value

    def close(self):
        self.reply.close()
        self._there.close()


@pytest.fixture
def desk(tmp_path):
    """A page of a fan and a pump, whose history has five events."""
    by_hand().save(tmp_path / "det")
    plant = plant_of(tmp_path / "det", history=HistorySettings(str(tmp_path / "plant.db")))
    made = AskedDesk(plant)
    made.store.keep(Change(None, alarms=(alarm(1),), events=tuple(map(event, range(1, 6)))))
    made.output = PageOutput(made)
    made.output.start()
    made.readers = []
    yield made
    for reader in made.readers:
        reader.close()
    made.output.close()
    made.behind.store.close()


def listen(desk, last=None):
    """Once what is there has been told."""
    desk.readers.append(StreamReader(desk.output.url, last))
    return desk.readers[-1]


def test_what_happens_is_told_and_nothing_that_a_page_has_asked_for_already(desk):
    reader = listen(desk)
    assert reader.reply.headers["Content-Type"].startswith("text/event-stream")
    # Its number is there at once: who comes again has missed nothing.
    assert [reader.reply.readline() for _ in range(3)] == [b"id: 5\n", b": listening\n", b"\n"]
    desk.hub.send(Message("label", '{"label": "fault"}'))
    desk.hub.send(Message("bulletin", '{"row": 7}', 6))
    assert reader.next() == ("label", None, {"label": "fault"})
    assert reader.next() == ("bulletin", "6", {"row": 7})


@pytest.mark.parametrize(("last", "missed"), [(3, [4, 5]), (5, []), (0, [1, 2, 3, 4, 5]),
                                              (10**30, [])])  # fmt: skip
def test_who_comes_again_is_told_how_all_is_and_what_was_missed(desk, last, missed):
    reader = listen(desk, last)
    name, number, data = reader.next()
    assert (name, number) == ("now", None if missed else "5")
    assert [one["machine"] for one in data["machines"]] == ["pump"]
    desk.hub.send(Message("label", "{}"))
    found = [reader.next() for _ in range(len(missed) + 1)]
    assert [one[0] for one in found] == ["event"] * len(missed) + ["label"]
    assert [int(one[1]) for one in found[:-1]] == missed
    assert all(one[2]["id"] == number for one, number in zip(found, missed, strict=False))


@pytest.mark.parametrize("last", ["x", "-1"])
def test_a_number_that_is_none_is_nobody_who_comes_again(desk, last):
    assert listen(desk, last).reply.readline() == b"id: 5\n"


def test_no_more_is_replayed_than_is_bounded(desk, monkeypatch):
    monkeypatch.setattr(events_api, "REPLAYED", 2)
    reader = listen(desk, 1)
    assert [reader.next()[1] for _ in range(3)] == [None, "4", "5"]


def test_it_ends_with_the_page(desk):
    readers = [listen(desk, 5) for _ in range(3)]
    for reader in readers:
        assert reader.next()[0] == "now"
    desk.hub.close()
    assert [reader.next() for reader in readers] == [None] * 3
    late = StreamReader(desk.output.url)
    assert late.reply.status == 503
    late.close()


@pytest.mark.slow
def test_twenty_listen_at_once_and_one_who_takes_nothing_holds_up_nobody(desk, monkeypatch):
    monkeypatch.setattr(events_api, "TAKEN", 1.0)
    slow = listen(desk)
    readers = [listen(desk, 5) for _ in range(20)]
    for reader in readers:
        assert reader.next()[0] == "now"
    page = "x" * 100_000  # more than the system keeps for one who does not read
    for n in range(MOST):
        desk.hub.send(Message("bulletin", json.dumps({"n": n, "page": page})))
        for reader in readers:  # each is told while the slow one is not
            assert reader.next()[2]["n"] == n
    until = time.monotonic() + PATIENCE
    while len(desk.hub._listeners) > 20 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(desk.hub._listeners) == 20
    assert slow.reply.status == 200


@pytest.mark.parametrize("way", ["bearer", "cookie", "signed out"])
def test_who_is_let_in_no_more_hears_no_more(tmp_path, monkeypatch, way):
    """A token that is revoked ends the streams that it opened, also where nothing happens."""
    monkeypatch.setattr(events_api, "LOOK", 0.05)
    path = token_file(tmp_path)
    with served(PageSettings("127.0.0.1:0", path)) as page:
        headers = {"Authorization": f"Bearer {TOKEN}"} if way == "bearer" else {}
        if not headers:
            page.post("/api/session", json={"token": TOKEN}).raise_for_status()
        with page.client.stream("GET", "/api/events", headers=headers) as reply:
            lines = reply.iter_lines()
            assert next(line for line in lines if line == ": still here")  # it goes on
            if way == "signed out":
                page.client.delete("/api/session").raise_for_status()
            else:
                path.write_text("another-horse-battery")
            assert all(line in ("", ": still here") for line in lines), "it ended"
