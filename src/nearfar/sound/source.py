"""One sound file opened: told by its content, its length settled, read a span at a time.

Integer and float samples are read here, where the header's bytes were understood; FLAC is decoded
by libsndfile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import AudioError, first_line, warn
from nearfar.runtime.remote import Remote, reason_of
from nearfar.runtime.urls import place, url_of
from nearfar.sound.aiff import aiff_layout, au_layout
from nearfar.sound.flac import flac_layout, patched
from nearfar.sound.layout import Layout
from nearfar.sound.riff import is_w64, lossy, riff_layout, w64_layout

# .ogg and .caf are not here: the first loses something, and the second is refused by its name.
SUFFIXES = (".wav", ".wave", ".w64", ".rf64", ".bwf", ".aif", ".aiff", ".au", ".flac")
RATES = (1_000, 1_000_000)  # Hz; a header outside is damaged, and 1 Hz would become gigabytes
_PIECE = 1 << 22  # frames; what is allocated before its decoding has shown that it is there
_SMALLER = (1 << 12, 1 << 6, 1)  # frames; pieces of what is damaged somewhere
_LOSSY = ("MP3", "AAC", "Ogg Vorbis", "Ogg Opus", "Ogg Speex", "WMA", "AMR")
_OTHERS = ("M4A", "CAF", "WavPack", "Monkey's Audio", "TTA", "Ogg FLAC", "Ogg")
_READERS: dict[str, Callable[[BinaryIO, int], Layout]] = {
    "WAV": riff_layout, "RIFX": riff_layout, "RF64": riff_layout, "BW64": riff_layout,
    "W64": w64_layout, "AIFF": aiff_layout, "AU": au_layout,
}  # fmt: skip


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a file is by its first bytes, whatever its name says.

    Returns:
        "WAV", "RIFX", "RF64", "BW64", "W64", "AIFF", "AU", "FLAC", a kind that is refused ("MP3",
        "Ogg Vorbis", "M4A", "CAF", …), or "" for what is no sound or cannot be opened.
    """
    try:
        with _opener(place(path))() as file:
            return _kind(file)[0]
    except (OSError, ValueError):
        return ""


def open_source(path: Path, *, salvage: bool = False) -> OpenedSound:
    """Open a sound file and settle how long it is.

    Args:
        path: of the file, on this machine or a URL's.
        salvage: take what is there of a file whose header and bytes disagree, with a warning when
            it is read: only then is it known how much that is.

    Raises:
        AudioError: missing, empty, no sound, a coding that loses something, or a header that the
            file's bytes do not bear out.
    """
    remote = None
    if url_of(path) is not None:
        remote = _fetched(path)
    elif not os.path.isfile(path):  # unlike Path.is_file, never raises
        # A pipe or a device would be waited for, or read for ever.
        if os.path.exists(path):
            raise AudioError(f"{path}: a pipe, device or folder, and no file; take it out")
        raise AudioError(f"{path}: no such file")
    try:
        layout = _layout(path, remote)
    except UnicodeDecodeError as error:
        raise _unreadable(path, reason(error)) from None
    except (OSError, UnicodeError) as error:  # of the disk, or of the name: no fault of the sound
        if remote is not None:
            raise _unfetched(path, error) from None
        raise AudioError(f"{path}: cannot be read ({reason(error)}); see to its permissions, "
                         "name and disk, or leave it out with --skip-bad") from None  # fmt: skip
    check_rate(layout.rate, path)
    if layout.fault and not salvage:
        raise AudioError(f"{path}: {layout.fault}; --salvage takes what is there")
    return OpenedSound(path, layout, salvage=salvage, remote=remote)


def _fetched(path: Path) -> Remote:
    """An object elsewhere, looked up; AudioError where it is not to be had."""
    try:
        return Remote(path, AudioError)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise AudioError(f"{path}: a folder, and no file; take it out") from None
    except OSError as error:
        raise _unfetched(path, error) from None


def _unfetched(path: Path, error: Exception) -> AudioError:
    return AudioError(f"{path}: cannot be fetched ({reason_of(error)}); see to the connection and "
                      "to your access to it, or leave it out with --skip-bad")  # fmt: skip


def _opener(path: Path, remote: Remote | None = None) -> Callable[[], BinaryIO]:
    """What opens a sound's bytes, wherever they lie."""
    if remote is None and url_of(path) is not None:
        remote = Remote(path, AudioError)
    return (lambda: path.open("rb")) if remote is None else remote.open


def check_rate(rate: Any, name: str | Path) -> None:
    """Refuse what is no sample rate in Hz of any recorder, whatever it is; AudioError."""
    lowest, highest = RATES
    if not (isinstance(rate, int | float | np.number) and lowest <= rate <= highest):
        raise AudioError(f"{name}: sample rate {rate} Hz, need {lowest:,} to {highest:,}")


@contextmanager
def in_memory(name: object) -> Iterator[None]:
    """Say what to do about a recording for which there is no memory, wherever that is found out.

    >>> with in_memory("week.wav"):
    ...     raise MemoryError
    Traceback (most recent call last):
    nearfar.errors.AudioError: week.wav: it does not fit in memory; cut it with clip_seconds=…
    """
    try:
        yield
    except MemoryError:
        raise AudioError(f"{name}: it does not fit in memory; cut it with --clip-seconds") from None


class OpenedSound:
    """A sound file whose header has been understood.

    Attributes:
        rate: in Hz.
        channels: of the file.
        frames: samples a channel.
        fault: how header and bytes disagree, or what of a span that was read is damaged; only of
            a file that is salvaged.

    >>> OpenedSound(Path("x.wav"), Layout("WAV", 16_000, 2, "s16", frames=32_000)).frames
    32000
    """

    def __init__(
        self, path: Path, layout: Layout, *, salvage: bool = False, remote: Remote | None = None
    ) -> None:
        self._path, self._layout, self._salvage = path, layout, salvage
        self._remote = remote
        self.rate, self.channels = layout.rate, layout.channels
        self.frames, self.fault = layout.frames, layout.fault

    def read(
        self, first: int, last: int, chosen: Sequence[int] | slice = slice(None)
    ) -> NDArray[np.float32]:
        """A span of some channels.

        Args:
            first: frame.
            last: frame behind the last one.
            chosen: channels, counted from 0.

        Returns:
            (channels, samples) float32, full scale ±1.

        Raises:
            AudioError: damaged or ended before `last`, and not to be salvaged or nothing is there;
                or the file cannot be read.
            MemoryError: too long.
        """
        decode = self._decode if self._layout.sample == "flac" else self._take
        try:
            found = decode(first, last, chosen)
        except OSError as error:
            if self._remote is not None:
                raise _unfetched(self._path, error) from None
            raise AudioError(f"{self._path}: cannot be read ({reason(error)})") from None
        number = self.frames
        if (there := found.shape[1]) < last - first:
            why = f"{there} of {last - first} samples are there"
            if not (self._salvage and there):
                raise AudioError(f"{self._path}: truncated, {why}")
            self.fault = "; ".join(filter(None, (self.fault, f"damaged behind them, {why}")))
            number = there
        if self.fault:
            warn(f"{self._path}: salvaged {number} samples ({self.fault})", str(self._path))
        return found

    def _take(self, first: int, last: int, chosen: Sequence[int] | slice) -> NDArray[np.float32]:
        layout = self._layout
        with _opener(self._path, self._remote)() as file:
            file.seek(layout.start + first * layout.block)
            data = file.read((last - first) * layout.block)
        width = layout.block // layout.channels
        whole = len(data) // layout.block
        samples = np.frombuffer(data, np.uint8, whole * layout.block)
        try:
            return _floats(samples.reshape(whole, layout.channels, width), chosen, layout)
        except AudioError as error:
            raise AudioError(f"{self._path}: {error}") from None

    def _decode(self, first: int, last: int, chosen: Sequence[int] | slice) -> NDArray[np.float32]:
        pieces, why = self._decoded(first, last, chosen, _PIECE)
        if why:
            # An error takes along the piece that it falls into: smaller ones lose less, and single
            # samples nothing but the damaged frame.
            stop = last
            for size in _SMALLER:
                at = first + sum(piece.shape[1] for piece in pieces)
                pieces += self._decoded(at, min(last, stop), chosen, size)[0]
                stop = first + sum(piece.shape[1] for piece in pieces) + size
        if why and not (self._salvage and pieces):
            there = sum(piece.shape[1] for piece in pieces)
            out = "; --salvage takes what is there" if there else ""
            raise AudioError(f"{self._path}: damaged or truncated, {there} of {last - first} "
                             f"samples are there ({why}){out}")  # fmt: skip
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)

    def _decoded(
        self, first: int, last: int, chosen: Sequence[int] | slice, size: int
    ) -> tuple[list[NDArray[np.float32]], str]:
        """Pieces of a span as far as it can be decoded, and why no farther."""
        import soundfile

        pieces: list[NDArray[np.float32]] = []
        # libsndfile opens no name that is not UTF-8, and no URL.
        here = self._remote is None and str(self._path).isprintable()
        opened: Any = self._path
        if self._layout.patched or not here:
            opened = patched(_opener(self._path, self._remote)(), self._layout)
        try:
            with soundfile.SoundFile(opened) as file:
                file.seek(first)
                while first < last:
                    wanted = min(size, last - first)
                    raw = file.read(wanted, dtype="float32", always_2d=True)[:, chosen]
                    pieces.append(np.ascontiguousarray(raw.T))
                    first += len(raw)
                    if len(raw) < wanted:
                        break
        except (soundfile.LibsndfileError, RuntimeError) as error:
            return pieces, reason(error)
        finally:
            if opened is not self._path:
                opened.close()
        return pieces, ""


def reason(error: Exception) -> str:
    """The first line of a library's message, without its prefix or the path."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error).strip()
    first = first_line(text) or type(error).__name__
    return first.rsplit(": ", 1)[-1].rstrip(".")


def _layout(path: Path, remote: Remote | None) -> Layout:
    size = path.stat().st_size if remote is None else remote.size
    if size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); "
                         "record it again or leave it out with --skip-bad")  # fmt: skip
    with _whole_flac(_opener(path, remote)(), remote) as file:
        kind, start = _kind(file)
        try:
            if kind in _LOSSY:
                raise lossy(kind)
            if kind in _OTHERS:
                raise AudioError(f"{kind} inside; convert it to WAV or FLAC")
            if kind == "FLAC":
                return flac_layout(file, size, start)
            if kind:
                return _READERS[kind](file, size)
        except AudioError as error:
            if "; " in str(error):  # it says the way out itself
                raise AudioError(f"{path}: {error}") from None
            raise _unreadable(path, str(error)) from None
    raise _unreadable(path, "its first bytes are of no kind of sound")


def _whole_flac(file: BinaryIO, remote: Remote | None) -> BinaryIO:
    """The file at its begin; FLAC from elsewhere is fetched, for all of it is looked through."""
    if remote is not None and _kind(file)[0] == "FLAC":
        remote.fetch()  # libsndfile, too, has no way to hear of a connection that is lost
        file.close()
        return remote.open()
    file.seek(0)
    return file


def _unreadable(path: Path, why: str) -> AudioError:
    return AudioError(f"{path}: not a readable WAV or FLAC file ({why}); "
                      "record it again or leave it out with --skip-bad")  # fmt: skip


def _kind(file: BinaryIO) -> tuple[str, int]:
    """The kind of file and where it begins behind an ID3 tag."""
    head = file.read(512)
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:  # sizes of ID3 have seven bits a byte
        start = 10 + sum((byte & 127) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
        file.seek(start)
        head = file.read(512)
        if head[:4] != b"fLaC":
            return "MP3", start
    return _by_head(head), start


def _by_head(head: bytes) -> str:
    begins = {
        b"fLaC": "FLAC", b"RIFX": "RIFX", b"RF64": "RF64", b"BW64": "BW64", b".snd": "AU",
        b"dns.": "AU", b"caff": "CAF", b"wvpk": "WavPack", b"MAC ": "Monkey's Audio",
        b"TTA1": "TTA", b"\x30\x26\xb2\x75": "WMA", b"#!AM": "AMR",
    }  # fmt: skip
    if head[:4] == b"RIFF":
        return "WAV" if head[8:12] == b"WAVE" else ""
    if head[:4] == b"FORM":
        return "AIFF" if head[8:12] in (b"AIFF", b"AIFC") else ""
    if head[:4] == b"OggS":
        inside = {b"vorbis": "Ogg Vorbis", b"OpusHead": "Ogg Opus", b"Speex": "Ogg Speex",
                  b"FLAC": "Ogg FLAC"}  # fmt: skip
        return next((name for word, name in inside.items() if word in head), "Ogg")
    if head[4:8] == b"ftyp":
        return "M4A"
    return begins.get(head[:4]) or ("W64" if is_w64(head) else _mpeg(head))


def _mpeg(head: bytes) -> str:
    """MP3 or AAC by the first frame's header, whose impossible values tell it from noise."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return ""
    if head[1] & 0xF6 == 0xF0:
        return "AAC"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    return "MP3" if version != 1 and layer and bits not in (0, 15) and rate != 3 else ""


def _floats(
    samples: NDArray[np.uint8], chosen: Sequence[int] | slice, layout: Layout
) -> NDArray[np.float32]:
    """(samples, channels, bytes) → (chosen channels, samples) float32, full scale ±1."""
    sample = layout.sample
    if sample in ("s24", "s24in32"):
        samples = samples[:, chosen]
        chosen = slice(None)
        if sample == "s24in32":
            samples = _three(samples, layout.big)
        # Three bytes to the top of four, the scale divided out below: exact in 24 bits of a float.
        wide = np.zeros((*samples.shape[:2], 4), np.uint8)
        wide[..., slice(0, 3) if layout.big else slice(1, 4)] = samples
        samples, sample = wide, "s32"
    code = {"u8": "u1", "s8": "i1", "s16": "i2", "s32": "i4", "f32": "f4", "f64": "f8"}[sample]
    values = samples.view((">" if layout.big else "<") + code)[..., 0]
    with np.errstate(over="ignore", invalid="ignore"):  # `check` names what becomes infinite
        # One pass over the bytes: of eight channels, six are never made into floats.
        found = values[:, chosen].T.astype(np.float32, order="C")
    if sample == "u8":
        found -= 128.0
    if code[0] != "f":
        found *= np.float32(2.0 ** -(8 * int(code[1]) - 1))
    return found


def _three(turned: NDArray[np.uint8], big: bool) -> NDArray[np.uint8]:
    """The lower three of four bytes; the fourth must be their sign or nothing."""
    top, sign = (turned[..., 0], turned[..., 1]) if big else (turned[..., 3], turned[..., 2])
    # Else the sample is of 32 bits or lies at the top, and this would be another sound.
    if not np.all((top == 0) | ((top == 255) & (sign > 127))):
        raise AudioError("24 bits in 4 bytes by its header, but the fourth byte is used; "
                         "write 24 bits in 3 bytes")  # fmt: skip
    return turned[..., 1:] if big else turned[..., :3]
