"""Everything the doctor looks at, in the order of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from nearfar.doctor.sign import FAULTS, Sign, fault


def examine(places: Sequence[Path] = ()) -> Iterator[Sign]:
    """Look at everything, one thing after the other; none that is broken hides another.

    Args:
        places: of weights or detectors to look at besides.
    """
    # Each imported when it is its turn, for what it stands on may be what is broken.
    parts: dict[str, Callable[[], Iterator[Sign]]] = {
        "versions": _versions, "computer": _computer, "extras": _extras,
        "weights": lambda: _weights(places), "works": _trials,
    }  # fmt: skip
    for group, signs in parts.items():
        try:
            yield from signs()
        # Without NumPy, say, our own modules cannot be imported; the others still can.
        except FAULTS as error:
            yield Sign(group, "all of it", "broken", fault(error))


def _versions() -> Iterator[Sign]:
    from nearfar.doctor.packages import core, python

    yield from python()
    yield from core()


def _computer() -> Iterator[Sign]:
    from nearfar.doctor.computer import computer

    yield from computer()


def _extras() -> Iterator[Sign]:
    from nearfar.doctor.packages import extras

    yield from extras()


def _weights(places: Sequence[Path]) -> Iterator[Sign]:
    from nearfar.doctor.encoders_found import encoders_found

    yield from encoders_found(places)


def _trials() -> Iterator[Sign]:
    from nearfar.doctor.trials import trials

    yield from trials()


def healthy(signs: Iterable[Sign]) -> bool:
    """Does all that is installed work? What is not installed is no fault.

    >>> healthy([Sign("extras", "parquet", "missing", "no pyarrow")])
    True
    """
    return all(sign.state != "broken" for sign in signs)
