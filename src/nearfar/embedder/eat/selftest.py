"""Does an encoder give the numbers its authors published? A recording and its feature file.

The EAT repository holds both for one set of weights (EAT-base fine-tuned): a WAV at 32 kHz and an
array of 1 CLS + 512 patch tokens. They were made with another resampler than ours: between 7 and
8 kHz the two differ enough to move a token by 0.4. So its formula stands here, and what is left
to differ is the encoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.eat.embed import EAT
from nearfar.errors import AudioError, WeightsError
from nearfar.sound.audio import SAMPLE_RATE, read

FRAMES = 1024  # of the published features
MOST = 1e-2  # largest error of any number in a token; equal encoders in float32 differ by 1e-5
COSINE = 0.9999  # least, of the mean over patches; wrong padding or windows give 0.9 … 0.999
_ZEROS = 6  # zero crossings of the sinc on each side
_ROLLOFF = 0.99  # of the lower Nyquist frequency


@dataclass(frozen=True)
class Agreement:
    """How far features are from published ones.

    Args:
        tokens: compared, 513 or the CLS token alone.
        error: largest difference of two numbers.
        cosine: of the means over patches; of the tokens themselves where there is but one.

    >>> Agreement(tokens=513, error=1e-5, cosine=1.0).passed
    True
    >>> Agreement(tokens=513, error=float("nan"), cosine=1.0).passed
    False
    """

    tokens: int
    error: float
    cosine: float

    @property
    def passed(self) -> bool:
        """Both within tolerance; what is not a number is not."""
        return self.error <= MOST and self.cosine >= COSINE


def compare_features(reference: str, recording: Path, features: Path) -> Agreement:
    """Encode a recording as the published features were made, and compare all of them.

    Args:
        reference: weights, see `open_weights`.
        recording: WAV or FLAC, any rate; the first channel is heard.
        features: NumPy file, (513, dim), (1, 513, dim), or (dim,) of the CLS token.

    Raises:
        WeightsError: the shapes do not fit, or no feature file.
        AudioError: no recording.
    """
    want = _load(features)
    encoder = EAT(reference, frames=FRAMES)
    if want.ndim == 0 or want.shape[-1] != encoder.dim:
        raise WeightsError(
            f"{features}: features of shape {want.shape}, but {reference} has {encoder.dim} "
            "dimensions; a feature file fits the weights it was made with"
        )
    want = want.reshape(-1, encoder.dim)
    have = encoder.tokens([_read(recording)])[0]
    if len(want) not in (1, len(have)):
        raise WeightsError(
            f"{features}: {len(want)} tokens, need all {len(have)} of {FRAMES} frames or the CLS "
            "token alone"
        )
    have = have[: len(want)]
    error = float(np.abs(have - want).max())
    return Agreement(len(want), error, _cosine(_pooled(have), _pooled(want)))


def _pooled(tokens: NDArray[np.float32]) -> NDArray[np.float64]:
    patches = tokens[1:] if len(tokens) > 1 else tokens
    mean: NDArray[np.float64] = patches.mean(axis=0, dtype=np.float64)
    return mean


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-30))


def _load(path: Path) -> NDArray[np.float32]:
    try:
        with path.open("rb") as file:
            content = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, SyntaxError, MemoryError) as error:
        raise WeightsError(f"{path}: is no NumPy file ({str(error)[:80]}); need a .npy") from None
    if content.dtype.kind != "f" or content.size == 0:
        raise WeightsError(f"{path}: {content.dtype} of shape {content.shape}; need features")
    return content.astype(np.float32)


def _read(path: Path) -> NDArray[np.float32]:
    """(1, samples) at 16 kHz, resampled as the published features' recording was."""
    import soundfile

    try:
        rate = int(soundfile.info(path).samplerate)
    except (RuntimeError, OSError, TypeError):
        rate = SAMPLE_RATE  # `read` says what is wrong with it
    if rate > 1_000_000:
        raise AudioError(f"{path}: {rate} Hz; need a recording")
    near = read(path, sample_rate=rate)[:1]
    return resample(near, rate).astype(np.float32)


def resample(audio: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """(channels, samples) at any rate → 16 kHz, with the short sinc that published features had.

    A sinc of 6 zero crossings on each side under a Hann window, at 0.99 of the lower Nyquist
    frequency: torchaudio's default, by its formula (Smith, Digital Audio Resampling).
    """
    if rate == SAMPLE_RATE:
        return audio.astype(np.float64)
    common = math.gcd(rate, SAMPLE_RATE)
    old, new = rate // common, SAMPLE_RATE // common
    cutoff = min(old, new) * _ROLLOFF
    width = math.ceil(_ZEROS * old / cutoff)
    # One filter for each of the `new` samples that `old` samples become.
    time = np.arange(-width, width + old) / old - np.arange(new)[:, None] / new
    time = np.clip(time * cutoff, -_ZEROS, _ZEROS)
    filters = np.sinc(time) * np.cos(np.pi * time / (2 * _ZEROS)) ** 2 * cutoff / old
    padded = np.pad(audio.astype(np.float64), ((0, 0), (width, width + old)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, filters.shape[1], axis=1)[:, ::old]
    length = math.ceil(audio.shape[1] * new / old)
    resampled: NDArray[np.float64] = (windows @ filters.T).reshape(len(audio), -1)
    return resampled[:, :length]
