"""The commands about sound itself: simulate, inspect, mask. Flags to calls, nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli import offers
from nearfar.cli.lines import columns, say
from nearfar.cli.options import (
    Channels,
    ClipSeconds,
    Far,
    Json,
    Machine,
    Near,
    Order,
    Pair,
    Replace,
    Salvage,
    TimePattern,
    on_disk,
    order_of,
    write_json,
)
from nearfar.cli.progress import Interrupted, progress_bar
from nearfar.errors import SettingError, in_shell, needs, visible
from nearfar.files import check_output, is_picture
from nearfar.runtime.runtime import MOST_WORKERS

SIZES = (  # numbers of sim.plan, which this module does not wait for
    "mini: 156 clips of 3 machines, 3 s each; small: 1,330 of 7, 5 s; dev: 8,400 of 7, of the real "
    "set's lengths; wear: a pump over ten days, 240 clips of 4 s, healthy and then not; stress: "
    "faulty files of one machine."
)
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]


class FrontendName(StrEnum):
    """Front ends that take noise off the near channel.

    >>> [name.value for name in FrontendName]
    ['mask', 'cancel']
    """

    mask = "mask"  # the report's, §2.1.1
    cancel = "cancel"  # ours


def simulate(
    out: Annotated[Path | None, typer.Argument(help="Folder for the data set.")] = None,
    preset: Annotated[str, typer.Option(autocompletion=offers.sizes, help=SIZES)] = "mini",
    seed: Seed = 0,
    machines: Annotated[str | None, typer.Option(help="Only these, as in fan,valveEmu.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores.")] = None,
    stems: Annotated[
        bool, typer.Option("--stems", help="Also write machine-only and noise-only signals.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Folder for a picture of each machine.")] = None,
    describe: Annotated[
        str | None,
        typer.Option(autocompletion=offers.machines, help="Print the physics of a machine."),
    ] = None,
    replace: Replace = False,
) -> None:
    """Simulate near/far recordings of machines in the DCASE layout."""
    from nearfar import sim

    if describe is not None:
        typer.echo(sim.describe(describe))
        return
    if out is None:
        raise SettingError("give a folder for the data set, or --describe MACHINE")
    chosen = [name.strip() for name in machines.split(",") if name.strip()] if machines else None
    pictures = [(plot, m) for m in chosen or sim.machines_of(preset)] if plot is not None else []
    if pictures:  # all now: a data set may take an hour
        with needs("report", "pictures need matplotlib", SettingError):
            import matplotlib  # noqa: F401
    for folder, machine in pictures:
        if (place := folder / f"{machine}.png").exists():
            check_output(place, endings=(".png",), ours=is_picture, replace=replace)
    if preset == "stress":  # faulty files of one machine, to try programs on: no data set
        if stems or (chosen is not None and len(chosen) != 1):
            raise SettingError("stress files are of one machine, without --stems")
        files = sim.write_stress(out, seed, (chosen or ["fan"])[0])
        typer.echo(
            visible(f"{sim.label(seed)}: wrote {len(files)} files and expected.json to {out}")
        )
    else:
        _simulate(out, preset, seed, chosen, workers, stems)
    # Last: a data set is whole without its pictures, should one of them fail.
    for folder, machine in pictures:
        typer.echo(visible(f"wrote {sim.draw(machine, folder, seed)}"))


@contextmanager
def _kept(out: Path) -> Iterator[None]:
    """Say what is kept of a simulation that Ctrl-C or SIGTERM stops."""
    from nearfar.sim.dataset import MANIFEST

    try:
        yield
    except Interrupted as interrupt:
        if (out / MANIFEST).exists():  # else no clip was finished
            interrupt.kept = "clips that are finished are kept, the same command goes on from there"
        raise


def _simulate(
    out: Path, preset: str, seed: int, machines: list[str] | None, workers: int | None, stems: bool
) -> None:
    from nearfar import sim

    bar, progress = progress_bar()
    with bar, _kept(out):
        written = sim.simulate(
            out, preset, seed, machines=machines, stems=stems,
            workers=workers or min(os.cpu_count() or 1, MOST_WORKERS), progress=progress,
        )  # fmt: skip
    there = written.clips - written.rendered  # a set that was stopped goes on where it was
    tail = f" ({there} were there already)" if there else ""
    typer.echo(visible(f"{written.label}: wrote {written.rendered} clips to {out}{tail}"))


def inspect(
    data: Annotated[
        list[Path], typer.Argument(help="DCASE folders, folders of recordings, CSVs, or files.")
    ],
    machine: Machine = None,
    channel_order: Channels = Order.near_far,
    clip_seconds: ClipSeconds = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    as_json: Json = None,
    replace: Replace = False,
) -> None:
    """Show what two channels look like, per machine: ratio, correlation, mask, levels, health.

    Named are clips that cannot be used, and suspects, which stand out from their machine's.
    """
    from nearfar.clips import Clips
    from nearfar.health import inspect as inspection

    # Before the clips are heard.
    check_output(
        on_disk(as_json), endings=(".json",), inputs=data, ours=inspection.is_inspection,
        replace=replace,
    )  # fmt: skip
    # Nothing is refused here, or a data set with one bad clip could not be looked at.
    order = order_of(channel_order, near, far)
    clips = Clips.open(
        data, machine=machine, clip_seconds=clip_seconds, pair=pair, salvage=salvage,
        time_pattern=time_pattern,
    )  # fmt: skip
    found = inspection.inspect_clips(clips, order=order)
    if not write_json(as_json, found.as_dict() if as_json is not None else None):
        for line in in_shell(found.text(columns(sys.stdout))).split("\n"):
            say(line)


def mask(
    clip: Annotated[Path, typer.Argument(help="A two-channel recording.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="WAV file for the cleaned near channel.")
    ] = None,
    frontend: Annotated[FrontendName, typer.Option(help="How to clean.")] = FrontendName.mask,
    stats: Annotated[bool, typer.Option("--stats", help="Print what the mask does.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="setting=value, as in floor=0.1; repeatable.")
    ] = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    replace: Replace = False,
) -> None:
    """Clean the near channel with the far one, to be heard."""
    from nearfar.cli import show
    from nearfar.frontend import CoherenceMask, FarCancel
    from nearfar.parts.change import with_setting
    from nearfar.sound.audio import check, read, write

    # No recording is plainly ours: another one's far channel would be gone for good.
    check_output(output, endings=(".wav",), inputs=[clip], replace=replace)
    if output is None and not stats:
        raise SettingError("give -o FILE to hear it, --stats to see it, or both")
    part: Any = CoherenceMask() if frontend is FrontendName.mask else FarCancel()
    for assignment in settings or ():
        part = with_setting(part, assignment)
    order = order_of(channel_order, near, far)
    audio = check(read(clip, order=order), name=str(clip), channels=2)
    clean = part(audio)  # (1, samples)
    if stats:
        show.cleaned(audio, part, clean)
    if output is not None:
        write(output, clean)
        typer.echo(visible(f"wrote {output}"))
