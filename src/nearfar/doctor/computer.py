"""The computer: processor and cores that may be used, BLAS, memory, the cache's disk, devices."""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearfar.doctor.sign import Sign, asked

CGROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # bytes; what a control group without a limit says is near 2**63


def computer(cgroups: Path = CGROUPS) -> Iterator[Sign]:
    """What nearfar has to compute with."""
    yield asked("computer", "processor", _processor)
    yield asked("computer", "cores", lambda: _cores(cgroups))
    yield asked("computer", "BLAS", _blas)
    yield asked("computer", "memory", lambda: _memory(cgroups))
    yield asked("computer", "cache", _cache, "export NEARFAR_CACHE=FOLDER")
    yield asked("computer", "devices", _devices)


def _processor() -> str:
    if sys.platform == "linux":  # where Python itself says "x86_64", or nothing
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model n")]
        if names:
            return names[0]
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, timeout=2).stdout.strip()
    return platform.processor() or platform.machine() or "not known"


def _cores(cgroups: Path) -> str:
    """Cores, and how many of them this process may use."""
    there = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    quota = _quota(cgroups)
    usable = min(allowed, there if quota is None else max(1, math.floor(quota)))
    if usable == there:
        return f"{there}, all usable"
    why = [f"affinity allows {allowed}"] * (allowed < there)
    if quota is not None and quota < there:
        why.append(f"the control group has the time of {quota:g}")
    # Processes beyond that only take turns.
    return f"{usable} of {there} usable ({', '.join(why)}); say --workers {usable}"


def _quota(cgroups: Path) -> float | None:
    """Cores' worth of time that a container may take; None: no limit, or none that is told."""
    # Of version 2 one file has both numbers, of version 1 each has its own.
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            limit, period = (float(w) for name in names for w in _words(cgroups / name))
        except (OSError, ValueError):  # "max" is no number, and no limit
            continue
        return limit / period if limit > 0 and period > 0 else None
    return None


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split()


def _blas() -> str:
    import numpy  # noqa: F401 - brings one
    import scipy.linalg  # noqa: F401 - perhaps another
    from threadpoolctl import threadpool_info

    found = dict.fromkeys(_library(one) for one in threadpool_info() if one["user_api"] == "blas")
    return "; ".join(found) or "none that threadpoolctl knows"


def _library(one: dict[str, Any]) -> str:
    kind = f" for {one['architecture']}" if one.get("architecture") else ""
    many = one["num_threads"]
    return f"{one['internal_api']} {one['version']}{kind}, {many} thread{'s' * (many != 1)}"


def _memory(cgroups: Path) -> str:
    total = _total()
    limit = _limit(cgroups)
    told = "not known" if total is None else gigabytes(total)
    if limit is not None and (total is None or limit < total):
        told = f"{gigabytes(limit)} for this container" + (f", of {told}" if total else "")
    free = _available()
    return told + (f", {gigabytes(free)} available" if free is not None else "")


def _total() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _available() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("MemAvailable")]
        return 1024 * int(lines[0][1])
    except (OSError, ValueError, LookupError):
        return None


def _limit(cgroups: Path) -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            (text,) = _words(cgroups / name)
        except (OSError, ValueError):
            continue
        if text.isdigit() and int(text) < _NO_LIMIT:
            return int(text)
    return None


def _cache() -> Sign | str:
    """The disk of the cache, and whether it can be written to."""
    from nearfar.runtime.cache import cache_size, default_cache
    from nearfar.runtime.urls import url_of

    folder = default_cache()
    if url := url_of(folder):
        from nearfar.runtime.remote_cache import remote_size

        return f"{url}, {remote_size(url).entries:,} embeddings"
    # Of a cache that is not there yet it is the disk of the folder that it will be made in.
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    usage = shutil.disk_usage(there)
    told = f"{folder}, {gigabytes(usage.free)} free of {gigabytes(usage.total)}"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there}: cannot be written to, so nothing is kept; {told}")
    size = cache_size(folder)
    if size.entries is None:  # commands go on without it, and warn
        return Sign("computer", "cache", "broken", f"{told}; damaged", "nearfar cache --clear")
    return f"{told}; {size.entries:,} embeddings" if size.entries else told


def _devices() -> str:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        return "CPU (others need PyTorch)"
    import torch

    found = ["CPU"]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number} {about.name}, {gigabytes(about.total_memory)}")
    if torch.backends.mps.is_available():
        found.append("mps")
    return "; ".join(found)


def gigabytes(count: float) -> str:
    """Bytes for people.

    >>> gigabytes(1.5e9), gigabytes(250e9)
    ('1.5 GB', '250 GB')
    """
    return f"{count / 1e9:.3g} GB"
