"""A map of what a score comes from holds a sound whose place is known."""

from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY, write
from nearfar.detector.explanation import explaining
from nearfar.detector.explanation.explanation import Regions
from nearfar.detector.explanation.occlusion import BANDS, SPANS

RATE, SECONDS = 16_000, 2.0
HZ, FIRST, LAST = 3000.0, 1.2, 1.6  # of the burst


def hum(seed):
    """Pink-like noise and harmonics: what normal sounds like."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * RATE)) / RATE
    harmonics = sum(np.sin(2 * np.pi * 120 * k * t + rng.uniform(0, 6)) / k for k in range(1, 20))
    return (0.05 * harmonics + 0.02 * rng.standard_normal((2, t.size))).astype(np.float32)


def burst(seed, steady=False):
    audio = hum(seed)
    t = np.arange(audio.shape[1]) / RATE
    audio[0] += 0.1 * np.sin(2 * np.pi * HZ * t) * (steady | ((t >= FIRST) & (t < LAST)))
    return audio


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("hums")
    for n in range(12):
        write(root / f"pump/{n}.wav", hum(n), subtype="FLOAT")
    return root


@pytest.fixture(scope="module")
def detector(folder):
    return nf.fit(nf.logmel(), nf.Clips.open(folder))


def cell(regions, hz, second):
    """The place of the cell that holds a frequency and a time."""
    band = int(np.searchsorted(regions.hertz, hz, side="right")) - 1
    return band, int(np.searchsorted(regions.seconds, second, side="right")) - 1


def test_a_burst_of_known_place_is_what_is_marked(detector, folder):
    told = detector.explain(burst(50), sr=RATE, normals=folder)
    regions = told.regions
    assert told.verdict.anomalous
    assert np.unravel_index(regions.fall.argmax(), regions.fall.shape) in [
        cell(regions, HZ, second) for second in (1.3, 1.5)
    ]
    inside = np.zeros_like(regions.marked)
    band, first = cell(regions, HZ, FIRST)
    inside[band, first : cell(regions, HZ, LAST - 1e-3)[1] + 1] = True
    assert regions.marked[inside].all()
    # Without them most of the score is gone, and no other cell is worth as much.
    assert regions.fall[inside].min() > 3 * regions.fall[~inside].max()
    assert "2.48–3.68 kHz, 1.2–1.6 s" in told.why
    assert regions.replaced_by.startswith("pump/") or "/pump/" in regions.replaced_by


def test_a_steady_tone_is_there_all_the_time(detector, folder):
    told = detector.explain(burst(51, steady=True), sr=RATE, normals=folder)
    assert told.regions.where == "at 2.48–3.68 kHz, all the time"


@pytest.mark.parametrize("steady", [False, True])
def test_without_a_normal_recording_what_is_around_it_will_do(detector, steady):
    told = detector.explain(burst(52, steady), sr=RATE)
    assert told.normal is None
    assert "around each cell" in told.regions.replaced_by
    assert cell(told.regions, HZ, 1.3)[0] == told.regions.fall.argmax() // SPANS


def test_cells_cover_the_sound_without_gaps(detector):
    regions = detector.explain(burst(53), sr=RATE).regions
    assert regions.fall.shape == regions.marked.shape == (BANDS, SPANS)
    assert (len(regions.hertz), len(regions.seconds)) == (BANDS + 1, SPANS + 1)
    for edges, last in ((regions.hertz, 8000.0), (regions.seconds, SECONDS)):
        assert (edges[0], edges[-1]) == (0.0, last)
        assert min(np.diff(edges)) > 0
    assert regions.marked.sum() <= BANDS * SPANS / 10
    assert regions.took > 0


def test_regions_are_for_who_asks_and_for_clips_that_end(detector, monkeypatch):
    assert detector.explain(hum(1), sr=RATE, regions=False).regions is None
    monkeypatch.setattr(explaining, "LONGEST", 1.5)
    told = detector.explain(hum(1), sr=RATE)
    assert told.regions is None
    assert "2 s long" in told.unmarked
    assert "clip_seconds=" in told.unmarked


def test_the_gain_of_a_clip_is_in_no_cell(detector, folder):
    """What replaces a cell has the clip's level, not that of its own recording."""
    loud, quiet = (
        detector.explain(gain * burst(54), sr=RATE, normals=folder).regions for gain in (1.0, 0.25)
    )
    np.testing.assert_allclose(loud.fall, quiet.fall, atol=1e-3 * loud.fall.max())


def test_progress_is_told_and_ends(detector):
    told = []
    runtime = nf.Runtime(progress=lambda what, done, of: told.append((what, done, of)))
    detector.explain(hum(2), runtime, sr=RATE)
    steps = [(done, of) for what, done, of in told if what == "occluding"]
    assert steps[-1] == (BANDS * SPANS + 1, BANDS * SPANS + 1)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_an_encoder_in_crops_behind_the_mask_hears_one_crop_of_the_whole_clip(folder):
    pytest.importorskip("torch")
    crops = nf.Crops(nf.EAT(str(TINY), pooling="mean"), n=3)
    system = nf.System(nf.CoherenceMask(), crops, nf.KNN(), folds=3)
    fitted = nf.fit(system, nf.Clips.open(folder))
    told = fitted.explain(burst(55), sr=RATE, normals=folder)
    assert told.regions.member == "encoder (EAT) of near through the coherence mask"
    assert np.isfinite(told.regions.fall).all()
    # Not the mean of three crops, as is the verdict, but not far from it.
    assert told.regions.score == pytest.approx(told.verdict.score, rel=0.5)
    assert told.heard is not None
    assert told.normal.heard is not None
    again = fitted.explain(burst(55), sr=RATE, normals=folder).regions
    np.testing.assert_array_equal(again.fall, told.regions.fall)


def test_equal_falls_are_marked_in_the_order_of_cells_and_none_below_zero():
    edges = {"seconds": tuple(range(11)), "hertz": tuple(range(3))}
    flat = Regions("it", **edges, fall=np.ones((2, 10)), score=1.0, replaced_by="", took=0.0)
    assert np.flatnonzero(flat.marked).tolist() == [0, 1]
    none = replace(flat, fall=-np.ones((2, 10)))
    assert not none.marked.any()
    assert none.where == ""
    clicks = replace(flat, fall=np.array([[0.0, 1] * 5, [0] * 10]))
    assert clicks.where.endswith("5 times")
