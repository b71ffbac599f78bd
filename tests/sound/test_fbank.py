"""Kaldi's filter bank and EAT's front end: gold values, a reference of its own, and laws."""

import math
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import DATA
from nearfar.embedder.eat.features import PADDING, check_frames, features, frames_of
from nearfar.errors import AudioError, NearfarWarning, SettingError
from nearfar.sound.fbank import fbank, group_edges, mel_filters, n_frames

GOLD = DATA / "eat"
RATE = 16_000
LOG_FLOOR = math.log(2.0**-23)  # what the trained front ends put for silence


def noise(seconds=1.0, seed=0, level=0.1):
    n = round(seconds * RATE)
    return (level * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def tone(hz=1000.0, seconds=1.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("f4")


def click():
    x = np.zeros(RATE, np.float32)
    x[7_777] = 0.5
    return x


def gold(name):
    with np.load(GOLD / name) as file:
        values = {key: file[key] for key in ("target_length", "mel_sum", "mel") if key in file}
    x, rate = soundfile.read(GOLD / "wav" / f"{Path(name).stem.split('_')[0]}.wav", dtype="f4")
    assert rate == RATE
    return x, values


def mel_of(hz):
    return 1127.0 * math.log(1.0 + hz / 700.0)


def kaldi(x):
    """`compute-fbank-feats` as its documentation defines it, in float64, one frame at a time."""
    low, step = mel_of(20.0), (mel_of(8000.0) - mel_of(20.0)) / 129
    bins = [mel_of(k * RATE / 512) for k in range(256)]
    weights = np.zeros((128, 257))
    for band in range(128):
        left, centre, right = (low + (band + k) * step for k in range(3))
        for k, mel in enumerate(bins):
            if left < mel <= centre:
                weights[band, k] = (mel - left) / (centre - left)
            elif centre < mel < right:
                weights[band, k] = (right - mel) / (right - centre)
    hanning = [0.5 - 0.5 * math.cos(2 * math.pi * i / 399) for i in range(400)]
    rows = []
    start = 0
    while start + 400 <= len(x):
        frame = x[start : start + 400].astype(np.float64)
        frame = frame - frame.sum() / 400
        emphasised = frame.copy()
        for i in range(399, 0, -1):
            emphasised[i] -= 0.97 * emphasised[i - 1]
        emphasised[0] -= 0.97 * emphasised[0]
        spectrum = np.fft.rfft(np.concatenate([emphasised * hanning, np.zeros(112)]))
        rows.append(np.log(np.maximum(weights @ np.abs(spectrum) ** 2, 2.0**-23)))
        start += 160
    return np.array(rows)


# Gold: the reference implementation's own output (shared/gold/eat).


def test_the_published_front_end_on_a_recording():
    x, values = gold("tiny/wav6s.npz")
    error = np.abs(features(x, 1024).astype(np.float64) - values["mel"])
    assert error.max() <= 2e-5
    assert error.mean() <= 1e-6


@pytest.mark.parametrize(
    "name",
    [
        "tiny/wav6s.npz",
        "tiny/wav10s.npz",
        "tiny/wav16s.npz",
        "tiny/wav16s_len1600.npz",
        "tiny_finetune/wav6s_len608.npz",
    ],
)
def test_sum_of_the_published_front_end(name):
    x, values = gold(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)  # 16 s in 1024 frames
        mel = features(x, int(values["target_length"]))
    assert len(mel) == values["target_length"]
    # A mean error of 1e-6, all of one sign; a frame lost or moved shows as more.
    assert mel.astype(np.float64).sum() == pytest.approx(values["mel_sum"], abs=1e-6 * mel.size)


def test_filters_as_torch_computes_them():
    """The encoders' front end computed its bank in float32.

    The last bit of a logarithm differs from library to library and from CPU to CPU: it moves a bin
    by a step of float32 at 2,840 mel, 2⁻¹². A side may be off by four of them: its bin and its
    corner in each library.
    """
    torch = pytest.importorskip("torch")
    low, step = mel_of(20.0), (mel_of(8000.0) - mel_of(20.0)) / 129
    left, centre, right = (low + (torch.arange(128)[:, None] + k) * step for k in (0, 1.0, 2.0))
    mel = 1127.0 * (1.0 + 31.25 * torch.arange(256)[None, :] / 700.0).log()
    sides = torch.min((mel - left) / (centre - left), (right - mel) / (right - centre))
    theirs = torch.clamp(sides, min=0).numpy()
    assert np.abs(mel_filters()[:256].T - theirs).max() <= 4 * 2.0**-12 / step


# The definition, in float64.


@pytest.mark.parametrize(
    "x",
    [noise(), noise(level=1e-3), tone(), click(), noise(0.4) + np.float32(0.2)],
    ids=["noise", "quiet noise", "tone", "silence and a click", "offset"],
)
def test_as_kaldi_defines_it(x):
    """Up to float32: 6e-8 of a frame's loudest bin, seen where a band is very quiet."""
    error = np.abs(fbank(x) - kaldi(x))
    assert error.max() <= 2e-3
    assert error.mean() <= 5e-5


def test_a_tone_is_loudest_in_its_own_band():
    step = (mel_of(8000.0) - mel_of(20.0)) / 129
    for hz in (440.0, 1000.0, 3100.0, 7000.0):
        nearest = round((mel_of(hz) - mel_of(20.0)) / step) - 1
        assert set(fbank(tone(hz, 0.2)).argmax(axis=1)) == {nearest}


# Laws.


def test_silence_is_the_floor_everywhere():
    assert np.allclose(fbank(np.zeros(4000, np.float32)), LOG_FLOOR, atol=1e-6)


def test_exactly_one_band_hears_nothing():
    """Low triangles are narrower than a bin of the FFT; one of them falls between two bins."""
    mel = fbank(noise(2.0))
    constant = np.flatnonzero(np.ptp(mel, axis=0) == 0)
    published = gold("tiny/wav6s.npz")[1]["mel"][:598]
    assert constant.tolist() == np.flatnonzero(np.ptp(published, axis=0) == 0).tolist()
    assert len(constant) == 1
    assert mel[:, constant] == pytest.approx(LOG_FLOOR, abs=1e-6)


@given(gain=st.floats(0.05, 8.0))
@settings(deadline=None, max_examples=20)
def test_gain_adds_a_constant_above_the_floor(gain):
    before = fbank(noise(0.3))
    after = fbank(noise(0.3) * np.float32(gain))
    heard = np.minimum(before, after) > LOG_FLOOR + 1
    assert heard.mean() > 0.9
    shift = 2 * math.log(np.float32(gain))
    assert (after - before)[heard] == pytest.approx(shift, abs=2e-3)


def test_a_constant_offset_changes_nothing():
    assert fbank(noise() + np.float32(0.25)) == pytest.approx(fbank(noise()), abs=1e-2)


@given(frames=st.integers(1, 40))
@settings(deadline=None, max_examples=20)
@pytest.mark.slow
def test_a_sound_later_by_whole_hops_has_the_same_frames(frames):
    x = noise(2.0)
    assert fbank(x[160 * frames :]) == pytest.approx(fbank(x)[frames:], abs=1e-4)


def test_a_frame_hears_its_own_samples_only():
    x, y = noise(), noise()
    y[1600 + 400 :] = 0
    y[:1600] = 0
    assert fbank(y)[10] == pytest.approx(fbank(x)[10], abs=1e-4)


def test_two_threads_get_what_one_gets():
    sounds = [noise(3.0, seed) for seed in range(8)]
    alone = [fbank(x) for x in sounds]
    together = [np.empty(0)] * len(sounds)
    start = threading.Barrier(2)

    def work(first):
        start.wait()
        for i in range(first, len(sounds), 2):
            together[i] = fbank(sounds[i])

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_sound_is_left_alone():
    x = noise() + np.float32(0.1)
    before = x.copy()
    x.flags.writeable = False
    fbank(x)
    features(x)
    assert np.array_equal(x, before)


def test_a_channel_of_a_recording_need_not_be_contiguous():
    stereo = np.stack([noise(seed=1), noise(seed=2)], axis=1)  # (samples, channels)
    assert np.array_equal(features(stereo[:, 0]), features(noise(seed=1)))


@given(samples=st.integers(400, 9000))
@settings(deadline=None, max_examples=40)
def test_numbers_of_frames_are_told_beforehand(samples):
    x = noise(0.6)[:samples]
    mel = features(x)
    assert len(fbank(x)) == n_frames(len(x))
    assert mel.shape == (frames_of(len(x)), 128)
    assert mel.dtype == np.float32
    assert len(mel) % 16 == 0
    assert 0 <= len(mel) - n_frames(len(x)) < 16
    assert len(features(x, 64)) == frames_of(len(x), 64) == 64


@given(samples=st.integers(0, 2_000_000))
def test_a_frame_more_every_hop(samples):
    """Kaldi's snip edges: the last frame is the last that ends inside the sound."""
    count = n_frames(samples)
    ends = (count - 1) * 160 + 400 if count else 0
    assert ends <= samples < count * 160 + 400


def test_padding_is_appended_before_normalising():
    mel = features(noise(6.0), 1024)
    assert mel[598:] == pytest.approx((0 + 4.268) / 9.138, abs=1e-7)
    assert pytest.approx((0 + 4.268) / 9.138) == PADDING
    assert mel[:598] * 9.138 - 4.268 == pytest.approx(fbank(noise(6.0)), abs=1e-2)


def test_length_does_not_change_what_is_heard():
    x = noise(2.0)
    own = features(x)
    assert len(own) == 208  # 198 frames
    assert np.array_equal(features(x, 1024)[:198], own[:198])
    assert np.all(features(x, 1024)[198:] == own[-1, 0])


def test_a_cut_is_said_and_keeps_the_start():
    x = noise(3.0)
    with pytest.warns(NearfarWarning, match=r"longer than 160 frames \(1\.6 s\) are cut"):
        cut = features(x, 160)
    # The clip's own mean goes first, so its lost end still counts; each frame loses its own.
    assert cut == pytest.approx(features(x)[:160], abs=1e-4)


def test_an_exact_fit_is_neither_padded_nor_cut():
    x = noise(3.0)[: 159 * 160 + 400]
    assert np.array_equal(features(x, 160), features(x))
    assert np.ptp(features(x), axis=1).min() > 0  # padding is one value in all bands


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_shorter_than_a_frame_is_one_line(samples):
    x = np.ones(samples, np.float32)
    for call in (fbank, features, lambda x: frames_of(len(x))):
        with pytest.raises(AudioError, match=f"{samples} samples.*400") as caught:
            call(x)
        assert "\n" not in str(caught.value)


def test_longer_than_the_encoder_reads_is_one_line():
    assert frames_of(12_287 * 160 + 400) == 12_288
    with pytest.raises(AudioError, match=r"12289 frames.*frames=12288"):
        frames_of(12_288 * 160 + 400)
    assert frames_of(12_288 * 160 + 400, 12_288) == 12_288


def test_two_channels_are_refused():
    for call in (fbank, features):
        with pytest.raises(AudioError, match=r"\(2, 16000\).*one channel"):
            call(np.zeros((2, RATE), np.float32))


@pytest.mark.parametrize("frames", [0, -16, 1000, 12_304, 1024.0, "1024", True])
def test_impossible_numbers_of_frames(frames):
    for call in (check_frames, lambda f: features(noise(), f), lambda f: frames_of(RATE, f)):
        with pytest.raises(SettingError, match="multiple of 16") as caught:
            call(frames)
        assert repr(frames) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("frames", [None, 16, 1024, 1600, 12_288])
def test_possible_numbers_of_frames(frames):
    check_frames(frames)


@pytest.mark.parametrize(
    ("groups", "n_mels", "lowest", "highest"), [(8, 128, 20, 8000), (8, 64, 125, 7500)]
)
def test_edges_of_groups_lie_between_the_peaks_of_their_bands(groups, n_mels, lowest, highest):
    """Peaks are equal in mel: the last of a group lies as far below its edge as the next above."""

    def mel(hz):
        return 1127 * np.log1p(np.asarray(hz) / 700)

    edges = group_edges(groups, n_mels, lowest, highest)
    assert (edges[0], edges[-1], len(edges)) == (lowest, highest, groups + 1)
    peaks = np.linspace(mel(lowest), mel(highest), n_mels + 2)[1:-1]
    size = n_mels // groups
    want = [(peaks[size * g - 1] + peaks[size * g]) / 2 for g in range(1, groups)]
    np.testing.assert_allclose(mel(edges[1:-1]), want, rtol=1e-12)
