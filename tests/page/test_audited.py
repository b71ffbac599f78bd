"""No change without a row that was written before it, and an outcome after it."""

from types import SimpleNamespace

import pytest

from nearfar.errors import StorageError
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.page.refusal import Refusal
from nearfar.page.said.audited import audited
from nearfar.service.history.store import HistoryStore
from nearfar.service.plant import PageSettings

KIM = Visitor("operator", "192.0.2.7")


@pytest.fixture
def desk():
    made = Desk(PageSettings("127.0.0.1:0"))
    store = HistoryStore.open("")
    made.attach(SimpleNamespace(store=store))
    yield made
    store.close()
    made.close()


def test_the_row_is_there_before_the_change_and_its_outcome_after(desk):
    with audited(desk, KIM, "shelve", "alarm 3", "Kim"):
        [row] = desk.store.audit()
        assert (row.who, row.role, row.address) == ("Kim", "operator", "192.0.2.7")
        assert (row.verb, row.about, row.outcome) == ("shelve", "alarm 3", "")
    assert [row.outcome for row in desk.store.audit()] == ["done"]


def test_what_changed_nothing_may_say_so(desk):
    with audited(desk, KIM, "acknowledge", "alarm 3") as outcome:
        outcome.line = "done: was acknowledged already"
    assert [row.outcome for row in desk.store.audit()] == ["done: was acknowledged already"]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Refusal(422, "alarm 3 is closed"), "refused: alarm 3 is closed"),
        (
            ValueError("no such\naxis"),
            "refused: a fault of nearfar's own, ValueError: no such axis",
        ),
        (KeyboardInterrupt(), "refused: ended while it was done"),
    ],
)
def test_what_is_refused_says_why_and_is_raised_on(desk, fault, outcome):
    with pytest.raises(type(fault)) as raised, audited(desk, KIM, "shelve", "alarm 3"):
        raise fault
    assert raised.value is fault
    assert [row.outcome for row in desk.store.audit()] == [outcome]


def test_without_its_row_nothing_is_changed(desk):
    desk.store.close()
    done = []
    with pytest.raises(StorageError), audited(desk, KIM, "shelve", "alarm 3"):
        done.append(1)
    assert done == []


def test_an_outcome_that_cannot_be_written_makes_no_failure_of_a_change_that_was_done(desk):
    with audited(desk, KIM, "shelve", "alarm 3"):
        desk.store.close()


def refused_and_closed(desk):
    with audited(desk, KIM, "shelve", "alarm 3"):
        desk.store.close()
        raise Refusal(404, "no alarm 3")


def test_nor_does_it_hide_the_first_fault(desk):
    with pytest.raises(Refusal, match="no alarm 3"):
        refused_and_closed(desk)
