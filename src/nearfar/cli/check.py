"""The command check: is this what normal sounds like? Flags to calls, nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    BatchSize,
    Cache,
    Channels,
    ClipSeconds,
    Device,
    Far,
    Json,
    Machine,
    Near,
    Order,
    Pair,
    Replace,
    Salvage,
    Settings,
    SkipBad,
    SystemName,
    TimePattern,
    Weights,
    Workers,
    on_disk,
    order_of,
    write_json,
)
from nearfar.cli.progress import Session
from nearfar.errors import (
    AudioError,
    DatasetError,
    NearfarError,
    NearfarWarning,
    in_shell,
    visible,
)
from nearfar.files import begins, check_output
from nearfar.system.named import system_of
from nearfar.text import counted, in_rows

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.detector.fitting import LookedOver
    from nearfar.health.suspects import Suspect

SCHEMA = 1  # of the JSON; raised when a program that reads it could err


def check(
    data: Annotated[
        list[Path], typer.Argument(help="DCASE folders, folders of normal recordings, or CSVs.")
    ],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    machine: Machine = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    skip_bad: SkipBad = False,
    as_json: Json = None,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Name the training clips that stand out, as fit would; write nothing.

    Exit code 1 if there are any, as of other programs that look for faults, so that a script can
    stop before it fits.
    """
    from nearfar.clips import Clips
    from nearfar.detector.fitting import look_over

    check_output(  # before anything is heard
        on_disk(as_json), endings=(".json",), inputs=[*data, *(weights or ())], ours=is_check,
        replace=replace,
    )  # fmt: skip
    recipe = system_of(system or "s4", settings, weights)
    # What a fit would take, and no more: a test folder holds anomalies by right.
    order = order_of(channel_order, near, far)
    clips = Clips.open(
        data, split="train", machine=machine, clip_seconds=clip_seconds, pair=pair,
        salvage=salvage, time_pattern=time_pattern,
    )  # fmt: skip
    faulty: NearfarError | None = None
    with Session(workers, cache, device, batch_size) as session:
        look = partial(look_over, recipe, clips, session.runtime, order=order)
        try:
            found = look(skip_bad=skip_bad)
        except (AudioError, DatasetError) as error:
            if skip_bad:  # nothing more can be left out
                raise
            # Both lists at once: who mends files does not want to be called again.
            faulty = error
            found = _without_bad(look, error)
    if not write_json(as_json, _as_dict(found, clips, faulty) if as_json is not None else None):
        _tell(found, clips)
    if faulty is not None:
        ledger.close()  # what was written is there all the same
        raise faulty
    if found.suspects:
        raise typer.Exit(1)


def _tell(found: LookedOver, clips: Sequence[Clip]) -> None:
    """What a person reads: a line a machine and kind, all names, and how many stand out."""
    from nearfar.health.suspects import lines

    suspects = found.suspects
    for (machine, kind), line in lines(suspects, found.counts).items():
        say(visible(in_shell(line)))
        for row in _others([s for s in suspects if (s.clip.machine, s.kind) == (machine, kind)]):
            say(visible(f"  and {row}"))
    for line in found.unjudged:
        say(visible(line))
    # Said of those that were heard: nobody knows what the others are like.
    bad = len(clips) - found.heard
    left = f" ({bad} of {counted(len(clips), 'clip')} cannot be used)" if bad else ""
    out = len({suspect.clip for suspect in suspects})
    heard = counted(found.heard, "clip")
    say(f"{out} of {heard} stand out{left}" if out else f"{heard}: none stands out{left}")


def _without_bad(look: Callable[..., LookedOver], error: NearfarError) -> LookedOver:
    """What stands out among the clips that can be used; the error itself tells of the others."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NearfarWarning)
            return look(skip_bad=True)
    except NearfarError:  # too few are left, or it was none of a clip's faults
        raise error from None


def _lines(faulty: NearfarError | None) -> tuple[str, ...]:
    return () if faulty is None else faulty.faults or (str(faulty),)


def _others(group: Sequence[Suspect]) -> list[str]:
    """The clips that a line has no room for: here, where one looks for them, all are named."""
    from nearfar.health.suspects import shown

    files = [s.clip.file for s in sorted(group, key=lambda one: one.clip.name)]  # as in the line
    return in_rows(files[len(shown(group)) :], 94)  # characters


def _as_dict(
    found: LookedOver, clips: Sequence[Clip], faulty: NearfarError | None
) -> dict[str, Any]:
    """What a program reads."""
    return {
        "schema": SCHEMA,
        "suspects": [suspect.as_dict() for suspect in found.suspects],
        "clips": len(clips),
        "faults": list(_lines(faulty)),
        "unjudged": list(found.unjudged),
    }


def is_check(path: Path) -> bool:
    """Is a file plainly the JSON of a check?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"suspects": \[')
