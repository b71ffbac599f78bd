"""The commands about the encoder's weights: convert, check. Flags to calls, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.errors import WeightsError

if TYPE_CHECKING:
    from nearfar.eat.training import Training
    from nearfar.eat.weights import Weights as Opened

app = typer.Typer(
    no_args_is_help=True,
    help="Weights of the EAT encoder: make them of a fairseq checkpoint, check them.",
)


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="fairseq checkpoint, a .pt file.")],
    out: Annotated[Path, typer.Argument(help="New folder for config.json and model.safetensors.")],
    config: Annotated[
        Path | None, typer.Option(help="A config.json, where the checkpoint tells no heads.")
    ] = None,
) -> None:
    """Make config.json and model.safetensors of a fairseq checkpoint."""
    try:
        from nearfar.eat import convert as conversion
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise WeightsError("a checkpoint needs PyTorch; pip install 'nearfar[eat]'") from None

    written = conversion.convert(checkpoint, out, config)
    typer.echo(f"wrote {out}")
    _describe(written)


@app.command()
def check(
    weights: Annotated[str, typer.Argument(help="Folder, .safetensors file, or hub id.")],
    against: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="WAV NPY", help="A recording and its published features, to compare with."
        ),
    ] = None,
) -> None:
    """Show what weights are and whether they are whole; with --against, compare features.

    Exit code 1: the features differ.
    """
    from nearfar.eat.selftest import COSINE, MOST, compare_features, damaged_tensor
    from nearfar.eat.weights import open_weights

    opened = open_weights(weights)
    _describe(opened)
    if damaged := damaged_tensor(opened):
        raise WeightsError(
            f"{opened.path}: tensor {damaged!r} has NaN or infinite numbers; download it again"
        )
    if against is None:
        return

    found = compare_features(weights, *against)
    typer.echo(
        f"{against[1].name}: {found.tokens} tokens, largest error {found.error:.2e} (at most "
        f"{MOST:g}), cosine of the means {found.cosine:.6f} (at least {COSINE:g}): "
        + ("passed" if found.passed else "FAILED")
    )
    if not found.passed:
        raise typer.Exit(1)


def _describe(weights: Opened) -> None:
    from nearfar.eat.training import training_of
    from nearfar.trained import described

    shape, training = weights.architecture, training_of(weights)
    table = shape.columns * 8 * shape.dim
    rows = {
        "architecture": f"{shape.name}, {shape.depth} blocks of {shape.heads} heads",
        "tensors": f"{len(shape.shapes())}, {', '.join(weights.dtypes)}",
        "parameters": f"{shape.parameters:,}, of which {table:,} are the position table",
        "positions": f"{shape.columns * 16:,} frames, {shape.columns * 0.16:.1f} s",
        "bytes": _size(weights),
        "sha256": weights.sha256,
        "pooling": f"{'mean' if training is None else 'trained head'}, unless another is asked for",
    }
    if training is not None:
        machines = ", ".join(sorted(training.machines))
        rows |= {
            "trained on": f"{machines}; {len(training.classes)} classes, "
            f"{len(training.heard)} clips, {len(training.held_out)} more held out",
            "front end": described(training.frontend),
            "training": _settings(training),
        }
    for name, value in rows.items():
        typer.echo(f"{name:14}{value}")


def _settings(training: Training) -> str:
    """How it was trained, as far as that is not as it comes."""
    from nearfar.finetune.settings import unusual

    told = [f"{name}={value}" for name, value in unusual(training.settings).items()]
    return ", ".join(told) or "all settings as they come"


def _size(weights: Opened) -> str:
    """The file's size beside that of a file with this architecture, written as published."""
    from nearfar.eat.weights import file_size

    have = weights.path.stat().st_size
    if len(weights.dtypes) > 1:
        return f"{have:,}, tensors of more than one type"
    want = file_size(weights.architecture, weights.dtypes[0], weights.prefix, weights.metadata)
    if have == want:
        return f"{have:,}, as this architecture has"
    return f"{have:,}; a file of this architecture has {want:,}, its header is written otherwise"
