"""The application as a whole: its description, and both names of its paths."""

import pytest

from nearfar.page import app
from nearfar.page.app import make_app
from nearfar.page.desk import Desk
from nearfar.service.plant import PageSettings
from page_server import served


@pytest.fixture(scope="module")
def page():
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def described():
    desk = Desk(PageSettings(":0"))
    yield make_app(desk).openapi()
    desk.close()


def test_all_that_is_described_is_under_api_and_says_what_it_does(described):
    for path, verbs in described["paths"].items():
        assert path.startswith("/api/")
        assert not path.startswith("/api/v1")
        for verb, told in verbs.items():
            assert told["description"].strip(), (verb, path)
            assert told["tags"], (verb, path)
            assert {"401", "429", "503"} <= set(told["responses"]), (verb, path)


def test_the_description_is_served_and_its_pages_are_not(page):
    assert page.ask("GET", "/api/openapi.json")[1]["info"]["title"] == "nearfar"
    for path in ("/docs", "/redoc", "/openapi.json"):  # they would load scripts from elsewhere
        page.refused(404, "GET", path)


def test_each_path_has_its_number_too(page):
    for path in ("/about", "/look", "/nothing"):
        first, second = (page.get(f"/api{v}{path}") for v in ("", "/v1"))
        assert first.status_code == second.status_code
        assert first.status_code == 404 or first.json() == second.json()


def test_the_first_page_is_a_page(page):
    reply = page.get("/")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.text.startswith("<!doctype html>")
    assert page.client.head("/").status_code == 200
    assert page.get("/", headers={"If-None-Match": reply.headers["ETag"]}).status_code in (200, 304)


def test_a_path_is_what_it_is(page):
    """A path that is nearly another would pass a gate that goes by paths."""
    for path in ("/api/look/", "/api//look", "/api/%2e/look", "/API/look", "/api/look%2f"):
        assert page.client.request("GET", path, follow_redirects=False).status_code == 404, path


def test_no_file_of_ours_loads_from_elsewhere():
    for file in app.STATIC.rglob("*"):
        if file.suffix in (".html", ".css", ".js"):
            text = file.read_text("utf-8").replace("http://www.w3.org/", "")
            assert "http://" not in text, file
            assert "https://" not in text, file
