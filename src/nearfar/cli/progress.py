"""Bars, speeds and warnings while a command runs."""

from __future__ import annotations

import sys
import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

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

from nearfar.runtime.runtime import Runtime
from nearfar.text import one_line

if TYPE_CHECKING:
    from nearfar.runtime.runtime import Progress as Report
    from nearfar.runtime.runtime import Runtime


UNITS = {  # what is counted while a bar runs
    "listening": "clips",
    "residual rows": "clips",
    "rendering": "clips",
    "log-mels": "clips",
    "fitting": "machines",
    "variant": "variants",
}


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning on standard error."""
    typer.echo(f"warning: {one_line(message)}", err=True)


class running:
    """A Runtime with the cache and a progress bar on a terminal."""

    def __init__(
        self, workers: int | None, cache: bool, device: str = "auto", batch_size: int | None = None
    ) -> None:
        self._workers, self._cache = workers, cache
        self._device, self._batch_size = device, batch_size

    def __enter__(self) -> Runtime:
        import os

        from nearfar.cli.progress import progress_bar
        from nearfar.runtime.cache import default_cache
        from nearfar.runtime.runtime import Runtime

        self._bar, report = progress_bar()
        self._bar.__enter__()
        # Lines printed while a bar is drawn get lost in it: they wait until it is gone.
        self._waiting: list[str] = []
        warnings.showwarning = lambda message, *_, **__: self._waiting.append(one_line(message))
        return Runtime(
            workers=self._workers or os.cpu_count() or 1,
            cache=default_cache() if self._cache else None,
            progress=report,
            device=self._device,
            batch_size=self._batch_size,
        )

    def __exit__(self, *what: Any) -> None:
        self._bar.__exit__(*what)
        warnings.showwarning = show_warning
        for message in dict.fromkeys(self._waiting):
            show_warning(message)


def progress_bar() -> tuple[AbstractContextManager[Any], Report]:
    """A bar on standard error (nothing when it is no terminal), and what moves it.

    It shows what is done of how much, the speed of the last two minutes, and the time left.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        speed_estimate_period=120,  # s; some encoders report once in half a minute
    )
    tasks: dict[str, Any] = {}
    last: dict[str, int] = {}

    def report(what: str, done: int, of: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=of)
        elif done < last[what]:  # the same again, as when test clips follow training clips
            bar.reset(tasks[what], total=of)
        bar.update(tasks[what], completed=done, total=of)
        last[what] = done

    return bar, report


class _Speed(ProgressColumn):
    """How many a second; or how many seconds each, where that is the larger number."""

    max_refresh = 0.5  # s; a number that changes faster cannot be read

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        unit = UNITS.get(task.description, "steps")
        text = f"{speed:.3g} {unit}/s" if speed >= 1 else f"{1 / speed:.3g} s/{unit[:-1]}"
        return Text(text, style="progress.data.speed")
