"""Sections that are read when they are needed: of 400 machines a clip is of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nearfar.detector.section import Section


class LateSections(Mapping[tuple[str, str], Section]):
    """Sections by machine and name, each read and checked when it is first asked for.

    >>> LateSections({("fan", "00"): lambda: print("read")})["fan", "00"]
    read
    """

    def __init__(self, readers: Mapping[tuple[str, str], Callable[[], Section]]) -> None:
        self._readers = dict(readers)
        self._read: dict[tuple[str, str], Section] = {}

    def __getitem__(self, key: tuple[str, str]) -> Section:
        if key not in self._read:
            # Of two threads each may read it once; both have read the same.
            self._read[key] = self._readers[key]()
        return self._read[key]

    def __contains__(self, key: object) -> bool:
        return key in self._readers  # without a look at its bank

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __reduce__(self) -> Any:
        # What was not yet read is read now: to another process the files may be out of reach.
        return dict, (dict(self),)
