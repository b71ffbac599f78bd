"""Raw samples on a pipe of this system, in pieces of any size."""

import io
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from listening import Ear, listening
from nearfar.errors import SettingError
from nearfar.service.sources.pcm import FORMS, PcmSource, samples_of

RATE = 1000


def packed(numbers, form):
    """Whole numbers of a form's own scale as its bytes, without numpy."""
    width, order = int(form[1:3]) // 8, "big" if form.endswith("be") else "little"
    return b"".join(int(n).to_bytes(width, order, signed=True) for n in numbers)


def source_of(stream, **how):
    how = {"rate": RATE, "seconds": 1.0} | how
    return PcmSource("line", stream, **how)


def all_of(data, **how):
    with listening(source_of(io.BytesIO(data), **how)) as ear:
        ear.wait_told("ended")
    return ear


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("s")])
def test_whole_numbers_of_every_form(form):
    scale = 2 ** (int(form[1:3]) - 1)
    numbers = [0, 1, -1, scale - 1, -scale, scale // 3, -scale // 7]
    heard = samples_of(packed(numbers, form), form)
    np.testing.assert_array_equal(heard, np.array([n / scale for n in numbers], np.float32))


@pytest.mark.parametrize("form", ["f32le", "f32be"])
def test_floats_are_as_they_were(form):
    numbers = np.array([0, 1, -0.1, 1e-30], "<f4" if form == "f32le" else ">f4")
    np.testing.assert_array_equal(samples_of(numbers.tobytes(), form), numbers.astype(np.float32))


@settings(max_examples=25)
@given(st.sampled_from(FORMS), st.integers(1, 5), st.lists(st.integers(1, 9_000), min_size=1))
def test_reads_may_end_anywhere(form, channels, sizes):
    frames = 2 * RATE + 700
    values = np.random.default_rng(0).integers(-100, 100, (frames, channels))
    data = packed(values.ravel(), form)
    if form.startswith("f"):
        data = values.astype("<f4" if form == "f32le" else ">f4").tobytes()
    chosen = None if channels < 3 else (3, 1)

    class Bits(io.RawIOBase):
        """Gives so many bytes at a time."""

        def __init__(self):
            self.data, self.sizes = io.BytesIO(data), iter(sizes * 100_000)

        def read(self, size=-1):
            return self.data.read(next(self.sizes))

    source = source_of(Bits(), form=form, channels=channels, chosen=chosen, seconds=1.0)
    with listening(source) as ear:
        ear.wait_told("ended")
    heard = np.concatenate([clip.audio for clip in ear.clips], axis=1)
    scale = 1 if form.startswith("f") else 2 ** (int(form[1:3]) - 1)
    rows = [2, 0] if channels > 2 else list(range(channels))
    np.testing.assert_array_equal(heard, (values[: 2 * RATE, rows].T / scale).astype(np.float32))
    assert ear.kinds == ["ended"]
    assert "0.7 s" in ear.notices[0].text


def test_an_odd_number_of_bytes_is_told_of():
    ear = all_of(bytes(4 * RATE + 3))
    assert ear.kinds == ["format", "ended"]
    assert "3 bytes" in ear.notices[0].text
    assert [clip.audio.shape for clip in ear.clips] == [(2, RATE)]


def test_a_rest_of_half_a_clip_is_given():
    ear = all_of(bytes(4 * RATE * 5), seconds=3.0)
    assert [clip.audio.shape[1] for clip in ear.clips] == [3 * RATE, 2 * RATE]
    assert "left out" not in ear.notices[-1].text


def test_an_empty_stream_ends_and_says_so():
    ear = all_of(b"")
    assert (ear.kinds, ear.clips) == (["ended"], [])


def test_a_pipe_is_heard_as_it_comes_and_its_time_is_this_computers():
    read, write = os.pipe()
    with open(read, "rb") as stream, listening(source_of(stream)) as ear:
        for n in range(3):
            os.write(write, packed([n] * 2 * RATE, "s16le"))
            ear.wait(lambda ear, n=n: len(ear.clips) == n + 1)
        os.close(write)
        ear.wait_told("ended")
    for clip in ear.clips:
        late = (clip.arrived - clip.clip.time).total_seconds() - 1.0
        # It began a second before its last sample came; what comes at once keeps an order.
        assert late > -1e-4
        assert clip.clip.path.name == f"{clip.clip.time:%Y-%m-%dT%H:%M:%S.%f}"


def test_a_stream_that_stalls_is_lost_and_comes_back():
    read, write = os.pipe()
    time = [0.0]
    source = source_of(open(read, "rb"), seconds=2.0, ticks=lambda: time[0])  # noqa: SIM115
    with source._stream, listening(source) as ear:
        os.write(write, bytes(4 * 3 * RATE + 1))  # a clip and a half, and a byte
        ear.wait(lambda ear: len(ear.clips) == 1)
        while "lost" not in ear.kinds:
            time[0] += 3.0
            threading.Event().wait(0.05)
        assert len(ear.clips) == 2  # what was there is not mixed with what comes
        os.write(write, bytes(4 * 2 * RATE - 1))  # the byte is
        ear.wait_told("back")
        ear.wait(lambda ear: len(ear.clips) == 3)
        os.close(write)
        ear.wait_told("ended")
    assert [clip.audio.shape[1] for clip in ear.clips] == [2 * RATE, RATE, 2 * RATE]
    assert ear.kinds == ["lost", "back", "ended"]


def test_samples_that_come_at_another_rate_are_told_of():
    read, write = os.pipe()
    time = [0.0]
    source = source_of(open(read, "rb"), seconds=5.0, ticks=lambda: time[0])  # noqa: SIM115
    with source._stream, listening(source) as ear:
        while "format" not in ear.kinds:  # five seconds of sound in ten seconds
            sent = len(ear.clips)
            threading.Event().wait(0.02)  # so that it is waited for
            time[0] += 10.0
            os.write(write, bytes(4 * 5 * RATE))
            ear.wait(lambda ear, n=sent: len(ear.clips) == n + 1)
        os.close(write)
        ear.wait_told("ended")
    assert ear.kinds == ["format", "ended"]
    assert "500 Hz and not at 1,000" in ear.notices[0].text


def test_a_quiet_pipe_can_be_closed():
    read, write = os.pipe()
    with open(read, "rb") as stream, listening(source_of(stream)) as ear:
        pass
    os.close(write)
    assert ear.heard == []


def test_an_error_while_reading_is_told():
    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with listening(source_of(Broken())) as ear:
        ear.wait_told("ended")
    assert ear.kinds == ["trouble", "ended"]
    assert "Input/output error" in ear.notices[0].text


def test_floats_that_are_no_numbers_are_told():
    data = np.full(2 * RATE, np.inf, "<f4").tobytes()
    assert all_of(data, form="f32le").kinds == ["format", "ended"]


def test_settings_that_cannot_be_are_one_line():
    for bad, word in (
        ({"form": "s16"}, "s16le"),
        ({"channels": 0}, "channels"),
        ({"channels": 4}, "near and far"),
        ({"chosen": (1, 3)}, "1 and 3 of 2"),
        ({"rate": 10}, "rate"),
    ):
        refused(lambda b=bad: source_of(io.BytesIO(), **b), word, error=SettingError)
    assert Ear().heard == []
