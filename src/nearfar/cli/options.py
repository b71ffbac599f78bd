"""What several commands share: their options, and from options to a system and a runtime."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


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
