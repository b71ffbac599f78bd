"""What fit --each does: a detector for each machine, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nearfar.cli.detectors import warn_of_strangers, with_license
from nearfar.errors import SettingError, StorageError, visible
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.cli.progress import Session
    from nearfar.clips import Clips
    from nearfar.clips.clip import Clip
    from nearfar.detector.detector import Detector
    from nearfar.detector.fitting import FitCare
    from nearfar.detector.refit import Told
    from nearfar.system.system import AnySystem

FEW = 12  # machines whose figures are told; of more `nearfar fleet` has the table


@dataclass(frozen=True)
class EachFit:
    """What a fit of a detector for each machine is told.

    Args:
        system: the recipe.
        said: what no recordings tell.
        care: about clips that cannot be used.
        licence: of the recordings; "" where it is not said.
        copy_weights: put the encoders' weights into each detector.
        replace: write over detectors of other sections or of far more clips.

    >>> from nearfar.detector.fitting import FitCare
    >>> from nearfar.detector.refit import Told
    >>> from nearfar.system.presets import logmel
    >>> EachFit(logmel(), Told(0.2), FitCare(), "CC0", copy_weights=False, replace=False).said
    Told(false_alarm_rate=0.2, order=None, by_domain=None)
    """

    system: AnySystem
    said: Told
    care: FitCare
    licence: str
    copy_weights: bool
    replace: bool


@dataclass(frozen=True)
class MachinePlace:
    """Where the detector of a machine goes, and what one that is there was told.

    >>> from nearfar.detector.refit import Told
    >>> place = MachinePlace("fan", Path("plant/fan"), False, True, Told(0.2), "", ())
    >>> place.folder.name, place.said.false_alarm_rate
    ('fan', 0.2)
    """

    machine: str
    folder: Path
    replaced: bool
    keep: bool  # the one that is there, beside the new one
    said: Told
    licence: str
    same: tuple[str, ...]  # what stays as the one there was told, in words


def refuse_each(each: bool, shard: object) -> None:
    """Refuse --each of a share of the clips.

    Raises:
        SettingError: both are given.
    """
    if each and shard is not None:
        raise SettingError(
            "--each and --shard exclude each other; give each task the machines of its own, with "
            "--machine NAME"
        )


def refuse_fleet(output: Path) -> None:
    """Refuse one detector of all machines where each machine has its own.

    Raises:
        StorageError: the folder has detectors in it.
    """
    from nearfar.detector.folder.siblings import detectors_within

    if inside := detectors_within(output):
        raise StorageError(
            f"{output}: has {counted(len(inside), 'detector')} in it, one each for a machine; fit "
            "them anew with --each, or choose a new folder"
        )


def fit_each(
    asked: EachFit,
    clips: Clips,
    output: Path,
    inputs: Sequence[Path | str | None],
    session: Callable[[], AbstractContextManager[Session]],
) -> None:
    """Fit and write the detectors of all machines, and say what was done.

    One that is written stays, whatever becomes of the next.

    Args:
        asked: how.
        clips: of all machines, as listed.
        output: the folder that has a folder for each of them.
        inputs: what is read, which must not be replaced.
        session: within which clips are heard.

    Raises:
        NearfarError: as `fit`; before any clip is heard where a folder cannot be written.
    """
    from nearfar.detector.standouts import too_few

    places = _places(asked, clips, output, inputs)
    written: list[Detector] = []
    kept, clips_of, lines = 0, 0, list[str]()
    with session() as at_work:
        for place, detector in _fitted(asked, clips, places, at_work):
            kept += _save(asked, place, detector)
            lines += too_few(detector.sections)
            clips_of += sum(len(section.clips) for section in detector.sections.values())
            if len(places) <= FEW:  # else their banks would not fit the memory
                written.append(detector)
    if len(lines) > FEW:
        lines = [*lines[:FEW], f"and {counted(len(lines) - FEW, 'more line')} of such machines"]
    for line in (*lines, *_same(places)):
        typer.echo(visible(line))
    _tell(written, places, output, clips_of, kept)


def _places(
    asked: EachFit, clips: Clips, output: Path, inputs: Sequence[Path | str | None]
) -> list[MachinePlace]:
    """Where everything goes; all that can be refused now is."""
    from nearfar.clips import Clips
    from nearfar.detector.folder.siblings import check_owners, folders_for

    folders = folders_for(clips.machines, output)
    check_owners(output, folders)
    listed: dict[str, list[Clip]] = {machine: [] for machine in folders}
    for clip in clips:  # once, and not for each of thousands
        listed[clip.machine].append(clip)
    return [
        _place(asked, Clips(listed[machine]), machine, folder, inputs)
        for machine, folder in folders.items()
    ]


def _place(
    asked: EachFit, clips: Clips, machine: str, folder: Path, inputs: Sequence[Path | str | None]
) -> MachinePlace:
    from nearfar.detector.folder.index import check_target
    from nearfar.detector.folder.replacing import check_keeping, check_loss
    from nearfar.detector.refit import told_there

    replaced = check_target(folder)
    keep = check_keeping(folder, inputs, asked.replace)
    said, licence = asked.said, asked.licence
    same: tuple[str, ...] = ()
    if replaced:
        there = check_loss(folder, clips, asked.replace)
        told = told_there(there, [machine])
        said, same = said.or_as(told, asked.system.false_alarm_rate)
        if told is not None and there is not None and there.data_license and not licence:
            licence, same = there.data_license, (*same, f"licence {there.data_license}")
    return MachinePlace(machine, folder, replaced, keep, said, licence, same)


def _fitted(
    asked: EachFit, clips: Clips, places: Sequence[MachinePlace], session: Session
) -> Iterator[tuple[MachinePlace, Detector]]:
    """Each machine's detector; those that were told alike are fitted in one run."""
    from nearfar.clips import Clips
    from nearfar.detector.fitting import finished, fit_sections, fits_of

    for said in dict.fromkeys(place.said for place in places):
        mine = {place.machine: place for place in places if place.said == said}
        fits = fits_of(
            (asked.system,), session.runtime, order=said.order or "near-far",
            false_alarm_rate=said.false_alarm_rate, threshold_by_domain=bool(said.by_domain),
        )  # fmt: skip
        heard = Clips(clip for clip in clips if clip.machine in mine)
        pairs = fit_sections(fits, heard, asked.care)
        for machine, sections in groupby(pairs, key=lambda pair: pair[0][0]):
            known = dict(sections)
            # The first section of the next machine is fitted by now: it is in the list too.
            own = [suspect for suspect in fits.suspects if suspect.clip.machine == machine]
            fits.suspects[:] = [suspect for suspect in fits.suspects if suspect not in own]
            yield mine[machine], finished(asked.system, known, replace(fits, suspects=own))


def _save(asked: EachFit, place: MachinePlace, detector: Detector) -> bool:
    """Write one; is the one that was there kept?"""
    from nearfar.detector.folder.replacing import check_fitted
    from nearfar.detector.refit import strangers

    strange = {}
    if place.replaced:
        check_fitted(place.folder, detector.sections, asked.replace)
        strange = strangers(place.folder, detector)
    kept = with_license(detector, place.licence).save_over(
        place.folder, "copy" if asked.copy_weights else "keep", previous=place.keep
    )
    warn_of_strangers(strange, kept)
    return kept is not None


def _same(places: Iterable[MachinePlace]) -> Iterator[str]:
    """What stays as detectors there were told, a line for all that share it."""
    sharing: dict[tuple[str, ...], list[str]] = {}
    for place in places:
        if place.same:
            sharing.setdefault(place.same, []).append(place.machine)
    for same, machines in sharing.items():
        who = ", ".join(machines) if len(machines) <= FEW else counted(len(machines), "machine")
        yield f"kept from the detectors there: {', '.join(same)} ({who})"


def _tell(
    written: Sequence[Detector], places: Sequence[MachinePlace], output: Path, clips: int, kept: int
) -> None:
    """What was learnt of few machines; of many how to see it."""
    from nearfar.cli import show
    from nearfar.cli.lines import say

    tail = ""
    if before := sum(place.replaced for place in places):
        tail = f", replacing {before:,}; the ones before are kept beside them, as MACHINE.previous"
        if kept < before:
            tail = f", replacing {before:,}, of which {kept:,} are kept beside them"
    done = f"{counted(len(places), 'detector')} of {counted(clips, 'clip')}"
    alike = len({place.said for place in places}) == 1  # else no one threshold is of all
    if written and alike:
        sections = {
            key: detector.sections[key] for detector in written for key in detector.sections
        }
        show.learnt(replace(written[0], sections=sections))
    say(visible(f"wrote {done} in {output}{tail}"))
    if not (written and alike):
        say(visible(f"nearfar fleet {output} lists them"))
