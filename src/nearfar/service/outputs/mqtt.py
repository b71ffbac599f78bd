"""Telling an MQTT broker: each clip and alarm once it is acknowledged, the state of each machine.

docs/outputs-live.md has the topics. One thread does all; whoever tells only leaves a parcel.
"""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

from nearfar.errors import SettingError, needs, printable
from nearfar.service.news import Bulletin, MachineNow
from nearfar.service.outputs.broker import Broker
from nearfar.service.outputs.connection import Connection
from nearfar.service.outputs.discovery import discovery_json
from nearfar.service.outputs.outbox import Parcel
from nearfar.service.outputs.said import clip_json, event_json, state_json
from nearfar.service.outputs.teller import Teller
from nearfar.service.outputs.topics import identifier, level, prefix

Key = tuple[str, str]  # machine and section
BRIEF = 5.0  # s: a connection that ends sooner may have ended for what it was sent
STRIKES = 3  # such ends with one message alone on its way, until that is not sent any more
SHUNNED = 600.0  # s that a topic is left alone which the broker refuses
GOODBYE = 1.0  # s, beyond its patience, for saying that we are offline


@dataclass(frozen=True)
class Waits:
    """Seconds between tries to reach a broker.

    >>> Waits().refused
    60.0
    """

    first: float = 0.5
    most: float = 30.0  # each is twice the one before, up to here
    refused: float = 60.0  # where a person has to do something; some brokers lock out who hurries


@dataclass(frozen=True)
class _Message:
    topic: str
    payload: str
    retain: bool
    parcel: Parcel | None = None  # said once this is acknowledged


class MqttOutput(Teller):
    """Tells an MQTT broker.

    Args:
        url: mqtt://HOST[:PORT] or mqtts://HOST[:PORT].
        environ: has `NEARFAR_MQTT_USER` and `NEARFAR_MQTT_PASSWORD`, if the broker asks for them.
        ca: PEM of the CA that vouches for the broker; None: those that the system trusts.
        cert: PEM of our own certificate, with its `key`.
        topic: what all topics begin with; one watch has it for itself.
        discovery: where Home Assistant looks for devices; "": it is not told of any.
        version: of MQTT, 3 (3.1.1) or 5.
        most: clips and events that wait for the broker; beyond it the oldest are lost.
        waits: between tries.

    Raises:
        SettingError: settings that can never work.

    >>> told = MqttOutput("mqtt://127.0.0.1:1", environ={})
    >>> told.start()  # a broker that is down is no error
    >>> told.close(patience=0)
    >>> told.health.up, told.said
    (False, 0)
    """

    name = "mqtt"
    wants_clips = True

    def __init__(
        self,
        url: str,
        *,
        environ: Mapping[str, str] | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        topic: str = "nearfar",
        discovery: str = "homeassistant",
        version: int = 3,
        most: int = 10_000,
        waits: Waits = Waits(),
    ) -> None:
        super().__init__(most)
        if version not in (3, 5):
            raise SettingError(f"version {version} of MQTT: it is 3 (3.1.1) or 5")
        secrets = os.environ if environ is None else environ
        self._broker = Broker.of(url, secrets, ca=ca, cert=cert, key=key)
        self._topic = prefix(topic)
        self._discovery = prefix(discovery, "discovery") if discovery else ""
        self._version = version
        self._waits = waits
        self._wait = waits.first
        self._up = False
        self._connection: Connection | None = None
        self._line: deque[_Message] = deque()  # to be handed over next
        self._flying: dict[int, _Message] = {}  # handed over, not acknowledged
        self._since, self._briefs = 0.0, 0  # when it connected; brief connections in a row
        self._strikes: Counter[str] = Counter()
        self._shunned: dict[str, float] = {}  # topic → until when
        self._refusal = ""  # the last, a line
        self._lock = Lock()
        self._states: dict[Key, MachineNow] = {}  # of all machines
        self._due: dict[Key, None] = {}  # machines whose state has changed, in that order
        self._fresh: dict[Key, None] = {}  # those that this connection was told nothing of
        # Ringing the one ends a wait at the other; opened when it begins.
        self._bell, self._waker = socket.socket(), socket.socket()
        for end in (self._bell, self._waker):
            end.close()

    def start(self) -> None:
        """Begin; a broker that is down is a trouble, told by `health`.

        Raises:
            NearfarError: certificates that cannot be used, or no MQTT client is installed.
        """
        with needs("plant", "MQTT needs paho-mqtt"):
            import paho.mqtt.client  # noqa: F401
        self._context = self._broker.context()
        self._bell, self._waker = socket.socketpair()
        for end in (self._bell, self._waker):
            end.setblocking(False)
        super().start()

    def tell(self, bulletin: Bulletin) -> None:
        """Take what is to be said; of a machine's states only the last is said."""
        key = _key(bulletin)
        with self._lock:
            if key not in self._states:
                self._fresh[key] = None
            self._states[key] = bulletin.machine
            self._due[key] = None
        super().tell(bulletin)

    def close(self, patience: float = 5.0) -> None:
        """Say what is queued within so many seconds, and that we are offline."""
        super().close(patience)
        if not self._thread.is_alive():
            self._bell.close()
            self._waker.close()

    def check(self) -> None:
        """See whether it can work; a broker that is down is no error.

        Raises:
            NearfarError: certificates that cannot be used.
        """
        self._broker.context()

    def _wake(self) -> None:
        super()._wake()
        with suppress(OSError):  # it has rung often enough, or all is over
            self._bell.send(b".")

    @property
    def _ended(self) -> bool:
        if self._connection is not None and (
            self._line or self._flying or self._due or self._fresh
        ):
            return self._closing and monotonic() >= self._until
        return super()._ended

    def _work(self) -> None:
        if self._connection is None:
            self._connect()
            return
        self._hand_over(self._connection)
        self._turn(self._connection, self._left)
        if self._connection.over:
            self._lost(self._connection)

    def _recover(self) -> None:
        at, self._connection = self._connection, None
        if at is not None:
            with suppress(Exception):  # the fault may have been its own
                at.close()
        self._line.clear()
        self._flying.clear()
        super()._recover()

    def _end(self) -> None:
        if self._connection is None:
            return
        at, until = self._connection, monotonic() + GOODBYE
        self._line.clear()
        last = at.publish(f"{self._topic}/status", "offline", retain=True)
        self._flying[last] = _Message("", "", retain=True)
        while last in self._flying and not at.over and monotonic() < until:
            self._turn(at, until - monotonic())
        at.close()
        self._connection = None
        self._up = False

    def _connect(self) -> None:
        at = Connection(
            self._broker, self._context, client_id=self._broker.client_id(self._topic),
            version=self._version, will=f"{self._topic}/status",
        )  # fmt: skip
        at.open()
        if not at.over:
            at.watch(self._waker)
        while not at.up and not at.over and monotonic() < self._until:
            at.turn() if self._left is None else at.turn(self._left)
            self._drain()
        if not at.up:
            self._lost(at)
            return
        self._connection, self._since = at, monotonic()
        self._wait = self._waits.first
        self._works()
        self._trouble = self._refusal if self._shunned else ""
        # A broker without a memory of its own has lost what it retained.
        self._line.append(_Message(f"{self._topic}/status", "online", retain=True))
        with self._lock:
            self._fresh = dict.fromkeys(self._states)

    def _lost(self, at: Connection) -> None:
        at.close()
        brief = self._connection is not None and monotonic() - self._since < BRIEF
        self._briefs = self._briefs + 1 if brief else 0
        if brief and len(self._flying) == 1:
            self._strike(next(iter(self._flying.values())).topic)
        self._connection = None
        hint = "; does another watch tell the same topic?" if self._briefs >= STRIKES else ""
        self._failed(f"{self._broker.url}: {at.over}{hint}")
        self._line.clear()
        self._flying.clear()
        self._box.again()
        self._pause(self._waits.refused if at.refused else self._wait)
        self._wait = min(2 * self._wait, self._waits.most)

    def _strike(self, topic: str) -> None:
        """A connection ended with this alone on its way: some brokers so refuse a message."""
        self._strikes[topic] += 1
        if self._strikes[topic] >= STRIKES:
            self._shun(topic, "the connection broke each time")

    def _shun(self, topic: str, why: str) -> None:
        del self._strikes[topic]
        self._shunned[topic] = monotonic() + SHUNNED
        self._trouble = self._refusal = printable(f"{self._broker.url}: refuses {topic} ({why})")

    def _is_shunned(self, topic: str) -> bool:
        until = self._shunned.get(topic)
        if until is not None and until <= monotonic():  # perhaps somebody has mended it
            del self._shunned[topic]
            return False
        return until is not None

    def _turn(self, at: Connection, seconds: float | None) -> None:
        at.turn() if seconds is None else at.turn(seconds)
        self._drain()
        while at.acknowledged:
            number, refusal = at.acknowledged.popleft()
            message = self._flying.pop(number, None)
            if refusal and message is not None:
                # Mosquitto 2.0.11 hangs up besides: sent again it would do so for ever.
                self._shun(message.topic, refusal)
            if message is not None and message.parcel is not None:
                (self._box.lose if refusal else self._box.done)(message.parcel)

    def _drain(self) -> None:
        with suppress(OSError):  # nobody has rung
            self._waker.recv(4096)

    def _hand_over(self, at: Connection) -> None:
        # After a brief one, one by one: so it is known which message a broker hangs up on.
        careful = self._briefs > 0 and monotonic() - self._since < BRIEF
        window = 1 if careful else at.window
        while len(self._flying) < window and not at.over and (message := self._next()):
            if self._is_shunned(message.topic):
                if message.parcel is not None:
                    self._box.lose(message.parcel)
                continue
            number = at.publish(message.topic, message.payload, retain=message.retain)
            self._flying[number] = message

    def _next(self) -> _Message | None:
        if not self._line:
            self._fill()
        return self._line.popleft() if self._line else None

    def _fill(self) -> None:
        """Line up what is to be said next: machines that are new, what happened, how they are."""
        with self._lock:
            fresh = next(iter(self._fresh), None)
        if fresh is not None:
            self._line_up_state(fresh)
        elif parcel := self._box.take():
            self._line.append(self._told(parcel))
            # Right behind it: a machine's state may not wait until all that was missed is said.
            if (key := _key(parcel.bulletin)) in self._due:
                self._line_up_state(key)
        else:
            with self._lock:
                changed = next(iter(self._due), None)
            if changed is not None:
                self._line_up_state(changed)

    def _line_up_state(self, key: Key) -> None:
        with self._lock:
            fresh = key in self._fresh
            self._fresh.pop(key, None)
            self._due.pop(key, None)
            machine = self._states[key]
        topic = self._of(key, "state")
        if fresh and self._discovery:
            identity = identifier(self._topic, *key)
            told = discovery_json(identity, topic, f"{self._topic}/status", key)
            where = f"{self._discovery}/device/{identity}/config"
            self._line.append(_Message(where, told, retain=True))
        self._line.append(_Message(topic, state_json(machine), retain=True))

    def _told(self, parcel: Parcel) -> _Message:
        bulletin, key = parcel.bulletin, _key(parcel.bulletin)
        if parcel.event is not None:
            said = event_json(parcel.event)
            return _Message(self._of(key, "alarm"), said, retain=False, parcel=parcel)
        said = clip_json(bulletin.observation, bulletin.row) if bulletin.observation else ""
        return _Message(self._of(key, "clip"), said, retain=False, parcel=parcel)

    def _of(self, key: Key, what: str) -> str:
        return f"{self._topic}/{level(key[0])}/{level(key[1])}/{what}"


def _key(bulletin: Bulletin) -> Key:
    return bulletin.machine.machine, bulletin.machine.section
