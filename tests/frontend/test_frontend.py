"""Every front end keeps the contract; one channel is refused where two are needed."""

import pytest

from front_sounds import white
from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask, Far, FarCancel, Near, Stereo
from nearfar.testing import check_frontend

ESTIMATORS = ("clip", "ema", "ema_debiased")


@pytest.mark.parametrize(
    "part",
    [
        Near(), Far(), Stereo(), FarCancel(), FarCancel(n_fft=512, hop=128),
        *(CoherenceMask(coherence=c) for c in ESTIMATORS),
        CoherenceMask(sharpness=2.0, coherence_weight=0.0, floor=0.0, smoothing=0.0),
    ],
    ids=repr,
)  # fmt: skip
def test_contract(part):
    check_frontend(part)


@pytest.mark.parametrize("part", [CoherenceMask(), FarCancel()], ids=repr)
def test_one_channel_is_refused(part):
    with pytest.raises(SettingError, match="takes"):
        part(white(channels=1))
