"""A folder of detectors, opened as one: of a fleet each machine may have a folder of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from nearfar.detector.folder.disk import BANK, is_ours
from nearfar.detector.folder.index import INDEX, Content, check_target, heading, index_of, read
from nearfar.detector.folder.late import LateSections
from nearfar.detector.folder.previous import PREVIOUS
from nearfar.detector.section import Section
from nearfar.errors import FormatError, SettingError, StorageError, visible
from nearfar.files import sha256, storage_errors
from nearfar.text import named

Keys = tuple[str, str]  # machine, section
_ODD = re.compile(r"[^\w.()+=, -]|[\ud800-\udfff]")  # what some disk does not take in a name
_LONGEST = 80  # characters of a folder's name; its end tells machines of one plant apart


class FleetSections(LateSections):
    """Sections of many detectors, each read from its own folder.

    >>> sections = FleetSections(Path("plant"), {("fan", "00"): lambda: print("read")})
    >>> sections.folder.name, len(sections)
    ('plant', 1)
    """

    def __init__(
        self, folder: Path, readers: Mapping[Keys, Callable[[], Section]], most: int | None = None
    ) -> None:
        """As `LateSections`; `folder` is the one that all of them are in."""
        super().__init__(readers, most)
        self.folder = folder


def detectors_within(folder: Path) -> list[Path]:
    """Detectors in a folder that is none itself; hidden ones and what a fit has replaced aside.

    One that has lost its index is among them, to be refused where it is read.
    """
    try:
        if not folder.is_dir() or (folder / INDEX).exists():
            return []
    except OSError:  # a name that no disk takes; who reads it says so
        return []
    with storage_errors(folder):
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
        return [
            path for path in inside
            if not path.name.startswith(".") and not path.name.endswith(PREVIOUS)
            and ((path / INDEX).exists() or any(path.glob(f"{BANK}*")))
        ]  # fmt: skip


def read_any(
    folder: Path,
    types: Sequence[type] = (),
    weights: Sequence[str] = (),
    *,
    late: bool = False,
    most: int | None = None,
) -> Content:
    """Read a detector, or all detectors of a folder as one.

    Args and errors are those of `index.read`; and

    Raises:
        FormatError: detectors that do not judge alike, or a machine that two of them know.
    """
    folders = detectors_within(folder)
    if not folders:
        return read(folder, types, weights, late=late, most=most)
    first, readers, owners = None, dict[Keys, Callable[[], Section]](), dict[str, Path]()
    licences: dict[str, None] = {}
    for place in folders:
        content = read(place, types, weights, late=True)
        first = content if first is None else first
        _check_alike(folders[0], first, place, content)
        licences[content.data_license] = None
        for key, reader in content.sections.readers.items():  # type: ignore[attr-defined]
            if owners.setdefault(key[0], place) != place:
                raise FormatError(
                    f"{place}: is of {key[0]}, as {owners[key[0]]} is; move one of them elsewhere"
                )
            readers[key] = reader
    sections = FleetSections(folder, dict(sorted(readers.items())), most)
    if not late:
        for key in sections:  # read and checked now
            sections[key]
    licence = next(iter(licences)) if len(licences) == 1 else ""
    # What each has learnt is told in its own folder: it is about that detector's state.
    return _as_one(first, sections, licence)


def _as_one(first: Content | None, sections: FleetSections, licence: str) -> Content:
    if first is None:
        raise FormatError(f"{sections.folder}: no detectors")
    return Content(
        first.system, sections, first.order, first.false_alarm_rate, first.origins,
        first.threshold_by_domain, licence, (), first.exported,
    )  # fmt: skip


def _check_alike(one: Path, first: Content, other: Path, content: Content) -> None:
    """Refuse a detector that judges otherwise than the first.

    Raises:
        FormatError: it names what differs.
    """
    differs = {
        # As they were written: each may have a copy of the weights of its own.
        "system": first.system != content.system
        and index_of(one)["system"] != index_of(other)["system"],
        "channel order": first.order != content.order,
        "false-alarm rate": first.false_alarm_rate != content.false_alarm_rate,
        "thresholds by domain": first.threshold_by_domain != content.threshold_by_domain,
        "embedder": [(o.fingerprint, o.dim) for o in first.origins]
        != [(o.fingerprint, o.dim) for o in content.origins],
        "precision": (first.exported and first.exported.precision)
        != (content.exported and content.exported.precision),
    }
    if found := [what for what, is_other in differs.items() if is_other]:
        raise FormatError(
            f"{other}: not as {one.name} beside it ({found[0]}), so they cannot be opened as one; "
            "name that folder by itself"
        )


def check_single(detector: Path | Mapping[Keys, Section]) -> None:
    """Refuse a folder of detectors where one of them must be meant.

    Args:
        detector: a folder, or the sections of what was opened.

    Raises:
        SettingError: it is such a folder.
    """
    if isinstance(detector, FleetSections):
        detector = detector.folder
    inside = detectors_within(detector) if isinstance(detector, Path) else []
    if inside:
        raise SettingError(
            f"{detector}: is a folder of detectors; name the machine's own, as {inside[0]}"
        )


def digest_of(folder: Path) -> str:
    """The sha256 of a detector's index; of a folder of detectors, of all of theirs."""
    inside = detectors_within(folder)
    if not inside:
        return sha256(folder / INDEX)
    text = "\n".join(f"{path.name} {sha256(path / INDEX)}" for path in inside)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def folders_for(machines: Iterable[str], folder: Path) -> dict[str, Path]:
    """Where the detector of each machine goes, under a name that any disk takes.

    Raises:
        StorageError: two machines would share a folder.

    >>> [path.name for path in folders_for(["fan", "pump 7/b"], Path("plant")).values()]
    ['fan', 'pump 7_b']
    """
    found: dict[str, Path] = {}
    owners: dict[str, str] = {}
    for machine in machines:
        name = _ODD.sub("_", machine).strip(" .")[-_LONGEST:].strip(" .") or "machine"
        owner = owners.setdefault(name.casefold(), machine)  # one folder on some disks
        if owner != machine:
            raise StorageError(
                f"{visible(owner)} and {visible(machine)}: both would lie in {folder / name}; fit "
                "one of them elsewhere"
            )
        found[machine] = folder / name
    return found


def check_fleet(folder: Path) -> bool:
    """Refuse a place that no detectors of machines can be written to, before any work is done.

    Returns:
        False: no detector lies there itself, which would be replaced.

    Raises:
        StorageError: a file, a detector, a folder with other things than detectors in it, or one
            within a detector.
    """
    check_target(folder / "machine")  # neither it nor anything above it is a detector
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise StorageError(f"{folder}: is a file; choose another name for the detectors")
    with storage_errors(folder):
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        strange = [path.name for path in inside if not _may_stay(path)]
    if strange:
        raise StorageError(
            f"{folder}: has other things than detectors in it ({named(strange)}); choose a new "
            "folder"
        )
    return False


def _may_stay(path: Path) -> bool:
    """A detector, what a writer that was killed has left of one, or an empty folder."""
    return path.is_dir() and (
        (path / INDEX).is_file() or all(is_ours(p, INDEX) for p in path.iterdir())
    )


def check_owners(folder: Path, places: Mapping[str, Path]) -> None:
    """Refuse a machine that a detector of another folder knows: together they could not be opened.

    Args:
        folder: of detectors.
        places: machine → where its detector will lie.

    Raises:
        StorageError: there is one.
    """
    for path in detectors_within(folder):
        try:
            known = dict.fromkeys(machine for machine, _ in heading(path).counts)
        except FormatError:  # told where it is replaced, or read
            continue
        for machine in known:
            if machine in places and places[machine] != path:
                raise StorageError(
                    f"{path}: is a detector of {machine}, which would lie in {places[machine]} "
                    "too; move it elsewhere"
                )
