"""CSV files → clips, and long recordings → consecutive clips."""

from __future__ import annotations

import codecs
import csv
import io
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from nearfar.clips import words
from nearfar.clips.clip import Clip, parse_name, told
from nearfar.clips.moments import Clock, time_of
from nearfar.clips.pairs import FOREIGN, foreign
from nearfar.errors import (
    AudioError,
    DatasetError,
    SettingError,
    did_you_mean,
    printable,
    warn,
)
from nearfar.files import begins
from nearfar.runtime.remote import Remote
from nearfar.runtime.urls import place, url_of
from nearfar.sound import audio
from nearfar.text import alike

COLUMNS = ("path", "near", "far", "start", "stop", "machine", "section", "domain", "split", "label",
           "attributes", "time", "near_channel", "far_channel")  # fmt: skip
FILE_NAME, METADATA = "file_name", "metadata.csv"  # as the datasets library calls them
_SEPARATORS = (",", ";", "\t")  # spreadsheets of some languages write semicolons


def tables_in(folder: Path, split: str | None) -> list[Path]:
    """The tables of a folder that `nearfar export-data` or another maker of audiofolders wrote.

    Args:
        folder: with a table, or with one in each of its train/ and test/.
        split: with "train" or "test" the other is not opened.

    Returns:
        None of them in a folder of any other layout.
    """
    wanted = [split] if split else ["train", "test"]
    places = [folder / METADATA, *(folder / name / METADATA for name in wanted)]
    return [place for place in places if place.is_file() and begins(place, f'"?{FILE_NAME}"?,')]


def table(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a CSV file that are not empty, as (line number, cells without blanks around).

    Raises:
        DatasetError: it cannot be read, is not UTF-8, or a quote is never closed.
    """
    line = 0  # the last one that could be read, for the message
    rows = []
    text = _text(path)
    first = text.partition("\n")[0]
    try:
        separator = _separator(first)
        # strict: a quote that is never closed would swallow the rest of the list
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
        for row in reader:
            line = reader.line_num  # not the row's number: a cell may hold line breaks
            rows.append((line, [cell.strip() for cell in row]))
    except csv.Error as error:
        raise DatasetError(f"{path}:{line + 1}: {error}; correct the line") from None
    if rows and rows[0][1][:1] == ["sep="] and separator in first:
        del rows[0]  # Excel's own line about the separator
    return [(line, cells) for line, cells in rows if any(cells)]


def _text(path: Path) -> str:
    """The file's text, UTF-8 or, with its mark at the beginning, UTF-16."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # would be waited for, or not end
        raise DatasetError(f"{path}: a pipe or device, and no file; save the list in a file")
    try:
        content = path.read_bytes() if url_of(path) is None else Remote(path, DatasetError).fetch()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)  # a store may say no more than the name
        why = error.strerror or ("no such file" if gone else error)
        raise DatasetError(f"{path}: cannot be read ({why})") from None
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")  # Excel writes a BOM
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not UTF-8 text; save it as CSV in UTF-8") from None


def _separator(header: str) -> str:
    """The one that splits the header into most columns that we know; the comma if none does."""
    if header.strip().casefold().startswith("sep=") and len(header.strip()) == 5:
        return header.strip()[4]

    def known(separator: str) -> int:
        return sum(cell.strip().strip('"') in COLUMNS for cell in header.split(separator))

    best = max(_SEPARATORS, key=known)
    if known(best):
        return best
    return max(_SEPARATORS, key=header.count)


def csv_clips(path: Path, machine: str, clock: Clock = time_of) -> Iterator[Clip]:
    """The clips of the list, in its order; `machine` is whose they are if it does not say.

    Raises:
        DatasetError: with file and line, what is wrong with it.
    """
    rows = table(path)
    header = _header(path, rows)
    seen: dict[tuple[object, ...], int] = {}  # sound → its line
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise DatasetError(f"{path}:{line}: {len(cells)} cells, the header has {len(header)}")
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise DatasetError(f"{path}:{line}: a line break inside a cell; remove it")
        try:
            clip = _csv_clip(path.parent, machine, dict(zip(header, cells, strict=True)), clock)
        except DatasetError as error:
            raise DatasetError(f"{path}:{line}: {error}") from None
        sound = (clip.path, clip.far, clip.start, clip.stop, clip.channels)
        first = seen.setdefault(sound, line)
        if first != line:
            raise DatasetError(f"{path}:{line}: {clip.file} stands in line {first}, too; remove it")
        yield clip


def _header(path: Path, rows: list[tuple[int, list[str]]]) -> list[str]:
    line, header = rows[0] if rows else (1, [])
    if "path" not in header:  # of an audiofolder, ours or anybody's
        header = ["path" if name == FILE_NAME else name for name in header]
    for name in header:
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS)
            raise DatasetError(f"{path}:{line}: unknown column {name!r}; {hint}")
        if header.count(name) > 1:
            raise DatasetError(f"{path}:{line}: column {name!r} twice; remove one")
    if ("path" in header) == ("near" in header):
        raise DatasetError(f"{path}:{line}: need a header with either 'path' or 'near' in it, "
                           f"and any of {', '.join(COLUMNS[2:])}")  # fmt: skip
    return header


def _csv_clip(folder: Path, machine: str, row: dict[str, str], clock: Clock) -> Clip:
    given = {column: text for column, text in row.items() if text}
    recording = given.get("path") or given.get("near")
    if recording is None:
        raise DatasetError("no path")
    start = _seconds(given, "start") or 0.0
    path = _located(folder, recording)
    given = _told_by_name(recording) | given  # what the table says counts
    time = _time(given["time"], start) if "time" in given else None
    if time is None and (began := clock(path.stem)) is not None:
        time = began + timedelta(seconds=start)
    return Clip(
        path,
        far=_located(folder, given["far"]) if "far" in given else None,
        start=start,
        stop=_seconds(given, "stop"),
        machine=given.get("machine", machine),
        section=given.get("section", "00").zfill(2),  # spreadsheets turn 00 into 0
        domain=given.get("domain"),
        split=given.get("split"),
        label=given.get("label"),
        attributes=told(given.get("attributes", "")),
        time=time,
        channels=_channels(given),
        fault=foreign(path) if path.suffix.lower() in FOREIGN else "",
    )


def _located(folder: Path, text: str) -> Path:
    """The file; Windows writes its path with backslashes, elsewhere a name may have one."""
    if url_of(text) is not None or text.startswith("file:/"):
        return place(text)
    path = place(folder / text)
    if url_of(path) is not None:  # a store takes ".." for a name
        return place(posixpath.normpath(url_of(path) or ""))
    return folder / text.replace("\\", "/") if "\\" in text and not path.exists() else path


def _channels(given: dict[str, str]) -> tuple[int, int] | None:
    """The two channels of a file of several, counted from 1."""
    texts = [given.get(column) for column in ("near_channel", "far_channel")]
    if texts == [None, None]:
        return None
    if None in texts:
        raise DatasetError("near_channel and far_channel go together; fill in both")
    if "far" in given:
        raise DatasetError("far names a file of its own; leave near_channel and far_channel empty")
    numbers = [int(t) if t and t.isascii() and t.isdigit() else 0 for t in texts]
    if min(numbers) < 1 or numbers[0] == numbers[1]:
        raise DatasetError(f"near_channel {texts[0]!r}, far_channel {texts[1]!r}; need two "
                           "different channels, counted from 1")  # fmt: skip
    return numbers[0], numbers[1]


def _told_by_name(recording: str) -> dict[str, str]:
    """What a DCASE file name says, for the columns that are not there: above all its label."""
    name = parse_name(recording)
    # Of the list's own folders: those above it say nothing of a single line.
    labels = [words.label_of(part) for part in re.split(r"[/\\]", recording)[:-1]]
    label = next((word for word in ("anomaly", "normal") if word in labels), "")
    if name is None:
        return {"label": label} if label else {}
    said = {"section": name.section, "domain": name.domain, "split": name.split,
            "label": name.label or label, "attributes": name.attributes}  # fmt: skip
    return {column: text for column, text in said.items() if text}


def _seconds(given: dict[str, str], column: str) -> float | None:
    try:
        # Where semicolons separate, a comma is the decimal sign.
        return float(given[column].replace(",", ".")) if column in given else None
    except ValueError:
        raise DatasetError(f"{column} {given[column]!r}; need seconds, as 12.5") from None


def _time(text: str, start: float) -> datetime:
    try:
        # The column says when the recording starts, a clip's time when the clip does.
        return datetime.fromisoformat(text) + timedelta(seconds=start)
    except (ValueError, OverflowError):
        raise DatasetError(f"time {text!r}; need ISO 8601, as 2026-06-15T08:30:00") from None


def cut(clips: Iterable[Clip], seconds: float | None) -> Iterator[Clip]:
    """Recordings → consecutive clips of this length; `None` changes nothing.

    What remains at the end is left out. A recording that is not longer stays whole, and so does
    one whose length cannot be read: reading it says why, where `--skip-bad` can hear it.

    Raises:
        SettingError: less than `audio.SHORTEST`.
    """
    if seconds is None:
        yield from clips
        return
    if not (audio.SHORTEST <= seconds < float("inf")):
        raise SettingError(f"clip_seconds {seconds}; need at least {audio.SHORTEST:g} s")
    rests: dict[str, str] = {}  # what is left out of a recording, with its name
    for clip in clips:
        yield from [clip] if clip.fault else _parts(clip, seconds, rests)
    for line in alike(rests, rests):
        warn(line)


def _parts(clip: Clip, seconds: float, rests: dict[str, str]) -> Iterator[Clip]:
    files = [clip.path] if clip.far is None else [clip.path, clip.far]
    try:
        length = min(audio.duration(file) for file in files)  # two recorders stop apart
    except AudioError:
        length = 0.0  # so that the clip stays whole below
    end = length if clip.stop is None else clip.stop
    # 1 µs: the decimals of a list may lie behind the last sample.
    if end > length + 1e-6 or end - clip.start <= seconds * (1 + 1e-9):
        yield clip
        return
    count = int((end - clip.start) / seconds + 1e-9)
    rest = end - clip.start - count * seconds
    if rest > 1e-3:  # s; less than a millisecond nobody misses
        name = printable(clip.name)
        rests[f"{name}: its last {rest:.3g} s are no whole clip and are left out"] = name
    for i in range(count):
        begin = clip.start + i * seconds
        time = clip.time and clip.time + timedelta(seconds=i * seconds)
        yield replace(clip, start=begin, stop=begin + seconds, time=time)
