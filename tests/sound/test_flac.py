"""FLAC's own numbers: of its header and of its last frame."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nearfar.sound.flac import flac_layout, patched


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("frames", [1, 4_096, 4_097, 700_000])
def test_the_last_frame_says_how_long_the_file_is(
    tmp_path: Path, channels: int, frames: int
) -> None:
    """The number of a frame takes one to seven bytes: 700,000 samples need more than one."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((frames, channels))
    path = tmp_path / "x.flac"
    soundfile.write(path, sound, 44_100)
    data = bytearray(path.read_bytes())
    assert flac_layout(io.BytesIO(data), len(data), exact=True).fault == ""
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # the total, as of a pipe
    layout = flac_layout(io.BytesIO(data), len(data))
    assert (layout.frames, layout.channels, layout.fault) == (frames, channels, "")
    changed = tmp_path / "y.flac"
    changed.write_bytes(data)
    with patched(changed, layout) as file:
        assert file.read() == path.read_bytes()
