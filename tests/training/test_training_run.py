"""In which precision a training computes, and whom it tells."""

import pytest

from nearfar.errors import SettingError
from nearfar.training import FineTuning
from nearfar.training.log import EpochLine, StepLine
from nearfar.training.run import _telling

STEP = StepLine(1, 2, 3, 10, 8.2, 5e-6, 30.0, 430.0)
EPOCH = EpochLine(1, 2, 5, 6.1, 0.5, 0.9, 30.0, 21.0)


@pytest.mark.parametrize(
    ("device", "there", "asked", "wanted"),
    [
        ("cuda", True, "auto", "bf16"),
        ("cuda", False, "auto", "fp32"),  # an older one
        ("cpu", True, "auto", "fp32"),
        ("mps", True, "auto", "fp32"),
        ("cuda", True, "fp32", "fp32"),
        ("cpu", True, "bf16", "bf16"),
        ("cuda", False, "bf16", None),
    ],
)
def test_the_precision_is_bf16_on_a_gpu_that_has_it(monkeypatch, device, there, asked, wanted):
    torch = pytest.importorskip("torch")
    from nearfar.training import run

    monkeypatch.setattr(run, "has_bf16", lambda device: there)
    settings = FineTuning(precision=asked)
    if wanted is None:
        with pytest.raises(SettingError, match=r"training\.precision is 'bf16'"):
            run._with_precision(settings, torch.device(device))
    else:
        assert run._with_precision(settings, torch.device(device)).precision == wanted


def test_progress_counts_steps_and_who_watches_hears_all():
    counted, heard = [], []
    tell = _telling(lambda *what: counted.append(what), heard.append)
    for entry in (STEP, EPOCH):
        tell(entry)
    assert counted == [("training", 3, 10)]
    assert heard == [STEP, EPOCH]
    _telling(None, None)(STEP)
