"""Commands around runs: ablate, cache. Flags to calls, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.options import (
    AnyFrontend,
    BatchSize,
    Cache,
    Device,
    Order,
    Parts,
    Settings,
    SkipBad,
    SystemName,
    Weights,
    Workers,
    Year,
)
from nearfar.cli.progress import running
from nearfar.errors import SettingError
from nearfar.files import check_output
from nearfar.system.named import system_of, types_of

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


def ablate(
    data: Annotated[Path, typer.Argument(help="DCASE folder, or CSV with labels.")],
    claim: Annotated[
        str,
        typer.Argument(
            help="coefficients, fusion, enrichment, channels, families, adaptation, members, "
            "selfscores or percentile."
        ),
    ],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="machine,section,file,domain,label for clips without labels."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to a file.")
    ] = None,
    channel_order: Order = Order.near_far,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Test what the report claims about a system: change a part, see what Ω does.

    Each variant is compared with the system as it is, on the same clips, with intervals.
    """
    from nearfar.files import write_text
    from nearfar.study import ablation
    from nearfar.study.claims import find_claim

    found = find_claim(claim)
    check_output(output)
    variants = found.variants(system_of(system or "s4", settings, weights))
    with running(workers, cache, device, batch_size) as runtime:
        result = ablation.ablate(
            data, variants, runtime, claim=claim, sentence=found.sentence, truth=truth,
            order=channel_order.value,
        )  # fmt: skip
    if output is not None:
        write_text(output, json.dumps(result.as_dict(), indent=1, ensure_ascii=False) + "\n")
    typer.echo(result.text + (f"\nwrote {output}" if output is not None else ""))


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
    from nearfar.study.assessment import of_data, of_files
    from nearfar.study.data import Printable, write_json
    from nearfar.study.lomo import study

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
        result: Printable = of_files(scores, truth, year)
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
