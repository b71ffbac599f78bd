"""A command that is run on each alarm: what happened is on its standard input, as JSON.

No shell is ever between: nothing that a machine is called can become a command.
"""

from __future__ import annotations

import os
import selectors
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from time import monotonic
from typing import IO

from nearfar.errors import SettingError, printable
from nearfar.service.outputs.broker import PASSWORD, USER
from nearfar.service.outputs.outbox import Parcel
from nearfar.service.outputs.said import readable, told_json
from nearfar.service.outputs.teller import Teller, log
from nearfar.text import lasting, one_line

TRIES = 3  # of one event; then it is given up, counted, and the next has its turn
WAITS = (1.0, 10.0)  # s between them
READ = 4_000  # bytes of what it prints that are kept
LOOK = 0.05  # s between looks whether it has ended
SECRETS = (USER, PASSWORD)  # of the environment; no business of the command's


class CommandOutput(Teller):
    """Runs a command for every alarm that is raised, cleared, or stands when its shelf ends.

    One at a time, in order. It is told by exit code 0; otherwise the command is run again, up to
    `TRIES` times in all. What it prints goes to the log, cut.

    Args:
        command: with arguments, quoted as in a shell; no variable, pipe or glob is seen to.
        most: events that wait; beyond it the oldest are lost.
        patience: s that it may take; then it is killed, with all that it has started.
        waits: s between the tries of one event.

    Raises:
        SettingError: the command cannot be taken apart.

    >>> told = CommandOutput("logger -t nearfar", patience=5)
    >>> told.health.name, told.health.queued
    ('command', 0)
    """

    name = "command"
    # What people have just done themselves (acknowledge, shelve) they need not be told.
    verbs = frozenset({"raised", "cleared", "unshelved"})

    def __init__(
        self,
        command: str,
        *,
        most: int = 1000,
        patience: float = 60.0,
        waits: tuple[float, ...] = WAITS,
    ) -> None:
        super().__init__(most)
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SettingError(f"command {command!r}: {one_line(error).lower()}") from None
        if not self._words or "\0" in command:
            raise SettingError(f"command {command!r}: is none; name a program and its arguments")
        self._patience = patience
        self._waits = waits

    def check(self) -> None:
        """See whether it can be run.

        Raises:
            SettingError: there is no such command, or it may not be run.
        """
        if os.name != "posix":
            raise SettingError(f"command {self._words[0]!r}: commands are run on Linux and macOS")
        if shutil.which(self._words[0]) is None:
            raise SettingError(
                f"command {self._words[0]!r}: no such program, or it may not be run; give its path"
            )

    def _work(self) -> None:
        parcel = self._box.take()
        if parcel is None:
            return self._rest()
        for wait in (*self._waits[: TRIES - 1], None):
            trouble = self._run_once(parcel)
            if not trouble:
                self._works()
                return self._box.done(parcel)
            self._failed(f"{_which(parcel)}: {trouble}")
            log.warning("%s", self._trouble, extra={"event": "command"})
            if wait is not None:
                self._pause(wait)
            if self._closing and monotonic() >= self._until:
                return self._box.again()  # it is told again at the next start
        log.warning(
            "%s: given up after %d tries", _which(parcel), TRIES, extra={"event": "command"}
        )
        self._box.lose(parcel)
        return None

    def _run_once(self, parcel: Parcel) -> str:
        """Why it failed; "" if it did not."""
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(parcel),
                start_new_session=True,  # its children are found by it, and Ctrl-C is not theirs
            )
        except (OSError, ValueError) as error:
            return f"{self._words[0]}: cannot be run ({one_line(error)})"
        with process:
            # A killed watch is asked for by nobody: whatever happens here, nothing is left running.
            try:
                return self._judge(process, self._exchange(process, _given(parcel)))
            finally:
                if process.returncode is None:
                    _kill(process)

    def _exchange(self, process: subprocess.Popen[bytes], given: bytes) -> bytes:
        """Hand over and read, until it has ended or its time is over; what it printed, cut.

        Neither a command that reads nothing, nor one that prints without end, nor a child that
        lives on with its output can hold us.
        """
        printed, until = bytearray(), monotonic() + self._patience
        with selectors.DefaultSelector() as chooser:
            for pipe, mask in (
                (process.stdin, selectors.EVENT_WRITE),
                (process.stdout, selectors.EVENT_READ),
            ):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    chooser.register(pipe, mask)
            while monotonic() < min(until, self._until):  # the watch may be asked to end meanwhile
                ended = process.poll() is not None
                # Without pipes left to watch, select is but a wait.
                for key, _ in chooser.select(0 if ended else LOOK):
                    if key.fileobj is process.stdin:
                        given = _written(chooser, process.stdin, given)
                    elif not _read(process.stdout, printed):
                        chooser.unregister(key.fileobj)
                if ended:  # what it has printed was there at this look, but for what fills pipes
                    break
        return bytes(printed)

    def _judge(self, process: subprocess.Popen[bytes], printed: bytes) -> str:
        said = printable(printed.decode(errors="replace").strip())
        if process.returncode is None:
            when = "when the watch was" if self._closing else f"after {lasting(self._patience)}"
            return f"{self._words[0]}: not ended {when}, and killed; it said: {said or 'nothing'}"
        if process.returncode:
            code = process.returncode
            how = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
            return f"{self._words[0]}: {how}; it said: {said or 'nothing'}"
        if said:
            log.info("%s: %s", self._words[0], said, extra={"event": "command"})
        return ""


def _which(parcel: Parcel) -> str:
    """The alarm and what became of it, as in "alarm 3 raised"."""
    return "" if (event := parcel.event) is None else f"alarm {event.alarm} {event.verb}"


def _given(parcel: Parcel) -> bytes:
    if parcel.event is None:  # never taken: this output wants no clips
        return b""
    return told_json(parcel.event, parcel.bulletin).encode() + b"\n"


def _environment(parcel: Parcel) -> dict[str, str]:
    made = {name: value for name, value in os.environ.items() if name not in SECRETS}
    if (event := parcel.event) is None:
        return made
    said = {
        "EVENT": event.id, "ALARM": event.alarm, "KIND": event.kind, "CONDITION": event.condition,
        "MACHINE": event.machine, "SECTION": event.section, "VERB": event.verb,
        "AT": event.at.isoformat(), "TOLD": event.told,
    }  # fmt: skip
    # NUL ends a variable for the system; elsewhere it is as any other sign.
    told = {name: readable(str(value)).replace("\0", "\\0") for name, value in said.items()}
    return made | {f"NEARFAR_{name}": value for name, value in told.items()}


def _written(chooser: selectors.BaseSelector, pipe: IO[bytes] | None, given: bytes) -> bytes:
    """Write what the pipe takes; what is left."""
    if pipe is None:
        return b""
    try:
        given = given[os.write(pipe.fileno(), given) :]
    except BlockingIOError:
        return given
    except BrokenPipeError:
        given = b""  # it does not read: its business
    if not given:
        chooser.unregister(pipe)
        with suppress(OSError):
            pipe.close()
    return given


def _read(pipe: IO[bytes] | None, printed: bytearray) -> bool:
    """Read what there is, keeping the begin; was that not its end?"""
    if pipe is None:
        return False
    try:
        some = os.read(pipe.fileno(), 65_536)
    except BlockingIOError:
        return True
    printed += some[: max(READ - len(printed), 0)]
    return bool(some)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):  # it may have ended just now
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
