"""The sound of clips beside their history, as much of it as there is room for."""

from __future__ import annotations

import io
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import first_line, visible
from nearfar.files import HALF, sweep
from nearfar.service.observation import Observation

Policy = Literal["alarms", "all", "none"]
Audio = tuple[NDArray[np.float32], int]  # (2, samples) near first, and Hz


def audio_folder(history: Path) -> Path:
    """Where the sound of a history's clips lies.

    >>> audio_folder(Path("plant.db")).name
    'plant.db-audio'
    """
    return history.with_name(history.name + "-audio")


class KeptAudio:
    """A folder of recordings named by the digest of their sound; never larger than a limit.

    A full disk is a trouble and no error: the row is kept, its sound is not.

    >>> KeptAudio(Path("plant.db-audio"), "none", most=0).trouble
    ''
    """

    def __init__(self, folder: Path, policy: Policy, most: int) -> None:
        self.folder, self.policy, self.most = folder, policy, most
        self.trouble = ""  # the last one, a line; "" since something was kept
        self._sizes: OrderedDict[str, int] | None = None  # name → bytes, oldest first

    def take(self, observation: Observation, source: Path | Audio, alarmed: bool) -> None:
        """Keep the sound of a clip if the policy says so. Never raises.

        Args:
            observation: of the clip.
            source: its file, which is copied as it is, or its sound and sample rate, as of a
                stream or of a part of an hour; that becomes FLAC of 24 bits.
            alarmed: did an alarm rise with it, or stand?
        """
        if self.policy == "none" or (self.policy == "alarms" and not alarmed):
            return
        try:
            self._keep(observation.digest, source)
            self.trouble = ""
        except (OSError, ValueError, RuntimeError) as error:  # soundfile's are RuntimeErrors
            reason = getattr(error, "strerror", None) or first_line(error)
            self.trouble = (
                f"{visible(str(self.folder))}: the sound of {visible(observation.name)} is not "
                f"kept ({reason}); the row is"
            )

    def path(self, digest: str) -> Path | None:
        """The file with this sound; None if it is not kept."""
        if not digest.isalnum():  # nobody's pattern, and no way out of the folder
            return None
        return next(iter(sorted(self.folder.glob(f"{digest}.*"))), None)

    def forget(self, digests: Sequence[str]) -> None:
        """Remove the sound of clips whose rows were pruned. Never raises."""
        with suppress(OSError):
            gone = set(digests)
            for name in [n for n in self._listed() if n.partition(".")[0] in gone]:
                self._remove(name)

    def _keep(self, digest: str, source: Path | Audio) -> None:
        suffix = source.suffix.lower() if isinstance(source, Path) else ".flac"
        name = f"{digest}{suffix if suffix[1:].isalnum() else '.audio'}"
        sizes = self._listed()
        if name in sizes:
            return
        # Of a name that is swept when it is left behind, see files.sweep.
        part = self.folder / f".{digest[:40]}.{token_hex(4)}{HALF}"
        try:
            if isinstance(source, Path):
                self._make_room(source.stat().st_size)
                shutil.copyfile(source, part)
            else:
                _write_flac(part, *source)
            size = part.stat().st_size
            self._make_room(size)
            part.replace(self.folder / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sizes[name] = size

    def _make_room(self, size: int) -> None:
        """Remove the oldest until there is room.

        Raises:
            ValueError: there never will be.
        """
        if size > self.most:
            raise ValueError(f"it has {size:,} bytes, of {self.most:,} for all")
        sizes = self._listed()
        total = sum(sizes.values())
        while sizes and total + size > self.most:
            total -= self._remove(next(iter(sizes)))

    def _remove(self, name: str) -> int:
        sizes = self._listed()
        (self.folder / name).unlink(missing_ok=True)  # somebody may have tidied up
        return sizes.pop(name)

    def _listed(self) -> OrderedDict[str, int]:
        """What is there; listed once, for this process alone writes there."""
        if self._sizes is None or not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)  # halves of a process that was killed
            found = []
            for path in self.folder.iterdir():
                with suppress(OSError):
                    if path.is_file() and not path.name.startswith("."):
                        seen = path.stat()
                        found.append((seen.st_mtime_ns, path.name, seen.st_size))
            self._sizes = OrderedDict((name, size) for _, name, size in sorted(found))
        return self._sizes


def _write_flac(path: Path, audio: NDArray[np.float32], rate: int) -> None:
    import soundfile

    # By way of memory: of a full disk the library makes an assertion that failed.
    made = io.BytesIO()
    soundfile.write(made, audio.T, rate, format="FLAC", subtype="PCM_24")
    path.write_bytes(made.getbuffer())
