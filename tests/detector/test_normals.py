"""Folds are dealt by what the near microphone heard, whatever else was heard and in any order."""

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearfar.clips.clip import Clip
from nearfar.detector.normals import Normals
from nearfar.embedding.jobs import Heard


def digest(*words):
    return hashlib.sha256(repr(words).encode()).hexdigest()


def clips(count=23, targets=5, channels=2, salt="far"):
    """As many with a near channel each; with two channels the digest is of both."""
    pairs = []
    for i in range(count):
        near = digest("near", i)
        both = digest(near, salt) if channels == 2 else near
        clip = Clip(Path(f"{i:03d}.wav"), domain="target" if i < targets else "source")
        pairs.append((clip, Heard((), 10.0, both, near)))
    return pairs


def folds_of(pairs, count=10, seed=0):
    """Fold of each clip, by its name."""
    normals = Normals(("fan", "00"), pairs, ())
    dealt = normals.folds(count, seed)
    return {clip.name: int(fold) for (clip, _), fold in zip(normals.group, dealt, strict=True)}


def test_folds_are_the_same_whichever_channels_were_heard():
    alone = folds_of(clips(channels=1))
    assert folds_of(clips()) == folds_of(clips(salt="another front end")) == alone
    assert sorted(set(alone.values())) == list(range(10))


def test_the_bank_is_in_the_order_of_what_was_heard():
    """Its order is part of a score's last bit."""
    normals = Normals(("fan", "00"), clips(), ())
    found = [what.digest for _, what in normals.group]
    assert found == sorted(found)
    assert len(normals.domain) == len(found)


@pytest.mark.parametrize("order", range(3))
def test_clips_of_one_near_channel_share_a_fold_in_any_order_of_files(order):
    """They are two clips to a system that hears far, and one to a system that does not."""
    pairs = clips()
    for i, other in ((7, 19), (2, 11)):  # two sources; a target and a source
        pairs[other] = (pairs[other][0], replace(pairs[other][1], near=pairs[i][1].near))
    wanted = folds_of(pairs)
    assert len(wanted) == 23
    assert (wanted["007.wav"], wanted["002.wav"]) == (wanted["019.wav"], wanted["011.wav"])
    random.Random(order).shuffle(pairs)
    assert folds_of(pairs) == wanted
    # Who hears near alone takes the first by domain and name, in the same fold.
    mono = [(clip, replace(what, digest=what.near)) for clip, what in pairs]
    alone = folds_of(mono)
    assert alone == {
        name: fold for name, fold in wanted.items() if name not in ("019.wav", "011.wav")
    }


def test_targets_are_spread_evenly():
    dealt = folds_of(clips(count=40, targets=10))
    per_fold = np.bincount([fold for name, fold in dealt.items() if int(name[:3]) < 10])
    assert per_fold.tolist() == [1] * 10


def test_a_dead_near_microphone_tells_no_clips_apart():
    """All in one fold there would be nothing to judge them by."""
    one = digest("nothing")
    pairs = [(clip, replace(what, near=one)) for clip, what in clips()]
    assert sorted(set(folds_of(pairs).values())) == list(range(10))


def test_parts_of_a_recording_share_a_fold():
    pairs = [
        (Clip(Path(f"{i // 2}.wav"), start=10.0 * (i % 2), stop=10.0 * (i % 2) + 10), what)
        for i, (_, what) in enumerate(clips(count=24))
    ]
    normals = Normals(("fan", "00"), pairs, ())
    dealt = {}
    for (clip, _), fold in zip(normals.group, normals.folds(6, 0), strict=True):
        dealt.setdefault(clip.path, set()).add(int(fold))
    assert len(dealt) == 12
    assert all(len(folds) == 1 for folds in dealt.values())
