"""One connection to an MQTT broker, from the moment it is asked for until it is over."""

from __future__ import annotations

import selectors
import socket
import ssl
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from nearfar.errors import needs
from nearfar.service.outputs.broker import PASSWORD, USER, Broker
from nearfar.text import one_line

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

KEEPALIVE = 20  # s between signs of life; a broker that is silent for two of these is gone
WINDOW = 100  # messages on their way at once; a broker of version 5 may say fewer
ANSWER = 5.0  # s for each of: connecting, TLS, the broker's first word
TURN = 2.0  # s at most between looks at the clock
# Reasons of CONNACK that no trying again mends: a person has to do something.
REFUSALS = {
    "Bad user name or password": "user or password is wrong",
    "Not authorized": "it lets nobody in without the right user and password",
    "Banned": "it has banned us",
    "Client identifier not valid": "it does not take our client id",
    "Unsupported protocol version": "it does not speak this version of MQTT; take the other",
}


class _Socket(ssl.SSLSocket):
    """One that is closed where the other side is not trusted; paho would leave it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Connection:
    """A connection that one thread opens, uses and closes; nothing of it blocks but `open`.

    Args:
        broker: where to.
        context: of TLS, or None.
        client_id: what the broker calls us.
        version: of MQTT, 3 (3.1.1) or 5.
        will: topic where the broker says `offline`, retained, once we are gone without a word.

    >>> at = Connection(Broker("127.0.0.1", 1), None, client_id="n", version=3, will="n/status")
    >>> at.open()  # nobody listens there
    >>> at.up, at.over
    (False, 'Connection refused')
    """

    def __init__(
        self, broker: Broker, context: ssl.SSLContext | None, *, client_id: str, version: int,
        will: str,
    ) -> None:  # fmt: skip
        self.up = False
        self.over = ""  # why it is over
        self.refused = False  # by a broker that was reached
        self.window = WINDOW
        # Messages that the broker has: number, and why it did not take it ("" where it did).
        self.acknowledged: deque[tuple[int, str]] = deque()
        self._broker = broker
        self._context = context
        self._chooser = selectors.DefaultSelector()
        self._client = _client(client_id, version)
        self._client.max_inflight_messages_set(0)  # ours is the window
        self._client.connect_timeout = ANSWER
        self._client.will_set(will, "offline", qos=1, retain=True)
        if broker.user is not None:
            self._client.username_pw_set(broker.user, broker.password)
        if context is not None:
            context.sslsocket_class = _Socket
            self._client.tls_set_context(context)
        self._client.on_connect = self._answered
        self._client.on_disconnect = self._left
        self._client.on_publish = self._heard

    def open(self) -> None:
        """Connect, and ask to be let in; `up` comes later, of a `turn`."""
        try:
            self._client.connect(self._broker.host, self._broker.port, KEEPALIVE)
            self._chooser.register(self._socket(), selectors.EVENT_READ)
        except (OSError, ValueError) as error:  # ValueError: a host that is no name
            self._end(_why(error))
        self._deadline = monotonic() + ANSWER

    def watch(self, waker: socket.socket) -> None:
        """End a turn early when there is something to read here."""
        self._chooser.register(waker, selectors.EVENT_READ)

    def publish(self, topic: str, payload: str, *, retain: bool) -> int:
        """Hand a message over, to be acknowledged by its number."""
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    def turn(self, seconds: float = TURN) -> None:
        """Read and write what there is; wait at most so long for it."""
        here = self._client.socket()
        if here is None:
            return self._end("the connection broke")
        events = selectors.EVENT_READ
        if self._client.want_write():
            events |= selectors.EVENT_WRITE
        self._chooser.modify(self._socket(), events)
        # TLS decrypts more than is asked for: what it holds, no select tells of.
        held = isinstance(here, ssl.SSLSocket) and here.pending() > 0
        wait = TURN if self.up else min(TURN, max(self._deadline - monotonic(), 0.0))
        found = self._chooser.select(0 if held else min(seconds, wait))
        ready = {key.fileobj: mask for key, mask in found}
        at_hand = ready.get(here, 0)
        if held or at_hand & selectors.EVENT_READ:
            self._client.loop_read()
        if at_hand & selectors.EVENT_WRITE and self._client.socket() is not None:
            self._client.loop_write()
        self._client.loop_misc()
        if not self.up and monotonic() > self._deadline:
            self._end(f"no answer within {ANSWER:g} s; is that an MQTT broker?")
        return None

    def close(self) -> None:
        """Take leave, if that is still possible; every file of it is closed."""
        self._chooser.close()
        self.over = self.over or "closed"
        if self.up:
            self._client.disconnect()
            self._client.loop_write()
        if (here := self._client.socket()) is not None:
            here.close()
        self.up = False

    def _socket(self) -> Any:
        # As the selectors of Python know it; paho has a narrower notion.
        return self._client.socket()

    def _end(self, why: str) -> None:
        self.up = False
        self.over = self.over or why

    def _answered(
        self, client: Client, data: Any, flags: ConnectFlags, reason: ReasonCode,
        properties: Properties | None,
    ) -> None:  # fmt: skip
        if reason.is_failure:
            self.refused = str(reason) in REFUSALS
            self._end(self._refusal(str(reason)))
            return
        self.up = True
        if properties is not None:
            said: dict[str, Any] = properties.json()  # type: ignore[no-untyped-call]
            self.window = min(WINDOW, said.get("ReceiveMaximum", WINDOW))

    def _refusal(self, reason: str) -> str:
        said = REFUSALS.get(reason, "it does not let us in")
        way = f"; set {USER} and {PASSWORD}" if "password" in said else ""
        return f"{said} ({reason}){way}"

    def _left(
        self, client: Client, data: Any, flags: DisconnectFlags, reason: ReasonCode,
        properties: Properties | None,
    ) -> None:  # fmt: skip
        if flags.is_disconnect_packet_from_server:
            self._end(f"the broker ended the connection ({reason})")
        elif not self.up and self._context is None:
            self._end("the connection broke before an answer; does it ask for TLS (mqtts://)?")
        else:
            self._end("the connection broke")

    def _heard(
        self, client: Client, data: Any, mid: int, reason: ReasonCode, properties: Properties
    ) -> None:
        self.acknowledged.append((mid, str(reason) if reason.is_failure else ""))


def _client(client_id: str, version: int) -> Client:
    with needs("plant", "MQTT needs paho-mqtt"):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
    return Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False
    )


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); "
            "name the CA that vouches for it, or the name that it vouches for"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or one_line(error)}); does it ask for it (mqtt://)?"
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER:g} s"
    return one_line(error.strerror if isinstance(error, OSError) and error.strerror else error)
