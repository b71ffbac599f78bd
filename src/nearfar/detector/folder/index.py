"""A detector as a folder: one JSON file and one safetensors bank per machine and section.

`detector.json` holds the recipe as data, thresholds, channel order and where everything came from;
it ends with its own hash and names every bank with the bank's hash. No pickle, ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.detector.edge.exported import KEY as EXPORTED
from nearfar.detector.edge.exported import ExportRecord, exported_in
from nearfar.detector.folder.banks import owner, read_section
from nearfar.detector.folder.disk import BANK, LOG, alone, check_folder, write_folder
from nearfar.detector.folder.formats import FORMAT, format_of, license_in
from nearfar.detector.folder.late import LateSections
from nearfar.detector.folder.lessons import KEY as LEARNT
from nearfar.detector.folder.lessons import clips_in, grown_data, lessons_in, read_grown
from nearfar.detector.folder.previous import has_whole_banks, keeping, previous_of, sweep
from nearfar.detector.folder.readme import card_beside
from nearfar.detector.folder.staging import StagedSections, made_bank, sweep_staged
from nearfar.detector.folder.weights import as_data, beside, copy_weights, drop_weights, located
from nearfar.detector.folder.weights import from_data as embedders_from_data
from nearfar.detector.learning.growth import Grown
from nearfar.detector.learning.lesson import Lesson, as_lines
from nearfar.detector.origin import Origin, origins
from nearfar.detector.section import Section
from nearfar.embedder.contract import weights_of
from nearfar.errors import FormatError, NearfarError, SettingError, StorageError, WeightsError
from nearfar.files import STALE, as_bytes, storage_errors
from nearfar.parts.data import from_data, to_data
from nearfar.parts.valid import check_rate
from nearfar.runtime.urls import url_of
from nearfar.system.system import Ensemble, System
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.sound.audio import ChannelOrder

INDEX = "detector.json"
RETRIES = 20  # times that a reader meets a writer before it gives up


@dataclass(frozen=True, eq=False)
class Content:
    """What the folder holds: everything a detector is made of.

    >>> from nearfar.system.presets import logmel
    >>> content = Content(logmel(), sections={}, order="near-far", false_alarm_rate=0.1)
    >>> content.system.embedder, content.origins
    (LogMel(n_mels=128, n_fft=1024, hop=512), ())
    """

    system: System | Ensemble
    sections: Mapping[tuple[str, str], Section]
    order: ChannelOrder
    false_alarm_rate: float
    origins: tuple[Origin, ...] = ()  # what the embedder of each member was
    threshold_by_domain: bool = False
    data_license: str = ""  # of the recordings, as somebody said; "" is not stated
    lessons: tuple[Lesson, ...] = ()  # what was learnt and forgotten since the fit
    exported: ExportRecord | None = None  # of which detector, if it is one for a small computer


@dataclass(frozen=True)
class Heading:
    """Whose a detector is, and what it was told that no recordings tell.

    >>> Heading({("fan", "00"): 12}, 0.1, "near-far", by_domain=False).counts
    {('fan', '00'): 12}
    """

    counts: Mapping[tuple[str, str], int]  # (machine, section) → clips that it was fitted on
    false_alarm_rate: float
    order: ChannelOrder
    by_domain: bool
    data_license: str = ""


def check_target(folder: Path) -> bool:
    """Refuse a place that no detector can be written to, before any work is done.

    Returns:
        Is there a detector already, which would be replaced?

    Raises:
        StorageError: a URL, a file, a folder with other things in it, or one within a detector.
    """
    url = url_of(folder)
    if url is not None:  # else it would be a folder here, called "s3:"
        raise StorageError(f"{url}: detectors are written to this machine; name a folder of it")
    for above in folder.resolve().parents:
        if (above / INDEX).is_file():  # what is removed or replaced there would take this along
            raise StorageError(f"{folder}: lies in the detector {above}; choose another folder")
    there = check_folder(folder, INDEX)
    if there:
        with storage_errors(folder):
            head = (folder / INDEX).read_bytes()
        # One that was cut short is told by the banks beside it.
        if b'"nearfar"' not in head and not any(folder.glob(f"{BANK}*")):
            raise StorageError(f"{folder}: its {INDEX} is not ours; choose a new folder")
    return there


def write(
    folder: Path,
    content: Content,
    thresholds: Mapping[tuple[str, str], float],
    *,
    with_weights: bool = False,
    previous: bool = False,
    card: str = "",
) -> Path | None:
    """Write a detector; the one that was there survives any failure.

    Args:
        folder: made if it is not there.
        content: what to write.
        thresholds: of each section, for people who read the file; drawn again when it is loaded.
        with_weights: put a copy of the encoders' weights into the folder.
        previous: keep the one that was there, if it is whole, beside the folder.
        card: what its README.md says, for people; "" for none.

    Returns:
        Where the one that was there is kept; None if it is not.

    Raises:
        StorageError: the folder cannot be written, or what was there cannot be kept.
        SettingError: a part has a value that is no plain data.
        WeightsError: weights to be copied are gone.
    """
    entries, banks = _entries(content, thresholds)
    if content.lessons:
        banks[LOG] = as_bytes(as_lines(content.lessons))  # before the index, see `lesson`
    text = _text(content, entries, folder)
    was_there = check_target(folder)
    with alone(folder) as locked:
        stale = 0 if locked else STALE
        sweep(folder, stale=stale)
        sweep_staged(folder, locks=locked)
        kept = kept_as(folder) if previous else None
        places = [origin.place for origin in content.origins]
        with nullcontext() if kept is None else keeping(folder, places):
            _write_whole(folder, content, text, banks, was_there, with_weights, stale, card)
    return kept


def kept_as(folder: Path) -> Path | None:
    """Where the detector of a folder would be kept; None if there is none that is whole."""
    try:
        _read_index(folder / INDEX, newer=True)
    except FormatError:
        return None
    return previous_of(folder) if has_whole_banks(folder) else None


def seal(folder: Path) -> str:
    """The hash that a detector's index ends with, which changes with anything it says.

    Raises:
        FormatError: a damaged index, or one of a newer nearfar.
    """
    return str(_read_index(folder / INDEX)["sha256"])


def heading(folder: Path) -> Heading:
    """What a fit onto a detector asks it, by its index alone: no bank is read.

    Raises:
        FormatError: a damaged index, or one of a newer nearfar.
    """
    data = _read_index(folder / INDEX)
    try:
        counts = {(str(e["machine"]), str(e["section"])): clips_in(e) for e in data["sections"]}
        rate = check_rate(data["false_alarm_rate"])
        return Heading(counts, rate, _order(data), _by_domain(data), license_in(data))
    except (LookupError, TypeError, SettingError):
        raise FormatError(f"{folder / INDEX}: not as nearfar writes it; fit again") from None


def index_of(folder: Path) -> dict[str, Any]:
    """What a detector's index says, as it is written.

    Raises:
        FormatError: no detector, a damaged index, or one of a newer nearfar.
    """
    return _read_index(folder / INDEX)


def _write_whole(
    folder: Path, content: Content, text: str, banks: Mapping[str, bytes | Path], was_there: bool,
    with_weights: bool, stale: float, card: str,
) -> None:  # fmt: skip
    try:
        if with_weights:
            copy_weights(content.system, content.origins, folder)
        with card_beside(folder, card, text):
            write_folder(folder, INDEX, text, banks, stale=stale)
    except BaseException:  # Ctrl-C too
        # A folder that was not there before is not left behind half made.
        if not was_there and folder.is_dir() and not (folder / INDEX).exists():
            drop_weights((), folder)
            with suppress(OSError):
                folder.rmdir()
        raise
    # Only now: until the new index stands, the old detector needs its copies.
    drop_weights(content.origins, folder, stale=stale)


def _entries(
    content: Content, thresholds: Mapping[tuple[str, str], float]
) -> tuple[list[dict[str, Any]], dict[str, bytes | Path]]:
    """What the index says of each section, and the banks by the names of their files."""
    entries, banks = list[dict[str, Any]](), dict[str, bytes | Path]()
    sections, known = content.sections, content.origins
    for key in sections:
        # Of a fit that is under way it was made and written when the section was fitted.
        made = sections.made(key, known) if isinstance(sections, StagedSections) else None
        grown = None
        if made is None:
            section = sections[key]
            grown = section if isinstance(section, Grown) else None
            fitted = section if grown is None or grown.fitted is None else grown.fitted
            made = made_bank(fitted, owner(*key, known))
        banks[made.file] = made.content
        entry = made.entry(*key, {"threshold": thresholds[key]})
        if grown is not None:
            entry[LEARNT], more = grown_data(grown, key, known)
            banks |= more
        entries.append(entry)
    return entries, banks


def _system_data(folder: Path, content: Content) -> Any:
    """The system as data; as the folder has it, if only its weights were found elsewhere since.

    Else a detector that was read and written again would change by where it lay.
    """
    try:
        there = _read_index(folder / INDEX)["system"]
        found = located(from_data(there), content.origins, folder)
    except (NearfarError, LookupError, TypeError, ValueError, AttributeError):
        return to_data(content.system)  # nothing there, or parts of a person's own
    return there if found == content.system else to_data(content.system)


def _text(content: Content, entries: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """The index as JSON, its own hash at the end."""
    if content.exported:  # its encoders lie beside it; where they were made is gone
        named, origins = beside(content.system, content.origins)
        system = to_data(named)
    else:
        origins, system = content.origins, _system_data(folder, content)
    data = {
        "format": format_of(
            content.system,
            content.order,
            by_domain=content.threshold_by_domain,
            learnt=any(LEARNT in entry for entry in entries),
        ),
        "system": system,
        "channel_order": content.order if isinstance(content.order, str) else [*content.order],
        "false_alarm_rate": content.false_alarm_rate,
        # Only then: any other is written as before, for whoever reads it.
        **({"threshold_by_domain": True} if content.threshold_by_domain else {}),
        **({"data_license": content.data_license} if content.data_license else {}),
        **({EXPORTED: content.exported.as_dict()} if content.exported else {}),
        "provenance": {  # for people; nothing reads it
            "nearfar": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "embedders": as_data(origins),
        "sections": entries,
    }
    data["sha256"] = _hash(data)
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)


def read(
    folder: Path,
    types: Sequence[type] = (),
    weights: Sequence[str] = (),
    *,
    late: bool = False,
    most: int | None = None,
) -> Content:
    """Read what `write` wrote.

    Args:
        folder: of a detector.
        types: classes of the caller's own parts.
        weights: where the encoders' weights are, if not where they were.
        late: read and check each section's bank when it is first asked for.
        most: bytes of banks read late that are kept; None: all.

    Raises:
        FormatError: not a detector, from a newer nearfar, damaged, or with a part that is not ours.
        WeightsError: the weights given are not those of the bank.
    """
    failed = None
    for _ in range(RETRIES):
        data = _read_index(folder / INDEX)
        try:
            return _content(folder, data, types, weights, late, most)
        except FormatError:
            # A bank that is gone was perhaps replaced since. Twice, for of two writers in turn the
            # first may be back already, with its bank and an index that is the same again.
            if data == failed:
                raise
            failed = data
    return _content(folder, _read_index(folder / INDEX), types, weights, late, most)


def _content(
    folder: Path,
    data: dict[str, Any],
    types: Sequence[type],
    weights: Sequence[str],
    late: bool,
    most: int | None,
) -> Content:
    with _as_written(folder):
        system = from_data(data["system"], types)
        if not isinstance(system, System | Ensemble):
            raise FormatError(f"its system is {system!r}, which is no System; fit again")
        known = _origins(data, system)
        # Before the banks: weights that are not theirs are refused first.
        system = located(system, known, folder, weights)
        readers: dict[tuple[str, str], Callable[[], Section]] = {}
        for entry in data["sections"]:
            key = str(entry["machine"]), str(entry["section"])
            if key in readers:
                raise FormatError(
                    f"machine {key[0]}, section {key[1]} is there twice; fit it again"
                )
            readers[key] = partial(_section, folder, data, entry, system, known, late)
        if not readers:
            raise FormatError("a detector without sections; fit it again")
        sections = LateSections(readers, most) if late else {k: get() for k, get in readers.items()}
        rate = check_rate(data["false_alarm_rate"])
        return Content(
            system, sections, _order(data), rate, known, _by_domain(data), license_in(data),
            lessons_in(folder, data), exported_in(data),
        )  # fmt: skip


def _section(
    folder: Path, data: Mapping[str, Any], entry: Mapping[str, Any], system: Any,
    known: Sequence[Origin], late: bool,
) -> Section:  # fmt: skip
    """One section; `late`, when `_content` is done and another detector may be there."""
    if not late:
        return _whole_section(folder, entry, system, known)
    try:
        with _as_written(folder):
            return _whole_section(folder, entry, system, known)
    except FormatError:
        if _read_index(folder / INDEX, newer=True) == data:
            raise
        # A bank that is gone with its index is no damage.
        raise FormatError(f"{folder}: it was replaced while it was read; run it again") from None


def _whole_section(
    folder: Path, entry: Mapping[str, Any], system: Any, known: Sequence[Origin]
) -> Section:
    fitted = read_section(folder, entry, system, known)
    return read_grown(folder, entry, system, fitted, known)


@contextmanager
def _as_written(folder: Path) -> Iterator[None]:
    """One line, no traceback, whatever a detector's files may hold that was changed by hand."""
    try:
        yield
    except WeightsError:  # the folder is sound, and the message says what to do
        raise
    except FormatError as error:
        raise FormatError(f"{folder}: {error}") from None
    except (
        NearfarError, LookupError, TypeError, ValueError, AttributeError, OverflowError,
    ) as error:  # fmt: skip
        what = f"{type(error).__name__} {error}".strip()
        raise FormatError(
            f"{folder / INDEX}: not as nearfar writes it ({what}); fit again"
        ) from None


def _read_index(path: Path, *, newer: bool = False) -> dict[str, Any]:
    """An index that is whole; of a newer nearfar, where that is asked for, as it is."""
    try:
        with storage_errors(path):
            text = path.read_bytes().decode()
    except NearfarError:
        state = "has no readable " + path.name if os.path.isdir(path.parent) else "is no folder"
        raise FormatError(
            f"{path.parent}: {state}; make one with nearfar fit DATA -o DIR, "
            "in Python with fit(system, clips).save(DIR)"
        ) from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: not UTF-8 text; the file is damaged, fit again") from None
    try:
        data = json.loads(text)
        # Inside, for what is just not too deep to be read may be too deep to be hashed.
        fits = _hash(data) if isinstance(data, dict) else ""
    except (ValueError, RecursionError):
        raise FormatError(f"{path}: not JSON; the file is damaged, fit again") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise FormatError(f"{path}: not a nearfar detector")
    if data["format"] < 1:
        raise FormatError(f"{path}: format {data['format']}, there is none below 1; fit again")
    if newer and data["format"] > FORMAT:
        return data
    if data["format"] > FORMAT:
        raise FormatError(
            f"{path}: format {data['format']}, this nearfar {__version__} reads up to {FORMAT}; "
            "upgrade nearfar"
        )
    if data.get("sha256") != fits:  # after the format: a newer one may hash otherwise
        raise FormatError(
            f"{path}: changed since it was written (its sha256 does not fit); fit again, or "
            "change thresholds with nearfar threshold"
        )
    return data


def _origins(data: Mapping[str, Any], system: Any) -> tuple[Origin, ...]:
    """What the embedders were; a detector of an early nearfar does not say, and has no weights."""
    if "embedders" not in data:
        return origins(system)
    known = embedders_from_data(data["embedders"])
    if len(known) != len(system.members):
        raise FormatError(f"{len(known)} embedders for {len(system.members)} systems; fit again")
    for member, origin in zip(system.members, known, strict=True):
        # Weights need not be here yet, when only thresholds are asked for.
        if weights_of(member.embedder) is None and member.embedder.dim != origin.dim:
            raise FormatError(f"{member.embedder!r} has not {origin.dim} dimensions; fit again")
    return known


def _order(data: Mapping[str, Any]) -> Any:
    order = data["channel_order"]
    if isinstance(order, list) and len(order) == 2:
        near, far = order
        if all(type(c) is int and c >= 1 for c in order) and near != far:
            return near, far
    if order not in ("near-far", "far-near"):
        raise FormatError(f"channel order {order!r}; it is 'near-far' or 'far-near'")
    return order


def _by_domain(data: Mapping[str, Any]) -> bool:
    given = data.get("threshold_by_domain", False)
    if not isinstance(given, bool):
        raise FormatError(f"threshold_by_domain {given!r}; it is true or false")
    return given


def _hash(data: Mapping[str, Any]) -> str:
    """Of everything but the hash itself; floats survive JSON exactly."""
    rest = {k: v for k, v in data.items() if k != "sha256"}
    # Neither order nor layout counts, so a copy that an editor laid out anew is still whole.
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
