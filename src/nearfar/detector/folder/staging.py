"""Banks of a fit that is under way, written as they come: no fleet has to fit into memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nearfar.detector.folder.banks import bank_of, owner, read_section, section_data
from nearfar.detector.folder.disk import BANK
from nearfar.detector.folder.late import LateSections
from nearfar.detector.origin import Origin, origins
from nearfar.detector.section import Section
from nearfar.files import STALE, file_age, locked, storage_errors

if TYPE_CHECKING:
    from nearfar.system.system import AnySystem

MOST = 16 << 20  # bytes of banks that stay in memory: all of most fits, and no more of a fleet's
_HIDDEN = f".{BANK}"  # begins the name of such a folder
_LOCK = "lock"  # a file in it that its writer holds


class Staging:
    """A hidden folder within a detector's; it is made with its first file, and gone at the end.

    It lies there since a rename from it costs nothing, and no other disk has to have room. Nothing
    in it is of the detector that is there, nor locks anybody out.

    >>> with tempfile.TemporaryDirectory() as place, Staging(Path(place, "det")) as staging:
    ...     staging.write("bank-a", b"rows").name, staging.folder.exists()
    ('bank-a', True)
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is written yet.

        Args:
            folder: of the detector that there will be.
        """
        self.folder = folder
        self._place: Path | None = None
        self._handle: int | None = None
        self._made: list[Path] = []  # folders that were not there, the innermost first

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Remove all that nobody took, and the detector's folder if nothing came of it."""
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
        if self._handle is not None:
            os.close(self._handle)
        self._place = self._handle = None
        with suppress(OSError):  # what has something in it stays
            for folder in self._made:
                folder.rmdir()
        self._made = []

    def write(self, name: str, content: bytes) -> Path:
        """Write a file, on the disk before it is taken anywhere.

        Raises:
            StorageError: the folder cannot be written to.
        """
        with storage_errors(self.folder):
            place = self._begun() if self._place is None else self._place
            # No half-written state that anybody could see: the folder is hidden, and its writer's.
            with (place / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            (place / name).chmod(0o644)
        return place / name

    def _begun(self) -> Path:
        around = (self.folder, *self.folder.parents)
        self._made = [folder for folder in around if not folder.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_staged(self.folder)
        self._place = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=self.folder))
        self._handle = locked(self._place / _LOCK)
        return self._place


def sweep_staged(folder: Path, *, locks: bool = True) -> None:
    """Remove what fits left in a detector's folder that were killed; those under way go on.

    Args:
        folder: the detector's.
        locks: can files be locked here? Else it is by age.
    """
    with suppress(OSError):
        for place in folder.glob(f"{_HIDDEN}*"):
            if place.is_symlink() or not place.is_dir():
                continue
            handle = locked(place / _LOCK, make=False)
            # One without its lock is about to be begun, or was killed just then.
            old = file_age(place) > STALE and not (locks and (place / _LOCK).exists())
            if handle is not None or old:
                shutil.rmtree(place, ignore_errors=True)
            if handle is not None:
                os.close(handle)


@dataclass(frozen=True)
class MadeBank:
    """What the index says of a section, and its bank as a file of the detector.

    >>> MadeBank("bank-0a.safetensors", "0a", {"clip_seconds": 10.0}, b"").entry("fan", "00", {})
    {'machine': 'fan', 'section': '00', 'bank': 'bank-0a.safetensors', 'sha256': '0a', \
'clip_seconds': 10.0}
    """

    file: str
    digest: str  # sha256 of it, hexadecimal
    data: Mapping[str, Any]
    content: bytes | Path

    def entry(self, machine: str, section: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """The section in the index, with more that the index says of it."""
        head = {"machine": machine, "section": section, "bank": self.file, "sha256": self.digest}
        return {**head, **more, **self.data}


def made_bank(section: Section, whose: Mapping[str, Any]) -> MadeBank:
    """The bank of a section as bytes.

    Args:
        section: as it was fitted.
        whose: as `banks.owner` says.
    """
    bank = bank_of(section, whose)
    digest = hashlib.sha256(bank).hexdigest()
    # Named by what it holds: saved again it is the same file, changed it is another.
    return MadeBank(f"{BANK}{digest[:32]}.safetensors", digest, section_data(section), bank)


class StagedSections(LateSections):
    """Sections that were fitted, most of them as banks on the disk; read again when asked for.

    >>> from nearfar.system.presets import logmel
    >>> len(StagedSections(Staging(Path("det")), logmel()))
    0
    """

    def __init__(self, staging: Staging, system: AnySystem, most: int | None = None) -> None:
        """None yet.

        Args:
            staging: where the banks go; what is moved from there into the detector is found there.
            system: whose members they have.
            most: bytes that stay in memory; None: `MOST`.
        """
        super().__init__({}, MOST if most is None else most)
        self._staging, self._system = staging, system
        self._banks: dict[tuple[str, str], MadeBank] = {}
        self._known: tuple[Origin, ...] = ()

    def add(self, key: tuple[str, str], section: Section) -> None:
        """One that was fitted.

        Raises:
            StorageError: there is no room for its bank.
        """
        self._known = self._known or origins(self._system)
        made = made_bank(section, owner(*key, self._known))
        path = self._staging.write(made.file, bytes(made.content))
        self._banks[key] = MadeBank(made.file, made.digest, made.data, path)
        self._readers[key] = lambda: self._again(key)
        self._keep(key, section)

    def made(self, key: tuple[str, str], known: tuple[Origin, ...]) -> MadeBank | None:
        """Its bank as a file to be taken; None if that was taken, or is another embedder's."""
        bank = self._banks[key]
        path = bank.content
        return bank if known == self._known and isinstance(path, Path) and path.exists() else None

    def _again(self, key: tuple[str, str]) -> Section:
        bank = self._banks[key]
        staged = bank.content
        there = isinstance(staged, Path) and staged.exists()
        place = staged.parent if there and isinstance(staged, Path) else self._staging.folder
        return read_section(place, bank.entry(*key, {}), self._system, self._known)
