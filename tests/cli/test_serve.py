"""nearfar serve, and the page of a watch: real processes, asked over the wire and told to end."""

import http.client
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from command import failed
from conftest import free_port, machine_sound, write
from page_processes import answered, paged
from plants import by_hand


@pytest.fixture
def hand(tmp_path, monkeypatch):
    """A place with detectors that cost nothing, to be refused in."""
    by_hand().save(tmp_path / "d")
    by_hand((("saw", "00"), ("pump", "00"))).save(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "what is to be served? nearfar serve DETECTOR"),
        (["d", "other"], "other: knows pump, and so does d; leave one of the two out"),
        (["d", "gone"], "gone: is no folder; make one with nearfar fit"),
        (["d", "--machine", "pmp"], "no detector knows 'pmp'; did you mean 'pump'?"),
        (["d", "--page", "8080"], '--page "8080"; it is HOST:PORT'),
        (["d", "--history", "gone/p.db"], "gone/p.db: no such folder"),
        (["d", "--upload-limit", "much"], '--upload-limit "much"; it is a size'),
        (["d", "--false-alarm-rate", "2"], "--false-alarm-rate 2.0; it is a share"),
    ],
)
def test_what_cannot_be_meant_is_one_line(hand, run, arguments, words):
    page = () if "--page" in arguments else ("--page", f"127.0.0.1:{free_port()}")
    failed(run("serve", *arguments, *page), words)
    assert not list(hand.glob("*.db*"))


@pytest.mark.parametrize("command", [("serve", "d"), ("watch", "d", "rec", "--history", "p.db")])
def test_who_may_not_be_let_in_is_refused_before_anything_begins(hand, run, command):
    (hand / "rec").mkdir()
    (hand / "short").write_text("secret\n")
    place = f"0.0.0.0:{free_port()}"
    failed(run(*command, "--page", place), place, "--token-file", "127.0.0.1")
    for name, words in (("gone", "gone: no token can be read"), ("short", "short: no token")):
        line = failed(run(*command, "--page", place, "--token-file", name), words)
        assert "secret" not in line.partition("python")[0]
    assert not list(hand.glob("*.db*"))


def test_without_the_extra_it_is_one_line(hand, run, monkeypatch):
    (hand / "rec").mkdir()
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    for command in (("serve", "d"), ("watch", "d", "rec"), ("watch", "new", "rec")):
        line = failed(run(*command, "--page", f"127.0.0.1:{free_port()}"), "the page needs FastAPI")
        assert "pip install 'nearfar[page]'" in line


def test_a_page_that_is_said_twice_is_one_line(hand, run):
    (hand / "p.toml").write_text(
        'detector = "d"\n[page]\nlisten = "127.0.0.1:80"\n[[source]]\nfolder = "rec"\n'
    )
    for option in (("--page", "127.0.0.1:80"), ("--token-file", "x"), ("--normals", "x")):
        said = f"{option[0]} is said in p.toml; leave it out here"
        failed(run("watch", "p.toml", *option), said)


def test_a_port_that_is_taken_is_one_line_and_leaves_nothing(hand, run):
    import socket

    (hand / "rec").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in (("serve", "d"), ("watch", "d", "rec")):
            failed(run(*command, "--page", place, "--history", "p.db"), place, "another port")
    assert not list(hand.glob("*.db*"))


# ---- processes -----------------------------------------------------------------------------------
@pytest.fixture
def live(tmp_path, detector_folder):
    """A detector, a folder in which recordings arrive, wrong ones to put there."""
    shutil.copytree(detector_folder, tmp_path / "d")
    (tmp_path / "in" / "pump").mkdir(parents=True)
    rng = np.random.default_rng(7)
    for n in range(6):
        write(tmp_path / "wrong" / f"w{n}.wav", machine_sound(rng, anomaly=True))
    return tmp_path


def place():
    return f"127.0.0.1:{free_port()}"


def machine_of(running, name="pump"):
    """How a machine is, as a page is told."""
    status, found = running.get("/api/machines")
    assert status == 200
    return next(m for m in found["machines"] if m["machine"] == name)


def listening(url):
    """A connection on which events come, open."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", "/api/events")
    reply = connection.getresponse()
    while reply.readline().strip():  # what it begins with
        pass
    return connection, reply


def event_on(reply):
    """The next bulletin of a stream."""
    while True:
        line = reply.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: {"):
            return json.loads(line.removeprefix(b"data: "))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_serves_until_it_is_told_to_end_whoever_listens(live, number, code):
    with paged(live, "serve", "d", "--page", place()) as serve:
        assert machine_of(serve)["state"] == "unknown"
        assert serve.get("/healthz")[0] == 200
        assert serve.get("/")[0] == 200
        connection, reply = listening(serve.url)
        assert serve.end(number) == code  # while somebody listens
        connection.close()
        reply.close()
        assert "serving fan, pump" in serve.said
        assert " ended\n" in serve.said


@pytest.mark.slow
def test_beside_a_watch_it_shows_what_that_one_hears(live):
    """One history, two processes: what is heard in the one appears in the other by itself."""
    settled = ("--settle", "0s", "--history", "p.db")
    with (
        paged(live, "watch", "d", "in", *settled, "--page", place()) as watch,
        paged(
            live, "serve", "d", "--machine", "pump", "--history", "p.db", "--page", place()
        ) as serve,
    ):
        watch.until_said("watching fan, pump")
        connection, reply = listening(serve.url)
        for n in range(3):
            shutil.copy(live / "wrong" / f"w{n}.wav", live / "in" / "pump")
        rows, raised = [], []
        while not raised or len(rows) < 3:
            said = event_on(reply)
            rows += [said["row"]] if said["row"] else []
            raised += [e["verb"] for e in said["events"]]
        assert (rows, raised) == ([1, 2, 3], ["raised"])
        for one in (watch, serve):
            assert machine_of(one)["state"] == "alarm"
        assert {m["machine"] for m in serve.get("/api/machines")[1]["machines"]} == {"pump"}
        # A page keeps what people want to hear.
        assert len(list((live / "p.db-audio").rglob("*.*"))) == 3
        # The one that only looks on may go, and the one that watches as well.
        connection.close()
        reply.close()
        assert serve.end() == 0
        assert watch.end() == 0


@pytest.mark.slow
def test_a_watch_serves_as_long_as_it_runs(live):
    """With --once no longer than that; and one that is told to end while somebody listens ends."""
    shutil.copy(live / "wrong" / "w0.wav", live / "in" / "pump")
    page = ("--settle", "0s", "--page", place())
    with paged(live, "watch", "d", "in", "--once", *page) as once:
        assert once.url
        once.process.wait()
        assert once.process.returncode == 0
        assert once.process.stdout.read().count("above threshold") == 1
    with paged(live, "watch", "d", "in", *page) as watch:
        connection, reply = listening(watch.url)
        assert watch.end() == 0
        connection.close()
        reply.close()


@pytest.mark.slow
def test_a_changed_page_of_a_file_needs_a_new_start_but_for_its_normals(live):
    port = free_port()
    text = (
        'detector = "d"\n[[source]]\nfolder = "in"\nsettle = "0s"\n'
        f'[page]\nlisten = "127.0.0.1:{port}"\n'
    )
    (live / "p.toml").write_text(text)
    with paged(live, "watch", "p.toml") as watch:
        watch.until_said("watching fan, pump")
        (live / "p.toml").write_text(text + 'normals = ["in"]\n')
        watch.process.send_signal(signal.SIGHUP)
        watch.until_said("taken over")
        (live / "p.toml").write_text(text.replace(port, free_port()))
        watch.process.send_signal(signal.SIGHUP)
        watch.until_said("end this watch and start it again")
        assert watch.get("/api/machines")[0] == 200
        assert watch.end() == 0


# ---- before there is a detector ------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("command", [("watch", "new.detector", "in"), ("serve", "new.detector")])
def test_where_there_is_no_detector_yet_the_page_makes_one_and_goes_on(live, dcase, command):
    shutil.copytree(dcase / "pump" / "train", live / "normal")
    options = ("--page", place(), "--normals", "normal")
    with paged(live, *command, *options) as running:
        running.until_said("new.detector: is not there yet; open http://127.0.0.1:")
        url = f"http://{options[1]}"
        assert answered(f"{url}/api/setup")[1]["stage"] == "none"
        assert answered(f"{url}/api/machines")[0] == 409
        body = json.dumps({"names": ["normal"]}).encode()
        assert answered(f"{url}/api/setup/offered", body, "PUT")[0] == 200
        assert answered(f"{url}/api/setup/fit", b'{"machine": "pump"}')[0] in (200, 202)
        running.until_said("page: http://")
        assert running.url == url
        assert machine_of(running)["machine"] == "pump"
        rows = answered(f"{url}/api/audit")[1]["rows"]
        assert [(row["verb"], row["outcome"]) for row in rows] == [("fit", "done"), ("use", "done")]
        assert Path(live / "new.detector" / "detector.json").exists()
        assert running.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_who_gives_up_before_that_leaves_nothing(live, number, code):
    options = ("--history", "p.db", "--page", place())
    with paged(live, "watch", "new.detector", "in", *options) as running:
        running.until_said("is not there yet")
        assert running.end(number) == code
    assert not [p.name for p in live.iterdir() if p.name.startswith(("new", "p.db"))]
