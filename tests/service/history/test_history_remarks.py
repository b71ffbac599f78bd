"""What people called clips stays, and who changed what is kept before it is changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from made_history import SECOND, START, seen
from nearfar.service.history.changes import AuditRow, Change, ClipLabel
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401

ODD = "line\nbreak \udcff NUL\0 ␛0041 機 'quoted' %s"


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.slow)])
def store(request):
    server = request.param == "server"
    where = request.getfixturevalue("postgres").database() if server else ""
    made = HistoryStore.open(where, watching=True)
    yield made
    made.close()


def label(i, word="fault", **given):
    clip = seen(i)
    return ClipLabel(0, *clip.key, clip.digest, word, START + i * SECOND, **given)


def test_a_label_comes_back_as_it_was_given(store):
    given = replace(label(1, "normal", who=ODD, note=ODD, learnt=True, name=ODD), machine=ODD)
    number = store.label(given)
    assert store.labels() == [replace(given, id=number)]
    assert store.label_of(ODD, "00", given.digest) == replace(given, id=number)
    assert store.label_of("fan", "00", given.digest) is None


def test_of_a_clip_one_label_stands_and_the_others_are_remembered(store):
    first, second = store.label(label(1)), store.label(replace(label(1, "normal"), who="kim"))
    assert second > first
    assert [one.id for one in store.labels()] == [second]
    both = store.labels(undone=True)
    assert [(one.id, one.undone, one.undone_by) for one in both] == [
        (first, START + SECOND, "kim"), (second, None, ""),
    ]  # fmt: skip


def test_what_is_undone_stands_no_more(store):
    store.label(label(1))
    clip = seen(1)
    undone = store.unlabel(*clip.key, clip.digest, "kim", START)
    assert (undone.undone, undone.undone_by) == (START, "kim")
    assert store.labels() == []
    assert store.labels(undone=True) == [undone]
    assert store.unlabel(*clip.key, clip.digest, "kim", START) is None
    assert store.unlabel("never heard", "00", clip.digest, "kim", START) is None
    assert store.machines() == [clip.key]


def test_labels_are_asked_for_by_machine_kind_and_clip(store):
    numbers = [store.label(label(i, ("fault", "normal")[i % 2])) for i in range(6)]
    digests = [seen(i).digest for i in (1, 4)] + [f"{i:064x}" for i in range(1200)]
    assert [one.id for one in store.labels(digests=digests)] == [numbers[1], numbers[4]]
    assert store.labels(digests=[]) == []
    assert [one.id for one in store.labels(label="normal")] == numbers[1::2]
    assert [one.id for one in store.labels("machine02", "00")] == [numbers[2]]
    assert store.labels("machine02", "01") == []


def test_pruning_leaves_labels_and_the_audit(store):
    clip = seen(1)
    store.keep(Change(clip))
    store.label(label(1))
    store.audit_begin(AuditRow(0, START, "kim", "operator", "::1", "fault", clip.name))
    assert store.prune(timedelta(), at=clip.arrived + timedelta(days=999)) == 1
    assert store.row(*clip.key, clip.digest) is None
    assert store.label_of(*clip.key, clip.digest).label == "fault"
    assert len(store.audit()) == 1


def test_the_audit_is_read_newest_first_page_by_page(store):
    rows = [AuditRow(0, START, ODD, "operator", ODD, "shelve", f"{ODD} {i}") for i in range(5)]
    numbers = [store.audit_begin(row) for row in rows]
    assert numbers == sorted(set(numbers))
    kept = [replace(row, id=n) for n, row in zip(numbers, rows, strict=True)]
    assert store.audit() == kept[::-1]
    assert store.audit(2) == kept[:2:-1]
    assert store.audit(2, before=numbers[3]) == kept[2:0:-1]
    assert store.audit(9, before=numbers[0]) == []


def test_an_outcome_is_written_once(store):
    number = store.audit_begin(AuditRow(0, START, "", "reader", "::1", "shelve", "alarm 3"))
    assert store.audit()[0].outcome == ""
    store.audit_end(number, "refused: alarm 3 is closed")
    store.audit_end(number, "done")
    assert store.audit()[0].outcome == "refused: alarm 3 is closed"
