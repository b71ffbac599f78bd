"""Parts put together: all shards of one command, whatever order they are named in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nearfar.clips.clip import Clip
from nearfar.embedding.part import ShardPart, digest_of_clips, read_part
from nearfar.errors import DatasetError, FormatError
from nearfar.runtime.shards import Gathered
from nearfar.version import __version__

SHOWN = 5  # missing shards in a message
LONGEST_VALUES = 100  # characters of two values that differ
_CALLED = {"sha256": "detector", "chains": "front end or embedder"}


@dataclass(frozen=True, eq=False)
class AllParts:
    """All parts of one command, in their shards' order.

    Args:
        parts: one of each shard, of one command.

    >>> AllParts((ShardPart(Path("1"), {"command": "fit"}, (), {}),)).command
    'fit'
    """

    parts: tuple[ShardPart, ...]

    @property
    def command(self) -> str:
        """What made them, "fit" or "score"."""
        return str(self.parts[0].head["command"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was asked."""
        found: Mapping[str, Any] = self.parts[0].head["asked"]
        return found

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """Of all shards, in the order in which they were listed."""
        of = len(self.parts)
        return tuple(
            self.parts[place % of].clips[place // of]
            for place in range(int(self.parts[0].head["clips"]))
        )

    def executor(self, workers: int) -> Gathered:
        """What gives all that the shards kept."""
        told = [one for part in self.parts for one in part.told]
        return Gathered(_Chained([part.pieces for part in self.parts]), told, workers)


class _Chained(Mapping[bytes, bytes]):
    """Several mappings as one; of each name the first has it."""

    def __init__(self, parts: Sequence[Mapping[bytes, bytes]]) -> None:
        self._home = {name: part for part in parts for name in part}

    def __getitem__(self, name: bytes) -> bytes:
        return self._home[name][name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._home)

    def __len__(self) -> int:
        return len(self._home)


def gather(paths: Sequence[Path]) -> AllParts:
    """Read all parts of a command.

    Args:
        paths: in any order.

    Raises:
        DatasetError: none, one that is missing or there twice, or of different data or settings.
        FormatError: what is no part, damaged, or of another version.
    """
    if not paths:
        raise DatasetError("no parts; name those of all shards")
    found: dict[int, ShardPart] = {}
    first: ShardPart | None = None
    for path in paths:
        part = read_part(path)
        first = first or part
        _check_alike(first, part)
        number = part.shard.number
        if number in found:
            raise DatasetError(
                f"{path}: shard {part.shard}, as {found[number].path} is; name each shard once"
            )
        found[number] = part
    of = found[min(found)].shard.of
    if missing := [f"{number}/{of}" for number in range(1, of + 1) if number not in found]:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise DatasetError(
            f"{len(missing)} of {of} shards missing: {', '.join(missing[:SHOWN])}{more}; run them, "
            "or name their parts too"
        )
    whole = AllParts(tuple(found[number] for number in sorted(found)))
    if digest_of_clips(whole.clips) != whole.parts[0].head["digest"]:
        raise FormatError(f"{paths[0]}: its clips are not those of its list; run the shards again")
    return whole


def _check_alike(first: ShardPart, part: ShardPart) -> None:
    one, other = first.head, part.head
    if other["nearfar"] != __version__:
        raise FormatError(
            f"{part.path}: written by nearfar {other['nearfar']}, this is {__version__}; run its "
            "shard again"
        )
    for what, name in (
        ("the command", "command"), ("the number of clips", "clips"),
        ("the list of clips", "digest"),
    ):  # fmt: skip
        _check_same(first, part, what, one[name], other[name], shown=name != "digest")
    _check_same(first, part, "the number of shards", first.shard.of, part.shard.of)
    for name in sorted({*one["asked"], *other["asked"]}):
        _check_same(first, part, *_difference(name, one["asked"], other["asked"]))


def _difference(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Any, ...]:
    return called(name), one.get(name), other.get(name)


def called(name: str) -> str:
    """What was asked, as a message names it.

    >>> called("skip_bad"), called("sha256")
    ('skip bad', 'detector')
    """
    return _CALLED.get(name, name.replace("_", " "))


def _check_same(
    first: ShardPart, part: ShardPart, what: str, one: Any, other: Any, shown: bool = True
) -> None:
    if one == other:
        return
    # Of a whole system the values would be the whole message.
    values = f": {_said(other)} and {_said(one)}"
    if not shown or len(values) > LONGEST_VALUES:
        values = ""
    raise DatasetError(
        f"{part.path} and {first.path}: not of one run, {what} differs{values}; run their shards "
        "with the same data and settings"
    )


def _said(value: Any) -> Any:
    return "nothing" if value is None else value
