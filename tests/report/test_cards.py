"""Explanations inside a report: of the highest clips, with sounds as far as there is room."""

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.explanation.explanation import Explanation, Tracks
from nearfar.report import cards
from nearfar.report.cards import _ranks, _voiced, explained, sounds_of
from nearfar.report.contents import gather
from nearfar.report.judged import judge
from nearfar.scores.verdict import Verdict
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.study.data import Given
from reports import plant


@pytest.fixture(scope="module")
def made(dcase, detector_folder):
    run = judge(nf.load(detector_folder), Given.of(dcase), nf.Runtime())
    contents = gather(run, top=3)
    return contents, explained(contents, nf.Runtime(), each=2)


def test_the_highest_of_each_machine_are_explained(made):
    contents, found = made
    assert [card.machine for card in found] == ["fan", "fan", "pump", "pump"]
    for name in ("fan", "pump"):
        mine = [card.verdict for card in found if card.machine == name]
        assert mine == list(contents.top[name][:2])
    for card in found:
        assert card.explanation.verdict.score == pytest.approx(card.verdict.score)
        parts = sum(m.contribution for m in card.explanation.movements)
        assert parts == pytest.approx(card.explanation.squared)
        assert {track.name for track in card.tracks} >= {"near", "normal", "far"}
        assert not card.left_out


def test_none_asked_for_are_none(made):
    assert explained(made[0], nf.Runtime(), each=0) == ()


def loud(seconds=1.0, kinds=("near", "far")):
    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.5, 0.5, round(seconds * SAMPLE_RATE)).astype(np.float32)
    verdict = Verdict(plant(count=1)[0], 1.0, 0.9, 2.0, "b.wav")
    tracks = Tracks(sound, sound if "far" in kinds else None)
    return Explanation(verdict, tracks=tracks, normal=Tracks(sound) if "normal" in kinds else None)


def test_sounds_stay_within_their_room_the_telling_ones_first(monkeypatch):
    whys = [loud(kinds=("near", "far", "normal")) for _ in range(4)]
    (one, *_), _, _ = _voiced(whys[:1], [0])[0][0].values(), None, None
    room = int(6.5 * len(one.url))
    monkeypatch.setattr(cards, "BYTES", room)
    found = _voiced(whys, _ranks(["fan", "fan", "pump", "pump"]))
    urls = [track.url for tracks, _, _ in found for track in tracks.values()]
    assert sum(map(len, urls)) <= room
    assert all("near" in tracks for tracks, _, _ in found)
    # The first of each machine have the nearest normal clip; the second have no room for it.
    assert [list(tracks) for tracks, _, _ in found] == [["near", "normal"], ["near"]] * 2
    assert found[1][1] == ["nearest normal clip", "far microphone"]


def test_of_a_whole_plant_the_highest_of_each_machine_come_first(monkeypatch):
    monkeypatch.setattr(cards, "MOST", 3)
    quiet = Verdict(plant(count=1)[0], 1.0, 0.9, 2.0, "b.wav")
    alarm = Verdict(plant(count=1)[0], 3.0, 0.9, 2.0, "b.wav")
    asked = [("a", quiet), ("a", quiet), ("b", alarm), ("b", alarm), ("c", quiet), ("d", quiet)]
    assert cards._chosen(asked) == [asked[0], asked[2], asked[4]]


def test_a_long_sound_is_cut_and_it_is_said():
    ((tracks, _, cut),) = _voiced([loud(seconds=cards.SECONDS + 3, kinds=("near",))], [0])
    assert cut
    assert tracks["near"].seconds == cards.SECONDS


def test_a_clip_that_cannot_be_read_has_no_sounds():
    verdict = Verdict(plant(count=1)[0], 1.0, 0.9, 2.0, "b.wav")
    assert sounds_of(Explanation(verdict)) == {}


def test_what_raised_the_alarm_is_explained_before_the_highest():
    low, high, raising = (
        Verdict(clip, score, 0.9, 1.0, "b.wav")
        for clip, score in zip(plant(count=3), (2.0, 9.0, 3.0), strict=True)
    )
    assert cards._told([high, raising, low], raising) == [raising, high, low]
    assert cards._told([high, low], raising)[:2] == [raising, high]
    assert cards._told([high, low], None) == [high, low]
