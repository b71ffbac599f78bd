"""What one clip's arrays gave back serves the next one's."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from nearfar.runtime.memory import keep_freed

SIZES = (640_000, 1_280_000, 1_280_000)  # bytes, of a clip of 10 s

def clip():
    for array in [np.empty(size, np.uint8) for size in SIZES]:
        array[::4096] = 1  # every page

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    keep_freed()
for _ in range(3):
    clip()
before = faults()
for _ in range(20):
    clip()
print((faults() - before) / 20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(how):
    # Settings of the C library that somebody made would be tested in place of ours.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    told = subprocess.run(
        [sys.executable, "-c", FAULTS, how], env=kept, capture_output=True, text=True, check=True
    )
    return map(float, told.stdout.split())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries go their own way")
def test_pages_of_one_clip_are_there_for_the_next():
    pages = (640_000 + 2 * 1_280_000) / os.sysconf("SC_PAGE_SIZE")
    faults, memory = run("keep")
    assert faults < pages / 100
    # Nothing of what the allocator was shown was ever used.
    assert memory < next(iter(list(run("let"))[1:])) + 4_000  # KB
