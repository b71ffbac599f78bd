"""Which encoder weights lie here: in Hugging Face's cache, and where somebody says."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nearfar.doctor.computer import gigabytes
from nearfar.doctor.sign import Sign, asked
from nearfar.embedder.encoders import KINDS, kind_of_tensors
from nearfar.embedder.tensorfile import header
from nearfar.files import DETECTOR

TENSORS = "model.safetensors"
MOST = 200  # sets of weights in the hub's cache that are looked at: others have thousands
GROUP = "weights"


def encoders_found(places: Sequence[Path] = ()) -> Iterator[Sign]:
    """Weights of the encoders that nearfar knows; nothing is downloaded.

    Args:
        places: folders or files of weights, or detectors, which record where theirs were.
    """
    seen = 0
    for place in places:
        for sign in _in_place(place):
            seen += 1
            yield sign
    for folder, name in _in_cache(hub_cache()):
        # Of other people's models, which are no fault of anybody's, nothing is said.
        if (kind := _kind(folder / TENSORS)) is not None:
            seen += 1
            yield asked(GROUP, name, partial(_opened, folder, kind))
    if not seen:
        told = f"none in {hub_cache()}; s4, s5-dif and logmel need none"
        yield Sign(GROUP, "encoders", "note", told)


def hub_cache() -> Path:
    """Where Hugging Face's library keeps what it downloads, by its own variables."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "huggingface"
    )
    return Path(home).expanduser() / "hub"


def _in_cache(cache: Path) -> Iterator[tuple[Path, str]]:
    """Folders with tensors, each with the id that it is asked for by."""
    try:
        found = sorted(cache.glob(f"models--*/snapshots/*/{TENSORS}"))[:MOST]
    except OSError:
        return
    for file in found:
        owner = file.parents[2].name.removeprefix("models--").replace("--", "/")
        yield file.parent, owner


def _in_place(place: Path) -> Iterator[Sign]:
    if (place / DETECTOR).is_file():
        yield from _recorded(place)
        return
    if not place.exists():  # opening it would take its name for an id, and ask the hub
        yield Sign(GROUP, str(place), "broken", "no such file or folder")
        return
    file = place / TENSORS if place.is_dir() else place
    kind = _kind(file) or "eat"  # what is wrong with it, opening it says
    way = f"nearfar weights check {shlex.quote(str(place))}"
    yield asked(GROUP, str(place), partial(_opened, place, kind), way)


def _recorded(detector: Path) -> Iterator[Sign]:
    """Weights that a detector was fitted with, and whether they are where they were."""
    try:
        data = json.loads((detector / DETECTOR).read_text(encoding="utf-8"))
        told = {str(one["place"]) for one in data.get("embedders", ()) if one["place"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        yield Sign(GROUP, str(detector), "broken", f"its {DETECTOR} is damaged ({error})", "")
        return
    if not told:
        yield Sign(GROUP, str(detector), "ok", "a detector that needs no weights")
    for text in sorted(told):
        place = Path(text)
        # Where one lies that has copies of them, they need not be where they were.
        copies = any(detector.glob("weights-*"))
        if place.exists():
            yield from _in_place(place)
        elif place.is_absolute() and not copies:
            yield Sign(
                GROUP,
                str(detector),
                "broken",
                f"its weights were at {text}, and are gone",
                f"nearfar score {shlex.quote(str(detector))} DATA --weights PLACE",
            )
        else:
            where = "has a copy of its weights" if copies else f"takes {text} from the hub's cache"
            yield Sign(GROUP, str(detector), "ok", where)


def _kind(file: Path) -> str | None:
    """Which encoder a file is, by its tensors' names; None of another model's, or no such file."""
    try:
        return kind_of_tensors(header(file).tensors)
    except Exception:  # damaged, or of another format: whoever opens it says so
        return None


def _opened(place: Path, kind: str) -> str:
    """What whole weights are; none of the numbers is read."""
    opened = KINDS[kind].module("weights").open_weights(str(place))
    size = Path(opened.path).stat().st_size
    return f"{opened.architecture.name}, {gigabytes(size)}, {place}"
