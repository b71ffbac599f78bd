"""Files that promise, or unpack to, far more than they have; and what is no sound at all."""

import io
import struct
import zipfile

import numpy as np
import soundfile

from nearfar.sound.audio import encode


def flac(audio, rate=16_000):
    """(channels, samples) as a FLAC of 16 bits."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(audio).T, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def silent_flac(frames, channels=2, rate=16_000):
    """A FLAC of silence, which unpacks to a thousand times what it is."""
    buffer, block = io.BytesIO(), np.zeros((1 << 20, channels), np.int16)
    with soundfile.SoundFile(buffer, "w", rate, channels, subtype="PCM_16", format="FLAC") as file:
        for first in range(0, frames, len(block)):
            file.write(block[: frames - first])
    return buffer.getvalue()


def promising_flac(audio):
    """A FLAC whose header says 2^36 − 1 samples."""
    content = bytearray(flac(audio))
    packed = int.from_bytes(content[18:26], "big") | ((1 << 36) - 1)
    content[18:26] = packed.to_bytes(8, "big")
    return bytes(content)


def wav(audio, rate=16_000, channels=None, size=None):
    """A WAV of 16 bits whose header may lie about the rate, the channels or the bytes."""
    content = bytearray(encode(np.asarray(audio), "PCM_16"))
    assert content[12:16] == b"fmt "
    count = len(audio) if channels is None else channels
    content[22:24] = struct.pack("<H", count)
    content[24:32] = struct.pack("<II", rate, min(rate * 2 * count, 0xFFFFFFFF))
    content[32:34] = struct.pack("<H", 2 * count)
    if size is not None:
        content[40:44] = struct.pack("<I", size)
    return bytes(content)


def zipped(audio):
    """A zip, whatever it is called."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("1.wav", wav(audio))
        made.writestr("zeros", bytes(10_000_000))
    return buffer.getvalue()
