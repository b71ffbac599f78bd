"""Is a setting's value what it must be? One line says what it is and what it may be."""

from __future__ import annotations

from nearfar.errors import SettingError


def is_number(value: object, most: float = 1e6) -> bool:
    """Is it a number, and one whose products stay finite?"""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most


def check_rate(rate: float) -> float:
    """Refuse a false-alarm rate that is none.

    Raises:
        SettingError: not above 0 and below 1.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
        raise SettingError(f"false_alarm_rate is {rate!r}; it is above 0 and below 1, as in 0.1")
    return float(rate)
