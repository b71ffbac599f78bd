"""One clip, and what a DCASE Task 2 file name says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nearfar.clips import words
from nearfar.errors import AudioError, DatasetError
from nearfar.runtime.urls import place, url_of
from nearfar.sound import audio
from nearfar.sound.recorded import Recorded

_LONGEST = 1e9  # s; no recording lasts thirty years, and its clock must have digits
_VALUES = {
    "domain": ("source", "target"),
    "split": ("train", "test"),
    "label": ("normal", "anomaly"),
}
# Every part that some year leaves out is optional: the evaluation sets have neither domain nor
# label (2021: the domain), RoboticArm of 2024 has no "test", 2021 names may end after the number.
_NAME = re.compile(
    r"section_(?P<section>[0-9]{2})_(?:(?P<domain>source|target)_)?(?:(?P<split>train|test)_)?"
    r"(?:(?P<label>normal|anomaly)_)?(?P<number>[0-9]+)(?:_(?P<tail>.*))?",
    re.DOTALL,
)
_NAME_2020 = re.compile(
    r"(?:(?P<label>normal|anomaly)_)?id_(?P<section>[0-9]{2})_(?P<number>[0-9]+)"
)


@dataclass(frozen=True)
class Name:
    """What a DCASE Task 2 file name says; `None` where it says nothing.

    >>> parse_name("section_03_0012.wav")  # of an evaluation set
    Name(section='03', number='0012', domain=None, split=None, label=None, attributes='')
    """

    section: str  # two digits; in 2020 the machine id
    number: str  # as written; it counts from 0000 in most groups, so alone it is no key
    domain: str | None = None
    split: str | None = None
    label: str | None = None
    attributes: str = ""


def parse_name(file_name: str) -> Name | None:
    """Read a DCASE Task 2 file name of any year, with or without folders and `.wav` or `.flac`.

    Returns:
        Its fields, or None if it is no such name. The tail stays one opaque string: keys may
        repeat (`car_B1_spd_2_mic_2_mic_1`) or be glued to values, so it is never taken apart.

    >>> parse_name("section_00_target_train_normal_0003_car_B1_spd_2.wav").attributes
    'car_B1_spd_2'
    >>> parse_name("recording 7.wav") is None
    True
    """
    stem = re.split(r"[/\\]", file_name)[-1]
    for suffix in audio.SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    if match := _NAME.fullmatch(stem) or _NAME_2020.fullmatch(stem):
        fields = match.groupdict()
        return Name(attributes=told(fields.pop("tail", None) or ""), **fields)
    return None


def told(attributes: str) -> str:
    """The attributes as written; nothing for `noAttribute` and a dangling underscore.

    >>> told("ac_0.03_"), told("noAttribute")
    ('ac_0.03', '')
    """
    text = attributes.rstrip("_")
    return "" if text.casefold() == "noattribute" else text


@dataclass(frozen=True)
class Clip:
    """One sound to fit on or to judge: a file, a part of one, or a near and a far file.

    Raises:
        DatasetError: a value that its field cannot have.

    >>> Clip(Path("hall/pump/long.wav"), start=60, stop=70).name
    'hall/pump/long.wav@00:01:00-00:01:10'
    """

    path: Path  # on this machine, or a URL's
    far: Path | None = None  # the far microphone's own mono file
    start: float = 0.0  # s; where the clip begins in the recording
    stop: float | None = None  # s; None is the end of the recording
    machine: str = ""
    section: str = "00"
    domain: str | None = None  # "source" or "target"; fit takes None as source
    split: str | None = None  # "train" or "test"
    label: str | None = None  # "normal" or "anomaly"
    attributes: str = ""  # the name's tail as one opaque string
    time: datetime | None = None  # when the clip starts
    channels: tuple[int, int] | None = None  # of the file, near and far, counted from 1
    salvage: bool = False  # take what sound a damaged file still has, with a warning
    fault: str = ""  # why it cannot be used, if listing it found that out already

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", place(self.path))
        object.__setattr__(self, "far", None if self.far is None else place(self.far))
        for field, allowed in _VALUES.items():
            if (value := getattr(self, field)) not in (None, *allowed):
                raise DatasetError(f"{self.path}: {field} {value!r}; it is {' or '.join(allowed)}")
        if not (0 <= self.start < (_LONGEST if self.stop is None else self.stop) <= _LONGEST):
            raise DatasetError(f"{self.path}: start {self.start} s, stop {self.stop} s; "
                               "need 0 <= start < stop")  # fmt: skip

    @property
    def file(self) -> str:
        """File name and, for a part, its span: the key by which scores are joined."""
        return self.path.name + self._span

    @property
    def key(self) -> str:
        """What scores and labels are joined by: `file`, below its folder if that is a label.

        MIMII numbers the clips of normal/ and of abnormal/ alike.

        >>> Clip(Path("fan/id_00/abnormal/0001.wav")).key, Clip(Path("fan/0001.wav")).key
        ('abnormal/0001.wav', '0001.wav')
        """
        folder = self.path.parent.name
        return f"{folder}/{self.file}" if words.label_of(folder) else self.file

    @property
    def name(self) -> str:
        """For people: the last three parts of the path, as `fan/train/….wav`, and the span.

        >>> Clip(Path("s3://bucket/1.wav")).name
        's3://bucket/1.wav'
        """
        parts = [part for part in self.path.parts if part != self.path.anchor]
        if len(parts) < 4 and url_of(self.path) is not None:  # else half of it would be cut off
            return str(self.path) + self._span
        return "/".join(parts[-3:]) + self._span

    @property
    def _span(self) -> str:
        if self.start == 0 and self.stop is None:
            return ""
        return f"@{_clock(self.start)}-{'' if self.stop is None else _clock(self.stop)}"

    def read(self, order: audio.ChannelOrder = "near-far") -> audio.Audio:
        """The sound, (channels, samples) float32 at 16 kHz; raises what `audio.read` raises."""
        return self.read_recorded(order)[0]

    def read_recorded(self, order: audio.ChannelOrder = "near-far") -> tuple[audio.Audio, Recorded]:
        """The sound, and what its file was like before it was resampled.

        Raises:
            AudioError: as `audio.read`, or the fault that listing found.
        """
        if self.fault:
            raise AudioError(self.fault)
        return audio.read_recorded(
            self.path, self.far, start=self.start, stop=self.stop,
            order=self.channels or order, salvage=self.salvage,
        )  # fmt: skip


def _clock(seconds: float) -> str:
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    text = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return text + (f".{micro:06d}".rstrip("0") if micro else "")
