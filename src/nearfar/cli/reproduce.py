"""The command reproduce: the report's tables. Flags to calls, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import tell
from nearfar.cli.options import (
    DATA,
    SYSTEM,
    Cache,
    Channels,
    Device,
    Engine,
    NoCache,
    Order,
    Workers,
    kept_at,
)
from nearfar.cli.program import voice
from nearfar.cli.progress import Interrupted, Session, show_warning
from nearfar.errors import SettingError, visible

if TYPE_CHECKING:
    from nearfar.training.settings import FineTuning

OF_TRAINING = "training."
SHOWN = 5  # warnings; a hundred steps may give as many, and the log has them all

Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]


def reproduce(
    data: Annotated[Path, typer.Argument(help="The development set: DCASE folder, or CSV.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run.")],
    weights: Annotated[
        str | None,
        typer.Option(help="The published encoder: a folder, a .safetensors file or a hub id."),
    ] = None,  # refused later, and only if a table needs it: table 1 does not
    frozen_weights: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            rich_help_panel=SYSTEM,
            help="System 3's encoder, where it is another published one.",
        ),
    ] = None,
    table: Annotated[str, typer.Option(help="1, 2, 3, text, readings or all.")] = "all",
    seeds: Annotated[int, typer.Option(help="Trainings of each encoder; the report has 4.")] = 4,
    precision: Annotated[
        str, typer.Option(help="Products of encoders, in training and after: fp32 or bf16.")
    ] = "fp32",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="training.epochs=5 and such, for every training; repeatable."),
    ] = None,
    resume: Resume = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and show the plan; write nothing.")
    ] = False,
    any_data: Annotated[
        bool, typer.Option("--any-data", help="Take other data or encoders; no report's column.")
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            rich_help_panel=DATA,
            help="Train without clips that cannot be used, and name them in the results; "
            "test clips stay in, with a score that says nothing.",
        ),
    ] = False,
    channel_order: Channels = Order.near_far,
    device: Device = "auto",
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    engine: Engine = "local",
) -> None:
    """Compute every table of the report, beside the report's own numbers.

    Trains what must be trained, scores, compares; writes results.md and results.json. What is done
    is not done again: stopped anywhere, --resume goes on.
    """
    from nearfar.parts.change import with_setting
    from nearfar.reproduce.entries import tables_of
    from nearfar.reproduce.run import reproduce as run
    from nearfar.training import FineTuning

    tables, products = tables_of(table), with_setting(FineTuning(), f"precision={precision}")
    training = _training(products, settings or ())
    with Session(workers, kept_at(cache, no_cache), device, None, engine) as session:
        try:
            outcome = run(
                data, weights, output, tables=tables, seeds=seeds, training=training,
                precision=products.precision, runtime=session.runtime, order=channel_order.value,
                resume=resume, dry_run=dry_run, any_data=any_data, frozen_weights=frozen_weights,
                skip_bad=skip_bad,
                say=session.say,
            )  # fmt: skip
        except Interrupted as interrupt:
            # Said here, where the folder's name is known. Without steps nothing is there to go on
            # with.
            begun = (output / "steps").is_dir()
            interrupt.kept = (
                f"finished steps are kept in {output}, --resume goes on from there" if begun else ""
            )
            raise
    typer.echo(outcome.text)
    if dry_run:
        return
    # After the tables: above them nobody would see these any more.
    for warning in outcome.warnings[:SHOWN]:
        show_warning(warning)
    if len(outcome.warnings) > SHOWN and not voice.quiet:
        more = len(outcome.warnings) - SHOWN
        tell("", f"and {more} more warnings, in {output / 'log.jsonl'}")
    typer.echo(visible(f"wrote {output / 'results.md'} and {output / 'results.json'}"))


def _training(training: FineTuning, assignments: Sequence[str]) -> FineTuning:
    """The settings of every training."""
    from nearfar.parts.change import with_setting

    for assignment in assignments:
        name, equals, _ = (piece.strip() for piece in assignment.partition("="))
        if not equals:
            raise SettingError(f"--set {assignment!r}: say it as in --set training.epochs=5")
        # A system of other parts would stand in a table under the report's name.
        if not name.startswith(OF_TRAINING):
            raise SettingError(
                f"{name}: the systems are the report's; what can be set is how encoders are "
                "trained, as in --set training.epochs=5"
            )
        training = with_setting(training, assignment.strip().removeprefix(OF_TRAINING))
    return training
