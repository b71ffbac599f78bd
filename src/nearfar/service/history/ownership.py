"""Who watches into a history: one process, and its lock falls with it, however it ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from nearfar.errors import StorageError, visible

_OURS = 0x6E656172  # "near": advisory locks are numbers, shared with all programs of a database
_TAKE = "SELECT pg_try_advisory_lock({ours}, hashtext(current_schema()))"
_HOLDER = (
    "SELECT a.application_name, a.client_addr::text FROM pg_locks l JOIN pg_stat_activity a "
    "ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {ours} "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

_held: set[int] = set()  # handles of this process


def _let_go_in_child() -> None:
    # A worker that was forked off has the lock too, as long as it lives, and may outlive a watch
    # that was killed. To close a copy of a handle does not unlock it.
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go_in_child)


def claim_file(path: Path) -> int | None:
    """Lock a history's side file for this process.

    Args:
        path: of the history.

    Returns:
        A handle for `release_file`; None where a system has no locks.

    Raises:
        StorageError: another process watches into it, or the side file cannot be made.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: documented as not held there
        return None
    real = path.resolve()  # by whatever link or name, it is one history
    side = real.with_name(real.name + "-lock")
    place = visible(str(path))
    try:
        handle = os.open(side, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"{place}: its folder cannot be written to ({error.strerror}); choose another place"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        os.close(handle)
        raise StorageError(_taken(place, f"process {said}" if said.isdecimal() else "")) from None
    except OSError as error:
        os.close(handle)
        raise StorageError(f"{place}: cannot be locked ({error.strerror})") from None
    with suppress(OSError):  # a full disk takes no number; the lock is ours all the same
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)  # for the one who is refused
    _held.add(handle)
    return handle


def release_file(handle: int | None) -> None:
    """Let go of the lock of `claim_file`."""
    # In a child of the process that took it the number may be another file's by now.
    if handle in _held:
        _held.discard(handle)
        os.close(handle)


def claim_server(connection: Connection, place: str) -> None:
    """Lock a history on PostgreSQL for this session.

    Raises:
        StorageError: another session has it.
    """
    if connection.exec_driver_sql(_TAKE.format(ours=_OURS)).scalar():
        return
    holder = connection.exec_driver_sql(_HOLDER.format(ours=_OURS)).first()
    who, where = holder or ("", "")
    # Only what nearfar calls itself: a name that a stranger gave says nothing.
    told = who.removeprefix("nearfar, ") if (who or "").startswith("nearfar, ") else ""
    raise StorageError(_taken(place, f"{told} on {where}" if told and where else told))


def _taken(place: str, who: str) -> str:
    return (
        f"{place}: another nearfar watch{f' ({who})' if who else ''} writes into it; end that "
        "one, or choose another history"
    )
