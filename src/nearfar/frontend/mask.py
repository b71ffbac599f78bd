"""The coherence-weighted power ratio mask (report §2.1.1, Eq. 1).

The report smooths the powers P over the past (α = 0.9). Smoothed like that the coherence γ of
unrelated channels is (1 − α)/(1 + α) = 0.053, above nearly all values that the report prints; so γ
is by default taken over the whole clip, and the literal reading is a setting.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from nearfar.errors import SettingError
from nearfar.frontend.level import normalised
from nearfar.parts.valid import choice, number
from nearfar.sound import spectral
from nearfar.sound.audio import Audio
from nearfar.sound.spectral import HOP, N_FFT, Complex64, Float32

Coherence = Literal["clip", "ema", "ema_debiased"]

BINS = N_FFT // 2 + 1
EPSILON = 1e-20  # of the product of the channels' mean powers: ε of Eq. 1, whatever the gain
ARENA = 2**21  # floats, 8 MiB
BLOCK = 256  # frames worked on at a time
TINY = float(np.finfo(np.float32).tiny)  # stands for a near power of 0
LARGEST = 120  # of a power of two in float32

Block = tuple[int, int, Complex64, Float32, Float32]  # first, last, X₀, mask, γ


@dataclass(frozen=True)
class CoherenceMask:
    """Keep what is louder near than far, less of it where both microphones hear the same.

    M = max(σ(β (ln P₀ − ln P₁)) · (1 − w γ), δ), and the clip heard is M · X₀ (report Eq. 1). A
    gain common to both channels changes nothing; a silent far channel gives M = 1.

    With the logarithm to base 10 the same mask has `sharpness` 5 / ln 10 = 2.17.

    >>> sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    >>> alone = np.stack([sound, 0 * sound])  # nothing far: all is let through
    >>> mask = CoherenceMask(floor=0.1).mask(alone)
    >>> mask.shape, bool((mask == 1).all())
    ((201, 101), True)
    """

    sharpness: float = 5.0  # β
    coherence_weight: float = 0.7  # w
    floor: float = 0.2  # δ, amplitude; about −14 dB
    smoothing: float = 0.9  # α of the past, per frame of 10 ms
    # γ: "clip" of means over the clip; "ema" of smoothed powers; "ema_debiased": that, less the
    # (1 − α)/(1 + α) that unrelated channels have.
    coherence: Coherence = "clip"

    needs: ClassVar[int] = 2
    channels: ClassVar[int] = 1
    fingerprint: ClassVar[str] = "coherence-mask-1"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("sharpness", 1e-3, 1e3),
            ("coherence_weight", 0.0, 1.0),
            ("floor", 0.0, 1.0),
            ("smoothing", 0.0, 0.999),
        ):
            number(name, getattr(self, name), low, high)
        choice("coherence", self.coherence, get_args(Coherence))
        if self.coherence == "ema_debiased" and self.smoothing == 0:
            raise SettingError("smoothing 0 with coherence 'ema_debiased'; "
                               "without smoothing every γ is 1, take 'clip'")  # fmt: skip

    def __call__(self, audio: Audio) -> Audio:
        """(2, samples) → (1, samples): the near channel through its mask.

        Raises:
            SettingError: not two channels, or no more than half a frame (200 samples).
        """
        pair, exponents = _pair(audio)
        sound = spectral.OverlapAdd(audio.shape[1])
        for first, _, x0, mask, _ in self._blocks(pair, exponents):
            x0 *= mask
            sound.add(first, x0)
        return sound.finish(2.0 ** exponents[0])[None]

    def mask(self, audio: Audio) -> Float32:
        """M of Eq. 1: (2, samples) → (201, frames) float32, `floor` to 1."""
        return self.measure(audio)[0]

    def coherence_of(self, audio: Audio) -> Float32:
        """γ as the mask uses it: (2, samples) → (201, frames), or (201, 1) with "clip"; 0 to 1."""
        return self.measure(audio)[1]

    def measure(self, audio: Audio) -> tuple[Float32, Float32]:
        """Both, `mask` and `coherence_of`, at the price of one."""
        masks, gammas = [], []
        for _, _, _, mask, gamma in self._blocks(*_pair(audio)):
            masks.append(mask.copy())
            gammas.append(gamma.copy())
        whole = gammas[0] if self.coherence == "clip" else np.concatenate(gammas, axis=1)
        return np.concatenate(masks, axis=1), whole

    def _blocks(self, pair: Audio, exponents: tuple[int, int]) -> Iterator[Block]:
        """The spectra of the near channel, their mask and γ; all may be overwritten."""
        if self.coherence == "clip":
            return self._over_clip(pair, exponents)
        return self._smoothed(pair, exponents)

    def _over_clip(self, pair: Audio, exponents: tuple[int, int]) -> Iterator[Block]:
        """Two passes: γ is known only at the end."""
        count = 1 + (pair.shape[1] - N_FFT) // HOP
        kept = np.empty((3, BINS * count), np.float32)
        x0 = kept[:2].reshape(-1).view(np.complex64).reshape(BINS, count)
        gate = kept[2].reshape(BINS, count)
        sums, cross = np.zeros((2, BINS)), np.zeros(BINS, np.complex128)
        scratch, before = _Scratch(2, count), None
        for first, last, x in _spectra(pair):
            k = last - first
            sums += scratch.powers(x).sum(axis=2)  # before smoothing, which overwrites some
            smoothed = scratch.smooth(self.smoothing, before, k)
            before = smoothed[:, -1].copy()
            cross += scratch.cross(x).sum(axis=1)
            x0[:, first:last] = x[:, :k]
            self._gate(smoothed, exponents, gate[:, first:last])
        # γ(f) = |Σ X₀X₁*|² / (Σ P₀ Σ P₁ + ε)
        floor = _epsilon(pair) * count**2
        gamma = _ratio(np.square(np.abs(cross)), sums[0] * sums[1] + floor).astype(np.float32)
        factor = 1 - np.float32(self.coherence_weight) * gamma[:, None]
        for first, last in spectral.blocks(count, BLOCK):
            mask = gate[:, first:last]
            mask *= factor
            np.maximum(mask, np.float32(self.floor), out=mask)
            yield first, last, x0[:, first:last], mask, gamma[:, None]

    def _smoothed(self, pair: Audio, exponents: tuple[int, int]) -> Iterator[Block]:
        """One pass: everything is known from the past."""
        count = 1 + (pair.shape[1] - N_FFT) // HOP
        scratch, before = _Scratch(4, count), None
        gate = np.empty((BINS, scratch.frames), np.float32)
        epsilon = np.float32(_epsilon(pair))
        for first, last, x in _spectra(pair):
            k = last - first
            scratch.powers(x)
            cross = scratch.cross(x)
            scratch.raw[2, :, :k], scratch.raw[3, :, :k] = cross.real, cross.imag
            smoothed = scratch.smooth(self.smoothing, before, k)
            before = smoothed[:, -1].copy()
            mask = self._gate(smoothed, exponents, gate[:, :k])
            gamma = self._gamma(smoothed.reshape(4, BINS, k), epsilon)
            weight = np.multiply(
                gamma, np.float32(-self.coherence_weight), out=scratch.raw[0, :, :k]
            )
            weight += 1
            mask *= weight
            np.maximum(mask, np.float32(self.floor), out=mask)
            yield first, last, x[:, :k], mask, gamma

    def _gamma(self, smoothed: Float32, epsilon: np.float32) -> Float32:
        """γ = |Φ₀₁|² / (P₀P₁ + ε), Eq. 1, from (4, 201, k) P₀, P₁, Re Φ, Im Φ; overwrites them."""
        p0, p1, real, imag = smoothed
        p0 *= p1
        p0 += epsilon
        np.maximum(p0, TINY, out=p0)  # 0 only where Φ is 0 too
        real *= real
        imag *= imag
        real += imag
        gamma: Float32 = np.divide(real, p0, out=real)
        if self.coherence == "ema_debiased":
            bias = (1 - self.smoothing) / (1 + self.smoothing)
            gamma -= np.float32(bias)
            gamma *= np.float32(1 / (1 - bias))
        np.clip(gamma, 0, 1, out=gamma)
        return gamma

    def _gate(self, smoothed: Float32, exponents: tuple[int, int], out: Float32) -> Float32:
        """σ(β (ln P₀ − ln P₁)) = 1 / (1 + (P₁/P₀)^β) of rows P₀, P₁, …; 1 where P₁ is 0."""
        power = 2 * (exponents[1] - exponents[0])
        scale = np.float32(2.0 ** max(-LARGEST, min(LARGEST, power)))
        with np.errstate(over="ignore", under="ignore"):  # to infinity: σ = 0; to zero: σ = 1
            np.maximum(smoothed[:BINS], TINY, out=out)
            np.divide(smoothed[BINS : 2 * BINS], out, out=out)
            if scale != 1:
                out *= scale
            if self.sharpness == 5:  # three products take a tenth of the time of a power
                square = out * out
                out *= np.multiply(square, square, out=square)
            else:
                np.power(out, np.float32(self.sharpness), out=out)
            out += 1
            np.reciprocal(out, out=out)
        return out


class _Scratch:
    """Arrays of one block, used again for each: new ones cost more than the arithmetic."""

    def __init__(self, planes: int, count: int) -> None:
        self.frames = min(BLOCK, count)
        # The C library gives memory back to the system, to be fetched anew for the next clip, when
        # more of it is free than twice the largest array so far. So one array is generous; pages
        # of it that nobody touches do not exist.
        shape = (planes, BINS, self.frames)
        arena = np.empty(max(ARENA, 5 * BINS * count), np.float32)
        self.raw = arena[: math.prod(shape)].reshape(shape)  # P₀, P₁, Re, Im X₀X₁*
        self._smooth = np.empty((planes * BINS, self.frames), np.float32)
        self._square = np.empty((BINS, self.frames), np.float32)
        self._cross = np.empty((BINS, self.frames), np.complex64)

    def powers(self, x: Complex64) -> Float32:
        """|X|² of (201, 2 k) → (2, 201, k)."""
        k = x.shape[1] // 2
        square = self._square[:, :k]
        for i in (0, 1):
            part, power = x[:, i * k : (i + 1) * k], self.raw[i, :, :k]
            np.square(part.real, out=power)
            power += np.square(part.imag, out=square)
        return self.raw[:2, :, :k]

    def cross(self, x: Complex64) -> Complex64:
        """X₀X₁* of (201, 2 k) → (201, k)."""
        k = x.shape[1] // 2
        product = np.conjugate(x[:, k:], out=self._cross[:, :k])
        product *= x[:, :k]
        return product

    def smooth(self, smoothing: float, before: Float32 | None, k: int) -> Float32:
        """All planes smoothed, (planes · 201, k)."""
        rows = self.raw.reshape(-1, self.frames)[:, :k]
        return spectral.smooth(rows, smoothing, before, self._smooth[:, :k])


def _pair(audio: Audio) -> tuple[Audio, tuple[int, int]]:
    """Both channels at one level and padded, and the exponents of the levels."""
    if audio.ndim != 2 or audio.shape[0] != 2:
        raise SettingError(f"CoherenceMask got shape {audio.shape}; it takes (2, samples)")
    pair, exponents = normalised(audio, N_FFT // 2)
    # Mirrored ends: with zeros the first frames would start the smoothing at next to nothing.
    spectral.reflect(pair)
    return pair, exponents


def _spectra(pair: Audio) -> Iterator[tuple[int, int, Complex64]]:
    """first, last, (201, 2 k): the near frames of a block, then the far ones."""
    framed = [spectral.frames(channel) for channel in pair]
    window, count = spectral.hann(N_FFT), len(framed[0])
    scratch = np.empty(2 * min(BLOCK, count) * N_FFT, np.float32)
    for first, last in spectral.blocks(count, BLOCK):
        yield first, last, spectral.spectrum([f[first:last] for f in framed], window, scratch)


def _epsilon(pair: Audio) -> float:
    """ε: by Parseval the mean of |X|² over the clip is that of x² times the window's energy."""
    energy = float(np.square(spectral.hann(N_FFT)).sum())
    near, far = (float(np.dot(x, x)) for x in pair)
    return EPSILON * near * far * float(energy / pair.shape[1]) ** 2


def _ratio(above: spectral.Float64, below: spectral.Float64) -> spectral.Float64:
    """above / below between 0 and 1; 0 where `below` is 0."""
    out = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    np.minimum(out, 1.0, out=out)
    return out
