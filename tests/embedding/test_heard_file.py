"""What a clip gave comes back from bytes as it was, and nothing else does."""

import contextlib
import struct
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar.embedding.chain import Chain
from nearfar.embedding.heard_file import HeardPieces, clip_in, from_plain, header_of, text_of
from nearfar.embedding.jobs import Heard, describe
from nearfar.errors import AudioError, FormatError
from nearfar.testing import noise

NEAR = (Chain(nf.Near(), nf.LogMel()),)
CODEC = HeardPieces(NEAR, "near-far", digest=True)
CLIPS = [
    nf.Clip(Path("a.wav")),
    nf.Clip(Path("b.wav"), start=0.1, stop=1 / 3, machine="fan", section="01"),
    nf.Clip(Path("near.wav"), far=Path("far.wav")),
    nf.Clip(Path("c.wav"), channels=(3, 0), time=datetime(2026, 3, 1, 12, 0, 0, 125)),
    nf.Clip(Path("\udcff\n\u2028.wav"), machine='"fän"'),
]


class Listened:
    def __init__(self, *clips):
        self.clips = clips


def there_and_back(one):
    [found] = CODEC.result(CODEC.pieces([one]))
    return found


def bits(value):
    """A float by its bits, so that NaN and -0.0 are themselves."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def test_what_is_known_of_a_sound_comes_back_to_the_bit():
    rows = np.array([1 / 3, -0.0, np.nan, np.inf], np.float32), np.zeros(0, np.float32)
    heard = replace(describe(noise(2), "9f86"), rows=rows, level=-0.0, near="é")
    found = there_and_back(heard)
    for one, other in zip(found.rows, rows, strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
    was, now = (asdict(replace(one, rows=())) for one in (heard, found))
    assert {n: bits(v) for n, v in now.items()} == {n: bits(v) for n, v in was.items()}


def test_an_error_comes_back_with_its_type_text_and_faults():
    error = AudioError("a.wav: silent; leave it out with skip_bad=True")
    error.faults = ("a.wav: silent",)
    found = there_and_back(error)
    assert (type(found), str(found), found.faults) == (AudioError, str(error), error.faults)


@pytest.mark.parametrize("clip", CLIPS, ids=range(len(CLIPS)))
def test_a_clip_comes_back_from_its_line(clip):
    line = text_of(clip)
    assert "\n" not in line
    assert clip_in(line) == clip_in(line.encode()) == clip


def test_a_name_is_of_the_clip_and_of_all_that_hears_it():
    ways = [
        CODEC, replace(CODEC, order="far-near"), replace(CODEC, digest=False),
        replace(CODEC, chains=(Chain(nf.Near(), nf.LogMel(n_mels=8)),)),
    ]  # fmt: skip
    names = [name for way in ways for name in way.names(Listened(*CLIPS))]
    assert len(set(names)) == len(ways) * len(CLIPS)
    assert CODEC.names(Listened(CLIPS[3], CLIPS[1])) == [names[3], names[1]]


NO_CLIPS = [
    "", "{", "[]", "7", '{"start": 1}', '{"path": 3}', '{"path": "a.wav", "time": "noon"}',
    '{"path": "a", "x": 1}',
]  # fmt: skip


@pytest.mark.parametrize("line", NO_CLIPS)
def test_what_is_no_clip_is_one_line(line):
    refused(lambda: clip_in(line), "run its shard again", error=FormatError)


def test_a_changed_byte_is_no_error_but_ours():
    [piece] = CODEC.pieces([Heard((np.ones(3, np.float32),), 10.0)])
    for place in range(0, len(piece), 3):
        changed = bytearray(piece)
        changed[place] ^= 0x80
        with contextlib.suppress(FormatError):
            CODEC.result([bytes(changed)])
    for size in range(0, len(piece), 7):
        refused(lambda size=size: CODEC.result([piece[:size]]), "run its shard", error=FormatError)


@pytest.mark.parametrize("values", [None, [], 3, {}, {"seconds": 1.0}, {"recorded": 1, "look": 2}])
def test_what_describes_no_sound_is_none(values):
    assert from_plain(values) is None


@pytest.mark.parametrize("content", [b"", bytes(8), b"\x02" + bytes(7) + b"[]"])
def test_what_has_no_header_is_told(content):
    with pytest.raises(ValueError, match=r"no header|Expecting"):
        header_of(content)
