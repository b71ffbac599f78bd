"""Sounds that two detectors are compared by where nobody gives any: normal ones, or made ones.

To a bank its own clips are no news: their scores are nearly 0, whatever an encoder may do. So the
second half of each is put before the first, which is a new clip of the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.detector.explanation.recordings import find
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import NearfarError
from nearfar.sound.audio import SAMPLE_RATE, Audio, ChannelOrder, check

MADE = 8  # sounds
MOST = 32  # normal clips, of all machines together: an encoder takes a second for each
TRIES = 10 * MOST  # clips that are looked for, of thousands of machines
QUIET = -30.0  # dBFS, of a detector that does not know how loud its clips were
APART = 6.0  # dB of near over far, likewise
PARTIALS = 12  # of a made hum

Sections = Mapping[tuple[str, str], Section]


@dataclass(frozen=True, eq=False)
class Probe:
    """A sound in memory, and whose it is.

    >>> Probe(Clip(Path("made-1.wav")), np.zeros((2, 16_000), np.float32)).audio.shape
    (2, 16000)
    """

    clip: Clip
    audio: Audio  # (channels, samples) at 16 kHz, near first


def made(sections: Sections, channels: int, seed: int = 0) -> list[Probe]:
    """Sounds as long and as loud as the normal clips of a detector: hums with noise.

    Args:
        sections: of the detector; the sounds are dealt out to them in their order.
        channels: that it hears.
        seed: of all that is drawn.
    """
    keys = list(sections)
    rng = np.random.default_rng(seed)
    return [
        Probe(
            Clip(Path(f"made-{n + 1}.wav"), machine=key[0], section=key[1]),
            _hum(sections[key], rng)[:channels],
        )
        for n, key in enumerate(keys[i % len(keys)] for i in range(MADE))
    ]


def _hum(section: Section, rng: np.random.Generator) -> Audio:
    """(2, samples): harmonics of a drawn pitch in noise, near; less of it and more noise, far."""
    t = np.arange(round(section.seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = rng.uniform(50.0, 400.0)  # Hz
    hum = sum(
        rng.uniform(0.2, 1.0) / k * np.sin(2 * np.pi * (pitch * k * t + rng.uniform()))
        for k in range(1, PARTIALS + 1)
    )
    near = hum + 0.2 * rng.standard_normal(len(t))
    far = 0.3 * hum + 0.3 * rng.standard_normal(len(t))
    level = QUIET if section.near is None else sum(section.near) / 2
    known = section.levels is not None and np.isfinite(section.levels).all()
    ratio = sum(section.levels) / 2 if known and section.levels else APART
    sound = np.stack([_at(near, level), _at(far, level - ratio)])
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def _at(sound: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """At a level in dBFS."""
    loud: NDArray[np.float64] = sound * 10 ** (level / 20) / np.sqrt(np.mean(sound**2))
    return loud


def normals(
    sections: Sections, order: ChannelOrder, channels: int, beside: Path, given: Sequence[Clip]
) -> list[Probe]:
    """Recordings of normal clips, `MOST` at most and of as many machines as there are.

    Args:
        sections: of the detector, whose clips are looked for by name and sound.
        order: which channel of a file is near.
        channels: that it hears.
        beside: a file of the detector; recordings may lie around its folder.
        given: clips that a person says are the normal ones; looked at first.
    """
    found = []
    for key, wanted in islice(_dealt(sections), TRIES):
        recording = find(wanted, Clip(beside), given, order)
        if recording is None:
            continue
        try:
            audio = check(recording.audio, name=wanted.name, channels=channels)
        except NearfarError:  # a system of one channel was fitted on it
            continue
        found.append(Probe(Clip(recording.clip.path, machine=key[0], section=key[1]), audio))
        if len(found) == MOST:
            break
    return found


def _dealt(sections: Sections) -> Iterator[tuple[tuple[str, str], TrainingClip]]:
    """Normal clips, of each section in turn, spread over all that it has, `MOST` of each."""
    rounds = {}
    for key in sections:
        clips = sections[key].clips
        step = max(1, len(clips) // MOST)
        rounds[key] = clips[::step][:MOST]
    for n in range(MOST):
        for key, clips in rounds.items():
            if n < len(clips):
                yield key, clips[n]


def turned(probe: Probe) -> Probe:
    """The second half first: to the bank that has the clip a new one.

    >>> turned(Probe(Clip(Path("a.wav")), np.arange(4, dtype=np.float32)[None])).audio
    array([[2., 3., 0., 1.]], dtype=float32)
    """
    half = probe.audio.shape[1] // 2
    return Probe(probe.clip, np.roll(probe.audio, -half, axis=1))
