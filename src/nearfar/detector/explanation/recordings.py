"""The recording of a normal clip: a detector knows its name and its sound's hash, not its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips
from nearfar.clips.folders import single_recording
from nearfar.detector.section import TrainingClip
from nearfar.errors import DatasetError, NearfarError, SettingError
from nearfar.sound.audio import Audio, ChannelOrder, digest_of

# Where normal clips are: they, or a folder or a list of them.
Normal = Clips | Sequence[Clip] | str | os.PathLike[str]

ABOVE = 4  # folders above the clip in which a name of three parts is looked for
ANY = "any"  # a machine's name, where nobody asks for it
MOST = 20  # recordings of one name that are read to compare their sound
# As `Clip.name` ends for a part, hh:mm:ss or less; what looks otherwise belongs to a file's name.
_CLOCK = r"(?:\d+:){0,2}\d+(?:\.\d+)?"
_SPAN = re.compile(rf"(.*)@({_CLOCK})-({_CLOCK})?", re.DOTALL | re.ASCII)


@dataclass(frozen=True, eq=False)
class Found:
    """The recording of a normal clip, and its sound.

    >>> import numpy as np
    >>> Found(Clip(Path("pump/train/17.wav")), np.zeros((2, 16_000), np.float32)).audio.shape
    (2, 16000)
    """

    clip: Clip
    audio: Audio  # (1 or 2, samples)


def normals_of(given: Normal | None) -> Sequence[Clip]:
    """The clips that a person names as the normal ones: clips, or where they lie.

    Raises:
        DatasetError: a folder without recordings, or none.
        SettingError: neither a place nor clips.
    """
    if given is None:
        return ()
    if isinstance(given, str | os.PathLike):
        try:
            return Clips.open(given)
        except DatasetError:  # folders in folders, and nobody says whose they are
            # Which is of no matter here: each is found by its name and its sound.
            return Clips.open(given, machine=ANY)
    several: Any = given
    if not isinstance(several, Sequence):
        raise SettingError(f"normals is {given!r}"[:200] + "; give a folder, or Clips of it")
    return Clips(several)


def find(
    wanted: TrainingClip, asked: Clip, given: Sequence[Clip], order: ChannelOrder
) -> Found | None:
    """The recording of a normal clip, if there is one with its sound, bit by bit.

    Args:
        wanted: as the detector knows it.
        asked: the clip that is explained: normal ones may lie beside it.
        given: where a person says that they are; looked at first.
        order: which channel is near.

    Returns:
        None if no recording of its name has its sound.
    """
    for n, clip in enumerate(_candidates(wanted.name, asked, given)):
        if n == MOST:
            break
        try:
            audio = clip.read(order)
        except NearfarError:  # not this one, whatever is wrong with it
            continue
        # A system of one channel may have been fitted beside one of two.
        if wanted.digest in {digest_of(audio[:k]) for k in range(1, len(audio) + 1)}:
            return Found(clip, audio)
    return None


def _candidates(name: str, asked: Clip, given: Sequence[Clip]) -> Iterator[Clip]:
    """Recordings of that name, the likeliest first."""
    base, start, stop = span_of(name)
    part = {"start": start, "stop": stop}
    file = base.rsplit("/", 1)[-1]
    same = [clip for clip in given if clip.path.name == file]
    # Of all machines of a data set the files are called alike.
    for clip in sorted(same, key=lambda clip: replace(clip, start=0.0, stop=None).name != base):
        yield replace(clip, **part)  # type: ignore[arg-type]
    for path in _places(base, file, asked.path):
        if os.path.isfile(path):
            near = single_recording(path)
            yield Clip(near.path, near.far, **part, channels=asked.channels)  # type: ignore[arg-type]


def _places(base: str, file: str, asked: Path) -> Iterator[Path]:
    """Where a file of that name may lie: in the same data set as the clip, or here."""
    folders = list(asked.absolute().parents)[: ABOVE + 1]
    for folder in folders:
        yield folder / base
    for folder in folders[:2]:  # in the folders of machines that were renamed since
        yield folder / "train" / file
        yield folder / file
    yield Path(base)


def span_of(name: str) -> tuple[str, float, float | None]:
    """A clip's name without its span, and the span in s: what `Clip.name` put together.

    >>> span_of("hall/long.wav@00:01:00-00:01:10.5"), span_of("a.wav")
    (('hall/long.wav', 60.0, 70.5), ('a.wav', 0.0, None))
    """
    found = _SPAN.fullmatch(name)
    if found is None:
        return name, 0.0, None
    base, start, stop = found.groups()
    return base, _seconds(start), _seconds(stop) if stop else None


def _seconds(clock: str) -> float:
    """hh:mm:ss, perhaps with decimals."""
    seconds = 0.0
    for number in clock.split(":"):
        seconds = 60 * seconds + float(number)
    return seconds
