"""Fetching from a server of our own that does everything wrong that servers do."""

import hashlib
import json
import random
import socket
import sys
from email.utils import formatdate

import httpx
import pytest

from conftest import free_port, refused
from nearfar.clips.download import fetching
from nearfar.clips.download.fetching import MORE, TRIES, Server, server_url
from nearfar.clips.download.published import Archive
from nearfar.errors import FormatError, NetworkError, SettingError, StorageError
from record_server import RecordServer, small_files

KEY, NUMBER = "dev_fan.zip", 19336329
CONTENT = random.Random(0).randbytes(300_000)  # several pieces of a connection


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited, in no time."""
    found = []
    monkeypatch.setattr(fetching, "wait", found.append)
    return found


@pytest.fixture
def server():
    with RecordServer({"dev": {KEY: CONTENT}}) as running:
        yield running


def archive(server, content=CONTENT, **changes):
    made = {
        "key": KEY, "machine": "fan", "split": "dev", "size": len(content),
        "md5": hashlib.md5(content).hexdigest(),
        "url": f"{server.url}/api/records/{NUMBER}/files/{KEY}/content",
    }  # fmt: skip
    return Archive(**{**made, **changes})


def fetch(server, place, moved=lambda there: None, **changes):
    said = []
    with Server(server.url, said.append) as service:
        service.fetch(archive(server, **changes), place, moved)
    return said


def begun(server, place, count, tag=None, **changes):
    """What an earlier call left: the first bytes, and what it knew."""
    of = archive(server, **changes)
    place.write_bytes(CONTENT[:count])
    facts = {"size": of.size, "md5": of.md5, "etag": f'"{of.md5}"' if tag is None else tag}
    place.with_name(place.name + MORE).write_text(json.dumps(facts))


def test_a_file_comes_whole_and_tells_how_far_it_is(server, tmp_path, waits):
    there = []
    assert fetch(server, tmp_path / KEY, there.append) == []
    assert (tmp_path / KEY).read_bytes() == CONTENT
    assert there == sorted(there)
    assert there[-1] == len(CONTENT)
    assert waits == []


# What goes wrong, request by request → the parts that are asked for; "…" is one in the midst.
@pytest.mark.parametrize(
    ("plan", "asked"),
    [
        (["break"], ["", "…"]),
        (["break", "break", "break"], ["", "…", "…", "…"]),
        (["break", 503, "break", 500], ["", "…", "…", "…", "…"]),
        (["break", "whole"], ["", "…"]),  # ranges are ignored: all of it comes again
        (["break", "shifted"], ["", "…", ""]),  # another part than asked for: from the begin
        (["break", 416], ["", "…", ""]),
        (["short"], ["", "…"]),
        (["long"], [""]),  # it has said more than it has; all that is listed came
        (["away"], ["", ""]),
        ([502, 504, 408], ["", "", "", ""]),
        (["other"], ["", ""]),  # the right size, another content
        (["break", "other"], ["", "…", ""]),  # two halves of different files
    ],
)
def test_what_breaks_off_goes_on_and_is_whole(plan, asked, server, tmp_path, waits):
    server.plan[KEY] = list(plan)
    fetch(server, tmp_path / KEY)
    assert (tmp_path / KEY).read_bytes() == CONTENT
    assert ["…" if found else "" for found in server.asked(KEY)] == asked
    assert server.plan[KEY] == []


def test_an_earlier_part_is_gone_on_with(server, tmp_path):
    begun(server, tmp_path / KEY, 1000)
    there = []
    fetch(server, tmp_path / KEY, there.append)
    assert server.asked(KEY) == ["bytes=1000-"]
    assert (tmp_path / KEY).read_bytes() == CONTENT
    assert there[0] == 1000


def test_a_whole_part_is_not_fetched_again(server, tmp_path):
    begun(server, tmp_path / KEY, len(CONTENT))
    fetch(server, tmp_path / KEY)
    assert server.requests == []


@pytest.mark.parametrize(("tag", "requests"), [('"of an earlier file"', 1), ("", 2)])
def test_a_part_of_another_content_is_fetched_anew(tag, requests, server, tmp_path):
    """A server with another tag sends all of it at once; without a tag the MD5 alone tells."""
    begun(server, tmp_path / KEY, 1000, tag)
    (tmp_path / KEY).write_bytes(bytes(1000))
    fetch(server, tmp_path / KEY)
    assert (tmp_path / KEY).read_bytes() == CONTENT
    assert len(server.asked(KEY)) == requests


def test_a_tag_that_is_weak_is_not_asked_by(server, tmp_path, waits):
    server.headers[KEY], server.plan[KEY] = {"ETag": 'W/"weak"'}, ["break"]
    fetch(server, tmp_path / KEY)
    assert ["…" if found else "" for found in server.asked(KEY)] == ["", "…"]
    assert (tmp_path / KEY).read_bytes() == CONTENT


@pytest.mark.parametrize("facts", [None, "{", "[]", '{"size": 7, "md5": "0"}', "[" * 50_000])
def test_a_part_that_nobody_knows_of_is_not_gone_on_with(facts, server, tmp_path):
    place = tmp_path / KEY
    place.write_bytes(CONTENT[:500])
    if facts is not None:
        place.with_name(KEY + MORE).write_text(facts)
    fetch(server, place)
    assert server.asked(KEY) == [""]
    assert place.read_bytes() == CONTENT


def test_a_part_that_is_a_link_is_not_written_through(server, tmp_path):
    begun(server, tmp_path / KEY, 1000)
    (tmp_path / KEY).rename(tmp_path / "mine")
    (tmp_path / KEY).symlink_to(tmp_path / "mine")
    fetch(server, tmp_path / KEY)
    assert (tmp_path / "mine").read_bytes() == CONTENT[:1000]
    assert (tmp_path / KEY).read_bytes() == CONTENT


def test_a_tag_that_is_none_is_not_asked_by(server, tmp_path):
    begun(server, tmp_path / KEY, 1000, tag=["no text"])
    fetch(server, tmp_path / KEY)
    assert (tmp_path / KEY).read_bytes() == CONTENT


def test_bytes_that_were_packed_on_their_way_are_refused_at_once(server, tmp_path, waits):
    server.headers[KEY] = {"Content-Encoding": "gzip"}
    refused(lambda: fetch(server, tmp_path / KEY), KEY, "gzip", "another server")
    assert (len(server.asked(KEY)), waits) == (1, [])


def test_a_part_longer_than_the_file_is_fetched_anew(server, tmp_path):
    begun(server, tmp_path / KEY, len(CONTENT))
    with (tmp_path / KEY).open("ab") as file:
        file.write(b"more")
    fetch(server, tmp_path / KEY)
    assert (tmp_path / KEY).read_bytes() == CONTENT


# ---- when it is enough ---------------------------------------------------------------------------


@pytest.mark.parametrize("plan", ["stuck", 503, "html", ["stuck", "shifted"] * 50])
def test_tries_without_gain_come_to_an_end(plan, server, tmp_path, waits):
    server.plan[KEY] = plan
    line = refused(lambda: fetch(server, tmp_path / KEY), KEY, "the same command goes on")
    assert f"{TRIES} times in a row" in line
    assert "server=URL" in line
    # s, doubled at each; what was lost and came again is no gain
    assert waits[-4:] == [1, 2, 4, 8]
    assert len(waits) < 10


def test_what_has_come_before_it_was_given_up_is_kept(server, tmp_path, waits):
    server.plan[KEY] = "stuck"
    refused(lambda: fetch(server, tmp_path / KEY), "kept", error=NetworkError)
    assert (tmp_path / KEY).read_bytes() == CONTENT[: len(CONTENT) // 3]
    server.plan[KEY] = None
    fetch(server, tmp_path / KEY)
    assert server.asked(KEY)[-1] == f"bytes={len(CONTENT) // 3}-"
    assert (tmp_path / KEY).read_bytes() == CONTENT


def test_another_content_twice_is_refused_and_removed(server, tmp_path, waits):
    server.plan[KEY] = "other"
    refused(lambda: fetch(server, tmp_path / KEY), KEY, "MD5", "twice", error=NetworkError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (404, "not there"),
        (403, "not for everybody"),
        (410, "taken"),
        (400, "refused"),
        (401, "everybody"),
    ],
)
def test_a_refusal_is_told_at_once(code, word, server, tmp_path, waits):
    server.plan[KEY] = code
    refused(lambda: fetch(server, tmp_path / KEY), KEY, code, word, error=NetworkError)
    assert (len(server.requests), waits) == (1, [])


def test_a_server_that_asks_to_wait_is_waited_for(server, tmp_path, waits):
    server.plan[KEY], server.headers[KEY] = [429, 503], {"Retry-After": "17"}
    said = fetch(server, tmp_path / KEY)
    assert waits == [17, 17]
    assert all("17 s" in line for line in said)


def test_so_long_a_wait_is_told_instead(server, tmp_path, waits):
    for after in ("86400", formatdate(4e9, usegmt=True)):
        server.plan[KEY], server.headers[KEY] = 429, {"Retry-After": after}
        refused(lambda: fetch(server, tmp_path / KEY), "asks to wait", error=NetworkError)
    assert waits == []


@pytest.mark.parametrize("after", ["Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-3", "9" * 30])
def test_a_wait_that_is_over_or_means_nothing_is_short(after, server, tmp_path, waits):
    server.plan[KEY], server.headers[KEY] = [429], {"Retry-After": after}
    fetch(server, tmp_path / KEY)
    assert waits in ([0], [1])


def test_a_loop_of_redirects_is_refused(server, tmp_path, waits):
    server.plan[KEY] = "loop"
    refused(lambda: fetch(server, tmp_path / KEY), KEY, "nowhere", error=NetworkError)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://", "http://a\x00b", "http://a/\ud800"],
)
def test_an_address_that_is_none_is_refused(url, server, tmp_path, waits):
    refused(lambda: fetch(server, tmp_path / KEY, url=url), KEY, error=NetworkError)
    assert waits == []


def test_a_sealed_way_does_not_end_open():
    """Whoever is on an open way could change the list, and with it what is believed."""
    answer = httpx.Response(200, request=httpx.Request("GET", "http://example.org/list"))
    line = lambda: fetching._refuse_plain("https://zenodo.org", answer, "record 7")  # noqa: E731
    refused(line, "record 7", "example.org", "encryption", error=NetworkError)
    fetching._refuse_plain("http://127.0.0.1", answer, "record 7")


def test_no_connection_is_told(tmp_path, waits):
    with Server(f"http://127.0.0.1:{free_port()}") as service:
        refused(lambda: service.record(NUMBER), NUMBER, "no connection to 127.0.0.1")
    assert len(waits) == TRIES - 1


def test_a_name_that_nobody_knows_is_told(monkeypatch, waits):
    def nobody(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server("http://zenodo.invalid") as service:
        refused(lambda: service.record(NUMBER), "zenodo.invalid", "not known", error=NetworkError)


def test_a_server_that_is_not_who_it_says_is_left_at_once(server, tmp_path, waits, monkeypatch):
    def nobody(*_, **__):
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")

    monkeypatch.setattr(httpx.Client, "stream", nobody)
    refused(lambda: fetch(server, tmp_path / KEY), KEY, "prove", "SSL_CERT_FILE")
    assert waits == []


def test_a_server_that_says_nothing_is_left(server, tmp_path, waits, monkeypatch):
    monkeypatch.setattr(fetching, "READ", 0.05)
    server.plan[KEY] = "silent"
    refused(lambda: fetch(server, tmp_path / KEY), KEY, "breaks off", "timed out")


def test_a_proxy_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://x")
    refused(lambda: Server("https://zenodo.org"), "PROXY", error=NetworkError)


def test_without_httpx_the_line_has_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    refused(lambda: Server("https://zenodo.org"), "httpx", "nearfar[download]", error=NetworkError)


def test_a_disk_that_is_full_is_told_and_what_came_goes_on_later(server, tmp_path):
    with small_files(100_000):
        refused(lambda: fetch(server, tmp_path / KEY), KEY, "free some space", error=StorageError)
    assert 0 < (tmp_path / KEY).stat().st_size <= 100_000
    fetch(server, tmp_path / KEY)
    assert server.asked(KEY)[-1].startswith("bytes=")
    assert (tmp_path / KEY).read_bytes() == CONTENT


# ---- records and servers -------------------------------------------------------------------------


def test_a_record_is_read_through_faults_and_redirects(server, waits):
    server.plan["record"] = [500, "break", "away"]
    with Server(server.url) as service:
        data, base = service.record(NUMBER)
    assert data["files"][0]["key"] == KEY
    assert base == f"{server.url}/moved/api/records/{NUMBER}"


@pytest.mark.parametrize("plan", ["html", "short"])
def test_a_record_that_is_no_json_is_refused(plan, server, waits):
    server.plan["record"] = plan
    with Server(server.url) as service:
        refused(lambda: service.record(NUMBER), "no JSON", error=FormatError)


def test_a_list_without_end_is_refused(server, monkeypatch):
    monkeypatch.setattr(fetching, "MOST_LISTED", 100)
    with Server(server.url) as service:
        refused(lambda: service.record(NUMBER), "no JSON", error=FormatError)


def test_a_record_that_is_not_there_is_told(server, waits):
    with Server(server.url) as service:
        refused(lambda: service.record(7), "record 7", "not there", error=NetworkError)
    assert waits == []


def test_the_server_is_the_one_that_is_said_then_the_variables_then_zenodo(monkeypatch):
    monkeypatch.delenv("NEARFAR_ZENODO", raising=False)
    assert server_url(None) == "https://zenodo.org"
    monkeypatch.setenv("NEARFAR_ZENODO", "http://mirror.example/z/")
    assert server_url(None) == "http://mirror.example/z"
    assert server_url("https://other.example") == "https://other.example"


@pytest.mark.parametrize(
    "url", ["zenodo.org", "ftp://a", "https://", "http://[", "https://me:secret@a"]
)
def test_what_is_no_address_is_refused(url):
    refused(lambda: server_url(url), "NEARFAR_ZENODO", error=SettingError)
