import numpy as np
import pytest
import scipy.fft
import scipy.signal

from nearfar.errors import SettingError
from nearfar.sound import audio, spectral
from nearfar.sound.spectral import HOP, N_FFT, SAMPLE_RATE


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_one_sample_rate():
    assert SAMPLE_RATE == audio.SAMPLE_RATE


@pytest.mark.parametrize("n", [2, 5, 400, 1024])
def test_hann_is_the_periodic_one(n):
    np.testing.assert_allclose(spectral.hann(n), scipy.signal.get_window("hann", n), atol=1e-7)
    with pytest.raises(ValueError, match="read-only"):
        spectral.hann(n)[0] = 1


@pytest.mark.parametrize(("n_fft", "hop"), [(400, 160), (1024, 512), (256, 100), (401, 160)])
@pytest.mark.parametrize("samples", [1_600, 16_000, 20_479])
@pytest.mark.parametrize("padding", ["reflect", "zero"])
def test_stft_equals_numpy_frame_by_frame(rng, n_fft, hop, samples, padding):
    x = rng.standard_normal((2, samples)).astype(np.float32)
    got = spectral.stft(x, n_fft, hop, padding=padding)
    assert got.dtype == np.complex64
    assert got.shape == (2, n_fft // 2 + 1, 1 + samples // hop)
    mode = {"reflect": "reflect", "zero": "constant"}[padding]
    padded = np.pad(x.astype(np.float64), ((0, 0), (n_fft // 2,) * 2), mode=mode)
    window = scipy.signal.get_window("hann", n_fft)
    for t in (0, 1, got.shape[2] // 2, (padded.shape[1] - n_fft) // hop):
        want = np.fft.rfft(padded[:, t * hop : t * hop + n_fft] * window)
        np.testing.assert_allclose(got[:, :, t], want, atol=2e-4)


def test_stft_keeps_leading_shape(rng):
    x = rng.standard_normal((3, 2, 1_700)).astype(np.float32)
    whole = spectral.stft(x)
    assert whole.shape == (3, 2, 201, 11)
    np.testing.assert_array_equal(whole[2, 1], spectral.stft(x[2, 1]))


@pytest.mark.parametrize(("n_fft", "hop"), [(400, 160), (400, 200), (512, 128), (510, 111)])
@pytest.mark.parametrize("samples", [1_600, 16_000, 16_159, 31_999])
def test_istft_gives_the_sound_back(rng, n_fft, hop, samples):
    x = np.clip(rng.standard_normal((2, samples)), -1, 1).astype(np.float32)
    back = spectral.istft(spectral.stft(x, n_fft, hop), samples, n_fft, hop)
    assert back.dtype == np.float32
    assert np.abs(back - x)[:, : -n_fft // 4].max() < 1e-6
    # Only the flank of one window covers the last samples: rounding is divided by it, and with
    # half-overlapping frames the flank goes down to 0.
    assert np.abs(back - x).max() < (1e-4 if 2 * hop < n_fft else 1e-2)


def test_istft_is_exact_at_the_reports_setting(rng):
    x = np.clip(rng.standard_normal(160_000), -1, 1).astype(np.float32)
    assert np.abs(spectral.istft(spectral.stft(x), 160_000) - x).max() < 1e-6


def test_istft_of_a_changed_spectrogram_is_the_least_squares_one(rng):
    # Griffin and Lim: Σ w · frame / Σ w², here sample by sample.
    x = rng.standard_normal(2_000).astype(np.float32)
    mask = rng.uniform(0, 1, (201, 13)).astype(np.float32)
    changed = spectral.stft(x) * mask
    window = scipy.signal.get_window("hann", N_FFT)
    top, bottom = np.zeros(2_400), np.zeros(2_400)
    for t in range(13):
        top[t * HOP : t * HOP + N_FFT] += window * np.fft.irfft(changed[:, t])
        bottom[t * HOP : t * HOP + N_FFT] += window**2
    want = (top[200:2_200] / bottom[200:2_200])[:1_900]
    np.testing.assert_allclose(spectral.istft(changed, 2_000)[:1_900], want, atol=1e-5)


def test_istft_refuses_what_does_not_fit(rng):
    spectrogram = spectral.stft(rng.standard_normal(1_600).astype(np.float32))
    with pytest.raises(SettingError, match="11 frames, 3200 samples have 21"):
        spectral.istft(spectrogram, 3_200)
    with pytest.raises(SettingError, match="hop 300"):
        spectral.istft(spectrogram[:, :6], 1_600, 400, 300)


def test_short_or_oddly_padded_sounds_are_refused():
    with pytest.raises(SettingError, match="200 samples"):
        spectral.stft(np.zeros(200, np.float32))
    with pytest.raises(SettingError, match="padding 'wrap'"):
        spectral.pad(np.zeros(1_600, np.float32), padding="wrap")


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 1_001])
def test_blocks_cover_everything_once(n):
    spans = list(spectral.blocks(n, 128))
    assert [t for first, last in spans for t in range(first, last)] == list(range(n))
    lengths = [last - first for first, last in spans]
    assert max(lengths) <= 128
    assert max(lengths) - min(lengths) <= 1


def test_frames_are_a_view_of_every_channel_layout(rng):
    x = rng.standard_normal((2_000, 2)).astype(np.float32)
    frames = spectral.frames(x[:, 1])
    assert frames.shape == (11, N_FFT)
    np.testing.assert_array_equal(frames[3], x[480:880, 1])
    assert not frames.flags.writeable


def test_mel_scale_has_slaneys_constants():
    # Auditory Toolbox: 66.67 Hz a band up to 1 kHz, then 27 bands for a factor of 6.4.
    assert spectral.mel_scale(np.array(1000 * 6.4)) == pytest.approx(15 + 27)
    hz = np.linspace(0, 8_000, 81)
    np.testing.assert_allclose(spectral.mel_scale_inverse(spectral.mel_scale(hz)), hz, atol=1e-9)


@pytest.mark.parametrize(("n_mels", "n_fft"), [(40, 400), (128, 1024), (64, 1024)])
def test_mel_filters_are_triangles_of_unit_area(n_mels, n_fft):
    filters = spectral.mel_filters(n_mels, n_fft)
    assert filters.shape == (n_mels, n_fft // 2 + 1)
    assert (filters >= 0).all()
    hz = np.arange(n_fft // 2 + 1) * SAMPLE_RATE / n_fft
    peaks = hz[filters.argmax(axis=1)]
    assert (np.diff(peaks) >= 0).all()
    wide = filters[-n_mels // 4 :]  # bands of many bins: their sum is their area
    np.testing.assert_allclose(wide.sum(axis=1) * SAMPLE_RATE / n_fft, 1, rtol=0.02)


def test_too_many_mel_bands_are_refused():
    with pytest.raises(SettingError, match="400 mel bands"):
        spectral.mel_filters(400, 400)


def test_dct_is_scipys_orthonormal_one(rng):
    x = rng.standard_normal((40, 7))
    want = scipy.fft.dct(x, type=2, norm="ortho", axis=0)[:14]
    np.testing.assert_allclose(spectral.dct(14, 40) @ x, want, atol=1e-6)


def test_power_is_the_squared_modulus(rng):
    x = (rng.standard_normal((5, 7)) + 1j * rng.standard_normal((5, 7))).astype(np.complex64)
    out = spectral.power(x, np.empty((5, 14), np.float32), np.empty((5, 7), np.float32))
    np.testing.assert_allclose(out, np.abs(x) ** 2, rtol=1e-6)


def test_packed_spectra_have_the_same_numbers_and_powers(rng):
    framed = [rng.standard_normal((7, 400)).astype(np.float32) for _ in range(2)]
    window, scratch = spectral.hann(400), np.empty(2 * 7 * 400, np.float32)
    whole = spectral.spectrum(framed, window, scratch)
    packed = spectral.packed_spectrum(framed, window, scratch, np.empty(6_000, np.float32))
    np.testing.assert_array_equal(packed[1:-1:2], whole.real[1:-1])
    np.testing.assert_array_equal(packed[2:-1:2], whole.imag[1:-1])
    np.testing.assert_array_equal(packed[[0, -1]], whole.real[[0, -1]])
    power = spectral.power(whole, np.empty((201, 28), np.float32), np.empty((201, 14), np.float32))
    out = spectral.packed_power(packed, scratch.reshape(400, 14), np.empty_like(power))
    np.testing.assert_array_equal(out, power)


def test_log_mel_of_a_tone_peaks_at_its_band_and_floors_elsewhere():
    t = np.arange(16_000) / SAMPLE_RATE
    quiet = spectral.log_mel(np.zeros(16_000, np.float32))
    assert quiet.shape == (128, 32)
    assert quiet.dtype == np.float32
    np.testing.assert_allclose(quiet, 10 * np.log10(np.finfo(float).eps), atol=1e-3)
    tone = spectral.log_mel(np.sin(2 * np.pi * 1000 * t).astype(np.float32))
    top = spectral.mel_scale(np.array(8_000.0))
    assert abs(tone[:, 16].argmax() - (15 / top * 129 - 1)) < 1


def test_log_mel_follows_the_level_in_decibels(rng):
    x = rng.standard_normal(16_000).astype(np.float32)
    np.testing.assert_allclose(
        spectral.log_mel(x * np.float32(0.1)), spectral.log_mel(x) - 20, atol=1e-3
    )


def test_log_mel_equals_the_baseline_formula_in_float64(rng):
    # common.py of the official baseline: 20 / power · log10(max(mel, eps)) with power 2, on
    # librosa's melspectrogram: zero-padded, Hann 1024, hop 512, 128 Slaney bands.
    x = rng.standard_normal(5_000).astype(np.float32)
    padded = np.pad(x.astype(np.float64), 512)
    window = scipy.signal.get_window("hann", 1024)
    frames = np.stack([padded[s : s + 1024] * window for s in range(0, 5_001, 512)])
    mel = spectral.mel_filters(128, 1024) @ (np.abs(np.fft.rfft(frames)) ** 2).T
    want = 10 * np.log10(np.maximum(mel, np.finfo(float).eps))
    np.testing.assert_allclose(spectral.log_mel(x), want, atol=1e-4)
