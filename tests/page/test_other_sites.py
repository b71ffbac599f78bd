"""A page of another origin in a real browser: what it sends in a visitor's name does nothing."""

import http.server
import threading
import time

import pytest

from browser import browser
from conftest import PATIENCE
from nearfar.service.plant import PageSettings
from page_server import TOKEN, served, token_file

PAGE = """<!doctype html><meta charset=utf-8><title>elsewhere</title>
<iframe name=hidden></iframe>
<form id=plain method=post target=hidden enctype=text/plain action=AT/api/change>
<input name='{"a":"' value='"}'></form>
<form id=file method=post target=hidden enctype=multipart/form-data
 action=AT/api/machines/a/score><input name=audio value=RIFF></form>
<iframe id=frame src=AT/></iframe>
<script>
window.told = async () => {
  const said = {};
  const ask = async (name, path, how) => {
    try { said[name] = (await fetch("AT" + path, how)).status; } catch { said[name] = "no"; }
  };
  await ask("read", "/api/look", {credentials: "include"});
  await ask("blind", "/api/change", {method: "POST", mode: "no-cors", body: "x",
                                     credentials: "include"});
  await ask("put", "/api/change", {method: "PUT", body: "{}", credentials: "include",
                                   headers: {"Content-Type": "application/json"}});
  await ask("headed", "/api/change", {method: "PUT", body: "{}", credentials: "include",
                                      headers: {"X-Nearfar": "1"}});
  said.stream = await new Promise(done => {
    const there = new EventSource("AT/api/events", {withCredentials: true});
    there.onopen = () => done("open"); there.onerror = () => { there.close(); done("no"); };
  });
  said.picture = await new Promise(done => {
    const there = new Image(); there.src = "AT/static/mark.svg";
    there.onload = () => done("drawn"); there.onerror = () => done("no");
  });
  return said;
};
</script>"""


@pytest.fixture
def elsewhere():
    """Serves pages at another port of this computer: another origin, and the same site."""
    pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield pages, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def content(tab, frame):
    """What a frame shows, once it has come where it is led to."""
    from playwright.sync_api import Error

    latest = time.monotonic() + PATIENCE
    while True:
        try:
            return frame.content()
        except Error:  # it goes on to what its form was answered with
            assert time.monotonic() < latest
            tab.wait_for_timeout(50)


@pytest.mark.slow
@pytest.mark.parametrize("signs_in", [False, True])
def test_a_page_of_another_port_reads_and_changes_nothing(
    tmp_path, monkeypatch, elsewhere, signs_in
):
    """The same computer is the same site, so even a Strict cookie goes along: the origin counts."""
    settings = PageSettings("127.0.0.1:0", token_file(tmp_path) if signs_in else None)
    pages, place = elsewhere
    with served(settings) as page:
        at = f"http://127.0.0.1:{page.port}"
        pages["/"] = PAGE.replace("AT", at)
        context = browser().new_context()
        try:
            if signs_in:
                mine = context.new_page()
                mine.goto(at)
                told = mine.evaluate(
                    """token => fetch("/api/session", {method: "POST", headers: {"X-Nearfar": "1",
                    "Content-Type": "application/json"}, body: JSON.stringify({token})})
                    .then(reply => reply.status)""", TOKEN,
                )  # fmt: skip
                assert told == 200
                assert mine.evaluate("fetch('/api/look').then(reply => reply.status)") == 200
            tab = context.new_page()
            answers = {}
            tab.on("response", lambda r: answers.setdefault(
                (r.request.method, r.url.removeprefix(at)), []).append(r.status))  # fmt: skip
            tab.goto(place)
            said = tab.evaluate("window.told()")
            assert said == {"read": "no", "blind": "no", "put": "no", "headed": "no",
                            "stream": "no", "picture": "no"}  # fmt: skip
            for form in ("plain", "file"):
                with tab.expect_response(lambda r: r.request.method == "POST" and at in r.url) as r:
                    tab.evaluate(f"document.getElementById('{form}').submit()")
                assert r.value.status in (403, 415), form
            assert all(s >= 400 for (verb, _), found in answers.items() if verb != "GET"
                       for s in found)  # fmt: skip
            frames = [one.url for one in tab.frames if at in one.url and "/api" not in one.url]
            assert all("<main" not in content(tab, f) for f in tab.frames[1:]), frames
        finally:
            context.close()
