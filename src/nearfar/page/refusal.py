"""What a request is refused with: the same one line as everywhere, and HTTP's number for it."""

from __future__ import annotations

from nearfar.errors import (
    AudioError,
    DatasetError,
    FormatError,
    NearfarError,
    SettingError,
    StorageError,
    WeightsError,
)


class Refusal(NearfarError):
    """A request that is not done, and what HTTP calls the reason (RFC 9110, section 15).

    >>> Refusal(404, "no machine 'fan'; it has: pump").status
    404
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


# Errors of ours that anything below may raise, the more special first.
STATUS: tuple[tuple[type[NearfarError], int], ...] = (
    (StorageError, 503),  # a history that is locked or full: later it may work
    (AudioError, 422),
    (DatasetError, 422),
    (SettingError, 422),
    (FormatError, 409),  # a detector that is damaged, or being replaced
    (WeightsError, 409),
)


def status_of(error: NearfarError) -> int:
    """HTTP's number for an error.

    >>> status_of(AudioError("a.wav: empty file")), status_of(NearfarError("?"))
    (422, 500)
    """
    if isinstance(error, Refusal):
        return error.status
    return next((number for kind, number in STATUS if isinstance(error, kind)), 500)
