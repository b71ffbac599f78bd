"""Files in a folder of recordings that are none by their names, though they hold sound."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nearfar.clips.pairs import FOREIGN
from nearfar.errors import printable, warn
from nearfar.sound import audio
from nearfar.text import LEFT_OUT, alike

FILMS = {".3g2", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
         ".mts", ".ogv", ".webm", ".wmv"}  # fmt: skip
BARE = {".g722", ".gsm", ".pcm", ".raw", ".sln", ".vox"}  # samples, and nothing says which
_PACKED = {".7z", ".br", ".bz2", ".gz", ".lz4", ".rar", ".xz", ".zip", ".zst"}
# What lies beside recordings and is no sound: thousands of them are not opened to see that.
_PLAIN = _PACKED | {
    ".bmp", ".cfg", ".csv", ".doc", ".docx", ".gif", ".h5", ".hdf5", ".htm", ".html", ".ini",
    ".ipynb", ".jpeg", ".jpg", ".json", ".jsonl", ".lab", ".log", ".mat", ".md", ".npy", ".npz",
    ".ods", ".odt", ".onnx", ".pdf", ".pickle", ".pkl", ".png", ".pt", ".pth", ".py",
    ".safetensors", ".sh", ".svg", ".tar", ".textgrid", ".tif", ".tiff", ".toml", ".tsv", ".txt",
    ".xls", ".xlsx", ".xml", ".yaml", ".yml",
}  # fmt: skip
_READ = ("WAV", "RIFX", "RF64", "BW64", "W64", "AIFF", "AU", "FLAC")


def warn_of_others(files: Iterable[Path]) -> None:
    """Name files that are left out although they hold sound; what holds none is not named.

    Args:
        files: of one folder; those that are clips by their names are passed over.
    """
    told = {
        f"{LEFT_OUT}{(name := printable(str(file)))}: {why}": name
        for file in files
        if (why := _why(file))
    }
    for line in alike(told, told):
        warn(line)


def _why(file: Path) -> str:
    suffix = file.suffix.lower()
    if suffix in audio.SUFFIXES or suffix in FOREIGN:
        return ""
    if suffix in FILMS:
        return "films are not read; to use its sound write that as WAV"
    if suffix in BARE:
        return "sound without a header is not read; to use it write WAV"
    if suffix in _PACKED and Path(file.stem).suffix.lower() in {*audio.SUFFIXES, *FOREIGN}:
        return "packed; unpack it to use it"
    # A pipe would be waited for.
    if suffix in _PLAIN or not os.path.isfile(file):
        return ""
    # Copies of editors and of downloads, names without an end: only content tells.
    kind = audio.kind_of(file)
    return f"{kind} by its content, but not by its name; rename it to use it" * (kind in _READ)
