"""Sections that are read when they are needed: of 400 machines a clip is of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
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
        self._sizes: dict[tuple[str, str], int] = {}  # bytes of those that are kept, and in all
        self._total = 0
        self._lock = Lock()

    def __getitem__(self, key: tuple[str, str]) -> Section:
        section = self._read.get(key)
        if section is None:
            # Of two threads each may read it once; both have read the same.
            section = self._readers[key]()
            self._keep(key, section)
        return section

    @property
    def readers(self) -> Mapping[tuple[str, str], Callable[[], Section]]:
        """How each is read, for who keeps them otherwise."""
        return self._readers

    def keeps(self, key: tuple[str, str]) -> bool:
        """Would it be given without a look at its bank?"""
        return key in self._read

    def _keep(self, key: tuple[str, str], section: Section) -> None:
        """Keep one, and forget those that were read first: a fleet's clips come by machine."""
        if self._most is None:
            self._read[key] = section
            return
        with self._lock:  # what is kept is counted as it comes and goes: there may be thousands
            size = section_bytes(section)
            self._total += size - self._sizes.get(key, 0)
            self._read[key], self._sizes[key] = section, size
            while self._total > self._most and len(self._sizes) > 1:
                oldest = next(iter(self._sizes))
                self._total -= self._sizes.pop(oldest)
                self._read.pop(oldest, None)

    def __contains__(self, key: object) -> bool:
        return key in self._readers  # without a look at its bank

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __reduce__(self) -> Any:
        # What was not yet read is read now: to another process the files may be out of reach.
        return dict, (dict(self),)


def section_bytes(section: Section) -> int:
    """What a section takes in memory, in bytes: rows and, of few clips far more, whitenings."""
    total = 0
    for member in section.members:
        total += member.embeddings.nbytes
        if member.scaled is not None:
            total += member.scaled.nbytes
        if member.whitening is not None:
            total += member.whitening.matrix.nbytes
        if member.workings is not None:
            total += member.workings.spare.nbytes
    return total
