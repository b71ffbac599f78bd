"""Near and far files that arrive apart, in any order and at any time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.clips.pairs import pairing, recordings
from nearfar.service.incoming import Stamp
from nearfar.service.sources.partners import Half, Partners, sided

PATIENCE = 60.0


def stamp(path):
    return Stamp(path, 100, 1)


def take(partners, path, now=0.0, pair=None, known=False):
    return partners.take(stamp(path), sided(path, "in", pair), now, known=known)


@given(st.permutations([f"in/{n}_{side}.wav" for n in range(4) for side in ("near", "far")]))
def test_in_whatever_order_they_come_the_pairs_are_those_of_listing(paths):
    partners, found = Partners(PATIENCE), []
    for path in paths:
        found += take(partners, path)
    assert sorted(w.recording for w in found) == recordings(map(Path, paths))
    assert partners.untold == 0
    assert all(
        {s.path for s in w.files} == {str(w.recording.path), str(w.recording.far)} for w in found
    )


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("in/a_near.wav", "in/a_far.wav"), ("in/a_FAR.wav", "in/a_NEAR.wav"),
        ("in/a_Tr1.WAV", "in/a_Tr2.WAV"), ("in/x/far/a.wav", "in/x/near/a.wav"),
        ("in/x/Near/a.wav", "in/x/Far/a.wav"),
    ],
)  # fmt: skip
def test_the_missing_file_is_named_as_it_would_be_called(path, missing):
    assert sided(path, "in").missing == missing


def test_what_is_no_half():
    for path in ("in/a.wav", "in/ch1/a.wav", "in/a_near.mp3", "near/a.wav", "in/a_Tr12.wav"):
        assert sided(path, "near" if path.startswith("near") else "in") is None, path


def test_folders_of_halves_need_a_pair_of_them(tmp_path):
    for name in ("ch1", "ch2", "tr1"):
        (tmp_path / name).mkdir()
    root = str(tmp_path)
    assert sided(f"{root}/ch1/a.wav", root).missing == f"{root}/ch2/a.wav"
    assert sided(f"{root}/tr1/a.wav", root) is None


def test_a_half_is_told_of_once_and_still_waited_for():
    partners = Partners(PATIENCE)
    assert take(partners, "in/a_near.wav", now=5.0) == []
    assert partners.late(5.0 + PATIENCE - 0.1) == []
    (half,) = partners.late(5.0 + PATIENCE)
    assert half == Half(stamp("in/a_near.wav"), "in/a_far.wav", "in")
    assert partners.late(1e6) == []
    (whole,) = take(partners, "in/a_far.wav", now=1e6)
    assert whole.recording.far == Path("in/a_far.wav")


def test_one_microphone_as_recorders_call_it_is_a_recording_of_its_own():
    partners = Partners(PATIENCE)
    take(partners, "in/ZOOM0001_Tr1.wav")
    (whole,) = partners.late(PATIENCE)
    assert whole.recording == recordings([Path("in/ZOOM0001_Tr1.wav")])[0]
    # Where pairs are recorded it is a half.
    take(partners, "in/ZOOM0002_Tr1.wav")
    take(partners, "in/ZOOM0002_Tr2.wav")
    take(partners, "in/ZOOM0003_Tr1.wav")
    assert [type(found) for found in partners.late(2 * PATIENCE)] == [Half]


def test_of_three_tracks_nobody_knows_which_are_meant():
    partners, found = Partners(PATIENCE), []
    paths = ["in/z_Tr1.wav", "in/z_Tr3.wav"]
    for path in paths:
        found += take(partners, path)
    assert [w.recording for w in found] == recordings(map(Path, paths))
    assert all("tracks" in w.recording.fault for w in found)


def test_a_rewritten_half_counts_as_it_is_last():
    partners = Partners(PATIENCE)
    take(partners, "in/a_near.wav")
    again = Stamp("in/a_near.wav", 200, 2)
    assert partners.take(again, sided(again.path, "in"), 1.0) == []
    (whole,) = take(partners, "in/a_far.wav")
    assert again in whole.files


def test_known_halves_make_no_pair_that_is_given_unless_one_of_them_is_new():
    partners = Partners(PATIENCE)
    take(partners, "in/a_near.wav", known=True)
    assert take(partners, "in/a_far.wav", known=True) == []
    take(partners, "in/b_near.wav", known=True)
    assert partners.late(PATIENCE) == []  # it was told of when it became known
    assert len(take(partners, "in/b_far.wav")) == 1


def test_pairs_as_somebody_says():
    pair = pairing("NEAR=*_1.wav,FAR=*_2.wav")
    partners = Partners(PATIENCE, pair)
    assert sided("in/x_1.wav", "in", pair).missing == "in/x_2.wav"
    take(partners, "in/x_1.wav", pair=pair)
    (whole,) = take(partners, "in/x_2.wav", pair=pair)
    assert whole.recording.path == Path("in/x_1.wav")


def test_halves_without_end_are_forgotten_beyond_a_bound(monkeypatch):
    monkeypatch.setattr("nearfar.service.sources.partners._MOST", 10)
    partners = Partners(PATIENCE)
    for n in range(50):
        take(partners, f"in/{n}_near.wav")
    assert len(partners.late(PATIENCE)) == 50
    # The first can have no partner any more, the last can.
    assert not take(partners, "in/0_far.wav")
    assert take(partners, "in/49_far.wav")
