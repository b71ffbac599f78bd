"""What check looks at beside a fit: which clips are test clips, and what is said of them."""

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write, write_machine
from nearfar.detector.checked import Listing, look_at_tests
from nearfar.detector.fitting import look_over
from nearfar.runtime.runtime import Runtime


def test_test_clips_are_those_that_a_fit_never_opens(tmp_path):
    write_machine(tmp_path, "fan", 1, source=3, target=1, test=2)
    listing = Listing.of([tmp_path], {})
    assert {clip.split for clip in listing.train} == {"train"}
    assert {clip.split for clip in listing.tests} == {"test"}
    assert (len(listing.train), len(listing.tests), listing.unlisted) == (4, 8, "")


def test_a_folder_of_ones_own_has_none_but_labelled_anomalies(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav", "broken/c.wav"):
        write(tmp_path / "pump" / name, machine_sound(rng))
    with pytest.warns(nf.NearfarWarning, match="not fitted on"):
        listing = Listing.of([tmp_path / "pump"], {})
    assert [clip.path.name for clip in listing.tests] == ["c.wav"]


def test_test_clips_that_cannot_be_listed_stop_nothing(tmp_path):
    write_machine(tmp_path, "fan", 1, source=3, target=1, test=1)
    (tmp_path / "fan/test/free.wav").touch()
    listing = Listing.of([tmp_path], {})
    assert (len(listing.train), len(listing.tests)) == (4, 0)
    assert "free.wav" in listing.unlisted


def test_what_cannot_be_used_is_told_beside_what_can(tmp_path):
    write_machine(tmp_path, "fan", 1, source=4, target=1, test=2)
    listing = Listing.of([tmp_path], {})
    listing.tests[0].path.write_bytes(b"")
    listing.tests[1].path.unlink()  # meanwhile
    looked = look_over(nf.s4(), listing.train)
    found = look_at_tests(nf.s4(), listing.tests, looked, Runtime(), "near-far")
    assert (len(found.faults), found.counts) == (2, {"fan": 6})
    assert (found.tests, found.train) == ((), ())
