"""A disk of eight megabytes, for tests of a full one; only root can have it."""

import subprocess

import pytest


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder that takes eight megabytes and no more."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    try:
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("no small disk can be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
