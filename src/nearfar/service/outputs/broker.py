"""Where an MQTT broker is, and how we prove who we are."""

from __future__ import annotations

import socket
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from nearfar.errors import SettingError, warn
from nearfar.text import one_line

USER, PASSWORD = "NEARFAR_MQTT_USER", "NEARFAR_MQTT_PASSWORD"
PORTS = {"mqtt": 1883, "mqtts": 8883}
LOOPBACK = ("localhost", "127.", "::1")
FORM = "mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS"


@dataclass(frozen=True)
class Broker:
    """A broker, as a URL and the environment say.

    >>> Broker.of("mqtt://hall.example").port, Broker.of("mqtts://[::1]:9883").host
    (1883, '::1')
    """

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None  # None: those that the system trusts
    cert: Path | None = None  # our own, with its key
    key: Path | None = None

    @classmethod
    def of(
        cls,
        url: str,
        environ: Mapping[str, str] | None = None,
        *,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> Broker:
        """The broker of a URL.

        Args:
            url: mqtt://HOST[:PORT] or mqtts://HOST[:PORT].
            environ: has `NEARFAR_MQTT_USER` and `NEARFAR_MQTT_PASSWORD`, if a broker asks.
            ca: whom we trust to vouch for the broker, PEM.
            cert: whom the broker knows us by, PEM, with its `key`.

        Raises:
            SettingError: no such URL, a password in it, or settings that do not go together.
        """
        host, port, tls = _read_url(url)
        user, password = (_secret(environ or {}, name) for name in (USER, PASSWORD))
        if password is not None and user is None:
            raise SettingError(f"{PASSWORD} is set and {USER} is not; set both")
        if not tls and (ca or cert or key):
            raise SettingError(f"{url}: a certificate needs TLS; take mqtts://")
        if (cert is None) != (key is None):
            raise SettingError("a certificate of our own has a key; name both files")
        if user is not None and not tls and not host.startswith(LOOPBACK):
            warn(f"{url}: {PASSWORD} goes there unencrypted; take mqtts:// where the broker has it")
        return cls(host, port, tls, user, password, ca, cert, key)

    @property
    def url(self) -> str:
        """As people read it; it has no secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.tls}://{host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without TLS.

        Raises:
            SettingError: a file that is not there, or is no certificate or key.
        """
        if not self.tls:
            return None
        made = self._trusting()
        if self.cert is not None:
            try:
                # A password of the key would be asked for on the terminal: "" fails instead.
                made.load_cert_chain(self.cert, self.key, password="")
            except (OSError, ValueError) as error:
                raise SettingError(
                    f"{self.cert} and {self.key}: cannot be used as certificate and key "
                    f"({one_line(error)}); give PEM files, the key without a password"
                ) from None
        return made

    def _trusting(self) -> ssl.SSLContext:
        if self.ca is not None and stat.S_ISFIFO(_mode(self.ca)):
            raise SettingError(f"{self.ca}: is a pipe, whose other end may never come; give a file")
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ValueError) as error:
            raise SettingError(
                f"{self.ca}: cannot be used as certificate of a CA ({one_line(error)}); "
                "give a PEM file"
            ) from None

    def client_id(self, topic: str) -> str:
        """A name that is the same after a restart, so that a broker ends what we left behind.

        >>> len(Broker("hall", 1883).client_id("nearfar"))  # every broker takes up to 23
        20
        """
        whole = f"{socket.gethostname()}\0{topic}"
        return f"nearfar-{sha256(whole.encode()).hexdigest()[:12]}"


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:  # reading it says why
        return 0


def _secret(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if value is None or value.isprintable():
        return value or None
    raise SettingError(f"{name}: has characters that cannot be printed; set it anew")


def _read_url(url: str) -> tuple[str, int, bool]:
    if "@" in url:
        # Command lines are seen by everybody on the machine, and kept by shells. Said without it.
        raise SettingError(
            f"broker …@{url.rpartition('@')[2]}: user and password come from the environment, "
            f"never from the URL; set {USER} and {PASSWORD}"
        )
    try:
        found = urlsplit(url)
        host, port = found.hostname, found.port
    except ValueError:  # a port that is no number, a bracket that is not closed
        raise SettingError(f"broker {url!r}: no URL; it is {FORM}") from None
    if found.scheme not in PORTS or not host:
        raise SettingError(f"broker {url!r}: no URL of a broker; it is {FORM}")
    if found.path.strip("/") or found.query or found.fragment:
        raise SettingError(f"broker {url!r}: nothing follows the port; it is {FORM}")
    if port == 0:
        raise SettingError(f"broker {url!r}: port 0 is none; it is {FORM}")
    return host, port or PORTS[found.scheme], found.scheme == "mqtts"
