"""Which clips are one recording: sample for sample, or but for gain, sign and rounding.

A sketch of each clip (`nearfar.sound.sketch`) names the few pairs that may be; those are read again
and compared sample by sample. So nothing of a clip is kept but some forty numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.clips import Clip
from nearfar.errors import NearfarError
from nearfar.health.suspects import Suspect
from nearfar.sound.audio import SAMPLE_RATE, Audio, ChannelOrder
from nearfar.sound.look import Look

STEP = 1 / 32_768  # of 16 bits, which a change of gain rounds to
ROUNDED = -96.0  # dBFS, of what rounding adds, with its dither
# Squared sine between two sketches up to which it is worth reading both clips again. A copy with a
# tenth of it clipped is at 0.02; of 347 real recordings no two that are none are below 0.05.
NEAR_ENOUGH, FARTHEST = 0.02, 0.05
TRIED = 8  # clips that one is compared with: of pure tones many sketches are close
TOGETHER = 1 << 22  # products of sketches held at a time


@dataclass(frozen=True)
class Sound:
    """What is known of a clip that was heard.

    >>> from pathlib import Path
    >>> Sound(Clip(Path("a.wav")), Look(10.0, (-30.0,))).digest
    ''
    """

    clip: Clip
    look: Look
    digest: str = ""  # sha256 of the samples; "" if nobody asked


@dataclass(frozen=True)
class Copy:
    """A clip that is another one again.

    >>> from pathlib import Path
    >>> Copy(Clip(Path("b.wav")), Clip(Path("a.wav")), gain=-2.0).value
    'of a.wav, +6.0 dB, of turned sign'
    """

    clip: Clip
    of: Clip
    gain: float  # of the clip over the other; negative if its sign is turned
    exact: bool = False  # sample for sample

    @property
    def value(self) -> str:
        """What a line says behind the clip's name."""
        if self.exact:
            return f"of {self.of.file}"
        gain = f"{20 * math.log10(abs(self.gain)):+.1f} dB"
        return f"of {self.of.file}, {gain}" + ", of turned sign" * (self.gain < 0)


def copies(sounds: Sequence[Sound], order: ChannelOrder = "near-far") -> list[Copy]:
    """Clips that are an earlier one again, each with the first of its kind.

    Compared are near channels, as they lie in time: a copy that was cut, moved, filtered or coded
    with loss is another recording here.

    Args:
        sounds: in the order in which the first of several stands for the others.
        order: which channel is near.
    """
    found: dict[int, Copy] = {}
    firsts: dict[str, int] = {}
    for i, sound in enumerate(sounds):
        first = firsts.setdefault(sound.digest, i) if sound.digest else i
        if first != i:
            found[i] = Copy(sound.clip, sounds[first].clip, 1.0, exact=True)
    left = [i for i in range(len(sounds)) if i not in found]
    reader = _Reader(order)
    heads: dict[int, int] = {}  # of each clip, the first that it is a copy of
    for place, others in _candidates([sounds[i] for i in left]):
        this = left[place]
        tried = dict.fromkeys(heads.get(left[other], left[other]) for other in others)
        for other in list(tried)[:TRIED]:
            gain = reader.gain(sounds[this].clip, sounds[other].clip)
            if gain is not None:
                heads[this] = other
                found[this] = Copy(sounds[this].clip, sounds[other].clip, gain)
                break
    # A copy's copy is one of the first.
    return [found[i] for i in sorted(found)]


def by_copy(sounds: Sequence[Sound], order: ChannelOrder = "near-far") -> list[Suspect]:
    """Clips of one machine and section that are others again but for gain, as suspects.

    Those that agree sample for sample are left to who counts them as one.

    Args:
        sounds: in any order; a target clip stands before source clips, then names count.
        order: which channel is near.
    """
    ranked = sorted(sounds, key=lambda s: (s.clip.domain != "target", s.clip.name))
    return [Suspect(c.clip, "copy", c.value) for c in copies(ranked, order) if not c.exact]


def _candidates(sounds: Sequence[Sound]) -> Iterator[tuple[int, list[int]]]:
    """(place, earlier places whose sketches are close, the closest first)."""
    lengths: dict[int, list[int]] = {}
    for i, sound in enumerate(sounds):
        if sound.look.sketch:
            lengths.setdefault(round(sound.look.seconds * SAMPLE_RATE), []).append(i)
    for places in lengths.values():
        rows = np.array([sounds[i].look.sketch for i in places], dtype=np.float32)
        room = np.array([_room(sounds[i].look.levels[0]) for i in places], dtype=np.float32)
        size = max(1, TOGETHER // len(places))
        for first in range(0, len(places), size):
            block = slice(first, first + size)
            apart = 1 - (rows[block] @ rows.T) ** 2  # squared sines
            close = apart < np.minimum(room[block, None] + room, FARTHEST)
            close = np.tril(close, first - 1)  # earlier ones alone
            for k in np.flatnonzero(close.any(axis=1)).tolist():
                near = np.flatnonzero(close[k])
                closest = near[np.argsort(apart[k, near], kind="stable")]
                yield places[first + k], [places[j] for j in closest]


def _room(level: float) -> float:
    """How far rounding may turn the sketch of a clip of that level, as a squared sine."""
    return NEAR_ENOUGH / 2 + 8 * 10 ** ((ROUNDED - max(level, -120.0)) / 10)


class _Reader:
    """Near channels read again; the one that others are held against stays for the next."""

    def __init__(self, order: ChannelOrder) -> None:
        self._order = order
        self._held: tuple[Clip, Audio] | None = None

    def gain(self, clip: Clip, other: Clip) -> float | None:
        """Of one over the other, if they are one recording."""
        try:
            if self._held is None or self._held[0] != other:
                self._held = other, other.read(self._order)[0]
            return gain_of(clip.read(self._order)[0], self._held[1])
        except NearfarError:  # gone since it was heard: whoever reads it next says so
            return None


def gain_of(channel: Audio, other: Audio) -> float | None:
    """The gain by which one waveform is the other; None where it is another one.

    Args:
        channel, other: (samples,) float32.

    Returns:
        A gain, negative for a turned sign, up to which the louder samples agree within the rounding
        of 16 bits; those at either's largest value, which may be clipped, are left out.

    >>> noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 10
    >>> gain_of(np.clip(2 * noise, -0.3, 0.3), noise)
    2.0
    >>> gain_of(noise, noise[::-1]) is None
    True
    """
    if channel.shape != other.shape:
        return None
    sizes, others = np.abs(channel), np.abs(other)
    # Not what is clipped in either; no more pauses, where rounding is all there is.
    whole = (sizes < 0.999 * sizes.max()) & (others < 0.999 * others.max()) & (sizes > 0)
    if not whole.any():
        return None
    loud = whole & (sizes >= np.median(sizes[whole]))
    x, y = _centred(other[loud]), _centred(channel[loud])
    power = float(np.dot(x, x))
    if not power > 0:
        return None
    gain = float(np.dot(x, y)) / power
    off = float(np.median(np.abs(y - np.float32(gain) * x)))
    agree = off <= min(STEP * max(1.0, abs(gain)), 0.3 * float(np.median(np.abs(y))))
    return round(gain, 4) if agree and gain else None


def _centred(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x - x.mean(dtype=np.float64).astype(np.float32) if x.size else x
