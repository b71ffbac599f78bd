"""Whether a weights file is whole, number for number and byte for byte. No torch here."""

from __future__ import annotations

import numpy as np

from nearfar.embedder.tensorfile import header
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
    try:
        data = np.memmap(weights.path, np.uint8, "r", offset=found.length)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{weights.path}: cannot be read ({error}); copy it again") from None
    for name in weights.architecture.shapes():
        tensor = found.tensors[weights.key(name)]
        kind, exponent = _EXPONENTS[tensor.dtype]
        bits = data[tensor.start : tensor.stop].view(kind)
        if ((bits & exponent) == exponent).any():  # all ones: infinite, or no number
            return name
    return None


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
