"""What is kept of clips survives the disk; what does not fit is refused."""

import numpy as np
import pytest

from nearfar.detector.folder.tracks import traces_data, traces_in, workings_data, workings_in
from nearfar.detector.traces import NUMBERS, Traces, Workings
from nearfar.errors import FormatError

NEAR = ("ab" * 32, "")
TRACES = Traces(NEAR, ("", "cd" * 16), np.full((2, len(NUMBERS)), np.nan))
WORKINGS = Workings(
    np.array([0, 1]), np.array([1, 0]), np.ones((2, 3), np.float32), np.array([[0, 1], [0, 0]])
)


def test_traces():
    back = traces_in(traces_data(TRACES), 2)
    assert (back.near, back.session) == (TRACES.near, TRACES.session)
    assert np.array_equal(back.numbers, TRACES.numbers, equal_nan=True)
    assert traces_in({}, 2) is None
    with pytest.raises(FormatError):
        traces_in(traces_data(TRACES), 3)


def test_workings():
    tensors = {f"0.{name}": value for name, value in workings_data(WORKINGS).items()}
    back = workings_in(tensors, 0, np.array([1]), 3, 2)
    for name in ("folds", "made", "spare", "spare_of"):
        assert np.array_equal(getattr(back, name), getattr(WORKINGS, name))
    assert workings_in({}, 0, np.array([1]), 3, 2) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folds", np.zeros(3, int)),
        ("made", np.array([2, 0])),
        ("made", np.array([-1, 2])),
        ("spare", np.full((2, 3), np.nan)),
        ("spare", np.ones((1, 3))),
        ("spare_of", np.zeros((2, 3), int)),
    ],
)
def test_what_does_not_fit_is_refused(name, value):
    tensors = {f"0.{key}": kept for key, kept in workings_data(WORKINGS).items()}
    tensors[f"0.{name}"] = value
    with pytest.raises(FormatError):
        workings_in(tensors, 0, np.array([1]), 3, 2)
