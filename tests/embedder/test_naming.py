"""Plain words of features, of whichever embedder: each its own, with its band."""

import re

import nearfar as nf
from nearfar.embedder.contract import features_of
from nearfar.embedder.dif import words
from nearfar.embedder.dif.table import Feature
from nearfar.embedder.dif.words import hertz
from nearfar.embedder.naming import PHRASES, band_of, spoken

FEATURES = features_of(nf.Concatenated((nf.DIF(), nf.ENV(), nf.LTAS())))


def test_each_of_the_296_has_words_of_its_own():
    said = [spoken(feature) for feature in FEATURES]
    assert len(set(said)) == 296
    for text in said:
        assert len(text) < 62  # beside two numbers in 80 columns
        assert not re.search(r"[{}_]", text)


def test_those_of_dif_are_what_they_were():
    for feature in features_of(nf.DIF()):
        assert spoken(feature) == words.spoken(feature.name)
        assert band_of(feature) == words.band_of(feature.name)


def test_every_family_of_env_and_ltas_has_a_phrase_and_a_band():
    own = FEATURES[120:]
    assert {feature.family for feature in own} == set(PHRASES)
    for feature in own:
        low, high = band_of(feature)
        assert feature.name == f"{feature.family}_{low:.0f}_{high:.0f}"
        assert hertz(low, high) in spoken(feature)
        assert "near" in spoken(feature)


def test_a_feature_of_a_persons_own_is_called_by_its_name():
    mine = Feature("hum", "mine", "near", "dB", "the level at 50 Hz")
    assert (spoken(mine), band_of(mine)) == ("hum", None)
