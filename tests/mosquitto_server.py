"""A real MQTT broker on this machine, and a client that writes down what it hears."""

import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

from conftest import PATIENCE, free_port
from servers import server


class Mosquitto:
    """A broker on loopback: `start`, `kill` and start again, on the same port.

    It keeps nothing on disk: after a restart it has lost what it retained.
    """

    def __init__(self, folder, *lines, anonymous=True):
        self.program = server("mosquitto", "mosquitto")
        self.folder, self.port, self.process = folder, int(free_port()), None
        folder.mkdir(parents=True, exist_ok=True)
        settings = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(anonymous).lower()}",
            "persistence false",
            "max_queued_messages 0",  # for a subscriber that is slower than we are
            f"log_dest file {folder / 'log'}",
            *(["user root"] if os.geteuid() == 0 else []),  # else it could not read our files
            *lines,
        ]
        (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "-c", self.folder / "mosquitto.conf"], stderr=subprocess.DEVNULL
        )
        until(lambda: self.listens(), self.process)

    def listens(self):
        with socket.socket() as there:
            return there.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def until(condition, process=None):
    """Wait for something to be so; what never is ends the test."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process is None or process.poll() is None, "it ended"
        time.sleep(0.01)


class Listener:
    """What a client that subscribes to everything has heard: (topic, payload, retained)."""

    def __init__(self, port, user=None, password=None, tls=None):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard, self.subscribed = [], threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda c, d, m: self.heard.append(
            (m.topic, m.payload.decode(), m.retain)
        )
        self.client.on_connect = lambda c, *_: c.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.reconnect_delay_set(1, 1)
        if user:
            self.client.username_pw_set(user, password)
        if tls is not None:
            self.client.tls_set_context(tls)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.subscribed.wait(PATIENCE)

    def of(self, ending):
        """Payloads of topics with an ending."""
        return [payload for topic, payload, _ in list(self.heard) if topic.endswith(ending)]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def listening(port, **options):
    listener = Listener(port, **options)
    try:
        yield listener
    finally:
        listener.close()
