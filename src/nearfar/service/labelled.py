"""The sound of clips that people called normal or a fault, kept for as long as they say so."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nearfar.clips.clip import Clip, parse_name
from nearfar.clips.export.written import put
from nearfar.files import HALF, atomic_file, storage_errors
from nearfar.sound import audio as sound
from nearfar.sound.audio import ChannelOrder
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.service.history.store import HistoryStore


@dataclass(frozen=True)
class LabelledSound:
    """A folder of recordings named by the digest of their sound; nothing is ever evicted.

    >>> LabelledSound(Path("plant.db-labelled")).path("../etc") is None
    True
    """

    folder: Path

    def path(self, digest: str) -> Path | None:
        """The file with this sound; None if it is not kept."""
        if not (digest.isascii() and digest.isalnum()):  # nobody's pattern, and no way out
            return None
        return next(iter(sorted(self.folder.glob(f"{digest}.*"))), None)

    def keep(self, digest: str, clip: Clip, order: ChannelOrder) -> bool:
        """Keep the sound of a clip, as it was heard: its file, or what is no whole file as WAV.

        Args:
            digest: of its sound.
            clip: whose.
            order: of the channels of its detector's files, in which the copy has them too.

        Returns:
            Was it not kept before?

        Raises:
            AudioError: it cannot be read.
            StorageError: it cannot be written; nothing is left half made.
        """
        if self.path(digest) is not None:
            return False
        suffix, anew = clip.path.suffix.lower(), _is_part(clip, order)
        name = f"{digest}{'.wav' if anew or not suffix[1:].isalnum() else suffix}"
        # What is written anew has its first channel near; who reads it has one order for all.
        asked = _turned(clip) if anew and order in ("far-near", (2, 1)) else clip
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".", suffix=HALF, dir=self.folder) as half:
                made = Path(half, name)
                put(asked, made, order, link=False, rewritten=anew)
                with made.open("rb") as file, atomic_file(self.folder / name) as there:
                    shutil.copyfileobj(file, there)
        return True

    def remove(self, digest: str) -> None:
        """Keep it no more; gone already is well.

        Raises:
            StorageError: it cannot be removed.
        """
        path = self.path(digest)
        if path is not None:
            with storage_errors(path):
                path.unlink(missing_ok=True)


def _is_part(clip: Clip, order: ChannelOrder) -> bool:
    """Is it no whole file that reads as it was heard, by the order of channels alone?"""
    if clip != replace(clip, start=0.0, stop=None, far=None, salvage=False):
        return True
    if clip.channels is None or clip.channels == order:
        return False
    usual = {"near-far": (1, 2), "far-near": (2, 1)}
    own = isinstance(order, str) and clip.channels == usual[order]
    return not own or sound.channels(clip.path) > 2


def _turned(clip: Clip) -> Clip:
    """The same with near for far."""
    if clip.far is not None:
        return replace(clip, path=clip.far, far=clip.path, channels=None)
    near, far = clip.channels or (2, 1)
    return replace(clip, channels=(far, near)) if sound.channels(clip.path) > 1 else clip


@dataclass(frozen=True)
class KnownClip(Clip):
    """A clip that people know by another name than that of the file that has its sound.

    >>> KnownClip(Path("plant.db-audio/9f86.flac"), known_as="hall/pump/1.wav").name
    'hall/pump/1.wav'
    """

    known_as: str = ""

    @property
    def name(self) -> str:
        """As the history has it."""
        return self.known_as

    @property
    def file(self) -> str:
        """Its last part."""
        return self.known_as.rpartition("/")[2]


@dataclass(frozen=True)
class Labelled:
    """What people have labelled, as clips to be judged, and what was left out of it.

    >>> Labelled((), {"it was learnt": 2}).told
    ['left out 2 clips: it was learnt']
    """

    clips: tuple[Clip, ...]
    left_out: dict[str, int]  # why → how many

    @property
    def told(self) -> list[str]:
        """A line for each reason."""
        return [f"left out {counted(n, 'clip')}: {why}" for why, n in self.left_out.items()]


LEARNT = "the detector learnt them as normal, and what learnt a clip must not judge it"
GONE = "their sound is not kept any more"


def labelled_clips(
    store: HistoryStore, folder: Path, machine: str | None = None, section: str | None = None
) -> Labelled:
    """The clips of a history that people labelled, of which no detector has learnt any.

    Args:
        store: the history.
        folder: where the sound of such clips lies.
        machine, section: of these alone; None for all.
    """
    kept, clips = LabelledSound(folder), []
    left: dict[str, int] = {}
    for label in sorted(store.labels(machine, section), key=lambda one: (one.at, one.id)):
        path = kept.path(label.digest)
        why = LEARNT if label.learnt else GONE if path is None else ""
        if why or path is None:
            left[why] = left.get(why, 0) + 1
            continue
        said = parse_name(label.name.partition("@")[0])
        clips.append(
            Clip(
                path, machine=label.machine, section=label.section, split="test",
                domain=(said.domain if said else None) or "source",
                label="anomaly" if label.label == "fault" else "normal",
                attributes=said.attributes if said else "",
            )
        )  # fmt: skip
    return Labelled(tuple(clips), left)
