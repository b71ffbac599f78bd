"""The first run over HTTP: what is sent is kept, told, and becomes a detector."""

import json
import socket
from types import SimpleNamespace

import httpx
import pytest

import nearfar as nf
from loops import finished
from nearfar.clips import Clips
from nearfar.service.history.store import HistoryStore
from setups import (
    a_setup,
    as_parts,
    bad_files,
    client_of,
    pump_files,
    served,
    settled,
    wait_for,
    whole,
)

CHANGES = [
    ("POST", "/api/setup/recordings", {"files": as_parts({"a.wav": b"x"})}),
    ("DELETE", "/api/setup/recordings", {}),
    ("PUT", "/api/setup/offered", {"json": {"names": []}}),
    ("POST", "/api/setup/check", {"json": {}}),
    ("POST", "/api/setup/fit", {"json": {"machine": "pump"}}),
]


def asked(desk, *requests, role="operator"):
    """Answers to (method, path, further arguments), asked one after the other in this process."""

    async def ask():
        async with client_of(desk, role) as client:
            return [await client.request(method, path, **how) for method, path, how in requests]

    return finished(ask())


@pytest.mark.slow
def test_a_walk_from_a_folder_to_a_detector_over_the_wire(tmp_path):
    files = list(pump_files(30).items())
    with served(tmp_path, settles=0.2) as (desk, client):
        assert client.get("/api/setup").json()["stage"] == "none"
        for i in range(0, 30, 7):  # as a browser does: some at a time
            told = client.post("/api/setup/recordings", files=as_parts(dict(files[i : i + 7])),
                               params={"who": "Ada"})  # fmt: skip
            assert told.status_code == 200
            assert told.json()["stored"] == len(files[i : i + 7])
        reply = client.post("/api/setup/recordings", files=as_parts(bad_files()))
        assert reply.status_code == 200, reply.text
        told = reply.json()
        assert told["setup"]["recordings"] == 35
        again = client.post("/api/setup/recordings", files=as_parts(dict(files))).json()
        assert (again["stored"], again["known"]) == (0, 30)
        state = wait_for(lambda: (s := client.get("/api/setup").json())["checked"] and s)
        assert state["clips"] == 30
        for name in ("mono", "silent", "cut", "text", "packed"):
            assert any(f"{name}.wav" in line for line in state["problems"]), name
        assert any("at least 99 normal clips, there are 30" in p for p in state["problems"])
        with client.stream("GET", "/api/events") as events:
            lines = events.iter_lines()
            assert next(lines)  # it is heard from now on
            asked_for = {"machine": "pump", "false_alarm_rate": 0.1, "who": "Ada"}
            assert client.post("/api/setup/fit", json=asked_for).status_code == 202
            stages = []
            for line in lines:
                if line.startswith("data: "):
                    stages.append(json.loads(line.removeprefix("data: ")).get("stage"))
                    if stages[-1] in ("fitted", "failed"):
                        break
        assert stages[-1] == "fitted"
        assert desk.setup.fitted.is_set()
        late = client.post("/api/setup/recordings", files=as_parts(dict(files[:1])))
        assert (late.status_code, "already" in late.json()["error"]) == (409, True)
        assert client.get("/api/setup").json()["stage"] == "fitted"
        deeds = [(deed.who, deed.verb, deed.outcome) for deed in desk.setup.news.deeds]
        assert ("Ada", "fit", "done") in deeds
        assert any("Ada at 127.0.0.1: fit pump: done" in line for line in desk.setup.log)
    fitted = nf.load(tmp_path / "pump.detector")
    new = nf.Clips.open(tmp_path / "pump.normals/normal/000.wav", machine="pump")
    assert next(iter(fitted.score(new))).p_value is not None
    assert isinstance(new, Clips)


def test_a_connection_that_breaks_in_mid_file_leaves_nothing_of_it(tmp_path):
    parts = as_parts({"a.wav": b"1" * 50_000, "b.wav": b"2" * 5_000_000})
    request = httpx.Request("POST", "http://x/", files=parts)
    body = request.read()
    with served(tmp_path) as (desk, client):
        host, port = client.base_url.host, client.base_url.port
        with socket.create_connection((host, port)) as line:
            line.sendall(
                f"POST /api/setup/recordings HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: "
                f"{request.headers['content-type']}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            line.sendall(body[:2_500_000])
            wait_for(lambda: (tmp_path / "pump.normals/a.wav").exists())
        wait_for(lambda: not desk.setup.state["sending"])
        assert whole(tmp_path / "pump.normals") == ["a.wav"]
        assert client.get("/api/setup").json()["recordings"] == 1
        # And the same again goes on where it broke.
        reply = client.post(
            "/api/setup/recordings",
            content=body,
            headers={"Content-Type": request.headers["content-type"]},
        )
        assert reply.status_code == 200, reply.text
        told = reply.json()
        assert (told["stored"], told["known"]) == (1, 1)


def test_readers_may_look_and_change_nothing(tmp_path):
    with a_setup(tmp_path) as desk:
        (state,) = asked(desk, ("GET", "/api/setup", {}), role="reader")
        assert state.json()["stage"] == "none"
        answers = asked(desk, *CHANGES, role="reader")
        assert [answer.status_code for answer in answers] == [403] * len(CHANGES)
        assert not (tmp_path / "pump.normals").exists()


def test_where_there_is_a_detector_there_is_no_setup(tmp_path):
    with a_setup(tmp_path) as desk:
        setup, desk.setup = desk.setup, None
        answers = asked(desk, ("GET", "/api/setup", {}), *CHANGES)
        assert {answer.status_code for answer in answers} == {409}
        desk.setup = setup
        desk.attach(SimpleNamespace(store=HistoryStore.open(""), busy=False))
        answers = asked(desk, *CHANGES)
        assert {(a.status_code, "detector already" in a.json()["error"]) for a in answers} == {
            (409, True)
        }
        desk._backend = None


def test_two_fits_at_once_are_one(tmp_path):
    with a_setup(tmp_path) as desk:
        asked(desk, ("POST", "/api/setup/recordings", {"files": as_parts(pump_files(12))}))
        fit = ("POST", "/api/setup/fit", {"json": {"false_alarm_rate": 0.1}})
        first, second = asked(desk, fit, fit)
        assert (first.status_code, second.status_code) == (202, 409)
        assert settled(desk.setup, "fitted", "failed")["stage"] == "fitted"


def test_names_that_lead_out_are_refused_each_for_itself(tmp_path):
    names = ["../../x.wav", "/etc/x.wav", "a\\..\\x.wav", "x\0.wav", f"{'n' * 300}.wav", "ok.wav",
             ".hidden.wav", "notes.txt"]  # fmt: skip
    with a_setup(tmp_path / "deep/er") as desk:
        sent = httpx.Request("POST", "http://x/", files=as_parts(dict.fromkeys(names, b"RIFF")))
        # What a client that means no good sends as it is.
        how = {
            "content": sent.read().replace(b"%00", b"\0"),
            "headers": {"content-type": sent.headers["content-type"]},
        }
        (answer,) = asked(desk, ("POST", "/api/setup/recordings", how))
        told = answer.json()
        assert told["stored"] + len(told["refused"]) + len(told["left_out"]) == len(names)
        assert (told["stored"], len(told["left_out"])) == (1, 2)
        assert whole(tmp_path) == ["deep/er/pump.normals/ok.wav"]


def test_more_than_allowed_is_refused_before_it_is_sent(tmp_path):
    with a_setup(tmp_path, upload_limit=10_000) as desk:
        files = {"files": as_parts({"a.wav": bytes(200_000)})}
        (told,) = asked(desk, ("POST", "/api/setup/recordings", files))
        assert told.status_code == 413
        assert not (tmp_path / "pump.normals").exists()
        assert not desk.setup.state["sending"]
        assert desk.setup.news.deeds == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("check", {}, 409),  # no recordings yet
        ("fit", {"machine": "a/b"}, 409),
        ("fit", {"machine": 7}, 422),
        ("fit", {"who": "x" * 81}, 422),
        ("fit", [], 422),
    ],
)
def test_wrong_bodies_are_a_line(tmp_path, path, body, status):
    with a_setup(tmp_path) as desk:
        (told,) = asked(desk, ("POST", f"/api/setup/{path}", {"json": body}))
        assert told.status_code == status
        assert "\n" not in told.json()["error"]


def test_impossible_wishes_are_a_line(tmp_path):
    with a_setup(tmp_path) as desk:
        sent = ("POST", "/api/setup/recordings", {"files": as_parts(pump_files(1))})
        wishes = [{"machine": "a/b"}, {"false_alarm_rate": 0}, {"machine": "x" * 99}]
        _, *told = asked(desk, sent, *(("POST", "/api/setup/fit", {"json": w}) for w in wishes))
        assert [answer.status_code for answer in told] == [422] * 3
        assert desk.setup.state["stage"] == "recordings"


def test_offered_folders_are_known_by_name_alone(tmp_path):
    (tmp_path / "hall").mkdir()
    for name, data in pump_files(2, folder="hall").items():
        (tmp_path / name).write_bytes(data)
    with a_setup(tmp_path, offered=[tmp_path / "hall"]) as desk:
        choose = "/api/setup/offered"
        wrong, right, gone = asked(
            desk, ("PUT", choose, {"json": {"names": [str(tmp_path / "hall")]}}),
            ("PUT", choose, {"json": {"names": ["hall"]}}),
            ("DELETE", "/api/setup/recordings", {}),
        )  # fmt: skip
        assert wrong.status_code == 404
        assert (right.json()["recordings"], right.json()["chosen"]) == (2, ["hall"])
        assert (gone.json()["removed"], gone.json()["setup"]["recordings"]) == (0, 2)
        assert len(whole(tmp_path / "hall")) == 2
