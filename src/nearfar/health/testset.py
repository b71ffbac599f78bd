"""Test clips looked at beside the training clips: format, microphones, copies; never as outliers.

Anomalies stand out by right, and labels are not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nearfar.clips import Clip
from nearfar.health.copies import Copy, Sound, copies
from nearfar.health.suspects import FEWEST, LENGTH, USUAL, Suspect, by_recording
from nearfar.sound.audio import ChannelOrder
from nearfar.text import lasting


def balances(train: Sequence[Sound]) -> dict[str, float]:
    """Machine → near over far in dB, mean over frequencies and clips; nan where it has none."""
    found: dict[str, list[float]] = {}
    for sound in train:
        found.setdefault(sound.clip.machine, []).append(sound.look.balance)
    known = {m: [x for x in values if np.isfinite(x)] for m, values in sorted(found.items())}
    return {m: float(np.mean(values)) if values else float("nan") for m, values in known.items()}


def by_format(tests: Sequence[Sound], train: Sequence[Sound]) -> list[Suspect]:
    """Test clips with faults of the recording, or recorded otherwise than what is fitted on.

    Args:
        tests: of any machines.
        train: clips of the same set; a machine and section without any is not compared.
    """
    found: list[Suspect] = []
    known = _grouped(train)
    for key, group in _grouped(tests).items():
        found += by_recording([(sound.clip, sound.look) for sound in group])
        normals = known.get(key, [])
        found += _other("length", group, normals, LENGTH, lambda s: s.look.seconds, lasting)
        found += _other(
            "rate", group, normals, 0.0, lambda s: s.look.sample_rate, lambda r: f"{r:.0f} Hz"
        )
    return found


def across(
    train: Sequence[Sound], tests: Sequence[Sound], order: ChannelOrder = "near-far"
) -> list[Suspect]:
    """Clips that are others again, beyond what a fit of one machine and section can see.

    Args:
        train, tests: of a whole data set.
        order: which channel is near.

    Returns:
        Kinds "leak" (a test clip that is trained on), "tested twice", "elsewhere" (a training clip
        of two machines or sections) and "same" (sample for sample, of one machine).
    """
    tested = {sound.clip for sound in tests}
    # As a fit ranks them, so that the same clip of several stands for the others.
    ranked = sorted(train, key=lambda s: (s.clip.domain != "target", s.clip.name))
    found = []
    for copy in copies([*ranked, *sorted(tests, key=lambda s: s.clip.name)], order):
        kind = _kind(copy, copy.clip in tested, copy.of in tested)
        if kind:
            where = "" if copy.clip.machine == copy.of.machine else f" ({copy.of.machine})"
            alone = kind != "same"  # there is nothing to leave out: it counts once
            found.append(Suspect(copy.clip, kind, copy.value + where, alone=alone))
    return found


def _kind(copy: Copy, tested: bool, of_tested: bool) -> str:
    if tested:
        return "tested twice" if of_tested else "leak"
    ours = (copy.clip.machine, copy.clip.section) == (copy.of.machine, copy.of.section)
    if not ours:
        return "elsewhere"
    return "same" if copy.exact else ""  # but for gain: a fit finds it itself


def _grouped(sounds: Sequence[Sound]) -> dict[tuple[str, str], list[Sound]]:
    groups: dict[tuple[str, str], list[Sound]] = {}
    for sound in sounds:
        groups.setdefault(_key(sound.clip), []).append(sound)
    return groups


def _key(clip: Clip) -> tuple[str, str]:
    return clip.machine, clip.section


def _other(
    kind: str,
    tests: Sequence[Sound],
    train: Sequence[Sound],
    margin: float,
    number: Callable[[Sound], float],
    text: Callable[[float], str],
) -> list[Suspect]:
    """Test clips whose number is none that nearly all training clips have."""
    values = np.array([number(sound) for sound in train], dtype=np.float64)
    if len(values) < FEWEST:
        return []
    usual = float(np.median(values))
    if np.mean(np.abs(values - usual) <= margin * usual) < USUAL:
        return []  # where they vary anyway none is anything special
    return [
        Suspect(sound.clip, kind, text(number(sound)), text(usual))
        for sound in tests
        if number(sound) > 0 and abs(number(sound) - usual) > margin * usual
    ]
