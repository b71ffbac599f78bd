"""MqttOutput and a real broker: what it is told arrives, whatever becomes of the broker."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from time import monotonic

import pytest

from bulletins import NAMES, event, standing, told, uninstall
from conftest import PATIENCE, free_port, refused, stop
from mosquitto_server import Mosquitto, listening, until
from nearfar.errors import SettingError
from nearfar.service.outputs import teller
from nearfar.service.outputs.broker import PASSWORD, USER
from nearfar.service.outputs.connection import Connection
from nearfar.service.outputs.mqtt import MqttOutput, Waits
from servers import server

HURRY = Waits(first=0.02, most=0.2, refused=0.2)


def output(url, **options):
    made = MqttOutput(url, **{"environ": {}, "waits": HURRY, **options})
    made.start()
    return made


def threads():
    return {thread.name for thread in threading.enumerate()}


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def topic(request):
    """Topics of one test's own: the broker is shared, and retains."""
    return f"t/{request.node.name.replace('[', '-').strip(']')}"


def test_settings_that_can_never_work_are_refused():
    refused(lambda: MqttOutput("mqtt://h", version=4), "3 (3.1.1) or 5", error=SettingError)
    refused(lambda: MqttOutput("mqtt://h", topic="a/#"), "topic", error=SettingError)
    refused(lambda: MqttOutput("mqtt://h", discovery="+"), "discovery", error=SettingError)


def test_a_missing_client_is_one_line(monkeypatch):
    uninstall(monkeypatch, "paho")
    said = MqttOutput("mqtt://127.0.0.1", environ={})
    refused(said.start, "pip install 'nearfar[plant]'")
    said.close()


@pytest.mark.slow
def test_an_unreachable_broker_is_a_trouble_and_the_bound_holds():
    said = output(f"mqtt://127.0.0.1:{free_port()}", most=10_000)
    before = monotonic()
    for n in range(10_050):
        said.tell(told(n, events=[event(n + 1)] if n < 7 else []))
    took = monotonic() - before
    until(lambda: said.health.trouble)
    assert (said.health.queued, said.health.lost) == (10_000, 57)  # 10,050 clips and 7 events
    assert said.health.up is False
    assert "Connection refused" in said.health.trouble
    said.close(patience=0)
    assert "nearfar mqtt" not in threads()
    assert said.said == 0
    assert took < PATIENCE


@pytest.mark.slow
@pytest.mark.parametrize("version", [3, 5])
def test_clips_alarms_and_states_arrive_in_order(broker, topic, version):
    with listening(broker.port) as heard:
        said = output(broker.url, topic=topic, version=version)
        for n in range(1, 201):
            said.tell(told(n, events=[event(n)] if n % 50 == 0 else []))
        until(lambda: len(heard.of(f"{topic}/pump/00/clip")) == 200 and said.said == 200)
        said.close(PATIENCE)
        clips = [json.loads(one)["row"] for one in heard.of(f"{topic}/pump/00/clip")]
        assert clips == list(range(1, 201))
        alarms = [json.loads(one)["id"] for one in heard.of(f"{topic}/pump/00/alarm")]
        assert alarms == [50, 100, 150, 200]
        until(lambda: heard.of(f"{topic}/status")[-1:] == ["offline"])
        assert heard.of(f"{topic}/status") == ["online", "offline"]
        states = [json.loads(one)["clips"] for one in heard.of(f"{topic}/pump/00/state")]
        assert states == sorted(states)
        assert states[-1] == 200
        assert (said.health.queued, said.health.lost, said.health.trouble) == (0, 0, "")
    assert "nearfar mqtt" not in threads()


@pytest.mark.slow
def test_who_comes_late_finds_states_and_devices_by_what_is_retained(broker, topic):
    said = output(broker.url, topic=topic, discovery=f"{topic}/ha")
    for number, name in enumerate(NAMES, 1):
        said.tell(told(number, name, events=[event(number, machine=name)]))
    said.tell(told(20, clip=False, alarms=(standing(),)))
    said.close(PATIENCE)
    with listening(broker.port) as heard:
        mine = [one for one in heard.heard if one[0].startswith(topic)]
        until(lambda: len([o for o in heard.heard if o[0].startswith(topic)]) == 2 * len(NAMES) + 1)
        mine = {one[0]: one for one in heard.heard if one[0].startswith(topic)}
    assert all(retained for _, _, retained in mine.values())
    assert not any(name.endswith(("clip", "alarm")) for name in mine)  # happenings, not states
    states = [json.loads(p) for t, p, _ in mine.values() if t.endswith("/state")]
    assert {json.dumps(s["machine"]) for s in states} == {
        json.dumps(name.replace("\udcff", "\\udcff")) for name in NAMES
    }
    assert json.loads(mine[f"{topic}/pump/00/state"][1])["sound"] == "active"
    devices = [json.loads(p) for t, p, _ in mine.values() if t.endswith("/config")]
    ids = [part["unique_id"] for one in devices for part in one["components"].values()]
    assert len(devices) == len(NAMES)
    assert len(ids) == len(set(ids))
    # What a device points to is there.
    assert {one["state_topic"] for one in devices} == {t for t in mine if t.endswith("/state")}
    assert {one["availability_topic"] for one in devices} == {f"{topic}/status"}


@pytest.fixture
def gate(monkeypatch):
    """Closed, no connection is begun."""
    made, real = threading.Event(), Connection.open
    made.set()
    monkeypatch.setattr(Connection, "open", lambda self: made.wait(PATIENCE) and real(self))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("version", [3, 5])
def test_a_broker_killed_and_started_again_is_told_what_it_missed(tmp_path, version, gate):
    with Mosquitto(tmp_path / "m") as broker:
        said = output(broker.url, version=version)
        said.tell(told(1, events=[event(1)]))
        until(lambda: said.said == 1)
        broker.kill()
        for n in range(2, 302):
            said.tell(told(n, events=[event(n)] if n % 100 == 0 else []))
        until(lambda: said.health.trouble)
        assert not said.health.up
        assert said.health.queued == 303
        assert said.said == 1
        gate.clear()
        broker.start()
        with listening(broker.port) as heard:
            gate.set()
            until(lambda: said.said == 300 and len(heard.of("/clip")) >= 300)
            assert said.health.up
            assert not said.health.trouble
            said.close(PATIENCE)
        rows = [json.loads(one)["row"] for one in heard.of("/clip")]
        assert rows == list(range(2, 302)), "missed ones, once and in order"
        assert [json.loads(one)["id"] for one in heard.of("/alarm")] == [100, 200, 300]
        # It keeps nothing on disk: who looks now finds everything nevertheless.
        with listening(broker.port) as late:
            until(lambda: len([o for o in late.heard if o[2]]) >= 3)
            assert {t.rsplit("/", 1)[1] for t, _, retained in late.heard if retained} == {
                "status", "state", "config",
            }  # fmt: skip


@pytest.mark.slow
def test_what_was_on_its_way_when_the_broker_died_is_said_again(tmp_path, gate):
    broker = Mosquitto(tmp_path / "m")
    with socket.create_server(("127.0.0.1", broker.port)) as silent:
        said = output(broker.url)
        said.tell(told(1, events=[event(1)]))
        there, _ = silent.accept()
        there.recv(1000)
        there.sendall(b"\x20\x02\x00\x00")  # CONNACK: come in. And never a word more.
        until(lambda: said.health.up)
        until(lambda: len(said._flying) >= 4)
        gate.clear()
        there.close()
    assert said.said == 0
    assert said.health.queued == 2
    with broker, listening(broker.port) as heard:
        gate.set()
        until(lambda: said.said == 1 and len(heard.of("/clip")) == 1)
        said.close(PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("version", [3, 5])
def test_a_wrong_password_is_one_line_and_the_right_one_gets_in(tmp_path, version):
    words = tmp_path / "words"
    program = server("mosquitto_passwd", "mosquitto")
    subprocess.run([program, "-b", "-c", words, "watch", "right"], check=True, capture_output=True)
    with Mosquitto(tmp_path / "m", f"password_file {words}", anonymous=False) as broker:
        for secrets in ({USER: "watch", PASSWORD: "wrong"}, {}):
            said = output(broker.url, environ=secrets, version=version)
            for n in range(5):
                said.tell(told(n, events=[event(n + 1)]))
            until(lambda said=said: said.health.trouble)
            assert PASSWORD in said.health.trouble
            assert "\n" not in said.health.trouble
            assert "wrong" not in said.health.trouble.replace("is wrong", "")
            assert said.health.queued == 10
            assert not said.health.up
            said.close(patience=0.1)
            assert said.said == 0
        with listening(broker.port, user="watch", password="right") as heard:
            said = output(broker.url, environ={USER: "watch", PASSWORD: "right"}, version=version)
            said.tell(told(1, events=[event(1)]))
            until(lambda: said.said == 1 and heard.of("/clip"))
            said.close(PATIENCE)


@pytest.mark.slow
def test_a_password_mended_at_the_broker_is_found_by_itself(tmp_path):
    words, program = tmp_path / "words", server("mosquitto_passwd", "mosquitto")
    subprocess.run([program, "-b", "-c", words, "watch", "old"], check=True, capture_output=True)
    with Mosquitto(tmp_path / "m", f"password_file {words}", anonymous=False) as broker:
        said = output(broker.url, environ={USER: "watch", PASSWORD: "new"})
        said.tell(told(1, events=[event(1)]))
        until(lambda: said.health.trouble)
        broker.kill()
        subprocess.run([program, "-b", words, "watch", "new"], check=True, capture_output=True)
        broker.start()
        until(lambda: said.said == 1)
        said.close(PATIENCE)


def certificates(folder):
    """A CA, a certificate that it gave to this machine, and another CA."""
    program = server("openssl", "openssl")

    def run(*words):
        subprocess.run([program, *map(str, words)], check=True, capture_output=True, cwd=folder)

    folder.mkdir()
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("ca", "other"):
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    for name in ("broker", "watch"):
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout",
            f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", "san", "-out", f"{name}.pem")  # fmt: skip
    return folder


@pytest.mark.slow
def test_tls_trusts_the_right_ca_alone_and_proves_who_we_are(tmp_path):
    at = certificates(tmp_path / "tls")
    lines = [f"cafile {at / 'ca.pem'}", f"certfile {at / 'broker.pem'}",
             f"keyfile {at / 'broker.key'}", "require_certificate true"]  # fmt: skip
    with Mosquitto(tmp_path / "m", *lines) as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        ours = {"cert": at / "watch.pem", "key": at / "watch.key"}
        said = output(url, ca=at / "other.pem", **ours)
        said.tell(told(1))
        until(lambda: said.health.trouble)
        assert "not trusted" in said.health.trouble
        assert "CA" in said.health.trouble
        said.close(patience=0)
        said = output(url, **ours)  # the CAs of the system know nothing of ours
        until(lambda: said.health.trouble)
        assert "not trusted" in said.health.trouble
        said.close(patience=0)
        said = output(broker.url)  # no TLS where TLS is asked for
        until(lambda: said.health.trouble)
        assert "mqtts://" in said.health.trouble
        said.close(patience=0)
        context = ssl.create_default_context(cafile=at / "ca.pem")
        context.load_cert_chain(at / "watch.pem", at / "watch.key")
        with listening(broker.port, tls=context) as heard:
            said = output(url, ca=at / "ca.pem", **ours)
            for n in range(1, 501):
                said.tell(told(n))
            until(lambda: len(heard.of("/clip")) == 500)
            said.close(PATIENCE)
            assert said.health.lost == 0


CHILD = """
import sys, time
from bulletins import told
from nearfar.service.outputs.connection import Connection
from nearfar.service.outputs.mqtt import MqttOutput
said = MqttOutput(sys.argv[1], environ={}, topic=sys.argv[2])
said.start()
said.tell(told(1))
while said.health.queued or not said.health.up:
    time.sleep(0.01)
print("told", flush=True)
time.sleep(1e6)
"""


@pytest.mark.slow
def test_the_broker_says_offline_of_a_watch_that_was_killed(broker, topic):
    with listening(broker.port) as heard:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, broker.url, topic], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        try:
            assert child.stdout.readline() == "told\n"
            until(lambda: heard.of(f"{topic}/status") == ["online"])
            child.kill()
            until(lambda: heard.of(f"{topic}/status") == ["online", "offline"])
        finally:
            stop([child])


@pytest.mark.slow
def test_what_a_broker_refuses_is_lost_and_told_and_the_rest_arrives(tmp_path):
    """By an access list; only MQTT 5 tells us so, and Mosquitto 2.0.11 hangs up besides."""
    allowed = tmp_path / "acl"
    allowed.write_text("topic readwrite nearfar/status\ntopic readwrite nearfar/+/+/clip\n")
    with (
        Mosquitto(tmp_path / "m", f"acl_file {allowed}") as broker,
        listening(broker.port) as heard,
    ):
        said = output(broker.url, version=5)
        for n in range(1, 4):
            said.tell(told(n, events=[event(n)]))
        until(lambda: said.health.queued == 0)
        assert said.health.lost == 3
        assert said.said == 3  # given up: they are not told for ever
        assert "refuses nearfar" in said.health.trouble or "homeassistant" in said.health.trouble
        until(lambda: len(heard.of("/clip")) >= 3)
        said.close(PATIENCE)


@pytest.mark.slow
def test_a_fault_of_ours_ends_a_connection_and_nothing_is_lost(broker, topic, monkeypatch):
    monkeypatch.setattr(teller, "AFTER_A_FAULT", 0.01)
    faults = iter([True, True])
    real = Connection.publish

    def publish(self, topic, payload, *, retain):
        if topic.endswith("/clip") and next(faults, False):
            raise ValueError("an odd thing")
        return real(self, topic, payload, retain=retain)

    monkeypatch.setattr(Connection, "publish", publish)
    with listening(broker.port) as heard:
        said = output(broker.url, topic=topic)
        for n in range(1, 21):
            said.tell(told(n, events=[event(n)]))
        until(lambda: said.said == 20 and len(heard.of(f"{topic}/pump/00/clip")) == 20)
        said.close(PATIENCE)
    assert [json.loads(one)["id"] for one in heard.of(f"{topic}/pump/00/alarm")][-20:] == list(
        range(1, 21)
    )


@pytest.mark.slow
def test_two_watches_of_one_name_say_so(broker, topic):
    both = [output(broker.url, topic=topic) for _ in range(2)]
    until(lambda: any("another watch" in one.health.trouble for one in both))
    for one in both:
        one.close(patience=0)


@pytest.mark.slow
def test_closing_says_what_is_queued_if_the_broker_comes_in_time(tmp_path):
    broker = Mosquitto(tmp_path / "m")
    said = output(broker.url)
    said.tell(told(1, events=[event(1)]))
    until(lambda: said.health.trouble)
    with broker:
        said.close(PATIENCE)
        assert said.said == 1
        assert said.health.queued == 0
        with listening(broker.port) as heard:
            until(lambda: heard.of("/status"))
            assert heard.of("/status") == ["offline"]
