"""Is a setting's value what it must be? One line says what it is and what it may be.

To Python `True` is a whole number and NaN is neither below nor above anything; here neither passes.
"""

from __future__ import annotations

from collections.abc import Iterable

from nearfar.errors import SettingError, did_you_mean


def is_whole(value: object, least: int = 0, most: float = float("inf")) -> bool:
    """Is it a whole number between two bounds?

    >>> is_whole(3, 1), is_whole(True), is_whole(3.0), is_whole(5, 1, 4)
    (True, False, False, False)
    """
    # NumPy's integers are no `int`, and rightly none here: JSON does not take them.
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object, low: float = -1e6, high: float = 1e6) -> bool:
    """Is it a number between two bounds, and so one whose products stay finite?

    >>> is_number(0.5), is_number(float("nan")), is_number("0.5"), is_number(2, 0, 1)
    (True, False, False, False)
    """
    # NaN fails both comparisons; infinity fails unless a bound is infinite, too.
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def whole(
    name: str, value: object, least: int, most: int | None = None, what: str = "a whole number"
) -> None:
    """Refuse what is no whole number from `least` up, or up to `most`.

    Raises:
        SettingError: says what the setting is, and what it may be.
    """
    if not is_whole(value, least, float("inf") if most is None else most):
        span = f"from {least} up" if most is None else f"from {least} to {most}"
        raise SettingError(f"{name} is {value!r}; it is {what} {span}")


def number(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number from `low` to `high`.

    Raises:
        SettingError: says what the setting is, and what it may be.
    """
    if not is_number(value, low, high):
        raise SettingError(f"{name} is {value!r}; it is a number from {low:g} to {high:g}")


def choice(name: str, value: object, known: Iterable[str]) -> None:
    """Refuse what is none of some words.

    Raises:
        SettingError: guesses which was meant, and lists them.
    """
    words = tuple(known)  # gone through twice, and it may be an iterator
    if not isinstance(value, str) or value not in words:
        raise SettingError(f"{name} is {value!r}; {did_you_mean(str(value), words)}")


def flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        SettingError: says what the setting is.
    """
    if not isinstance(value, bool):
        raise SettingError(f"{name} is {value!r}; it is True or False")


def check_rate(rate: float) -> float:
    """Refuse a false-alarm rate that is none.

    Raises:
        SettingError: not above 0 and below 1.
    """
    # 0 would put the threshold above every clip, 1 below.
    if not is_number(rate, 0, 1) or not 0 < rate < 1:
        raise SettingError(f"false_alarm_rate is {rate!r}; it is above 0 and below 1, as in 0.1")
    return float(rate)
