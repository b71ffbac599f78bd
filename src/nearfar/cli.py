"""Flags to calls, nothing else. Heavy modules are imported inside the commands."""

from __future__ import annotations

import io
import json
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar import cli_weights
from nearfar.cli_embed import embed
from nearfar.cli_finetune import finetune
from nearfar.cli_options import (
    AnyFrontend,
    BatchSize,
    Cache,
    ClipSeconds,
    Device,
    Machine,
    Order,
    Parts,
    Rate,
    Settings,
    SkipBad,
    SystemName,
    Weights,
    Workers,
    Year,
    check_output,
    one_line,
    published,
    running,
    show_warning,
    system_of,
    types_of,
)
from nearfar.cli_reproduce import reproduce
from nearfar.cli_runs import ablate, cache
from nearfar.cli_sound import inspect, mask, simulate
from nearfar.errors import NearfarError, NearfarWarning, SettingError

Fitted = Annotated[
    Path | None,
    typer.Option("--detector", help="Evaluate this detector instead of fitting a system."),
]
ScoreFiles = Annotated[
    Path | None,
    typer.Option("--scores", help="Evaluate score files (anomaly_score_….csv) in a folder."),
]
Lomo = Annotated[
    bool,
    typer.Option("--lomo", help="Choose the --vary settings of each machine on the others."),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        help="With --lomo: part.setting=\\[value, …], as in whitening.shrinkage=\\[0.01,0.1]; "
        "repeatable, for all combinations.",  # \\[ is printed as [
    ),
]

app = typer.Typer(
    help="Hears when a machine starts to sound wrong, from one microphone near it and one far.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def fit(
    data: Annotated[
        Path, typer.Argument(help="DCASE folder, folder of normal recordings, or CSV.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the detector.")],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    machine: Machine = None,
    channel_order: Order = Order.near_far,
    false_alarm_rate: Rate = None,
    clip_seconds: ClipSeconds = None,
    copy_weights: Annotated[
        bool, typer.Option("--copy-weights", help="Put the encoder's weights into the detector.")
    ] = False,
    any_frontend: AnyFrontend = False,
    skip_bad: SkipBad = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Learn what normal sounds like; write a detector."""
    from nearfar import show
    from nearfar.clips import Clips
    from nearfar.folder import check_target
    from nearfar.system import fit as fit_system

    replaced = check_target(output)
    recipe = system_of(system or "s4", settings, weights, false_alarm_rate)
    clips = Clips.open(data, split="train", machine=machine, clip_seconds=clip_seconds)
    with running(workers, cache, device, batch_size) as runtime:
        detector = fit_system(
            recipe,
            clips,
            runtime,
            order=channel_order.value,
            skip_bad=skip_bad,
            any_frontend=any_frontend,
        )
    detector.save(output, weights="copy" if copy_weights else "keep")
    show.fitted(detector, output, replaced)


def score(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    data: Annotated[list[Path], typer.Argument(help="Files, folders or CSVs of new recordings.")],
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table to a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    fail_on_anomaly: Annotated[
        bool, typer.Option("--fail-on-anomaly", help="Exit with 1 if a clip is anomalous.")
    ] = False,
    false_alarm_rate: Rate = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    skip_bad: SkipBad = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Score new recordings: machine, score, percentile, anomalous, nearest normal clip."""
    from nearfar import show
    from nearfar.clips import Clips
    from nearfar.detector import load
    from nearfar.store import write_text

    check_output(csv)
    fitted = load(detector, types_of(part), weights or ())
    if false_alarm_rate is not None:
        fitted = fitted.with_false_alarm_rate(false_alarm_rate)
    # Near and far of a pair, both named by a *.wav, are one clip.
    clips = Clips(
        dict.fromkeys(c for path in data for c in Clips.open(path, clip_seconds=clip_seconds))
    )
    with running(workers, cache, device, batch_size) as runtime:
        scores = fitted.score(clips, runtime, machine=machine, section=section, skip_bad=skip_bad)
    if csv is not None:
        write_text(csv, scores.to_csv())
    if as_json:
        typer.echo(json.dumps([v.as_dict() for v in scores], indent=1, ensure_ascii=False))
    else:
        show.verdicts(scores, csv)
    if fail_on_anomaly and any(v.anomalous for v in scores):
        raise typer.Exit(1)


def threshold(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    false_alarm_rate: Rate = None,
    part: Parts = None,
) -> None:
    """Show a detector's thresholds; with a rate, draw them anew and write the detector.

    Nothing is fitted again. For one run only there is `nearfar score --false-alarm-rate`.
    """
    from nearfar import show
    from nearfar.detector import load

    fitted = load(detector, types_of(part))
    if false_alarm_rate is not None:
        fitted = fitted.with_false_alarm_rate(false_alarm_rate)
        fitted.save(detector)
    show.thresholds(fitted, detector if false_alarm_rate is not None else None)


def evaluate(
    data: Annotated[Path | None, typer.Argument(help="DCASE folder, or CSV with labels.")] = None,
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    detector: Fitted = None,
    scores: ScoreFiles = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="machine,section,file,domain,label for clips without labels."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to a file.")
    ] = None,
    floor: Annotated[
        bool, typer.Option("--floor/--no-floor", help="Fit and show the logmel floor too.")
    ] = True,
    rule: Annotated[
        Year | None, typer.Option(help="The year's rule; found in the data if not given.")
    ] = None,
    lomo: Lomo = False,
    vary: Vary = None,
    channel_order: Order = Order.near_far,
    part: Parts = None,
    any_frontend: AnyFrontend = False,
    skip_bad: SkipBad = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Print the rows of the report's Table 2 and Ω with a 95 % interval."""
    from nearfar.assess import Report, of_data, of_files, write_json
    from nearfar.lomo import study

    check_output(output)
    _check_lomo(
        lomo, vary, ("--scores", scores), ("--detector", detector), ("--skip-bad", skip_bad)
    )
    if (data is None) == (scores is None):
        raise SettingError("give DATA to evaluate a system on, or --scores DIR with --truth FILE")
    if (scores is not None) + (detector is not None) + bool(system or settings) > 1:
        raise SettingError("-s/--set, --detector and --scores exclude each other; give one of them")
    year: Any = None if rule is None else rule.value
    if scores is not None:
        result: Report = of_files(scores, truth, year)
    else:
        recipe: Any = None if detector else system_of(system or "s4", settings, weights)
        with running(workers, cache, device, batch_size) as runtime:
            if data is not None and vary:
                result = study(
                    data, recipe, vary, runtime, truth=truth, floor=floor, rule=year,
                    name=system or "s4", order=channel_order.value, any_frontend=any_frontend,
                )  # fmt: skip
            else:
                result = of_data(
                    data, recipe, runtime, detector=detector, types=types_of(part),
                    weights=weights or (), truth=truth,
                    floor=floor, rule=year, skip_bad=skip_bad, name=system or "s4",
                    order=channel_order.value, any_frontend=any_frontend,
                )  # fmt: skip
    if output is not None:
        write_json(output, result)
    typer.echo(result.text + (f"\nwrote {output}" if output is not None else ""))


def _check_lomo(lomo: bool, vary: list[str] | None, *others: tuple[str, Any]) -> None:
    """Refuse what --lomo cannot do, before any work; `others` are options and their values."""
    if vary and not lomo:
        raise SettingError("--vary goes with --lomo, which chooses among its values")
    if lomo and not vary:
        raise SettingError("--lomo needs --vary part.setting=[value, …], what to choose from")
    for option, given in others if lomo else ():
        if given:
            raise SettingError(
                f"--lomo fits systems and judges all clips; leave {option} out, say -s and --set"
            )


def systems(
    name: Annotated[str | None, typer.Argument(help="A preset, or file.py:name.")] = None,
    weights: Weights = None,
    settings: Settings = None,
) -> None:
    """List the presets, or print one as Python that can be run."""
    from nearfar import show

    if name is None:
        show.presets()
    else:
        typer.echo(repr(system_of(name, settings, weights or published(name))))


def features(
    data: Annotated[Path, typer.Argument(help="One recording; with --select, training data.")],
    select: Annotated[
        bool, typer.Option("--select", help="Choose features by how little the domain moves them.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="With --select: how many to keep.")
    ] = None,
    tau: Annotated[
        float | None, typer.Option(help="With --select: keep shifts up to this.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All 151 candidates.")] = False,
    channel_order: Order = Order.near_far,
    seed: Annotated[int, typer.Option(min=0, help="Of the null distances.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Print the domain invariant features of a recording, or derive a set of them."""
    from nearfar import show

    if select:
        if keep is not None and tau is not None:
            raise SettingError("give --keep or --tau, not both")
        with running(workers, cache) as runtime:
            show.selection(data, runtime, keep, tau, seed, as_json, channel_order.value)
    elif keep is not None or tau is not None:
        raise SettingError("--keep and --tau go with --select DATA")
    else:
        show.features(data, everything, as_json, channel_order.value)


COMMANDS = (  # in the order of the help
    fit, score, threshold, evaluate, systems, features,
    finetune, embed, ablate, reproduce, cache,
    simulate, inspect, mask,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)
app.add_typer(cli_weights.app, name="weights")


def main() -> None:
    """Run the command line; one line for whatever a user can cause.

    Exit codes: 0 fine, 1 anomaly found (with --fail-on-anomaly), 2 user error, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Ω must not end the program on an old console
            stream.reconfigure(errors="replace")
    before = signal.signal(signal.SIGINT, _interrupt)
    warnings.showwarning = show_warning
    warnings.filterwarnings("always", category=NearfarWarning)
    try:
        app()
    except NearfarError as error:
        typer.echo(f"error: {one_line(error)}", err=True)
        sys.exit(2)
    except _Interrupted:
        typer.echo(
            "interrupted; what is finished is kept, the same command goes on from there", err=True
        )
        sys.exit(130)
    except OSError as error:  # standard output is full or gone
        typer.echo(f"error: the output cannot be written ({error.strerror})", err=True)
        sys.exit(2)
    finally:
        signal.signal(signal.SIGINT, before)


class _Interrupted(BaseException):
    """Ctrl-C. Not KeyboardInterrupt, which the command-line library keeps to itself."""


def _interrupt(*_: object) -> None:
    raise _Interrupted
