"""`make bench`: run every benchmark, then write docs/benchmarks.md in one go."""

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

from nearfar.files import write_text  # noqa: E402
from nearfar.version import __version__  # noqa: E402

SECTIONS = ("dif", "frontends", "fit", "selfscores", "bootstrap", "startup", "fbank", "eat")
OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, nearfar {__version__}, "
        f"{datetime.date.today().isoformat()}"
    )


def main() -> None:
    chosen = sys.argv[1:] or SECTIONS
    parts = [
        "# Benchmarks",
        "Printed by `make bench`; do not edit. Times are medians; machines are noisy, so read the "
        "ratios, each taken within one run.",
        f"Machine: {machine()}.",
    ]
    for name in chosen:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        parts.append(importlib.import_module(f"bench.{name}").run().strip())
    text = "\n\n".join(parts) + "\n"
    if sys.argv[1:]:
        print(text)
        return
    OUTPUT.parent.mkdir(exist_ok=True)
    write_text(OUTPUT, text)
    print(f"wrote {OUTPUT.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
