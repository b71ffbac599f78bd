"""The audit, page by page."""

import pytest

from desks import AlarmsDesk


@pytest.fixture
def desk(tmp_path):
    made = AlarmsDesk(tmp_path)
    yield made
    made.close()


def test_the_audit_is_read_page_by_page(desk):
    for n in range(5):
        desk.say("1/note", {"note": str(n)})
    first = desk.client.get("/api/audit?limit=3").json()
    rest = desk.client.get(f"/api/audit?limit=3&before={first['next']}").json()
    ids = [row["id"] for row in first["rows"] + rest["rows"]]
    assert (ids, rest["next"]) == (sorted(ids, reverse=True), None)
    assert len(ids) == 5
    for bad in ("limit=0", "limit=501", "before=-1", "before=x", f"before={10**30}"):
        assert desk.client.get(f"/api/audit?{bad}").status_code == 422
