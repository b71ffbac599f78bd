"""Plain words for features: each its own, with microphones and band, made by rule."""

import re
from itertools import pairwise

import numpy as np
import pytest

from conftest import refused
from nearfar.embedder.dif import CANDIDATES, TABLE
from nearfar.embedder.dif.table import BANDS, CONTRAST_BANDS, LR_BANDS, N_MELS
from nearfar.embedder.dif.words import band_of, hertz, spoken
from nearfar.errors import SettingError
from nearfar.sound.spectral import SAMPLE_RATE, dct, mel_scale

EDGES = {
    "spectral_contrast": CONTRAST_BANDS, "band_energy_ratio": BANDS, "coherence": BANDS,
    "band_level_difference": LR_BANDS, "band_level": BANDS,
}  # fmt: skip


def test_each_feature_has_words_of_its_own():
    said = [spoken(name) for name in CANDIDATES]
    assert len(set(said)) == len(CANDIDATES)
    for words in said:
        assert len(words) < 62  # beside two numbers in 80 columns
        assert words.isprintable()
        assert not re.search(r"[{}_]|\bthe the\b", words)


def test_words_say_which_microphones():
    for feature in TABLE:
        near, far, both = (w in spoken(feature.name) for w in ("near", "far", "microphones"))
        if feature.channel == "near":
            assert near
            assert not far
        else:
            assert far or both


def test_a_band_is_that_of_the_table_and_in_the_words():
    for family, edges in EDGES.items():
        features = [f for f in TABLE if f.family == family]
        bands = [band_of(f.name) for f in features]
        want = list(pairwise(edges))
        assert bands == want * (len(features) // len(want))
        for feature, band in zip(features, bands, strict=True):
            assert hertz(*band) in spoken(feature.name)


def test_features_of_all_frequencies_have_no_band():
    assert [f.name for f in TABLE if band_of(f.name) is None and f.family in EDGES] == []
    assert band_of("kurtosis") is band_of("mfcc_mean_3") is None
    assert spoken("hf_ratio_difference").endswith("above 4 kHz")


@pytest.mark.parametrize("k", [3, 4, 5])
def test_the_crests_of_a_cepstral_coefficient_are_where_its_cosine_is_highest(k):
    row = dct(14, N_MELS)[k]
    beside = np.maximum(np.append(row[1:], -1), np.insert(row[:-1], 0, -1))
    crests = np.flatnonzero((row > 0) & (row >= beside)) + 0.5  # bands, of equal width in mel
    said = [float(x) for x in re.findall(r"[\d.]+(?=,| )", spoken(f"mfcc_mean_{k}"))]  # kHz
    wide = float(mel_scale(np.array(SAMPLE_RATE / 2))) / N_MELS
    told = mel_scale(1000 * np.array(said)) / wide
    # A band is where its middle is, and what is told is rounded.
    assert all(np.abs(crests - one).min() <= 1.0 for one in told)
    assert all(np.abs(told - one).min() <= 1.0 for one in crests)


@pytest.mark.parametrize("name", ["", "band_ratio", "band_ratio_1_2", "mfcc_mean_99", "kurtosis_3"])
def test_a_feature_that_does_not_exist_has_no_words(name):
    refused(lambda: spoken(name), repr(name), error=SettingError)
    refused(lambda: band_of(name), error=SettingError)


def test_a_band_is_told_without_needless_digits():
    assert hertz(0, 8000) == "at all frequencies"
    assert hertz(0, 360) == "below 360 Hz"
    assert hertz(2480, 3680) == "at 2.48–3.68 kHz"
    assert hertz(5440, 8000) == "above 5.44 kHz"
    assert hertz(360, 760) == "at 360–760 Hz"
