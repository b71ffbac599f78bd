"""No other site acts in the name of who looks at ours; programs that are no browsers may."""

import pytest

from conftest import refused
from nearfar.page.guard.knock import Knock
from nearfar.page.guard.origins import Origins
from nearfar.page.refusal import Refusal
from nearfar.service.plant import PageSettings
from page_server import TOKEN, served, token_file

HERE = "127.0.0.1:8080"
OURS = {"origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}
JSON = {"content-type": "application/json", "content-length": "2"}
FORM = {"content-type": "multipart/form-data; boundary=x", "content-length": "2"}


def check(method="GET", path="/api/machines", host=HERE, settings=None, by_token=False, **headers):
    said = {name.replace("_", "-"): value for name, value in headers.items()} | {"host": host}
    origins = Origins(settings or PageSettings(HERE))
    return origins.check(Knock(method, path, said, port=8080), by_token)


def no(*asked, status=403, **headers):
    with pytest.raises(Refusal) as caught:
        check(*asked, **headers)
    assert caught.value.status == status


@pytest.mark.parametrize("host", [HERE, "localhost:8080", "LocalHost:8080", "[::1]:8080",
                                  "127.0.0.2:8080", "localhost.:8080"])  # fmt: skip
def test_names_of_this_computer_are_ours(host):
    check(host=host)


@pytest.mark.parametrize("host", ["evil.example:8080", "evil.example", "", "127.0.0.1",
                                  "127.0.0.1:8081", "127.0.0.1.evil.example:8080", ":8080",
                                  "localhost@evil.example:8080", "0.0.0.0:8080", "[::]:8080",
                                  "10.0.0.1:8080", "127.0.0.1:8080:8080", "127.0.0.1:٨٠٨٠",
                                  "localhost:8080/", "[::1:8080", "a" * 9000])  # fmt: skip
def test_other_names_that_lead_to_us_are_not(host):
    """DNS rebinding: a page of evil.example, whose name suddenly means 127.0.0.1."""
    no(host=host)


def test_the_proxys_name_is_ours_too(tmp_path):
    behind = PageSettings(HERE, proxy="https://plant.example")
    for host in ("plant.example", "Plant.Example", HERE):
        check(host=host, settings=behind)
    no(host="evil.example", settings=behind)
    check("PUT", host="plant.example", settings=behind, origin="https://plant.example", **JSON)
    no("PUT", host="plant.example", settings=behind, origin="http://evil.example", **JSON)


def test_a_page_with_tokens_is_known_by_any_name(tmp_path):
    kept = PageSettings("0.0.0.0:8080", token_file=token_file(tmp_path))
    check(host="plant.lan:8080", settings=kept)
    check("PUT", host="plant.lan:8080", settings=kept, origin="http://plant.lan:8080", **JSON)
    no("PUT", host="plant.lan:8080", settings=kept, origin="http://evil.example", **JSON)


def test_programs_do_what_their_users_type():
    check("POST", "/api/machines/pump7/score", **FORM)  # curl -F audio=@clip.wav
    check("POST", "/api/machines/a/b/score", **{**FORM, "content-type": "audio/wav"})
    check("POST", "/api/setup/recordings", **FORM)
    check("PUT", **JSON)
    check("DELETE")
    check("POST", "/api/alarms/1/unshelve")


def test_our_page_does_all():
    check("PUT", **OURS, **JSON)
    check("PUT", **OURS, **{**JSON, "content-type": "Application/JSON; charset=utf-8"})
    check("DELETE", **OURS, x_nearfar="1")
    check("POST", "/api/machines/pump/score", **OURS, **FORM, x_nearfar="1")
    check(**OURS)
    check(sec_fetch_site="none")


@pytest.mark.parametrize("said", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:3000"},
    {"origin": "https://127.0.0.1:8080"}, {"origin": "http://127.0.0.1"}, {"origin": "file://"},
    {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"sec_fetch_site": "?"},
    {**OURS, "sec_fetch_site": "cross-site", "sec-fetch-site": "cross-site"},
])  # fmt: skip
def test_another_site_does_nothing_and_sees_nothing(said):
    """Another port of this computer is another origin too."""
    no("PUT", x_nearfar="1", **(said | JSON))
    no("POST", "/api/machines/pump/score", x_nearfar="1", **(said | FORM))
    no("DELETE", **said)
    no("GET", **said)
    no("GET", "/api/events", **said)


def test_others_may_link_to_the_page_itself_alone():
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    check(path="/", **link, sec_fetch_dest="document")
    no(path="/", **link, sec_fetch_dest="iframe")
    no(path="/api/labelled.zip", **link, sec_fetch_dest="document")
    no(path="/", sec_fetch_site="cross-site", sec_fetch_mode="no-cors")
    no("POST", "/", **link)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "",
                                  "application/x-www-form-urlencoded"])  # fmt: skip
def test_what_a_form_could_send_needs_what_none_can(kind):
    body = {"content-type": kind, "content-length": "2"}
    no("POST", "/api/machines/pump/score", **OURS, **body)
    check("POST", "/api/machines/pump/score", **OURS, **body, x_nearfar="1")


@pytest.mark.parametrize("kind", ["text/plain", "", "multipart/form-data", "text/json",
                                  "application/json-patch+json"])  # fmt: skip
def test_changes_are_json(kind):
    no("PUT", status=415, **{**JSON, "content-type": kind})
    no("PUT", status=415, by_token=True, **{**JSON, "content-type": kind})
    no("PUT", status=415, content_type=kind, transfer_encoding="chunked")


def test_a_token_is_added_by_no_browser():
    """So whoever sends one means it, as a program of another origin's may."""
    check("PUT", by_token=True, origin="http://evil.example", **JSON)


def test_the_page_of_another_site_gets_no_leave_to_read():
    with served() as page:
        said = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
        reply = page.client.request("OPTIONS", "/api/change", headers=said)
        assert reply.status_code == 403
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_line_says_the_way_out():
    line = refused(lambda: check(host="evil.example"), "127.0.0.1:8080", error=Refusal)
    assert "token_file" in line
    assert TOKEN not in line
