"""The time in a Broadcast Wave header: laid as EBU Tech 3285 has it."""

import struct
from datetime import datetime

import numpy as np
import pytest
import soundfile

from nearfar.sound.bext import origination


def broadcast(path, date=b"2026-11-29", time=b"22:30:05", magic=b"RIFF", before=True):
    """A WAV file with such a chunk before or behind its sound."""
    soundfile.write(path, np.zeros((1600, 2), np.float32), 16_000, subtype="PCM_16")
    plain = path.read_bytes()
    text = b"a hall".ljust(256, b"\0") + b"recorder".ljust(32, b"\0") + b"7".ljust(32, b"\0")
    content = text + date + time + bytes(8 + 2 + 64 + 190)
    chunk = b"bext" + struct.pack("<I", len(content)) + content
    body = chunk + plain[12:] if before else plain[12:] + chunk
    path.write_bytes(magic + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    return path


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("parts", [b"-:", b"__", b"..", b"  ", b":-"])
def test_the_recorders_time_is_read(tmp_path, before, parts):
    day, clock = parts[:1], parts[1:]
    date, time = b"2026" + day + b"11" + day + b"29", b"22" + clock + b"30" + clock + b"05"
    path = broadcast(tmp_path / "a.wav", date, time, before=before)
    assert origination(path) == datetime(2026, 11, 29, 22, 30, 5)


@pytest.mark.parametrize(
    ("date", "time"),
    [(b"0000-00-00", b"00:00:00"), (b"2026-02-31", b"10:00:00"), (bytes(10), bytes(8)),
     (b"2026-11-29", b"25:00:00"), (b"29-11-2026", b"22:30:05")],
)  # fmt: skip
def test_what_is_no_time_is_none(tmp_path, date, time):
    assert origination(broadcast(tmp_path / "a.wav", date, time)) is None


def test_files_without_a_header_of_that_kind_have_none(tmp_path):
    soundfile.write(tmp_path / "plain.wav", np.zeros((1600, 2)), 16_000)
    soundfile.write(tmp_path / "a.flac", np.zeros((1600, 2)), 16_000)
    (tmp_path / "empty.wav").write_bytes(b"")
    short = broadcast(tmp_path / "short.wav")
    short.write_bytes(short.read_bytes()[:300])
    for name in ("plain.wav", "a.flac", "empty.wav", "short.wav", "gone.wav"):
        assert origination(tmp_path / name) is None
