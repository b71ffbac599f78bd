"""The option --parquet of commands that give verdicts: asked for first, written last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.lines import ledger
from nearfar.cli.options import OUTPUT, STDOUT
from nearfar.errors import SettingError, visible
from nearfar.files import check_output

if TYPE_CHECKING:
    from nearfar.scores.verdict import Verdict

# No dash for standard output: a Parquet file is no text.
Parquet = Annotated[
    Path | None,
    typer.Option(
        "--parquet", metavar="PATH", rich_help_panel=OUTPUT,
        help="Write the columns of --csv, typed, as a Parquet file (needs pyarrow).",
    ),
]  # fmt: skip


def check_parquet(path: Path | None, inputs: Iterable[Path | str | None], *, replace: bool) -> None:
    """Refuse before clips are heard what could not be written.

    Raises:
        NearfarError: pyarrow is not installed.
        SettingError: standard output.
        StorageError: as `check_output`.
    """
    if path is None:
        return
    if path == STDOUT:
        raise SettingError("--parquet -: a Parquet file is no text; give it a file")
    from nearfar.scores.parquet import check_installed, is_score_parquet

    check_output(path, endings=(".parquet",), inputs=inputs, ours=is_score_parquet, replace=replace)
    check_installed()


def write_parquet(
    path: Path | None,
    verdicts: Sequence[Verdict],
    detector: Path,
    lasting: Sequence[bool] | None = None,
) -> None:
    """Write what --parquet asks for, whole or not at all; nothing where it is not asked for."""
    if path is None:
        return
    from nearfar.scores import parquet
    from nearfar.scores.verdict import Scores

    content = Scores(verdicts).to_parquet(detector=str(detector), lasting=lasting)
    parquet.write_parquet(path, content)
    ledger.files.append(visible(str(path)))
