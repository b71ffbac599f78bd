"""Clips of several lengths in one pass: each row as alone, few kernels, nothing kept by length."""

import gc
import sys
from functools import _lru_cache_wrapper, partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.finetune_gpu import Kernels
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfar as nf
from beats_folders import folder
from conftest import TINY, first_quick
from nearfar.embedder import infer
from nearfar.embedder.engines import release
from nearfar.embedder.pooling import Bands, Pooled
from nearfar.embedder.ragged import Ragged, mean
from nearfar.embedding.division import FEW
from nearfar.runtime.runtime import Runtime
from nearfar.testing import noise
from trained_file import make_trained

RUNTIME = Runtime(device="cpu")


def trained(tmp_path_factory):
    return nf.EAT(str(make_trained(tmp_path_factory.mktemp("ragged") / "trained.safetensors")))


PARTS = {
    "mean": lambda _: nf.EAT(str(TINY)),
    "cls": lambda _: nf.EAT(str(TINY), pooling="cls"),
    "mean_all": lambda _: nf.EAT(str(TINY), pooling="mean_all", layer=1),
    "trained": trained,
    "beats": lambda _: nf.BEATs(folder()),
    "beats, a layer": lambda _: nf.BEATs(folder(), layer=2),
    "bands": lambda _: Pooled(nf.EAT(str(TINY)), Bands()),
    "beats, bands": lambda _: Pooled(nf.BEATs(folder()), Bands()),
    "crops": lambda _: nf.Crops(nf.BEATs(folder()), n=4),
}


# Two quick ones stand for all: an encoder by itself, and one within another part.
QUICK = ("mean", "beats, bands")
CASES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in PARTS]


@pytest.fixture(params=CASES)
def part(request, tmp_path_factory):
    return PARTS[request.param](tmp_path_factory)


@pytest.fixture
def mixing(monkeypatch):
    """Engines that take a CPU for an accelerator: what only a GPU does, done here."""
    release()
    made = infer.Engine.__init__

    def begin(self, *args):
        made(self, *args)
        self._accelerated, self._apart = True, False

    monkeypatch.setattr(infer.Engine, "__init__", begin)
    yield
    release()


def encoder_of(part):
    while hasattr(part, "embedder"):
        part = part.embedder
    return part._engine(RUNTIME)


SECONDS = (1.0, 1.8, 1.3, 1.0, 2.6, 2.1, 1.6, 2.3)


def prepared(part, seconds=SECONDS):
    return [part.prepare(noise(1, s, seed=i)) for i, s in enumerate(seconds)]


# ---- laws ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_every_token_has_its_place_in_the_row_and_in_the_table(patches, leading):
    places = Ragged(patches, leading, torch.device("cpu"))
    tokens = sum(patches) + leading * len(patches)
    row = torch.arange(tokens, dtype=torch.float32)[None, :, None]
    table = places.table(row)
    assert torch.equal(places.row(table), row)
    assert places.there.sum(dim=1).tolist() == [n + leading for n in patches]
    clip = torch.repeat_interleave(torch.arange(len(patches)), torch.tensor(patches) + leading)
    # What is no token is a copy of one of the same clip's.
    assert all(set(clip[r.long().flatten()].tolist()) == {i} for i, r in enumerate(table))
    for i, own in enumerate(places.keys(torch.float32)[:, 0, 0]):
        assert int((own == 0).sum()) == patches[i] + leading
        assert bool(torch.isneginf(own[patches[i] + leading :]).all())


def test_a_mean_is_of_a_clips_own_tokens():
    places = Ragged([2, 1], 1, torch.device("cpu"))
    row = torch.tensor([9.0, 1.0, 3.0, 9.0, 5.0])[None, :, None]  # CLS first
    table = places.table(row)
    table[1, 2:] = float("nan")  # no token is there
    assert mean(table, places, first=1).flatten().tolist() == [2.0, 5.0]
    assert mean(table[:1, :3]).item() == pytest.approx(13 / 3)


def test_clips_of_all_lengths_in_one_pass_are_what_each_is_alone(part, mixing):
    """To rounding: that of float32, of rows of some units."""
    mels = prepared(part)
    alone = np.concatenate([part.encode([mel], RUNTIME) for mel in mels])
    passes = count_passes(part)
    together = part.encode(mels, RUNTIME)
    assert sum(passes) > len(passes) > 0  # they did share one
    np.testing.assert_allclose(together, alone, atol=2e-5 * np.abs(alone).max())
    other = part.encode(mels[::-1], RUNTIME)[::-1]
    np.testing.assert_allclose(together, other, atol=2e-5 * np.abs(alone).max())


def count_passes(part):
    """Clips in each pass of several lengths, from now on."""
    made, passes = encoder_of(part), []
    whole = made._together
    made._together = lambda encoder, mels, layer: (
        passes.append(len(mels)) or whole(encoder, mels, layer)
    )
    return passes


def test_what_is_not_finite_stays_with_its_clip(part, mixing):
    if not hasattr(part, "prepare") or isinstance(part, nf.Crops | Pooled):
        part = nf.EAT(str(TINY))
    mels = prepared(part)
    mels[3] = np.full_like(mels[3], np.nan)
    made = encoder_of(part)
    rows = made(mels, infer.POOLING["mean_all"], part.layer, None)
    assert np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist() == [3]


@pytest.mark.slow
def test_on_a_cpu_lengths_never_share_a_pass(part):
    """A row's bits there depend on nothing but its clip; a GPU's are equal to rounding."""
    release()
    passes = count_passes(part)
    mels = prepared(part)
    together = part.encode(mels, RUNTIME)
    assert not passes
    alone = np.concatenate([part.encode([mel], RUNTIME) for mel in mels])
    assert np.array_equal(together, alone)


def test_a_length_that_fills_its_passes_goes_as_it_always_did(mixing):
    """So rows of a data set of one length are those of before, on a GPU too."""
    part = nf.EAT(str(TINY))
    made, shapes = encoder_of(part), []
    whole = made.encoder
    made.encoder = lambda x, layer: shapes.append(tuple(x.shape[:2])) or whole(x, layer)
    tokens = 1 + 1008 // 2
    enough = -(-infer.FULL // tokens)
    passes = count_passes(part)
    made(
        [np.zeros((1008, 128), np.float32)] * enough + prepared(part),
        infer.POOLING["mean"], None, None,
    )  # fmt: skip
    assert shapes == [(enough, 1008)]
    assert passes == [len(SECONDS)]


# ---- kernels -------------------------------------------------------------------------------------


def kernels(part, mels):
    with Kernels() as counted:
        part.encode(mels, RUNTIME)
    return counted.count


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("lengths", first_quick([(1.5, 1.65, 1.8), tuple(np.linspace(1, 2.5, 16))]))
def test_many_lengths_launch_no_more_than_twice_what_one_length_does(
    name, lengths, mixing, tmp_path_factory
):
    """The tiny encoders have two or three layers; with 12 what is done once weighs less."""
    part, clips = PARTS[name](tmp_path_factory), 16
    longest = [max(lengths)] * clips
    one = kernels(part, prepared(part, longest))
    many = kernels(part, prepared(part, [lengths[i % len(lengths)] for i in range(clips)]))
    assert many <= 2 * one


@pytest.mark.parametrize("precision", infer.TOKENS)
def test_on_a_cpu_ten_crops_of_many_lengths_take_no_more_than_twice_the_passes(precision):
    """Where lengths never share one: of 16 clips of 10 s, of the report's mix, of a length each."""
    cut, mix = nf.Crops(nf.LogMel()), [160_000] * 5 + [176_000, 192_000]
    each = [int(n) for n in np.linspace(144_000, 192_000, 16)]

    def passes(samples):
        groups = [samples[i : i + FEW] for i in range(0, len(samples), FEW)]
        frames = [[b - a for n in group for a, b in cut.places(n)] for group in groups]
        size = partial(infer.fitting, infer.TOKENS[precision])
        return sum(len(infer.divided([n // 160 for n in some], size, 0)) for some in frames)

    one = passes([160_000] * 16)
    assert passes((mix * 3)[:16]) <= 2 * one
    assert passes(each) <= 2 * one


def test_a_pass_has_as_many_tokens_as_a_device_takes():
    """Of its longest clip times its clips: attention's table is no larger."""
    frames = [16 * (1 + i % 700) for i in range(900)]
    most = partial(infer.fitting, infer.ACCELERATED)
    batches = infer.divided(frames, most, infer.FULL)
    assert sorted(i for some, _ in batches for i in some) == list(range(900))
    for some, size in batches:
        longest = 1 + max(frames[i] for i in some) // 2
        assert size * longest <= infer.ACCELERATED
    for some, size in infer.divided(frames, lambda n: min(5, most(n)), infer.FULL):
        assert len(some) <= size <= 5


def test_without_room_for_a_pass_it_is_halved(mixing, monkeypatch):
    part = nf.EAT(str(TINY))
    made, mels, tried = encoder_of(part), prepared(part), []
    rows, whole = part.encode(mels, RUNTIME), made._together
    room = 4 * max(map(len, mels))  # frames of attention's table

    def small(encoder, some, layer):
        tried.append(len(some) * max(map(len, some)))
        if tried[-1] > room:
            raise torch.OutOfMemoryError
        return whole(encoder, some, layer)

    monkeypatch.setattr(made, "_together", small)
    with pytest.warns(nf.NearfarWarning, match=r"out of memory with 8 clips .* going on with 4"):
        found = part.encode(mels, RUNTIME)
    np.testing.assert_allclose(found, rows, atol=1e-5)
    tried.clear()
    part.encode(mels, RUNTIME)
    assert max(tried) <= room  # remembered


# ---- nothing is kept for a length ----------------------------------------------------------------


def counted_caches():
    """Entries of every cache of ours by its name, and of every container a module holds."""
    found = {
        f"{x.__module__}.{x.__qualname__}": x.cache_info().currsize
        for x in gc.get_objects()
        if type(x) is _lru_cache_wrapper and str(x.__module__).startswith("nearfar.")
    }
    for name, module in list(sys.modules.items()):
        if name.startswith("nearfar."):
            held = {k: v for k, v in vars(module).items() if isinstance(v, dict | list | set)}
            found |= {f"{name}.{k}": len(v) for k, v in held.items() if not k.startswith("__")}
    return found


@pytest.mark.parametrize("lengths", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_no_cache_has_an_entry_for_each_length_of_clip(lengths):
    """Windows, filters, positions, engines: all are of a frame or of an encoder, none of a clip."""
    parts = [nf.DIF(), nf.LogMel(), nf.EAT(str(TINY)), nf.Crops(nf.BEATs(folder()), n=2)]

    def hear(samples):
        audio = noise(2, samples / 16_000)
        assert audio.shape[1] == samples
        for frontend in (nf.CoherenceMask(), nf.FarCancel()):
            frontend(audio)
        for part in parts:
            part([audio[: part.channels]])

    hear(16_000)
    hear(16_001)  # what is made at first use is there
    before = counted_caches()
    assert len(before) > 20
    for i in range(lengths):
        hear(16_002 + 37 * i)
    assert counted_caches() == before


def test_500_lengths_leave_an_engine_as_it_was(mixing, monkeypatch):
    """Whatever it had room for or not; the encoders are stand-ins, for the longest has 80 s."""
    made = encoder_of(nf.EAT(str(TINY)))
    mels = [np.zeros((16 * (i + 1), 128), np.float32) for i in range(500)]

    def fits(clips, frames):
        if clips * frames > 4_000 and clips > 1:
            raise torch.OutOfMemoryError

    def alone(x, layer):
        fits(len(x), x.shape[1])
        return torch.zeros(len(x), 1 + x.shape[1] // 2, 4)

    def together(encoder, some, layer):
        fits(len(some), max(map(len, some)))
        places = Ragged([len(mel) // 2 for mel in some], 1, torch.device("cpu"))
        return torch.zeros(1, int(places.there.sum()), 4), places

    monkeypatch.setattr(made, "encoder", alone)
    monkeypatch.setattr(made, "_together", together)
    before = {k: len(v) for k, v in vars(made).items() if hasattr(v, "__len__")}
    with pytest.warns(nf.NearfarWarning, match="out of memory"):
        rows = made(mels, infer.POOLING["mean"], None, None)
    assert rows.shape == (500, 4)
    assert {k: len(v) for k, v in vars(made).items() if hasattr(v, "__len__")} == before
