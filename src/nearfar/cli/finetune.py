"""The command finetune: train an encoder on proxy classes. Flags to calls, nothing else."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.options import (
    DATA,
    OUTPUT,
    Cache,
    Channels,
    ClipSeconds,
    Device,
    Far,
    Machine,
    Near,
    NoCache,
    Order,
    Pair,
    Replace,
    Salvage,
    SkipBad,
    TimePattern,
    Weights,
    Workers,
    channels_of,
    kept_at,
    order_of,
)
from nearfar.cli.progress import Interrupted, Session
from nearfar.errors import SettingError, needs, visible
from nearfar.files import check_output, is_picture
from nearfar.system.named import system_of
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.clips import Clips
    from nearfar.embedder.record import Training
    from nearfar.training import FineTuning

# None where nothing is said: the default stands in FineTuning alone.
Seed = Annotated[int | None, typer.Option(min=0, help="Of all that is drawn; as training.seed.")]
Loss = Annotated[
    str | None,
    typer.Option(help="arcface, cosface, elasticface, magface or sc-adacos; as training.loss."),
]
Lora = Annotated[
    int | None,
    typer.Option(
        help="Rank, such as 16: train small updates of a frozen encoder instead of every layer; as "
        "training.lora."
    ),
]
Adapt = Annotated[
    str | None,
    typer.Option(
        help="dann or mixstyle: let source and target sound alike to the encoder; as "
        "training.adaptation."
    ),
]
CheckpointMinutes = Annotated[
    float,
    typer.Option(
        min=0, help="Between two checkpoints, of gigabytes; 0: after each step.",
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MACHINE,…",
        help="Train without these machines: to a detector of them every clip is then new. "
        "Repeatable.",
        rich_help_panel=DATA,
    ),
]
Apart = Annotated[
    bool,
    typer.Option(
        "--apart",
        help="Machines of one name in several DATA are others, with classes of their own.",
        rich_help_panel=DATA,
    ),
]

OF_TRAINING = "training."  # what the names of the training's settings begin with
OF_ENCODER = ("weights", "frames", "pooling", "layer")  # that finetune reads, or refuses
SETTING_OF = {"adapt": "adaptation"}  # flags of another name than their setting
OF_BOTH = ("shortest", "precision", "seed")  # that a training has under the same name


def finetune(
    data: Annotated[
        list[Path],
        typer.Argument(help="DCASE folders, folders of normal recordings, or CSVs: one encoder."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .safetensors file.")],
    weights: Weights = None,
    system: Annotated[
        str, typer.Option("-s", "--system", help="Whose front end and encoder; see systems.")
    ] = "s1",  # the only preset that a training makes; s2 is four of them
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="training.epochs=5, frontend.coherence_weight=0 and such; repeatable."
        ),
    ] = None,
    seed: Seed = None,
    loss: Loss = None,
    lora: Lora = None,
    adapt: Adapt = None,
    # Off: who has forgotten an earlier training is told of it, and nothing is mixed up.
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was stopped.")
    ] = False,
    checkpoint_minutes: CheckpointMinutes = 10.0,
    exclude: Exclude = None,
    apart: Apart = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw loss and accuracy; a .png, .svg or .pdf file.")
    ] = None,
    replace: Replace = False,
    machine: Machine = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    skip_bad: SkipBad = False,
    device: Device = "auto",
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Train an encoder to tell normal operating conditions apart; write its weights.

    A checkpoint of every ten minutes and a log, .jsonl, lie beside the output. Several GPUs: start
    it with torchrun --no-python --nproc-per-node 4 nearfar finetune …, or with accelerate launch.
    """
    from nearfar.embedder.contract import training_of
    from nearfar.embedder.encoders import encoder_of
    from nearfar.training.curves import check_matplotlib, draw

    check_output(
        plot, endings=(".png", ".svg", ".pdf"), inputs=[*data, *(weights or ())], ours=is_picture,
        replace=replace,
    )  # fmt: skip
    if plot is not None:
        check_matplotlib()  # now: a picture is drawn after hours
    flags = {"seed": seed, "loss": loss, "lora": lora, "adapt": adapt}
    recipe, training = _settings(system, weights, settings or (), flags)
    order_of(channel_order, near, far)  # refuses what contradicts itself
    opened = {"pair": pair, "salvage": salvage, "time_pattern": time_pattern,
              "channels": channels_of(near, far)}  # fmt: skip
    sets = _sets(data, machine, clip_seconds, opened)
    left_out = _excluded(exclude or (), sets)
    run = _imported()  # after what costs nothing to refuse: PyTorch takes seconds
    # Asked before the run, which then returns at once: "wrote" would not be true.
    finished = resume and output.exists() and not _checkpoint(output).exists()
    with _kept(output), Session(workers, kept_at(cache, no_cache), device) as session:
        runtime = (
            session.runtime if _leads() else dataclasses.replace(session.runtime, progress=None)
        )
        run(
            recipe, sets, training, runtime, out=output, resume=resume,
            order=channel_order.value, skip_bad=skip_bad, watch=session.watch,
            checkpoint_minutes=checkpoint_minutes, exclude=left_out, apart=apart,
        )  # fmt: skip
    if not _leads():
        return
    if plot is not None:
        draw(output.with_suffix(".jsonl"), plot)
    of_frontend = [a.strip() for a in settings or () if a.strip().startswith("frontend")]
    said = shlex.join(["-s", system, *(x for a in of_frontend for x in ("--set", a))])
    typer.echo(_summary(output, training_of(encoder_of(output)), said, finished))
    if plot is not None:
        typer.echo(visible(f"wrote {plot}"))


def _settings(
    name: str,
    weights: list[str] | None,
    assignments: Sequence[str],
    flags: Mapping[str, str | int | None],
) -> tuple[Any, FineTuning]:
    """The system, and how it is trained."""
    from nearfar.system.presets import PUBLISHED
    from nearfar.system.system import System

    if name == "s2":
        raise SettingError("s2 is four seeds of s1: train s1 four times with --seed 0 … 3")
    # Never downloaded unasked; a person's own system may have its weights inside.
    if not weights and ".py:" not in name:
        raise SettingError(
            "--weights is missing: the published encoder to begin with, a folder or a hub id such "
            f"as {PUBLISHED} (1.2 GB)"
        )
    of_system = [a for a in assignments if not _of_training(a)]
    recipe = system_of(name, of_system, weights)
    if not isinstance(recipe, System):
        raise SettingError(
            f"{name} is an ensemble of {len(recipe.members)} systems; train one system, such as s1"
        )
    for assignment in of_system:
        _refuse_ignored(assignment)
    return recipe, _training_settings(assignments, flags)


def _training_settings(
    assignments: Sequence[str], flags: Mapping[str, str | int | None]
) -> FineTuning:
    """The training's settings of --set, and those that have a flag of their own."""
    from nearfar.parts.change import with_setting
    from nearfar.training import FineTuning

    given = {SETTING_OF.get(flag, flag): x for flag, x in flags.items() if x is not None}
    training = dataclasses.replace(FineTuning(), **given)  # type: ignore[arg-type]
    for assignment in filter(_of_training, assignments):
        training = with_setting(training, assignment.strip().removeprefix(OF_TRAINING))
    # Said twice and differently: whichever won, somebody would train hours of the other.
    for flag, value in flags.items():
        name = SETTING_OF.get(flag, flag)
        if value is not None and getattr(training, name) != value:
            raise SettingError(
                f"--{flag} {value} and training.{name}={getattr(training, name)}; give one of them"
            )
    return training


def _refuse_ignored(assignment: str) -> None:
    """Refuse what a training would not hear of."""
    path = assignment.partition("=")[0].strip()
    part, _, setting = path.rpartition(".")
    # Two paths: a system has its encoder bare, or inside Crops.
    of_encoder = part in ("embedder", "embedder.embedder") and setting in OF_ENCODER
    # A scoring rule, say, would look as if it had shaped the encoder.
    if path.split(".")[0] != "frontend" and not of_encoder:
        own = f"{OF_TRAINING}{setting} is what counts here, " if setting in OF_BOTH else ""
        raise SettingError(f"{path} has no effect on training; {own}say it to nearfar fit")


def _of_training(assignment: str) -> bool:
    return assignment.strip().startswith(OF_TRAINING)


def _sets(
    data: Sequence[Path],
    machine: str | None,
    clip_seconds: float | None,
    opened: Mapping[str, Any],
) -> dict[str, Clips]:
    """The clips of each data set, by its name."""
    from nearfar.clips import Clips
    from nearfar.training.datasets import set_names

    return {
        name: Clips.open(one, "train", machine=machine, clip_seconds=clip_seconds, **opened)
        for name, one in zip(set_names(data), data, strict=True)
    }


def _excluded(given: Sequence[str], sets: Mapping[str, Clips]) -> tuple[str, ...]:
    """The machines to leave out, of names with commas between them.

    Raises:
        DatasetError: no such machine, or none is left.
    """
    from nearfar.training.datasets import check_excluded

    known = {machine for clips in sets.values() for machine in clips.machines}
    names: list[str] = []
    for one in given:  # a machine's own name may have a comma in it
        names += [one] if one in known else [n.strip() for n in one.split(",")]
    check_excluded(names, known)  # refused now, before PyTorch is loaded
    return tuple(dict.fromkeys(names))


def _imported() -> Any:
    with needs("eat", "training needs PyTorch", SettingError):
        from nearfar.training.run import finetune as run
    return run


def _leads() -> bool:
    """Of several processes that a launcher started, one speaks."""
    # Of the environment, as launchers set it: there is no team yet, or no more.
    return os.environ.get("RANK", "0") == "0"


def _checkpoint(output: Path) -> Path:
    """Where a training that is not finished stands."""
    return output.with_suffix(".checkpoint.safetensors")


@contextmanager
def _kept(output: Path) -> Iterator[None]:
    """Say what is kept of a training that Ctrl-C or SIGTERM stops."""
    try:
        yield
    except Interrupted as interrupt:
        kept = _checkpoint(output)
        if not _leads():  # one of several processes speaks
            interrupt.kept = ""
        elif kept.exists():
            interrupt.kept = f"{kept}: --resume goes on from there"
        else:
            interrupt.kept = "no step of the training is kept yet, the same command begins it anew"
        raise


def _summary(output: Path, training: Training | None, said: str, finished: bool) -> str:
    """What was written, how good it is, and what comes next; `said` names the system."""
    done = visible(f"{output} was finished already" if finished else f"wrote {output}")
    if training is None:
        return done
    best, epochs = training.provenance["best"], training.provenance["epochs"]
    held = len(training.held_out)
    right = (
        "no normals held out"
        if best["accuracy"] is None
        else f"{100 * best['accuracy']:.1f} % of {held} held-out normals in their class"
    )
    return (
        f"{done}: {len(training.classes)} classes of {counted(len(training.machines), 'machine')}, "
        f"epoch {best['epoch']} of {epochs}, {right}\n"
        f"next: nearfar fit DATA {said} --weights {output} -o DETECTOR"
    )
