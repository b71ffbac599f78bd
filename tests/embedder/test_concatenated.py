"""Concatenated: rows side by side, the very ones that its parts give alone."""

import numpy as np
import pytest

import nearfar as nf
from conftest import TINY, refused
from dif_sounds import SOUNDS
from nearfar.embedder.contract import features_of, has_residuals
from nearfar.errors import AudioError, SettingError
from nearfar.system.presets import s4

ALL = (nf.DIF(), nf.ENV(), nf.LTAS())
AUDIO = SOUNDS["clicks in noise"]


@pytest.mark.parametrize(
    "parts",
    [ALL, ALL[::-1], (nf.DIF(), nf.LTAS()), (nf.ENV(), nf.LTAS()), (nf.ENV(), nf.LogMel(40)),
     (nf.DIF(names=("kurtosis",)), nf.ENV())],
)  # fmt: skip
def test_a_row_is_the_parts_own_to_the_bit(parts):
    joined = nf.Concatenated(parts)
    audio = AUDIO[: joined.channels]
    want = np.concatenate([part([audio[: part.channels]])[0] for part in parts])
    assert joined([audio])[0].tobytes() == want.tobytes()
    assert (joined.dim, joined.channels) == (len(want), max(p.channels for p in parts))


def test_no_clips_are_no_rows():
    assert nf.Concatenated(ALL)([]).shape == (0, 296)


def test_numbers_have_the_names_of_the_parts():
    names = [f.name for f in features_of(nf.Concatenated(ALL))]
    assert names == [f.name for part in ALL for f in features_of(part)]
    assert len(set(names)) == 296
    assert features_of(nf.Concatenated((nf.ENV(), nf.LogMel(40)))) == ()  # whose bands have none


def test_the_fingerprint_is_that_of_all_parts():
    whole = nf.Concatenated(ALL).fingerprint
    assert all(part.fingerprint in whole for part in ALL)


class Louder(nf.DIF):
    """A person's own: derived, and of other numbers."""

    def __call__(self, audios):
        return 2 * super().__call__(audios)


def test_a_part_that_is_derived_from_ours_is_asked_itself():
    row = nf.Concatenated((Louder(), nf.ENV()))([AUDIO])[0]
    assert row[:120].tobytes() == (2 * nf.DIF()([AUDIO])[0]).tobytes()


@pytest.mark.parametrize(
    ("parts", "said"),
    [((nf.DIF(),), "two embedders or more"), ([nf.DIF(), nf.ENV()], "tuple"),
     ((nf.DIF(), nf.ENV(), nf.DIF()), "twice"), ((nf.DIF, nf.ENV()), "embedders"),
     ((nf.DIF(), nf.KNN()), "embedders"), ((nf.DIF(), nf.EAT(str(TINY))), "Ensemble"),
     ((nf.DIF(), nf.YAMNet("a folder")), "Ensemble")],
)  # fmt: skip
def test_what_cannot_be_joined_is_one_line(parts, said):
    refused(lambda: nf.Concatenated(parts), said, error=SettingError)


def test_what_a_part_refuses_is_refused():
    refused(lambda: nf.Concatenated(ALL)([AUDIO[:, :4_000]]), "0.5 s", error=AudioError)


def test_residual_rows_are_of_dif_alone():
    assert not has_residuals(nf.Concatenated(ALL))
    refused(
        lambda: nf.System(nf.Stereo(), nf.Concatenated(ALL), enrichment=s4().enrichment),
        "residuals", error=SettingError,
    )  # fmt: skip
