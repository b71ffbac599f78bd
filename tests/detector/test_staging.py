"""Banks wait beside those of the detector that is there, and are in nobody's way."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.detector import Detector
from nearfar.detector.folder.late import section_bytes
from nearfar.detector.folder.staging import StagedSections, Staging, sweep_staged
from nearfar.detector.member import Member
from nearfar.detector.origin import Origin
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import StorageError
from nearfar.files import STALE
from nearfar.scoring.whiten import Whitening
from nearfar.system.presets import logmel

KILLED = """
import os, sys
from pathlib import Path
from nearfar.detector.folder.staging import Staging
Staging(Path(sys.argv[1])).write("bank-a", b"rows")
os._exit(9)
"""


def section_of(seed):
    rows = np.random.default_rng(seed).standard_normal((4, 128)).astype(np.float32)
    member = Member(rows, np.arange(4), np.zeros(4, np.int8), None, np.array([1.0, 2.0, 3.0, 4.0]))
    clips = tuple(TrainingClip(f"{seed}{name}.wav", digest="") for name in "abcd")
    return Section((member,), clips, levels=None, seconds=1.0)


@pytest.fixture
def killed(tmp_path):
    """A folder that a fit was killed in, and that holds nothing else."""
    code = [sys.executable, "-c", KILLED, str(tmp_path / "det")]
    assert subprocess.run(code, check=False).returncode == 9
    assert [*(tmp_path / "det").glob(".bank-*/bank-a")]
    return tmp_path / "det"


def test_a_folder_is_made_with_the_first_file_and_gone_with_the_last(tmp_path):
    with Staging(tmp_path / "a" / "det") as staging:
        assert not (tmp_path / "a").exists()
        path = staging.write("bank-a", b"rows")
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"rows", 0o644)
        assert path.parent.parent == tmp_path / "a" / "det"
    assert not (tmp_path / "a").exists()


def test_a_folder_that_was_there_stays(tmp_path):
    with Staging(tmp_path) as staging:
        staging.write("bank-a", b"rows")
    assert tmp_path.is_dir()
    assert not [*tmp_path.iterdir()]


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / "det").write_text("a file")
    with Staging(tmp_path / "det") as staging, pytest.raises(StorageError, match="det: cannot be"):
        staging.write("bank-a", b"rows")


def test_what_a_killed_fit_left_is_gone_with_the_next_save(killed):
    detector = Detector(logmel(), {("fan", "00"): section_of(0)})
    detector.save(killed)
    assert not [*killed.glob(".bank-*")]
    assert nf.load(killed).machines == ("fan",)


def test_the_next_fit_begins_without_it(killed):
    with Staging(killed) as staging:
        staging.write("bank-b", b"rows")
        assert len([*killed.glob(".bank-*")]) == 1


def test_a_save_leaves_alone_what_another_fit_is_at(tmp_path):
    with Staging(tmp_path) as staging:
        path = staging.write("bank-a", b"rows")
        long_ago = time.time() - 2 * STALE  # its clips take hours
        os.utime(path.parent, (long_ago, long_ago))
        Detector(logmel(), {("fan", "00"): section_of(0)}).save(tmp_path)
        assert path.read_bytes() == b"rows"
    assert nf.load(tmp_path).machines == ("fan",)


@pytest.mark.parametrize(("age", "stays"), [(0.5, True), (2.0, False)])
def test_one_without_its_lock_is_told_by_age(tmp_path, age, stays):
    place = tmp_path / ".bank-abc"
    place.mkdir()
    then = time.time() - age * STALE
    os.utime(place, (then, then))
    sweep_staged(tmp_path)
    assert place.exists() == stays


def test_sections_are_read_again_as_they_were(tmp_path):
    wanted = {(name, "00"): section_of(seed) for seed, name in enumerate(("fan", "pump", "saw"))}
    with Staging(tmp_path / "det") as staging:
        sections = StagedSections(staging, logmel(), most=0)
        for key, section in wanted.items():
            sections.add(key, section)
        assert [sections.keeps(key) for key in sections] == [False, False, True]
        for key, section in wanted.items():
            found = sections[key]
            assert found.clips == section.clips
            for mine, his in zip(found.members, section.members, strict=True):
                np.testing.assert_array_equal(mine.embeddings, his.embeddings)


def test_of_an_embedder_that_changed_meanwhile_banks_are_made_anew(tmp_path):
    with Staging(tmp_path / "det") as staging:
        sections = StagedSections(staging, logmel())
        sections.add(("fan", "00"), section_of(0))
        other = (Origin("logmel-other", 128),)
        wanted = Detector(logmel(), dict(sections), origins=other).save(tmp_path / "whole")
        Detector(logmel(), sections, origins=other).save(tmp_path / "det")
    for path in wanted.iterdir():
        assert (tmp_path / "det" / path.name).read_bytes() == path.read_bytes()


def test_a_whitening_counts_as_memory():
    bare = section_of(0)
    whitening = Whitening(np.zeros(128), np.eye(128))
    (member,) = bare.members
    white = replace(bare, members=(replace(member, whitening=whitening),))
    assert section_bytes(bare) == member.embeddings.nbytes
    assert section_bytes(white) == section_bytes(bare) + 128 * 128 * 8
