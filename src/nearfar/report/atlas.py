"""A map of a machine's clips: its bank and new recordings on the two axes that tell most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.detector import Detector
from nearfar.detector.member import Member
from nearfar.embedding.jobs import Heard
from nearfar.report.judged import Key
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import TARGET

Places = NDArray[np.float64]
FURTHEST = 6.0  # times the bank's own reach, beyond which a clip stands at the edge of the map


@dataclass(frozen=True, eq=False)
class Atlas:
    """Places of clips on two axes, in standard deviations of the bank.

    >>> Atlas(np.zeros((3, 2)), np.zeros(3, bool), np.ones((1, 2)), (0.5, 0.2)).share
    (0.5, 0.2)
    """

    bank: Places  # (normal clips, 2)
    target: NDArray[np.bool_]  # (normal clips,) of the target domain
    clips: Places  # (new clips, 2)
    share: tuple[float, float]  # of all clips' variance along each axis, 0–1


def atlas(detector: Detector, key: Key, heard: Sequence[Heard]) -> Atlas:
    """Draw the map of one machine and section: principal axes of the bank and of new clips.

    Every number of the embeddings is taken in standard deviations of the bank, but not whitened:
    whitened, normal clips differ along all axes alike, and no two of these would tell anything.
    Labels have no say. Of an ensemble the member with the largest weight, whose nearest clips
    verdicts name, is drawn.

    Args:
        detector: whose bank.
        key: of the section.
        heard: what its clips gave to `detector.chains`.
    """
    system, section = detector.system, detector.sections[key]
    first = int(np.argmax(system.weights))
    member, chain = section.members[first], system.members[first].chain
    place = detector.chains.index(chain)
    count = len(section.clips)
    rows = _adapted(member, member.embeddings[:count])  # real ones come first
    new = [what.rows[place] for what in heard]
    clips = _adapted(member, np.stack(new)) if new else rows[:0]
    middle, unit = rows.mean(axis=0), rows.std(axis=0)
    # What no normal clip varies has no unit; it is left out, not divided by nearly nothing.
    steady = unit <= 1e-9 * (np.abs(middle) + 1e-30)
    unit = np.where(steady, np.inf, unit)
    rows, clips = (rows - middle) / unit, (clips - middle) / unit
    axes, share = principal(_bounded(np.concatenate([rows, clips])))
    return Atlas(rows @ axes.T, member.domain[:count] == TARGET, clips @ axes.T, share)


def _adapted(member: Member, rows: NDArray[np.float32]) -> Places:
    """Rows as the member compares them, but for its whitening."""
    return rows.astype(np.float64) if member.adaptation is None else member.adaptation(rows)


def _bounded(rows: Places) -> Places:
    """Rows of at most three times the usual length: one odd clip shall not choose the axes."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    most = 3 * float(np.median(length))
    return rows * np.minimum(1.0, most / np.maximum(length, 1e-300)) if most > 0 else rows


def principal(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """The two axes along which rows differ most from the origin.

    Args:
        rows: (n, dim).

    Returns:
        (2, dim), each of length 1, with its largest number positive, so that no map is another's
        mirror; and the share of the mean square along each. Axes that n rows do not have are 0.

    >>> axes, share = principal(np.array([[0.0, -3.0], [0.0, 3.0]]))
    >>> axes[0].round().tolist()[1], share
    (1.0, (1.0, 0.0))
    """
    with one_thread():  # several would wait for one another a hundred times as long as they work
        _, sizes, turned = np.linalg.svd(rows, full_matrices=False)
    axes = np.zeros((2, rows.shape[1]))
    power = np.zeros(2)
    for i in range(min(2, len(sizes))):
        if sizes[i] > 1e-12 * max(sizes[0], 1e-300):
            axes[i] = turned[i] * np.sign(turned[i][np.argmax(np.abs(turned[i]))])
            power[i] = sizes[i] ** 2
    total = float((sizes**2).sum()) or 1.0
    return axes, (float(power[0] / total), float(power[1] / total))


def within(drawn: Atlas) -> tuple[Places, NDArray[np.bool_]]:
    """Where new clips are drawn, those far out at the edge, and which of them are.

    One clip at a hundred times the others would make a dot of all these.
    """
    reach = FURTHEST * float(np.max(np.linalg.norm(drawn.bank, axis=1), initial=1e-12))
    length = np.linalg.norm(drawn.clips, axis=1)
    beyond = length > reach
    factor = np.where(beyond, reach / np.maximum(length, 1e-12), 1.0)
    return drawn.clips * factor[:, None], beyond
