"""YAMNet's layers in NumPy: log-mel → a grid of columns and bands, in float32.

Arrays are (time, frequency, channels), channels last and contiguous: a pointwise convolution is
then one matrix product, nine tenths of all arithmetic, and one of 3 × 3 adds up products of long
rows with nine shifted views of the same array. Each array is born with the border of zeros that its
reader needs, so nothing is copied to be padded. Normalisation is folded into the kernels when they
are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.yamnet.layers import BANDS, DIM, EPSILON, MELS, REDUCTION, STRIDES, WIDTHS
from nearfar.sound.spectral import Float32, blocks

Tensors = Mapping[str, NDArray[np.floating]]

# Numbers of a block, 128 kB: what a step reads and writes stays in a core's own cache.
BLOCK = 1 << 15
# Columns that go through the network at once, 20 s: memory does not grow with a clip's length.
PIECE = 256
# Columns that a column's numbers depend on: 14 frames before it and 21 behind it, rounded up.
BEFORE, BEHIND = 2, 3


@dataclass(frozen=True, eq=False)
class Separable:
    """A 3 × 3 convolution of each channel by itself, then one of all channels at each place.

    >>> eye, ones = np.eye(4, dtype=np.float32), np.ones((3, 3, 4), np.float32)
    >>> Separable(2, ones, np.zeros(4, np.float32), eye, np.zeros(4, np.float32)).margin
    0
    """

    stride: int
    kernel: Float32  # (3, 3, in)
    floor: Float32  # (in,): where the ReLU behind it cuts
    mix: Float32  # (in, out)
    bias: Float32  # (out,)

    @property
    def margin(self) -> int:
        """Zeros that it needs before its input; behind it one is enough in either case."""
        # "Same" padding as TensorFlow means it: an even length at stride 2 is padded at its end.
        return 1 if self.stride == 1 else 0


class Network:
    """The six layers, with weights.

    Args:
        tensors: by the names of `nearfar.embedder.yamnet.layers`.

    >>> from nearfar.embedder.yamnet.layers import YAMNetArchitecture
    >>> shapes = YAMNetArchitecture().shapes()
    >>> adding = Network({name: np.ones(shape) for name, shape in shapes.items()})
    >>> adding(np.zeros((96, 64), np.float32)).shape
    (12, 8, 256)
    """

    def __init__(self, tensors: Tensors) -> None:
        kernel, bias = _folded(tensors, "layer1.conv", "kernel")
        self.first = kernel.reshape(9, -1).astype(np.float32)  # (3 · 3, 32)
        self.first_bias = bias.astype(np.float32)
        self.rest = [
            _separable(tensors, f"layer{number}", stride)
            for number, stride in enumerate(STRIDES[1:], start=2)
        ]

    def __call__(self, mels: Float32) -> Float32:
        """A log-mel spectrogram → the grid.

        Args:
            mels: (frames, 64) float32. What is over a multiple of 8 frames is not heard.

        Returns:
            float32, (frames // 8, 8 bands, 256), none below 0.
        """
        columns = len(mels) // REDUCTION
        out = np.empty((columns, BANDS, DIM), np.float32)
        for first, last in blocks(columns, PIECE):
            # Heard with what lies around it, so that no seam shows.
            start, stop = max(first - BEFORE, 0), min(last + BEHIND, columns)
            piece = self._piece(mels[start * REDUCTION : stop * REDUCTION])
            out[first:last] = piece[first - start : last - start]
        return out

    def _piece(self, mels: Float32) -> Float32:
        """(frames, 64) → (frames // 8, 8, 256), zeros before and behind."""
        whole = self._first(mels, self.rest[0].margin)
        for layer, following in pairwise(self.rest):
            whole = _layer(whole, layer, following.margin)
        return _layer(whole, self.rest[-1], 0)[:-2, :-2]

    def _first(self, mels: Float32, margin: int) -> Float32:
        """Nine numbers of the spectrogram for each place, times a matrix."""
        rows, bands = len(mels) // 2, MELS // 2
        padded = np.zeros((len(mels) + 1, MELS + 1), np.float32)
        padded[:-1, :-1] = mels
        taps = np.empty((rows, bands, 9), np.float32)
        for tap in range(9):
            i, j = divmod(tap, 3)
            taps[:, :, tap] = padded[i : i + 2 * rows : 2, j : j + MELS : 2]
        whole, inner = _bordered(rows, bands, WIDTHS[0], margin)
        mixed = (taps.reshape(-1, 9) @ self.first).reshape(inner.shape)
        np.add(mixed, self.first_bias, out=inner)
        np.maximum(inner, 0, out=inner)
        return whole


def _folded(
    tensors: Tensors, name: str, kernel: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A kernel (h, w, in, out) and a bias that do what it and the normalisation behind it do."""
    exact = {part: np.asarray(tensors[f"{name}.{part}"], np.float64) for part in (
        kernel, "bn.beta", "bn.moving_mean", "bn.moving_variance"
    )}  # fmt: skip
    gain = 1 / np.sqrt(exact["bn.moving_variance"] + EPSILON)
    # Channels of a depthwise kernel are on its third axis, and its last has one number.
    along = gain[:, None] if exact[kernel].shape[3] == 1 else gain
    return exact[kernel] * along, exact["bn.beta"] - exact["bn.moving_mean"] * gain


def _separable(tensors: Tensors, name: str, stride: int) -> Separable:
    deep, shift = _folded(tensors, f"{name}.depthwise_conv", "depthwise_kernel")
    point, bias = _folded(tensors, f"{name}.pointwise_conv", "kernel")
    # max(x + b, 0) = max(x, −b) + b, and what b becomes in the matrix product is a constant: one
    # pass over the array less.
    parts = (deep[..., 0], -shift, point[0, 0], bias + shift @ point[0, 0])
    return Separable(stride, *(np.ascontiguousarray(part, np.float32) for part in parts))


def _bordered(rows: int, bands: int, channels: int, margin: int) -> tuple[Float32, Float32]:
    """An array with a border of zeros, (rows + 2, bands + 2, channels), and its inside, unfilled.

    Of the border `margin` lies before the inside, the rest of two behind it.
    """
    whole = np.empty((rows + 2, bands + 2, channels), np.float32)
    inside = slice(margin, margin + rows), slice(margin, margin + bands)
    whole[:margin] = whole[margin + rows :] = 0
    whole[:, :margin] = whole[:, margin + bands :] = 0
    return whole, whole[inside]


def _layer(source: Float32, layer: Separable, margin: int) -> Float32:
    """(rows + 2, bands + 2, in) with its border → (rows' + 2, bands' + 2, out) with a border.

    Args:
        source: the border is as the layer's `margin` says.
        margin: of what is returned.
    """
    step, channels = layer.stride, source.shape[2]
    rows, bands = (len(source) - 2) // step, (source.shape[1] - 2) // step
    whole, inner = _bordered(rows, bands, layer.mix.shape[1], margin)
    size = min(rows, max(1, BLOCK // (bands * channels)))
    total = np.empty((size, bands, channels), np.float32)
    mixed = np.empty((size * bands, layer.mix.shape[1]), np.float32)
    for first, last in blocks(rows, size):
        k = last - first
        _depthwise(source[first * step :], layer, total[:k])
        np.maximum(total[:k], layer.floor, out=total[:k])
        at = mixed[: k * bands]
        np.matmul(total[:k].reshape(-1, channels), layer.mix, out=at)
        np.add(at.reshape(k, bands, -1), layer.bias, out=inner[first:last])
        np.maximum(inner[first:last], 0, out=inner[first:last])
    return whole


def _depthwise(source: Float32, layer: Separable, out: Float32) -> None:
    """Sum over nine taps: each one's view of the source times its weight; (rows, bands, in)."""
    rows, bands, channels = out.shape
    along, across, one = source.strides
    kernel, step = layer.kernel[:, :, None], layer.stride  # (3, 3, 1, in)
    runs, length = bands, channels
    if step == 1:  # bands lie one behind the other in the source too: each row is one long run
        runs, length = 1, bands * channels
        kernel = np.tile(kernel, bands)
    taps: Float32 = np.ndarray(
        (3, 3, rows, runs, length), np.float32, buffer=source.data,
        strides=(along, across, step * along, step * across, one),
    )  # fmt: skip
    # No matrix product: numpy multiplies and adds in one pass, where ufuncs would take seventeen.
    np.einsum("ijtrc,ijrc->trc", taps, kernel, out=out.reshape(rows, runs, length))
