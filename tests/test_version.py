"""The version stands in one place, and what shows it agrees."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from nearfar.version import __version__, versions

ROOT = Path(__file__).parents[1]


def test_what_is_cited_is_this_version():
    cited = re.search(r"^version: *\"?([\w.]+)", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited is not None
    assert cited[1] == __version__


def test_what_a_figure_was_computed_with():
    assert versions() == {
        "nearfar": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def test_asking_for_the_version_loads_no_numpy():
    code = "import sys, nearfar.version; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
