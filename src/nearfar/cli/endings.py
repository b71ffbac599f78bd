"""How a command that works until it is told to end takes signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nearfar.cli.progress import Interrupted


@contextmanager
def obeyed(
    stop: Callable[[], bool], reread: Callable[[], None] | None = None
) -> Iterator[set[int]]:
    """Within it Ctrl-C and SIGTERM end what runs, and SIGHUP has it read its settings anew.

    Args:
        stop: have it end; False where nothing has begun yet that would have to be finished.
        reread: read the settings anew; None ends it, for the terminal is closed then.

    Yields:
        The signals that came.
    """
    caught: set[int] = set()

    def end(number: int, _: object) -> None:
        if number in caught:  # a second Ctrl-C: whoever presses it does not want to wait
            raise Interrupted(number)
        caught.add(number)
        if stop():
            return
        if number == signal.SIGINT:
            raise Interrupted(number)
        sys.exit(0)  # while detectors are read there is no clip at hand

    def again(number: int, _: object) -> None:
        if reread is None:
            end(number, None)
        else:
            reread()

    handlers: dict[int, Any] = {signal.SIGINT: end, signal.SIGTERM: end}
    if "SIGHUP" in signal.Signals.__members__:  # not on Windows
        handlers[signal.SIGHUP] = again
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
