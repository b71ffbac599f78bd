"""The command submit: a challenge's package, made or checked. Flags to calls, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    STDOUT,
    BatchSize,
    Cache,
    Device,
    Far,
    Json,
    Near,
    NoCache,
    Pair,
    Parts,
    Salvage,
    Workers,
    channels_of,
    kept_at,
    on_disk,
    write_json,
)
from nearfar.cli.progress import Session
from nearfar.errors import SettingError, visible, warn
from nearfar.files import begins, check_output
from nearfar.system.named import types_of
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.clips import Clips
    from nearfar.runtime.runtime import Runtime
    from nearfar.scores.submission.label import Label
    from nearfar.scores.submission.metadata import Meta, TeamFile
    from nearfar.study.submission import Candidate

Labelled = Annotated[
    str | None,
    typer.Option("--label", metavar="Last_INST", help="Of the team: corresponding author's last "
                 "name, institute's abbreviation of at most 10 characters."),
]  # fmt: skip
MetaFile = Annotated[
    Path | None,
    typer.Option(
        "--meta",
        metavar="FILE.YAML",
        help="About the team and the systems; --new-meta writes an empty one.",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option("--pdf", metavar="FILE.PDF", help="The technical report, for all systems."),
]
Package = Annotated[
    Path | None,
    typer.Option("-o", "--output", rich_help_panel=OUTPUT, help="The package, a .zip."),
]
Evaluations = Annotated[
    list[Path] | None,
    typer.Option(
        "--results", metavar="FILE.JSON", rich_help_panel=DATA,
        help="JSON of nearfar evaluate on the development set; one a detector, in their order.",
    ),
]  # fmt: skip
Development = Annotated[
    Path | None,
    typer.Option(
        "--dev", metavar="DIR", rich_help_panel=DATA,
        help="The development set, to evaluate each detector on in place of --results; that "
        "beside DATA in the official layout if not given.",
    ),
]  # fmt: skip
Over = Annotated[
    bool,
    typer.Option(
        "--replace", rich_help_panel=OUTPUT,
        help="Write over a package, meta file or JSON that is there, even an earlier one of this "
        "command.",
    ),
]  # fmt: skip
YearTemplate = Annotated[
    Path | None,
    typer.Option(
        "--template",
        metavar="FILE.YAML",
        help="The year's own meta template: its keys, in its order.",
    ),
]
NewMeta = Annotated[
    Path | None,
    typer.Option("--new-meta", metavar="PATH|-", rich_help_panel=OUTPUT,
                 help="Write an empty meta file, and nothing else."),
]  # fmt: skip
Checked = Annotated[
    Path | None,
    typer.Option("--check", metavar="ZIP", help="Look at a package of anyone. With DATA its "
                 "clips are compared with the test folder's."),
]  # fmt: skip


def submit(
    data: Annotated[Path | None, typer.Argument(help="The evaluation set.")] = None,
    detectors: Annotated[
        list[Path] | None,
        typer.Argument(help="One to four detectors, or folders of official files, in order."),
    ] = None,
    label: Labelled = None,
    meta: MetaFile = None,
    pdf: Report = None,
    output: Package = None,
    results: Evaluations = None,
    dev: Development = None,
    template: YearTemplate = None,
    new_meta: NewMeta = None,
    check: Checked = None,
    as_json: Json = None,
    replace: Over = False,
    part: Parts = None,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Make a challenge's package of detectors, or check one of anyone.

    Detectors score the test clips of DATA; what is known of them goes into their meta files. With
    --check, exit code 1 says that something in the package is wrong.
    """
    opened = {"channels": channels_of(near, far), "pair": pair, "salvage": salvage}
    # What makes a package has no meaning for one that is there.
    making = {
        "DETECTORS": detectors, "--label": label, "--meta": meta, "--pdf": pdf, "-o": output,
        "--results": results, "--dev": dev,
    }  # fmt: skip
    if new_meta is not None:
        _refuse(making | {"--check": check, "--json": as_json, "DATA": data}, "--new-meta")
        _write_blank(new_meta, template, replace)
        return
    if check is not None:
        _refuse(making, "--check")
        _check(check, data, opened, template, as_json, replace)
        return
    _refuse({"--json": as_json}, "a package that is made; --check has one")
    needed = {"DATA": data, "a detector": detectors, "--label Last_INST": label,
              "--meta FILE.YAML": meta, "-o PACKAGE.zip": output}  # fmt: skip
    lacking = [name for name, value in needed.items() if not value]
    if data is None or label is None or meta is None or output is None or not detectors:
        raise SettingError(f"a package needs {', '.join(lacking)} too; see nearfar submit --help")
    inputs = [data, *detectors, meta, pdf, dev, template, *(results or ())]
    # First: hours of scoring must not end in "cannot be written".
    check_output(output, endings=(".zip",), inputs=inputs, replace=replace)
    _make(
        data, detectors, output, label, meta, template, pdf, results or [], dev, types_of(part),
        opened, Session(workers, kept_at(cache, no_cache), device, batch_size),
    )  # fmt: skip


def _make(
    data: Path, detectors: list[Path], path: Path, name: str, meta: Path, template: Path | None,
    pdf: Path | None, results: list[Path], dev: Path | None, types: tuple[type, ...],
    opened: dict[str, Any], session: Session,
) -> None:  # fmt: skip
    """All that can be refused at once goes before what takes long."""
    from nearfar.scores.submission.label import Label
    from nearfar.scores.submission.metadata import read_meta
    from nearfar.scores.submission.package import (
        SubmittedSystem,
        package,
        read_report,
        write_package,
    )
    from nearfar.study.submission import candidates, check_known, evaluation_clips, scored

    label = Label.of(name)
    told = read_meta(meta)
    report = None if pdf is None else read_report(pdf)
    systems = candidates(detectors, types)
    dev = _check_results(systems, told, results, dev, data)
    clips = evaluation_clips(data, opened)
    check_known(systems, clips)
    # All that is wrong with the meta file; results cannot be, they are made below.
    _metas(told, label, systems, [{} for _ in systems], template)
    with session:
        blocks = [
            _results(n, system, results, dev, clips, session.runtime, types)
            for n, system in enumerate(systems)
        ]
        metas = _metas(told, label, systems, blocks, template, say_doubts=True)
        tables = [scored(system, clips, session.runtime) for system in systems]
    submitted = [SubmittedSystem(t, m) for t, m in zip(tables, metas, strict=True)]
    _warn_of_twins(tables, systems)
    write_package(path, package(label, submitted, report))
    for number, system in enumerate(systems, 1):
        say(visible(f"{label.system(number)}: {system.path}"))
    machines = ", ".join(f"{m} {sum(c.machine == m for c in clips)}" for m in clips.machines)
    say(visible(f"{counted(len(clips), 'test clip')}: {machines}"))
    if report is None:
        warn(f"{path}: no technical report in it; give --pdf before you hand it in")
    ledger.files.append(visible(str(path)))


def _metas(
    told: TeamFile, label: Label, systems: list[Candidate], blocks: list[Meta],
    template: Path | None, *, say_doubts: bool = False,
) -> list[Meta]:  # fmt: skip
    from nearfar.scores.submission.form import FORM
    from nearfar.scores.submission.metadata import complete, read_form

    form = FORM if template is None else read_form(template)
    known = [{**system.known, **block} for system, block in zip(systems, blocks, strict=True)]
    metas, doubts = complete(told, label, known, form)
    for doubt in doubts if say_doubts else ():
        warn(doubt)
    return metas


def _check_results(
    systems: list[Candidate], told: TeamFile, results: list[Path], dev: Path | None, data: Path
) -> Path | None:
    """The results block comes from one place; the development set, if it is that."""
    from nearfar.study.submission import development_beside

    own = "results" in told.shared or any("results" in said for said in told.own.values())
    if bool(results) + (dev is not None) + own > 1:
        raise SettingError(
            f"results of --results, of --dev and in {told.name} exclude each other; give one"
        )
    if results and len(results) != len(systems):
        raise SettingError(
            f"{len(results)} --results for {counted(len(systems), 'detector')}; give one for each, "
            "in their order"
        )
    if results or dev is not None or own:
        return dev
    if (beside := development_beside(data)) is None:
        raise SettingError(
            "no results on the development set, nor is there one beside DATA; give --dev DIR, or a "
            "JSON of nearfar evaluate for each detector with --results"
        )
    say(visible(f"results are of {beside}, which lies beside"))
    return beside


def _results(
    number: int, system: Candidate, results: list[Path], dev: Path | None, clips: Clips,
    runtime: Runtime, types: tuple[type, ...],
) -> Meta:  # fmt: skip
    from nearfar.study.submission import results_from, results_on

    if results:
        return results_from(results[number], system, clips.machines)
    return {} if dev is None else results_on(system, dev, runtime, types, clips.machines)


def _warn_of_twins(tables: list[Any], systems: list[Candidate]) -> None:
    # Two folders of one fit differ in their dates: only what they say tells.
    scores = [{(r.machine, r.section, r.file): r.score for r in table.rows} for table in tables]
    for n, said in enumerate(scores):
        if said in scores[:n]:
            other = systems[scores.index(said)].path
            warn(f"{systems[n].path}: every score is that of {other}; is it another system?")


def _check(
    path: Path, data: Path | None, opened: dict[str, Any], template: Path | None,
    as_json: Path | None, replace: bool,
) -> None:  # fmt: skip
    from nearfar.clips import Clips
    from nearfar.scores.submission.checking import check_package, expected_of
    from nearfar.scores.submission.form import FORM
    from nearfar.scores.submission.metadata import read_form

    check_output(
        on_disk(as_json), endings=(".json",), inputs=[path, data, template], ours=is_checked,
        replace=replace,
    )  # fmt: skip
    # Without DATA there is enough to look at: a package may be another team's.
    expected = None if data is None else expected_of(Clips.open(data, "test", **opened))
    form = FORM if template is None else read_form(template)
    found = check_package(path, expected, form)
    if not write_json(as_json, found.as_dict() if as_json is not None else None):
        for line in found.text.split("\n"):
            say(visible(line))
    if found.wrong:  # what is only to be looked at stops no script
        raise typer.Exit(1)


def is_checked(path: Path) -> bool:
    """Is a file plainly the JSON of a checked package?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"package": ')


def _write_blank(path: Path, template: Path | None, replace: bool) -> None:
    from nearfar.files import write_text
    from nearfar.scores.submission.form import FORM, blank_text
    from nearfar.scores.submission.metadata import read_form

    text = blank_text(FORM if template is None else read_form(template))
    if path == STDOUT:  # into a pipe or another file, as --json - does
        typer.echo(text, nl=False)
        return
    check_output(path, endings=(".yaml", ".yml"), inputs=[template], replace=replace)
    write_text(path, text)
    ledger.files.append(visible(str(path)))


def _refuse(given: dict[str, Any], beside: str) -> None:
    """Refuse what does not go with something."""
    for name, value in given.items():
        if value:
            raise SettingError(f"{name} does not go with {beside}; leave one of them out")
