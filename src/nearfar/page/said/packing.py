"""Labelled clips as one zip: a DCASE data set, made on disk and bounded."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from nearfar.clips.clip import Clip
from nearfar.clips.export.dcase import dcase_places
from nearfar.errors import DatasetError
from nearfar.files import storage_errors
from nearfar.page.desk import Desk
from nearfar.page.refusal import Refusal
from nearfar.page.said.answers import labelled_sound
from nearfar.service.labelled import labelled_clips
from nearfar.text import named

MOST = 2_000_000_000  # bytes of one zip
_HEAD = "Clips that people labelled, as a DCASE data set: MACHINE/test/section_SS_…."
_EVALUATE = "nearfar evaluate FOLDER --detector DETECTOR"


def packed(desk: Desk) -> Path:
    """The labelled clips of the history as a zip in a file that the caller removes.

    Args:
        desk: of the page.

    Raises:
        Refusal: there are none, or too many for a zip.
        StorageError: there is no room for it.
    """
    folder = labelled_sound(desk).folder
    found = labelled_clips(desk.store, folder)
    if not found.clips:
        why = "; ".join(found.told)
        raise Refusal(404, "no labelled clip to evaluate on" + (f": {why}" if why else
                      "; call some normal or a fault first"))  # fmt: skip
    try:
        places = list(dcase_places(found.clips))
    except DatasetError as error:
        raise Refusal(409, str(error)) from None
    size = sum(clip.path.stat().st_size for clip in found.clips)
    if size > MOST:
        raise Refusal(413, f"{size:,} bytes of labelled clips, of {MOST:,} that a zip may have; "
                      "write them with nearfar history HISTORY --labelled FOLDER")  # fmt: skip
    with storage_errors(folder):
        handle, name = tempfile.mkstemp(prefix="nearfar-labelled-", suffix=".zip")
        try:
            # Sound is hardly made smaller, so it is stored as it is.
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as made:
                for place, clip in places:
                    made.write(clip.path, str(place))
                made.writestr("README.txt", "\n".join([_HEAD, _how(found.clips), *found.told, ""]))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return Path(name)


def _how(clips: Sequence[Clip]) -> str:
    """Which command evaluates on them: its usual rule asks for normal clips of both domains."""
    found: dict[tuple[str, str | None], set[str | None]] = defaultdict(set)
    for clip in clips:
        found[clip.machine, clip.section].add("" if clip.label == "anomaly" else clip.domain)
    # An area under a curve is of both kinds.
    lacks = sorted({key[0] for key, of in found.items() if "" not in of or of == {""}})
    if lacks:
        return (f"To evaluate, {named(lacks)} needs clips called a fault, and others called normal "
                "without being learnt.")  # fmt: skip
    usual = all({"source", "target"} <= of for of in found.values())
    rule = "" if usual else " --rule 2020 (other rules need normal clips of both domains)"
    return f"Evaluate: {_EVALUATE}{rule}."
