"""What the canceller leaves, by Wiener's formula."""

import numpy as np
import pytest

from front_sounds import half_common, white
from nearfar.errors import SettingError
from nearfar.frontend import FarCancel
from nearfar.sound import spectral

# ---- the contract --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [{"n_fft": 1023}, {"hop": 513}, {"hop": 0}, {"n_fft": 8}, {"n_fft": 1e3}], ids=repr
)
def test_bad_settings_of_the_canceller(bad):
    with pytest.raises(SettingError, match=next(iter(bad))):
        FarCancel(**bad)


# ---- laws of the canceller -----------------------------------------------------------------------


def rms(x):
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


@pytest.mark.parametrize("samples", [16_000, 16_001, 16_895, 47_003])
def test_cancelling_silence_is_the_identity(samples):
    audio = np.clip(5 * white(3)[:, :samples], -1, 1)
    audio[1] = 0
    assert np.abs(FarCancel()(audio) - audio[:1]).max() <= 1e-6


def test_noise_falls_to_what_is_not_coherent():
    """Wiener: of noise v and a far microphone v + u there remains 1 − MSC = U / (V + U)."""
    v, u = white(20)
    residue = FarCancel()(np.stack([v, v + 0.3 * u]))
    assert 20 * np.log10(rms(residue) / rms(v)) == pytest.approx(
        10 * np.log10(0.09 / 1.09), abs=0.1
    )


@pytest.mark.parametrize("delay", [4, 16, 64])
def test_a_delay_is_cancelled_as_far_as_the_window_allows(delay):
    """Frames `delay` apart correlate by the window's autocorrelation c: 1 − c² remains."""
    v = white(20, channels=1)[0]
    window = np.sin(np.pi * np.arange(1024) / 1024) ** 2
    c = np.dot(window[delay:], window[:-delay]) / np.dot(window, window)
    audio = np.stack([np.roll(v, delay), v])
    part = FarCancel()
    near, far = spectral.stft(audio, 1024, 512, padding="zero")
    left = near - part.filter(audio)[:, None] * far
    inside = slice(2, -2)  # the ends are cut off differently in both channels
    share = np.sum(np.abs(left[:, inside]) ** 2) / np.sum(np.abs(near[:, inside]) ** 2)
    assert share == pytest.approx(1 - c**2, rel=0.05)
    assert rms(part(audio)[:, 1024:-1024]) ** 2 <= share * rms(v) ** 2


def test_the_machine_stays_and_the_noise_goes():
    """Near: machine + h∗noise, far: noise. What is left beside the machine is its chance fit."""
    machine, noise = white(20)
    machine *= 0.3
    heard = np.convolve(noise, [0.6, 0.3, -0.1])[: len(noise)].astype(np.float32)
    out = FarCancel()(np.stack([machine + heard, noise]))[0]
    left = rms(out - machine) ** 2
    frames = len(noise) // 512
    # Each H errs by machine/noise power over the effective frames (half-overlapped Hann: 1 + 2/36);
    # three taps leave 1 − c² of a delay of two samples at most.
    chance = rms(machine) ** 2 * (1 + 2 / 36) / frames
    window = 4 / 3 * np.pi**2 * 2**2 / 1024**2 * rms(heard) ** 2
    assert 0.5 * chance < left < 1.2 * (chance + window)
    assert left < 1e-2 * rms(heard) ** 2  # at least 20 dB down


@pytest.mark.parametrize("part", [FarCancel(), FarCancel(256, 64)], ids=repr)
def test_no_frequency_gets_louder(part):
    n = 47 * 512
    audio = half_common(2.0)[:, :n] * np.array([[1e-3], [30.0]], np.float32)
    near, far = spectral.stft(audio, part.n_fft, part.hop, padding="zero")
    left = near - part.filter(audio)[:, None] * far
    before, after = (np.sum(np.abs(x).astype(np.float64) ** 2, axis=1) for x in (near, left))
    assert np.all(after <= before * (1 + 1e-6))
    wanted = spectral.istft(left, n, part.n_fft, part.hop)
    np.testing.assert_allclose(part(audio)[0], wanted, atol=1e-6 * np.abs(audio[0]).max())


def test_identical_channels_cancel():
    v = half_common()[0]
    assert rms(FarCancel()(np.stack([v, v]))) < 1e-5 * rms(v)


@pytest.mark.parametrize("gain", [1e-9, 1e9])
def test_cancelling_does_not_depend_on_gains(gain):
    audio = half_common()
    wanted = FarCancel()(audio)
    for gains in ([gain, gain], [1, gain]):
        out = FarCancel()(audio * np.array(gains, np.float32)[:, None]) / np.float32(gains[0])
        np.testing.assert_allclose(out, wanted, atol=1e-5)
