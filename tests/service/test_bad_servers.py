"""Bad days of a whole watch with servers: they die, refuse a password, and are told odd names."""

import csv
import json
import subprocess
from dataclasses import replace

import pytest

from command import nearfar
from conftest import finish, write
from mosquitto_server import Mosquitto, listening, until
from nearfar.service.history.store import HistoryStore
from nearfar.service.outputs.broker import PASSWORD, USER
from nearfar.service.plant import HistorySettings, MqttSettings, SourceSettings
from postgres_server import postgres  # noqa: F401
from watches import Running, detector_in, plant_of, sound, write_new

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detector_in(tmp_path_factory.mktemp("servers"))


@pytest.fixture
def plant(detector, tmp_path):
    (tmp_path / "in" / "pump").mkdir(parents=True)
    hall = SourceSettings("hall", "folder", str(tmp_path / "in"), settle=0.0)
    return plant_of(detector, source=hall, history=HistorySettings(str(tmp_path / "plant.db")))


@pytest.fixture
def new(tmp_path):
    return tmp_path / "in" / "pump"


def heard(running, count):
    running.until(lambda: len(running.listener.observations) >= count)


def test_postgresql_killed_and_started_again(plant, new, postgres):  # noqa: F811
    where = postgres.database()
    with Running(replace(plant, history=HistorySettings(where))) as running:
        running.until(lambda: running.watch.now.ready)
        write_new(new, "00.wav", 0)
        heard(running, 1)
        postgres.kill()
        try:
            for i in range(1, 9):  # one after the other: each is told while nothing is kept
                write_new(new, f"{i:02}.wav", i, anomaly=i > 4)
                heard(running, i + 1)
            running.until(lambda: running.log.of("trouble"))
            assert running.watch.now.unkept
            assert running.listener.events
        finally:
            postgres.start()
        running.until(lambda: not running.watch.now.unkept)
        write_new(new, "99.wav", 99)
        heard(running, 10)
        assert running.listener.bulletins[-1].row
        assert running.watch.now.history == ""
    store = HistoryStore.open(where, make=False)
    assert sorted(o.name for o in store.observations()) == sorted(
        o.name for o in running.listener.observations
    )
    assert [e.id for e in store.events()] == [e.id for e in running.listener.events]
    assert json.loads(store.stations()["pump", "00"])["sound"]["levels"]
    store.close()


def test_a_broker_killed_and_started_again(plant, new, tmp_path):
    with Mosquitto(tmp_path / "broker") as broker:
        plant = replace(plant, mqtt=MqttSettings(broker.url))
        with Running(plant) as running, listening(broker.port) as first:
            write_new(new, "00.wav", 0)
            heard(running, 1)
            until(lambda: first.of("/clip"))
            broker.kill()
            for i in range(1, 13):
                write_new(new, f"{i:02}.wav", i, anomaly=i > 6)
                heard(running, i + 1)
            output = next(o for o in running.have.outputs if o.name == "mqtt")
            until(lambda: not output.health.up)
            assert running.listener.events
            assert output.health.queued >= 13
            broker.start()
            with listening(broker.port) as second:
                until(lambda: len(second.of("/clip")) == 12)
                until(lambda: second.of("/alarm"))
                until(lambda: not output.health.queued)
                said = [json.loads(line)["name"] for line in second.of("/clip")]
                told = [json.loads(line)["id"] for line in second.of("/alarm")]
        assert said == [o.name for o in running.listener.observations][1:]
        assert told == [e.id for e in running.listener.events]
        assert output.health.lost == 0
    store = HistoryStore.open(plant.history.place, make=False)
    assert store.said()["mqtt"] == told[-1]
    store.close()


def test_a_wrong_password_stops_no_clip_and_is_one_line(plant, new, tmp_path, monkeypatch):
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "plant", "right"], check=True)
    monkeypatch.setenv(USER, "plant")
    monkeypatch.setenv(PASSWORD, "wrong")
    with Mosquitto(tmp_path / "b", f"password_file {users}", anonymous=False) as broker:
        with Running(replace(plant, mqtt=MqttSettings(broker.url))) as running:
            running.until(lambda: running.log.of("trouble"))
            write_new(new, "00.wav", 0, anomaly=True)
            heard(running, 1)
        [line] = running.log.of("trouble")
        assert PASSWORD in line
        assert "wrong" not in line.replace("wrong user", "")
        monkeypatch.setenv(PASSWORD, "right")
        with (
            Running(replace(plant, mqtt=MqttSettings(broker.url))) as running,
            listening(broker.port, user="plant", password="right") as ear,
        ):
            write_new(new, "01.wav", 1)
            until(lambda: ear.of("/clip"))
        assert not running.log.of("trouble")


ODD = [b"two\nlines.wav", b"\xff\xfe no text.wav", b"tab\tand \x1b[31mred.wav", b"=1+1.wav",
       "Lüfter.wav".encode(), b"a,b;\"c\".wav"]  # fmt: skip


def test_odd_names_go_through_everything(plant, detector, new, tmp_path):
    """Terminal, JSON, log, MQTT, a command, history, CSV: names of any bytes break none of them."""
    for i, name in enumerate(ODD):
        file = new / name.decode(errors="surrogateescape")
        file.write_bytes(write(tmp_path / "one.wav", sound(i, anomaly=True)).read_bytes())
    noted = tmp_path / "noted"
    script = tmp_path / "note"
    script.write_text(f"#!/bin/sh\ncat >> '{noted}'\n")
    script.chmod(0o755)
    with Mosquitto(tmp_path / "broker") as broker, listening(broker.port) as ear:
        process = nearfar(
            "watch", detector, new.parent, "--once", "--settle", "0s", "--history",
            plant.history.place, "--mqtt", broker.url, "--json", tmp_path / "out.jsonl",
            "--log", "json", "--on-alarm", script, "--alarm", "1/1", "--keep-audio", "all",
        )  # fmt: skip
        out, err = finish(process)
        assert process.returncode == 0, err
        until(lambda: len(ear.of("/clip")) == len(ODD))
        until(lambda: ear.of("/alarm"))
        told = [json.loads(line) for line in ear.of("/clip")]
    assert "\x1b" not in out
    assert sum("above threshold" in line for line in out.splitlines()) == len(ODD)
    for line in err.splitlines():
        assert json.loads(line)["event"] in ("start", "alarm raised", "ended", "end")
    kept = [
        json.loads(line)["observation"]
        for line in (tmp_path / "out.jsonl").read_text().splitlines()
    ]
    names = {row["name"] for row in kept if row}
    assert len(names) == len(ODD)
    assert {clip["name"] for clip in told} == names
    assert json.loads(noted.read_text())["event"]["verb"] == "raised"
    store = HistoryStore.open(plant.history.place, make=False)
    paths = {o.path for o in store.observations()}
    store.close()
    assert paths == {str(file) for file in new.iterdir()}
    done = nearfar("history", plant.history.place, "--csv", tmp_path / "out.csv")
    finish(done)
    assert done.returncode == 0
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(ODD)
    for command in ("history", "alarms"):
        shown = nearfar(command, plant.history.place)
        out, err = finish(shown)
        assert (shown.returncode, err) == (0, "")
        assert "\x1b" not in out
    # Nothing of it is heard again.
    again = nearfar("watch", detector, new.parent, "--once", "--settle", "0s", "--history",
                    plant.history.place)  # fmt: skip
    assert finish(again)[0] == ""
