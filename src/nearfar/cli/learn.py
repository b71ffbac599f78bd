"""The command learn: confirmed normal clips into a detector, or out of it."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    BatchSize,
    Cache,
    ClipSeconds,
    Device,
    Far,
    Machine,
    Near,
    NoCache,
    Pair,
    Parts,
    Salvage,
    SkipBad,
    TimePattern,
    Weights,
    Workers,
    channels_of,
    kept_at,
)
from nearfar.cli.progress import Session
from nearfar.errors import DatasetError, SettingError, visible, warn
from nearfar.system.named import types_of

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.detector.learning.lesson import Lesson

SHOWN = 3  # clips of a folder named in a line
MOST = 12  # names in a line that anybody would type
DIGITS = 12  # of a sha256, which --forget takes for a name


class Domain(StrEnum):
    """Which condition a clip is of.

    >>> Domain("target").value
    'target'
    """

    source = "source"
    target = "target"


def learn(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="Confirmed normal recordings: files, folders or CSVs. With --forget, clips as "
            "verdicts name them, paths, folders or patterns."
        ),
    ] = None,
    domain: Annotated[
        Domain | None,
        typer.Option(rich_help_panel=DATA, help="Of clips that do not say it; else source."),
    ] = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", rich_help_panel=DATA, help="Take the clips out of the detector."),
    ] = False,
    log: Annotated[
        bool,
        typer.Option("--log", rich_help_panel=OUTPUT, help="Show what was learnt, and when."),
    ] = False,
    machine: Machine = None,
    section: Annotated[str | None, typer.Option(help="Section, if the data do not say.")] = None,
    accept_suspects: Annotated[
        bool,
        typer.Option(
            "--accept-suspects", rich_help_panel=DATA,
            help="Learn clips that stand out from what the detector knows, too.",
        ),
    ] = False,
    exclude_suspects: Annotated[
        bool,
        typer.Option(
            "--exclude-suspects", rich_help_panel=DATA,
            help="Leave out clips that stand out from what the detector knows, and say so.",
        ),
    ] = False,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    weights: Weights = None,
    part: Parts = None,
    skip_bad: SkipBad = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:  # fmt: skip
    """Learn confirmed normal clips, or forget some; nothing is fitted again.

    Self-scores and thresholds follow at once, and other machines stay as they are. What was learnt
    is undone with --forget, to the byte. Whitening and tiers stay those of the fit: a line says how
    far they are from what is known, and when a refit is better.
    """
    from nearfar.clips import Clips
    from nearfar.detector.detector import load
    from nearfar.detector.folder.siblings import check_single
    from nearfar.detector.learning import lasting
    from nearfar.detector.learning.teaching import Care

    _check(data, forget=forget, log=log)
    check_single(detector)
    if forget and (domain is not None or accept_suspects or exclude_suspects):
        raise SettingError(
            "--forget takes clips by their names; leave out --domain, --accept-suspects and "
            "--exclude-suspects"
        )
    reader = partial(load, detector, types_of(part), list(weights or ()))
    if log:
        _show_log(reader(late=True), detector)
        return
    if forget:
        _show(*lasting.forget(reader, detector, data or (), machine, section), detector)
        return
    opened = Clips.open(
        [Path(one) for one in data or ()], split="train", machine=machine,
        clip_seconds=clip_seconds, channels=channels_of(near, far), pair=pair, salvage=salvage,
        time_pattern=time_pattern,
    )  # fmt: skip
    told = {"machine": machine, "section": section, "domain": domain.value if domain else None}
    care = Care(skip_bad, accept_suspects, exclude_suspects)
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
        before, after = lasting.teach(reader, detector, opened, told, care, session.runtime)
    _show(before, after, detector)


def _check(data: Sequence[str] | None, *, forget: bool, log: bool) -> None:
    if log and (data or forget):
        raise SettingError("--log shows what was learnt; leave out clips and --forget")
    if not log and not data:
        what = "name them as verdicts do, or see --log" if forget else "give recordings, or --log"
        raise SettingError(f"no clips to {'forget' if forget else 'learn'}; {what}")


def _show(before: Detector, after: Detector, folder: Path) -> None:
    """What came of it, a few lines a machine."""
    from nearfar.detector.learning import lasting
    from nearfar.text import called, counted

    new = after.lessons[len(before.lessons) :]
    for one in new:
        was, now = one.known
        done = "learnt" if one.verb == "learnt" else "forgot"
        say(
            visible(
                f"{called(one.machine, one.section)}: {done} {counted(len(one.clips), 'clip')}, "
                f"{was} → {now} known; threshold {one.threshold[0]:.4g} → {one.threshold[1]:.4g}"
            )
        )
        for line in _by_domain(before, after, (one.machine, one.section)):
            say(f"  {line}")
        for line in lasting.unjudged(before, after, one):
            warn(line)
        drift = after.drift(one.machine, one.section)
        if drift is not None and drift.reasons:
            warn(f"{called(one.machine, one.section)}: {drift.told}")
        elif drift is not None:
            say(f"  {drift.told}")
    undo = _undo(after, new, folder) if new[0].verb == "learnt" else _again(before, new, folder)
    say(visible(f"undo: {undo}"))
    ledger.files.append(visible(str(folder)))


def _by_domain(before: Detector, after: Detector, key: tuple[str, str]) -> list[str]:
    """The thresholds of each domain, where these judge."""
    if not after.threshold_by_domain:
        return []
    both = [d for d in after.alarm_rates(*key) if d in before.alarm_rates(*key)]
    return [
        f"threshold of {d} clips {before.threshold(*key, d).value:.4g} → "
        f"{after.threshold(*key, d).value:.4g}"
        for d in both
    ]


def _undo(after: Detector, lessons: Sequence[Lesson], folder: Path) -> str:
    """The line that takes back what was learnt."""
    place = shlex.quote(str(folder))
    clips = [clip for one in lessons for clip in one.clips]
    by_folder: dict[str, list[tuple[str, str]]] = {}
    for name, digest in clips:
        by_folder.setdefault(name.rpartition("/")[0], []).append((name, digest))
    names = [one for above, some in by_folder.items() for one in _short(after, above, some)]
    if len(names) > MOST:
        return f"nearfar learn {place} --forget with the names that --log shows"
    return f"nearfar learn {place} --forget {' '.join(map(shlex.quote, names))}"


def _again(before: Detector, lessons: Sequence[Lesson], folder: Path) -> str:
    """The line that takes back what was forgotten; where the recordings are nobody knows."""
    gone = {digest for one in lessons for _, digest in one.clips}
    keys = [(one.machine, one.section) for one in lessons]
    targets = {
        bool(is_target)
        for section in (before.sections[key] for key in keys)
        for clip, is_target in zip(section.clips, section.of_domain("target"), strict=True)
        if clip.digest in gone
    }
    line = f"nearfar learn {shlex.quote(str(folder))} RECORDING{'S' * (len(gone) != 1)}"
    if len(keys) == 1:  # the folder that they lie in need not say it
        (machine, section) = keys[0]
        line += f" --machine {shlex.quote(machine)}"
        line += f" --section {section}" if section != "00" else ""
    if targets == {True}:
        return f"{line} --domain target"
    return (
        f"{line} (those of the target domain apart, with --domain target)"
        if True in targets
        else line
    )


def _short(after: Detector, above: str, clips: Sequence[tuple[str, str]]) -> list[str]:
    """Names of clips for --forget; many as their folder, where it means these and no others."""
    pattern = f"{glob.escape(above)}/*"
    many = len(clips) > SHOWN and above
    if many and _meant(after, pattern) == {digest for _, digest in clips}:
        return [pattern]
    # What is called as another is, or cannot be typed, by its sound.
    return [
        name
        if _meant(after, name) == {digest} and visible(name) == name and name[0] != "-"
        else digest[:DIGITS]
        for name, digest in clips
    ]


def _meant(after: Detector, name: str) -> set[str]:
    """The clips that --forget would take by a name; none where it would ask."""
    from nearfar.detector.learning.forgetting import found

    try:
        return {clip.digest for _, clip in found(after.sections, name)}
    except DatasetError:
        return set()


def _show_log(detector: Detector, folder: Path) -> None:
    """Each lesson, the oldest first, and what has become of each machine since."""
    from nearfar.detector.folder.disk import LOG
    from nearfar.detector.learning.growth import Grown
    from nearfar.detector.learning.lesson import fits
    from nearfar.text import called, counted

    grown = [key for key, one in detector.sections.items() if isinstance(one, Grown)]
    if not detector.lessons and not grown:
        say(visible(f"{folder}: has learnt nothing since its fit"))
        return
    lost = [one.line for one in detector.lessons if one.verb == "unreadable"]
    if lost:
        warn(
            f"{folder / LOG}: {counted(len(lost), 'line')} cannot be read, the first is "
            f"{lost[0][:60]!r}"
        )
    for one in detector.lessons:
        if one.verb == "unreadable":
            continue
        was, now = one.known
        when = one.time.replace("T", " ").replace("+00:00", " UTC")
        say(
            visible(
                f"{when}  {called(one.machine, one.section)}: {one.verb} "
                f"{counted(len(one.clips), 'clip')}, {was} → {now} known, threshold "
                f"{one.threshold[0]:.4g} → {one.threshold[1]:.4g}"
            )
        )
        for name in one.names:
            say(visible(f"  {name}"))
    if not fits(detector.lessons, detector.sections):
        warn(f"{folder / LOG}: lines are gone or were changed; the detector itself is whole")
        say("by its banks it has since its fit")
        for key in grown:
            _show_known(detector, key)
    for key in dict.fromkeys((*((o.machine, o.section) for o in detector.lessons), *grown)):
        drift = detector.drift(*key) if key in detector.sections else None
        if drift is not None:
            say(visible(f"{called(*key)}: {drift.told}"))


def _show_known(detector: Detector, key: tuple[str, str]) -> None:
    """What a machine has learnt and forgotten, whenever that was."""
    from nearfar.detector.learning.growth import parts
    from nearfar.text import called

    fitted, learnt, forgotten = parts(detector.sections[key], detector.system)
    for verb, clips in (
        ("learnt", learnt.clips),
        ("forgot", [clip for clip in fitted.clips if clip.digest in forgotten]),
    ):
        for name in sorted(clip.name for clip in clips):
            say(visible(f"  {verb} {name} of {called(*key)}"))
