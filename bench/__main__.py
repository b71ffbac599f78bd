"""`make bench`: run every benchmark, then write its column of docs/benchmarks.md in one go.

`python -m bench NAME …` prints some of them, `python -m bench --write NAME …` writes these alone.
"""

from __future__ import annotations

import os

# One core, before numpy starts its threads: ratios of single-core work.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import datetime  # noqa: E402
import importlib  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import scipy  # noqa: E402

from bench.page import parsed, printed, processor  # noqa: E402
from nearfar.files import write_text  # noqa: E402
from nearfar.version import __version__  # noqa: E402

SECTIONS = (
    "dif",
    "named",
    "frontends",
    "fit",
    "fleets",
    "engines",
    "selfscores",
    "rules",
    "bootstrap",
    "startup",
    "edge",
    "check",
    "fbank",
    "eat",
    "exported",
    "beats",
    "yamnet",
    "watch",
    "serving",
    "gpu",
)
OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
INTRO = (
    "Printed by `make bench`, which writes the columns of the processor that it runs on and leaves "
    "the others as they are; do not edit. What one core does is counted in processor time, which a "
    "busy machine hardly changes; what several do, by the clock. All are medians; read the ratios, "
    "each taken within one run."
)


def machine() -> str:
    """What numbers were printed on and with."""
    _, cpu = processor()
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, nearfar {__version__}, "
        f"{datetime.date.today().isoformat()}"
    )


def main() -> None:
    """Print the sections named; without any, or behind --write, put them on the page."""
    write, chosen = sys.argv[1:2] == ["--write"], [a for a in sys.argv[1:] if a != "--write"]
    maker, _ = processor()
    parts = [f"- {maker}: {machine()}."]
    for name in chosen or SECTIONS:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        parts.append(importlib.import_module(f"bench.{name}").run().strip())
    text = "\n\n".join(parts) + "\n"
    if chosen and not write:
        print(text)
        return
    page = parsed(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    # Some of them again: what was measured before on such a processor stays beside them.
    page[maker] = (page.get(maker, {}) if chosen else {}) | parsed(text)[maker]
    OUTPUT.parent.mkdir(exist_ok=True)
    write_text(OUTPUT, printed(page, INTRO))
    print(f"wrote {OUTPUT.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
