"""Options that several commands share: one name, one help, one default everywhere.

Most are None where nothing is said, so that a command can tell that from its default being said.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli import offers
from nearfar.cli.lines import ledger
from nearfar.cli.usage import UsageError
from nearfar.errors import SettingError, visible

if TYPE_CHECKING:
    from nearfar.sound.audio import ChannelOrder


class Year(StrEnum):
    """Which number the official evaluator of a year prints; Ω since 2022.

    >>> Year("2021").name
    'y2021'
    """

    omega = "omega"
    y2021 = "2021"
    y2020 = "2020"


class Order(StrEnum):
    """The channels of a file.

    >>> Order("far-near").value
    'far-near'
    """

    near_far = "near-far"  # channel 0 is near (law 1)
    far_near = "far-near"


class LogForm(StrEnum):
    """How the log is written.

    >>> LogForm("json").name
    'json'
    """

    text = "text"
    json = "json"


Channels = Annotated[
    Order, typer.Option("--channel-order", help="Which channel of your files comes first.")
]
SystemName = Annotated[
    str | None,
    typer.Option(
        "-s",
        "--system",
        autocompletion=offers.systems,
        help="A preset (s4 if not given; see nearfar systems) or file.py:name.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="part.setting=value, as in whitening.shrinkage=0.1; repeatable."),
]
# A list: System 2 has four encoders, given in the order of its members.
Weights = Annotated[
    list[str] | None,
    typer.Option(
        help="Encoder weights: a folder, a .safetensors file or a hub id; repeat it for a system "
        "with several."
    ),
]
# No choice of fixed words: cuda:1 is one too, and torch alone knows which are there.
Device = Annotated[str, typer.Option(help="Of encoders: auto, cpu, cuda, cuda:1 … or mps.")]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Clips an encoder takes at a time; found out by default.")
]
# Off: behind another front end an encoder hears what it was never trained on.
AnyFrontend = Annotated[
    bool,
    typer.Option(
        "--any-frontend", help="Take a trained encoder behind another front end than its own."
    ),
]
# All cores: the result has the same bits with any number.
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that read and embed; all cores by default.")
]
# On: hearing is what takes the time, and a key holds everything that changes a row.
Cache = Annotated[
    str | None,
    typer.Option(
        help="Keep embeddings there: a folder, or a URL such as s3://bucket/cache; "
        "$NEARFAR_CACHE if not given, or ~/.cache/nearfar.",
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no embeddings.")]
# A cluster computes what this machine's processes would, to the bit.
Engine = Annotated[
    str,
    typer.Option(
        help="Where the work is done: local, in this machine's processes; ray, on its Ray "
        "cluster; or ray://HOST:10001."
    ),
]
# Off (law 5): a clip that nobody missed would make a result that looks complete.
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out clips that cannot be used, and list them.")
]
# Asked for: a detector's folder could else name any code to be run.
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="file.py:Class of a detector's part that is not ours."),
]
ClipSeconds = Annotated[
    float | None, typer.Option(help="Cut long recordings into clips of this length.")
]
# None leaves it to the system, or to what a detector was fitted with.
Rate = Annotated[
    float | None,
    typer.Option(
        help="Share of normal clips that may be called anomalous, 0–1; 0.1 if never said."
    ),
]
WatchRate = Annotated[
    float | None,
    typer.Option(
        help="Share of normal clips that may be called anomalous, 0–1; the detector's own if "
        "never said."
    ),
]
Machine = Annotated[str | None, typer.Option(help="Name of the machine, if the data do not say.")]
# One meaning everywhere. A file has the table beside it on the screen; of a dash nothing else is
# printed, so that standard output is one JSON text.
Json = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="PATH|-", help="Write JSON to a file, or - for standard output."
    ),
]
# As --json; a table of its own name, for what reads tables.
Csv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="PATH|-", help="Write CSV to a file, or - for standard output."),
]
STDOUT = Path("-")


def kept_at(cache: str | None, no_cache: bool) -> Path | None:
    """Where a command keeps embeddings; None where it keeps none.

    Raises:
        SettingError, StorageError: a place that was asked for and cannot be used.

    >>> kept_at(None, True), kept_at("here", False).name
    (None, 'here')
    """
    from nearfar.runtime.cache import check_cache, default_cache
    from nearfar.runtime.urls import place

    if cache is not None and no_cache:
        raise UsageError("--cache and --no-cache exclude each other; give one of them")
    if no_cache:
        return None
    if cache is None:
        return default_cache()
    check_cache(place(cache))
    return place(cache)


def on_disk(path: Path | None) -> Path | None:
    """The file that --json or --csv names; None for standard output, or where nothing was asked."""
    return None if path == STDOUT else path


def write_json(path: Path | None, data: Any) -> bool:
    """Write what --json asks for, whole or not at all.

    Returns:
        Is standard output taken by it, so that no table may follow?
    """
    if path is None:
        return False
    return _write(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def write_csv(path: Path | None, text: str) -> bool:
    """Write what --csv asks for, as `write_json` does."""
    return path is not None and _write(path, text)


def _write(path: Path, text: str) -> bool:
    from nearfar.files import as_bytes, write_text

    if path == STDOUT:
        ledger.taken = True
        typer.echo(as_bytes(text).decode(), nl=False)  # names of any bytes: a file has them too
    else:
        write_text(path, text)
        ledger.files.append(visible(str(path)))
    return path == STDOUT


def check_stdout(csv: Path | None, as_json: Path | None) -> None:
    """Refuse two tables on one standard output.

    Raises:
        SettingError: both are a dash.
    """
    if csv == as_json == STDOUT:
        raise SettingError("--csv - and --json -: standard output takes one; give a file to one")


# ---- what files really are -----------------------------------------------------------------------
# Panels of the help: DATA, SYSTEM, OUTPUT, SPEED.
DATA, SYSTEM, OUTPUT, SPEED = "Data", "System", "Output", "Speed"


def option(panel: str, metavar: str, text: str, *names: str) -> Any:
    """An option with a value: where the help has it, what stands for the value, what it is for."""
    return typer.Option(*names, rich_help_panel=panel, metavar=metavar, help=text)


Near = Annotated[
    int | None,
    typer.Option(
        "--near", min=1, rich_help_panel=DATA,
        help="Channel of the near microphone in files of several, counted from 1.",
    ),
]  # fmt: skip
Far = Annotated[
    int | None,
    typer.Option("--far", min=1, rich_help_panel=DATA, help="Channel of the far microphone."),
]
Pair = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DATA, metavar="NEAR=…,FAR=…",
        help="How mono files pair, as in 'NEAR=*_1.wav,FAR=*_2.wav'.",
    ),
]  # fmt: skip
Salvage = Annotated[
    bool,
    typer.Option(
        "--salvage", rich_help_panel=DATA,
        help="Take what sound a damaged or unfinished file still has, with a warning.",
    ),
]  # fmt: skip
ExcludeSuspects = Annotated[
    bool,
    typer.Option(
        "--exclude-suspects", rich_help_panel=DATA,
        help="Fit without the clips that stand out from their machine's, and say so.",
    ),
]  # fmt: skip
# None leaves it to what a detector says; of a fit that is one threshold for all.
ByDomain = Annotated[
    bool | None,
    typer.Option(
        "--threshold-by-domain/--threshold-pooled", rich_help_panel=SYSTEM,
        help="Judge source and target clips by thresholds of their own, or all by one.",
    ),
]  # fmt: skip
License = Annotated[
    str | None,
    typer.Option(
        "--license", metavar="NAME", rich_help_panel=OUTPUT,
        help="Licence of the recordings, as CC-BY-4.0; it is only passed on.",
    ),
]  # fmt: skip
AudioFolder = Annotated[
    Path | None,
    typer.Option(
        "--audio-folder", metavar="FOLDER", rich_help_panel=OUTPUT,
        help="Where the watch keeps sound, if its plant.toml says audio_folder: that folder.",
    ),
]  # fmt: skip


def sound_at(folder: Path | None) -> Path | None:
    """A folder in which a watch keeps sound.

    Raises:
        SettingError: there is none.
    """
    if folder is not None and not folder.is_dir():
        raise SettingError(
            f"--audio-folder {folder}: is no folder; name the one that plant.toml has as "
            "audio_folder"
        )
    return folder


Replace = Annotated[
    bool,
    typer.Option(
        "--replace", rich_help_panel=OUTPUT,
        help="Write over what is there, even if it is no earlier result of this command.",
    ),
]  # fmt: skip
TimePattern = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DATA, metavar="%Y…",
        help="How file names tell the time, as in %Y%m%d_%H%M%S; else as recorders write it.",
    ),
]  # fmt: skip


def channels_of(near: int | None, far: int | None) -> tuple[int, int] | None:
    """The two channels of --near and --far.

    Raises:
        SettingError: one without the other, or one twice.
    """
    if near is None and far is None:
        return None
    if near is None or far is None:
        raise SettingError("--near and --far go together; say both channels, counted from 1")
    if near == far:
        raise SettingError(f"--near {near} --far {far}: one channel twice; say two")
    return near, far


def license_of(text: str | None) -> str:
    """A licence as --license says it; "" where it is not said.

    Raises:
        SettingError: no line of text.
    """
    if text is None:
        return ""
    if not text.strip() or not text.isprintable() or len(text) > 200:
        raise SettingError(f"--license {text!r}"[:100] + "; need one line of text, as CC-BY-4.0")
    return text.strip()


def order_of(order: Order, near: int | None, far: int | None) -> ChannelOrder:
    """What --channel-order, --near and --far say together.

    Raises:
        SettingError: they contradict each other.
    """
    chosen = channels_of(near, far)
    if chosen is None:
        return order.value
    if order is not Order.near_far:
        raise SettingError("--near and --far say which channel is which; leave out --channel-order")
    return chosen
