"""What YAMNet-256 is."""

import pytest

from conftest import refused
from nearfar.embedder.yamnet.layers import YAMNetArchitecture, from_config

ONE = YAMNetArchitecture()


def test_it_is_as_its_publisher_says():
    assert len(ONE.shapes()) == 44
    assert 130_000 < ONE.parameters < 140_000  # "about 131,000", without normalisation
    # The published file has them as 4-byte numbers, and some 70 kB of its own.
    assert 4 * ONE.parameters < 610_472


def test_its_own_config_is_taken():
    assert from_config(ONE.config() | {"made_by": "anybody"}, {}) == ONE


@pytest.mark.parametrize("name", ONE.config())
def test_another_config_is_one_line(name):
    config = ONE.config()
    refused(lambda: from_config(config | {name: 7}, {}), f"config has {name} 7, YAMNet-256 has")
    del config[name]
    refused(lambda: from_config(config, {}), f"{name} None")
