"""What nearfar stands on: each package imported by itself, its version, and what installs it."""

from __future__ import annotations

import json
import platform
import re
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from nearfar.doctor.sign import FAULTS, Sign, asked, fault
from nearfar.version import __version__

# Package → (module, oldest version that will do), as pyproject.toml has them.
CORE = {
    "numpy": ("numpy", "1.26"), "scipy": ("scipy", "1.11"), "soundfile": ("soundfile", "0.12.1"),
    "soxr": ("soxr", "0.4"), "safetensors": ("safetensors", "0.4.3"),
    "threadpoolctl": ("threadpoolctl", "3.2"), "typer": ("typer", "0.20"), "rich": ("rich", "13"),
    "PyYAML": ("yaml", "6"),
}  # fmt: skip
EXTRAS = {
    "eat": {"torch": ("torch", "2.6"), "huggingface-hub": ("huggingface_hub", "0.24")},
    "report": {"matplotlib": ("matplotlib", "3.8"), "jinja2": ("jinja2", "3.1")},
    "download": {"httpx": ("httpx", "0.27")},
    "parquet": {"pyarrow": ("pyarrow", "15")},
    "plant": {
        "watchdog": ("watchdog", "4"), "SQLAlchemy": ("sqlalchemy", "2.0.30"),
        "paho-mqtt": ("paho.mqtt", "2"), "prometheus-client": ("prometheus_client", "0.20"),
    },
    "live": {"sounddevice": ("sounddevice", "0.4.6")},
    "postgres": {"psycopg": ("psycopg", "3.1")},
    "page": {
        "fastapi": ("fastapi", "0.115"), "uvicorn": ("uvicorn", "0.30"),
        "python-multipart": ("python_multipart", "0.0.18"),
    },
    "convert": {"h5py": ("h5py", "3.10")},
    "train": {"accelerate": ("accelerate", "1.0")},
    "fleet": {"ray": ("ray", "2.40")},
    "remote": {"fsspec": ("fsspec", "2024.6")},
    "edge": {"onnxruntime": ("onnxruntime", "1.18")},
    "export": {"onnx": ("onnx", "1.16")},
}  # fmt: skip
FOR = {
    "eat": "the encoders EAT and BEATs, finetune", "report": "pages and pictures",
    "download": "the published recordings", "parquet": "score --parquet",
    "plant": "watch, history and alarms", "live": "watch DETECTOR mic:",
    "postgres": "a history on a server", "page": "watch --page and serve",
    "convert": "weights of YAMNet as published", "train": "training on several GPUs",
    "fleet": "--engine ray", "remote": "recordings and caches by URL",
    "edge": "exported detectors, without PyTorch", "export": "nearfar export of an encoder",
}  # fmt: skip
# Looked for, not imported: what loads PyTorch and more, and one that itself prints what it lacks.
SLOW = ("accelerate", "ray", "onnxruntime")


def python() -> Iterator[Sign]:
    """Python, the system it runs on, and nearfar with the place that it is read from."""
    here = Path(__file__).resolve().parents[1]
    yield Sign("versions", "nearfar", "ok", f"{__version__}, from {here}")
    told = f"{platform.python_version()}, {sys.executable}"
    yield Sign("versions", "Python", "ok", told)
    yield Sign("versions", "system", "ok", f"{platform.system()} {platform.release()}, "
               f"{platform.machine()}")  # fmt: skip


def core() -> Iterator[Sign]:
    """Each package that nearfar cannot do without."""
    for package, (module, oldest) in CORE.items():
        way = f"pip install --force-reinstall {package}"
        yield asked("versions", package, partial(_seen, package, module, oldest), way)


def extras() -> Iterator[Sign]:
    """Each extra: what is there of it, and the line that installs the rest."""
    for extra, packages in EXTRAS.items():
        seen: list[str] = []
        absent: list[str] = []
        broken: list[str] = []
        for package, (module, oldest) in packages.items():
            try:
                seen.append(f"{package} {_seen(package, module, oldest)}")
            except ModuleNotFoundError as error:
                # One that lacks a package of its own is installed, and broken.
                its_own = error.name in (module, module.partition(".")[0])
                (absent if its_own else broken).append(f"{package}: {fault(error)}")
            except FAULTS as error:
                broken.append(f"{package}: {fault(error)}")
        way = install_line(extra) if absent or broken else ""
        # A broken one first: what is missing beside it is installed by the same line.
        if broken:
            yield Sign("extras", extra, "broken", "; ".join(broken), f"{way} --force-reinstall")
        elif absent:
            names = ", ".join(line.split(":")[0] for line in absent)
            there = f" (there is {', '.join(seen)})" if seen else ""
            yield Sign("extras", extra, "missing", f"no {names}{there}; for {FOR[extra]}", way)
        else:
            yield Sign("extras", extra, "ok", f"{', '.join(seen)}; for {FOR[extra]}")


def _seen(package: str, module: str, oldest: str) -> str:
    """The version of a package that can be imported.

    Raises:
        ImportError: older than what nearfar needs, or whatever importing it raises.
    """
    if module in SLOW:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    else:
        import_module(module)
    version = _version(package, module)
    if _numbers(version) < _numbers(oldest):
        raise ImportError(f"{version} is too old, need at least {oldest}")
    if package == "soundfile":  # which formats can be read, that library decides
        return f"{version}, libsndfile {import_module(module).__libsndfile_version__}"
    return version


def _version(package: str, module: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # it can be imported, so it is there all the same
        return str(getattr(sys.modules[module], "__version__", "0, which says no version"))


def _numbers(version: str) -> tuple[int, ...]:
    """What versions are compared by.

    >>> _numbers("2.13.1+cpu") > _numbers("2.6"), _numbers("0.12.1")
    (True, (0, 12, 1))
    """
    plain = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in plain[0].split(".")) if plain else ()


def install_line(extra: str) -> str:
    """What to type to have an extra, by how nearfar itself was installed."""
    return f"pip install {shlex.quote(_named(extra, _origin(), Path.cwd()))}"


def _named(extra: str, origin: tuple[str, str], here: Path) -> str:
    kind, place = origin
    if kind == "folder":
        near = "." if Path(place) == here else place
        return f"{near}[{extra}]"
    # A wheel or a repository is asked for by its address: no index has it.
    return f"nearfar[{extra}] @ {place}" if kind == "address" else f"nearfar[{extra}]"


def _origin() -> tuple[str, str]:
    """Where nearfar was installed from: ("folder", path), ("address", URL) or ("index", "")."""
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src" / "nearfar").is_dir():
        return "folder", str(checkout)  # read from there, whatever else is installed
    try:
        said = json.loads(metadata.distribution("nearfar").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        said = {}
    address = str(said.get("url", ""))
    if "dir_info" in said:
        folder = Path(url2pathname(unquote(urlparse(address).path)))
        return ("folder", str(folder)) if folder.is_dir() else ("index", "")
    if "vcs_info" in said:
        return "address", f"{said['vcs_info'].get('vcs', 'git')}+{address}"
    return ("address", address) if address else ("index", "")
