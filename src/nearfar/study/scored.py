"""Several systems fitted on one train split, and what each says of the test clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from nearfar.clips.collection import Clips
from nearfar.detector.detector import Detector
from nearfar.detector.fitting import fit_many
from nearfar.embedding.hearing import Hearing, hear
from nearfar.errors import DatasetError
from nearfar.runtime.runtime import Runtime
from nearfar.scores.verdict import Scores
from nearfar.sound.audio import ChannelOrder
from nearfar.study.data import Given, Places
from nearfar.system.system import AnySystem

Seen = TypeVar("Seen")


def score_all(
    data: Places,
    test: Clips,
    systems: Sequence[AnySystem],
    runtime: Runtime,
    order: ChannelOrder = "near-far",
    *,
    any_frontend: bool = False,
) -> list[Scores]:
    """What each system, fitted on the train split, says about the test clips; see `judge_all`.

    Returns:
        For each system the scores of the test clips, in their order.
    """
    found = judge_all(data, test, systems, runtime, order, any_frontend=any_frontend, look=_nothing)
    return [scores for scores, _ in found]


def judge_all(
    data: Places,
    test: Clips,
    systems: Sequence[AnySystem],
    runtime: Runtime,
    order: ChannelOrder = "near-far",
    *,
    any_frontend: bool = False,
    look: Callable[[Detector], Seen],
) -> list[tuple[Scores, Seen]]:
    """What each system, fitted on the train split, says about the test clips, and a look at it.

    A clip is read once and embedded once for each chain, a member that systems share is fitted
    once, and a warning that many give is given once. The banks of one system are held at a time,
    besides members that a later one shares.

    Args:
        data: as in `ablate`, for its train split.
        test: the clips to score.
        systems: at least one.
        runtime: how to compute; without a cache a temporary one serves all systems.
        order: which channel is near.
        any_frontend: take a trained encoder behind another front end than its own.
        look: at each detector before it is let go, such as `held_out`.

    Returns:
        For each system the scores of the test clips, in their order, and what `look` gave.

    Raises:
        DatasetError: no training clips for a machine.
        AudioError: a clip that cannot be used.
        SettingError: a trained encoder behind another front end than its own.
    """
    train = Given.of(data).open("train", test.machines)
    _check_sections(train, test)  # before any clip is read
    chains = [member.chain for system in systems for member in system.members]
    # A cache for residual rows above all: members that differ in a rule ask for the same ones.
    with _with_cache(runtime) as cached:
        detectors = fit_many(systems, train, cached, order=order, any_frontend=any_frontend)
        # No digest: a test clip is only judged, whatever it is a copy of.
        heard = hear(test, chains, cached, order=order, digest=False)
        # By map, for a loop's name would keep one system's banks while the next is fitted.
        return list(map(partial(_judged, heard, look), detectors))


def look_at_all(
    train: Clips,
    systems: Sequence[AnySystem],
    runtime: Runtime,
    order: ChannelOrder = "near-far",
    *,
    any_frontend: bool = False,
    look: Callable[[Detector], Seen],
) -> list[Seen]:
    """A look at each system fitted on training clips, as in `judge_all`; nothing is scored."""
    # By map here too: the banks of one system at a time.
    with _with_cache(runtime) as cached:
        fits = fit_many(systems, train, cached, order=order, any_frontend=any_frontend)
        return list(map(look, fits))


def _judged(
    heard: Hearing, look: Callable[[Detector], Seen], detector: Detector
) -> tuple[Scores, Seen]:
    return detector.judge(heard.of(detector.chains)), look(detector)


def _nothing(_: Detector) -> None:
    """No look at all."""


def _check_sections(train: Clips, test: Clips) -> None:
    known = train.by_section()
    for machine, section in test.by_section():
        if (machine, section) not in known:
            raise DatasetError(f"{machine} section {section}: test clips but no training clips")


@contextmanager
def _with_cache(runtime: Runtime) -> Iterator[Runtime]:
    """The runtime; with a cache for as long as it is needed if it has none."""
    if runtime.cache is not None:
        yield runtime
        return
    # That it cannot be removed, as Windows says of an open file, is no reason to lose the scores.
    with TemporaryDirectory(prefix="nearfar-", ignore_cleanup_errors=True) as folder:
        yield replace(runtime, cache=Path(folder))
