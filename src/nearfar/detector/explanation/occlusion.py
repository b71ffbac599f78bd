"""Where in time and frequency a score comes from: cells are replaced by normal sound, one by one.

It asks the system itself, and so holds for whatever embeds: what the score loses without a cell is
what the cell was worth to it (occlusion; Zeiler and Fergus, ECCV 2014). The price is one hearing a
cell, all of one crop. What replaces a cell is sound that the system knows: the same cell of the
nearest normal recording, at the clip's own level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from time import perf_counter

import numpy as np

from nearfar.detector.explanation.explanation import Grid, Regions
from nearfar.detector.explanation.members import Heeded
from nearfar.embedder.contract import Embedder
from nearfar.embedder.crops import Crops
from nearfar.embedding.chain import Chain
from nearfar.runtime.runtime import Runtime
from nearfar.scoring.rule import judged
from nearfar.sound import spectral
from nearfar.sound.audio import SAMPLE_RATE, Audio
from nearfar.sound.spectral import HOP, N_FFT, Complex64, Float64, mel_scale, mel_scale_inverse

BANDS, SPANS = 8, 10  # cells: as wide in mel as each other, and as long
LONGEST = 60.0  # s of a clip; of a longer one each cell would cost as much as a minute's score
TOGETHER = 16  # clips encoded at a time
AROUND = 5  # bins on either side whose median a bin is held against, 200 Hz
_BIN = SAMPLE_RATE / N_FFT  # 40 Hz
_TINY = 1e-30


def occlude(
    one: Heeded, heard: Audio, normal: Audio | None, name: str, runtime: Runtime
) -> Regions:
    """What each cell of a sound is worth to a member's score.

    Args:
        one: the member.
        heard: (channels, samples), what its embedder heard of the clip.
        normal: (channels, samples), the same of the nearest normal clip; None where its recording
            is not at hand: the clip's own surroundings of a cell then stand for it.
        name: of the normal clip.
        runtime: how to compute.

    Returns:
        A map of `BANDS` × `SPANS` cells.
    """
    begun = perf_counter()
    spectra = spectral.stft(np.ascontiguousarray(heard))  # (channels, bins, frames)
    other = _background(spectra) if normal is None else _levelled(normal, spectra)
    bins, frames = _edges(spectra.shape[-2:])
    chain = Chain(one.recipe.frontend, _one_crop(one))
    scores: list[float] = []
    variants = _variants(spectra, other, bins, frames, heard.shape[1])
    while sounds := list(islice(variants, TOGETHER)):
        scores += _scored(one, chain, sounds, runtime)
        if runtime.progress is not None:
            runtime.progress("occluding", len(scores), 1 + (len(bins) - 1) * (len(frames) - 1))
    fall: Grid = scores[0] - np.array(scores[1:]).reshape(len(bins) - 1, len(frames) - 1)
    return Regions(
        one.name,
        seconds=(*(f * HOP / SAMPLE_RATE for f in frames[:-1]), heard.shape[1] / SAMPLE_RATE),
        hertz=(*(b * _BIN for b in bins[:-1]), SAMPLE_RATE / 2),
        fall=fall,
        score=scores[0],
        replaced_by=name if normal is not None else "what is around each cell in the clip itself",
        took=perf_counter() - begun,
    )


def _one_crop(one: Heeded) -> Embedder:
    """Its embedder; of one that hears several crops, one as long as the clip."""
    embedder = one.recipe.embedder
    # Several would cost as many times as much, and leave some cells out of some of them.
    return replace(embedder, n=1, shortest=1.0) if isinstance(embedder, Crops) else embedder


def _edges(shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Edges of the cells: bins and frames."""
    bins, frames = shape
    mel = np.linspace(0.0, float(mel_scale(np.array(SAMPLE_RATE / 2))), BANDS + 1)
    rows = np.round(mel_scale_inverse(mel) / _BIN).astype(np.int64)
    rows[-1] = bins
    # Frames are centred: the first and the last lie on the clip's ends.
    columns = np.round(np.linspace(0, frames - 1, SPANS + 1)).astype(np.int64)
    columns[-1] = frames
    return rows.tolist(), columns.tolist()


def _variants(
    spectra: Complex64, other: Complex64, bins: list[int], frames: list[int], samples: int
) -> Iterator[Audio]:
    """The clip, and then the clip without each cell: band by band, span by span."""
    # The clip goes the same way there and back: rounding must not look like a region.
    yield spectral.istft(spectra, samples)
    for low, high in pairwise(bins):
        for first, last in pairwise(frames):
            without = spectra.copy()
            without[:, low:high, first:last] = other[:, low:high, first:last]
            yield spectral.istft(without, samples)


def _scored(one: Heeded, chain: Chain, sounds: list[Audio], runtime: Runtime) -> list[float]:
    scaled = one.member.scale(chain.rows(sounds, runtime))
    found: list[float] = judged(one.recipe.rule, scaled, one.member.bank).tolist()
    return found


def _levelled(normal: Audio, spectra: Complex64) -> Complex64:
    """The spectra of a normal clip, as many frames, at the clip's level.

    The level is the median over frequency: a fault in less than half of it does not count.
    """
    frames = spectra.shape[-1]
    found = spectral.stft(np.ascontiguousarray(normal))
    if found.shape[-1] < frames:  # a shorter clip, once more from its beginning
        found = np.tile(found, (1, 1, -(-frames // found.shape[-1])))
    found = found[..., :frames]
    for channel in range(len(spectra)):
        mine, theirs = _mean_power(spectra[channel]), _mean_power(found[channel])
        both = (mine > _TINY) & (theirs > _TINY)
        if both.any():
            found[channel] *= np.float32(np.sqrt(np.median(mine[both] / theirs[both])))
    return found


def _background(spectra: Complex64) -> Complex64:
    """The clip with whatever stands out in time, or from its neighbours in frequency, taken down.

    Each bin has its own phase, and the lesser of two powers: its median over the clip, and that of
    the bins around it in the frame.
    """
    from scipy.ndimage import median_filter

    power = np.abs(spectra.astype(np.complex128)) ** 2  # (channels, bins, frames)
    steady = np.median(power, axis=-1, keepdims=True)
    level = np.minimum(steady, median_filter(power, size=(1, 2 * AROUND + 1, 1)))
    gain = np.sqrt(np.minimum(1.0, level / np.maximum(power, _TINY)))
    quiet: Complex64 = (spectra * gain).astype(np.complex64)
    return quiet


def _mean_power(spectrum: Complex64) -> Float64:
    """(bins,) of (bins, frames)."""
    power: Float64 = np.mean(np.abs(spectrum.astype(np.complex128)) ** 2, axis=-1)
    return power
