"""Movements told together: nothing is lost, and a spectrum's shape is told where it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from conftest import RATE, write
from nearfar.detector.explanation.movement import Movement
from nearfar.detector.explanation.themes import themes_of
from nearfar.embedder.dif import TABLE
from nearfar.embedder.dif.table import CEPSTRA, N_MELS
from nearfar.embedder.dif.words import band_of, spoken
from nearfar.sound.spectral import SAMPLE_RATE, dct, mel_scale, mel_scale_inverse

FEATURES = {feature.name: feature for feature in TABLE}


def moved(name, movement=1.0, adjusted=None):
    """One feature that is so many sd from the normal clips."""
    f = FEATURES[name]
    return Movement(
        name, spoken(name), f.family, f.channel, f.unit, band_of(name),
        value=movement, normal=0.0, movement=movement,
        usual=movement, adjusted=movement if adjusted is None else adjusted,
    )  # fmt: skip


@given(st.lists(st.sampled_from(sorted(FEATURES)), unique=True), st.integers(0, 999))
def test_every_feature_is_in_one_theme_and_the_sum_is_the_same(names, seed):
    rng = np.random.default_rng(seed)
    movements = [moved(name, *rng.standard_normal(2)) for name in names]
    themes = themes_of(movements)
    assert sorted(name for theme in themes for name in theme.features) == sorted(names)
    whole = sum(one.contribution for one in movements)
    assert sum(theme.contribution for theme in themes) == pytest.approx(whole)
    parts = [theme.contribution for theme in themes]
    assert parts == sorted(parts, reverse=True)
    said = [theme.sentence for theme in themes]
    assert len(set(said)) == len(said)
    assert all(len(sentence) < 90 and sentence.isprintable() for sentence in said)


def cepstra_of(spectrum, family):
    """Movements of the cepstra that a change of a spectrum has, (mel bands,), each spread 1."""
    weights = dct(N_MELS, N_MELS) @ spectrum
    return [moved(f"{family}_{k}", float(weights[k])) for k in range(1, CEPSTRA + 1)]


@pytest.mark.parametrize("family", ["mfcc_mean", "mfcc_difference"])
@pytest.mark.parametrize("way", [-1.0, 1.0])
@pytest.mark.parametrize("middle", [6, 15, 25, 36])
def test_a_spectrum_that_changed_somewhere_is_told_where(family, way, middle):
    bump = 6.0 * np.exp(-(((np.arange(N_MELS) - middle) / 3) ** 2))
    (theme,) = themes_of(cepstra_of(way * bump, family))
    at = (middle + 1) / (N_MELS + 1) * float(mel_scale(np.array(SAMPLE_RATE / 2)))
    hz = float(mel_scale_inverse(np.array(at)))
    assert theme.band[0] <= hz <= theme.band[1]
    assert theme.band[1] - theme.band[0] < 3000
    assert np.sign(theme.amount) == way
    verb = "rose" if way > 0 else "fell"
    whose = (
        "the near sound's spectrum" if family == "mfcc_mean" else "the spectrum of near over far"
    )
    assert theme.sentence.startswith(f"{whose} {verb} ")


@pytest.mark.parametrize(("fall", "verb"), [(1.5, "rose"), (3.5, "fell")])
def test_a_rise_is_told_before_a_fall_that_may_be_its_other_side(fall, verb):
    places = np.arange(N_MELS)
    rise = np.exp(-(((places - 10) / 3) ** 2))
    dip = fall * np.exp(-(((places - 30) / 3) ** 2))
    # Without c0 a spectrum is told about its mean: a fall lifts the rest of it a little.
    (theme,) = themes_of(cepstra_of(4 * (rise - dip), "mfcc_mean"))
    assert f" {verb} " in theme.sentence
    (shares,) = themes_of([moved("band_ratio_0_200", 2.0), moved("band_ratio_200_400", -2 * fall)])
    assert shares.sentence.endswith(verb)


def test_a_cepstrum_alone_is_told_as_itself():
    (theme,) = themes_of([moved("mfcc_mean_7", -2.0)])
    assert theme.sentence == moved("mfcc_mean_7", -2.0).sentence
    assert theme.amount == -2.0


def test_the_pace_of_change_goes_the_way_of_most_that_it_is_worth():
    steps = {"delta_mfcc_std_1": -3.0, "delta2_mfcc_std_4": 2.5, "delta_mfcc_std_9": 2.0}
    (theme,) = themes_of([moved(name, by) for name, by in steps.items()])
    assert theme.sentence == "the near sound's pace of change rose"
    assert theme.amount == 2.5
    assert theme.features[0] == "delta_mfcc_std_1"


def test_of_bands_the_one_that_is_farthest_is_named():
    (theme,) = themes_of([moved("coherence_0_200", 1.0), moved("coherence_1600_2400", -4.0)])
    assert theme.sentence == "what both microphones hear alike at 1.6–2.4 kHz fell"
    assert theme.band == (1600.0, 2400.0)
    assert theme.contribution == 17.0


def test_features_that_are_not_of_one_kind_stay_apart():
    themes = themes_of([moved("rms_ratio", 1.0), moved("log_ratio_std", 2.0)])
    assert [theme.sentence for theme in themes] == [
        "the beating between the microphones rose", "the level of near over far rose",
    ]  # fmt: skip


@pytest.mark.parametrize("low", [1000.0, 3000.0])
def test_a_band_that_becomes_louder_is_heard_where_it_is(low, tmp_path):
    """From sounds to the words, by System 4."""
    rng = np.random.default_rng(11)
    sounds = 0.05 * rng.standard_normal((30, 2, round(1.2 * RATE))).astype(np.float32)
    for n, sound in enumerate(sounds[:28]):
        write(tmp_path / "pump" / f"{n}.wav", sound, subtype="FLOAT")
    fitted = nf.fit(nf.s4(), nf.Clips.open(tmp_path))
    spectrum = np.fft.rfft(sounds[29])
    hz = np.fft.rfftfreq(sounds.shape[-1], 1 / RATE)
    spectrum[0, (hz >= low) & (hz < 1.5 * low)] *= 4  # 12 dB, near only
    told = fitted.explain(np.fft.irfft(spectrum).astype(np.float32), sr=RATE)
    shape = next(t for t in told.themes if t.features[0].startswith("mfcc_mean"))
    assert shape.sentence.startswith("the near sound's spectrum rose ")
    assert shape.band[0] < 1.25 * low < shape.band[1]
    assert shape.amount > 5
