"""The commands export and verify: a detector for a small computer, and the proof that it is one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    BatchSize,
    Cache,
    ClipSeconds,
    Device,
    Far,
    Json,
    Machine,
    Near,
    NoCache,
    Pair,
    Parts,
    Replace,
    Salvage,
    TimePattern,
    Weights,
    Workers,
    channels_of,
    kept_at,
    on_disk,
    option,
    write_json,
)
from nearfar.cli.progress import Session
from nearfar.cli.splits import SplitAsked, opened_split, to_judge
from nearfar.errors import SettingError, visible
from nearfar.files import begins, check_output
from nearfar.system.named import types_of
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.detector.edge.departure import Departure
    from nearfar.detector.edge.verifying import Verification

HEARD = {
    "given": "the clips given",
    "normals": "recordings of the bank's normal clips, their halves swapped",
    "made": "made sounds, for no recording of a normal clip was found; better give --clips",
}


class EdgePrecision(StrEnum):
    """What an exported encoder computes with.

    >>> EdgePrecision("int8").value
    'int8'
    """

    fp32 = "fp32"
    int8 = "int8"


def export(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the exported detector.")
    ],
    precision: Annotated[
        EdgePrecision,
        typer.Option(help="Of encoders; int8 is smaller and quicker, and hears a little less."),
    ] = EdgePrecision.fp32,
    longest: Annotated[
        float | None,
        typer.Option(help="Seconds that an encoder takes of a clip at most; 60 if never said."),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        option(
            DATA, "DATA", "New recordings to verify it with; repeat it. Else the bank's own normal "
            "ones where they are found, or made sounds.", "--clips",
        ),
    ] = None,
    normals: Annotated[
        Path | None,
        option(
            DATA, "FOLDER|CSV", "Where the bank's normal recordings are; int8 is calibrated on "
            "them.", "--normals",
        ),
    ] = None,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify", rich_help_panel=OUTPUT, help="Write it without comparing verdicts."
        ),
    ] = False,
    machine: Machine = None,
    split: SplitAsked = None,
    weights: Weights = None,
    part: Parts = None,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:  # fmt: skip
    """Write a detector that scores without PyTorch: its encoders become ONNX, all else stays.

    Both detectors then judge the same sounds, and the new one is only written if they agree: in
    fp32 every verdict and every score, in int8 within stated bounds. To score with it install
    nearfar[edge].
    """
    from nearfar.clips import Clips
    from nearfar.detector.edge.departure import export as export_detector

    if no_verify and clips:
        raise SettingError("--no-verify compares nothing; leave out --clips")
    given = None
    if clips:
        listed = Clips.open(clips, machine=machine, split=opened_split(split, None))
        given = to_judge(listed, split)
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
        done = export_detector(
            detector, output, session.runtime, precision=precision.value, longest=longest,
            clips=given, normals=normals, verify=not no_verify, types=types_of(part),
            weights=list(weights or ()), replace=replace,
        )  # fmt: skip
    _show_export(done, precision)
    ledger.files.append(visible(str(output)))


def _show_export(done: Departure, precision: EdgePrecision) -> None:
    exported = done.detector.exported
    if exported is None or exported.opset is None:
        say("no encoder needs PyTorch: the same banks, and nothing was changed")
    else:
        what = counted(done.encoders, "encoder")
        say(f"{what} as ONNX, {precision.value}, opset {exported.opset}")
    if done.kept is not None:
        say(visible(f"the detector that was there is kept as {done.kept}"))
    if done.verification is None:
        say("not verified; nearfar verify compares it with the detector")
        return
    _show(done.verification)


def verify(
    edge: Annotated[Path, typer.Argument(help="Folder of an exported detector.")],
    data: Annotated[
        list[Path], typer.Argument(metavar="CLIPS", help="Files, folders or CSVs of recordings.")
    ],
    against: Annotated[
        Path, option(DATA, "DETECTOR", "The detector that it was exported from.", "--against")
    ],
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
    split: SplitAsked = None,
    as_json: Json = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Let an exported detector and its original judge the same clips; exit with 1 if they differ.

    fp32: every verdict is equal, and scores agree to 1e-4 of themselves. int8: 98 % of verdicts
    are equal, and Ω moves by 0.01 at most where labels tell it.
    """
    from nearfar.clips import Clips
    from nearfar.detector.edge.verifying import exported_from
    from nearfar.detector.edge.verifying import verify as verify_detector

    exported_from(against, edge, types_of(part))  # a slip in a name costs no look at all the clips
    inputs = [edge, against, *data, *(weights or ())]
    check_output(
        on_disk(as_json), endings=(".json",), inputs=inputs, ours=is_verification, replace=replace
    )
    clips = Clips.open(
        data, machine=machine, clip_seconds=clip_seconds, split=opened_split(split, None),
        channels=channels_of(near, far), pair=pair, salvage=salvage, time_pattern=time_pattern,
    )  # fmt: skip
    clips = to_judge(clips, split)
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
        found = verify_detector(
            edge, against, clips, session.runtime, types=types_of(part),
            weights=list(weights or ()), machine=machine, section=section,
        )  # fmt: skip
    if not write_json(as_json, found.as_dict() if as_json is not None else None):
        _show(found)
    if not found.passed:
        raise typer.Exit(1)


def _show(found: Verification) -> None:
    """What was compared, what was found, and what was asked for."""
    say(visible(f"compared on {counted(len(found.pairs), 'clip')}: {HEARD[found.sounds]}"))
    say(found.told)
    for fault in found.faults:
        say(visible(f"  {fault}"))
    say(f"{'passed' if found.passed else 'failed'}: {found.bounds}")


def is_verification(path: Path) -> bool:
    """Is a file plainly what verify wrote?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"precision": "(fp32|int8)",\s*"opset": ')
