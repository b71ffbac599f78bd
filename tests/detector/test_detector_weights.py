"""Where a detector finds its weights: where a person says, in its folder, where they were."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

import nearfar as nf
from nearfar.detector.folder.weights import (
    as_data,
    copy_name,
    copy_weights,
    drop_weights,
    from_data,
    located,
)
from nearfar.detector.origin import origins
from nearfar.errors import FormatError, WeightsError


@dataclass(frozen=True)
class Encoder:
    """Its weights are a folder with one file, which is its fingerprint."""

    weights: str

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 1

    @property
    def files(self):
        return {"model": Path(self.weights) / "model"}

    @property
    def fingerprint(self):
        try:
            return self.files["model"].read_text()
        except OSError:
            raise WeightsError(f"{self.weights}: is not there") from None

    def __call__(self, audios):
        raise NotImplementedError


def placed(folder, text="first"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model").write_text(text)
    return str(folder)


@pytest.fixture
def system(tmp_path):
    return nf.System(nf.Near(), Encoder(placed(tmp_path / "here")))


@pytest.fixture
def detector(tmp_path):
    folder = tmp_path / "detector"
    folder.mkdir()
    return folder


def place_of(system):
    return [Path(m.embedder.weights).name for m in system.members]


def test_they_are_where_they_were(system, detector):
    assert located(system, origins(system), detector) == system


def test_a_copy_in_the_folder_is_found_when_they_are_gone(system, detector, tmp_path):
    known = origins(system)
    copy_weights(system, known, detector)
    (tmp_path / "here").rename(tmp_path / "away")
    found = located(system, known, detector)
    assert place_of(found) == [copy_name(known[0])]
    assert found.embedder.fingerprint == "first"


def test_of_several_places_that_with_the_right_weights_is_taken(system, detector, tmp_path):
    """Others may have come to lie where the weights were, or in the copy."""
    known = origins(system)
    copy_weights(system, known, detector)
    placed(tmp_path / "here", "other")
    assert place_of(located(system, known, detector)) == [copy_name(known[0])]
    placed(tmp_path / "here")
    placed(detector / copy_name(known[0]), "damaged")
    assert place_of(located(system, known, detector)) == ["here"]


def test_what_a_person_says_is_taken_or_refused(system, detector, tmp_path):
    known = origins(system)
    there = [placed(tmp_path / "wrong", "wrong"), placed(tmp_path / "right")]
    assert place_of(located(system, known, detector, there)) == ["right"]
    with pytest.raises(WeightsError, match=r"wrong.*or fit again") as caught:
        located(system, known, detector, there[:1])
    assert "\n" not in str(caught.value)


def test_each_member_of_an_ensemble_finds_its_own(system, detector, tmp_path):
    second = replace(system, embedder=Encoder(placed(tmp_path / "second", "2nd")))
    both = nf.Ensemble((system, second))
    moved = [placed(tmp_path / "b", "2nd"), placed(tmp_path / "a")]
    assert place_of(located(both, origins(both), detector, moved)) == ["a", "b"]


def test_gone_weights_are_no_error_until_they_are_needed(system, detector, tmp_path):
    """Thresholds can be changed without them."""
    known = origins(system)
    (tmp_path / "here" / "model").unlink()
    (tmp_path / "here").rmdir()
    assert located(system, known, detector) == system


def test_other_weights_are_not_copied(system, detector, tmp_path):
    known = origins(system)
    placed(tmp_path / "here", "other")
    with pytest.raises(WeightsError, match="is not what the bank was made with"):
        copy_weights(system, known, detector)
    assert list(detector.iterdir()) == []


def test_a_damaged_copy_is_mended_and_a_right_one_left(system, detector):
    known = origins(system)
    copy_weights(system, known, detector)
    copy = detector / copy_name(known[0])
    before = (copy / "model").stat().st_ino
    copy_weights(system, known, detector)
    assert (copy / "model").stat().st_ino == before
    placed(copy, "damaged")
    copy_weights(system, known, detector)
    assert (copy / "model").read_text() == "first"
    assert [p.name for p in detector.iterdir()] == [copy.name]


def test_equal_encoders_share_a_copy_and_unneeded_ones_are_dropped(system, detector, tmp_path):
    twin = replace(system, embedder=Encoder(placed(tmp_path / "twin")), seed=1)
    other = replace(system, embedder=Encoder(placed(tmp_path / "other", "other")))
    three = nf.Ensemble((system, twin, other))
    copy_weights(three, origins(three), detector)
    assert len(list(detector.iterdir())) == 2
    drop_weights(origins(other), detector)
    assert [p.name for p in detector.iterdir()] == [copy_name(origins(other)[0])]


def test_origins_survive_json(system):
    known = origins(system)
    assert from_data(as_data(known)) == known


@pytest.mark.parametrize(
    "data", [None, 7, [{}], [{"fingerprint": "x", "dim": "many", "place": ""}], ["x"],
             [{"fingerprint": "x", "dim": 0, "place": ""}]]
)  # fmt: skip
def test_what_describes_no_embedder_is_one_line(data):
    with pytest.raises(FormatError, match="fit again"):
        from_data(data)
