"""The detector on disk behind a machine, as the page changes it: taught, untaught, drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from nearfar.clips.clip import Clip
from nearfar.errors import (
    DatasetError,
    SettingError,
    hold_warnings,
    in_shell,
)
from nearfar.page.refusal import Refusal
from nearfar.service.labelled import KnownClip
from nearfar.service.plant import DetectorSettings, Key

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.detector.learning.lasting import Reader


def learnt_of(detector: Detector, key: Key) -> dict[str, str]:
    """What a detector has learnt of a machine since its fit: digest → name, as it knows them."""
    from nearfar.detector.learning.growth import Grown

    # A section that was only fitted has no lessons, and need not know of any.
    section = detector.sections.get(key)
    if not isinstance(section, Grown) or section.learnt is None:
        return {}
    return {clip.digest: clip.name for clip in section.learnt.clips}


def reader_of(settings: DetectorSettings) -> Reader:
    """Reads a detector as it lies on disk: a rate that the plant asks for is not its own.

    Raises:
        SettingError: a file with parts that cannot be read.
    """
    from nearfar.detector.detector import load
    from nearfar.parts.own import from_file

    types = tuple(from_file(part) for part in settings.parts)
    return partial(load, settings.folder, types, settings.weights)


@contextmanager
def taught(
    settings: DetectorSettings, clip: Clip, name: str, key: Key, domain: str | None
) -> Iterator[dict[str, Any]]:
    """Let the detector learn one clip that a person called normal; what the body raises undoes it.

    Args:
        settings: of the detector.
        clip: its sound.
        name: what people know it as.
        key: machine and section.
        domain: "source" or "target" of a clip that does not say it.

    Yields:
        What came of it: clips known and threshold, each before and after, and lines to be told.

    Raises:
        Refusal: it is known already, or another detector was put there meanwhile.
        NearfarError: it cannot be heard, or the detector cannot be read or written.
    """
    from nearfar.detector.learning import lasting
    from nearfar.detector.learning.teaching import Care
    from nearfar.runtime.runtime import Runtime

    # What the file's name says of its label is what the person has just put right.
    said = {f.name: getattr(clip, f.name) for f in fields(Clip)} | {"split": None, "label": None}
    told = {"machine": key[0], "section": key[1], "domain": domain}
    with _conflicts(), hold_warnings() as held, lasting.taught(
        reader_of(settings), settings.folder, [KnownClip(**said, known_as=name)], told,
        # A person has just listened to it: that it stands out is why they were asked.
        Care(accept_suspects=True), Runtime(),
    ) as (before, after):  # fmt: skip
        drift, lines = after.drift(*key), [str(one) for one in held]
        for lesson in after.lessons[len(before.lessons) :]:
            lines += lasting.unjudged(before, after, lesson)
        yield _figures((before, after), settings, key) | {
            "told": [in_shell(line) for line in [*lines, *([drift.told] if drift else [])]],
        }


def _figures(
    both: tuple[Detector, Detector], settings: DetectorSettings, key: Key
) -> dict[str, Any]:  # fmt: skip
    """Clips known and threshold, each before and after."""
    return {
        "known": [len(one.sections[key].clips) for one in both],
        "threshold": [_judging(one, settings).threshold(*key).value for one in both],
    }


def unchanged(detector: Detector, name: str, key: Key) -> dict[str, Any]:
    """What `taught` yields, of a clip that the detector has learnt before."""
    count, threshold = len(detector.sections[key].clips), detector.threshold(*key).value
    line = f"{name}: was learnt before, so nothing is learnt of it now"
    return {"known": [count] * 2, "threshold": [threshold] * 2, "told": [line]}


@contextmanager
def untaught(
    settings: DetectorSettings, digests: set[str], key: Key
) -> Iterator[dict[str, Any] | None]:  # fmt: skip
    """Have the detector forget a clip, to the byte; what the body raises makes it known again.

    One that it has forgotten already, by `nearfar learn`, is forgotten.

    Args:
        settings: of the detector.
        digests: any of which the clip may be known by.
        key: machine and section.

    Yields:
        Clips known and threshold, each before and after; None where it is forgotten already.

    Raises:
        Refusal: too few clips would be left.
        NearfarError: the detector cannot be read or written.
    """
    from nearfar.detector.learning import lasting

    reader = reader_of(settings)
    # From disk: `nearfar learn` may have forgotten it there, and nobody has taken that over yet.
    section = reader(late=True).sections.get(key)
    known = [c.digest for c in (section.clips if section else ()) if c.digest in digests]
    if not known:
        yield None
        return
    with _conflicts(), hold_warnings(), lasting.changed(
        reader, settings.folder,
        lambda one: one.forget(known, machine=key[0], section=key[1]),
    ) as both:  # fmt: skip
        yield _figures(both, settings, key) | {"told": []}


@contextmanager
def redrawn(settings: DetectorSettings, rate: float) -> Iterator[tuple[Detector, list[str]]]:
    """Draw a detector's thresholds anew; what the body raises undoes it.

    Yields:
        The detector, and lines to be told.

    Raises:
        SettingError: no such rate.
        NearfarError: the detector cannot be read or written.
    """
    from nearfar.detector.learning import lasting

    with hold_warnings() as held, lasting.changed(
        reader_of(settings), settings.folder, lambda one: one.with_false_alarm_rate(rate)
    ) as (_, after):  # fmt: skip
        yield after, [str(one) for one in held]


def _judging(detector: Detector, settings: DetectorSettings) -> Detector:
    """As it judges here: by the plant's rate where that says one."""
    rate = settings.false_alarm_rate
    return detector if rate is None else detector.with_false_alarm_rate(rate)


@contextmanager
def _conflicts() -> Iterator[None]:
    """What does not fit the detector as it is now is a conflict, not a request of a wrong form."""
    try:
        yield
    except (DatasetError, SettingError) as error:
        raise Refusal(409, str(error)) from None
