"""What several commands share: their options, and from options to a system and a runtime."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.errors import NearfarError, SettingError, StorageError, did_you_mean

if TYPE_CHECKING:
    from nearfar.store import Runtime


class Year(StrEnum):
    """Which number the official evaluator of a year prints; Ω since 2022."""

    omega = "omega"
    y2021 = "2021"
    y2020 = "2020"


class Order(StrEnum):
    """The channels of a file."""

    near_far = "near-far"
    far_near = "far-near"


SystemName = Annotated[
    str | None,
    typer.Option(
        "-s", "--system", help="A preset (s4 if not given; see nearfar systems) or file.py:name."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="part.setting=value, as in whitening.shrinkage=0.1; repeatable."),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="Encoder weights: a folder, a .safetensors file or a hub id; repeat it for a system "
        "with several."
    ),
]
Device = Annotated[str, typer.Option(help="Of encoders: auto, cpu, cuda, cuda:1 … or mps.")]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Clips an encoder takes at a time; found out by default.")
]
AnyFrontend = Annotated[
    bool,
    typer.Option(
        "--any-frontend", help="Take a trained encoder behind another front end than its own."
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that read and embed; all cores by default.")
]
Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache", help="Keep embeddings in $NEARFAR_CACHE, or in ~/.cache/nearfar."
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out clips that cannot be used, and list them.")
]
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="file.py:Class of a detector's part that is not ours."),
]
ClipSeconds = Annotated[
    float | None, typer.Option(help="Cut long recordings into clips of this length.")
]
Rate = Annotated[
    float | None, typer.Option(help="Share of normal clips that may be called anomalous, 0–1.")
]
Machine = Annotated[str | None, typer.Option(help="Name of the machine, if the data do not say.")]


def one_line(error: object) -> str:
    """A message without its line breaks."""
    return " ".join(str(error).split())


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning on standard error."""
    typer.echo(f"warning: {one_line(message)}", err=True)


def system_of(
    name: str,
    settings: list[str] | None,
    weights: list[str] | None = None,
    rate: float | None = None,
) -> Any:
    """The system that -s, --weights, --set and --false-alarm-rate describe.

    Raises:
        SettingError: no such system or setting, or weights that it does not take.
    """
    from nearfar.presets import PRESETS
    from nearfar.recipe import from_file, with_setting

    if ".py:" in name:
        system = _made(name, from_file(name), weights or [])
    elif name in PRESETS:
        system = PRESETS[name](name, weights or [])
    else:
        raise SettingError(f"no system {name!r}; {did_you_mean(name, PRESETS)}, or file.py:name")
    if not hasattr(system, "members"):
        raise SettingError(f"{name} is {type(system).__name__}, need a System or an Ensemble")
    for assignment in settings or ():
        system = with_setting(system, assignment)
    return system if rate is None else with_setting(system, f"false_alarm_rate={rate}")


def check_output(*paths: Path | None) -> None:
    """Refuse files that cannot be written, before hours of work.

    Raises:
        StorageError: no such folder, or no permission.
    """
    import os

    for path in paths:
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            why = "is a folder" if path.is_dir() else f"{path.parent} cannot be written to"
            raise StorageError(f"{path}: {why}; choose another place")


def published(name: str) -> list[str]:
    """The weights that a preset is meant for, to show it; nothing is looked for or loaded."""
    from nearfar.presets import PRESETS, PUBLISHED

    return [PUBLISHED] * PRESETS[name].encoders if name in PRESETS else []


def _made(name: str, system: Any, weights: list[str]) -> Any:
    """A person's own system, or what their function makes of the weights."""
    if not callable(system):
        if weights:
            raise SettingError(f"{name} is a system already; make it a function of its weights")
        return system
    try:
        return system(*weights)
    except NearfarError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        given = f"given {len(weights)} weights" if weights else "it takes no arguments"
        raise SettingError(f"{name}() failed ({what}); {given}") from error


def types_of(parts: list[str] | None) -> tuple[type, ...]:
    """The classes that --part names."""
    from nearfar.recipe import from_file

    return tuple(from_file(part) for part in parts or ())


class running:
    """A Runtime with the cache and a progress bar on a terminal."""

    def __init__(
        self, workers: int | None, cache: bool, device: str = "auto", batch_size: int | None = None
    ) -> None:
        self._workers, self._cache = workers, cache
        self._device, self._batch_size = device, batch_size

    def __enter__(self) -> Runtime:
        import os

        from nearfar.show import progress_bar
        from nearfar.store import Runtime, default_cache

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
