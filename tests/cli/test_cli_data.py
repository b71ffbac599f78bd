"""What commands say of data: channels of a file of several, and how they are remembered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import nearfar as nf
from conftest import refused
from nearfar.cli.options import Order, channels_of, order_of
from nearfar.errors import SettingError


def test_channels_are_said_together() -> None:
    assert channels_of(None, None) is None
    assert order_of(Order.far_near, None, None) == "far-near"
    assert order_of(Order.near_far, 3, 7) == (3, 7)
    for near, far in ((3, None), (None, 7), (3, 3)):
        refused(lambda n=near, f=far: channels_of(n, f), "--near", error=SettingError)
    refused(lambda: order_of(Order.far_near, 3, 7), "--channel-order", error=SettingError)


@pytest.mark.parametrize("order", ["near-far", "far-near", (3, 7), (2, 1)])
def test_a_detector_remembers_its_channels(detector_folder, tmp_path: Path, order) -> None:
    old = nf.load(detector_folder)
    replace(old, order=order).save(tmp_path / "d")
    assert nf.load(tmp_path / "d").order == order
    # Only what an older nearfar could not read has the new format.
    data = json.loads((tmp_path / "d" / "detector.json").read_text())
    assert (data["format"] == 3) == isinstance(order, tuple)
