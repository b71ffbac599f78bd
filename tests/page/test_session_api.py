"""Signing in: a cookie that scripts do not see and other sites do not send."""

from http.cookies import SimpleCookie
from types import SimpleNamespace

import pytest

from nearfar.service.history.store import HistoryStore
from nearfar.service.plant import PageSettings
from page_server import READERS, TOKEN, served, token_file


@pytest.fixture
def files(tmp_path):
    return token_file(tmp_path), token_file(tmp_path, READERS, "readers")


@pytest.fixture
def page(files):
    with served(PageSettings("127.0.0.1:0", *files)) as made:
        yield made


def test_who_has_signed_in_is_known_until_they_sign_out(page):
    assert page.ask("POST", "/api/session", json={"token": TOKEN})[1]["role"] == "operator"
    assert page.ask("GET", "/api/look")[1]["role"] == "operator"
    assert page.ask("PUT", "/api/change")[0] == 200
    cookies = dict(page.client.cookies)
    assert page.ask("DELETE", "/api/session")[1]["role"] is None
    assert page.ask("GET", "/api/look")[0] == 401
    page.client.cookies.update(cookies)  # who kept it has nothing
    assert page.ask("GET", "/api/look")[0] == 401


def test_readers_sign_in_and_out_and_change_nothing(page):
    assert page.ask("POST", "/api/session", json={"token": READERS})[1]["role"] == "reader"
    assert page.ask("GET", "/api/look")[1]["role"] == "reader"
    assert page.ask("PUT", "/api/change")[0] == 403
    assert page.ask("DELETE", "/api/session")[0] == 200


def test_the_cookie_is_for_our_page_alone(page):
    reply = page.post("/api/session", json={"token": TOKEN})
    jar = SimpleCookie(reply.headers["Set-Cookie"])
    assert list(jar) == [f"nearfar_{page.port}"]
    cookie = jar[f"nearfar_{page.port}"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert not cookie["secure"]
    assert not cookie["domain"]
    assert int(cookie["max-age"]) == 30 * 86400
    assert TOKEN not in str(reply.headers) + reply.text


def test_behind_a_proxy_with_https_it_goes_no_other_way(files):
    with served(PageSettings("127.0.0.1:0", *files, proxy="HTTPS://plant.example")) as page:
        said = {"Host": "plant.example", "Origin": "https://plant.example"}
        reply = page.post("/api/session", json={"token": TOKEN}, headers=said)
        assert "; Secure" in reply.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "guessed", TOKEN + " ", TOKEN.upper(), "ä", "x" * 1024])
def test_a_wrong_token_signs_nobody_in(page, token):
    reply = page.post("/api/session", json={"token": token})
    assert reply.status_code == 401
    assert "Set-Cookie" not in reply.headers
    assert not token or token not in reply.text


@pytest.mark.parametrize("body", [{}, {"token": None}, {"token": 7}, {"token": ["a"]}, [],
                                  {"token": "x" * 1025}, {"tok": TOKEN}])  # fmt: skip
def test_what_is_no_token_is_told_by_its_shape(page, body):
    line = page.refused(422, "POST", "/api/session", json=body)
    assert "xxx" not in line
    assert TOKEN not in line


def test_other_sites_sign_nobody_in_or_out(page):
    for method in ("POST", "DELETE"):
        evil = {"Origin": "http://evil.example"}
        page.refused(403, method, "/api/session", json={"token": TOKEN}, headers=evil)


def test_a_cookie_of_another_page_of_this_computer_is_none(page):
    page.post("/api/session", json={"token": TOKEN})
    (value,) = page.client.cookies.values()
    page.client.cookies.clear()
    assert page.ask("GET", "/api/look", headers={"Cookie": f"nearfar_1={value}"})[0] == 401
    both = {"Cookie": f"nearfar_1=x; nearfar_{page.port}={value}"}
    assert page.ask("GET", "/api/look", headers=both)[0] == 200


def test_who_signs_in_and_out_is_in_the_audit_without_the_token(page):
    store = HistoryStore.open("")
    page.output.desk.attach(SimpleNamespace(store=store, busy=False))
    page.ask("POST", "/api/session", json={"token": "guessed-and-wrong"})
    page.ask("POST", "/api/session", json={"token": READERS})
    page.ask("DELETE", "/api/session")
    page.ask("DELETE", "/api/session")  # is out already
    rows = store.audit()
    assert [(r.verb, r.role, r.address, r.outcome) for r in rows] == [
        ("sign out", "reader", "127.0.0.1", "done"), ("sign in", "reader", "127.0.0.1", "done"),
    ]  # fmt: skip
    assert READERS not in str(rows)
    store.close()  # a history that takes nothing keeps nobody out
    assert page.ask("POST", "/api/session", json={"token": TOKEN})[0] == 200


def test_where_no_token_is_needed_nothing_is_signed():
    with served() as page:
        reply = page.post("/api/session", json={"token": "whatever"})
        assert reply.json()["role"] == "operator"
        assert "Set-Cookie" not in reply.headers
        assert page.ask("DELETE", "/api/session")[1]["role"] == "operator"
