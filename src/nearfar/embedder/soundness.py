"""Whether a weights file is whole, number for number and byte for byte. No torch here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.tensorfile import Header, header
from nearfar.embedder.weights import Shaped, Weights, file_size
from nearfar.errors import WeightsError

# The bits of each type's exponent; a file's bfloat16 is no type of NumPy's.
_EXPONENTS = {
    "F32": ("<u4", np.uint32(0x7F80_0000)),
    "F16": ("<u2", np.uint16(0x7C00)),
    "BF16": ("<u2", np.uint16(0x7F80)),
}


def damaged_tensor(weights: Weights[Shaped]) -> str | None:
    """The first tensor with NaN or infinite numbers; None if all are finite.

    Raises:
        WeightsError: the file cannot be read.
    """
    found = header(weights.path)
    for name in weights.architecture.shapes():
        _, exponent = _EXPONENTS[found.tensors[weights.key(name)].dtype]
        # All ones: infinite, or no number.
        if ((_bits(weights, name, found) & exponent) == exponent).any():
            return name
    return None


def bits_of(weights: Weights[Shaped], name: str) -> NDArray[Any]:
    """The bits of a tensor's numbers in a row, as whole numbers without a sign.

    Raises:
        WeightsError: the file cannot be read.
    """
    return _bits(weights, name, header(weights.path))


def _bits(weights: Weights[Shaped], name: str, found: Header) -> NDArray[Any]:
    tensor = found.tensors[weights.key(name)]
    try:
        data = np.memmap(weights.path, np.uint8, "r", offset=found.length)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{weights.path}: cannot be read ({error}); copy it again") from None
    return data[tensor.start : tensor.stop].view(_EXPONENTS[tensor.dtype][0])


def size_of(weights: Weights[Shaped]) -> str:
    """The file's size beside that of a file with this architecture, written as published."""
    have = weights.path.stat().st_size
    if len(weights.dtypes) > 1:
        return f"{have:,}, tensors of more than one type"
    want = file_size(weights.architecture, weights.dtypes[0], weights.prefix, weights.metadata)
    # Another size is no damage: other programs order and pad the header differently.
    if have == want:
        return f"{have:,}, as this architecture has"
    return f"{have:,}; a file of this architecture has {want:,}, its header is written otherwise"
