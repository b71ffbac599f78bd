"""The commands ablate and evaluate: what is a system worth? Flags to calls, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli import offers
from nearfar.cli.lines import say
from nearfar.cli.options import (
    DATA,
    AnyFrontend,
    BatchSize,
    Cache,
    Channels,
    ClipSeconds,
    Device,
    Far,
    Json,
    Machine,
    Near,
    NoCache,
    Order,
    Pair,
    Parts,
    Replace,
    Salvage,
    Settings,
    SkipBad,
    SystemName,
    TimePattern,
    Weights,
    Workers,
    Year,
    channels_of,
    kept_at,
    on_disk,
    order_of,
    write_json,
)
from nearfar.cli.progress import Session
from nearfar.errors import SettingError, visible
from nearfar.files import check_output
from nearfar.system.named import system_of, types_of

if TYPE_CHECKING:
    from nearfar.study.claims import Claim
    from nearfar.study.data import Printable
    from nearfar.system.system import AnySystem

DEFAULT = "s4"  # the only system of the report that needs no weights: it works at once

Fitted = Annotated[
    Path | None,
    typer.Option("--detector", help="Evaluate this detector instead of fitting a system."),
]
ScoreFiles = Annotated[
    Path | None,
    typer.Option(
        "--scores",
        help="Evaluate score files (anomaly_score_….csv) in a folder, or of a system in a "
        "package, as submission.zip/1.",
    ),
]
Lomo = Annotated[bool, typer.Option("--lomo", help="The same as --choose lomo.")]


class Chooser(StrEnum):
    """By what a machine's settings are chosen.

    >>> Chooser("balance") is Chooser.balance
    True
    """

    lomo = "lomo"
    balance = "balance"
    quantiles = "balance-quantiles"


Choose = Annotated[
    Chooser | None,
    typer.Option(
        "--choose",
        help="Choose the --vary settings of each machine: lomo, on the other machines' labels; "
        "balance, by no label, where source and target self-scores are most alike.",
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        help="The ground truth, for clips whose names tell no label: a CSV of machine, section, "
        "file, domain, label, or as it is published."
    ),
]
Evaluation = Annotated[
    list[Path] | None,
    typer.Option(
        "--eval",
        metavar="PLACE",
        rich_help_panel=DATA,
        help="Machines of the evaluation set, held beside those of DATA: dev, eval, difference. "
        "Without labels and --truth their clips are scored, not judged. Repeatable.",
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        help="With --choose: part.setting=\\[value, …], as in whitening.shrinkage=\\[0.01,0.1]; "
        "repeatable, for all combinations.",  # \\[ is printed as [
    ),
]


def ablate(
    data: Annotated[
        list[Path],
        typer.Argument(
            autocompletion=offers.places_or_claims,  # of a list and a word a shell asks the list
            help="DCASE folders, or CSVs and folders with labels.",
        ),
    ],
    claim: Annotated[
        str,
        typer.Argument(
            help="coefficients, fusion, enrichment, channels, families, adaptation, members, "
            "selfscores, percentile; beyond, of an encoder's --weights.",
        ),
    ],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    truth: Truth = None,
    output: Json = None,
    replace: Replace = False,
    machine: Machine = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Test what is claimed about a system: change a part, see what Ω does.

    Each variant is compared with the system as it is, on the same clips, with intervals.
    """
    from nearfar.study import ablation
    from nearfar.study.claims import find_claim
    from nearfar.study.data import Given, is_result

    found = find_claim(claim)
    check_output(
        on_disk(output), endings=(".json",), ours=is_result, replace=replace,
        inputs=[*data, truth, *(weights or ())],
    )  # fmt: skip
    # A claim that is not about this system is refused here: an ablation takes many fits.
    variants = found.variants(_subject(found, system, settings, weights))
    order = order_of(channel_order, near, far)
    source = Given(
        tuple(data),
        {"machine": machine, "pair": pair, "salvage": salvage, "time_pattern": time_pattern,
         "clip_seconds": clip_seconds},
    )  # fmt: skip
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
        result = ablation.ablate(
            source, variants, session.runtime, claim=claim, sentence=found.sentence, truth=truth,
            order=order,
        )  # fmt: skip
    _tell(result, output)


def evaluate(
    data: Annotated[
        list[Path] | None, typer.Argument(help="DCASE folders, or CSVs and folders with labels.")
    ] = None,
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    detector: Fitted = None,
    scores: ScoreFiles = None,
    truth: Truth = None,
    transductive: Annotated[
        bool,
        typer.Option(
            "--transductive",
            rich_help_panel=DATA,
            help="Take --scores that were ranked or scaled within the test set; the word stands "
            "beside every number.",
        ),
    ] = False,
    evaluation: Evaluation = None,
    output: Json = None,
    replace: Replace = False,
    # On, since a number says little without what plain log-mels reach on the same clips.
    floor: Annotated[
        bool, typer.Option("--floor/--no-floor", help="Fit and show the logmel floor too.")
    ] = True,
    # Without it the data tell: 2020 had no domains, 2021 a test folder for each.
    rule: Annotated[
        Year | None, typer.Option(help="The year's rule; found in the data if not given.")
    ] = None,
    choose: Choose = None,
    lomo: Lomo = False,
    vary: Vary = None,
    machine: Machine = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    part: Parts = None,
    any_frontend: AnyFrontend = False,
    skip_bad: SkipBad = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Judge a system on labelled clips: AUC for each machine, and Ω with a 95 % interval."""
    from nearfar.study.assessment import of_data, of_files
    from nearfar.study.data import Given, is_result
    from nearfar.study.lomo import study

    check_output(
        on_disk(output), endings=(".json",), ours=is_result, replace=replace,
        inputs=[*(data or ()), *(evaluation or ()), detector, scores, truth, *(weights or ())],
    )  # fmt: skip
    how = _chooser(choose, lomo)
    _check_lomo(
        how, vary, ("--scores", scores), ("--detector", detector), ("--skip-bad", skip_bad),
        ("--eval", evaluation),
    )  # fmt: skip
    _check_given(bool(data), scores, detector, bool(system or settings), channel_order)
    opened: dict[str, Any] = {
        "machine": machine, "pair": pair, "salvage": salvage, "time_pattern": time_pattern,
        "clip_seconds": clip_seconds,
    }  # fmt: skip
    _check_files(
        scores,
        transductive,
        {**opened, "near": near, "far": far, "skip_bad": skip_bad, "eval": evaluation},
    )
    order = order_of(channel_order, near, far)
    # As in score: a detector has an order, and clips of files unlike its own say theirs.
    opened["channels"] = channels_of(near, far) if detector else None
    source = Given((*(data or ()), *(evaluation or ())), opened)
    theirs = Given(tuple(evaluation), opened) if evaluation else None
    year: Any = None if rule is None else rule.value
    name = system or DEFAULT
    if scores is not None:
        result: Printable = of_files(scores, truth, year, transductive=transductive)
    else:
        recipe: Any = None if detector else system_of(name, settings, weights)
        with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
            if how is not None:
                result = study(
                    source, recipe, vary or (), session.runtime, truth=truth, floor=floor,
                    rule=year, name=name, order=order, any_frontend=any_frontend, choose=how,
                )  # fmt: skip
            else:
                result = of_data(
                    source, recipe, session.runtime, detector=detector, types=types_of(part),
                    # Of a detector: where its encoders have their weights now.
                    weights=weights or (), truth=truth, floor=floor, rule=year, skip_bad=skip_bad,
                    name=name, order=order, any_frontend=any_frontend, evaluation=theirs,
                )  # fmt: skip
    _tell(result, output)


def _subject(
    claim: Claim, system: str | None, settings: list[str] | None, weights: list[str] | None
) -> AnySystem:
    """The system that a claim is tried on: the one named, or what the claim begins with."""
    if system is not None or claim.start is None:
        subject: AnySystem = system_of(system or DEFAULT, settings, weights)
        return subject
    from nearfar.parts.change import with_setting

    begun = claim.start(*weights or ())
    for assignment in settings or ():
        begun = with_setting(begun, assignment)
    return begun


def _check_files(scores: Path | None, transductive: bool, of_data: Mapping[str, Any]) -> None:
    """Refuse what says how recordings are opened, where there are none, and the reverse."""
    if transductive and scores is None:  # a detector of ours judges each clip by itself
        raise SettingError("--transductive is for --scores; leave it out")
    for name, given in of_data.items():
        if scores is not None and given:
            raise SettingError(
                f"--{name.replace('_', '-')} is for DATA, and --scores has none; leave it out"
            )


def _tell(result: Printable, output: Path | None) -> None:
    """Write what was asked for and print the rest."""
    # The file first: a closed pipe must not cost it.
    if not write_json(output, result.as_dict() if output is not None else None):
        for line in result.text.split("\n"):
            say(visible(line))  # whatever score files are called


def _check_given(
    data: bool, scores: Path | None, detector: Path | None, system: bool, channel_order: Order
) -> None:
    """Refuse what does not go together: `data` and `system`, were they given?"""
    if data == (scores is not None):  # score files carry no clips, clips no scores
        raise SettingError("give DATA to evaluate a system on, or --scores DIR with --truth FILE")
    # Each is a whole answer to what is judged; a detector has its system and settings inside.
    if (scores is not None) + (detector is not None) + system > 1:
        raise SettingError("-s/--set, --detector and --scores exclude each other; give one of them")
    if detector is not None and channel_order is not Order.near_far:
        raise SettingError(f"--channel-order: {detector} has its own; leave one of the two out")


def _chooser(choose: Chooser | None, lomo: bool) -> Any:
    """The word for how to choose; --lomo is an older one for one of them."""
    if lomo and choose not in (None, Chooser.lomo):
        raise SettingError(f"--lomo is --choose lomo; leave it out, or --choose {choose}")
    return "lomo" if lomo else choose and choose.value


def _check_lomo(how: str | None, vary: list[str] | None, *others: tuple[str, Any]) -> None:
    """Refuse what a choice cannot do, before any work; `others` are options and their values."""
    if vary and how is None:  # the best of several on the test data is no result (law 8)
        raise SettingError(
            "--vary goes with --choose lomo or --choose balance, which choose among its values"
        )
    if how and not vary:  # with one candidate there is no choice to be honest about
        raise SettingError(
            f"--choose {how} needs --vary part.setting=[value, …], what to choose from"
        )
    # Every candidate's scores on the same clips are wanted, on all of them.
    for option, given in others if how else ():
        if given:
            raise SettingError(
                f"--choose {how} fits systems and judges all clips; leave {option} out, say -s and "
                "--set"
            )
