"""What `python -m bench serving` prints: medians of one run beside what is wanted of them."""

from datetime import timedelta
from itertools import pairwise

from bench import serving
from bench.page import parsed, printed
from bench.serving import FIRST, Served, Visit, grown, thicken, told

from nearfar.service.history.questions import Wanted
from nearfar.service.history.store import HistoryStore


def found():
    visits = [Visit(61_000, 0.6, 21), Visit(61_000, 0.5, 21), Visit(61_000, 5.0, 21)]
    return Served(
        visits, month=[0.050, 0.060, 0.9], dense=[0.4] * 3, loop=[0.010, 0.020, 0.9],
        uploads=[0.030] * 3, failed=2, alone=[0.040] * 20, beside=[0.070] * 19 + [0.300],
    )  # fmt: skip


def test_medians_stand_beside_what_is_wanted():
    page = told(found())
    assert "first screen is 61 kB in 21 requests" in page
    assert "drawn after 600 ms (median of 3" in page
    assert "10,000 clips of 1,000,000 rows | 60 | 150 |" in page
    assert "to its verdict | 30.0 | 46.0 |" in page  # 1.3 × 20 + 20
    assert "at once all the while | 70.0 | 80.0 |" in page
    assert "within 40 ms, with the uploads within 300 ms" in page
    assert "Of the uploads 2 were not answered" in page


def test_the_page_of_one_machine_has_it_as_it_was_printed():
    page = printed(parsed(f"- AMD: EPYC, 2 cores.\n\n{told(found())}"), "Printed by a test.")
    for line in told(found()).splitlines():
        assert line.startswith("|") or line in page


def test_a_fleet_has_clips_of_all_machines_evenly(tmp_path):
    grown(tmp_path / "plant.db", 5, 50, step=60.0)
    store = HistoryStore.open(str(tmp_path / "plant.db"))
    assert {key: sum(n.values()) for key, n in store.counts().items()} == {
        (f"m{m:02d}", "00"): 10 for m in range(5)
    }
    places = [row.at for row in store.rows(Wanted("m03"))]
    store.close()
    assert {b - a for a, b in pairwise(places)} == {60_000_000}


def test_a_month_of_one_machine_is_thickened(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "DENSE", 30)
    grown(tmp_path / "plant.db", 10, 10, step=60.0)
    thicken(tmp_path / "plant.db")
    store = HistoryStore.open(str(tmp_path / "plant.db"))
    course = store.course("m07", "00", FIRST, FIRST + timedelta(days=30), 100)
    store.close()
    assert len(course.at) == 30
