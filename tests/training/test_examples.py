"""Training examples: what is read, stored, held out and drawn, and what it may depend on."""

import hashlib
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

import nearfar as nf
from conftest import first_quick, machine_sound, write
from finetune_sounds import EAR, contents, heard_features, write_lengths
from nearfar.clips import Clip, Clips
from nearfar.embedder.crops import STEP, crop
from nearfar.embedder.eat.features import PADDING, features
from nearfar.errors import AudioError, DatasetError, NearfarError, NearfarWarning, SettingError
from nearfar.frontend import Near
from nearfar.runtime.runtime import Runtime
from nearfar.sound import audio
from nearfar.sound.audio import digest_of
from nearfar.sound.fbank import n_frames
from nearfar.training import FineTuning
from nearfar.training.examples import prepare
from nearfar.training.examples.examples import (
    Examples,
    _pieces,
    batches,
    buckets,
    crop_places,
    crop_rng,
    examples,
    held_out,
)
from nearfar.training.examples.mels import MelStore

SETTINGS = FineTuning(held_out=0.2, batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_lengths(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
def clips(folder):
    return Clips.open(folder, split="train")


@pytest.fixture
def made(clips, tmp_path):
    return examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))


@pytest.fixture
def reads(monkeypatch):
    """Sounds that were read, counted."""
    count = []
    real = audio.read
    monkeypatch.setattr(audio, "read", lambda *a, **k: count.append(a[0]) or real(*a, **k))
    return count


# What an example is


def test_each_clip_with_its_class_and_its_own_log_mel(made, clips):
    assert made.classes == (
        ("fan", "00", "source"),
        ("fan", "00", "target"),
        ("pump", "00", "v_a"),
        ("pump", "00", "v_b"),
    )
    assert np.bincount(made.labels).tolist() == [9, 3, 6, 1]
    assert list(made.near_digests) == sorted(made.near_digests)
    assert sorted(c.name for c in made.clips) == sorted(c.name for c in clips)
    for i, clip in enumerate(made.clips):
        sound = clip.read()
        assert made.near_digests[i] == digest_of(sound[:1])
        assert made.samples[i] == sound.shape[1]
        assert clip.machine == made.classes[made.labels[i]][0]
        np.testing.assert_array_equal(made.whole(i), heard_features(sound[0]))


def test_hears_what_the_systems_own_front_end_makes(clips, tmp_path):
    mask = nf.CoherenceMask()
    made = examples(clips, mask, EAR, SETTINGS, Runtime(cache=tmp_path))
    for i in (0, 5):
        sound = made.clips[i].read()
        np.testing.assert_array_equal(made.whole(i), heard_features(mask(sound)[0]))
        assert made.near_digests[i] == digest_of(sound[:1])
        assert made.digests[i] == digest_of(sound)


@pytest.mark.parametrize("frames", [16, 96, 256])
def test_a_fixed_number_of_frames_is_padded_or_cut_as_the_encoder_does(clips, tmp_path, frames):
    made = examples(clips, Near(), nf.EAT("-", frames=frames), SETTINGS, Runtime(cache=tmp_path))
    for i in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NearfarWarning)  # "are cut"
            expected = heard_features(made.clips[i].read()[0], frames)
        # Not bit-equal: the number of rows of a matrix product may change its rounding.
        np.testing.assert_allclose(made.whole(i), expected, atol=1e-4)
        assert made.crop(i, crop_rng(0, 0, i)).shape == (frames, 128)


def test_neither_order_of_files_nor_workers_nor_cache_change_anything(clips, made, tmp_path):
    backwards = Clips(reversed(clips))
    other = examples(backwards, Near(), EAR, SETTINGS, Runtime(workers=2))
    assert contents(other) == contents(made)
    assert batches(other, SETTINGS, 3) == batches(made, SETTINGS, 3)
    assert other.mels.folder.is_dir()
    gone = other.mels.folder
    del other
    assert not gone.exists()  # a store without a cache leaves nothing


def test_progress_reaches_its_end(clips, tmp_path):
    said = []
    runtime = Runtime(cache=tmp_path, progress=lambda *what: said.append(what))
    examples(clips, Near(), EAR, SETTINGS, runtime)
    assert said[0] == ("log-mels", 0, 19)
    assert said[-1] == ("log-mels", 19, 19)


def test_channel_order(clips, tmp_path):
    made = examples(clips, Near(), EAR, SETTINGS, Runtime(cache=tmp_path), "far-near")
    np.testing.assert_array_equal(made.whole(0), heard_features(made.clips[0].read()[1]))
    with pytest.raises(SettingError, match="channel order"):
        examples(clips, Near(), EAR, SETTINGS, Runtime(), "left")


# What is refused


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_test_clips_and_anomalies_are_refused(folder, reads):
    everything = Clips.open(folder)
    with pytest.raises(DatasetError, match=r"labelled anomalous|a test clip") as error:
        examples(everything, Near(), EAR, SETTINGS, Runtime())
    one_line(error)
    normal = Clips([replace(everything[0], split="test", label="normal")])
    with pytest.raises(DatasetError, match="a test clip"):
        examples(normal, Near(), EAR, SETTINGS, Runtime())
    assert not reads


def test_one_class_only_is_refused_before_anything_is_read(clips, reads):
    only = Clips(c for c in clips if c.machine == "fan" and c.domain == "source")
    with pytest.raises(DatasetError, match="one class only, fan 00 source") as error:
        examples(only, Near(), EAR, SETTINGS, Runtime())
    one_line(error)
    with pytest.raises(DatasetError, match="no clips"):
        examples(Clips(), Near(), EAR, SETTINGS, Runtime())
    assert not reads


def test_a_front_end_with_two_channels_is_refused(clips):
    with pytest.raises(SettingError, match="EAT hears one"):
        examples(clips, nf.Stereo(), EAR, SETTINGS, Runtime())


def test_copies_count_once_with_a_warning(clips, made, tmp_path):
    first = clips[0]
    twin = tmp_path / "fan" / "train" / first.path.name.replace("_0000_", "_0077_")
    twin.parent.mkdir(parents=True)
    shutil.copy(first.path, twin)
    both = Clips([replace(first, path=twin), *clips])
    with pytest.warns(NearfarWarning, match=r"_0077_.*the same audio as .*_0000_.*count as one"):
        again = examples(both, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    assert contents(again) == contents(made)


@pytest.fixture
def contradicted(clips, tmp_path):
    """The clips, and a source clip's sound once more as a target clip."""
    source, target = (next(c for c in clips if c.domain == d) for d in ("source", "target"))
    liar = tmp_path / target.path.name
    shutil.copy(source.path, liar)
    return Clips([*clips, replace(target, path=liar)]), source


def test_one_sound_in_two_classes_is_refused(contradicted):
    with pytest.raises(DatasetError, match="the same near channel as") as error:
        examples(contradicted[0], Near(), EAR, SETTINGS, Runtime())
    assert "fan 00 source" in one_line(error)
    assert "fan 00 target" in str(error.value)


@pytest.mark.parametrize("job", [4, 256])
def test_or_left_out_whole_with_a_warning_each(contradicted, job, monkeypatch):
    """Of few clips after their log-mels were made, of many before."""
    monkeypatch.setattr(prepare, "JOB", job)
    clips, source = contradicted
    with pytest.warns(NearfarWarning, match="left out: .* the same near channel as") as said:
        made = examples(clips, Near(), EAR, SETTINGS, Runtime(), skip_bad=True)
    assert len([w for w in said if "left out" in str(w.message)]) == 2
    assert len(made) == len(clips) - 2
    assert source not in made.clips


def test_of_many_clips_all_faults_are_known_before_the_first_log_mel(
    contradicted, tmp_path, monkeypatch
):
    monkeypatch.setattr(prepare, "JOB", 4)
    clips, _ = contradicted
    silent = write(tmp_path / "silent.wav", np.zeros((2, 16_000), np.float32))
    bad = Clips([*clips, replace(clips[0], path=silent)])
    with pytest.raises(NearfarError, match="3 of 21 clips cannot be used"):
        examples(bad, Near(), EAR, SETTINGS, Runtime(cache=tmp_path))
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_a_clip_that_cannot_be_used_stops_the_job(clips, tmp_path, workers):
    silent = write(tmp_path / "silent.wav", np.zeros((2, 16_000), np.float32))
    bad = Clips([*clips, replace(clips[0], path=silent)])
    with pytest.raises(AudioError, match=r"silent\.wav.*digitally silent") as error:
        examples(bad, Near(), EAR, SETTINGS, Runtime(workers=workers))
    one_line(error)
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        examples(
            Clips([*clips, replace(clips[0], path=tmp_path / "gone.wav")]),
            Near(), EAR, SETTINGS, Runtime(workers=workers),
        )  # fmt: skip


def test_too_long_for_the_encoder_unless_frames_are_fixed(clips, tmp_path):
    rng = np.random.default_rng(1)
    long = write(tmp_path / "long.wav", 0.1 * rng.standard_normal((1, 12_300 * 160)))
    some = Clips([*clips[:3], clips[9], replace(clips[0], path=long)])
    runtime = Runtime(cache=tmp_path)
    with pytest.raises(AudioError, match=r"long\.wav.*12288 at most"):
        examples(some, Near(), EAR, SETTINGS, runtime)
    with pytest.warns(NearfarWarning, match="are cut"):
        made = examples(some, Near(), nf.EAT("-", frames=64), SETTINGS, runtime)
    assert all(made.crop(i, crop_rng(0, 0, i)).shape == (64, 128) for i in range(len(made)))
    with pytest.raises(AudioError, match=r"long\.wav.*12288 at most"):  # now that it is stored
        examples(some, Near(), EAR, SETTINGS, runtime)


# Held-out normals


def digests_of(numbers):
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in numbers]


def test_held_out_of_real_clips(made):
    per_class = [int(made.held_out[made.labels == k].sum()) for k in range(4)]
    assert per_class == [2, 0, 1, 0]  # 20 % of 9, 3, 6, 1
    assert sorted(made.trained_on + list(np.flatnonzero(made.held_out))) == list(range(19))


classes_of_clips = st.lists(st.integers(0, 4), min_size=1, max_size=80)


@given(classes_of_clips, st.floats(0, 0.5), st.randoms(use_true_random=False))
def test_held_out_depends_on_a_classs_sounds_only(labels, share, random):
    digests = digests_of(range(len(labels)))
    chosen = dict(zip(digests, held_out(np.array(labels), digests, share), strict=True))
    for k in set(labels):
        own = [d for d, label in zip(digests, labels, strict=True) if label == k]
        count = sum(chosen[d] for d in own)
        if len(own) < 5 or share == 0:
            assert count == 0
        else:
            assert count >= 1
            assert abs(count - share * len(own)) <= max(0.5, 1 - share * len(own)) + 1e-9
        # The class alone, in another order, under another number: the same clips.
        random.shuffle(own)
        alone = held_out(np.full(len(own), 9), own, share)
        assert dict(zip(own, alone, strict=True)) == {d: chosen[d] for d in own}


def parts_of(path, count, seconds=1.0):
    return [
        Clip(path, start=i * seconds, stop=(i + 1) * seconds, machine="fan", domain="source")
        for i in range(count)
    ]


def test_neighbouring_parts_of_a_recording_are_held_out_together(tmp_path):
    """One recording of 40 parts, a tenth of it: four parts in a row, not four here and there."""
    rng = np.random.default_rng(3)
    write(tmp_path / "long.wav", machine_sound(rng, 40.0))
    files = [f"pump/train/section_00_source_train_normal_{i:04d}_noAttribute.wav" for i in range(5)]
    for name in files:
        write(tmp_path / name, machine_sound(rng, 1.0))
    fan = parts_of(tmp_path / "long.wav", 40)
    mixed = [*fan, *Clips.open(tmp_path / "pump", split="train")]
    found = []
    for order, seed in ((mixed, 0), (mixed[::-1], 1)):
        made = examples(
            Clips(order), Near(), EAR, replace(SETTINGS, held_out=0.1, seed=seed), Runtime()
        )
        held = [made.clips[int(i)] for i in np.flatnonzero(made.held_out)]
        starts = sorted(c.start for c in held if c.machine == "fan")
        assert len(starts) == 4
        assert starts == list(np.arange(starts[0], starts[0] + 4))
        assert sum(c.machine == "pump" for c in held) == 1
        found.append({c.name for c in held})
    assert found[0] == found[1]


RECORDINGS = st.tuples(st.integers(0, 2), st.integers(1, 15), st.booleans())  # day, parts, cut


@given(st.lists(RECORDINGS, min_size=1, max_size=8), st.sampled_from([2, 3, 10, 20]), st.randoms())
@settings(max_examples=60)
def test_what_is_held_out_together_is_a_file_or_neighbours_in_a_recording(drawn, folds, random):
    """Days are no matter here: of few of them no share could be drawn."""
    clips = []
    for r, (day, count, cut) in enumerate(drawn):
        whole = Clip(Path(f"2024-11-{day + 1:02d}/{r}.wav"))
        clips += parts_of(whole.path, count) if cut else [whole]
    random.shuffle(clips)
    blocks = _pieces(clips, folds)
    parts = [clip.stop is not None for clip in clips]
    recordings = {clip.path for clip, part in zip(clips, parts, strict=True) if part}
    for block in range(max(blocks) + 1):
        mine = sorted((clips[i] for i in np.flatnonzero(blocks == block)), key=lambda c: c.start)
        assert len({clip.path for clip in mine}) == 1  # none is empty, none of two files
        assert [c.start for c in mine] == [mine[0].start + i for i in range(len(mine))]
    for path in recordings:
        mine = [i for i, clip in enumerate(clips) if clip.path == path]
        sizes = np.unique(blocks[mine], return_counts=True)[1]
        # As few pieces as fill the folds with those of the others, and all of nearly one size.
        assert len(sizes) == min(len(mine), -(-folds // len(recordings)))
        assert np.ptp(sizes) <= 1


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.sampled_from([0.05, 0.1, 0.3, 0.5]))
@example([1, 1, 1, 1, 1, 2], 0.5)  # half of 7, rounded up, would be more than half
@settings(max_examples=50)
def test_blocks_are_held_out_whole_and_never_all(sizes, share):
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    held = held_out(np.zeros(len(blocks), np.int64), digests_of(range(len(blocks))), share, blocks)
    for block in range(len(sizes)):
        assert len(set(held[blocks == block])) == 1
    assert held.mean() <= 0.5
    if len(blocks) >= 5 and len(sizes) > 1:
        assert held.any()


def test_held_out_is_the_same_for_every_seed_and_front_end(clips, made, tmp_path):
    for frontend, seed in ((Near(), 3), (nf.CoherenceMask(), 0)):
        other = examples(
            clips, frontend, EAR, replace(SETTINGS, seed=seed), Runtime(cache=tmp_path)
        )
        assert other.near_digests == made.near_digests
        assert other.held_out.tolist() == made.held_out.tolist()


# Crops


@pytest.mark.parametrize("shortest", [0.1, 0.6, 1.0])
def test_a_crop_is_nearly_the_log_mel_of_the_cut_sound(clips, tmp_path, shortest):
    tuned = replace(SETTINGS, shortest=shortest)
    made = examples(clips, Near(), EAR, tuned, Runtime(cache=tmp_path))
    lengths = set()
    for i in range(len(made)):
        near = made.clips[i].read()[0]
        for epoch in range(4):
            part = made.crop(i, crop_rng(7, epoch, i))
            first, last = crop(len(near), shortest, crop_rng(7, epoch, i))
            start = round(first / 160)
            expected = features(near[160 * start : 160 * start + last - first])
            assert part.shape == expected.shape == ((last - first) // 160, 128)
            assert part.dtype == np.float32
            # The mean of the whole clip is taken off, not the part's; see Examples.crop.
            np.testing.assert_allclose(part, expected, atol=2e-3)
            assert np.abs(part - expected).mean() < 1e-5
            np.testing.assert_array_equal(part[-2:], np.float32(PADDING))
            lengths.add((len(near), len(part)))
    assert len(lengths) > 3 or shortest == 1.0


def example_of(samples, store, shortest=0.6, frames=None):
    """One example whose frames are numbered."""
    digest = str(samples)
    own = n_frames(samples)
    mel = np.full((-(-own // 16) * 16, 128), PADDING, np.float32)
    mel[:own] = np.arange(own, dtype=np.float32)[:, None]
    store.add(digest, mel)
    one = np.zeros(1, np.int64)
    return Examples(
        Clips([Clip("a.wav")]), one, (("a", "00", "b"),), one > 0, ("",), (digest,), (samples,),
        store, nf.EAT("-", frames=frames), shortest,
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(samples=st.integers(400, 200_000), share=st.floats(0.05, 1), seed=st.integers(0, 99))
def test_a_crop_lies_inside_the_clip_where_it_was_drawn(samples, share, seed):
    made = example_of(samples, MelStore.open(None, "t"), share)
    part = made.crop(0, crop_rng(seed, 0, 0))
    first, last = crop(samples, share, crop_rng(seed, 0, 0))
    if samples < 2 * STEP:
        np.testing.assert_array_equal(part, made.whole(0))
        return
    own = len(part) - 2
    assert len(part) == (last - first) // 160
    np.testing.assert_array_equal(np.diff(part[:own, 0]), 1)  # frames in a row, no padding inside
    assert abs(160 * part[0, 0] - first) <= 80
    assert (part[own:] == np.float32(PADDING)).all()


class Last:
    """Draws the largest number it may: the longest crop, as late as can be."""

    def integers(self, low, high):
        return high - 1


@pytest.mark.parametrize("shortest", [0.2, 1.0])
def test_a_crop_at_the_very_end_has_no_padding_inside(shortest):
    store = MelStore.open(None, "t")
    for samples in range(20_480, 20_480 + 2_560, 16):
        part = example_of(samples, store, shortest).crop(0, Last())
        np.testing.assert_array_equal(np.diff(part[:-2, 0]), 1)
        assert part[-3, 0] < n_frames(samples)


def test_crops_depend_on_seed_epoch_and_example_only(made):
    def drawn(seed, epoch, i):
        return made.crop(i, crop_rng(seed, epoch, i)).tobytes()

    assert drawn(0, 1, 2) == drawn(0, 1, 2)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - law 3: nobody touches it
    drawn(0, 1, 2)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    numbers = {
        tuple(crop_rng(*place).integers(0, 2**62, 2))
        for place in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2**32, 0, 0), (0, 2**32, 0)]
    }
    assert len(numbers) == 6


# Epochs


def pretend(labels, held):
    """Examples with classes and no sounds."""
    n = len(labels)
    return Examples(
        Clips(), np.array(labels, np.int64), (), np.array(held, bool), ("",) * n, ("",) * n,
        (0,) * n, None, None, 0.6,
    )  # fmt: skip


labelled = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=90).filter(
    lambda rows: sum(not held for _, held in rows) >= 2
)


@given(labelled, st.integers(2, 20), st.integers(0, 3), st.integers(0, 9))
def test_every_training_example_once_and_no_batch_of_one(rows, size, seed, epoch):
    made = pretend(*zip(*rows, strict=True))
    tuned = FineTuning(batch_size=size, seed=seed)
    cut = batches(made, tuned, epoch)
    assert sorted(i for batch in cut for i in batch) == made.trained_on
    assert all(2 <= len(batch) <= size + 1 for batch in cut)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
    assert cut == batches(made, tuned, epoch)


@given(labelled, st.integers(2, 20), st.integers(0, 9))
def test_balanced_draws_classes_evenly(rows, size, epoch):
    made = pretend(*zip(*rows, strict=True))
    cut = batches(made, FineTuning(batch_size=size, balanced=True), epoch)
    drawn = [i for batch in cut for i in batch]
    assert len(drawn) == len(made.trained_on)
    assert set(drawn) <= set(made.trained_on)
    assert all(2 <= len(batch) <= size + 1 for batch in cut)
    present = sorted({int(made.labels[i]) for i in made.trained_on})
    per_class = [sum(made.labels[i] == k for i in drawn) for k in present]
    assert max(per_class) - min(per_class) <= 1
    for k in present:
        times = [drawn.count(i) for i in made.trained_on if made.labels[i] == k]
        assert max(times) - min(times) <= 1


def test_epochs_and_seeds_differ(made):
    orders = [
        tuple(i for b in batches(made, replace(SETTINGS, seed=s), e) for i in b)
        for s in (0, 1, 2**40)
        for e in range(5)
    ]
    assert len(set(orders)) == 15


@given(st.lists(st.integers(1, 6).map(lambda k: 16 * k), max_size=60))
def test_buckets_hold_every_place_once_and_one_length_each(lengths):
    found = buckets(lengths)
    assert list(found) == sorted(set(lengths))
    assert sorted(i for places in found.values() for i in places) == list(range(len(lengths)))
    assert all(lengths[i] == length for length, places in found.items() for i in places)
    assert all(places == sorted(places) for places in found.values())


# How long crops are


MIX = (160_000,) * 5 + (176_000, 192_000)  # samples of the seven machines' clips


def crop_lengths(size, seed, epoch, each):
    """(full length, crop) of an epoch of the real mix, in samples, and the batches' lengths."""
    made = pretend([0] * size, [False] * size)
    cut = batches(made, FineTuning(seed=seed), epoch)
    places = crop_places(seed, epoch, len(cut))
    found, lengths = [], []
    for batch, place in zip(cut, places, strict=True):
        drawn = []
        for i in batch:
            samples = MIX[i % len(MIX)]
            rng = crop_rng(seed, epoch, i)
            first, last = crop(samples, 0.6, rng, None if each == "clip" else place)
            drawn.append((samples, last - first))
        found += drawn
        lengths.append({length for _, length in drawn})
    return found, lengths


@pytest.mark.parametrize("drawn", first_quick([(0, 0), (1, 5), (7, 2)]))
def test_lengths_of_an_epoch_are_those_of_clips_that_draw_for_themselves(drawn):
    """Two-sample Kolmogorov–Smirnov, all clips and those of each length; three lengths a batch."""
    own, many = crop_lengths(6_300, *drawn, "clip")
    shared, few = crop_lengths(6_300, *drawn, "batch")
    for full in (None, 160_000, 176_000, 192_000):
        one, other = ([b for a, b in found if full in (None, a)] for found in (own, shared))
        assert ks_2samp(one, other).pvalue > 0.05, full
        assert (min(one), max(one)) == (min(other), max(other))
    assert max(map(len, few)) <= 3 < 12 < min(map(len, many))


@given(st.integers(0, 2**40), st.integers(0, 99), st.integers(1, 300))
def test_every_part_of_the_lengths_has_one_batch(seed, epoch, count):
    places = crop_places(seed, epoch, count)
    assert sorted((places * count).astype(int).tolist()) == list(range(count))
    assert places.tolist() == crop_places(seed, epoch, count).tolist()
    if count > 20:
        assert places.tolist() != crop_places(seed, epoch + 1, count).tolist()
        assert places.tolist() != crop_places(seed + 1, epoch, count).tolist()


def test_no_torch():
    code = "import nearfar.training.examples.examples, sys; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
