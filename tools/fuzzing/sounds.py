"""Sound files of known samples, damaged, and what may come out of them.

What is on disk is known without any decoder: samples are drawn as whole numbers, written out here
in the coding's own bytes, and these bytes are looked for in the file that libsndfile made.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from nearfar.clips import Clips
from nearfar.sound import audio
from tools.fuzzing.damage import any_bytes, flipped, pick

RATE = 16_000
PCM = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4}  # subtype → bytes a sample
# Container, coding, whether numbers begin with their high byte.
PLAIN = (
    *(("WAV", coding, False) for coding in (*PCM, "PCM_U8", "FLOAT", "DOUBLE")),
    *(("WAVEX", coding, False) for coding in (*PCM, "FLOAT")),
    *(("RF64", coding, False) for coding in ("PCM_16", "PCM_24")),
    *(("W64", coding, False) for coding in ("PCM_16", "PCM_24", "FLOAT")),
    *(("WAV", coding, True) for coding in ("PCM_16", "PCM_24")),  # RIFX
    *(("AIFF", coding, True) for coding in (*PCM, "FLOAT")),
    *(("AU", coding, True) for coding in ("PCM_16", "PCM_24", "FLOAT")),
    *(("CAF", coding, True) for coding in ("PCM_16", "PCM_24")),
)
PACKED = (
    ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"), ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
)  # fmt: skip
OWN_SUFFIX = {"WAV": ".wav", "WAVEX": ".wav", "RF64": ".rf64", "W64": ".w64", "AIFF": ".aiff",
              "AU": ".au", "CAF": ".caf", "FLAC": ".flac", "OGG": ".ogg",
              "MP3": ".mp3"}  # fmt: skip
BIG = ("RIFX", "AIFF", "AU", "CAF")  # containers whose sizes begin with their high byte
W64_NAME = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # the end of the name of every W64 chunk
SIZES = (0, 1, 44, 0x7FFF_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)


@dataclass(frozen=True)
class Sound:
    """A file's bytes and what is known of them.

    >>> made = make(np.random.default_rng(0), ("WAV", "PCM_16", False), frames=3)
    >>> made.start, made.block, made.there, len(made.data)
    (44, 4, 3, 56)
    """

    data: bytes
    form: str  # container and coding
    suffix: str
    samples: NDArray[np.float64]  # (frames, channels), as drawn
    start: int = 0  # where the samples begin in the file; 0: packed, no byte has a place
    block: int = 0  # bytes a frame
    there: int | None = None  # frames on disk; None: nobody can say
    changed: bool = False  # are samples themselves damaged?
    damage: str = "none"
    exact: bool = True  # do samples come back as they were drawn?


def make(
    rng: np.random.Generator, plain: tuple[str, str, bool], frames: int, channels: int = 2
) -> Sound:
    """An undamaged file without compression."""
    container, coding, big = plain
    bits = 8 if coding == "PCM_U8" else 16
    numbers = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (frames, channels))
    samples = numbers / 2 ** (bits - 1)
    wide = numbers.astype(np.int32) << (32 - bits)
    buffer = io.BytesIO()
    given = samples if coding in ("FLOAT", "DOUBLE") else wide
    endian = "BIG" if big and container == "WAV" else "FILE"
    soundfile.write(buffer, given, RATE, format=container, subtype=coding, endian=endian)
    raw = _raw(numbers, samples, coding, big)
    data = buffer.getvalue()
    start = data.rfind(raw)
    if start < 0:  # a coding that is not what is thought of it here
        raise AssertionError(f"{container} {coding}: its samples are not found in the file")
    name = "RIFX" if endian == "BIG" else container
    block = len(raw) // frames
    return Sound(data, f"{name} {coding}", OWN_SUFFIX[container], samples, start, block, frames)


def _raw(numbers: NDArray[np.int64], samples: NDArray[np.float64], coding: str, big: bool) -> bytes:
    """The samples as the coding writes them."""
    order = ">" if big else "<"
    if coding == "PCM_U8":
        return (numbers + 128).astype(np.uint8).tobytes()
    if coding in ("FLOAT", "DOUBLE"):
        return samples.astype(f"{order}f{4 if coding == 'FLOAT' else 8}").tobytes()
    width = PCM[coding]
    whole = (numbers.astype(np.int64) << 16).astype(f"{order}i4").tobytes()
    each = np.frombuffer(whole, np.uint8).reshape(-1, 4)
    return (each[:, :width] if big else each[:, 4 - width :]).tobytes()


def packed(rng: np.random.Generator, frames: int) -> Sound:
    """An undamaged compressed file."""
    container, coding = pick(PACKED, rng)
    samples = rng.integers(-(2**15), 2**15, (frames, 2)) / 2**15
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 48_000 if coding == "OPUS" else RATE,
                    format=container, subtype=coding)  # fmt: skip
    lossless = container == "FLAC"
    return Sound(
        buffer.getvalue(), f"{container} {coding}", OWN_SUFFIX[container], samples,
        there=frames if lossless else None, exact=lossless,
    )  # fmt: skip


# ---- damage ----------------------------------------------------------------------------------


def shortened(sound: Sound, rng: np.random.Generator) -> Sound:
    """The end is missing."""
    size = int(rng.integers(0, len(sound.data)))
    if rng.random() < 0.3:  # within the last few frames, where padding hides it
        size = max(0, len(sound.data) - int(rng.integers(1, 20)))
    there = sound.there
    if sound.start and there is not None:
        there = min(there, max(0, (size - sound.start) // sound.block))
    return replace(sound, data=sound.data[:size], there=there, damage="cut")


def wrong_size(sound: Sound, rng: np.random.Generator) -> Sound:
    """A size in the header says something else; a recorder that died leaves such files."""
    if not sound.start:
        return _wrong_total(sound, rng) if sound.data[:4] == b"fLaC" else sound
    data = bytearray(sound.data)
    big = sound.form.startswith(BIG)
    true = len(data) - sound.start
    told = pick((true // 2, true + 44, max(true - 44, 0), true - 1, true + sound.block,
                 *SIZES, int(rng.integers(2**32))), rng)  # fmt: skip
    width = 8 if sound.form.startswith(("W64", "CAF", "RF64")) else 4
    if width == 8 and rng.random() < 0.3:
        told = 2**39
    # The fields of all containers: behind the first four letters, or before the samples.
    places = [4, sound.start - width, sound.start - width - 8, 8, 20, 28]
    for place in {pick(places, rng) for _ in range(int(rng.integers(1, 3)))}:
        if 0 < place <= sound.start - 4:
            size = min(width, sound.start - place)
            field = (told % 2 ** (8 * size)).to_bytes(size, "big" if big else "little")
            data[place : place + size] = field
    return replace(sound, data=bytes(data), damage="size", exact=False)


def _wrong_total(sound: Sound, rng: np.random.Generator) -> Sound:
    """STREAMINFO's number of samples, 36 bits behind byte 21, made smaller or larger."""
    data, true = bytearray(sound.data), len(sound.samples)
    # A recorder that died had written whole frames of libFLAC's 4,096 samples.
    told = pick((0, true // 2, true + 1, true * 2, 2**36 - 1, max(true - 1, 1),
                 max(true // 8192, 1) * 4096), rng)  # fmt: skip
    data[21] = data[21] & 0xF0 | told >> 32
    data[22:26] = (told & 0xFFFF_FFFF).to_bytes(4, "big")
    return replace(sound, data=bytes(data), damage="size")


def tailed(sound: Sound, rng: np.random.Generator) -> Sound:
    """Something behind the samples: a chunk of its own, zeros, or anything."""
    kind = int(rng.integers(3))
    size = int(rng.integers(1, 200))
    chunk = b"LIST" + size.to_bytes(4, "little") + rng.bytes(size + size % 2)
    tail = (chunk, bytes(size), rng.bytes(size))[kind]
    return replace(sound, data=sound.data + tail, damage="tail")


def prolonged(sound: Sound, rng: np.random.Generator) -> Sound:
    """More sound than the header counts: behind the container's end, or in a chunk of its own."""
    if not sound.start and sound.data[:4] != b"fLaC":
        return sound
    frames = int(rng.integers(1, 2 * len(sound.samples)))
    drawn = sound.samples[rng.integers(0, len(sound.samples), frames)]
    samples = np.concatenate([sound.samples, drawn])
    if not sound.start:
        buffer = io.BytesIO()
        soundfile.write(buffer, drawn, RATE, format="FLAC", subtype=sound.form.split()[1])
        return replace(sound, data=sound.data + buffer.getvalue(), samples=samples,
                       there=len(samples), damage="a second FLAC")  # fmt: skip
    if rng.random() < 0.2:
        samples = np.concatenate([sound.samples] * 2)
        return replace(sound, data=sound.data * 2, samples=samples, there=len(samples),
                       damage="a second file")  # fmt: skip
    container, coding = sound.form.split()
    big = container in BIG
    bits = 8 if coding == "PCM_U8" else 16
    more = _raw(np.rint(drawn * 2 ** (bits - 1)).astype(np.int64), drawn, coding, big)
    known = _chunk(container, b"ANNO" if container == "AIFF" else b"LIST", b"text")
    # A block of PCM_U8 or 24 bits may leave an odd end, which a chunk is padded to.
    odd = bytes(_padding(container, len(sound.data)))
    if container != "AU" and rng.random() < 0.5:
        name, head = (b"SSND", bytes(8)) if container == "AIFF" else (b"data", b"")
        between = odd + known if rng.random() < 0.3 else odd
        more, damage = between + _chunk(container, name, head + more), "a second chunk"
    elif container != "AU" and rng.random() < 0.5:
        more, damage = odd + known + more, "sound behind a chunk"
    else:
        damage = "sound behind the end"
    return replace(sound, data=sound.data + more, samples=samples, there=len(samples),
                   damage=damage)  # fmt: skip


def _chunk(container: str, name: bytes, content: bytes) -> bytes:
    if container == "W64":
        length = (24 + len(content)).to_bytes(8, "little")
        chunk = name + W64_NAME + length + content
    else:
        width = 8 if container == "CAF" else 4
        chunk = name + len(content).to_bytes(width, "big" if container in BIG else "little")
        chunk += content
    return chunk + bytes(_padding(container, len(chunk)))


def _padding(container: str, size: int) -> int:
    return -size % (8 if container == "W64" else 2)


def noisy(sound: Sound, rng: np.random.Generator) -> Sound:
    """Bytes flipped among the samples: other samples, as many."""
    data = flipped(sound.data, rng, sound.start or 42)
    return replace(sound, data=data, changed=True, damage="samples")


def headed(sound: Sound, rng: np.random.Generator) -> Sound:
    """Bytes flipped in the header."""
    data = flipped(sound.data, rng, 0, sound.start or 42)
    return replace(sound, data=data, exact=False, damage="header")


def anything(sound: Sound, rng: np.random.Generator) -> Sound:
    """Damage that asks no law but that nothing falls over."""
    return replace(sound, data=any_bytes(sound.data, rng), there=None, damage="anything")


def as_it_is(sound: Sound, rng: np.random.Generator) -> Sound:
    """No damage."""
    return sound


Damage = Callable[[Sound, np.random.Generator], Sound]
DAMAGES: tuple[Damage, ...] = (
    as_it_is,
    shortened,
    wrong_size,
    tailed,
    prolonged,
    noisy,
    headed,
    anything,
)


# ---- one case --------------------------------------------------------------------------------


def damaged(rng: np.random.Generator) -> Sound:
    """A file of any container and coding, with any damage."""
    # Mostly short: what fails does so in headers and at ends.
    frames = int(np.exp(rng.uniform(np.log(8), np.log(rng.choice((300, 3000, 40_000))))))
    if rng.random() < 0.7:
        channels = int(pick((1, 2, 2, 2, 4), rng))
        sound = make(rng, pick(PLAIN, rng), frames, channels)
    else:
        sound = packed(rng, frames)
    sound = pick(DAMAGES, rng)(sound, rng)
    if rng.random() < 0.25:  # content and suffix need not agree
        sound = replace(sound, suffix=pick((".wav", ".flac", ".WAV", ".aif", ".wave", ""), rng))
    return sound


def run(folder: Path, rng: np.random.Generator) -> str:
    """Read one damaged file; say what is wrong with what came out, or nothing."""
    sound = damaged(rng)
    path = folder / f"sound{sound.suffix}"
    path.write_bytes(sound.data)
    about = f"{sound.form}, {sound.damage}: "
    if rng.random() < 0.2:  # as the command line does, in pieces of a second
        return _in_pieces(path, sound, about)
    rate, _ = _told(path)
    found = audio.read(path, sample_rate=rate).T.astype(np.float64)  # (frames, channels)
    wrong = compared(found, sound, path)
    return about + wrong if wrong else ""


def _in_pieces(path: Path, sound: Sound, about: str) -> str:
    clips = Clips.open(path, clip_seconds=1.0)
    if len(clips) > 1 + len(sound.data) // RATE:
        return about + f"{len(clips)} clips of a second, of {len(sound.data)} bytes"
    pieces = [clip.read() for clip in clips]
    if sound.there is None or not sound.exact or sound.changed or _told(path)[0] != RATE:
        return ""
    whole = len(sound.samples) // RATE if len(sound.samples) >= RATE else 0
    count = sum(piece.shape[1] for piece in pieces)
    wanted = whole * RATE or sound.there
    return "" if count == wanted else about + f"{count} samples in pieces, {wanted} are there"


def _told(path: Path) -> tuple[int, int]:
    """Sample rate, so that nothing is resampled; bytes a frame, 0 if unknown."""
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return RATE, 0
    width = {**PCM, "PCM_U8": 1, "PCM_S8": 1, "FLOAT": 4, "DOUBLE": 8}.get(info.subtype, 0)
    rate = info.samplerate if 1000 <= info.samplerate <= 1_000_000 else RATE
    return rate, width * info.channels


def compared(found: NDArray[np.float64], sound: Sound, path: Path) -> str:
    """What was read without an error, held against what is on disk."""
    if sound.there is None:
        return ""
    channels = sound.samples.shape[1]
    if found.shape[1] != channels and sound.damage not in ("header", "size"):
        return f"{found.shape[1]} channels read, {channels} are there"
    # The coding or the number of channels may be another, which no byte denies: bytes are counted.
    if sound.damage == "header" or found.shape[1] != channels:
        block = _told(path)[1]
        there, used = sound.there * sound.block, len(found) * block
        lost = block and sound.block and used + sound.start + block < there
        return f"{used} bytes of samples read, {there} are there" if lost else ""
    if len(found) != sound.there:
        return f"{len(found)} samples read, {sound.there} are there"
    if sound.changed or not sound.exact:
        return ""
    same = np.array_equal(found, sound.samples[: sound.there].astype(np.float32))
    return "" if same else "other samples than those on disk"
