"""The option --shard of fit and score, and what nearfar merge gives them to go on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import DATA, OUTPUT
from nearfar.errors import AudioError, FormatError, SettingError, visible
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.clips import Clips
    from nearfar.embedding.gathering import AllParts
    from nearfar.runtime.executor import Executor
    from nearfar.runtime.shards import Shard

# A text, so that a number out of range is refused with the ones there are.
Sharded = Annotated[
    str | None,
    typer.Option(
        "--shard", rich_help_panel=DATA,
        help="Hear only this share of the clips, as 3/16, and write a part; nearfar merge takes "
        "the parts of all.",
    ),
]  # fmt: skip
PartFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", rich_help_panel=OUTPUT, help="File for the part of --shard."),
]


@dataclass(frozen=True)
class ShardWork:
    """How a command does its work: all of it, a share that is put off to a merge, or the merge.

    >>> ShardWork().shard is None, ShardWork().clips(lambda: ["a.wav"])
    (True, ['a.wav'])
    """

    shard: Shard | None = None
    output: Path | None = None  # for the part
    merged: AllParts | None = None
    types: Sequence[type] = ()  # of a merged system's own parts

    def executor(self, workers: int) -> Executor | None:
        """What does the jobs in place of an engine, if anything does."""
        if self.merged is not None:
            return self.merged.executor(workers)
        if self.shard is None:
            return None
        from nearfar.runtime.shards import OneShard

        return OneShard(self.shard, workers)

    def clips(self, listed: Callable[[], Clips]) -> Clips:
        """The clips that are heard; a merge has them from its parts, and looks for none."""
        if self.merged is None:
            return listed()
        from nearfar.clips import Clips

        return Clips(self.merged.clips)

    def system(self, named: Callable[[], Any]) -> Any:
        """The recipe; a merge has that of its parts, too.

        Raises:
            FormatError: a part of it that is not ours.
        """
        if self.merged is None:
            return named()
        from nearfar.parts.data import from_data

        return from_data(self.merged.settings["system"], self.types)

    def replaces(self, check: Callable[[Path], bool], output: Path) -> bool:
        """Is there a detector that would be replaced? There is none where a part goes."""
        if self.merged is not None:
            _refuse_inputs(output, [part.path for part in self.merged.parts])
        return self.shard is None and check(output)

    @contextmanager
    def kept(
        self, command: str, clips: Clips, asked: Callable[[], Mapping[str, Any]]
    ) -> Iterator[None]:
        """Within it clips are heard; of a shard what they gave is written, and the command ends.

        Args:
            command: "fit" or "score".
            clips: of all shards.
            asked: what changes the result; of parts to be merged it must be the same.

        Raises:
            FormatError: a merge of what is not as it was.
        """
        if self.merged is not None:
            _check_as_it_was(self.merged, _plain(asked()))
            with _told_of_recordings():
                yield
            return
        if self.shard is None or self.output is None:
            yield
            return
        from nearfar.embedding.part import Question, write_part
        from nearfar.runtime.shards import Deferred

        said = Question(command, _plain(asked()), clips)
        try:
            yield
        except Deferred as end:
            write_part(self.output, self.shard, said, end)
        own = len(clips[self.shard.mine])
        say(f"shard {self.shard}: {own:,} of {counted(len(clips), 'clip')} heard")
        ledger.files.append(visible(f"{self.output}, a part for nearfar merge"))
        raise typer.Exit

    def refuse(self, **given: Any) -> None:
        """Refuse options of a result that a shard has not.

        Raises:
            SettingError: one that is given.
        """
        for name, value in given.items() if self.shard is not None else ():
            if value:
                raise SettingError(
                    f"--{name.replace('_', '-')} does not go with --shard, which has no result "
                    "yet; say it where the parts are merged"
                )


def work_of(
    shard: str | ShardWork | None,
    output: Path | None,
    inputs: Iterable[Path | str],
    engine: str,
    replace: bool,
) -> ShardWork:
    """How a command is to do its work.

    Args:
        shard: as --shard has it; or what a merge goes on with.
        output: where the part goes, or the detector.
        inputs: what the command reads.
        engine: as --engine has it.
        replace: write over what is there.

    Raises:
        SettingError: no such shard, nowhere to write its part, or --engine besides.
        StorageError: a place that no part can be written to.
    """
    if isinstance(shard, ShardWork):
        return shard
    if shard is None:
        return ShardWork()
    from nearfar.embedding.part import check_place
    from nearfar.runtime.shards import Shard

    number = Shard.of_text(shard)
    if engine != "local":
        raise SettingError("--shard and --engine exclude each other; give one of them")
    if output is None:
        raise SettingError(f"--shard {number} needs -o PART, the file for what its clips gave")
    check_place(output, number, [place for place in inputs if place], replace)
    return ShardWork(number, output)


def check_output_of(shard: str | ShardWork | None, output: Path | None) -> None:
    """Refuse -o where there is no part to write.

    Raises:
        SettingError: it is given without --shard.
    """
    if shard is None and output is not None:
        raise SettingError(f"-o {output}: is for the part of --shard; a table is --csv FILE.csv")


def all_cores(workers: int | None) -> int:
    """How many processes a command has that was told none."""
    from nearfar.runtime.runtime import MOST_WORKERS

    return workers or min(os.cpu_count() or 1, MOST_WORKERS)


@contextmanager
def _told_of_recordings() -> Iterator[None]:
    """What a merge reads again may not be where it is run."""
    try:
        yield
    except AudioError as error:
        raise AudioError(
            f"{error}; residual rows are made of the recordings themselves: merge where the shards "
            "ran, with the recordings in place"
        ) from None


def _plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked as JSON gives it back."""
    import json

    found: dict[str, Any] = json.loads(json.dumps(asked))
    return found


def _check_as_it_was(merged: AllParts, asked: Mapping[str, Any]) -> None:
    from nearfar.embedding.gathering import called

    for name in sorted({*asked, *merged.settings}):
        if asked.get(name) != merged.settings.get(name):
            raise FormatError(
                f"{merged.parts[0].path}: the {called(name)} is not what it was when the shards "
                "ran; run them again"
            )


def _refuse_inputs(output: Path, inputs: Sequence[Path]) -> None:
    from nearfar.errors import StorageError

    for path in inputs:
        if output.resolve() == path.resolve():
            raise StorageError(f"{output}: is an input of this command; choose another place")
        if output.resolve() in path.resolve().parents:
            raise StorageError(f"{output}: {path} is an input and lies there; choose another place")
