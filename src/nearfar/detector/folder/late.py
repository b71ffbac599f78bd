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

    def __init__(
        self, readers: Mapping[tuple[str, str], Callable[[], Section]], most: int | None = None
    ) -> None:
        """Of those that were read, the last ones stay.

        Args:
            readers: how each is read.
            most: bytes of banks that stay, but for the last one; None: all that were read.
        """
        self._readers = dict(readers)
        self._read: dict[tuple[str, str], Section] = {}
        self._most = most

    def __getitem__(self, key: tuple[str, str]) -> Section:
        section = self._read.get(key)
        if section is None:
            # Of two threads each may read it once; both have read the same.
            section = self._read[key] = self._readers[key]()
            self._let_go()
        return section

    def keeps(self, key: tuple[str, str]) -> bool:
        """Would it be given without a look at its bank?"""
        return key in self._read

    def _let_go(self) -> None:
        """Forget those that were read first: clips of a fleet come machine by machine."""
        if self._most is None:
            return
        kept = list(self._read.items())  # at once: another thread may be here too
        sizes = [sum(m.embeddings.nbytes for m in section.members) for _, section in kept]
        total = sum(sizes)
        for (key, _), size in zip(kept[:-1], sizes, strict=False):
            if total <= self._most:
                break
            self._read.pop(key, None)
            total -= size

    def __contains__(self, key: object) -> bool:
        return key in self._readers  # without a look at its bank

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __reduce__(self) -> Any:
        # What was not yet read is read now: to another process the files may be out of reach.
        return dict, (dict(self),)
