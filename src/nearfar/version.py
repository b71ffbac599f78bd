"""The version, once."""

from __future__ import annotations

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """What a figure was computed with."""
    import platform

    import numpy as np  # not at the top: `import nearfar` asks for the version alone

    return {
        "nearfar": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
