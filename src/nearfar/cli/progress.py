"""Bars, speeds and warnings while a command runs. All of it goes to standard error.

Standard output holds results alone, so that it can be piped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from nearfar.cli.lines import tell
from nearfar.cli.program import voice
from nearfar.errors import NearfarWarning, in_shell
from nearfar.runtime.executor import Executor
from nearfar.runtime.runtime import LOCAL, MOST_WORKERS, Runtime
from nearfar.runtime.runtime import Progress as Report
from nearfar.text import alike, figure, one_line
from nearfar.training.log import EpochLine, StepLine

TRAINING = "training"  # what a training reports its steps as

UNITS = {  # what is counted while a bar runs, by what it reports; "steps" where nothing is said
    "listening": "clips",
    "looking through": "clips",
    "residual rows": "clips",
    "rendering": "clips",
    "log-mels": "clips",
    "fitting": "machines",
    "variant": "variants",
    "fetching": "MB",
    "unpacking": "files",
}


class Interrupted(BaseException):
    """Ctrl-C, or SIGTERM. Not KeyboardInterrupt, which the command-line library keeps to itself.

    >>> end = Interrupted(signal.SIGTERM)
    >>> end.told, end.exit_code
    ('terminated', 143)
    >>> end.kept = "s1.checkpoint.safetensors: --resume goes on from there"
    >>> end.told
    'terminated; s1.checkpoint.safetensors: --resume goes on from there'
    """

    # What is left of the work, and how to go on; None: nobody has said anything yet.
    kept: str | None = None

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "terminated")
        self.exit_code = 128 + number  # as shells count

    @property
    def told(self) -> str:
        """The line that a command ends with."""
        return f"{self}; {self.kept}" if self.kept else str(self)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning on standard error."""
    # File and line, which Python would add, are of our source: no help to who runs a command.
    if not voice.quiet:
        tell("warning", in_shell(one_line(message)))


class Session:
    """A command at work: its Runtime, a bar on a terminal, and lines that do not get lost in it.

    >>> with Session(workers=2, cache=None) as session:
    ...     session.runtime.workers, session.runtime.cache
    (2, None)
    """

    def __init__(
        self, workers: int | None, cache: Path | None, device: str = "auto",
        batch_size: int | None = None, engine: str = LOCAL, executor: Executor | None = None,
    ) -> None:  # fmt: skip
        self._bar, report = progress_bar()
        self._told = TRAINING  # what the bar of a training says now
        self._waiting: dict[str, str] = {}  # a warning's text → the file's name in it
        self.runtime = Runtime(
            workers=workers or min(os.cpu_count() or 1, MOST_WORKERS),
            cache=cache,
            progress=report,
            device=device,
            batch_size=batch_size,
            engine=engine,
            executor=executor,
        )

    def __enter__(self) -> Session:
        self._bar.__enter__()
        # Lines printed while a bar is drawn get lost in it: they wait until it is gone.
        warnings.showwarning = self._wait
        return self

    def _wait(self, message: Warning | str, *_: Any, **__: Any) -> None:
        about = message.about if isinstance(message, NearfarWarning) else ""
        self._waiting.setdefault(one_line(message), about)

    def __exit__(self, *what: Any) -> None:
        self._bar.__exit__(*what)
        # Commands that keep more than what they heard have said so already, or will.
        if isinstance(end := what[1], Interrupted) and end.kept is None and self.runtime.cache:
            end.kept = "what was heard is in the cache, the same command goes on from there"
        warnings.showwarning = show_warning
        for message in alike(self._waiting, self._waiting):  # each once: workers repeat one another
            show_warning(message)

    def say(self, line: str) -> None:
        """Print a line on standard error, above the bar if there is one."""
        if self._bar.disable:
            typer.echo(line, err=True)
        else:
            # Names of machines and files are neither markup nor to be coloured.
            self._bar.console.print(line, markup=False, highlight=False)

    def watch(self, entry: StepLine | EpochLine) -> None:
        """Show what the log of a training gets: loss and accuracy; a line for each epoch."""
        if self._bar.disable:  # a log file of lines that nobody asked for: the .jsonl has them
            return
        told = f"epoch {entry.epoch}/{entry.epochs}, loss {entry.loss:.3f}"
        if isinstance(entry, EpochLine):
            share = entry.held_out_accuracy
            right = "" if share is None else f", {100 * share:.1f} % of held-out normals right"
            self.say(f"{told}{right}, {figure(entry.clips_per_s)} clips/s")
        for task in self._bar.tasks:
            # Known by its text alone, which changes with every entry.
            if task.description in (TRAINING, self._told):
                self._bar.update(task.id, description=told)
        self._told = told


def progress_bar() -> tuple[Progress, Report]:
    """A bar on standard error (nothing when it is no terminal), and what moves it.

    It shows what is done of how much, the speed of the last two minutes, and the time left.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),  # characters: an 80-column terminal has room for the numbers
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,  # what stays on the screen is the result
        disable=voice.quiet or not sys.stderr.isatty(),
        speed_estimate_period=120,  # s; some encoders report once in half a minute
    )
    tasks: dict[str, Any] = {}
    last: dict[str, int] = {}
    begun: dict[str, float] = {}

    def report(what: str, done: int, of: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=of)
            begun[what] = time.monotonic()
        elif done < last[what]:  # the same again, as when test clips follow training clips
            bar.reset(tasks[what], total=of)
        bar.update(tasks[what], completed=done, total=of)
        last[what] = done
        if voice.verbose and done == of:  # a run of many steps tells each
            took = time.monotonic() - begun.pop(what, time.monotonic())
            typer.echo(f"{what}: {of} {UNITS.get(what, 'steps')} in {took:.1f} s", err=True)
        elif what not in begun:
            begun[what] = time.monotonic()

    return bar, report


class _Speed(ProgressColumn):
    """How many a second; or how many seconds each, where that is the larger number."""

    max_refresh = 0.5  # s; a number that changes faster cannot be read

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        unit = UNITS.get(task.description, "steps")
        slow = speed < 1 and unit != "MB"  # a line of 0.3 MB/s is told so
        text = f"{figure(1 / speed)} s/{unit[:-1]}" if slow else f"{figure(speed)} {unit}/s"
        return Text(text, style="progress.data.speed")
