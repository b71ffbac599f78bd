"""Published recordings onto a disk: from a record of Zenodo to the official layout.

Nothing is loaded before it is asked for: the HTTP client is an extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfar.clips.download.delivery import Arrival, Delivery, download

__all__ = ["Arrival", "Delivery", "download"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nearfar.clips.download import delivery

    return vars(delivery)[name]
