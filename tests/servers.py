"""Programs of Debian's packages that tests start on loopback: found, or why the test is left out.

Elsewhere than in `.ci/run`, which sets NEARFAR_SERVERS=required, tests that need one skip with a
message.
"""

import os
import shutil
from pathlib import Path

import pytest

# Where Debian puts what is not on everybody's path.
ASIDE = ("/usr/sbin", "/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin"))))


def server(program, package):
    """Path of a program; the test skips without it, or fails where it is required."""
    found = shutil.which(program) or shutil.which(program, path=os.pathsep.join(ASIDE))
    if found is None:
        missing(f"no {program} here (apt-get install {package})")
    return Path(found)


def missing(why):
    """Leave the test out, or fail where nothing may be left out."""
    if os.environ.get("NEARFAR_SERVERS") == "required":
        pytest.fail(why)
    pytest.skip(why)
