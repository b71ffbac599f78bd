"""What an embedder was when banks were made of its rows, and whether it still is."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

import nearfar as nf
from nearfar.detector.origin import Origin, check, check_one, difference, origins, rounded
from nearfar.errors import WeightsError


@dataclass(frozen=True)
class Encoder:
    """Its fingerprint is what its weights hold; they are gone if the file is."""

    weights: str = "hub/encoder"
    settings: str = "pooling=mean, layer=1"

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = 3

    @property
    def fingerprint(self):
        if self.weights == "gone":
            raise WeightsError("gone: is not there")
        return f"made|{self.weights.ljust(20)}|{self.settings}"

    def __call__(self, audios):
        raise NotImplementedError


def system(**settings):
    return nf.System(nf.Near(), Encoder(**settings))


def test_an_origin_for_each_member():
    both = nf.Ensemble((nf.System(nf.Near(), nf.LogMel(n_mels=20)), system()))
    first, second = origins(both)
    assert (first.dim, first.place) == (20, "")
    assert second == Origin(Encoder().fingerprint, 3, "hub/encoder")


def test_a_file_is_remembered_by_its_full_path_and_a_hub_id_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "w").write_text("")
    monkeypatch.chdir(tmp_path)
    assert origins(system(weights="w"))[0].place == str(tmp_path / "w")
    assert origins(system(weights="owner/w"))[0].place == "owner/w"


def test_the_same_embedder_passes_and_a_detector_made_by_hand_is_not_compared():
    check(system(), origins(system()))
    check(system(), ())


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"weights": "hub/other"}, "other weights"),
        ({"settings": "pooling=cls, layer=1"}, "pooling=mean then, pooling=cls now"),
        ({"settings": "pooling=cls, layer=2"}, "layer=1 then, layer=2 now"),
    ],
)
def test_another_encoder_is_refused_and_told_apart(now, said):
    with pytest.raises(WeightsError, match=said) as caught:
        check_one(Encoder(**now), origins(system())[0])
    assert "\n" not in str(caught.value)


def test_any_member_is_checked():
    both = nf.Ensemble((system(), system()))
    changed = replace(both, members=(system(), system(weights="hub/other")))
    with pytest.raises(WeightsError):
        check(changed, origins(both))


def test_weights_that_are_gone_say_where_to_name_them():
    with pytest.raises(WeightsError, match=r"is not there.*weights=…"):
        check_one(Encoder("gone"), origins(system())[0])


def test_an_exported_encoder_s_own_file_says_the_way_out(tmp_path):
    """Weights cannot be elsewhere, nor can a small computer fit again."""
    (tmp_path / "encoder.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError) as caught:
        check_one(nf.OnnxEncoder(str(tmp_path)), Origin("onnx-1|ab|kind=eat", 8, str(tmp_path)))
    assert "export it again" in str(caught.value)
    assert "weights=" not in str(caught.value)


def test_a_difference_of_other_fingerprints_is_their_beginnings():
    assert difference(Origin("dif-1" + "x" * 40, 3), "dif-2") == f"dif-1{'x' * 19} then, dif-2 now"
    assert difference(Origin("a|b|c=1", 3), "d|b|c=1") == "a then, d now"


def test_rows_that_differ_by_rounding_alone_are_taken_and_named():
    class Rounded(Encoder):
        alike: ClassVar[tuple[str, ...]] = ("made-0",)

    recipe = nf.System(nf.Near(), Rounded())
    was = replace(origins(recipe)[0], fingerprint="made-0")
    check(recipe, [was])
    assert rounded(recipe, [was]) == (difference(was, Rounded().fingerprint),)
    assert rounded(recipe, origins(recipe)) == ()
    with pytest.raises(WeightsError, match="not what the bank was made with"):
        check(system(), [was])  # only of the embedder that promises it


def test_what_wraps_such_an_embedder_takes_them_too():
    recipe = nf.System(nf.Stereo(), nf.Crops(nf.DIF(), n=2))
    (now,) = origins(recipe)
    was = replace(now, fingerprint=now.fingerprint.replace(nf.DIF().fingerprint, "dif-1"))
    check(recipe, [was])
    assert rounded(recipe, [was]) == (difference(was, now.fingerprint),)
    assert rounded(recipe, [now]) == ()
    other = replace(was, fingerprint=was.fingerprint.replace("crops-1 2", "crops-1 3"))
    with pytest.raises(WeightsError, match="not what the bank was made with"):
        check(recipe, [other])
