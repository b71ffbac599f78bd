"""The FFT is SciPy's, to the bit, whichever way it came here."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft

from nearfar.sound import fft

SHAPES = [((400, 7), 0), ((7, 400), 1), ((512, 130), 0), ((3, 401), 1)]


def sound_of(shape, dtype=np.float32):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.fixture(params=["compiled", "public"])
def way(request, monkeypatch):
    if request.param == "public":
        monkeypatch.setattr(fft, "_compiled", lambda: None)
    return request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_both_ways_are_scipys_to_the_bit(way, shape, axis, dtype):
    x, n = sound_of(shape, dtype), shape[axis]
    spectrum = fft.rfft(x, axis)
    expected = scipy.fft.rfft(x, axis=axis)
    assert (spectrum.dtype, spectrum.tobytes()) == (expected.dtype, expected.tobytes())
    assert (
        fft.irfft(spectrum, n, axis).tobytes() == scipy.fft.irfft(expected, n, axis=axis).tobytes()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [400, 7])
def test_packed_rows_are_those_of_the_spectrum_to_the_bit(way, n, dtype):
    x, out = sound_of((n, 5), dtype), np.empty((n, 5), dtype)
    assert fft.rfft_packed(x, out) is out
    spectrum = scipy.fft.rfft(x, axis=0)
    parts = np.stack([spectrum.real, spectrum.imag], axis=1).reshape(-1, 5)
    # Without the imaginary parts of 0 Hz and, where there is one, of half the sample rate.
    assert out.tobytes() == np.delete(parts, [1], axis=0)[:n].tobytes()


def test_views_are_taken_as_they_lie(way):
    x = sound_of((7, 400)).T
    assert fft.rfft(x, 0).tobytes() == scipy.fft.rfft(x, axis=0).tobytes()
    assert fft.rfft(x, 0).flags.c_contiguous  # sums over frames run along memory


@pytest.mark.parametrize("found", ["nowhere", "without a function", "without its libraries"])
def test_where_it_is_not_to_be_had_alone_the_whole_of_scipy_serves(monkeypatch, found):
    def refuse():
        raise {"without a function": AttributeError, "without its libraries": ImportError}[found]

    monkeypatch.delitem(sys.modules, fft._NAME)
    monkeypatch.setattr(fft, "_alone", (lambda: None) if found == "nowhere" else refuse)
    assert fft._compiled.__wrapped__() is None


FIRST = """
import sys
import numpy as np
from nearfar.sound.fft import irfft, rfft

x = np.random.default_rng(0).standard_normal((400, 5)).astype(np.float32)
ours = rfft(x, 0)
assert "scipy.fft" not in sys.modules and "scipy" not in sys.modules
import scipy.fft
assert scipy.fft.rfft(x, axis=0).tobytes() == ours.tobytes()
assert scipy.fft.irfft(ours, 400, axis=0).tobytes() == irfft(ours, 400, 0).tobytes()
import scipy.signal
assert scipy.signal.fftconvolve(x[:, 0], x[:, 1]).size == 799
"""


def test_scipy_may_come_later_and_is_none_the_worse():
    subprocess.run([sys.executable, "-c", FIRST], check=True)


def test_threads_that_come_first_together_get_one_module():
    code = (
        "import sys, threading, nearfar.sound.fft as fft\n"
        "got = []\n"
        "ready = threading.Barrier(8)\n"
        "def first():\n"
        "    ready.wait()\n"
        "    got.append(fft._compiled())\n"
        "threads = [threading.Thread(target=first) for _ in range(8)]\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]\n"
        "sys.exit(len({id(module) for module in got}) - 1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scoring_needs_no_more_of_scipy_than_that():
    code = (
        "import sys, numpy as np; from nearfar.embedder.dif import DIF; "
        "from nearfar.sound.fbank import fbank; "
        "x = np.random.default_rng(0).standard_normal((2, 16000)).astype(np.float32); "
        "DIF()([x]); fbank(x[0]); sys.exit('scipy.fft' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
