"""The commands weights convert, weights check and cache: what large files there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.program import Command, Group, exit_codes
from nearfar.errors import WeightsError, needs, visible

if TYPE_CHECKING:
    from nearfar.embedder.record import Training

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Weights of an encoder: make them of a published checkpoint, check them.",
)


@app.command(cls=Command)
def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint of EAT (fairseq) or BEATs, a .pt file; YAMNet's .h5.")
    ],
    out: Annotated[Path, typer.Argument(help="New folder for config.json and model.safetensors.")],
    config: Annotated[
        Path | None, typer.Option(help="A config.json, where the checkpoint tells no heads.")
    ] = None,
) -> None:
    """Make config.json and model.safetensors of a checkpoint; what it is, its tensors say."""
    from nearfar.embedder.encoders import KINDS, kind_of_checkpoint

    kind = kind_of_checkpoint(checkpoint)
    with needs("eat", "a checkpoint needs PyTorch", WeightsError):
        conversion = KINDS[kind].module("convert")

    written = conversion.convert(checkpoint, out, config)
    typer.echo(visible(f"wrote {out}"))
    _describe(kind, str(out), written)


@app.command(cls=Command, epilog=exit_codes("the features differ"))
def check(
    weights: Annotated[str, typer.Argument(help="Folder, .safetensors file, or hub id.")],
    against: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="WAV NPY", help="A recording and its published features, to compare with."
        ),
    ] = None,
) -> None:
    """Show what weights are and whether they are whole; with --against, compare features."""
    from nearfar.embedder.encoders import FIRST, KINDS, kind_of

    kind = kind_of(weights)
    facts = KINDS[kind].module("facts")
    opened = KINDS[kind].module("weights").open_weights(weights)
    _describe(kind, weights, opened)
    # A header may be whole before gigabytes that are not: each number is looked at.
    if damaged := facts.damaged_tensor(opened):
        raise WeightsError(
            f"{opened.path}: tensor {damaged!r} has NaN or infinite numbers, or some that it "
            "cannot have; download it again"
        )
    if against is None:
        return
    if kind != FIRST:
        raise WeightsError(
            f"{weights}: --against compares with the features published for EAT, this is "
            f"{KINDS[kind].encoder}; leave it out"
        )

    from nearfar.embedder.eat.selftest import COSINE, MOST, compare_features

    found = compare_features(weights, *against)
    typer.echo(
        f"{against[1].name}: {found.tokens} tokens, largest error {found.error:.2e} (at most "
        f"{MOST:g}), cosine of the means {found.cosine:.6f} (at least {COSINE:g}): "
        + ("passed" if found.passed else "FAILED")
    )
    if not found.passed:
        raise typer.Exit(1)  # not 2: nobody made a mistake, and a script can tell the two apart


def _describe(kind: str, reference: str, opened: Any) -> None:
    from nearfar.embedder.contract import training_of
    from nearfar.embedder.encoders import KINDS, encoder_of
    from nearfar.parts.data import described

    rows = dict(KINDS[kind].module("facts").facts(opened))
    training = training_of(encoder_of(reference))
    if training is not None:
        machines = ", ".join(sorted(training.machines))
        rows |= {
            "trained on": f"{machines}; {len(training.classes)} classes, "
            f"{len(training.heard)} clips, {len(training.held_out)} more held out",
            **({"left out": ", ".join(sorted(training.excluded))} if training.excluded else {}),
            "front end": described(training.frontend),
            "training": _settings(training),
        }
    for name, value in rows.items():
        typer.echo(f"{name:14}{value}")


def _settings(training: Training) -> str:
    """How it was trained, as far as that is not as it comes."""
    from nearfar.training.settings import unusual

    told = [f"{name}={value}" for name, value in unusual(training.settings).items()]
    return ", ".join(told) or "all settings as they come"


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Empty it.")] = False,
) -> None:
    """Show where embeddings are kept, how many and how large; with --clear, empty the cache."""
    from nearfar.runtime.arrays import clear_stores, stored_bytes
    from nearfar.runtime.cache import cache_size, clear_cache, default_cache, machine_cache
    from nearfar.runtime.remote_cache import clear_remote, remote_size
    from nearfar.runtime.urls import url_of

    folder = default_cache()
    url = url_of(folder)
    mels = folder if url is None else machine_cache()  # which are never sent
    if clear:
        # On a disk both kinds: who frees it does not want to know what is in it. A URL is another
        # place than this machine, and of that nobody spoke.
        freed = clear_remote(url) if url else clear_cache(folder) + clear_stores(mels)
        typer.echo(f"{folder}: {_readable(freed)} freed" if freed else f"{folder}: was empty")
        if url and (stored := stored_bytes(mels)):
            typer.echo(f"{mels}: log-mels on this machine, {_readable(stored)}, stay; with "
                       "NEARFAR_CACHE unset --clear empties that")  # fmt: skip
        return
    size = cache_size(folder) if url is None else remote_size(url)
    if size.entries is None:  # SQLite cannot read it; commands go on without it, and warn
        typer.echo(f"{folder}: damaged, {_readable(size.bytes)}; nearfar cache --clear deletes it")
    elif not size.entries:
        typer.echo(f"{folder}: empty" + (f", {_readable(size.bytes)}" if size.bytes else ""))
    else:
        typer.echo(f"{folder}: {size.entries} embeddings, {_readable(size.bytes)}")
    if stored := stored_bytes(mels):
        typer.echo(f"{mels}: log-mels for training and scoring, {_readable(stored)}")


def _readable(count: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:  # powers of ten, as disks are sold
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
