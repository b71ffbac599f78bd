"""What a head says of who asks: nothing of it is believed twice."""

import pytest

from conftest import refused
from nearfar.page.guard.knock import ONCE, Knock, check_query
from nearfar.page.refusal import Refusal


def knock(*headers, method="GET", path="/", peer="127.0.0.1"):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Knock.of({
        "method": method, "path": path, "headers": raw, "query_string": b"",
        "client": (peer, 5), "server": ("127.0.0.1", 8080),
    })  # fmt: skip


@pytest.mark.parametrize("name", ONCE)
def test_what_is_there_once_is_not_there_twice(name):
    refused(lambda: knock((name, "1"), (name.title(), "1")), name, error=Refusal)


def test_cookies_are_found_by_name():
    seen = knock(("cookie", "a=1; nearfar_8080=x=y"), ("cookie", "nearfar_8081=z"))
    assert seen.cookie("nearfar_8080") == "x=y"
    assert seen.cookie("nearfar_8081") == "z"
    assert seen.cookie("nearfar") == seen.cookie("A") == ""


def test_only_the_last_word_of_a_proxy_here_is_believed():
    said = ("x-forwarded-for", "6.6.6.6, 10.1.2.3")
    assert knock(said).address(behind=True) == "10.1.2.3"
    assert knock(said, ("x-forwarded-for", "10.9.9.9")).address(behind=True) == "10.9.9.9"
    assert knock(said).address(behind=False) == "127.0.0.1"
    assert knock(said, peer="10.0.0.7").address(behind=True) == "10.0.0.7"
    for text in ("", ",", "unknown", "10.1.2.3:99", "<b>", "10.1.2.3,"):
        assert knock(("x-forwarded-for", text)).address(behind=True) == "127.0.0.1"


def test_sound_goes_to_few_places_and_by_post_alone():
    for path in ("/api/machines/a/score", "/api/v1/machines/a b/c/score", "/api/setup/recordings"):
        assert knock(method="POST", path=path).uploads
        assert not knock(method="PUT", path=path).uploads
    for path in ("/api/session", "/api/machines/a/score/", "/machines/a/score", "/api/machines",
                 "/x/api/machines/a/score", "/api/v2/machines/a/score"):  # fmt: skip
        assert not knock(method="POST", path=path).uploads


def test_a_body_is_announced():
    assert knock(("content-length", "5")).has_body
    assert knock(("transfer-encoding", "chunked")).has_body
    assert not knock(("content-length", "0")).has_body
    assert not knock().has_body


@pytest.mark.parametrize("query", [b"TOKEN", b"a=b&token", b"token=&x", b"access%5Ftoken=a",
                                   b"\xff=1&token=\xff"])  # fmt: skip
def test_a_token_in_an_address_is_seen(query):
    refused(lambda: check_query(query), "Bearer", error=Refusal)


def test_other_queries_are_none_of_its_business():
    for query in (b"", b"section=00", b"name=token", b"tokens=1", b"&&==", b"%", b"\xff\x00"):
        check_query(query)
