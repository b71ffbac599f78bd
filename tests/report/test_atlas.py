"""A map turns space without bending it, and shows the far clip far."""

import numpy as np
import pytest

from nearfar.embedding.jobs import Heard
from nearfar.report.atlas import FURTHEST, atlas, principal, within
from reports import DIM, detector


def test_the_axes_are_those_of_the_largest_variance():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(40, 6)) * [5, 1, 3, 0.1, 0.1, 0.1]
    axes, share = principal(rows)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    for k in (0, 1):
        assert abs(axes[k] @ vectors[:, -1 - k]) == pytest.approx(1)
        assert share[k] == pytest.approx(values[-1 - k] / values.sum())
    assert axes @ axes.T == pytest.approx(np.eye(2))


def test_a_map_is_no_mirror_of_another():
    rows = np.random.default_rng(3).normal(size=(40, 6))
    assert principal(rows)[0] == pytest.approx(principal(rows[::-1])[0])


@pytest.mark.parametrize("rows", [np.zeros((3, 4)), np.ones((1, 4)), np.zeros((0, 4))])
def test_few_clips_have_few_axes(rows):
    axes, share = principal(rows)
    assert np.isfinite(axes).all()
    assert share[1] == 0


def test_a_clip_far_from_normal_is_far_on_the_map():
    made = detector("fan")
    near, far = np.zeros(DIM, np.float32), np.full(DIM, 5, np.float32)
    found = atlas(made, ("fan", "00"), [Heard((row,), 10.0) for row in (near, far)])
    close, apart = np.linalg.norm(found.clips, axis=1)
    assert apart > 3 * close
    assert found.bank.shape == (30, 2)
    assert found.target.sum() == 7


def test_a_clip_far_out_stands_at_the_edge():
    made = detector("fan")
    rows = [np.zeros(DIM, np.float32), np.full(DIM, 1e4, np.float32)]
    found = atlas(made, ("fan", "00"), [Heard((row,), 10.0) for row in rows])
    places, beyond = within(found)
    assert beyond.tolist() == [False, True]
    reach = np.linalg.norm(found.bank, axis=1).max()
    assert np.linalg.norm(places[1]) == pytest.approx(FURTHEST * reach)


def test_without_new_clips_the_bank_is_drawn():
    assert atlas(detector("fan"), ("fan", "00"), []).clips.shape == (0, 2)
