"""A page's desk over a small history that a watch has written, for tests that ask the API."""

from dataclasses import replace

from starlette.testclient import TestClient

from heard_clips import write_history
from nearfar.page.app import make_app
from nearfar.page.desk import Desk
from nearfar.page.guard import visitor
from nearfar.page.guard.visitor import Visitor
from nearfar.page.refusal import Refusal
from nearfar.service.history.store import HistoryStore
from nearfar.service.holding import DetectorHold
from nearfar.service.incoming import now
from nearfar.service.news import WatchNow
from nearfar.service.plant import HistorySettings, PageSettings, SourceSettings
from plants import by_hand
from watches import GivenSource, detector_in, incoming, plant_of, watched, write_new

PUMP = "/api/machines/pump"


def client_of(app):
    """Who asks as the page does."""
    return TestClient(app, "http://127.0.0.1:8080", headers={"X-Nearfar": "1"})


class Behind:
    """A backend without a watch."""

    watches = busy = False

    def __init__(self, plant):
        self.plant, self.store = plant, HistoryStore.open(plant.history.place)
        self.holds = {key: DetectorHold(one, keys) for one, keys in plant.detectors.items()
                      for key in keys}  # fmt: skip
        self.now = WatchNow(now(), ready=True)
        self.renewals = 0

    def renewed(self):
        self.renewals += 1
        for hold in self.holds.values():
            hold._next = 0.0
            hold.refresh()


class AskedDesk(Desk):
    """A desk with what is behind it, and a client that asks it."""

    def __init__(self, plant):
        super().__init__(PageSettings("127.0.0.1:0"))
        self.behind = Behind(plant)
        self.attach(self.behind)
        self.sent = []
        passed = self.hub.send
        self.hub.send = lambda message: (self.sent.append(message), passed(message))
        self.app = make_app(self)
        self.client = client_of(self.app)

    def ask(self, method, path, body=None, status=200):
        reply = self.client.request(method, path, json=body)
        assert reply.status_code == status, reply.text
        return reply.json()

    def close(self):
        super().close()
        self.behind.store.close()

    def digest(self, name):
        (found,) = [o for o in self.store.observations() if o.name.endswith(f"/{name}")]
        return found.digest

    def clip(self, name):
        return f"{PUMP}/clips/{self.digest(name)}"


def heard_by_a_watch(folder, *, normal=2, odd=2, **history):
    """A plant in a folder whose watch has heard a few clips: its settings."""
    detector = detector_in(folder)
    place = folder / "hall"
    names = [(f"n{i}.wav", i, {}) for i in range(normal)]
    names += [(f"odd{i}.wav", 50 + i, {"anomaly": True}) for i in range(odd)]
    files = [write_new(place, name, seed, **kind) for name, seed, kind in names]
    kept = HistorySettings(str(folder / "plant.db"), **history)
    plant = plant_of(detector, history=kept, source=SourceSettings("hall", "folder", str(place)))
    watched(plant, GivenSource([incoming(file) for file in files]))
    return plant


def as_reader(desk):
    """From now on whoever asks may only look."""
    desk.app.dependency_overrides[visitor.visitor] = lambda: Visitor("reader", "127.0.0.1")

    def refuse():
        raise Refusal(403, "you may look and not change; sign in with the operators' token")

    desk.app.dependency_overrides[visitor.operator] = refuse


class StoreAlone:
    """A backend that is a history and no more."""

    watches = busy = False

    def __init__(self, place):
        self.store = HistoryStore.open(str(place))


class AlarmsDesk(Desk):
    """A desk over a history with two alarms, 1 and 2, and a client that asks it."""

    def __init__(self, folder):
        super().__init__(PageSettings("127.0.0.1:0"))
        self.attach(StoreAlone(write_history(folder / "plant.db")))
        self.app = make_app(self)
        self.client = client_of(self.app)

    def say(self, path, body, status=200):
        """What a person says of an alarm: the alarm then, or why not."""
        reply = self.client.post(f"/api/alarms/{path}", json=body)
        assert reply.status_code == status, reply.text
        return reply.json().get("alarm") or reply.json()["error"]

    def close(self):
        self.store.close()
        super().close()


def judging_desk(folder, rate=None):
    """A desk over a detector made in an instant, which nobody has asked anything yet.

    Args:
        folder: for it.
        rate: of false alarms that the plant asks for.
    """
    by_hand().save(folder / "det")
    plant = plant_of(folder / "det", history=HistorySettings(str(folder / "plant.db")))
    (machine,) = plant.machines
    machine = replace(machine, detector=replace(machine.detector, false_alarm_rate=rate))
    return AskedDesk(replace(plant, machines=(machine,)))
