"""How answers look: JSON of one line, whatever a name or a message holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.errors import AudioError, NearfarError, StorageError, several
from nearfar.page.guard.rates import TooOften
from nearfar.page.refusal import Refusal
from nearfar.page.replies import MOST_FAULTS, as_json, failure, fault, refusal
from page_server import served


@pytest.fixture(scope="module")
def page():
    with served() as made:
        yield made


@given(st.text())
def test_whatever_a_message_holds_it_is_one_line(text):
    body = failure(422, text).body
    assert b"\n" not in body
    line = json.loads(body)["error"]
    assert line.isprintable()
    assert len(line) <= 500


@given(st.dictionaries(st.text(), st.floats() | st.text() | st.lists(st.floats())))
def test_every_answer_is_json_that_all_read(value):
    def never(name):
        raise AssertionError(name)  # NaN and Infinity are no JSON

    told = json.loads(as_json(value).body, parse_constant=never)
    assert told["schema"] == 1 or "schema" in value


def test_errors_of_ours_have_their_number_and_all_faults():
    both = several([AudioError("a.wav: empty"), AudioError("b.wav: mono")], "2 of 9 clips")
    answer = refusal(both)
    assert answer.status_code == 422
    assert json.loads(answer.body)["faults"] == ["a.wav: empty", "b.wav: mono"]
    assert refusal(Refusal(404, "gone")).status_code == 404
    locked = refusal(StorageError("locked"))
    assert (locked.status_code, locked.headers["Retry-After"]) == (503, "5")
    assert refusal(TooOften("too many", 7)).headers["Retry-After"] == "7"
    many = NearfarError("many")
    many.faults = ("one",) * 10_000
    assert len(json.loads(refusal(many).body)["faults"]) == MOST_FAULTS


@pytest.mark.parametrize(("line", "told"), [
    ("leave it out with skip_bad=True", "leave it out with skip_bad=True"),
    ("leave it out with --skip-bad", "leave it out with skip_bad=True"),
    ("false_alarm_rate 7.0; it is a share, 0–1", "false_alarm_rate 7.0; it is a share, 0–1"),
])  # fmt: skip
def test_a_line_names_the_fields_of_the_api_and_no_flag_of_a_shell(line, told):
    assert json.loads(failure(422, line).body)["error"] == told
    assert json.loads(refusal(Refusal(422, line)).body)["error"] == told


def test_a_bug_tells_its_kind_alone(caplog):
    answer = fault(KeyError("/home/me/secret"))
    assert answer.status_code == 500
    assert b"KeyError" in answer.body
    assert b"secret" not in answer.body
    assert "secret" in caplog.text


def test_what_http_refuses_is_a_line_too(page):
    page.refused(404, "GET", "/api/nothing", "/api/nothing", "openapi.json")
    page.refused(404, "GET", "/" + "a" * 9000)
    page.refused(404, "GET", "/static/%2e%2e/app.py")
    page.refused(404, "GET", "/static/..%2f..%2f..%2fetc%2fpasswd")
    page.refused(404, "GET", "/static/a%00b")
    page.refused(404, "GET", "/%0a%1b[31m")
    assert page.client.request("PUT", "/api/look").headers["Allow"] == "GET"
    page.refused(405, "PUT", "/api/look", "PUT /api/look")
    page.refused(405, "PROPFIND", "/")
    page.refused(422, "GET", "/api/look?many=x", "many")
    for body in (b"{", b"\xff", b"[" * 60_000, b"9" * 60_000, b"null", b'"\\ud800"'):
        reply = page.post("/api/session", content=body,
                          headers={"Content-Type": "application/json"})  # fmt: skip
        assert reply.status_code in (400, 422), body[:9]
        assert "\n" not in reply.text
