"""The way to a cluster: the one here, one that is started for this run, or one at an address."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfar.errors import NearfarError, first_line, needs

PATIENCE = 3.0  # s; a head that does not take a connection by then is not there
_ELSEWHERE = "ray://"
_WAY = "start Ray's head node there, or take --engine local"
_SETTINGS = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).*",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or each worker warns of a change to come
}
_TOKEN = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
_started: int | None = None  # processes of a cluster that this process started, and will end


def connected(engine: str, workers: int) -> Any:
    """Ray, connected to the cluster that an engine names; once a process.

    Args:
        engine: "ray" or "ray://HOST:PORT".
        workers: processes of a cluster that is started for this run.

    Raises:
        NearfarError: Ray is not installed, or there is no cluster at the address.
    """
    settle()
    with needs("fleet", f"--engine {engine} needs Ray"):
        import ray
    if ray.is_initialized():
        if _started is None or _started == workers:
            return ray
        ray.shutdown()  # ours, of another size
    place = engine if engine.startswith(_ELSEWHERE) else _here()
    if place is None:
        _start(ray, workers)
    else:
        _join(ray, place)
    return ray


def settle() -> None:
    """What Ray reads when it is imported, where nobody has set it.

    It prints what it thinks of lost processes among our results; what becomes of them is told by
    us. Nor does it report to its makers.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # A head asks for the token that it made, or was given; Ray's driver sends none unless told to.
    # Where Ray was read already it is too late: its processes would be told otherwise than it is.
    if "ray" in sys.modules:
        return
    if _TOKEN & os.environ.keys() or _token_file().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _token_file() -> Path:
    """Where Ray keeps its token if nobody says another place."""
    return Path(os.path.expanduser("~")) / ".ray" / "auth_token"


def _here() -> str | None:
    """The address of a cluster that was set up for whoever works here; None if there is none."""
    import ray._private.services as known

    services: Any = known
    told = os.environ.get("RAY_ADDRESS", "")
    if told not in ("", "auto", "local"):
        return told
    found = None if told == "local" else services.get_ray_address_from_environment(None, None)
    # One that crashed leaves its address behind.
    return found if found is None or _answers(str(found)) else None


def _start(ray: Any, workers: int) -> None:
    global _started
    for last in (False, True):  # twice, for others that start one now may take a port first
        try:
            with _quiet(), _signals_kept():
                ray.init(
                    "local", num_cpus=workers, include_dashboard=False, log_to_driver=False,
                    logging_level=logging.ERROR,
                )  # fmt: skip
            break
        except (Exception, SystemExit) as error:
            ray.shutdown()
            if _told_to_end(error):
                raise
            if last:
                said = first_line(error)[:160]
                raise NearfarError(
                    f"Ray cannot begin a cluster on this machine ({said}); take --engine local"
                ) from None
    _started = workers


def _join(ray: Any, place: str) -> None:
    global _started
    if not _answers(place):
        raise NearfarError(f"{place}: no Ray cluster answers there; {_WAY}")
    client = place.startswith(_ELSEWHERE)
    settings = {} if client else {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with _quiet(), _signals_kept():
            ray.init(place, **settings)
    except (Exception, SystemExit) as error:  # of another protocol, version, or none of Ray's
        if _told_to_end(error):
            raise
        said = first_line(error)
        raise NearfarError(f"{place}: no Ray cluster that can be used ({said}); {_WAY}") from None
    _started = None


def _answers(place: str) -> bool:
    """Does anybody take a connection there? Ray itself would wait for minutes."""
    host, _, port = place.removeprefix(_ELSEWHERE).rpartition(":")
    if not host or not port.isdecimal() or not int(port) < 1 << 16:
        raise NearfarError(f"{place}: no address of a Ray cluster; it is HOST:PORT, as head:10001")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE):
            return True
    except OSError:
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's own remarks on connecting are not for the terminal of ours."""
    import warnings

    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _told_to_end(error: BaseException) -> bool:
    """Is it what Ray's handler of SIGTERM raises, and no fault of Ray's?"""
    return isinstance(error, SystemExit) and error.code == signal.SIGTERM


@contextmanager
def _signals_kept() -> Iterator[None]:
    """What handled SIGTERM goes on to: Ray puts its own in the place of a command's.

    One that comes while Ray begins is that handler's, which leaves the program with its number.
    It is not a fault of Ray's, to be tried again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as end:
        if _told_to_end(end) and callable(before):
            before(signal.SIGTERM, None)
        raise
    finally:
        if callable(before):  # otherwise Ray's, which ends its processes first
            signal.signal(signal.SIGTERM, before)
