"""The log of a watch: one line an event on standard error, for people or as JSON."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from nearfar.errors import in_shell, visible
from nearfar.files import as_bytes

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# Of syslog, as systemd reads them at the begin of a line (sd-daemon(3)).
_PRIORITIES = {"info": "<6>", "warning": "<4>", "error": "<3>"}
_STYLES = {"warning": "\x1b[33m", "error": "\x1b[31m"}  # yellow, red
NAME = "nearfar.service.watch"  # of the logger underneath


class WatchLog:
    """Takes events and writes a line each; used as a context, so that nothing stays behind.

    What libraries have to say goes the same way, from warnings on, as the event "library".

    Args:
        form: "text" or "json".
        stream: standard error, if none is given.
        quiet: warnings and errors alone.

    >>> with WatchLog("json", sys.stdout) as log:
    ...     log("reload", "plant.toml: taken over", machines=2)  # doctest: +ELLIPSIS
    {"time": "...", "level": "info", "event": "reload", ..., "machines": 2}
    """

    def __init__(
        self, form: Literal["text", "json"] = "text", stream: TextIO | None = None,
        *, quiet: bool = False,
    ) -> None:  # fmt: skip
        self._logger = logging.getLogger(NAME)
        self._handler = _LineHandler(form, stream)
        self._level = logging.WARNING if quiet else logging.INFO
        self._before = self._logger.level

    def __enter__(self) -> WatchLog:
        # At the root, so that libraries come along; our own pass through it once, like theirs.
        logging.getLogger().addHandler(self._handler)
        self._logger.setLevel(self._level)
        return self

    def __exit__(self, *what: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._logger.setLevel(self._before)

    def __call__(self, event: str, message: str, level: str = "info", **facts: Any) -> None:
        """Write a line.

        Args:
            event: a word for programs, as "reload".
            message: for people.
            level: one of `LEVELS`.
            facts: more for programs, as machine="pump"; a person reads them in the message.
        """
        # Whoever else listens to the logger gets what prints, too.
        said = visible(in_shell(message))
        self._logger.log(LEVELS[level], "%s", said, extra={"event": event, "facts": facts})


class _LineHandler(logging.Handler):
    """Writes a record as one line, and never raises: a log must not end a watch."""

    def __init__(self, form: str, stream: TextIO | None) -> None:
        super().__init__(logging.INFO)
        self._stream = sys.stderr if stream is None else stream
        self._line = _as_json if form == "json" else _style(self._stream)

    def emit(self, record: logging.LogRecord) -> None:
        # A library's lower levels are its own business; ours are set by the logger.
        if record.name != NAME and record.levelno < logging.WARNING:
            return
        try:
            # In one piece: lines of threads would else be mixed.
            self._stream.write(self._line(record) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a full disk, or a terminal that is closed
            return


def _style(stream: TextIO) -> Any:
    """How lines of text look on a stream."""
    if stream.isatty():
        # https://no-color.org: any value but an empty one.
        return _plain if os.environ.get("NO_COLOR") else _coloured
    # systemd tells which stream leads to its journal, which has the time itself.
    if _leads_to_journal(stream):
        return lambda record: _PRIORITIES[_level(record)] + _message(record)
    return _plain


def _leads_to_journal(stream: TextIO) -> bool:
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _level(record: logging.LogRecord) -> str:
    return (
        "error" if record.levelno >= logging.ERROR
        else "warning" if record.levelno >= logging.WARNING else "info"
    )  # fmt: skip


def _message(record: logging.LogRecord) -> str:
    """What is said, as one line that prints."""
    try:
        said = record.getMessage()
    except (TypeError, ValueError):  # a library that fills in its own line wrongly
        said = str(record.msg)
    cause = record.exc_info[1] if record.exc_info else None
    said = f"{said}: {type(cause).__name__}: {cause}" if cause is not None else said
    whose = "" if record.name == NAME else f"{record.name}: "
    return as_bytes(visible(whose + said)).decode()


def _plain(record: logging.LogRecord) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    level = _level(record)
    return f"{stamp} {'' if level == 'info' else level + ': '}{_message(record)}"


def _coloured(record: logging.LogRecord) -> str:
    line, level = _plain(record), _level(record)
    if level == "info":
        return line
    return line.replace(f" {level}: ", f" {_STYLES[level]}{level}:\x1b[0m ", 1)


def _as_json(record: logging.LogRecord) -> str:
    facts = record.__dict__.get("facts", {})
    event = record.__dict__.get("event", "library")
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    told = {
        "time": when, "level": _level(record), "event": event, "message": _message(record),
    }  # fmt: skip
    return json.dumps(told | {k: _plain_value(v) for k, v in facts.items() if k not in told})


def _plain_value(value: Any) -> Any:
    """A fact as JSON has it: a number, a truth, or a text of one line."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return as_bytes(visible(str(value))).decode()
