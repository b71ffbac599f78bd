"""Data sets as they are published: the records of each, and what a record says of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from nearfar.errors import (
    DatasetError,
    FormatError,
    SettingError,
    did_you_mean,
    printable,
    visible,
)

# What a person asks for: development, additional training, evaluation test.
SPLITS = ("dev", "train", "eval")
FOLDERS = {"dev": "dev_data/raw", "train": "eval_data/raw", "eval": "eval_data/raw"}
# Record numbers of dev, train and eval. 2020–2024: README_legacy.md of the official baseline
# (github.com/nttcslab/dcase2023_task2_baseline_ae); 2025: its README.md and its script
# data_download_2025eval.sh; 2026: its data_download_2026dev.sh and …add.sh, and of the evaluation
# test set the record's own page. 2024's training clips were first 11183284, which it replaced.
RECORDS: dict[str, tuple[int, int, int]] = {
    "dcase2020": (3678171, 3727685, 3841772),
    "dcase2021": (4562016, 4660992, 4884786),
    "dcase2022": (6355122, 6462969, 6586456),
    "dcase2023": (7882613, 7830345, 7860847),
    "dcase2024": (10902294, 11259435, 11363076),
    "dcase2025": (15097779, 15392814, 15519362),
    "dcase2026": (19336329, 20151556, 20437238),
}
LICENCE = "cc-by-nc-sa-4.0"  # of all of them; a record's own word counts before it
# Files that took another's place after results had been made: (data set, split, machine) → the
# file and its MD5. Of what came first nothing is taken (github.com/nttcslab, April 2026).
REPLACED = {
    ("dcase2026", "dev", "ToyCar"): ("dev_ToyCar_r2.zip", "353201db217e25377a7e7eccf9c1c8a7"),
}
# dev_fan.zip, dev_data_fan.zip, eval_data_fan_train.zip, 2020's eval_data_train_fan.zip, and
# dev_ToyCar_r2.zip, a second edition. Nothing else in a name: it becomes one on this disk.
_KEY = re.compile(
    r"(?P<set>dev|eval)_(?:data_)?(?:(?P<before>train|test)_)?(?P<machine>[A-Za-z0-9-]+?)"
    r"(?:_(?P<behind>train|test))?(?:_r(?P<edition>[0-9]{1,3}))?\.zip"
)
_MD5 = re.compile(r"(?:md5:)?([0-9a-f]{32})", re.IGNORECASE)  # mirrors spell it as they like
_SMALLEST = 22  # bytes of a zip with nothing in it
_LONGEST = 200  # characters of a title or name that is passed on


@dataclass(frozen=True)
class Archive:
    """A zip file of a record: one machine's clips of one split.

    >>> Archive("dev_fan.zip", "fan", "dev", 608_000_000, "0" * 32, "https://…").folder
    'dev_data/raw/fan'
    """

    key: str  # its name in the record
    machine: str
    split: str  # of `SPLITS`
    size: int  # bytes
    md5: str  # hexadecimal
    url: str
    edition: int = 1

    @property
    def folder(self) -> str:
        """Where its clips belong, below the folder of the data set."""
        return f"{FOLDERS[self.split]}/{self.machine}"


@dataclass(frozen=True)
class FileList:
    """What a record says: its machines' files, and whose they are.

    >>> FileList(19336329, "dev", "https://zenodo.org/records/19336329").archives
    ()
    """

    record: int
    split: str
    page: str  # for people
    archives: tuple[Archive, ...] = ()
    earlier: tuple[tuple[str, str], ...] = ()  # file that another replaced → that one
    others: tuple[str, ...] = ()  # files that are no machine's clips
    title: str = ""
    makers: tuple[str, ...] = ()
    licence: str = LICENCE


def ordered(
    data_set: str, splits: Sequence[str] | None, record: int | None
) -> tuple[str, list[tuple[str, int]]]:
    """The data set's name, and which records of it are wanted.

    Args:
        data_set: a name of `RECORDS`; of a later year with `record`.
        splits: of `SPLITS`; None are all.
        record: another number than ours, of the one split that is given.

    Raises:
        SettingError: no such data set or split; a record without one split.

    >>> ordered("dcase2026", ["eval"], None)
    ('dcase2026', [('eval', 20437238)])
    """
    name = data_set.strip().casefold()
    for split in splits or ():
        if split not in SPLITS:
            raise SettingError(f"no split {split!r}; {did_you_mean(split, SPLITS)}")
    if record is not None:
        if not re.fullmatch(r"dcase20[0-9]{2}", name):
            raise SettingError(f"no data set {data_set!r}; it is called dcase and a year")
        if not splits or len(set(splits)) != 1:
            raise SettingError(f"record {record} is of one split; say which: dev, train or eval")
        return name, [(splits[0], record)]
    if name not in RECORDS:
        raise SettingError(
            f"no data set {data_set!r}; {did_you_mean(name, RECORDS)}. Of another year give the "
            "number of its record, and the split"
        )
    numbers = dict(zip(SPLITS, RECORDS[name], strict=True))
    return name, [(split, numbers[split]) for split in SPLITS if not splits or split in splits]


def read_listing(data: Any, split: str, record: int, page: str, base: str) -> FileList:
    """What a record's JSON says of the files of a split; the latest edition of each machine.

    Args:
        data: the JSON, parsed; anything.
        split: of `SPLITS`; files of others are none of ours.
        record: its number.
        page: where people read of it.
        base: the address that the JSON came from; links may be relative to it.

    Raises:
        FormatError: it is no record, or a file has no size, no MD5 or no address.
        DatasetError: no zip file of a machine, or two of one edition.
    """
    files = data.get("files") if isinstance(data, dict) else None
    if not isinstance(files, list):
        raise FormatError(
            f"{base}: is no record with a list of files; is the server one like Zenodo?"
        )
    found, others = [], []
    for file in files:
        key = str(file.get("key", "")) if isinstance(file, dict) else ""
        if (name := _KEY.fullmatch(key)) and _split_of(name, split) == split:
            found.append(_archive(file, key, name, split, base))
        else:
            others.append(visible(key)[:_LONGEST])
    _refuse_two(found, base)
    latest = {a.machine: a for a in sorted(found, key=lambda a: a.edition)}
    earlier = [(a.key, latest[a.machine].key) for a in found if latest[a.machine] is not a]
    if not latest:
        raise DatasetError(
            f"record {record}: has no zip files of machines of the split {split}; is it the right "
            f"record, and are they published yet? See {page}; --split fetches other parts alone"
        )
    about = data.get("metadata")
    return FileList(
        record, split, page, tuple(sorted(latest.values(), key=lambda a: a.key.casefold())),
        tuple(earlier), tuple(others), **_about(about if isinstance(about, dict) else {}),
    )  # fmt: skip


def _refuse_two(found: Sequence[Archive], base: str) -> None:
    """Refuse two files of which nobody can say which is the later."""
    taken: dict[tuple[str, int], Archive] = {}
    for one in found:
        other = taken.setdefault((one.machine, one.edition), one)
        if other is not one:
            raise DatasetError(
                f"{base}: lists two files of the machine {one.machine}, {other.key} and {one.key}, "
                "of one edition; try another server"
            )


def _split_of(name: re.Match[str], split: str) -> str:
    """Which split a file's name says it is of; that of its record if it says none."""
    if name["set"] == "dev":
        return "dev"
    word = name["before"] or name["behind"]
    return {"train": "train", "test": "eval"}.get(word, split if split != "dev" else "")


def _archive(file: dict[str, Any], key: str, name: re.Match[str], split: str, base: str) -> Archive:
    size, md5 = file.get("size"), _MD5.fullmatch(str(file.get("checksum")))
    links = file.get("links")
    link = links.get("self") if isinstance(links, dict) else None
    url = _joined(base, link)
    if type(size) is not int or size < _SMALLEST or md5 is None or url is None:
        raise FormatError(
            f"{base}: says of {key} no size, MD5 or address, so that nothing could be checked; try "
            "another server"
        )
    edition = int(name["edition"] or 1)
    return Archive(key, name["machine"], split, size, md5[1].lower(), url, edition)


def _joined(base: str, link: object) -> str | None:
    with suppress(ValueError):  # some are no addresses
        return urljoin(base, link) if isinstance(link, str) else None
    return None


def refuse_withdrawn(data_set: str, archives: Iterable[Archive]) -> None:
    """Refuse what came before a file that replaced it, and another file of its name.

    Args:
        data_set: whose they are.
        archives: that are to be fetched; of machines that nobody wants nothing is refused.

    Raises:
        DatasetError: one of them was withdrawn.
    """
    for archive in archives:
        known = REPLACED.get((data_set, archive.split, archive.machine))
        if known is None:
            continue
        key, md5 = known
        if archive.edition == 1:
            raise DatasetError(
                f"{archive.key}: was replaced by {key}, which the record does not list; results "
                "with the first are not comparable. Name the other machines alone"
            )
        if archive.key == key and archive.md5 != md5:
            raise DatasetError(
                f"{key}: has MD5 {archive.md5} by the server's list, was published with {md5}; try "
                "another server, or name the other machines alone"
            )


def _about(about: dict[str, Any]) -> dict[str, Any]:
    """Title, makers and licence by a record's own words, each a short printable line."""
    makers = about.get("creators")
    names = (
        [m.get("name") for m in makers if isinstance(m, dict)] if isinstance(makers, list) else []
    )
    licence = about.get("license")
    named = licence.get("id") if isinstance(licence, dict) else licence
    return {
        "title": _short(about.get("title")),
        "makers": tuple(_short(name) for name in names[:50] if isinstance(name, str)),
        "licence": _short(named).casefold() or LICENCE,
    }


def _short(text: object) -> str:
    return printable(text)[:_LONGEST] if isinstance(text, str) else ""


def chosen(listings: Sequence[FileList], machines: Sequence[str] | None) -> list[Archive]:
    """The files of some machines, or of all, in the order of the records.

    Raises:
        DatasetError: a machine that none of the records has.
    """
    archives = [archive for listing in listings for archive in listing.archives]
    known = {archive.machine for archive in archives}
    for name in machines or ():
        if name not in known:
            raise DatasetError(
                f"no machine {name!r} in the split {', '.join(x.split for x in listings)}; "
                f"{did_you_mean(name, known)}"
            )
    return [a for a in archives if machines is None or a.machine in machines]
