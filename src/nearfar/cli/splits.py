"""What `score` takes for an evaluation set: which clips of a data set, and the official files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import ledger
from nearfar.cli.options import DATA, OUTPUT
from nearfar.errors import SettingError, visible, warn
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.clips import Clips
    from nearfar.scores.verdict import Scores


class Split(StrEnum):
    """Which clips of a data set.

    >>> Split("all") is Split.all
    True
    """

    test = "test"
    train = "train"
    all = "all"


# None: what a data set is for. Of one with both, training clips say nothing of new ones.
SplitAsked = Annotated[
    Split | None,
    typer.Option(
        "--split",
        rich_help_panel=DATA,
        help="Of a data set: its test clips, its training clips, or all. By default the test "
        "clips where it has both.",
    ),
]
OfficialFolder = Annotated[
    Path | None,
    typer.Option(
        "--official",
        metavar="DIR",
        rich_help_panel=OUTPUT,
        help="Write anomaly_score_….csv and decision_result_….csv, as a challenge takes them, "
        "into a new folder.",
    ),
]


def check_official(
    folder: Path | None, split: Split | None, *, skip_bad: bool, replace: bool
) -> None:
    """Refuse what does not go with --official, before anything is heard.

    Raises:
        SettingError: training clips, or clips to be left out.
        StorageError: the folder cannot be written, or is somebody's.
    """
    if folder is None:
        return
    if split not in (None, Split.test):
        raise SettingError(
            f"--official writes files of test clips; leave out --split {split.value}"
        )  # fmt: skip
    if skip_bad:  # what is left out would be a row that the evaluator misses
        raise SettingError("--official needs a score for every test clip; leave out --skip-bad")
    # Late: a command line that is wrong is told without NumPy.
    from nearfar.scores.official_files import check_folder_for

    check_folder_for(folder, replace=replace)


def opened_split(split: Split | None, official: Path | None) -> str | None:
    """The split that is listed; None for all that is there."""
    if official is not None:  # of a training set alone there is nothing to be handed in
        return "test"
    return None if split in (None, Split.all) else split.value


def to_judge(clips: Clips, split: Split | None) -> Clips:
    """The clips to score: of a data set with both splits the test clips, unless it was said.

    What is left out is said: nobody shall look for its rows.
    """
    train = clips.select(split="train")
    if split is not None or not train or not clips.select(split="test"):
        return clips
    warn(
        f"{counted(len(train), 'training clip')} of the data set not scored, for they say nothing "
        "of new ones; --split all takes them too"
    )
    return type(clips)(clip for clip in clips if clip.split != "train")


def check_judged(folder: Path | None, scores: Scores) -> None:
    """Refuse clips that were not judged where --official asks for all, before anything is written.

    Raises:
        DatasetError: these clips, a line each in its `faults`.
    """
    if folder is not None:
        from nearfar.scores.official_files import official_table

        official_table(scores)


def write_official_files(folder: Path | None, scores: Scores, *, replace: bool) -> None:
    """Write what --official asks for, all of it or nothing; named at the command's end."""
    if folder is None:
        return
    from nearfar.scores.official_files import official_table, write_official

    written = write_official(folder, official_table(scores), replace=replace)
    ledger.files.append(visible(f"{folder} ({counted(len(written), 'official file')})"))
