"""Sounds of a page are the clip's own, at one gain."""

import base64
import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from nearfar.report.sounds import LOUDEST, common_gain, flac, tracks, url


def heard(place: str):
    kind, content = place.split(";base64,")
    assert kind == "data:audio/flac"
    return soundfile.read(io.BytesIO(base64.b64decode(content)))


def test_a_sound_comes_back_as_it_was():
    tone = 0.5 * np.sin(np.arange(1600) * 0.3).astype(np.float32)
    back, rate = heard(url(tone))
    assert rate == 16_000
    np.testing.assert_allclose(back, tone, atol=2 / 2**16)


def test_a_url_has_the_file():
    tone = 0.5 * np.sin(np.arange(1600) * 0.3).astype(np.float32)
    made = flac(tone)
    assert made.startswith(b"fLaC")
    assert base64.b64decode(url(tone).partition(",")[2]) == made


def test_what_is_louder_stays_louder_by_as_much():
    tone = np.sin(np.arange(1600) * 0.3).astype(np.float32)
    made = tracks({"near": ("near", 0.02 * tone), "far": ("far", 0.01 * tone)})
    near, far = (heard(track.url)[0] for track in made)
    assert np.max(np.abs(near)) == pytest.approx(LOUDEST, abs=1e-3)
    assert np.std(near) / np.std(far) == pytest.approx(2, rel=1e-3)
    assert [track.seconds for track in made] == [0.1, 0.1]


@given(st.lists(st.floats(-2, 2, width=32), max_size=20))
def test_nothing_is_clipped(samples):
    audio = np.array(samples, np.float32)
    assert np.max(np.abs(common_gain([audio]) * audio), initial=0) <= max(LOUDEST + 1e-6, 1e-6)


def test_silence_is_not_made_loud():
    assert common_gain([np.zeros(10, np.float32)]) == 1.0
    assert common_gain([]) == 1.0
