"""Who looks is told the last state; what people did is in the log at once."""

import json
import threading

from nearfar.errors import StorageError
from nearfar.page.guard.visitor import Visitor
from nearfar.page.hub import Hub
from nearfar.page.setup.setup_news import DEEDS, SetupNews
from nearfar.service.history.store import HistoryStore
from setups import wait_for

ADA = Visitor("operator", "10.0.0.7")


class Kept(Hub):
    def __init__(self):
        super().__init__()
        self.sent = []

    def send(self, message):
        self.sent.append(message)


def news_of(state, log):
    hub = Kept()

    def tell(event, message, level="info", **facts):
        log.append((level, message))

    return hub, SetupNews(hub, state, tell)


def test_the_last_state_is_told_however_many_came_before():
    now = {"n": 0}
    hub, news = news_of(lambda: dict(now), [])
    for i in range(1000):
        now["n"] = i
        news.changed()
    wait_for(lambda: hub.sent and json.loads(hub.sent[-1].data)["n"] == 999)
    assert len(hub.sent) <= 3
    assert {m.event for m in hub.sent} == {"setup"}
    news.close()


def test_who_changes_something_may_hold_what_the_state_needs():
    lock = threading.Lock()

    def state():
        with lock:
            return {"stage": "none"}

    hub, news = news_of(state, [])
    with lock:
        news.changed()
    wait_for(lambda: hub.sent)
    news.close()


def test_closed_it_tells_nothing():
    hub, news = news_of(dict, [])
    news.close()
    news.changed()
    assert news._later is None
    assert hub.sent == []


def test_deeds_are_in_the_log_at_once_and_kept_for_the_history():
    log = []
    _, news = news_of(dict, log)
    news.deed(ADA, "fit", "pump\n7", "Ada", "done")
    news.deed(ADA, "remove", "recordings", "", "refused: a detector is being fitted")
    assert log == [
        ("info", "Ada at 10.0.0.7: fit pump\\n7: done"),
        ("warning", "operator at 10.0.0.7: remove recordings: refused: a detector is being fitted"),
    ]
    assert [(d.who, d.verb, d.role, d.address) for d in news.deeds] == [
        ("Ada", "fit", "operator", "10.0.0.7"), ("", "remove", "operator", "10.0.0.7"),
    ]  # fmt: skip
    assert all(deed.at.tzinfo is not None for deed in news.deeds)


def test_a_thousand_deeds_are_remembered_and_no_more():
    _, news = news_of(dict, [])
    for i in range(DEEDS + 5):
        news.deed(ADA, "send", str(i), "x" * 500, "done")
    assert (len(news.deeds), news.deeds[-1].about) == (DEEDS, str(DEEDS + 4))
    assert len(news.deeds[-1].who) == 80


def test_the_first_history_has_what_was_done_before_it_in_its_order_and_once():
    _, news = news_of(dict, log := [])
    for i in range(3):
        news.deed(ADA, "send", f"{i} recordings", "Ada", "done")
    store = HistoryStore.open("")
    news.hand_over(store)
    news.hand_over(store)
    news.deed(ADA, "fit", "pump", "Ada", "refused: there is a detector already")
    wait_for(lambda: len(store.audit()) == 4)
    rows = store.audit()[::-1]
    assert [(row.verb, row.about, row.outcome.partition(":")[0]) for row in rows] == [
        *(("send", f"{i} recordings", "done") for i in range(3)), ("fit", "pump", "refused"),
    ]  # fmt: skip
    assert {(row.who, row.role, row.address) for row in rows} == {("Ada", "operator", "10.0.0.7")}
    assert sorted(row.at for row in rows) == [row.at for row in rows]
    assert len(log) == 4
    store.close()


def test_what_a_history_cannot_take_now_it_takes_later():
    _, news = news_of(dict, log := [])
    news.deed(ADA, "fit", "pump", "Ada", "done")
    store = HistoryStore.open("")
    working = store.audit_begin

    def locked(row):
        raise StorageError("plant.db: database is locked")

    store.audit_begin = locked
    news.hand_over(store)
    assert log[-1] == ("warning", "not in the audit yet: plant.db: database is locked")
    store.audit_begin = working
    news.hand_over()
    assert [row.verb for row in store.audit()] == ["fit"]
    store.close()
