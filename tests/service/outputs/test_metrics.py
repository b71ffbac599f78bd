"""MetricsOutput: what programs that look after programs are told."""

import threading
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from bulletins import AT, seen, told, uninstall
from conftest import PATIENCE, refused
from nearfar.errors import SettingError
from nearfar.service.news import MachineNow, OutputHealth, WatchNow
from nearfar.service.outputs.metrics import MetricsOutput


@pytest.fixture
def watch():
    return {"now": WatchNow(AT, ready=True)}


@pytest.fixture
def said(watch):
    made = MetricsOutput("127.0.0.1:0", lambda: watch["now"])
    made.start()
    yield made
    made.close()
    assert not made.health.up
    assert "nearfar pages" not in {t.name for t in threading.enumerate()}


def ask(said, path, accept=None):
    headers = {} if accept is None else {"Accept": accept}
    try:
        with urlopen(Request(said.url + path, headers=headers), timeout=PATIENCE) as reply:
            return reply.status, reply.read().decode(), reply.headers["Content-Type"]
    except HTTPError as reply:
        with reply:
            return reply.code, reply.read().decode(), reply.headers["Content-Type"]


def test_the_form_is_openmetrics_unless_another_is_asked_for(said):
    assert said.health.up
    for accept in (None, "*/*", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"):
        status, text, kind = ask(said, "/metrics", accept)
        assert status == 200
        assert kind.startswith("application/openmetrics-text; version=1.0.0")
        assert text.endswith("# EOF\n")
        assert list(parse(text))
    status, text, kind = ask(said, "/metrics", "text/plain")
    assert kind.startswith("text/plain")
    assert "# EOF" not in text


def test_clips_are_counted_by_what_became_of_them(said):
    for status in ("judged", "idle", "idle", "unjudged"):
        bulletin = told(1)
        said.tell(type(bulletin)(bulletin.machine, seen(1, status=status)))
    counts = {
        s.labels["status"]: s.value
        for f in parse(ask(said, "/metrics")[1])
        for s in f.samples
        if s.name == "nearfar_clips_total"
    }
    assert counts == {"judged": 1, "idle": 2, "unjudged": 1}


def test_alive_is_not_ready(said, watch):
    assert ask(said, "/healthz")[:2] == (200, "alive\n")
    assert ask(said, "/readyz")[:2] == (200, "ready\n")
    watch["now"] = WatchNow(AT, ready=False)
    status, text, _ = ask(said, "/readyz")
    assert status == 503
    assert text.startswith("not ready: ")
    watch["now"] = WatchNow(AT, ready=True, sources={"hall": "/data/hall: gone\nwaiting"})
    assert ask(said, "/readyz")[:2] == (503, "not ready: hall: /data/hall: gone\\nwaiting\n")
    assert ask(said, "/healthz")[0] == 200
    # It hears and alarms on: a restart would but lose what waits.
    down = OutputHealth("mqtt", up=False, queued=3, trouble="Connection refused")
    full = "plant.db: disk is full (3 rows not kept yet)"
    watch["now"] = WatchNow(AT, ready=True, history=full, outputs=(down,))
    told = f"ready; history: {full}; mqtt: Connection refused\n"
    assert ask(said, "/readyz")[:2] == (200, told)


@pytest.mark.slow
def test_a_scrape_is_of_one_moment_while_machines_change(said, watch):
    """Score, threshold and time of a clip belong together in every scrape."""
    ending = threading.Event()

    def change():
        number = 0
        while not ending.is_set():
            number += 1
            clip = seen(number, score=float(number), threshold=float(number))
            machines = dict(watch["now"].machines)
            machines[f"m{number % 50}", "00"] = MachineNow(
                "m", str(number), 1, True, (), clip, clip
            )
            watch["now"] = WatchNow(AT, ready=True, machines=machines)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(10):
            samples = {
                (f.name, s.labels["section"]): s.value
                for f in parse(ask(said, "/metrics")[1])
                for s in f.samples
                if "section" in s.labels
            }
            sections = {section for name, section in samples if name == "nearfar_score"}
            for section in sections:
                number = int(section)
                assert samples["nearfar_score", section] == number
                assert samples["nearfar_threshold", section] == number
                at = (AT + timedelta(seconds=number)).timestamp()
                assert samples["nearfar_clip_time_seconds", section] == at
    finally:
        ending.set()
        thread.join()


def test_a_port_in_use_is_one_line_at_the_start(said):
    other = MetricsOutput(said.url.removeprefix("http://"), lambda: WatchNow(AT, ready=True))
    refused(other.start, "in use", error=SettingError)
    other.close()
    refused(lambda: MetricsOutput("nowhere", lambda: None), "HOST:PORT", error=SettingError)


def test_a_missing_package_is_one_line(monkeypatch):
    uninstall(monkeypatch, "prometheus_client")
    said = MetricsOutput("127.0.0.1:0", lambda: WatchNow(AT, ready=True))
    refused(said.start, "pip install 'nearfar[plant]'")
    said.close()
