"""What a commit costs is measured on the clips themselves."""

from made_history import change, seen
from nearfar.service.history.cost import commit_cost
from nearfar.service.history.store import HistoryStore


def test_every_change_is_kept_and_its_time_is_told(tmp_path):
    store = HistoryStore.open(str(tmp_path / "plant.db"), watching=True)
    cost = commit_cost(store, [change(i) for i in range(50)])
    assert list(store.observations()) == [seen(i) for i in range(50)]
    assert cost.cpu > 0
    assert cost.elapsed > 0
    assert str(cost).startswith(f"{1000 * cost.elapsed:.2f} ms a clip")
    store.close()
