"""The commands fit, score and threshold: a detector is made, used, tuned.

The channel order is asked for in fit alone: the detector remembers it.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.detectors import open_detector, warn_of_strangers, with_domains, with_license
from nearfar.cli.each import EachFit, fit_each, refuse_each, refuse_fleet
from nearfar.cli.options import (
    OUTPUT,
    AnyFrontend,
    BatchSize,
    ByDomain,
    Cache,
    ClipSeconds,
    Csv,
    Device,
    Engine,
    ExcludeSuspects,
    Far,
    Json,
    License,
    Machine,
    Near,
    NoCache,
    Order,
    Pair,
    Parts,
    Rate,
    Replace,
    Salvage,
    Settings,
    SkipBad,
    SystemName,
    TimePattern,
    Weights,
    Workers,
    channels_of,
    check_stdout,
    kept_at,
    license_of,
    on_disk,
    order_of,
    write_csv,
    write_json,
)
from nearfar.cli.parquet import Parquet, check_parquet, write_parquet
from nearfar.cli.progress import Session
from nearfar.cli.sharding import (
    PartFile,
    Sharded,
    all_cores,
    check_output_of,
    work_of,
)
from nearfar.cli.splits import (
    OfficialFolder,
    SplitAsked,
    check_judged,
    check_official,
    opened_split,
    to_judge,
    write_official_files,
)
from nearfar.errors import visible
from nearfar.files import check_output
from nearfar.system.named import system_of, types_of

# None where it is not said: a detector that was there may know it.
ToldChannels = Annotated[
    Order | None,
    typer.Option(
        "--channel-order",
        help="Which channel of your files comes first: near-far, or as the detector there has it.",
    ),
]
# Off: one detector is one file to carry; of thousands of machines each has its own life.
Each = Annotated[
    bool,
    typer.Option(
        "--each", rich_help_panel=OUTPUT,
        help="Write a detector for each machine, to OUTPUT/MACHINE, and not one of all.",
    ),
]  # fmt: skip
FailOnAnomaly = Annotated[
    bool,
    typer.Option(
        "--fail-on-anomaly",
        help="Exit with 1 if a clip is anomalous; with 3 if none is but some were not judged.",
    ),
]


def fit(
    data: Annotated[
        list[Path],
        typer.Argument(help="DCASE folders, folders of normal recordings, files or CSVs."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the detector.")],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    machine: Machine = None,
    channel_order: ToldChannels = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    false_alarm_rate: Rate = None,
    threshold_by_domain: ByDomain = None,
    clip_seconds: ClipSeconds = None,
    copy_weights: Annotated[
        bool, typer.Option("--copy-weights", help="Put the encoder's weights into the detector.")
    ] = False,
    any_frontend: AnyFrontend = False,
    skip_bad: SkipBad = False,
    exclude_suspects: ExcludeSuspects = False,
    data_license: License = None,
    replace: Replace = False,
    each: Each = False,
    shard: Sharded = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    engine: Engine = "local",
) -> None:
    """Learn what normal sounds like; write a detector.

    A detector that was there is kept as DETECTOR.previous until the next fit. One of other
    machines or sections, or of more than twice the clips of any, is only replaced with --replace.
    Of one of the same machines the false-alarm rate, thresholds by domain, the channel order and
    the licence of its recordings stay as they are, unless they are said again. With --each all of
    this holds for the detector of each machine.
    """
    from nearfar.cli import show
    from nearfar.clips import Clips
    from nearfar.detector.fitting import FitCare
    from nearfar.detector.fleets import fit_staged
    from nearfar.detector.folder.index import check_target
    from nearfar.detector.folder.replacing import check_fitted, check_keeping, check_loss
    from nearfar.detector.folder.siblings import check_fleet
    from nearfar.detector.folder.staging import Staging
    from nearfar.detector.refit import Told, strangers, told_there
    from nearfar.detector.standouts import too_few
    from nearfar.embedder.contract import weights_of
    from nearfar.parts.data import to_data

    same: tuple[str, ...] = ()
    licence = license_of(data_license)
    refuse_each(each, shard)
    work = work_of(shard, output, data, engine, replace)
    if work.shard is None and not each:
        refuse_fleet(output)
    # First: minutes of work must not end in "cannot be written".
    replaced = work.replaces(check_fleet if each else check_target, output)
    recipe = work.system(lambda: system_of(system or "s4", settings, weights, false_alarm_rate))
    inputs = [*data, *(weights_of(member.embedder) for member in recipe.members)]
    keep = check_keeping(output, inputs, replace)
    rate = recipe.false_alarm_rate if _says_rate(false_alarm_rate, settings) else None
    ordered = channel_order is not None or near is not None or far is not None
    order = order_of(channel_order or Order.near_far, near, far) if ordered else None
    said = Told(rate, order, threshold_by_domain)
    # Law 4: of a data set with both, a fit never opens the test folder.
    clips = work.clips(lambda: Clips.open(
        data, split="train", machine=machine, clip_seconds=clip_seconds, pair=pair,
        salvage=salvage, time_pattern=time_pattern,
    ))  # fmt: skip
    if each:
        care = FitCare(skip_bad, any_frontend, exclude_suspects)
        wanted = EachFit(recipe, said, care, licence, copy_weights, replace)
        kept_in = kept_at(cache, no_cache)
        fit_each(wanted, clips, output, inputs,
                 lambda: Session(workers, kept_in, device, batch_size, engine))  # fmt: skip
        return
    if replaced:
        there = check_loss(output, clips, replace)  # by what is listed: nothing is heard yet
        told = told_there(there, clips.machines)
        said, same = said.or_as(told, recipe.false_alarm_rate)
        if told is not None and there is not None and there.data_license and not licence:
            licence, same = there.data_license, (*same, f"licence {there.data_license}")
    with Staging(output) as staging:
        with (
            work.kept("fit", clips, lambda: dict(
                system=to_data(recipe), chains=[m.chain.key for m in recipe.members],
                skip_bad=skip_bad, any_frontend=any_frontend, exclude_suspects=exclude_suspects,
                false_alarm_rate=rate, channel_order=channel_order, near=near, far=far,
                copy_weights=copy_weights, threshold_by_domain=threshold_by_domain,
                data_license=data_license,
            )),
            Session(
                workers, kept_at(cache, no_cache), device, batch_size, engine,
                work.executor(all_cores(workers)),
            ) as session,
        ):  # fmt: skip
            detector = fit_staged(
                staging, recipe, clips, session.runtime, order=said.order or "near-far",
                skip_bad=skip_bad, any_frontend=any_frontend, exclude_suspects=exclude_suspects,
                false_alarm_rate=said.false_alarm_rate, threshold_by_domain=bool(said.by_domain),
            )  # fmt: skip
        if replaced:
            check_fitted(output, detector.sections, replace)  # what was heard may be far less
        strange = strangers(output, detector) if replaced else {}
        detector = with_license(detector, licence)
        kept = detector.save_over(output, "copy" if copy_weights else "keep", previous=keep)
        warn_of_strangers(strange, kept)
        # Who reads no word of suspects may think there are none.
        for line in too_few(detector.sections):
            typer.echo(visible(line))
        if same:
            typer.echo(visible(f"kept from the detector there: {', '.join(same)}"))
        show.fitted(detector, output, replaced, kept)


def _says_rate(rate: float | None, settings: list[str] | None) -> bool:
    return rate is not None or any(s.startswith("false_alarm_rate=") for s in settings or ())


def score(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    data: Annotated[list[Path], typer.Argument(help="Files, folders or CSVs of new recordings.")],
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
    split: SplitAsked = None,
    csv: Csv = None,
    as_json: Json = None,
    output: PartFile = None,
    parquet: Parquet = None,
    official: OfficialFolder = None,
    fail_on_anomaly: FailOnAnomaly = False,
    false_alarm_rate: Rate = None,
    threshold_by_domain: ByDomain = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    skip_bad: SkipBad = False,
    replace: Replace = False,
    shard: Sharded = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    engine: Engine = "local",
) -> None:
    """Score new recordings: machine, score, percentile, anomalous, nearest normal clip.

    As many rows as clips: with --skip-bad what cannot be used is a row "not judged". Of a data set
    with train/ and test/ the test clips are scored, unless --split says otherwise.
    """
    from nearfar.cli.listing import verdicts
    from nearfar.clips import Clips
    from nearfar.detector.folder.siblings import digest_of
    from nearfar.scores.verdict import is_score_table

    inputs = [detector, *data, *(weights or ())]
    check_output_of(shard, output)
    work = work_of(shard, output, inputs, engine, replace)
    work.refuse(
        csv=csv, json=as_json, parquet=parquet, official=official, fail_on_anomaly=fail_on_anomaly
    )
    check_stdout(csv, as_json)
    for path, ending in ((csv, ".csv"), (as_json, ".json")):  # before clips are heard
        check_output(
            on_disk(path), endings=(ending,), inputs=inputs, ours=is_score_table, replace=replace
        )  # fmt: skip
    check_parquet(parquet, inputs, replace=replace)
    check_official(official, split, skip_bad=skip_bad, replace=replace)
    fitted = open_detector(detector, part, weights, false_alarm_rate, machine)
    # Near and far of a pair, both named by a *.wav, are one clip. A name given is a machine's:
    # recordings then lie at any depth, as `fit` took them.
    clips = work.clips(lambda: to_judge(Clips.open(
        data, machine=machine, clip_seconds=clip_seconds, split=opened_split(split, official),
        channels=channels_of(near, far), pair=pair, salvage=salvage, time_pattern=time_pattern,
    ), split))  # fmt: skip
    fitted = with_domains(fitted, threshold_by_domain, machine, clips.machines)
    with (
        work.kept("score", clips, lambda: dict(
            detector=os.path.abspath(detector), sha256=digest_of(detector), machine=machine,
            section=section, false_alarm_rate=false_alarm_rate, skip_bad=skip_bad,
            threshold_by_domain=threshold_by_domain, weights=weights,
        )),
        Session(
            workers, kept_at(cache, no_cache), device, batch_size, engine,
            work.executor(all_cores(workers)),
        ) as session,
    ):  # fmt: skip
        scores = fitted.score(
            clips, session.runtime, machine=machine, section=section,
            skip_bad=skip_bad or official is not None,
        )  # fmt: skip
    check_judged(official, scores)
    # First: a closed pipe must not cost the files.
    taken = write_csv(csv, scores.to_csv() if csv is not None else "")
    taken |= write_json(as_json, scores.as_dict() if as_json is not None else None)
    write_parquet(parquet, scores, detector)
    write_official_files(official, scores, replace=replace)
    if not taken:
        verdicts(scores)  # files are named at the command's end
    # Only where it was asked for: to a shell these are failures, and a verdict is none.
    if fail_on_anomaly and any(v.anomalous for v in scores):
        raise typer.Exit(1)
    if fail_on_anomaly and not all(v.judged for v in scores):  # silence is no good news
        raise typer.Exit(3)


def threshold(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    false_alarm_rate: Rate = None,
    threshold_by_domain: ByDomain = None,
    part: Parts = None,
) -> None:
    """Show a detector's thresholds; with an option, draw them anew and write the detector.

    What is not said stays as it is. Nothing is fitted again. For one run only, `nearfar score`
    takes the same options.
    """
    from nearfar.cli import show
    from nearfar.detector.detector import load
    from nearfar.detector.learning import lasting

    if false_alarm_rate is None and threshold_by_domain is None:
        show.thresholds(load(detector, types_of(part)), None)
        return
    # The self-scores lie in the folder: others of them are taken, and no clip is heard.
    reader = partial(load, detector, types_of(part))
    drawn = lasting.redraw(reader, detector, false_alarm_rate, threshold_by_domain)
    show.thresholds(drawn, detector)
