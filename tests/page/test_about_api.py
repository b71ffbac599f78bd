"""What the page says of itself: to all that it is there, and the rest to who may know."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from nearfar.service.news import OutputHealth, WatchNow
from nearfar.service.plant import HistorySettings, PageSettings
from nearfar.version import __version__
from page_server import READERS, TOKEN, served, token_file


@pytest.fixture
def watch():
    """As far as it is told of: a real one is asked by other tests."""
    now = WatchNow(datetime.now(UTC), ready=True, machines={("pump", "00"): None},
                   sources={"hall": ""}, outputs=(OutputHealth("mqtt", up=False),))  # fmt: skip
    plant = SimpleNamespace(history=HistorySettings("plant.db"))
    return SimpleNamespace(watches=True, now=now, plant=plant, busy=False)


def test_who_has_no_token_learns_only_that_one_is_needed(tmp_path, watch):
    files = token_file(tmp_path), token_file(tmp_path, READERS, "readers")
    with served(PageSettings("127.0.0.1:0", *files), watch) as page:
        told = page.ask("GET", "/api/about")[1]
        assert told == {"schema": 1, "version": __version__, "needs_token": True, "role": None}
        for token, role in ((TOKEN, "operator"), (READERS, "reader")):
            said = {"Authorization": f"Bearer {token}"}
            told = page.ask("GET", "/api/about", headers=said)[1]
            assert told["role"] == role
            assert "watch" in told
        assert page.ask("GET", "/api/about", headers={"Authorization": "Bearer no"})[0] == 401


def test_probes_say_nothing_of_machines(tmp_path, watch):
    with served(PageSettings("127.0.0.1:0", token_file(tmp_path)), watch) as page:
        assert page.ask("GET", "/healthz") == (200, {"schema": 1, "alive": True})
        assert page.ask("GET", "/readyz") == (200, {"schema": 1, "ready": True})
        assert page.client.head("/healthz").status_code == 200


def test_of_a_watch_it_is_told_how_it_is(watch):
    with served(backend=watch) as page:
        told = page.ask("GET", "/api/about")[1]
    assert (told["watches"], told["ready"], told["can_setup"]) == (True, True, False)
    assert (told["history"], told["keeps_sound"]) == (True, False)
    assert told["upload_limit"] == 200_000_000
    assert told["watch"]["ready"] is True
    assert told["watch"]["queued"] == 0
    assert told["watch"]["sources"] == {"hall": ""}
    assert told["watch"]["outputs"][0]["name"] == "mqtt"
    assert "pump" not in str(told)


def test_before_there_is_a_detector():
    with served() as page:
        told = page.ask("GET", "/api/about")[1]
        assert (told["ready"], told["watch"], told["can_setup"]) == (False, None, True)
        page.refused(503, "GET", "/readyz", "not ready")
