"""A detector on disk that is changed: read, changed and saved while nobody else may write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.detector.folder.disk import alone
from nearfar.detector.folder.siblings import check_single
from nearfar.detector.learning import suspicion
from nearfar.errors import SettingError

if TYPE_CHECKING:
    from nearfar.clips.clip import Clip
    from nearfar.detector.detector import Detector
    from nearfar.detector.learning.lesson import Lesson
    from nearfar.detector.learning.teaching import Care
    from nearfar.runtime.runtime import Runtime

Reader = Callable[..., "Detector"]  # reads it from its folder; late=True leaves banks for later
Change = Callable[["Detector"], "Detector"]


@contextmanager
def changed(
    reader: Reader, folder: Path, change: Change
) -> Iterator[tuple[Detector, Detector]]:  # fmt: skip
    """Change a detector on disk; what the body raises takes it back, to the byte.

    Args:
        reader: of the detector.
        folder: of it.
        change: gives what is saved instead.

    Yields:
        The detector before and after.

    Raises:
        NearfarError: it cannot be read or written, or what `change` raises; it is as it was.
    """
    check_single(folder)
    # All the while: what another saved in between would be undone by what was read before it.
    with alone(folder, make=False):
        before = reader()
        after = change(before)
        after.save(folder)
        try:
            yield before, after
        except BaseException:
            before.save(folder)
            raise


@contextmanager
def taught(
    reader: Reader,
    folder: Path,
    clips: Sequence[Clip],
    told: Mapping[str, str | None],
    care: Care,
    runtime: Runtime,
) -> Iterator[tuple[Detector, Detector]]:
    """Let a detector on disk learn clips; what the body raises takes it back, to the byte.

    Args:
        reader: of the detector.
        folder: of it.
        clips: confirmed normal ones.
        told: machine, section and domain of clips that do not say them.
        care: what to do with clips that should not be learnt just so.
        runtime: how to compute.

    Yields:
        The detector before and after.

    Raises:
        NearfarError: as `Detector.learn`, or another detector was put there meanwhile.
    """
    # Heard before the folder is locked: that may take minutes, and another waits for one.
    there = reader(late=True)
    hearing = there.hear_new(clips, runtime, skip_bad=care.skip_bad, **told)

    def change(before: Detector) -> Detector:
        if before.chains != there.chains or before.order != there.order:
            raise SettingError(f"{folder}: was replaced while clips were heard; run it again")
        return before.taught(hearing, runtime, care)

    with changed(reader, folder, change) as both:
        yield both


def teach(
    reader: Reader, folder: Path, clips: Sequence[Clip], told: Mapping[str, str | None],
    care: Care, runtime: Runtime,
) -> tuple[Detector, Detector]:  # fmt: skip
    """As `taught`, for who does nothing more: the detector before and after."""
    with taught(reader, folder, clips, told, care, runtime) as both:
        return both


def forget(
    reader: Reader, folder: Path, names: Sequence[str], machine: str | None, section: str | None
) -> tuple[Detector, Detector]:
    """Take clips out of a detector on disk, by their names: the detector before and after.

    Raises:
        NearfarError: as `Detector.forget`; it is as it was.
    """
    with changed(
        reader, folder, lambda one: one.forget(list(names), machine=machine, section=section)
    ) as both:
        return both


def redraw(
    reader: Reader, folder: Path, rate: float | None, by_domain: bool | None = None
) -> Detector:
    """Draw the thresholds of a detector on disk anew; nothing is fitted again, no clip is heard.

    Args:
        reader: of the detector.
        folder: of it.
        rate: share of normal clips that may be above, 0–1; None leaves it as it is.
        by_domain: a threshold for each domain; None leaves it as it is.

    Raises:
        SettingError: no such rate.
        NearfarError: it cannot be read or written; it is as it was.
    """

    def drawn(one: Detector) -> Detector:
        one = one if rate is None else one.with_false_alarm_rate(rate)
        return one if by_domain is None else one.with_threshold_by_domain(by_domain)

    with changed(reader, folder, drawn) as (_, after):
        return after


def unjudged(before: Detector, after: Detector, lesson: Lesson) -> list[str]:
    """Lines on clips learnt of which nothing but their looks was judged: too few are known."""
    key = (lesson.machine, lesson.section)
    new = {digest for _, digest in lesson.clips} if lesson.verb == "learnt" else set()
    is_new = [clip.digest in new for clip in after.sections[key].clips]
    lines = [
        suspicion.unjudged(key, before.sections[key], domain)
        for domain in ("source", "target")
        if (after.sections[key].of_domain(domain) & is_new).any()
    ]
    return [line for line in lines if line]
