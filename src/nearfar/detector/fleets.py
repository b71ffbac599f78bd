"""A fit whose memory is flat in the number of machines: banks go to the disk as they come."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips
from nearfar.detector.detector import Detector
from nearfar.detector.fitting import FitCare, finished, fit_sections, fits_of
from nearfar.detector.folder.index import check_target
from nearfar.detector.folder.staging import StagedSections, Staging
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import ChannelOrder
from nearfar.system.system import AnySystem


def fit_into(
    folder: str | os.PathLike[str],
    system: AnySystem,
    clips: Clips | Sequence[Clip],
    runtime: Runtime | None = None,
    weights: Literal["keep", "copy"] = "keep",
    *,
    previous: bool = False,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    any_frontend: bool = False,
    exclude_suspects: bool = False,
    false_alarm_rate: float | None = None,
    threshold_by_domain: bool = False,
    most: int | None = None,
) -> Detector:
    """`fit` and `Detector.save` in one, to the same bytes, for more machines than memory holds.

    Args:
        folder, weights, previous: as of `Detector.save`.
        system, clips, runtime: as of `fit`, and the rest too.
        most: bytes of banks that stay in memory; None: 16 MiB.

    Returns:
        The detector, whose banks are read from the folder again when they are asked for.

    Raises:
        StorageError: the folder cannot be written, or there is no room for a bank; it is as it was.
        NearfarError: as `fit`, and as `Detector.save`.
    """
    check_target(Path(folder))  # before hours of work
    with Staging(Path(folder)) as staging:
        detector = fit_staged(
            staging, system, clips, runtime, order=order, skip_bad=skip_bad,
            any_frontend=any_frontend, exclude_suspects=exclude_suspects,
            false_alarm_rate=false_alarm_rate, threshold_by_domain=threshold_by_domain, most=most,
        )  # fmt: skip
        detector.save(folder, weights, previous=previous)
    return detector


def fit_staged(
    staging: Staging,
    system: AnySystem,
    clips: Clips | Sequence[Clip],
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    any_frontend: bool = False,
    exclude_suspects: bool = False,
    false_alarm_rate: float | None = None,
    threshold_by_domain: bool = False,
    most: int | None = None,
) -> Detector:
    """`fit`, for who looks at the detector before it is saved to the staging's folder.

    Args:
        staging: of the folder that it will be saved to, once; open until it is done with.
        system, clips, runtime: as of `fit`, and the rest too.
        most: as of `fit_into`.

    Raises:
        StorageError: there is no room for a bank.
        NearfarError: as `fit`.
    """
    fits = fits_of(
        (system,), runtime, order=order, false_alarm_rate=false_alarm_rate,
        threshold_by_domain=threshold_by_domain,
    )  # fmt: skip
    sections = StagedSections(staging, system, most)
    for key, section in fit_sections(
        fits, clips, FitCare(skip_bad, any_frontend, exclude_suspects)
    ):
        sections.add(key, section)
    return finished(system, sections, fits)
