"""When a checkpoint is due, and its writing beside the training: the next step need not wait.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from nearfar.training.loop.checkpoint import Snapshot, State

MINUTES = 10.0  # of work that a killed training loses at most, with the step that was running
_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; and what a scheduler says before it kills


class Saver:
    """Writes a checkpoint every few minutes, at the end, and when somebody asks to stop.

    A copy is taken between two steps, so that it is of one moment; a thread writes it. What goes
    wrong there is raised at the next step. Ctrl-C and SIGTERM let the step that runs end, and its
    checkpoint be written; asked twice, it stops at once.

    >>> written, state = [], State(learner=None, optimizer=None)
    >>> with Saver(lambda state: state.step, written.append, minutes=0) as saver:
    ...     state.step = 3
    ...     saver(state)
    >>> written, state.saved
    ([3], 3)

    Args:
        copy: a state as it is now.
        write: puts such a copy on the disk.
        minutes: between two checkpoints; 0 writes one after each step.
        listens: to Ctrl-C and SIGTERM, where this is the main thread.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        copy: Callable[[State], Snapshot],
        write: Callable[[Snapshot], None],
        minutes: float = MINUTES,
        *,
        listens: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._copy, self._write, self._minutes = copy, write, minutes
        self._clock = clock or time.monotonic
        self._listens = listens and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}  # signal → who handled it
        self._asked: int | None = None  # the signal that said to stop
        self._running: Future[None] | None = None
        self._last = self._clock()

    def __enter__(self) -> Saver:
        self._pool = ThreadPoolExecutor(1, "nearfar-checkpoint")
        for number in _SIGNALS if self._listens else ():
            # What ignores a signal, as under nohup, goes on doing so; None is not Python's.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._pool.shutdown()  # waits for what is being written
        if kind is None:
            self.check(wait=True)

    def __call__(self, state: State, *, last: bool = False) -> None:
        """Between two steps: write a checkpoint if it is due.

        Raises:
            StorageError: the one before could not be written.
            KeyboardInterrupt, SystemExit: somebody asked to stop, or what else the program makes of
                it; the checkpoint is on the disk.
        """
        self.check()
        stop = last or self._asked is not None
        if stop or self._clock() - self._last >= 60 * self._minutes:
            self.check(wait=True)  # one at a time: each has gigabytes
            self._running = self._pool.submit(self._write, self._copy(state))
            state.saved, self._last = state.step, self._clock()
        if stop:
            self.check(wait=True)
        if self._asked is not None:
            self._stop(self._asked)

    def check(self, *, wait: bool = False) -> None:
        """Raise what went wrong with the checkpoint that is, or was last, being written."""
        running = self._running
        if running is not None and (wait or running.done()):
            self._running = None
            running.result()

    def _ask(self, number: int, frame: object) -> None:
        if self._asked is not None:
            self._stop(number)
        self._asked = number

    def _stop(self, number: int) -> None:
        """What would have happened at once; a handler that raises nothing wants to go on."""
        usual, self._asked = self._before[number], None
        if not callable(usual):
            raise SystemExit(128 + number)  # as the shell says of a program that a signal ended
        usual(number, None)
