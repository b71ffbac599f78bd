"""Names of machines as levels of a topic, and as the identifiers that Home Assistant takes."""

from __future__ import annotations

import re
from hashlib import sha256

from nearfar.errors import SettingError

# Signs of MQTT itself, and the one that we spell the others with.
SIGNS = frozenset("+#/%")
LONGEST = 200  # bytes of a level; topics have 65,535 in all, and people read them
EMPTY = "%"  # a level of no name: no spelled sign is so short


def level(name: str) -> str:
    r"""A name as one level of a topic; two names never give the same one.

    >>> level("pump 7"), level("hall/a+b"), level("a\n"), level("")
    ('pump 7', 'hall%2Fa%2Bb', 'a%0A', '%')
    """
    spelled = "".join(map(_spelled, name)) or EMPTY
    if len(spelled.encode()) <= LONGEST:
        return spelled
    return f"{spelled[:40]}%~{sha256(_bytes(name)).hexdigest()[:24]}"


def _spelled(sign: str) -> str:
    # Brokers close the connection on control characters and on code points that are no characters.
    if sign.isprintable() and sign not in SIGNS:
        return sign
    return "".join(f"%{byte:02X}" for byte in _bytes(sign))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def prefix(topic: str, what: str = "topic") -> str:
    """The levels before a machine's, as a person chose them.

    Raises:
        SettingError: a broker would refuse it.

    >>> prefix("plant/nearfar")
    'plant/nearfar'
    >>> prefix("plant/#")
    Traceback (most recent call last):
    nearfar.errors.SettingError: topic 'plant/#': no + or # in it; take plant/nearfar, for instance
    """
    good = (
        topic.isprintable() and len(_bytes(topic)) <= LONGEST and not SIGNS & set("+#") & set(topic)
    )
    if good and topic and not topic.startswith(("$", "/")) and not topic.endswith("/"):
        return topic
    why = "no + or # in it"
    if not set("+#") & set(topic):
        why = f"1 to {LONGEST} bytes that print, not begun with $ or /, not ended with /"
    raise SettingError(f"{what} {topic!r}: {why}; take plant/nearfar, for instance")


def identifier(topic: str, machine: str, section: str) -> str:
    """What a machine is known by in Home Assistant: signs that it takes, unlike every other.

    >>> identifier("nearfar", "Pump 7/a", "00")
    'nearfar_pump_7_a_00_8daa9062'
    """
    words = re.sub(r"[^a-z0-9]+", "_", f"nearfar {machine} {section}".lower()).strip("_")
    # The same machine told of by two plants is two devices.
    whole = "\0".join((topic, machine, section))
    return f"{words[:60]}_{sha256(_bytes(whole)).hexdigest()[:8]}"
