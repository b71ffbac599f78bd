"""What was fetched into a folder, and the word to whom it belongs: two files beside the recordings.

By the receipts what is there and whole is known, so that it is not fetched again. A receipt is
written after its files have their places: a program that is killed before looks at them anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.clips.download.published import LICENCE, Archive, FileList
from nearfar.clips.download.unpacking import PackList
from nearfar.errors import FormatError, SettingError
from nearfar.files import begins, storage_errors, write_text

RECEIPTS = "downloaded.json"
NOTICE = "LICENCE.txt"
SCHEMA = 1
_HEAD = "Whose recordings these are, as nearfar download found it."
_TERMS = (
    "They are licensed CC BY-NC-SA 4.0: you may share and adapt them, for no commercial use, if "
    "you name their makers and pass on what you make of them under the same licence"
)
_CITE = "the papers to cite stand on the page of each record"


@dataclass(frozen=True)
class Receipt:
    """One zip that was unpacked: what it was, and which files came of it.

    >>> Receipt("dev_fan.zip", "dev_data/raw/fan", "0" * 32, 1000, {"train/a.wav": 320_044}).clips
    1
    """

    key: str
    folder: str  # below that of the data set
    md5: str
    size: int  # bytes of the zip
    files: Mapping[str, int]  # place in the machine's folder → bytes

    @property
    def clips(self) -> int:
        """How many of the files are recordings."""
        return sum(name.casefold().endswith(".wav") for name in self.files)

    def gone(self, folder: Path) -> list[str]:
        """Files of it that are not there, or have another size: a look at each, not into it."""
        return [name for name, size in self.files.items() if not _has(folder / name, size)]


def receipt(archive: Archive, contents: PackList, held: Collection[str]) -> Receipt:
    """For a zip whose files have their places, but for those held by another zip's."""
    sizes = {f.name: f.info.file_size for f in contents.files if f.name not in held}
    return Receipt(archive.key, archive.folder, archive.md5, archive.size, sizes)


def _has(place: Path, size: int) -> bool:
    try:
        return place.stat().st_size == size
    except (OSError, ValueError):  # a name with a NUL is no file's
        return False


def read_receipts(folder: Path, data_set: str) -> dict[str, Receipt]:
    """The receipts in a folder, by the zips' names; none where nothing was fetched yet.

    Raises:
        FormatError: a file of that name that is none of ours.
        SettingError: they are of another data set, whose machines have the same names.
    """
    path = folder / RECEIPTS
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        text = ""
    try:
        data = json.loads(text)
        theirs = data["data_set"]
        found = {key: _parsed(key, entry) for key, entry in data["files"].items()}
        known = data["schema"] == SCHEMA and isinstance(theirs, str)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        known = False
    if not known:
        raise FormatError(f"{path}: is no list of what was fetched; move it away")
    if theirs != data_set:
        raise SettingError(
            f"{folder}: holds {theirs}, and machines of {data_set} have the same names; give it "
            "a folder of its own"
        )
    return found


def _parsed(key: str, entry: dict[str, Any]) -> Receipt:
    files = {str(name): int(size) for name, size in entry["files"].items()}
    return Receipt(key, str(entry["folder"]), str(entry["md5"]), int(entry["size"]), files)


def data_set_in(folder: Path) -> str | None:
    """The data set that was fetched into a folder, by its receipts; None where that is not known.

    >>> data_set_in(Path("no such folder"))
    """
    try:
        return str(json.loads((folder / RECEIPTS).read_bytes())["data_set"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None  # there is none, or it is no longer ours


def write_receipts(folder: Path, data_set: str, receipts: Mapping[str, Receipt]) -> None:
    """Write all receipts of a folder, whole or not at all."""
    entries = {
        r.key: {
            "folder": r.folder, "md5": r.md5, "size": r.size, "clips": r.clips,
            "files": dict(r.files),
        }
        for r in receipts.values()
    }  # fmt: skip
    data = {"schema": SCHEMA, "data_set": data_set, "files": entries}
    write_text(folder / RECEIPTS, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


# ---- whose they are ------------------------------------------------------------------------------


def terms(listings: list[FileList]) -> str:
    """The licence in one line: what it allows, and whom to cite.

    >>> terms([FileList(1, "dev", "https://zenodo.org/records/1")])[:36]
    'They are licensed CC BY-NC-SA 4.0: y'
    """
    unusual = sorted({x.licence for x in listings} - {LICENCE})
    if unusual:  # ours is said of no record that says otherwise
        return (
            f"The records name the licence {', '.join(unusual)}: read it on "
            f"{', '.join(x.page for x in listings)}; {_CITE}"
        )
    return f"{_TERMS}; {_CITE}: {', '.join(x.page for x in listings)}"


def is_noted(folder: Path, listings: list[FileList]) -> bool:
    """Has the licence of these records been kept with the recordings already?"""
    path = folder / NOTICE
    if not begins(path, _HEAD):
        return False
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return all(f"{listing.page}\n" in text for listing in listings)


def write_notice(folder: Path, listings: list[FileList]) -> bool:
    """Keep the licence with the recordings, for whoever finds them later.

    Returns:
        Was it written? A file of the user's that has its name stays.
    """
    path = folder / NOTICE
    before: list[str] = []
    if path.exists():
        if not begins(path, _HEAD):
            return False
        try:
            with storage_errors(path):
                before = path.read_text(encoding="utf-8").split("\n\n")[1:]
        except UnicodeDecodeError:  # somebody has added to it, in another encoding
            return False
    said = dict.fromkeys(entry.strip() for entry in before)  # of records fetched earlier
    for listing in listings:
        makers = "; ".join(listing.makers) or "its makers stand on its page"
        title = listing.title or f"Record {listing.record}"
        said[f"{title}\n{listing.page}\nBy {makers}\n{_licence(listing)}"] = None
    write_text(path, "\n\n".join([_HEAD, *said]) + "\n")
    return True


def _licence(listing: FileList) -> str:
    if listing.licence != LICENCE:
        return f"Licence: {listing.licence}, as its page says."
    return f"{_TERMS}.\nhttps://creativecommons.org/licenses/by-nc-sa/4.0/"
