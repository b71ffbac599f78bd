"""SciPy's FFT of real sounds, without the rest of SciPy.

It runs several float32 frames at once, which NumPy's does not. But `import scipy.fft` costs a
quarter of a second, a third of what one clip in a new process takes: it brings special functions
and adapters to other array libraries, and no FFT of ours needs either.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

_NAME = "scipy.fft._pocketfft.pypocketfft"  # has been there since SciPy 1.4
_LOADING = threading.Lock()  # compiled code is not made to be loaded twice at once


def rfft(x: NDArray[Any], axis: int) -> NDArray[Any]:
    """`scipy.fft.rfft` along one axis, to the bit.

    Args:
        x: real, float32 or float64.
        axis: to be transformed; n numbers become n // 2 + 1.
    """
    if (compiled := _compiled()) is None:
        from scipy import fft

        found: NDArray[Any] = fft.rfft(x, axis=axis)
    else:
        found = compiled.r2c(x, (axis,), True, 0, None, 1)
    return found


def rfft_packed(x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """`rfft` along the first axis, as real rows alone: Re X₀, Re X₁, Im X₁, Re X₂, Im X₂, …

    The numbers are those of `rfft` to the bit; two that are 0 are left out, so that n rows stay n
    (of an even n the last one is Re Xₙ⸝₂). Squares and products of whole rows run along memory.

    Args:
        x: (n, k) real.
        out: (n, k) of the same type, to write to.
    """
    if (compiled := _compiled()) is None:
        from scipy import fftpack

        out[:] = fftpack.rfft(x, axis=0)
    else:
        compiled.r2r_fftpack(x, (0,), True, True, 0, out, 1)
    return out


def irfft(x: NDArray[Any], n: int, axis: int) -> NDArray[Any]:
    """`scipy.fft.irfft` along one axis, to the bit.

    Args:
        x: complex64 or complex128, n // 2 + 1 numbers along the axis.
        n: length of what comes back.
        axis: to be transformed.
    """
    if (compiled := _compiled()) is None:
        from scipy import fft

        found: NDArray[Any] = fft.irfft(x, n, axis=axis)
    else:
        found = compiled.c2r(x, (axis,), n, False, 2, None, 1)  # 2: divided by n
    return found


@cache
def _compiled() -> Any:
    """The compiled module that scipy.fft calls; None where it is not to be had alone."""
    with _LOADING:
        if _NAME in sys.modules:
            return sys.modules[_NAME]
        try:
            return _alone()
        except (ImportError, AttributeError, OSError):  # another SciPy, or a system that needs more
            return None


def _alone() -> Any:
    """Load it from its file: an import by its name would first run all that it lies in."""
    whole = find_spec("scipy")  # looks for it and runs nothing
    places = [] if whole is None else list(whole.submodule_search_locations or ())
    spec = PathFinder.find_spec(_NAME, [str(Path(p, "fft", "_pocketfft")) for p in places])
    if spec is None or spec.loader is None:
        return None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.r2c, module.c2r, module.r2r_fftpack  # noqa: B018 - what we call must be there
    sys.modules[_NAME] = module  # for scipy.fft, should it come later: compiled code loads once
    return module
