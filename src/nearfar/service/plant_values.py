"""Values that a plant.toml and the options of `nearfar watch` have in common, as people write them.

Each reads one, and says in a SettingError what it is instead.
"""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlsplit

from nearfar.clips.moments import clock
from nearfar.clips.pairs import pairing
from nearfar.errors import SettingError
from nearfar.scores.alarms import AlarmRule
from nearfar.service.amounts import duration
from nearfar.service.plant import MQTT_SECRETS
from nearfar.service.toml_table import shown, text_of

SHORTEST_KEPT = 3600.0  # s that rows are kept at least
BROKERS = {"mqtt": 1883, "mqtts": 8883}  # scheme → port, as IANA has them
QUIETEST = -199.0  # dBFS; below lies nothing that a converter gives, so all is above it


def rule(value: Any) -> AlarmRule:
    """k of the last n.

    >>> rule("3/5")
    AlarmRule(least=3, of=5)
    """
    try:
        return AlarmRule.read(value if isinstance(value, str) else "")
    except SettingError:
        raise SettingError(
            f'{shown(value)}; it is k/n, as "3/5" for at least 3 of the last 5; n is at most 1000'
        ) from None


def gate(value: Any) -> float:
    """The near level in dBFS below which a machine does not run; "off": it always does.

    >>> gate(-55), gate("off")
    (-55.0, -199.0)
    """
    if value == "off":
        return QUIETEST
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not QUIETEST <= value < 0:
        raise SettingError(f'{shown(value)}; it is a level in dBFS, as -55, or "off"')
    return float(value)


def share(value: Any) -> float:
    """A share of normal clips, above 0 and below 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < 1:
        raise SettingError(f"{shown(value)}; it is a share above 0 and below 1, as 0.01")
    return float(value)


def p_value(value: Any) -> float:
    """A chance above 0 and below 1."""
    try:
        return share(value)
    except SettingError:
        raise SettingError(f"{shown(value)}; it is a p-value above 0 and below 1, as 0.2") from None


def pause(value: Any) -> float:
    """Seconds between clips."""
    seconds = duration(value)
    if seconds <= 0:
        raise SettingError(f'{shown(value)}; it is a duration above none, as "10s"')
    return seconds


def retention(value: Any) -> float:
    """Seconds that rows are kept, an hour at least; the unit must be said.

    What is pruned is gone: a number without its unit, or seconds for days, would empty a history.

    >>> retention("90d")
    7776000.0
    """
    seconds = duration(value)
    if not isinstance(value, str) or not value.strip()[-1:].isalpha():
        raise SettingError(f'{shown(value)}; say its unit, as "90d"')
    if seconds < SHORTEST_KEPT:
        raise SettingError(
            f'{shown(value)}: what was heard just now would be removed; it is at least 1h, as "90d"'
        )
    return seconds


def pair_of(value: Any) -> str:
    """How mono files pair."""
    pairing(text_of(value))
    return str(value)


def time_pattern(value: Any) -> str:
    """How names tell the time."""
    clock(text_of(value))
    return str(value)


def broker(value: Any) -> str:
    """Where an MQTT broker is; secrets are not in it.

    >>> broker("mqtts://broker.plant:8883")
    'mqtts://broker.plant:8883'
    """
    text = text_of(value)
    parts = parted(text)
    if parts is not None and (parts.username is not None or parts.password is not None):
        raise SettingError(
            "a URL with a user or password in it; leave them out, and set "
            f"{' and '.join(MQTT_SECRETS)} in the environment"
        )
    if parts is None or parts.scheme not in BROKERS or not parts.hostname or parts.path.strip("/"):
        raise SettingError(
            f'{shown(value)}; it is where a broker is, as "mqtt://broker:1883", or mqtts:// with '
            "TLS"
        )
    return text


def address(value: Any) -> str:
    """HOST:PORT that a server listens on.

    >>> address("127.0.0.1:9600"), address("[::1]:9600")
    ('127.0.0.1:9600', '[::1]:9600')
    """
    text = text_of(value)
    parts = parted(f"//{text}")
    if parts is None or not parts.hostname or not parts.port or parts.netloc != text:
        raise SettingError(
            f'{shown(value)}; it is HOST:PORT to listen on, as "127.0.0.1:9600" for this computer '
            "alone"
        )
    return text


def mqtt_version(value: Any) -> Any:
    """3 or 5."""
    if value not in (3, 5) or isinstance(value, bool):
        raise SettingError(f"{shown(value)}; it is 3, which is 3.1.1, or 5")
    return value


def parted(text: str) -> Any:
    """The parts of a URL; None where it is none.

    >>> parted("mqtt://[::") is None, parted("mqtt://broker:1883").port
    (True, 1883)
    """
    try:
        parts = urlsplit(text)
        _ = parts.port  # looked at late, and refused then
    except ValueError:
        return None
    return parts


def command(value: Any) -> str:
    """A program and its arguments, as a text or a list; no shell ever sees it.

    >>> command(["/usr/local/bin/call", "the night shift"])
    "/usr/local/bin/call 'the night shift'"
    """
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return shlex.join(value)
    text = text_of(value)
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that is not closed
        words = []
    if not words or not words[0]:
        raise SettingError(f'{shown(value)}; it is a program and its arguments, as "mail-us -v"')
    return text
