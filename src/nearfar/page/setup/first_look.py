"""Normal recordings before there is a detector: what is wrong with them, and the fit itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.clips.collection import Clips
from nearfar.detector.checked import look_at_tests
from nearfar.detector.checks import too_few_for
from nearfar.detector.fitting import fit, look_over
from nearfar.errors import NearfarError, SettingError, hold_warnings, in_shell, visible
from nearfar.health.suspects import Suspect, lines
from nearfar.parts.valid import check_rate
from nearfar.runtime.cache import default_cache
from nearfar.runtime.runtime import Progress, Runtime
from nearfar.sound.audio import ChannelOrder
from nearfar.system.presets import s4
from nearfar.text import alike, counted, one_line

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector

A_WORKER = 50  # clips from which another process is worth its start
LONGEST = 80  # characters of a machine's name
SHOWN = 100  # suspects that a page is given; the lines name and count all


@dataclass(frozen=True)
class Wish:
    """What is to be fitted.

    Raises:
        SettingError: a name or a rate that is none.

    >>> Wish((Path("pump.normals"),), "pump").false_alarm_rate
    0.01
    """

    data: tuple[Path, ...]  # folders
    machine: str
    false_alarm_rate: float = 0.01
    exclude_suspects: bool = False
    order: ChannelOrder = "near-far"

    def __post_init__(self) -> None:
        check_name(self.machine)
        check_rate(self.false_alarm_rate)

    @property
    def clips(self) -> Clips:
        """The clips that a fit takes.

        Raises:
            DatasetError: there are none, or names that say that they are no normal ones.
        """
        return Clips.open(self.data, split="train", machine=self.machine)


@dataclass(frozen=True)
class FirstLook:
    """What was found among the recordings.

    >>> FirstLook().can_fit
    False
    """

    clips: int = 0  # that can be used
    seconds: float = 0.0  # of those together
    problems: tuple[str, ...] = ()  # a line each, as the commands say them
    suspects: tuple[Suspect, ...] = ()
    can_fit: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the page; files by name alone."""
        # A clip may stand out in several ways, of which all are told.
        rows = [
            {key: value for key, value in one.as_dict().items() if key != "file"}
            | {"clip": one.clip.file, "alone": one.alone}
            for one in self.suspects[:SHOWN]
        ]
        return {
            "clips": self.clips, "seconds": self.seconds, "problems": list(self.problems),
            "suspects": rows, "can_fit": self.can_fit,
        }  # fmt: skip


def look_first(wish: Wish, progress: Progress) -> FirstLook:
    """Hear all recordings once, as a fit would, and say what a fit and a check would say.

    Args:
        wish: which recordings, of what machine.
        progress: called as clips are heard; what it raises ends the look.

    Returns:
        With `can_fit` false, and the error among the problems, where a fit would fail.
    """
    found: list[Suspect] = []
    problems: list[str] = []
    clips, seconds, can_fit = 0, 0.0, False
    try:
        with _said() as said:
            listed = wish.clips
            problems += _several(wish)
            runtime = runtime_for(len(listed), progress)
            looked = look_over(s4(), listed, runtime, order=wish.order, skip_bad=True)
            beside = look_at_tests(s4(), Clips(), looked, runtime, wish.order)
            clips = looked.heard
            lasted = [sound.look.seconds for sound in looked.sounds]
            seconds, can_fit = float(sum(lasted)), True
            found += [*looked.suspects, *beside.train]
            problems += lines(found, looked.counts).values()
            problems += [*looked.unjudged, *beside.turned]
            different = len({sound.digest for sound in looked.sounds})
            usual = float(np.median(lasted)) if lasted else 0.0
            if usual and (few := too_few_for(wish.false_alarm_rate, different, usual)):
                problems.append(f"{wish.machine}: {few}")
    except NearfarError as error:
        problems.append(str(error))
    told = [shown(line, wish.data) for line in [*alike(said, said), *problems]]
    return FirstLook(clips, seconds, tuple(told), tuple(found), can_fit)


def fit_first(wish: Wish, progress: Progress) -> tuple[Detector, list[str]]:
    """Fit system 4, which needs no weights, on all recordings that can be used.

    Args:
        wish: as in `look_first`.
        progress: as there.

    Returns:
        The detector, and lines that say what was left out and what stands out.

    Raises:
        NearfarError: it cannot be fitted.
    """
    with _said() as said:
        clips = wish.clips
        detector = fit(
            s4(), clips, runtime_for(len(clips), progress), order=wish.order, skip_bad=True,
            exclude_suspects=wish.exclude_suspects, false_alarm_rate=wish.false_alarm_rate,
        )  # fmt: skip
    told = [shown(line, wish.data) for line in alike(said, said)]
    for key, section in detector.sections.items():
        drawn = detector.threshold(*key)
        if not drawn.reachable:
            told.append(f"{wish.machine}: {section.told(drawn)}")
    return detector, told


def runtime_for(clips: int, progress: Progress) -> Runtime:
    """As many processes as the clips keep busy; what is heard once is kept for the fit."""
    workers = min(os.cpu_count() or 1, 1 + clips // A_WORKER)
    return Runtime(workers=workers, cache=default_cache(), progress=progress)


def shown(line: str, data: Sequence[Path]) -> str:
    """A line for the page: files as they were sent, without where this computer keeps them."""
    line = visible(in_shell(line))
    for folder in data:
        line = line.replace(f"{folder.absolute()}: ", f"{folder.name}: ")
        # As clips are named: by the last parts of their path.
        for parts in (folder.absolute().parts, folder.parts[-2:], folder.parts[-1:]):
            # Not within a longer word: normal/ ends abnormal/ too.
            place = re.escape(str(Path(*parts)) + os.sep)
            line = re.sub(rf"(?<![\w./-]){place}", "", line)
    return line


def machine_of(folder: Path) -> str:
    """What a machine is called if only its detector's folder is known.

    >>> machine_of(Path("hall/pump.detector")), machine_of(Path("pump7"))
    ('pump', 'pump7')
    """
    name = folder.absolute().name
    return name.removesuffix(".detector") or name


def check_name(machine: str) -> str:
    """Refuse what cannot be a machine's name: it is printed, and a part of addresses.

    Raises:
        SettingError: says what it may be.

    >>> check_name("Lüfter 7")
    'Lüfter 7'
    """
    if not machine.isprintable() or set(machine) & set("/\\") or machine in ("", ".", ".."):
        raise SettingError(f"a machine called {machine!r}; name it in letters and digits")
    if len(machine) > LONGEST:
        raise SettingError(
            f"a name of {len(machine)} characters; a machine's has at most {LONGEST}"
        )
    return machine


def _several(wish: Wish) -> list[str]:
    """Say of folders that look like several machines that they are taken for one."""
    try:
        with hold_warnings():  # said by the listing that counts
            names = Clips.open(wish.data, split="train").machines
    except NearfarError:  # at different depths, as days often are
        return []
    if len(names) < 2:
        return []
    return [f"{counted(len(names), 'machine')} by the names of folders ({', '.join(names[:5])}): "
            f"all of it is taken for {wish.machine}; send the recordings of one"]  # fmt: skip


@contextmanager
def _said() -> Iterator[dict[str, str]]:
    """What is warned of within: text → the file's name in it."""
    told: dict[str, str] = {}
    with hold_warnings() as held:
        try:
            yield told
        finally:
            for one in held:
                told.setdefault(one_line(one), one.about)
