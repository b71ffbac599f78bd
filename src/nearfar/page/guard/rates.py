"""How often an address does something, counted by the minute in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from nearfar.page.refusal import Refusal

MINUTE = 60.0  # s
ADDRESSES = 4096  # at once; of more the oldest begin anew, which lets nobody in


class TooOften(Refusal):
    """An address that asks too often.

    >>> TooOften("20 wrong tokens in a minute", 7)
    TooOften('20 wrong tokens in a minute; wait 7 s')
    """

    def __init__(self, line: str, wait: int) -> None:
        super().__init__(429, f"{line}; wait {wait} s")
        self.wait = wait


class Rates:
    """Counts what addresses do; each has so much a minute.

    Args:
        most: of one address within a minute.
        clock: seconds that only rise.

    >>> rates = Rates(2)
    >>> [rates.count("10.0.0.1") > 0 for _ in range(3)], rates.count("10.0.0.2")
    ([False, False, True], 0)
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()  # → its begin, how often

    def count(self, address: str) -> int:
        """Once more; 0, or the seconds after which it may again."""
        now, who = self._clock(), neighbourhood(address)
        begin, count = self._counts.get(who, (now, 0))
        if now - begin >= MINUTE:
            begin, count = now, 0
            self._counts.pop(who, None)  # it goes to the end: the first are always the oldest
        self._counts[who] = begin, count + 1
        if len(self._counts) > ADDRESSES:
            self._counts.popitem(last=False)
        return math.ceil(begin + MINUTE - now) if count >= self._most else 0

    def __len__(self) -> int:
        return len(self._counts)


def neighbourhood(address: str) -> str:
    """Whom an address is counted as: of IPv6 a subscriber has 2⁶⁴ of them.

    >>> neighbourhood("2001:db8::1"), neighbourhood("10.0.0.1"), neighbourhood("?")
    ('2001:db8::/64', '10.0.0.1', '?')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address) or found.is_loopback:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((int(found), 64), strict=False))
